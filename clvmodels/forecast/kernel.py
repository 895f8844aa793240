"""The loop over histories, their customers, and the draws.

The columns of the output, in this order: p_alive, p_purchase, expected_purchases,
discounted_purchases, expected_spend, clv, clv_sd, then lower and upper end of clv,
p_alive, expected_purchases and expected_spend. Money is without margin.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Customers
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.mixing import alive_of, mean_of, mean_product, mixed, variance_of
from clvmodels.forecast.worth import (
    Ask,
    add_own,
    add_worth,
    ends_of,
    enter_serving,
    own_columns,
    row_columns,
    spend_moments,
)
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.schema import FloatArray

TOTALS: Final = 0  # how much is asked for: no interval at all,
CLV_INTERVAL: Final = 1  # that of clv,
ALL_INTERVALS: Final = 2  # or every one.
COLUMNS: Final = (
    "p_alive",
    "p_purchase",
    "expected_purchases",
    "discounted_purchases",
    "expected_spend",
    "clv",
    "clv_sd",
    "clv_lower",
    "clv_upper",
    "p_alive_lower",
    "p_alive_upper",
    "expected_purchases_lower",
    "expected_purchases_upper",
    "expected_spend_lower",
    "expected_spend_upper",
)
WIDTH: Final = (7, 9, 15)


class Tables(NamedTuple):
    """Numbers by draw that histories of a chunk share.

    Attributes
    ----------
    x_of : ndarray of int, shape (H,)
        Position of each history's x among the distinct ones.
    intercept, slope : ndarray, shape (X, S)
        Of the expected spend of each x.
    first_node, node_count : ndarray of int, shape (P,)
        Rows of purchases and discounted that are blended for each (x, T); a single one is
        taken as it is.
    purchases, discounted, alive : ndarray, shape (nodes, K S)
        Of the living, the phases one after the other: purchases, those discounted, and
        discounted time alive, without rows where nothing is paid for that.
    share : ndarray, shape (N,)
        Margin of all rows of the table; none where all have one.
    blend : ndarray, shape (P, nodes)
        Weights of the nodes of each (x, T).
    """

    x_of: IntArray
    intercept: FloatArray
    slope: FloatArray
    first_node: IntArray
    node_count: IntArray
    purchases: FloatArray
    discounted: FloatArray
    alive: FloatArray
    share: FloatArray
    blend: FloatArray


@compiled_sum
def _times(weights: FloatArray, values: FloatArray, first: bool, out: FloatArray) -> None:
    """Fill ``out`` with the products, or add them to it."""
    for d in range(out.size):
        value = weights[d] * values[d]
        out[d] = value if first else out[d] + value


@compiled
def _enter_means(
    weights: FloatArray,
    h: int,
    buys: FloatArray,
    living: FloatArray,
    living_later: FloatArray,
    later: FloatArray,
    means: FloatArray,
) -> None:
    """Fill the means of the first four columns, and discounted purchases by draw."""
    means[:] = 0.0
    for j in range(weights.shape[0]):
        # A loop for each sum, all alike: where all who are alive will buy, the chances are
        # equal, which they are not to the last bit as two sums of one loop; and of a loop that
        # does more, code that was just compiled and code from the cache summed otherwise.
        means[0] += mean_of(weights[j, h])
        means[1] += mean_product(weights[j, h], buys[j])
        means[2] += mean_product(weights[j, h], living[j])
        _times(weights[j, h], living_later[j], j == 0, later)
    means[3] = mean_of(later)


@compiled_sum
def _blend(
    weights: FloatArray, others: FloatArray, nodes: FloatArray, out: FloatArray, other: FloatArray
) -> None:
    """Two sums of the nodes' rows by weights of each, of which there are three at least."""
    # Three rows at a time, for two sums: rows come from far, and sums go there and back
    odd = weights.size % 3
    out[:] = 0.0
    other[:] = 0.0
    for k in range(odd):
        for d in range(out.size):
            out[d] += weights[k] * nodes[k, d]
            other[d] += others[k] * nodes[k, d]
    for k in range(odd, weights.size, 3):
        one, two, three = nodes[k], nodes[k + 1], nodes[k + 2]
        v1, v2, v3 = weights[k], weights[k + 1], weights[k + 2]
        w1, w2, w3 = others[k], others[k + 1], others[k + 2]
        for d in range(out.size):
            out[d] += v1 * one[d] + v2 * two[d] + v3 * three[d]
            other[d] += w1 * one[d] + w2 * two[d] + w3 * three[d]


@compiled
def _copy(values: FloatArray, out: FloatArray) -> None:
    """Fill ``out``: to assign a slice would compile the texts of the error that shapes differ."""
    for d in range(out.size):
        out[d] = values[d]


@compiled
def _repeat(first: int, row: int, begin: int, end: int, out: FloatArray) -> None:
    """Copy some columns of one row to another."""
    for column in range(begin, end):
        out[column, row] = out[column, first]


@compiled
def _enter_node(key: int, other: int, tables: Tables, nodes: FloatArray, out: FloatArray) -> None:
    """Fill what the living of two (x, T) do, of what is known at nodes that they share."""
    n, count = tables.first_node[key], tables.node_count[key]
    if count == 1:
        _copy(nodes[n], out[0])
    else:
        weights, others = tables.blend[key, :count], tables.blend[other, :count]
        _blend(weights, others, nodes[n : n + count], out[0], out[1])


@compiled
def _enter_nodes(
    key: int,
    last: int,
    tables: Tables,
    active: float,
    living: FloatArray,
    later: FloatArray,
    alive: FloatArray,
) -> int:
    """The same of purchases, those discounted, and time alive; return the last key that is there.

    Two of the same nodes take two thirds of the time of one after the other; the sums of each
    are the same, whichever it is with.
    """
    first, count = tables.first_node, tables.node_count
    other = key
    if key < last and count[key] > 1 and first[key + 1] == first[key]:
        other = key + 1
    _enter_node(key, other, tables, tables.purchases, living)
    _enter_node(key, other, tables, tables.discounted, later)
    if active > 0.0:
        _enter_node(key, other, tables, tables.alive, alive)
    return other


@compiled
def _history_columns(
    first: int,
    weights: FloatArray,
    h: int,
    living: FloatArray,
    means: FloatArray,
    ask: Ask,
    scores: FloatArray,
    work: FloatArray,
    out: FloatArray,
) -> None:
    """Columns that do not depend on spend, for one row of the history."""
    _copy(means, out[:4, first])
    if ask.want < 2:
        return
    if not ask.again:
        alive = alive_of(weights, h)
        sd = math.sqrt(variance_of(alive, out[0, first]))
        out[9, first], out[10, first] = ends_of(alive, out[0, first], sd, ask, scores[1], work[0])
    mixed(weights, h, living, work[1])
    sd = math.sqrt(variance_of(work[1], out[2, first]))
    out[11, first], out[12, first] = ends_of(work[1], out[2, first], sd, ask, scores[2], work[0])


@compiled
def score_tile(
    ask: Ask,
    customers: Customers,
    tables: Tables,
    begin: int,
    weights: FloatArray,
    buys: FloatArray,
    scores: FloatArray,
    out: FloatArray,
    by_draw: FloatArray,
) -> None:
    """Fill the columns of all rows of some histories, which come ordered by x and T.

    Parameters
    ----------
    ask, customers, tables
        What is wanted, of whom, and the numbers that they share.
    begin : int
        The first history.
    weights : ndarray, shape (K, n, S)
        P(alive, in phase) of the n histories from there on.
    buys : ndarray, shape (keys, K, S)
        P(a purchase | alive) of their (x, T).
    scores : ndarray, shape (4, 2)
        Guesses of quantiles, standardised, which are kept from tile to tile.
    out : ndarray, shape (columns, N)
        Is filled in the rows of these histories.
    by_draw : ndarray, shape (S,)
        Gets the value of these rows together added, or their purchases where there is no
        money.
    """
    K, S = weights.shape[0], by_draw.size
    later, spend, work, means = np.empty(S), np.empty(5), np.empty((2, S)), np.empty(4)
    livings, laters, alives = np.empty((2, K * S)), np.empty((2, K * S)), np.empty((2, K * S))
    living, living_later = livings[0].reshape(K, S), laters[0].reshape(K, S)
    alive, there, last = alives[0].reshape(K, S), -1, customers.key_of[begin + weights.shape[1] - 1]
    serving, of_serving = np.zeros(S), (0.0, 0.0, 0.0)
    key_of, m_bar, last_key, last_x = customers.key_of, customers.m_bar, -1, -1
    for i in range(weights.shape[1]):
        h = begin + i
        k, key = tables.x_of[h], key_of[h]
        intercept, slope = tables.intercept[k], tables.slope[k]
        if k != last_x:
            spend_moments(intercept, slope, spend)
            last_x = k
        if key != last_key:
            slot = 1  # of two, the second is there already
            if key > there:
                there = _enter_nodes(key, last, tables, ask.active, livings, laters, alives)
                slot = 0
            living, living_later = livings[slot].reshape(K, S), laters[slot].reshape(K, S)
            alive, last_key = alives[slot].reshape(K, S), key
        chances = buys[key - key_of[begin]]
        _enter_means(weights, i, chances, living, living_later, later, means)
        moments = (means[3], variance_of(later, means[3]))
        if ask.own:
            of_serving = enter_serving(weights, i, ask.active, alive, later, means[3], serving)
        start, end = customers.start[h], customers.start[h + 1]
        first, total, shares, spent = customers.rows[start], 0.0, 0.0, 0.0
        _history_columns(first, weights, i, living, means, ask, scores, work, out)
        for j in range(start, end):
            row = customers.rows[j]
            total += m_bar[row]
            # Spend does not tell these apart either
            alike = customers.x[h] + customers.counted == 0.0 and not ask.own
            if row != first and (alike or not ask.money):
                _repeat(first, row, 0, len(out), out)
                continue
            if row != first:
                _repeat(first, row, 0, 4, out)
                _repeat(first, row, 9, min(13, len(out)), out)
            if ask.money:
                m = m_bar[row]
                row_columns(row, m, later, moments, intercept, slope, spend, ask, scores, work, out)
            if ask.own:
                share, m = tables.share[row], m_bar[row]
                shares, spent = shares + share, spent + share * m
                own_columns(
                    row, m, later, moments, serving, of_serving, intercept, slope, spend, share,
                    ask, scores, work, out,
                )  # fmt: skip
        if not ask.money:
            mixed(weights, i, living, later)
        if not ask.own:
            add_worth(later, intercept, slope, float(end - start), total, by_draw)
        elif spend[0] != 0.0 or spend[1] != 0.0:  # else it is infinite, and they are left out
            sums = (float(end - start), shares, spent)
            add_own(later, intercept, slope, sums, ask.order, serving, by_draw)
