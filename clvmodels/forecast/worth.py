"""Columns of spend and value of one row, and values added up: what the loop knows of money.

Values are of revenue, which the margin multiplies in the end, or where customers have margins
of their own and cost something (`Ask.own`) of what is left. The columns by number are those of
`clvmodels.forecast.kernel`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.mixing import mean_of, mixed, variance_of
from clvmodels.forecast.tails import tail_quantile
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.schema import FloatArray

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
    own : bool
        Whether values are made of the shares of `Tables`, less costs, and so with all factors;
        they are without margin if not.
    order, active : float
        Costs of a discounted order, and of a discounted unit of time alive.
    again : bool
        Whether intervals in which the horizon makes no difference are known already; they
        are left as they are then.
    """

    want: int
    ranks: IntArray
    shares: FloatArray
    money: bool
    own: bool = False
    order: float = 0.0
    active: float = 0.0
    again: bool = False


@compiled_sum
def _worth(
    purchases: FloatArray, intercept: FloatArray, slope: FloatArray, m: float, out: FloatArray
) -> None:
    for d in range(out.size):
        out[d] = purchases[d] * (intercept[d] + slope[d] * m)


@compiled_sum
def _worth_of_own(
    later: FloatArray,
    intercept: FloatArray,
    slope: FloatArray,
    m: float,
    share: float,
    order: float,
    serving: FloatArray,
    out: FloatArray,
) -> None:
    """What is left of a row's orders, less what serving costs."""
    for d in range(out.size):
        out[d] = later[d] * (share * (intercept[d] + slope[d] * m) - order) - serving[d]


@compiled_sum
def _line(intercept: FloatArray, slope: FloatArray, m: float, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] = intercept[d] + slope[d] * m


@compiled_sum
def add_worth(
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
def add_own(
    later: FloatArray,
    intercept: FloatArray,
    slope: FloatArray,
    sums: tuple[float, float, float],
    order: float,
    serving: FloatArray,
    out: FloatArray,
) -> None:
    """The same of all who share a history: their number, and sums of shares and of share x m."""
    customers, share, spent = sums
    for d in range(out.size):
        left = share * intercept[d] + spent * slope[d] - customers * order
        out[d] += later[d] * left - customers * serving[d]


@compiled_sum
def _covariance(one: FloatArray, mean_1: float, other: FloatArray, mean_2: float) -> float:
    total = 0.0
    for d in range(one.size):
        total += (one[d] - mean_1) * (other[d] - mean_2)
    return total / one.size


@compiled_sum
def spend_moments(intercept: FloatArray, slope: FloatArray, out: FloatArray) -> None:
    """Fill out with mean intercept and slope, centre, least variance, variance of the slope.

    The variance of intercept + slope m over draws is written around the m at which it is
    least, since intercept and slope cancel near it.
    """
    n = intercept.size
    mean_i, mean_s = mean_of(intercept), mean_of(slope)
    covariance = _covariance(intercept, mean_i, slope, mean_s)
    variance_s = variance_of(slope, mean_s)
    centre = -covariance / variance_s if variance_s > 0.0 else 0.0
    least = 0.0
    for d in range(n):
        rest = (intercept[d] - mean_i) + (slope[d] - mean_s) * centre
        least += rest * rest
    out[0], out[1], out[2], out[3], out[4] = mean_i, mean_s, centre, least / n, variance_s


@compiled
def ends_of(
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
def enter_serving(
    weights: FloatArray,
    h: int,
    cost: float,
    alive: FloatArray,
    later: FloatArray,
    mean: float,
    out: FloatArray,
) -> tuple[float, float, float]:
    """Fill what serving costs by draw; its mean, variance, and covariance with orders."""
    if cost == 0.0:
        return 0.0, 0.0, 0.0
    mixed(weights, h, alive, out)
    for d in range(out.size):
        out[d] *= cost
    middle = mean_of(out)
    return middle, variance_of(out, middle), _covariance(out, middle, later, mean)


@compiled
def row_columns(
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
    # Of a product of independent quantities.
    sd = math.sqrt(
        variance * mean_spend * mean_spend
        + variance_spend * mean * mean
        + variance * variance_spend
    )
    out[4, i], out[5, i], out[6, i] = mean_spend, mean * mean_spend, sd
    if ask.want > 0 and not ask.own:
        _worth(later, intercept, slope, m, work[1])
        out[7, i], out[8, i] = ends_of(work[1], out[5, i], sd, ask, scores[0], work[0])
    if ask.want == 2 and not ask.again:
        _line(intercept, slope, m, work[1])
        sd = math.sqrt(variance_spend)
        out[13, i], out[14, i] = ends_of(work[1], mean_spend, sd, ask, scores[3], work[0])


@compiled
def own_columns(
    i: int,
    m: float,
    later: FloatArray,
    moments: tuple[float, float],
    serving: FloatArray,
    of_serving: tuple[float, float, float],
    intercept: FloatArray,
    slope: FloatArray,
    spend: FloatArray,
    share: float,
    ask: Ask,
    scores: FloatArray,
    work: FloatArray,
    out: FloatArray,
) -> None:
    """Columns of the value of one row by its own share and costs, in place of revenue's."""
    mean, variance = moments
    left = share * (spend[0] + spend[1] * m) - ask.order
    spread = share * share * (spend[3] + spend[4] * (m - spend[2]) * (m - spend[2]))
    sure = variance * left * left + spread * mean * mean + variance * spread
    sure += of_serving[1] - 2.0 * left * of_serving[2]
    sd = math.sqrt(max(sure, 0.0))
    out[5, i], out[6, i] = mean * left - of_serving[0], sd
    if ask.want > 0:
        _worth_of_own(later, intercept, slope, m, share, ask.order, serving, work[1])
        out[7, i], out[8, i] = ends_of(work[1], out[5, i], sd, ask, scores[0], work[0])
