"""Leave-one-out densities by Pareto-smoothed importance sampling, a history at a time.

Vehtari, A., Simpson, D., Gelman, A., Yao, Y. & Gabry, J. (2024). Pareto smoothed importance
sampling. Journal of Machine Learning Research 25(72). The Pareto distribution is fitted as
in Zhang, J. & Stephens, M. A. (2009). A new and efficient estimation method for the
generalized Pareto distribution. Technometrics 51(3), 316-325.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

_PRIOR_OF_B: Final = 3.0
_PRIOR_OF_K: Final = 10.0
_TOGETHER: Final = 8  # factors whose logarithm is taken at once: far from over- and underflow
_LEAST_TAIL: Final = 5
_FLAT: Final = 1e-12  # log ratios that differ by less are all the same


def tail_size(draws: int) -> int:
    """How many of the greatest ratios are smoothed: 3 sqrt(S), or a fifth of few draws."""
    return int(3.0 * math.sqrt(draws)) if draws > 225 else draws // 5


@compiled
def leave_one_out(
    log_likelihood: FloatArray, tail: int, elpd: FloatArray, lppd: FloatArray, khat: FloatArray
) -> None:
    """Fill the leave-one-out log density of each history, and what it rests on.

    Parameters
    ----------
    log_likelihood : ndarray, shape (H, S)
        Of one customer with each history, in every draw.
    tail : int
        As `tail_size` has it.
    elpd : ndarray, shape (H,)
        Gets ln p(y_h | all customers but one who has h).
    lppd : ndarray, shape (H,)
        Gets ln of the mean over draws of p(y_h | theta).
    khat : ndarray, shape (H,)
        Gets the shape of the Pareto distribution of the greatest ratios: up to 0.7 the
        estimate can be relied on. Minus infinity where all ratios are the same.
    """
    S = log_likelihood.shape[1]
    smoothed = np.empty(tail)
    for h in range(log_likelihood.shape[0]):
        log_ratio = -log_likelihood[h]
        most, least = log_ratio.max(), log_ratio.min()
        total = 0.0
        for s in range(S):
            total += math.exp(least - log_ratio[s])
        lppd[h] = math.log(total / S) - least
        if most - least < _FLAT or tail < _LEAST_TAIL:
            elpd[h], khat[h] = _plain(log_ratio, most), -np.inf
            continue
        ordered = np.partition(log_ratio, S - tail - 1)
        below = 0.0
        for s in range(S - tail):
            below += math.exp(ordered[s] - most)
        greatest = np.sort(ordered[S - tail :])
        khat[h] = _smooth(greatest, most, ordered[S - tail - 1], smoothed)
        weight, value = below, float(S - tail)
        for i in range(tail):
            weight += smoothed[i]
            value += smoothed[i] * math.exp(most - greatest[i])
        elpd[h] = math.log(value) - math.log(weight) - most


@compiled
def _plain(log_ratio: FloatArray, most: float) -> float:
    """Harmonic mean of the densities, in logs."""
    total = 0.0
    for s in range(log_ratio.size):
        total += math.exp(log_ratio[s] - most)
    return math.log(log_ratio.size / total) - most


@compiled
def _smooth(greatest: FloatArray, most: float, cut: float, smoothed: FloatArray) -> float:
    """Fill the tail's weights, as a Pareto distribution has them; return its shape."""
    n = greatest.size
    cutoff = math.exp(cut - most)
    excess = np.empty(n)
    for i in range(n):
        smoothed[i] = math.exp(greatest[i] - most)
        excess[i] = smoothed[i] - cutoff
    if excess[n - 1] <= 0.0:
        return -np.inf
    k, sigma = _fit_pareto(excess)
    if not (math.isfinite(k) and sigma > 0.0):
        return k
    for i in range(n):
        log_upper = math.log1p(-(i + 0.5) / n)
        at = -log_upper if k == 0.0 else math.expm1(-k * log_upper) / k
        smoothed[i] = min(cutoff + sigma * at, 1.0)
    return k


@compiled
def _fit_pareto(excess: FloatArray) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution of sorted excesses."""
    n = excess.size
    quartile = excess[int(n / 4.0 + 0.5) - 1]
    if quartile <= excess[0]:
        return np.nan, np.nan
    grid = 30 + int(math.sqrt(n))
    b, score = np.empty(grid), np.empty(grid)
    for j in range(grid):
        b[j] = (1.0 - math.sqrt(grid / (j + 0.5))) / (_PRIOR_OF_B * quartile) + 1.0 / excess[n - 1]
        shape = _mean_log1p(-b[j], excess)
        score[j] = n * (math.log(-b[j] / shape) - shape - 1.0)
    top = score.max()
    total, mean = 0.0, 0.0
    for j in range(grid):
        weight = math.exp(score[j] - top)
        total += weight
        mean += weight * b[j]
    b_mean = mean / total
    shape = _mean_log1p(-b_mean, excess)
    k = (n * shape + _PRIOR_OF_K * 0.5) / (n + _PRIOR_OF_K)
    return (np.inf, np.nan) if math.isnan(k) else (k, -shape / b_mean)


@compiled
def _mean_log1p(factor: float, values: FloatArray) -> float:
    """Mean of ln(1 + factor v), with one logarithm for several v."""
    total, product = 0.0, 1.0
    for i in range(values.size):
        product *= 1.0 + factor * values[i]
        if i % _TOGETHER == _TOGETHER - 1:
            total += math.log(product)
            product = 1.0
    return (total + math.log(product)) / values.size
