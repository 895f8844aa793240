"""Histories worked off in chunks and tiles: what their outcomes depend on, by draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.draws import Draws
from clvmodels.forecast.grouping import Groups, IntArray, new_pairs
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import plain
from clvmodels.purchases.family import Living, Weights
from clvmodels.schema import FloatArray

# Histories worked off at a time: tables for them stay in the caches where times repeat, and
# below 200 MB a core at 500 draws where they do not.
CHUNK: Final = 16_384
TILE: Final = 256  # whose weights are there at a time: 1 MB at 500 draws
_LEAST: Final = 1_024  # fewer are not worth the handing out
_PARTS: Final = 16  # of small bases, so that all cores have work


class Customers(NamedTuple):
    """Histories of a chunk, ordered by x, T and t_x, and the rows that have them.

    Attributes
    ----------
    x : ndarray, shape (H,)
        Without their strata.
    key_of : ndarray of int, shape (H,)
        Position of each one's (x, T) among the distinct ones.
    start : ndarray of int, shape (H + 1,)
        History h has rows[start[h] : start[h + 1]].
    rows : ndarray of int
        Positions in the table.
    m_bar : ndarray, shape (N,)
        Mean spend of all rows of the table; 0 where no amount counts.
    counted : float
        Amounts of each that m_bar is the mean of, besides x: see `Draws`.
    scale : ndarray, shape (V, S)
        What amounts go with: see `clvmodels.forecast.spending.scales`.
    scale_of : ndarray of int, shape (H,)
        Which of them each history has.
    """

    x: FloatArray
    key_of: IntArray
    start: IntArray
    rows: IntArray
    m_bar: FloatArray
    counted: float
    scale: FloatArray
    scale_of: IntArray


class Tile(NamedTuple):
    """Some histories of a chunk, in a row.

    Attributes
    ----------
    begin, end : int
        The first history, and the one after the last.
    keys : slice
        The (x, T) that they have.
    weights : ndarray, shape (K, end - begin, S)
        P(alive, in phase); is overwritten by the next tile.
    """

    begin: int
    end: int
    keys: slice
    weights: FloatArray


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some histories, with what their family says of them.

    Attributes
    ----------
    customers : Customers
    x, T : ndarray, shape (P,)
        Of each (x, T), the keys; x with its stratum.
    weights : Weights
        Of the histories.
    living : Living
        Of the keys.
    phases, draws : int
        Their numbers, K and S.
    """

    customers: Customers
    x: FloatArray
    T: FloatArray
    weights: Weights
    living: Living
    phases: int
    draws: int

    def until(self, due: Due, draws: Draws) -> Chunk:
        """The same histories, with another horizon."""
        return replace(self, living=draws.formulas.living(self.x, self.T, draws.purchases, due))

    def tiles(self, begin: int = 0, end: int | None = None) -> Iterator[Tile]:
        """Yield the histories from begin to end in order, as tiles."""
        key_of = self.customers.key_of
        end = len(key_of) if end is None else end
        room = np.empty((self.phases, min(TILE, end - begin), self.draws))
        for first in range(begin, end, TILE):
            after = min(first + TILE, end)
            if after - first < room.shape[1]:
                room = np.empty((self.phases, after - first, self.draws))
            self.weights.fill(first, room)
            yield Tile(first, after, slice(int(key_of[first]), int(key_of[after - 1]) + 1), room)

    def buys(self, keys: slice) -> FloatArray:
        """P(a purchase | alive) of some keys, shape (keys, K, S)."""
        out = np.empty((keys.stop - keys.start, self.phases, self.draws))
        self.living.buys(keys.start, out)
        return out

    def idle(self, keys: slice) -> FloatArray:
        """P(no purchase, and alive at the end | alive), shape (keys, K, S)."""
        out = np.empty((keys.stop - keys.start, self.phases, self.draws))
        self.living.idle(keys.start, out)
        return out


def chunk_of(
    groups: Groups,
    begin: int,
    draws: Draws,
    due: Due,
    m_bar: FloatArray | None = None,
    size: int | None = None,
) -> Chunk:
    """Describe the histories from ``begin`` on, as many as are worked off at a time.

    Parameters
    ----------
    groups : Groups
        Of all rows.
    begin : int
        Position of the first history.
    draws : Draws
        Of purchases, and what they are draws of.
    due : Due
        Until when purchases count, and how they are discounted.
    m_bar : ndarray, shape (N,), optional
        Mean spend of all rows.
    size : int, optional
        How many histories; by default `chunk_size`.
    """
    end = begin + (size or chunk_size(groups))
    x, t_x, T = (column[begin:end] for column in (groups.x, groups.t_x, groups.T))
    new = new_pairs(x, T)
    start = groups.start[begin : begin + len(x) + 1]
    spent = np.empty(0) if m_bar is None else m_bar
    family, purchases, keys = draws.formulas, draws.purchases, (x[new], T[new])
    key_of, scale = np.cumsum(new) - 1, draws.scales(x)
    return Chunk(
        customers=Customers(plain(x), key_of, start, groups.rows, spent, draws.counted, *scale),
        x=keys[0],
        T=keys[1],
        weights=family.weights(x, t_x, T, purchases),
        living=family.living(*keys, purchases, due),
        phases=family.phases,
        draws=draws.count,
    )


def chunk_size(groups: Groups) -> int:
    """How many histories are worked off at a time, on however many cores."""
    return min(CHUNK, max(_LEAST, -(-len(groups.x) // _PARTS)))


def chunks(groups: Groups) -> Iterator[int]:
    """Yield where each chunk of the histories begins."""
    yield from range(0, len(groups.x), chunk_size(groups))
