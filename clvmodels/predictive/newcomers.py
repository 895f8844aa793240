"""How many customers are won in each of the months to come: as given, or as it went on.

The logarithm of the number of first orders in month t of the past, 0 the last one, is

    y(t) = level + drift t + a cos(2 pi t / 12) + b sin(2 pi t / 12) + walk(t) + noise(t),

a random walk and noise, part of which is Poisson's own. Seen backwards from its end, of which
nothing is known before, the walk is one too, so that level, drift and season are a linear
regression with known covariance, whose standard deviations are averaged over a grid by their
marginal likelihoods. Ahead a drift dies out, as trends do: how fast the past does not say, and
paths differ in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from clvmodels.errors import DomainError, SchemaError
from clvmodels.schema import DAYS_PER_MONTH, FloatArray, check_number, shown

Acquisitions = Literal["extrapolated"] | float | Sequence[float] | Mapping[Any, float] | pd.Series
_LEAST_MONTHS: Final = 4
_MOST_MONTHS: Final = 36  # of the past that is looked at
_YEAR: Final = 12
# Of the logarithm: before the log is seen the level may be anything
_PRIOR_SDS: Final = np.array([30.0, 0.08, 0.2, 0.2])
_WALKS: Final = np.array([0.02, 0.04, 0.06, 0.09, 0.14, 0.2, 0.3])  # a month
_NOISES: Final = np.array([0.0, 0.04, 0.08, 0.15, 0.3])
_LEFT: Final = (0.8, 1.0)  # of a drift, after a month


def numbers_won(
    acquisitions: Acquisitions, ages: FloatArray, months: int, paths: int, seed: int
) -> FloatArray:
    """How many customers are won in each month on each path, shape (months, paths).

    Parameters
    ----------
    acquisitions : "extrapolated", float, sequence, mapping or Series
        One number for all months, one for each in order, or what the first orders tell.
    ages : ndarray, shape (N,)
        Days since everybody's first order.
    months, paths, seed : int

    Raises
    ------
    SchemaError, DomainError
        Numbers are negative or too many; or see `extrapolated`.
    """
    if isinstance(acquisitions, str):
        if acquisitions != "extrapolated":
            raise SchemaError(
                f"acquisitions={shown(acquisitions)} must be 'extrapolated', a number a month, or "
                "one for each month."
            )
        return extrapolated(ages, months, paths, seed)
    values: Any = acquisitions
    if isinstance(values, Mapping | pd.Series):
        values = list(values.values()) if isinstance(values, Mapping) else values.tolist()
    listed = [values] * months if isinstance(values, int | float) else list(values)
    counts = [check_number("acquisitions", one) for one in listed]
    if len(counts) > months or not all(0 <= one < math.inf for one in counts):
        raise DomainError(
            f"acquisitions={shown(acquisitions)} must be numbers >= 0, at most one for each of the "
            f"{months:,} months of the horizon."
        )
    whole = np.array([*counts, *[0.0] * (months - len(counts))])
    return np.broadcast_to(whole[:, None], (months, paths))


def extrapolated(ages: FloatArray, months: int, paths: int, seed: int) -> FloatArray:
    """First orders a month as they went on, with doubt, shape (months, paths).

    Parameters
    ----------
    ages : ndarray, shape (N,)
        Days since everybody's first order.
    months, paths, seed : int

    Raises
    ------
    DomainError
        There are fewer than four whole months, or nobody came of late.
    """
    known = min(math.floor(ages.max() / DAYS_PER_MONTH) - 1, _MOST_MONTHS)  # not the log's first
    back = np.floor(ages / DAYS_PER_MONTH).astype(np.int64)
    counts = np.bincount(back[back < known], minlength=max(known, 1))[::-1].astype(np.float64)
    if known < _LEAST_MONTHS or not counts[-3:].any():
        raise DomainError(
            "The table's first orders say too little of how many customers are to come: four "
            "months and some in the last three are needed. Say it yourself, as in acquisitions=100 "
            "for 100 a month, or with one number for each month."
        )
    rng = np.random.default_rng(seed)
    chances, means, roots = _regressions(counts)
    which = rng.choice(len(chances), size=paths, p=chances)
    walk, noise = (one.ravel()[which] for one in np.meshgrid(_WALKS, _NOISES, indexing="ij"))
    doubt = np.einsum("pij,pj->pi", roots[which], rng.standard_normal((paths, 4)))
    ahead = np.arange(1.0, months + 1.0)[:, None]
    left = np.cumsum(rng.uniform(*_LEFT, paths) ** ahead, axis=0)
    angle = 2.0 * np.pi / _YEAR * ahead

    def at(coefficients: FloatArray) -> FloatArray:
        level, drift, a, b = coefficients.T
        return np.asarray(level + drift * left + a * np.cos(angle) + b * np.sin(angle))

    steps = at(doubt) + np.cumsum(walk * rng.standard_normal((months, paths)), axis=0)
    steps += noise * rng.standard_normal((months, paths))
    # More doubt is not to promise more customers
    lift = np.exp(steps) / np.exp(steps).mean(axis=1, keepdims=True)
    return np.asarray(rng.poisson(np.exp(at(means[which])) * lift), dtype=np.float64)


def _regressions(counts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Level, drift and season by monthly numbers, for each walk and noise of the grid.

    Returns
    -------
    tuple of ndarray, shapes (G,), (G, 4), (G, 4, 4)
        Chances of the pairs; means of level, drift, a and b; and roots of their covariances.
    """
    y, back = np.log(counts + 0.5), np.arange(len(counts))[::-1]
    angle = -2.0 * np.pi / _YEAR * back
    design = np.stack([np.ones(len(y)), -back, np.cos(angle), np.sin(angle)], axis=1)
    prior = (design * _PRIOR_SDS**2) @ design.T
    found = []
    for walk in _WALKS:
        for noise in _NOISES:
            own = walk**2 * np.minimum(back[:, None], back)
            own += np.diag(noise**2 + 1.0 / (counts + 0.5))
            _, size = np.linalg.slogdet(own + prior)
            likely = -0.5 * (size + y @ np.linalg.solve(own + prior, y))
            weights = np.linalg.solve(own, design)
            doubt = np.linalg.inv(design.T @ weights + np.diag(_PRIOR_SDS**-2))
            found.append((likely, doubt @ (weights.T @ y), np.linalg.cholesky(doubt)))
    likely, means, roots = (np.array(part) for part in zip(*found, strict=True))
    chances = np.exp(likely - likely.max())
    return chances / chances.sum(), means, roots
