"""Laplace approximation, importance-weighted and Pareto-smoothed.

The Gaussian at the mode is the proposal; quasi-random points (scrambled Sobol) fill it
evenly; the weights are smoothed by a generalised Pareto tail, whose shape k-hat is the
honest verdict (Vehtari, Simpson, Gelman, Yao & Gabry 2024); systematic resampling
gives equal-weight draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import qmc

from clvmodels.cores import available_cores
from clvmodels.inference.density import Density
from clvmodels.inference.mode import Mode

FloatArray = npt.NDArray[np.float64]


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
    """

    theta: FloatArray
    logp: FloatArray
    khat: float
    importance_ess: float


def sample_laplace(
    density: Density,
    mode: Mode,
    *,
    draws: int,
    chains: int,
    importance_draws: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> LaplaceDraws:
    """Draw from the Gaussian at the mode, weigh, smooth and resample.

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

    z = _normal_points(density.dim, importance_draws, seed)
    theta = mode.location + z @ mode.scale.T
    logp = _evaluate(density, theta, progress)
    log_ratio = logp + 0.5 * np.sum(z * z, axis=1)
    log_ratio -= log_ratio.max()
    if np.isfinite(log_ratio).all() and np.ptp(log_ratio) < 1e-10:
        smoothed, khat = log_ratio, -math.inf  # exactly Gaussian: nothing to smooth
    else:
        smoothed, khat = array_stats.psislw(np.maximum(log_ratio, -700.0))
    weights = np.exp(smoothed - np.max(smoothed))
    weights /= weights.sum()
    chosen = _resample(weights, draws * chains, np.random.default_rng(seed))
    return LaplaceDraws(
        theta[chosen].reshape(chains, draws, density.dim),
        logp[chosen].reshape(chains, draws),
        float(khat),
        float(1.0 / np.sum(weights**2)),
    )


def _normal_points(dim: int, count: int, seed: int) -> FloatArray:
    power = math.ceil(math.log2(count))
    uniform = qmc.Sobol(dim, rng=seed).random_base2(power)[:count]
    return np.asarray(ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)), dtype=np.float64)


def _evaluate(
    density: Density, theta: FloatArray, progress: Callable[[float], None] | None
) -> FloatArray:
    call, dim = density.without_gil(), density.dim
    zero, unit = np.zeros(dim), np.eye(dim)
    call(theta[0], zero, unit, *density.data)
    result = np.empty(len(theta))
    parts = np.array_split(np.arange(len(theta)), max(len(theta) // 50, 1))

    def run(part: npt.NDArray[np.intp]) -> None:
        for i in part:
            result[i] = call(theta[i], zero, unit, *density.data)[0]

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
