"""Discounted value that customers will actually bring: weighted paths per history.

A customer is worth 0 if dead or without a purchase, and that probability is known
exactly. So all paths are simulated *given* a purchase by a living customer, once for
all histories of one (x, T), and each history weights them with its own P(alive) by draw:
no path is wasted on nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Chunk, Customers
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.paths import Outcomes, unit_values
from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray


class Paths(NamedTuple):
    """A tile of histories, with the paths of their (x, T).

    Attributes
    ----------
    begin : int
        The first history.
    weights : ndarray, shape (K, n, S)
        P(alive, in phase) of the n histories from there on.
    first : int
        The (x, T) that the others begin with.
    units : ndarray, shape (keys, K, per_draw, S)
        Values of the paths, given a purchase.
    buys : ndarray, shape (keys, K, S)
        P(a purchase | alive).
    """

    begin: int
    weights: FloatArray
    first: int
    units: FloatArray
    buys: FloatArray


def paths_of(chunk: Chunk, outcomes: Outcomes) -> Iterator[Paths]:
    """Yield all histories of a chunk in order, with their paths."""
    for first, units, buys in unit_values(chunk, outcomes):
        keys = (first, first + len(units))
        begin, end = (int(h) for h in np.searchsorted(chunk.customers.key_of, keys))
        for tile in chunk.tiles(begin, end):
            yield Paths(tile.begin, tile.weights, first, units, buys)


@compiled
def _fill_weights(
    weights: FloatArray, h: int, buys: FloatArray, per_draw: int, out: FloatArray
) -> float:
    """Probability of each path of history h, and of a purchase at all."""
    K, S = buys.shape
    total, n = 0.0, 0
    for j in range(K):
        alive, chance = weights[j, h], buys[j]
        for d in range(S):
            share = alive[d] * chance[d] / (per_draw * S)
            total += share
            for i in range(per_draw):
                out[n + i * S + d] = share
        n += per_draw * S
    return total * per_draw


@compiled
def _fill_values(v: FloatArray, spent: float, unit: FloatArray, out: FloatArray) -> None:
    """Values of the paths of a customer who spent x m_bar."""
    n = 0
    for k in range(unit.shape[0]):
        for j in range(unit.shape[1]):
            for d in range(v.size):
                out[n] = (v[d] + spent) * unit[k, j, d]
                n += 1


@compiled
def _partition(
    value: FloatArray, weight: FloatArray, low: int, high: int, pivot: float
) -> tuple[int, int]:
    """Bring the greater values of low..high first: up to j >= pivot, from i on <= pivot."""
    i, j = low, high
    while i <= j:
        while value[i] > pivot:
            i += 1
        while value[j] < pivot:
            j -= 1
        if i <= j:
            value[i], value[j] = value[j], value[i]
            weight[i], weight[j] = weight[j], weight[i]
            i += 1
            j -= 1
    return i, j


@compiled
def upper_quantile(value: FloatArray, weight: FloatArray, tail: float) -> float:
    """Least value with at most ``tail`` of the weight above it.

    Both arrays are reordered, together.
    """
    low, high, above = 0, value.size - 1, 0.0
    while low < high:
        pivot = value[(low + high) // 2]
        i, j = _partition(value, weight, low, high, pivot)
        greater = above
        for m in range(low, j + 1):
            greater += weight[m]
        if greater > tail:
            high = j
            continue
        above = greater
        for m in range(j + 1, i):
            above += weight[m]
        if above > tail:
            return float(pivot)
        low = i
    return float(value[low])


@compiled
def _customer_quantiles(
    i: int, some: float, value: FloatArray, weight: FloatArray, tails: FloatArray, out: FloatArray
) -> None:
    for j in range(tails.size):
        out[j, i] = 0.0 if some <= tails[j] else upper_quantile(value, weight, tails[j])


@compiled
def _quantiles(
    customers: Customers, paths: Paths, outcomes: Outcomes, tails: FloatArray, out: FloatArray
) -> None:
    size = paths.units[0].size
    weight, value, work = np.empty(size), np.empty(size), np.empty(size)
    least = 1.0
    for tail in tails:
        least = min(least, tail)
    for j in range(paths.weights.shape[1]):
        h = paths.begin + j
        x, key = customers.x[h] + customers.counted, customers.key_of[h] - paths.first
        v = customers.scale[customers.scale_of[h]]
        some = _fill_weights(paths.weights, j, paths.buys[key], outcomes.per_draw, weight)
        first = customers.rows[customers.start[h]]
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            if i != first and (x == 0.0 or some <= least):
                for column in range(len(out)):
                    out[column, i] = out[column, first]
                continue
            if some > least:
                _fill_values(v, x * customers.m_bar[i], paths.units[key], value)
                for n in range(size):
                    work[n] = weight[n]
            _customer_quantiles(i, some, value, work, tails, out)


def value_quantiles(chunk: Chunk, outcomes: Outcomes, tails: FloatArray, out: FloatArray) -> None:
    """Quantiles of the value of every customer.

    Parameters
    ----------
    chunk, outcomes
        Who, and what is simulated.
    tails : ndarray, shape (Q,)
        1 - probability, for each quantile: the least value that no more exceeds.
    out : ndarray, shape (Q, N)
        Is filled in the rows of these histories.
    """
    for paths in paths_of(chunk, outcomes):
        _quantiles(chunk.customers, paths, outcomes, tails, out)


@compiled
def _squared_gap(low: float, high: float, y: float, F: float) -> float:
    """Integral of (F - [z >= y])^2 for z from low to high."""
    return max(min(high, y) - low, 0.0) * F * F + max(high - max(low, y), 0.0) * (1.0 - F) ** 2


@compiled
def _score(
    value: FloatArray, weight: FloatArray, order: IntArray, some: float, y: float
) -> tuple[float, float, float]:
    """CRPS of y, P(value < y) and P(value = y) of the weighted paths, given their order."""
    F, before, crps = 1.0 - some, 0.0, 0.0
    below = 1.0 - some if y > 0.0 else 0.0
    equal = 0.0 if y > 0.0 else 1.0 - some
    for i in order:
        crps += _squared_gap(before, value[i], y, F)
        if value[i] < y:
            below += weight[i]
        elif value[i] == y:
            equal += weight[i]
        before = value[i]
        F += weight[i]
    return crps + _squared_gap(before, max(before, y), y, 1.0), below, equal


@compiled
def _quantile_in_order(
    value: FloatArray, weight: FloatArray, order: IntArray, tail: float
) -> float:
    """`upper_quantile` of what is in order already."""
    above = 0.0
    for i in order[::-1]:
        above += weight[i]
        if above > tail:
            return float(value[i])
    return float(value[order[0]])


@compiled
def _scores(
    customers: Customers,
    paths: Paths,
    outcomes: Outcomes,
    y: FloatArray,
    tails: FloatArray,
    out: FloatArray,
) -> None:
    size = paths.units[0].size
    weight, value, order = np.empty(size), np.empty(size), np.empty(size, dtype=np.int64)
    for j in range(paths.weights.shape[1]):
        h = paths.begin + j
        x, key = customers.x[h] + customers.counted, customers.key_of[h] - paths.first
        v = customers.scale[customers.scale_of[h]]
        some = _fill_weights(paths.weights, j, paths.buys[key], outcomes.per_draw, weight)
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            # Who spent alike has the same values: above all, those who bought once.
            if r == customers.start[h] or x > 0.0:
                _fill_values(v, x * customers.m_bar[i], paths.units[key], value)
                order = np.argsort(value)
            out[0, i], out[1, i], out[2, i] = _score(value, weight, order, some, y[i])
            for q in range(tails.size):
                none = some <= tails[q]
                found = 0.0 if none else _quantile_in_order(value, weight, order, tails[q])
                out[3 + q, i] = found


def value_scores(
    chunk: Chunk, outcomes: Outcomes, y: FloatArray, tails: FloatArray, out: FloatArray
) -> None:
    """How what happened lies in every customer's distribution, and quantiles of that.

    Parameters
    ----------
    chunk, outcomes
        Who, and what is simulated.
    y : ndarray, shape (N,)
        Values that came about, without margin.
    tails : ndarray, shape (Q,)
        As in `value_quantiles`, which is quicker where no scores are wanted.
    out : ndarray, shape (3 + Q, N)
        CRPS, P(value < y) and P(value = y), then the quantiles, are filled in the rows of
        these histories.
    """
    for paths in paths_of(chunk, outcomes):
        _scores(chunk.customers, paths, outcomes, y, tails, out)
