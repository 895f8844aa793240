"""What draws of spend say: Gamma-Gamma's p, q, v, or the one value of every purchase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas import gamma_gamma
from clvmodels.schema import FloatArray

BASKET: Final = "value"  # the only parameter of a fixed basket
Spend = Mapping[str, FloatArray]


def is_fixed(spend: Spend) -> bool:
    """Whether every purchase has the same value, whoever makes it."""
    return BASKET in spend


def coefficients(spend: Spend | None, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Intercept and slope of the expected spend, which is intercept + slope m_bar.

    Parameters
    ----------
    spend : mapping of str to ndarray, shape (S,), or None
        None where nothing is known: a purchase then counts as one.
    counts : ndarray, shape (X,)
        Amounts that m_bar is the mean of.

    Returns
    -------
    intercept, slope : ndarray, shape (X, S) or (X, 1)
        Where a draw makes the expected spend infinite, the intercept is infinite.
    """
    if spend is None or is_fixed(spend):
        value = np.ones(1) if spend is None else spend[BASKET]
        intercept = np.broadcast_to(value, (len(counts), len(value)))
        return intercept, np.zeros_like(intercept)
    found = gamma_gamma.spend_coefficients(counts[:, None], **spend)
    return found.intercept, found.slope


def infinite(spend: Spend | None, x: float) -> npt.NDArray[np.bool_]:
    """In which draws the expected spend is infinite after x amounts, shape (S,)."""
    if spend is None or is_fixed(spend):
        return np.zeros(1, dtype=bool)
    return np.asarray(spend["p"] * x + spend["q"] <= 1)


def mean_of_new(spend: Spend) -> FloatArray:
    """Expected spend of a customer not yet acquired, shape (S,)."""
    return spend[BASKET] if is_fixed(spend) else gamma_gamma.population_mean(**spend)


def shapes(spend: Spend, counted: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """p, q, v as simulations take them: p is 0 where every purchase has the value v.

    They know repeat purchases: of a first order that counts, q has its share.
    """
    if is_fixed(spend):
        value = np.ascontiguousarray(spend[BASKET])
        return np.zeros_like(value), np.ones_like(value), value
    p, q, v = (np.ascontiguousarray(spend[name]) for name in ("p", "q", "v"))
    return p, q + counted * p, v
