"""Numbers of purchases that histories lead to, mixed over the draws.

A table P(count >= n | alive) by draw serves all histories of one (x, T); each of them
mixes it with its own weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Chunk, Tile
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.mixing import mean_product, mixed_mean, weights_of
from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

MOST_COUNTS: Final = 50_000  # rows of a table, which has 8 bytes for each and draw


class Counted(NamedTuple):
    """A tile of histories, with the tables of their (x, T).

    Attributes
    ----------
    tile : Tile
    key_of : ndarray of int, shape (n,)
        Position of each history's table.
    table : ndarray, shape (rows, K S)
        P(count >= n | alive), one table after the other.
    start : ndarray of int
        Where each table begins; it has no rows where there would be too many.
    """

    tile: Tile
    key_of: IntArray
    table: FloatArray
    start: IntArray


def counted(chunk: Chunk, least: float, most: int) -> Iterator[Counted]:
    """Yield all histories of a chunk in order, with their tables.

    Parameters
    ----------
    chunk : Chunk
        The histories.
    least : float
        Tables end where P(count >= n) is at most this.
    most : int
        Rows of a table at most.
    """
    key_of, key = chunk.customers.key_of, 0
    while key < len(chunk.x):
        table, start = chunk.living.survival(key, least, most)
        after = key + len(start) - 1
        begin, end = (int(h) for h in np.searchsorted(key_of, (key, after)))
        table = table.reshape(start[-1], chunk.phases * chunk.draws)
        for tile in chunk.tiles(begin, end):
            yield Counted(tile, key_of[tile.begin : tile.end] - key, table, start)
        key = after


@compiled
def _first_at_most(weights: FloatArray, K: int, table: FloatArray, limit: float) -> int:
    """Least n with P(count >= n + 1) <= limit, the last row's at the latest."""
    low, high = 0, len(table) - 1
    while low < high:
        middle = (low + high) // 2
        if K * mean_product(weights, table[middle]) <= limit:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _quantiles(
    key_of: IntArray,
    table: FloatArray,
    start: IntArray,
    weights: FloatArray,
    upper_tails: FloatArray,
    out: FloatArray,
) -> None:
    K = weights.shape[0]
    for h in range(key_of.size):
        rows = table[start[key_of[h]] : start[key_of[h] + 1]]
        if not len(rows):
            out[:, h] = np.nan
            continue
        whose = weights_of(weights, h)
        for j in range(upper_tails.size):
            out[j, h] = _first_at_most(whose, K, rows, upper_tails[j])


def count_quantiles(chunk: Chunk, upper_tails: FloatArray, most: int) -> FloatArray:
    """Quantiles of the number of purchases of every history.

    Parameters
    ----------
    chunk : Chunk
        The histories.
    upper_tails : ndarray, shape (Q,)
        1 - probability, for each quantile: the least n with P(count > n) <= that.
    most : int
        Greatest number that is looked for step by step.

    Returns
    -------
    ndarray, shape (Q, H)
        NaN where that is not enough.
    """
    out = np.empty((len(upper_tails), len(chunk.customers.x)))
    for tile, key_of, table, start in counted(chunk, float(upper_tails.min()), most):
        part = out[:, tile.begin : tile.end]
        _quantiles(key_of, table, start, tile.weights, upper_tails, part)
    return out


@compiled
def _survival(
    key_of: IntArray,
    table: FloatArray,
    start: IntArray,
    weights: FloatArray,
    least: float,
    length: IntArray,
) -> FloatArray:
    """P(count >= n) of some histories, one after the other; fill how many each has."""
    K, most, filled = weights.shape[0], 0, 0
    for h in range(key_of.size):
        most += start[key_of[h] + 1] - start[key_of[h]]
    values = np.empty(most)
    for h in range(key_of.size):
        rows, whose = table[start[key_of[h]] : start[key_of[h] + 1]], weights_of(weights, h)
        length[h] = _first_at_most(whose, K, rows, least) + 1
        for n in range(length[h]):
            values[filled] = K * mean_product(whose, rows[n])
            filled += 1
    return values[:filled].copy()


@compiled
def _moments(table: FloatArray, start: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and mean square of the living's counts, each of shape (keys, K S)."""
    shape = start.size - 1, table.shape[1]
    first, second = np.zeros(shape), np.zeros(shape)
    for key in range(start.size - 1):
        for i in range(start[key + 1] - 1, start[key] - 1, -1):  # the small ones first
            odd = 2.0 * (i - start[key]) + 1.0
            for d in range(table.shape[1]):
                first[key, d] += table[i, d]
                second[key, d] += odd * table[i, d]
    return first, second


@compiled
def _add_moments(
    key_of: IntArray,
    weights: FloatArray,
    first: FloatArray,
    second: FloatArray,
    customers: IntArray,
    out: FloatArray,
) -> None:
    """Add mean and variance of the customers of some histories, draw by draw."""
    K, S = weights.shape[0], weights.shape[2]
    for h in range(key_of.size):
        one, two = first[key_of[h]], second[key_of[h]]
        for d in range(S):
            mean, square = 0.0, 0.0
            for j in range(K):
                mean += weights[j, h, d] * one[j * S + d]
                square += weights[j, h, d] * two[j * S + d]
            out[0, d] += customers[h] * mean
            out[1, d] += customers[h] * (square - mean * mean)


def count_survival(
    chunk: Chunk, least: float, totals: FloatArray | None = None
) -> tuple[FloatArray, IntArray, bool]:
    """P(count >= n) of every history, n = 1, 2, ... until it is at most ``least``.

    Parameters
    ----------
    chunk : Chunk
        The histories.
    least : float
        Greater than 0.
    totals : ndarray, shape (2, S), optional
        Mean and variance, given each draw, of all customers' purchases together are added.

    Returns
    -------
    values : ndarray
        Of all histories, one after the other; the last one of each is at most least.
    length : ndarray of int, shape (H,)
        How many each has.
    complete : bool
        Whether the tables were long enough.
    """
    length = np.zeros(len(chunk.customers.x), dtype=np.int64)
    customers, last, moments = np.diff(chunk.customers.start), None, None
    parts = [np.empty(0)]
    for tile, key_of, table, start in counted(chunk, least, MOST_COUNTS):
        if (np.diff(start) == 0).any():
            return np.concatenate(parts), length, False
        part = length[tile.begin : tile.end]
        if totals is not None:
            if moments is None or table is not last:  # the next keys
                last, moments = table, _moments(table, start)
            mine = customers[tile.begin : tile.end]
            _add_moments(key_of, tile.weights, *moments, mine, totals)
        parts.append(_survival(key_of, table, start, tile.weights, least, part))
    return np.concatenate(parts), length, True


def quantile_by_bisection(chunk: Chunk, h: int, upper_tail: float) -> float:
    """Least n with P(count > n) <= upper_tail, however great, of one history."""
    (tile,), key = chunk.tiles(h, h + 1), int(chunk.customers.key_of[h])

    def above(n: float) -> float:
        return mixed_mean(tile.weights, 0, chunk.living.exceeds(key, n))

    low, high = -1.0, 1.0  # more than low, at most high
    while above(high) > upper_tail:
        low, high = high, 2.0 * high
    while high - low > 1.0:
        middle = float(np.floor((low + high) / 2.0))
        low, high = (low, middle) if above(middle) <= upper_tail else (middle, high)
    return high


# --- of distributions, P(count >= n) for n = 1, 2, ..., one after the other ---


@compiled
def quantiles_of_counts(survival: FloatArray, start: IntArray, tails: FloatArray) -> FloatArray:
    """Least n with P(count >= n + 1) <= tail, for every tail and history, shape (K, H)."""
    out = np.empty((tails.size, start.size - 1))
    for h in range(start.size - 1):
        for j in range(tails.size):
            low, high = start[h], start[h + 1]
            while low < high:
                middle = (low + high) // 2
                if survival[middle] <= tails[j]:
                    high = middle
                else:
                    low = middle + 1
            out[j, h] = low - start[h]
    return out


@compiled
def moments_of_counts(survival: FloatArray, start: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of every history: sums of P(count >= n) and (2n - 1) P(count >= n)."""
    mean, variance = np.empty(start.size - 1), np.empty(start.size - 1)
    for h in range(start.size - 1):
        first, second = 0.0, 0.0
        for i in range(start[h + 1] - 1, start[h] - 1, -1):  # the small ones first
            first += survival[i]
            second += (2.0 * (i - start[h]) + 1.0) * survival[i]
        mean[h], variance[h] = first, second - first * first
    return mean, variance


@compiled
def crps_of_counts(
    survival: FloatArray, start: IntArray, history: IntArray, y: FloatArray
) -> FloatArray:
    """Sum over n of (P(count <= n) - [y <= n])^2, of every row."""
    out = np.empty(y.size)
    for i in range(y.size):
        begin, end = start[history[i]], start[history[i] + 1]
        total = max(y[i] - (end - begin), 0.0)
        for n in range(end - begin):
            above = survival[begin + n]  # P(count > n)
            gap = above if n >= y[i] else 1.0 - above
            total += gap * gap
        out[i] = total
    return out
