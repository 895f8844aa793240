"""Distinct rows, and numbers that differ by rounding alone as one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]


def distinct_rows(*columns: FloatArray) -> tuple[IntArray, IntArray]:
    """Find the distinct rows of some columns.

    Returns
    -------
    first : ndarray, shape (H,)
        Position of one row of each kind, ordered by the columns in turn.
    inverse : ndarray, shape (N,)
        For each row, which kind it is.
    """
    import pandas as pd

    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        level, values = pd.factorize(column + 0.0)  # + 0.0: one zero, not two
        code, _ = pd.factorize(code * (len(values) + 1) + level)
    kinds = int(code.max()) + 1 if len(code) else 0
    first = np.zeros(kinds, dtype=np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    order = np.lexsort([column[first] for column in reversed(columns)])
    rank = np.empty(kinds, dtype=np.int64)
    rank[order] = np.arange(kinds)
    return first[order], rank[code]


def significant(values: FloatArray, digits: int) -> FloatArray:
    """Round positive numbers to some significant digits."""
    exponent = digits - 1 - np.floor(np.log10(values))
    power = 10.0 ** np.abs(exponent)
    with np.errstate(over="ignore"):  # of the product that is not taken
        up = np.round(values * power) / power
    return np.asarray(np.where(exponent >= 0, up, np.round(values / power) * power))
