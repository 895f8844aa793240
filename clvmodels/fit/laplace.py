"""Laplace approximation, importance-weighted and Pareto-smoothed.

The proposal is a Student t with the mode and the curvature there: tails heavier than
the posterior's keep the weights bounded where a Gaussian's would not be. Quasi-random
points (scrambled Sobol) fill it evenly; the weights are smoothed by a generalised
Pareto tail, whose shape k-hat is the honest verdict (Vehtari, Simpson, Gelman, Yao &
Gabry 2024); systematic resampling gives equal-weight draws. The mean of the weights is the
evidence: the density's integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, gammaln, ndtri
from scipy.stats import qmc

from clvmodels.fit.density import Smooth
from clvmodels.fit.mode import Mode
from clvmodels.machine import available_cores

FloatArray = npt.NDArray[np.float64]

# Degrees of freedom of the proposal: on CDNOW k-hat falls from .56 to .32 against the
# Gaussian's, at a cost of a tenth of the effective draws where the posterior is Gaussian. In
# many dimensions that cost grows: with 30, 690 of 1,000 are effective by as many degrees, 470 by 7.
_LEAST_FREEDOM: Final = 7.0
_LEAST_LOG_WEIGHT: Final = -700.0


@dataclass(frozen=True, slots=True)
class LaplaceDraws:
    """Equal-weight draws and what the weights say of them.

    Attributes
    ----------
    theta : ndarray, shape (chains, draws, dim)
        Draws in unconstrained space.
    logp : ndarray, shape (chains, draws)
        Log density of the draws.
    khat : float
        Shape of the weights' Pareto tail; above 0.7 the draws are not to be used.
    importance_ess : float
        1 / sum of squared normalised weights.
    log_evidence : float
        Logarithm of the density's integral, by the mean of the weights as they are.
    """

    theta: FloatArray
    logp: FloatArray
    khat: float
    importance_ess: float
    log_evidence: float


def sample_laplace(
    density: Smooth,
    mode: Mode,
    *,
    draws: int,
    chains: int,
    importance_draws: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> LaplaceDraws:
    """Draw around the mode, weigh, smooth and resample.

    Parameters
    ----------
    draws, chains : int
        Shape of the result.
    importance_draws : int
        Points at which the density is evaluated.
    seed : int
        Of the quasi-random points and the resampling.
    progress : callable, optional
        Told the share done.
    """
    from arviz_stats.base import array_stats

    z = _student_points(density.dim, importance_draws, seed)
    theta = mode.location + z @ mode.scale.T
    logp = _evaluate(density, theta, progress)
    freedom = _freedom(density.dim)
    log_ratio = logp + 0.5 * (freedom + density.dim) * np.log1p(np.sum(z * z, axis=1) / freedom)
    highest = log_ratio.max()
    log_ratio = np.maximum(log_ratio - highest, _LEAST_LOG_WEIGHT)
    log_evidence = highest + math.log(np.mean(np.exp(log_ratio))) + _log_volume(mode)
    # ArviZ takes log-likelihoods that were left out, which is minus the log ratio.
    smoothed, khat = array_stats.psislw(-log_ratio)
    weights = np.exp(smoothed - np.max(smoothed))
    weights /= weights.sum()
    chosen = _resample(weights, draws * chains, np.random.default_rng(seed))
    return LaplaceDraws(
        theta[chosen].reshape(chains, draws, density.dim),
        logp[chosen].reshape(chains, draws),
        float(khat),
        float(1.0 / np.sum(weights**2)),
        float(log_evidence),
    )


def gaussian_evidence(mode: Mode) -> float:
    """Logarithm of the integral of the Gaussian that touches a density at its mode."""
    dim = len(mode.location)
    return mode.value + 0.5 * dim * math.log(2.0 * math.pi) + _log_width(mode)


def _log_width(mode: Mode) -> float:
    """Logarithm of the determinant of the whitening."""
    return float(np.linalg.slogdet(mode.scale)[1])


def _log_volume(mode: Mode) -> float:
    """Logarithm of the proposal's normalising constant: of (1 + z^2 / freedom)^(...) dtheta."""
    dim = len(mode.location)
    freedom = _freedom(dim)
    gammas = gammaln(freedom / 2.0) - gammaln((freedom + dim) / 2.0)
    return float(gammas + 0.5 * dim * math.log(math.pi * freedom) + _log_width(mode))


def _freedom(dim: int) -> float:
    return max(_LEAST_FREEDOM, float(dim))


def _student_points(dim: int, count: int, seed: int) -> FloatArray:
    """Quasi-random points of a multivariate t: a normal over the root of a chi-square."""
    power = math.ceil(math.log2(count))
    uniform = qmc.Sobol(dim + 1, rng=seed).random_base2(power)[:count]
    uniform = np.clip(uniform, 1e-12, 1.0 - 1e-12)
    freedom = _freedom(dim)
    spread = chdtri(freedom, uniform[:, -1:]) / freedom
    return np.asarray(ndtri(uniform[:, :-1]) / np.sqrt(spread), dtype=np.float64)


def _evaluate(
    density: Smooth, theta: FloatArray, progress: Callable[[float], None] | None
) -> FloatArray:
    evaluate = density.value_function()
    result = np.empty(len(theta))
    result[0] = evaluate(theta[0])  # compiled once, before the threads start
    parts = np.array_split(np.arange(len(theta)), max(len(theta) // 50, 1))

    def run(part: npt.NDArray[np.intp]) -> None:
        for i in part:
            result[i] = evaluate(theta[i])

    with ThreadPoolExecutor(available_cores()) as pool:
        try:
            for done, _ in enumerate(pool.map(run, parts), start=1):
                if progress is not None:
                    progress(done / len(parts))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return np.where(np.isnan(result), -np.inf, result)


def _resample(weights: FloatArray, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Systematic resampling, then shuffled so that every chain sees all of the posterior."""
    edges = (np.arange(count) + rng.random()) / count
    chosen = np.searchsorted(np.cumsum(weights), edges).clip(max=len(weights) - 1)
    return rng.permutation(chosen)
