"""Futures of whole bases, customer by customer: the loops behind their totals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.chunks import Chunk, Customers
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.mixing import alive_of
from clvmodels.forecast.paths import Outcomes, level_of
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import Due, present_value
from clvmodels.formulas.random import hashed, uniform
from clvmodels.purchases.walks import Int32Array, Walks
from clvmodels.schema import FloatArray

Keys = npt.NDArray[np.uint64]
BUYERS, ALIVE, PURCHASES, VALUE = range(4)
_BATCH: Final = 65_536  # paths looked at at a time, or those of one customer


class Who(NamedTuple):
    """Whose path a walk is.

    Attributes
    ----------
    row, number : ndarray of int32, shape (n,)
        Of the customer, and of the path.
    scale, x : ndarray, shape (n,)
        What their amounts go with: v of the path's draw and what they spent in the amounts
        that count; and x.
    """

    row: Int32Array
    number: Int32Array
    scale: FloatArray
    x: FloatArray

    def some(self, which: slice | IntArray) -> Who:
        """Return some of them."""
        return Who(self.row[which], self.number[which], self.scale[which], self.x[which])


@compiled
def _fate(u: float, alive: float, weights: FloatArray, h: int, d: int) -> tuple[int, float]:
    """Phase of a living customer, and a uniform number that is left; -1 of the dead."""
    rest = u - (1.0 - alive)
    if rest < 0.0 or alive <= 0.0:
        return -1, 0.0
    phase, last = 0, weights.shape[0] - 1
    while phase < last and rest >= weights[phase, h, d]:
        rest -= weights[phase, h, d]
        phase += 1
    if weights[phase, h, d] <= 0.0:  # by rounding, past the last one that there is
        while weights[phase, h, d] <= 0.0:
            phase -= 1
        return phase, 1.0
    return phase, rest / weights[phase, h, d]


@compiled
def _start(
    begin: int,
    weights: FloatArray,
    customers: Customers,
    outcomes: Outcomes,
    seeds: Keys,
    group: IntArray,
    buys: FloatArray,
    idle: FloatArray,
    first: int,
    after: int,
    who: Who,
    key: Int32Array,
    phase: Int32Array,
    draw: Int32Array,
    chance: FloatArray,
    state: Keys,
    alive_at_end: FloatArray,
) -> int:
    """List the paths with a purchase of rows first..after, and count who lives without one.

    Most paths have no purchase, and cost a hash and a comparison.
    """
    S, n, rows, key_of, m_bar = buys.shape[2], 0, customers.rows, customers.key_of, customers.m_bar
    row, number, scale, counts = who.row, who.number, who.scale, who.x
    for h in range(weights.shape[1]):
        low = max(customers.start[begin + h], first)
        high = min(customers.start[begin + h + 1], after)
        if low >= high:
            continue
        alive, x, k = alive_of(weights, h), customers.x[begin + h], key_of[begin + h]
        some, none = buys[k - key_of[begin]], idle[k - key_of[begin]]
        level = customers.scale[customers.scale_of[begin + h]]
        for r in range(low, high):
            i = rows[r]
            seed, total = hashed(outcomes.seed, seeds[i]), (x + customers.counted) * m_bar[i]
            living = alive_at_end[group[i]]
            for j in range(outcomes.per_draw):
                for d in range(S):
                    u, bits = uniform(hashed(seed, np.uint64(j * S + d)))
                    which, v = _fate(u, alive[d], weights, h, d)
                    if which < 0:
                        continue
                    if v > some[which, d]:
                        living[j, d] += v - some[which, d] <= none[which, d]
                        continue
                    key[n], phase[n], draw[n], chance[n], state[n] = k, which, d, v, bits
                    row[n], number[n], scale[n], counts[n] = i, j * S + d, level[d] + total, x
                    n += 1
    return n


@dataclass(frozen=True, slots=True)
class Walker:
    """Walks the customers of a chunk, batch by batch, with what it needs for all of them.

    Attributes
    ----------
    chunk, outcomes
        Who, and what is simulated.
    keys : ndarray of uint64, shape (N,)
        Of each row, which its random numbers depend on.
    group : ndarray of int, shape (N,)
    alive : ndarray, shape (groups, per_draw, S)
        Gets the customers added who live to the end without a purchase.
    """

    chunk: Chunk
    outcomes: Outcomes
    keys: Keys
    group: IntArray
    alive: FloatArray

    def batches(self) -> Iterator[tuple[Walks, Who]]:
        """Yield the paths that have a purchase, to be walked; both are overwritten."""
        paths = self.outcomes.per_draw * self.chunk.draws
        step = max(_BATCH // paths, 1)
        start, most = self.chunk.customers.start, step * paths
        room = Walks.room(most, self.outcomes.p)
        who = Who(
            np.empty(most, dtype=np.int32),
            np.empty(most, dtype=np.int32),
            np.empty(most),
            np.empty(most),
        )
        for tile in self.chunk.tiles():
            chances = self.chunk.buys(tile.keys), self.chunk.idle(tile.keys)
            end = int(start[tile.end])
            for first in range(int(start[tile.begin]), end, step):
                count = _start(
                    tile.begin,
                    tile.weights,
                    self.chunk.customers,
                    self.outcomes,
                    self.keys,
                    self.group,
                    *chances,
                    first,
                    min(first + step, end),
                    who,
                    room.key,
                    room.phase,
                    room.draw,
                    room.chance,
                    room.state,
                    self.alive,
                )
                yield room.some(slice(count)), who.some(slice(count))


@compiled
def _scales(
    who: Who, draw: Int32Array, state: Keys, bought: IntArray, outcomes: Outcomes, out: FloatArray
) -> None:
    """Fill what one unit of a path's amounts is worth, 1 / nu."""
    p, q, x = outcomes.p, outcomes.q, who.x
    for n in range(out.size):
        out[n] = 0.0
        if bought[n] > 0:
            d = draw[n]
            out[n] = who.scale[n] / level_of(x[n], p[d], q[d], state[n])


@compiled
def _add(
    who: Who,
    group: IntArray,
    draws: int,
    orders: FloatArray,
    bought: IntArray,
    stays: npt.NDArray[np.bool_],
    scale: FloatArray,
    out: FloatArray,
) -> None:
    row, number = who.row, who.number
    for n in range(bought.size):
        totals = out[group[row[n]], number[n] // draws, number[n] % draws]
        totals[ALIVE] += stays[n]
        if bought[n] > 0:
            totals[BUYERS] += 1.0
            totals[PURCHASES] += bought[n]
            totals[VALUE] += scale[n] * orders[n]


def add_totals(
    chunk: Chunk, outcomes: Outcomes, keys: Keys, group: IntArray, out: FloatArray
) -> None:
    """Add the customers of some histories to the totals of their groups, path by path.

    Parameters
    ----------
    chunk, outcomes
        Who, and what is simulated.
    keys : ndarray of uint64, shape (N,)
        Of each row, which its random numbers depend on.
    group : ndarray of int, shape (N,)
    out : ndarray, shape (groups, per_draw, S, 4)
        Buyers, customers alive at the end, purchases and value without margin.
    """
    alive = np.zeros(out.shape[:3])
    for walks, who in Walker(chunk, outcomes, keys, group, alive).batches():
        chunk.living.walk(walks)
        scale = np.empty(len(walks.draw))
        _scales(who, walks.draw, walks.state, walks.bought, outcomes, scale)
        _add(who, group, chunk.draws, walks.orders, walks.bought, walks.stays, scale, out)
    out[..., ALIVE] += alive


def recorded(chunk: Chunk, walks: Walks) -> Walks:
    """Walk once to know how many purchases there are, and again to keep their times."""
    state = walks.state.copy()
    chunk.living.walk(walks)
    ends = np.cumsum(walks.bought)
    times = np.empty(ends[-1] if len(ends) else 0)
    again = replace(
        walks, state=state, begin=ends - walks.bought, times=times, amounts=np.empty_like(times)
    )
    chunk.living.walk(again)
    return again


def add_by_period(
    chunk: Chunk,
    outcomes: Outcomes,
    keys: Keys,
    group: IntArray,
    ends: FloatArray,
    due: Due,
    out: FloatArray,
    *,
    ages: FloatArray | None = None,
) -> None:
    """Add the purchases of some histories, and their value, to the periods they are made in.

    Parameters
    ----------
    chunk, outcomes, keys, group
        As in :func:`add_totals`.
    ends : ndarray, shape (E,)
        Of the periods, the first of which begins at T; rising.
    due : Due
        That of the chunk, which says how values are discounted.
    out : ndarray, shape (groups, per_draw, S, E, 2)
        Purchases and value without margin.
    ages : ndarray, shape (N,), optional
        How old each row is at T, where ``ends`` are ages.
    """
    unused = np.zeros(out.shape[:3])
    ages = np.zeros(len(group)) if ages is None else ages
    for walks, who in Walker(chunk, outcomes, keys, group, unused).batches():
        again = recorded(chunk, walks)
        scale = np.empty(len(walks.draw))
        _scales(who, again.draw, again.state, again.bought, outcomes, scale)
        how = due.delta, due.month
        _add_by_period(
            who, group, chunk.draws, again.begin, again.bought, again.times, again.amounts,
            scale, ends, ages, how, out,
        )  # fmt: skip


@compiled
def _add_by_period(
    who: Who,
    group: IntArray,
    draws: int,
    begin: IntArray,
    bought: IntArray,
    times: FloatArray,
    amounts: FloatArray,
    scale: FloatArray,
    ends: FloatArray,
    ages: FloatArray,
    how: tuple[float, float],
    out: FloatArray,
) -> None:
    delta, month = how
    row, number = who.row, who.number
    for n in range(bought.size):
        periods, k = out[group[row[n]], number[n] // draws, number[n] % draws], 0
        for i in range(begin[n], begin[n] + bought[n]):
            while k < ends.size - 1 and ends[k] < ages[row[n]] + times[i]:
                k += 1
            periods[k, 0] += 1.0
            periods[k, 1] += scale[n] * amounts[i] * present_value(times[i], delta, month)


def follow(
    chunk: Chunk,
    outcomes: Outcomes,
    keys: Keys,
    begin: IntArray,
    times: FloatArray,
    amounts: FloatArray,
    out: FloatArray,
) -> None:
    """Every purchase of the customers of some histories.

    Parameters
    ----------
    chunk, outcomes, keys
        As in :func:`add_totals`.
    begin : ndarray of int, shape (N * paths + 1,) or (0,)
        Where the purchases of row i on path k go: from begin[i * paths + k] on. If it is
        empty, nothing is recorded.
    times, amounts : ndarray
        Time since T, and amount, of every purchase, are filled in.
    out : ndarray, shape (2, N, paths)
        Purchases, and discounted value without margin, are filled in.
    """
    paths, nobody = outcomes.per_draw * chunk.draws, np.zeros(len(keys), dtype=np.int64)
    rows = chunk.customers.rows[chunk.customers.start[0] : chunk.customers.start[-1]]
    out[:, rows] = 0.0
    alive = np.zeros((1, outcomes.per_draw, chunk.draws))
    for walks, who in Walker(chunk, outcomes, keys, nobody, alive).batches():
        where = who.row.astype(np.int64) * paths + who.number
        if len(begin):
            kept = np.flatnonzero(begin[where + 1] > begin[where])
            where, who = where[kept], who.some(kept)
            places = begin[where]
            walks = replace(walks.some(kept), begin=places, times=times, amounts=amounts)
        chunk.living.walk(walks)
        scale = np.empty(len(where))
        _scales(who, walks.draw, walks.state, walks.bought, outcomes, scale)
        out[0].reshape(-1)[where] = walks.bought
        out[1].reshape(-1)[where] = scale * walks.orders
        _scale_amounts(walks.begin, walks.bought, scale, amounts)


@compiled
def _scale_amounts(
    begin: IntArray, bought: IntArray, scale: FloatArray, amounts: FloatArray
) -> None:
    for n in range(begin.size):
        for k in range(begin[n], begin[n] + bought[n]):
            amounts[k] *= scale[n]
