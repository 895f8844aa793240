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
from clvmodels.forecast.mixing import alive_of, mean_product, mixed
from clvmodels.forecast.tails import tail_quantile
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
_SLACK: Final = 0.2  # of guesses, in standard deviations


class Ask(NamedTuple):
    """What is wanted of every row.

    Attributes
    ----------
    want : int
        `TOTALS`, `CLV_INTERVAL` or `ALL_INTERVALS`.
    ranks, shares : ndarray, shape (2,)
        Places of the lower and the upper end; see `clvmodels.forecast.tails.Tail`.
    money : bool
        Whether there are columns of spend and value; they are left as they are if not.
    again : bool
        Whether intervals in which the horizon makes no difference are known already; they
        are left as they are then.
    """

    want: int
    ranks: IntArray
    shares: FloatArray
    money: bool
    again: bool = False


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
    purchases, discounted : ndarray, shape (nodes, K S)
        Of the living, the phases one after the other.
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
    blend: FloatArray


@compiled_sum
def _mean(values: FloatArray) -> float:
    total = 0.0
    for d in range(values.size):
        total += values[d]
    return total / values.size


@compiled_sum
def _variance(values: FloatArray, mean: float) -> float:
    total = 0.0
    for d in range(values.size):
        total += (values[d] - mean) * (values[d] - mean)
    return total / values.size


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
        means[0] += _mean(weights[j, h])
        means[1] += mean_product(weights[j, h], buys[j])
        means[2] += mean_product(weights[j, h], living[j])
        _times(weights[j, h], living_later[j], j == 0, later)
    means[3] = _mean(later)


@compiled_sum
def _blend(weights: FloatArray, nodes: FloatArray, out: FloatArray) -> None:
    """Sum of the nodes' rows by their weights, of which there are four at least."""
    # Four rows at a time: out goes to memory and back a quarter as often
    odd = weights.size % 4
    out[:] = 0.0
    for k in range(odd):
        for d in range(out.size):
            out[d] += weights[k] * nodes[k, d]
    for k in range(odd, weights.size, 4):
        one, two, three, four = nodes[k], nodes[k + 1], nodes[k + 2], nodes[k + 3]
        w1, w2, w3, w4 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for d in range(out.size):
            out[d] += w1 * one[d] + w2 * two[d] + w3 * three[d] + w4 * four[d]


@compiled_sum
def _worth(
    purchases: FloatArray, intercept: FloatArray, slope: FloatArray, m: float, out: FloatArray
) -> None:
    for d in range(out.size):
        out[d] = purchases[d] * (intercept[d] + slope[d] * m)


@compiled_sum
def _line(intercept: FloatArray, slope: FloatArray, m: float, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] = intercept[d] + slope[d] * m


@compiled_sum
def _add_worth(
    purchases: FloatArray,
    intercept: FloatArray,
    slope: FloatArray,
    customers: float,
    total: float,
    out: FloatArray,
) -> None:
    """Add the value of customers who share a history; total is the sum of their m_bar."""
    for d in range(out.size):
        out[d] += purchases[d] * (customers * intercept[d] + total * slope[d])


@compiled_sum
def _spend_moments(intercept: FloatArray, slope: FloatArray, out: FloatArray) -> None:
    """Fill out with mean intercept and slope, centre, least variance, variance of the slope.

    The variance of intercept + slope m over draws is written around the m at which it is
    least, since intercept and slope cancel near it.
    """
    n = intercept.size
    mean_i, mean_s = _mean(intercept), _mean(slope)
    covariance = 0.0
    for d in range(n):
        covariance += (intercept[d] - mean_i) * (slope[d] - mean_s)
    variance_s = _variance(slope, mean_s)
    centre = -covariance / n / variance_s if variance_s > 0.0 else 0.0
    least = 0.0
    for d in range(n):
        rest = (intercept[d] - mean_i) + (slope[d] - mean_s) * centre
        least += rest * rest
    out[0], out[1], out[2], out[3], out[4] = mean_i, mean_s, centre, least / n, variance_s


@compiled
def _ends(
    values: FloatArray, mean: float, sd: float, ask: Ask, scores: FloatArray, work: FloatArray
) -> tuple[float, float]:
    """Both ends of the interval; scores are the standardised guesses, kept up to date."""
    low, at = tail_quantile(values, 1.0, ask.ranks[0], ask.shares[0], mean + sd * scores[0], work)
    if sd > 0.0:
        scores[0] = (at - mean) / sd + _SLACK
    high, at = tail_quantile(
        values, -1.0, ask.ranks[1], ask.shares[1], -mean + sd * scores[1], work
    )
    if sd > 0.0:
        scores[1] = (at + mean) / sd + _SLACK
    return low, -high


@compiled
def _enter_key(key: int, tables: Tables, living: FloatArray, later: FloatArray) -> None:
    """Fill what the living of this (x, T) buy, discounted or not."""
    n, count = tables.first_node[key], tables.node_count[key]
    if count == 1:
        living[:], later[:] = tables.purchases[n], tables.discounted[n]
    else:
        weights = tables.blend[key, :count]
        _blend(weights, tables.purchases[n : n + count], living)
        _blend(weights, tables.discounted[n : n + count], later)


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
    out[:4, first] = means
    if ask.want < 2:
        return
    if not ask.again:
        alive = alive_of(weights, h)
        sd = math.sqrt(_variance(alive, out[0, first]))
        out[9, first], out[10, first] = _ends(alive, out[0, first], sd, ask, scores[1], work[0])
    mixed(weights, h, living, work[1])
    sd = math.sqrt(_variance(work[1], out[2, first]))
    out[11, first], out[12, first] = _ends(work[1], out[2, first], sd, ask, scores[2], work[0])


@compiled
def _row_columns(
    i: int,
    m: float,
    later: FloatArray,
    moments: tuple[float, float],
    intercept: FloatArray,
    slope: FloatArray,
    spend: FloatArray,
    ask: Ask,
    scores: FloatArray,
    work: FloatArray,
    out: FloatArray,
) -> None:
    """Columns of spend and value of one row; moments are those of later."""
    mean, variance = moments
    mean_spend = spend[0] + spend[1] * m
    variance_spend = spend[3] + spend[4] * (m - spend[2]) * (m - spend[2])
    # Of a product of independent quantities, as product_moments has it.
    sd = math.sqrt(
        variance * mean_spend * mean_spend
        + variance_spend * mean * mean
        + variance * variance_spend
    )
    out[4, i], out[5, i], out[6, i] = mean_spend, mean * mean_spend, sd
    if ask.want > 0:
        _worth(later, intercept, slope, m, work[1])
        out[7, i], out[8, i] = _ends(work[1], out[5, i], sd, ask, scores[0], work[0])
    if ask.want == 2 and not ask.again:
        _line(intercept, slope, m, work[1])
        sd = math.sqrt(variance_spend)
        out[13, i], out[14, i] = _ends(work[1], mean_spend, sd, ask, scores[3], work[0])


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
    living, living_later = np.empty((K, S)), np.empty((K, S))
    key_of, m_bar, last_key, last_x = customers.key_of, customers.m_bar, -1, -1
    for i in range(weights.shape[1]):
        h = begin + i
        k, key = tables.x_of[h], key_of[h]
        intercept, slope = tables.intercept[k], tables.slope[k]
        if k != last_x:
            _spend_moments(intercept, slope, spend)
            last_x = k
        if key != last_key:
            _enter_key(key, tables, living.reshape(K * S), living_later.reshape(K * S))
            last_key = key
        chances = buys[key - key_of[begin]]
        _enter_means(weights, i, chances, living, living_later, later, means)
        moments = (means[3], _variance(later, means[3]))
        start, end = customers.start[h], customers.start[h + 1]
        first, total = customers.rows[start], 0.0
        _history_columns(first, weights, i, living, means, ask, scores, work, out)
        for j in range(start, end):
            row = customers.rows[j]
            total += m_bar[row]
            # Spend does not tell these apart either
            if row != first and (customers.x[h] + customers.counted == 0.0 or not ask.money):
                out[:, row] = out[:, first]
                continue
            if row != first:
                out[:4, row] = out[:4, first]
                out[9:13, row] = out[9:13, first]
            if ask.money:
                m = m_bar[row]
                _row_columns(
                    row, m, later, moments, intercept, slope, spend, ask, scores, work, out
                )
        if not ask.money:
            mixed(weights, i, living, later)
        _add_worth(later, intercept, slope, float(end - start), total, by_draw)
