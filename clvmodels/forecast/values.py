"""Discounted value that customers will actually bring: weighted paths per history.

A customer is worth 0 if dead or without a purchase, and that probability is known
exactly. So all paths are simulated *given* a purchase by a living customer, once for
all histories of one (x, T), and each history weights them with its own P(alive) by draw:
no path is wasted on nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.counts import enter_age, enter_alive
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.paths import Outcomes, fill_unit_values
from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray


class Customers(NamedTuple):
    """Rows of the histories of a chunk.

    Attributes
    ----------
    x : ndarray, shape (H,)
    start : ndarray of int, shape (H + 1,)
        History h has rows[start[h] : start[h + 1]].
    rows : ndarray of int
        Positions in the table.
    m_bar : ndarray, shape (N,)
        Mean spend of all rows of the table; 0 at x = 0.
    """

    x: FloatArray
    start: IntArray
    rows: IntArray
    m_bar: FloatArray


@compiled
def _fill_weights(
    alive: FloatArray, power: FloatArray, ratio: FloatArray, weight: FloatArray
) -> float:
    """Probability of each path, and of a purchase at all."""
    paths, total = weight.size, 0.0
    for d in range(alive.size):
        share = alive[d] * -math.expm1(-power[d] * math.log1p(ratio[d])) / paths
        total += share
        for i in range(d, paths, alive.size):
            weight[i] = share
    return total * (paths // alive.size)


@compiled
def _fill_values(v: FloatArray, spent: float, unit: FloatArray, out: FloatArray) -> None:
    """Values of the paths of a customer who spent x m_bar."""
    for j in range(unit.shape[0]):
        for d in range(v.size):
            out[j * v.size + d] = (v[d] + spent) * unit[j, d]


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
def value_quantiles(
    chunk: Chunk, customers: Customers, outcomes: Outcomes, tails: FloatArray, out: FloatArray
) -> None:
    """Quantiles of the value of every customer.

    Parameters
    ----------
    chunk, customers, outcomes
        Who, and what is simulated.
    tails : ndarray, shape (K,)
        1 - probability, for each quantile: the least value that no more exceeds.
    out : ndarray, shape (K, N)
        Is filled in the rows of these histories.
    """
    S = chunk.a.size
    unit = np.empty((outcomes.per_draw, S))
    weight, value, work = np.empty(unit.size), np.empty(unit.size), np.empty(unit.size)
    log_age, ratio, alive, last = np.empty(S), np.empty(S), np.empty(S), -1
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        if pair != last:
            last = pair
            enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
            fill_unit_values(chunk, pair, x, outcomes, unit)
        enter_alive(chunk, h, log_age, alive)
        some = _fill_weights(alive, chunk.power[chunk.x_of[h]], ratio, weight)
        first = customers.rows[customers.start[h]]
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            if i != first and (x == 0.0 or some <= tails.min()):
                out[:, i] = out[:, first]
                continue
            if some > tails.min():
                _fill_values(outcomes.v, x * customers.m_bar[i], unit, value)
                work[:] = weight
            _customer_quantiles(i, some, value, work, tails, out)


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
def value_scores(
    chunk: Chunk, customers: Customers, outcomes: Outcomes, y: FloatArray, out: FloatArray
) -> None:
    """How what happened lies in every customer's distribution.

    Parameters
    ----------
    chunk, customers, outcomes
        Who, and what is simulated.
    y : ndarray, shape (N,)
        Values that came about, without margin.
    out : ndarray, shape (3, N)
        CRPS, P(value < y) and P(value = y) are filled in the rows of these histories.
    """
    S = chunk.a.size
    unit = np.empty((outcomes.per_draw, S))
    weight, value = np.empty(unit.size), np.empty(unit.size)
    order = np.empty(unit.size, dtype=np.int64)
    log_age, ratio, alive, last = np.empty(S), np.empty(S), np.empty(S), -1
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        if pair != last:
            last = pair
            enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
            fill_unit_values(chunk, pair, x, outcomes, unit)
        enter_alive(chunk, h, log_age, alive)
        some = _fill_weights(alive, chunk.power[chunk.x_of[h]], ratio, weight)
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            # Who spent alike has the same values: above all, those who bought once.
            if r == customers.start[h] or x > 0.0:
                _fill_values(outcomes.v, x * customers.m_bar[i], unit, value)
                order = np.argsort(value)
            out[0, i], out[1, i], out[2, i] = _score(value, weight, order, some, y[i])
