"""What a forecast costs for one customer: the terms whose means are the metrics.

Apart from `metrics`, since they are plain arithmetic on arrays: those weigh, sum and name them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from clvmodels.schema import FloatArray


def absolute_error(forecast: FloatArray, actual: FloatArray) -> FloatArray:
    """|f - y|; the continuous ranked probability score of a point forecast is the same."""
    return np.abs(forecast - actual)


def squared_error(forecast: FloatArray, actual: FloatArray) -> FloatArray:
    """(f - y)^2."""
    return (forecast - actual) ** 2


def poisson_deviance(forecast: npt.ArrayLike, actual: npt.ArrayLike) -> FloatArray:
    """Unit Poisson deviance 2 (y ln(y / f) - y + f), for y, f >= 0.

    0 where both are 0, infinite where nothing was forecast and something came: a
    forecast of exactly 0 rules that out (McCullagh & Nelder 1989, section 2.3).
    """
    f, y = np.asarray(forecast, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    with np.errstate(divide="ignore"):
        surprise = np.where(y > 0, xlogy(y, y) - xlogy(y, f), 0.0)
    # Rounding may leave a hair below 0 where f is next to y.
    return np.asarray(np.maximum(2.0 * (surprise - y + f), 0.0))


def covered(
    actual: FloatArray, lower: FloatArray, upper: FloatArray, *, slack: npt.ArrayLike = 0.0
) -> FloatArray:
    """1 where lower <= y <= upper, else 0."""
    slack = np.asarray(slack, dtype=np.float64)
    inside = (actual >= lower - slack) & (actual <= upper + slack)
    return np.asarray(inside, dtype=np.float64)


def interval_score(
    actual: FloatArray, lower: FloatArray, upper: FloatArray, interval: float
) -> FloatArray:
    """Width of an interval, and 2 / (1 - interval) times how far outside y lies.

    The lower the better, best in expectation at the true quantiles (Gneiting & Raftery 2007,
    "Strictly proper scoring rules, prediction, and estimation", eq. 43).
    """
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    return np.asarray(upper - lower + 2.0 / (1.0 - interval) * outside)
