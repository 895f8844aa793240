"""A customer's stratum and number of purchases in one number, which loops take as x.

Histories of one stratum are alike as those of a whole base are where there are no covariates:
what is found for each x is found for each x of each stratum, and nothing else in the loops has
to know. The number is exact, and sorts by stratum first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.schema import FloatArray

STRIDE: Final = 2.0**21
"""More than anybody's repeat purchases: as many every day for 5,700 years."""
MOST_STRATA: Final = 2**31
"""So that a whole number of 53 bits holds both."""

IntArray = npt.NDArray[np.int64]


def coded(x: FloatArray, stratum: IntArray) -> FloatArray:
    """Put numbers of purchases and strata into one number each.

    Parameters
    ----------
    x : ndarray, shape (N,)
        Repeat purchases.
    stratum : ndarray of int, shape (N,)
        From 1 on; 0 is that of customers of whom nothing but purchases is known.

    Raises
    ------
    DomainError
        Somebody has more purchases than there is room for.
    """
    if len(x) and x.max() >= STRIDE:
        raise DomainError(
            f"A customer with {x.max():,.0f} repeat purchases is too many for a model with "
            f"covariates, which takes up to {STRIDE:,.0f}: leave the covariates out."
        )
    return np.asarray(x + STRIDE * stratum)


def plain(x: npt.ArrayLike) -> FloatArray:
    """Numbers of purchases alone, of the same shape."""
    x = np.asarray(x)
    return np.asarray(x - STRIDE * np.floor(x / STRIDE))  # exact, and a tenth of fmod's time


def stratum_of(x: npt.ArrayLike) -> IntArray:
    """Strata alone, of the same shape."""
    return np.floor(np.asarray(x) / STRIDE).astype(np.int64)
