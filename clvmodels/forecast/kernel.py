"""The loop over histories, their customers, and the draws.

The columns of the output, in this order: p_alive, p_purchase, expected_purchases,
discounted_purchases, expected_spend, clv, clv_sd, then lower and upper end of clv,
p_alive, expected_purchases and expected_spend. Money is without margin.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.tails import tail_quantile
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.special import exp_negative
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
_SLACK: Final = 0.1  # of guesses, in standard deviations


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
    """

    want: int
    ranks: IntArray
    shares: FloatArray
    money: bool


class Histories(NamedTuple):
    """Histories, ordered by x, T and t_x, and their customers.

    Attributes
    ----------
    x : ndarray of float, shape (H,)
    x_of, pair_of, t_x_of : ndarray of int, shape (H,)
        Positions of x, (x, T) and t_x among the distinct ones of the `Tables`.
    start : ndarray of int, shape (H + 1,)
        History h has rows[start[h] : start[h + 1]].
    rows : ndarray of int
        Positions of customers in the batch.
    """

    x: FloatArray
    x_of: IntArray
    pair_of: IntArray
    t_x_of: IntArray
    start: IntArray
    rows: IntArray


class Tables(NamedTuple):
    """Numbers by draw that histories share.

    Attributes
    ----------
    offset, power, intercept, slope : ndarray, shape (X, S)
        Of each x: of its log odds, and of its expected spend.
    T_of_pair, first_node, node_count : ndarray of int, shape (P,)
        Of each (x, T): its T, and the rows of purchases and discounted that are blended;
        a single one is taken as it is.
    purchases, discounted : ndarray, shape (nodes, S)
        Of the living.
    log_age, growth, weights : ndarray, shape (ages, S), (ages, S), (ages, K)
        Of each T: ln(alpha + T), ln(1 + horizon / (alpha + T)), weights of the nodes.
    log_recency : ndarray, shape (recencies, S)
        ln(alpha + t_x) of each t_x.
    """

    offset: FloatArray
    power: FloatArray
    intercept: FloatArray
    slope: FloatArray
    T_of_pair: IntArray
    first_node: IntArray
    node_count: IntArray
    purchases: FloatArray
    discounted: FloatArray
    log_age: FloatArray
    growth: FloatArray
    weights: FloatArray
    log_recency: FloatArray


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
def mean_product(one: FloatArray, other: FloatArray) -> float:
    """Mean over draws of a product."""
    total = 0.0
    for d in range(one.size):
        total += one[d] * other[d]
    return total / one.size


@compiled_sum
def alive_by_draw(
    offset: FloatArray,
    power: FloatArray,
    log_age: FloatArray,
    log_recency: FloatArray,
    out: FloatArray,
) -> None:
    """P(alive) = 1 / (1 + e^z), z = offset + power (ln(alpha+T) - ln(alpha+t_x))."""
    for d in range(out.size):
        z = offset[d] + power[d] * (log_age[d] - log_recency[d])
        e = exp_negative(-abs(z))
        out[d] = (e if z > 0.0 else 1.0) / (1.0 + e)


@compiled_sum
def _blend(weights: FloatArray, nodes: FloatArray, out: FloatArray) -> None:
    """Sum of the nodes' rows by their weights."""
    out[:] = 0.0
    for k in range(weights.size):
        for d in range(out.size):
            out[d] += weights[k] * nodes[k, d]


@compiled
def _buys(power: FloatArray, growth: FloatArray, out: FloatArray) -> None:
    """P(a purchase | alive) = 1 - (A / (A + horizon))^R, growth = ln(1 + horizon / A)."""
    for d in range(out.size):
        out[d] = -math.expm1(-power[d] * growth[d])


@compiled_sum
def _times(one: FloatArray, other: FloatArray, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] = one[d] * other[d]


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
def _enter_pair(
    pair: int, k: int, tables: Tables, living: FloatArray, later: FloatArray, buys: FloatArray
) -> None:
    """Fill what the living of this (x, T) buy, discounted or not, and whether they do."""
    T, n, count = tables.T_of_pair[pair], tables.first_node[pair], tables.node_count[pair]
    if count == 1:
        living[:], later[:] = tables.purchases[n], tables.discounted[n]
    else:
        _blend(tables.weights[T], tables.purchases[n : n + count], living)
        _blend(tables.weights[T], tables.discounted[n : n + count], later)
    _buys(tables.power[k], tables.growth[T], buys)


@compiled
def _history_columns(
    first: int,
    alive: FloatArray,
    buys: FloatArray,
    living: FloatArray,
    mean_later: float,
    ask: Ask,
    scores: FloatArray,
    work: FloatArray,
    out: FloatArray,
) -> None:
    """Columns that do not depend on spend, for one row of the history."""
    out[0, first] = _mean(alive)
    out[1, first] = mean_product(alive, buys)
    out[2, first] = mean_product(alive, living)
    out[3, first] = mean_later
    if ask.want < 2:
        return
    sd = math.sqrt(_variance(alive, out[0, first]))
    out[9, first], out[10, first] = _ends(alive, out[0, first], sd, ask, scores[1], work[0])
    _times(alive, living, work[1])
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
    if ask.want == 2:
        _line(intercept, slope, m, work[1])
        sd = math.sqrt(variance_spend)
        out[13, i], out[14, i] = _ends(work[1], mean_spend, sd, ask, scores[3], work[0])


@compiled
def score_histories(
    ask: Ask,
    histories: Histories,
    tables: Tables,
    m_bar: FloatArray,
    out: FloatArray,
    by_draw: FloatArray,
) -> None:
    """Fill the columns of all rows of some histories, which come ordered by x and T.

    Parameters
    ----------
    ask, histories, tables
        What is wanted, of whom, and the numbers that they share.
    m_bar : ndarray, shape (N,)
        Mean spend of all rows of the batch; 0 at x = 0.
    out : ndarray, shape (columns, N)
        Is filled in the rows of these histories.
    by_draw : ndarray, shape (S,)
        Gets the value of these rows together added, or their purchases where there is no
        money.
    """
    S = by_draw.size
    alive, later, spend = np.empty(S), np.empty(S), np.empty(5)
    buys, living, living_later = np.empty(S), np.empty(S), np.empty(S)
    work, scores = np.empty((2, S)), np.zeros((4, 2))
    last_pair, last_x = -1, -1
    for h in range(histories.x_of.size):
        k, pair = histories.x_of[h], histories.pair_of[h]
        intercept, slope = tables.intercept[k], tables.slope[k]
        if k != last_x:
            _spend_moments(intercept, slope, spend)
            last_x = k
        if pair != last_pair:
            _enter_pair(pair, k, tables, living, living_later, buys)
            last_pair = pair
        log_age, log_recency = (
            tables.log_age[tables.T_of_pair[pair]],
            tables.log_recency[histories.t_x_of[h]],
        )
        alive_by_draw(tables.offset[k], tables.power[k], log_age, log_recency, alive)
        _times(alive, living_later, later)
        mean = _mean(later)
        moments = (mean, _variance(later, mean))
        begin, end = histories.start[h], histories.start[h + 1]
        first, total = histories.rows[begin], 0.0
        _history_columns(first, alive, buys, living, mean, ask, scores, work, out)
        for j in range(begin, end):
            i = histories.rows[j]
            total += m_bar[i]
            # Spend does not tell these apart either
            if i != first and (histories.x[h] == 0.0 or not ask.money):
                out[:, i] = out[:, first]
                continue
            if i != first:
                out[:4, i] = out[:4, first]
                out[9:13, i] = out[9:13, first]
            if ask.money:
                _row_columns(
                    i, m_bar[i], later, moments, intercept, slope, spend, ask, scores, work, out
                )
        if not ask.money:
            _times(alive, living, later)
        _add_worth(later, intercept, slope, float(end - begin), total, by_draw)
