"""Histories worked off in chunks: what their outcomes depend on, by draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.grouping import Groups, IntArray, new_pairs
from clvmodels.purchases import Family
from clvmodels.schema import FloatArray

# Histories worked off at a time: tables of ln(alpha + t) for them stay in the caches
# where times repeat, and below 150 MB at 500 draws where they do not.
CHUNK: Final = 16_384
_LEAST: Final = 1_024  # fewer are not worth the handing out
_PARTS: Final = 16  # of small bases, so that all cores have work


class Chunk(NamedTuple):
    """Some histories, ordered by x, T and t_x, with the numbers that they share.

    Attributes
    ----------
    x_of, pair_of, t_x_of : ndarray of int, shape (H,)
        Positions of x, (x, T) and t_x among the distinct ones.
    x_of_pair : ndarray of int, shape (P,)
    T : ndarray, shape (P,)
        Of each (x, T).
    offset, power, stays : ndarray, shape (X, S)
        Of each x: of its log odds of having dropped out, and the second shape B of the
        dropout probability. ``power`` is also R, the shape of the purchase rate.
    alpha, a : ndarray, shape (S,)
    log_recency : ndarray, shape (recencies, S)
        ln(alpha + t_x) of each t_x.
    """

    x_of: IntArray
    pair_of: IntArray
    t_x_of: IntArray
    x_of_pair: IntArray
    T: FloatArray
    offset: FloatArray
    power: FloatArray
    stays: FloatArray
    alpha: FloatArray
    a: FloatArray
    log_recency: FloatArray


def chunk_of(
    groups: Groups,
    begin: int,
    purchases: Mapping[str, FloatArray],
    formulas: Family,
) -> Chunk:
    """Describe the histories from ``begin`` on, as many as are worked off at a time.

    Parameters
    ----------
    groups : Groups
        Of all rows.
    begin : int
        Position of the first history.
    purchases : mapping of str to ndarray, shape (S,)
        Draws of r, alpha, a, b.
    formulas : Family
        Of the purchase model.
    """
    end = begin + chunk_size(groups)
    x, t_x, T = (column[begin:end] for column in (groups.x, groups.t_x, groups.T))
    new = new_pairs(x, T)
    counts, x_of = np.unique(x, return_inverse=True)
    recencies, t_x_of = np.unique(t_x, return_inverse=True)
    odds = formulas.log_odds_terms(counts[:, None], **purchases)
    return Chunk(
        x_of=x_of,
        pair_of=np.cumsum(new) - 1,
        t_x_of=t_x_of,
        x_of_pair=x_of[new],
        T=np.ascontiguousarray(T[new]),
        offset=odds.offset,
        power=odds.power,
        stays=formulas.stay_shape(counts[:, None], b=purchases["b"]),
        alpha=purchases["alpha"],
        a=purchases["a"],
        log_recency=np.log(purchases["alpha"] + recencies[:, None]),
    )


def chunk_size(groups: Groups) -> int:
    """How many histories are worked off at a time, on however many cores."""
    return min(CHUNK, max(_LEAST, -(-len(groups.x) // _PARTS)))


def chunks(groups: Groups) -> Iterator[int]:
    """Yield where each chunk of the histories begins."""
    yield from range(0, len(groups.x), chunk_size(groups))
