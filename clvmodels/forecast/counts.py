"""Numbers of purchases that histories lead to, mixed over the draws: the compiled loops.

A table P(count >= n | alive) by draw serves all histories of one (x, T); each of them
mixes it with its own P(alive).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.kernel import alive_by_draw, mean_product
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.counts import begin_counts, count_sf_if_alive, next_count
from clvmodels.schema import FloatArray

MOST_COUNTS: Final = 50_000  # rows of a table, which has 8 bytes for each and draw


@compiled
def _mean(values: FloatArray) -> float:
    total = 0.0
    for d in range(values.size):
        total += values[d]
    return total / values.size


@compiled
def _longer(table: FloatArray) -> FloatArray:
    more = np.empty((2 * table.shape[0], table.shape[1]))
    more[: table.shape[0]] = table
    return more


@compiled
def living_table(
    R: FloatArray,
    ratio: FloatArray,
    a: FloatArray,
    B: FloatArray,
    least: float,
    most: int,
    table: FloatArray,
) -> tuple[FloatArray, int]:
    """P(count >= n | alive) for n = 1, 2, ... until its mean over draws is at most least.

    Parameters
    ----------
    R, ratio, a, B : ndarray, shape (S,)
        Of the living customer; ratio is horizon / (alpha + T).
    least : float
        Also what any mixture of the rows with probabilities of being alive is at most.
    most : int
        Rows at most.
    table : ndarray, shape (rows, S)
        To be filled.

    Returns
    -------
    table : ndarray
        The same, or a longer one.
    rows : int
        How many are filled; -1 where ``most`` are too few.
    """
    state, first = np.empty((3, R.size)), np.empty(R.size)
    latest = begin_counts(R, ratio, first, state)
    for n in range(most):
        if n == table.shape[0]:
            table = _longer(table)
        next_count(float(n), R, ratio, a, B, first, latest, state, table[n])
        if _mean(table[n]) <= least:
            return table, n + 1
    return table, -1


@compiled
def first_at_most(alive: FloatArray, table: FloatArray, rows: int, limit: float) -> int:
    """Least n with P(count >= n + 1) <= limit, the last row's at the latest."""
    low, high = 0, rows - 1
    while low < high:
        middle = (low + high) // 2
        if mean_product(alive, table[middle]) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def enter_alive(chunk: Chunk, h: int, log_age: FloatArray, alive: FloatArray) -> None:
    """Fill P(alive) by draw of history h."""
    k = chunk.x_of[h]
    log_recency = chunk.log_recency[chunk.t_x_of[h]]
    alive_by_draw(chunk.offset[k], chunk.power[k], log_age, log_recency, alive)


@compiled
def enter_age(
    chunk: Chunk, pair: int, horizon: float, log_age: FloatArray, ratio: FloatArray
) -> None:
    """Fill ln(alpha + T) and horizon / (alpha + T) by draw of an (x, T)."""
    for d in range(ratio.size):
        age = chunk.alpha[d] + chunk.T[pair]
        log_age[d] = np.log(age)
        ratio[d] = horizon / age


@compiled
def count_quantiles(
    chunk: Chunk, horizon: float, upper_tails: FloatArray, most: int, out: FloatArray
) -> None:
    """Quantiles of the number of purchases of every history.

    Parameters
    ----------
    chunk : Chunk
        The histories.
    horizon : float
        In units of T.
    upper_tails : ndarray, shape (K,)
        1 - probability, for each quantile: the least n with P(count > n) <= that.
    most : int
        Greatest number that is looked for step by step.
    out : ndarray, shape (K, H)
        Is filled; NaN where that is not enough.
    """
    S = chunk.a.size
    table, rows, last = np.empty((16, S)), 0, -1
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    for h in range(chunk.x_of.size):
        pair = chunk.pair_of[h]
        if pair != last:
            last, k = pair, chunk.x_of_pair[pair]
            enter_age(chunk, pair, horizon, log_age, ratio)
            table, rows = living_table(
                chunk.power[k], ratio, chunk.a, chunk.stays[k], upper_tails.min(), most, table
            )
        if rows < 0:
            out[:, h] = np.nan
            continue
        enter_alive(chunk, h, log_age, alive)
        for j in range(upper_tails.size):
            out[j, h] = first_at_most(alive, table, rows, upper_tails[j])


@compiled
def count_survival(chunk: Chunk, horizon: float, least: float) -> tuple[FloatArray, IntArray, bool]:
    """P(count >= n) of every history, n = 1, 2, ... until it is at most ``least``.

    Returns
    -------
    values : ndarray
        Of all histories, one after the other; the last one of each is at most least.
    length : ndarray of int, shape (H,)
        How many each has.
    complete : bool
        Whether the tables were long enough.
    """
    S, H = chunk.a.size, chunk.x_of.size
    table, rows, last = np.empty((64, S)), 0, -1
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    values, filled = np.empty(64 * H), 0
    length = np.zeros(H, dtype=np.int64)
    for h in range(H):
        pair = chunk.pair_of[h]
        if pair != last:
            last, k = pair, chunk.x_of_pair[pair]
            enter_age(chunk, pair, horizon, log_age, ratio)
            table, rows = living_table(
                chunk.power[k], ratio, chunk.a, chunk.stays[k], least, MOST_COUNTS, table
            )
            if rows < 0:
                return values, length, False
        enter_alive(chunk, h, log_age, alive)
        if filled + rows > values.size:
            more = np.empty(2 * values.size + rows)
            more[:filled] = values[:filled]
            values = more
        length[h] = first_at_most(alive, table, rows, least) + 1
        for n in range(length[h]):
            values[filled] = mean_product(alive, table[n])
            filled += 1
    return values[:filled], length, True


def quantile_by_bisection(
    alive: FloatArray, living: tuple[FloatArray, ...], horizon: float, upper_tail: float
) -> float:
    """Least n with P(count > n) <= upper_tail, however great, of one history.

    Parameters
    ----------
    alive : ndarray, shape (S,)
        P(alive) by draw.
    living : tuple of ndarray, each of shape (S,)
        R, A, a, B.
    horizon, upper_tail : float
    """
    R, A, a, B = living

    def above(n: float) -> float:
        return float(np.mean(alive * count_sf_if_alive(n, R, A, a, B, horizon)))

    low, high = -1.0, 1.0  # more than low, at most high
    while above(high) > upper_tail:
        low, high = high, 2.0 * high
    while high - low > 1.0:
        middle = np.floor((low + high) / 2.0)
        low, high = (low, middle) if above(middle) <= upper_tail else (middle, high)
    return float(high)
