"""What living customers go on to buy, purchase by purchase: exact simulation.

The story has lambda ~ Gamma(R, A) and p ~ Beta(a, B) behind a Poisson process that ends
at the first purchase whose question is answered by leaving. Both can be integrated out
step by step (Bayes' rule after every purchase), which needs one exponential and one
uniform number a purchase, and neither lambda nor p:

- after k purchases by time t the rate is Gamma(R + k, A + t), so that
  ln((A + t') / (A + t)) of the next time t' is exponential with rate R + k;
- after k stays p is Beta(a, B + k): the customer leaves with probability a / (a + B + k).

Values are those of orders Gamma(p, nu), nu ~ Gamma(q + p x, v + x m_bar). The amounts of
a path are simulated in units of v + x m_bar, so that one simulation serves all spenders.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.random import bits_of, exponential, gamma, hashed, uniform
from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

MOST_PURCHASES: Final = 1e5  # on a path, in expectation; more are not simulated


class Outcomes(NamedTuple):
    """What is simulated.

    Attributes
    ----------
    horizon, delta, month : float
        In units of T; month 0 for continuous discounting.
    p, q, v : ndarray, shape (S,)
        Draws of the spend model; p is 0 where every purchase has the value v.
    per_draw : int
        Paths of every draw.
    seed : uint64
    """

    horizon: float
    delta: float
    month: float
    p: FloatArray
    q: FloatArray
    v: FloatArray
    per_draw: int
    seed: np.uint64


@compiled
def discount(t: float, delta: float, month: float) -> float:
    """Present value of one unit after t; month 0 for continuous discounting."""
    if delta == 0.0:
        return 1.0
    when = t if month == 0.0 else month * max(np.ceil(t / month), 1.0)
    return math.exp(-delta * when)


@compiled
def first_growth(u: float, R: float, buys: float) -> float:
    """Return ln((A + t) / A) of the first purchase, given that it falls in the horizon.

    By inversion of P(first <= t) / buys, buys = P(first <= horizon).
    """
    return -math.log1p(-u * buys) / R


@compiled
def level_of(x: float, p: float, q: float, state: np.uint64) -> float:
    """Draw nu of a customer with x repeat purchases; 1 where baskets are of one value."""
    if p == 0.0:
        return 1.0
    level, _ = gamma(q + p * x, state)
    return float(level)


class Step(NamedTuple):
    """One purchase of a living customer.

    Attributes
    ----------
    t : float
        When, since T.
    amount : float
        In units of 1 / nu.
    stays : bool
        Whether the customer stays.
    growth : float
        ln((A + t') / A) of the next purchase, should the customer stay.
    state : uint64
        Of the random numbers, hereafter.
    """

    t: float
    amount: float
    stays: bool
    growth: float
    state: np.uint64


@compiled
def step(
    count: int,
    growth: float,
    living: tuple[float, float, float, float],
    p: float,
    state: np.uint64,
) -> Step:
    """Make the purchase at ln((A + t) / A) = growth, after ``count`` others since T.

    Parameters
    ----------
    count : int
    growth : float
    living : tuple
        R, A, a, B.
    p : float
        Shape of one order.
    state : uint64
        Of the random numbers.
    """
    R, A, a, B = living
    if p == 0.0:  # a basket of one fixed value
        amount = 1.0
    else:
        amount, state = gamma(p, state)
    u, state = uniform(state)
    stays = u * (a + B + count) >= a
    more, state = exponential(state)
    return Step(A * math.expm1(growth), amount, stays, growth + more / (R + count + 1), state)


class Walk(NamedTuple):
    """What happened on one path.

    Attributes
    ----------
    orders : float
        Discounted sum of the amounts, in units of 1 / nu.
    bought : int
        Purchases.
    stays : bool
        Whether the customer is alive at the end of the horizon.
    state : uint64
        Of the random numbers, hereafter.
    """

    orders: float
    bought: int
    stays: bool
    state: np.uint64


@compiled
def walk(
    first: float,
    end: float,
    living: tuple[float, float, float, float],
    p: float,
    discounting: tuple[float, float],
    state: np.uint64,
) -> Walk:
    """Follow a living customer from the first purchase after T on.

    Parameters
    ----------
    first, end : float
        ln((A + t) / A) of the first purchase and of the horizon.
    living, p
        As in :func:`step`.
    discounting : tuple
        delta, month.
    state : uint64
    """
    delta, month = discounting
    count, growth, total, stays = 0, first, 0.0, True
    while stays and growth <= end:
        t, amount, stays, growth, state = step(count, growth, living, p, state)
        total += amount * discount(t, delta, month)
        count += 1
    return Walk(total, count, stays, state)


@compiled
def record(
    first: float,
    living: tuple[float, float, float, float],
    p: float,
    state: np.uint64,
    times: FloatArray,
    amounts: FloatArray,
) -> None:
    """Go the same way as :func:`walk` once more, and keep as many purchases as there were."""
    growth = first
    for n in range(times.size):
        times[n], amounts[n], _, growth, state = step(n, growth, living, p, state)


@compiled
def fill_unit_values(
    chunk: Chunk, pair: int, x: float, outcomes: Outcomes, out: FloatArray
) -> None:
    """Simulate the living of one (x, T) who buy in the horizon.

    Parameters
    ----------
    chunk : Chunk
    pair : int
        Which (x, T).
    x : float
    outcomes : Outcomes
    out : ndarray, shape (per_draw, S)
        Is filled with discounted values in units of v + x m_bar, given a purchase; NaN
        where somebody who never drops out would make more than ``MOST_PURCHASES``.
    """
    k, S, discounting = chunk.x_of_pair[pair], chunk.a.size, (outcomes.delta, outcomes.month)
    seed = hashed(hashed(outcomes.seed, bits_of(x)), bits_of(chunk.T[pair]))
    for d in range(S):
        R, A = chunk.power[k, d], chunk.alpha[d] + chunk.T[pair]
        end = math.log1p(outcomes.horizon / A)
        buys = -math.expm1(-R * end)
        if R * outcomes.horizon > MOST_PURCHASES * A:
            out[:] = np.nan
            return
        living = (R, A, chunk.a[d], chunk.stays[k, d])
        for j in range(outcomes.per_draw):
            u, state = uniform(hashed(seed, np.uint64(j * S + d)))
            first = min(first_growth(u, R, buys), end)
            path = walk(first, end, living, outcomes.p[d], discounting, state)
            level = level_of(x, outcomes.p[d], outcomes.q[d], path.state)
            out[j, d] = path.orders / level
