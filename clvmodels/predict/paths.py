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

from clvmodels.formulas._jit import compiled
from clvmodels.predict.chunks import Chunk
from clvmodels.predict.random import State, bits_of, exponential, gamma, hashed, uniform
from clvmodels.schema import FloatArray

_GOLDEN: Final = 0.6180339887498949


class Outcomes(NamedTuple):
    """What is simulated.

    Attributes
    ----------
    horizon, delta, month : float
        In units of T; month 0 for continuous discounting.
    p, q, v : ndarray, shape (S,)
        Draws of the spend model.
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
def leaves(k: float, a: float, B: float, state: State) -> bool:
    """Whether the customer leaves at the next purchase, after k stays since T."""
    return uniform(state) * (a + B + k) < a


@compiled
def unit_value(
    first: float,
    end: float,
    living: tuple[float, float, float, float],
    spend: tuple[float, float],
    outcomes: Outcomes,
    state: State,
) -> float:
    """Discounted value of a path from its first purchase on, in units of v + x m_bar.

    Parameters
    ----------
    first, end : float
        Return ln((A + t) / A) of the first purchase and of the horizon.
    living : tuple
        R, A, a, B.
    spend : tuple
        p, and q + p x.
    outcomes : Outcomes
    state : ndarray
        Of the random numbers.
    """
    R, A, a, B = living
    k, growth, total = 0.0, first, 0.0
    while growth <= end:
        worth = discount(A * math.expm1(growth), outcomes.delta, outcomes.month)
        total += worth * gamma(spend[0], state)
        if leaves(k, a, B, state):
            break
        k += 1.0
        growth += exponential(state) / (R + k)
    return total / gamma(spend[1], state)


@compiled
def fill_unit_values(
    chunk: Chunk, pair: int, x: float, outcomes: Outcomes, buys: FloatArray, out: FloatArray
) -> None:
    """Simulate the living of one (x, T) who buy in the horizon.

    Parameters
    ----------
    chunk : Chunk
    pair : int
        Which (x, T).
    x : float
    outcomes : Outcomes
    buys : ndarray, shape (S,)
        Is filled with P(a purchase | alive) by draw.
    out : ndarray, shape (per_draw, S)
        Is filled with discounted values in units of v + x m_bar, given a purchase.
    """
    k, state = chunk.x_of_pair[pair], np.empty(1, dtype=np.uint64)
    seed = hashed(hashed(outcomes.seed, bits_of(x)), bits_of(chunk.T[pair]))
    state[0] = seed
    shift = uniform(state)
    for j in range(outcomes.per_draw):
        for d in range(buys.size):
            R, A = chunk.power[k, d], chunk.alpha[d] + chunk.T[pair]
            end = math.log1p(outcomes.horizon / A)
            buys[d] = -math.expm1(-R * end)
            # Golden steps spread the first purchases evenly; each alone is uniform.
            number = j * buys.size + d
            u = (shift + number * _GOLDEN) % 1.0
            state[0] = hashed(seed, np.uint64(number))
            living = (R, A, chunk.a[d], chunk.stays[k, d])
            spend = (outcomes.p[d], outcomes.q[d] + outcomes.p[d] * x)
            first = min(first_growth(u, R, buys[d]), end)
            out[j, d] = unit_value(first, end, living, spend, outcomes, state)
