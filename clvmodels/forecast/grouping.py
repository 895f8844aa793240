"""Rows with the same purchase history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_MOST_CODES: Final = 2**62


@dataclass(frozen=True, slots=True)
class Groups:
    """Distinct histories, ordered by x, T and t_x, and who has them.

    Attributes
    ----------
    x, t_x, T : ndarray, shape (H,)
    rows : ndarray of int64, shape (N,)
        Positions of the rows, history by history, in input order within each.
    start : ndarray of int64, shape (H + 1,)
        History h has rows[start[h] : start[h + 1]].
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    rows: IntArray
    start: IntArray


def group_rows(x: FloatArray, t_x: FloatArray, T: FloatArray) -> Groups:
    """Find the distinct histories of some rows.

    Parameters
    ----------
    x, t_x, T : ndarray, shape (N,)
        Finite numbers.
    """
    (x_rank, x_level), (T_rank, T_level), (t_rank, t_level) = map(_ranks, (x, T, t_x))
    if len(x_level) * len(T_level) * len(t_level) > _MOST_CODES:  # times that are all different
        pair, x_rank = np.unique(x_rank * len(T_level) + T_rank, return_inverse=True)
        key = x_rank * len(t_level) + t_rank
    else:
        pair = None
        key = (x_rank * len(T_level) + T_rank) * len(t_level) + t_rank
    rows = np.argsort(key, kind="stable")
    key = key[rows]
    new = np.ones(len(key), dtype=np.bool_)
    new[1:] = key[1:] != key[:-1]
    begin = np.flatnonzero(new)
    rest, t_code = np.divmod(key[begin], len(t_level))
    x_code, T_code = np.divmod(rest if pair is None else pair[rest], len(T_level))
    return Groups(
        x_level[x_code], t_level[t_code], T_level[T_code], rows, np.append(begin, len(rows))
    )


def new_pairs(x: FloatArray, T: FloatArray) -> npt.NDArray[np.bool_]:
    """Where a history is the first of its (x, T); they come ordered by x and T."""
    return np.append(True, (x[1:] != x[:-1]) | (T[1:] != T[:-1]))


def _ranks(values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Rank of every value among the distinct ones, and these in order."""
    import pandas as pd

    # Hashing is much quicker than sorting where few values are distinct.
    code, level = pd.factorize(values + 0.0)  # + 0.0: one zero, not two
    order = np.argsort(level)
    rank = np.empty(len(level), dtype=np.int64)
    rank[order] = np.arange(len(level))
    return rank[code], level[order]
