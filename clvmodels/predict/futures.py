"""Futures of whole bases, customer by customer: the compiled loops behind their totals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.predict.chunks import Chunk
from clvmodels.predict.counts import enter_age, enter_alive
from clvmodels.predict.grouping import IntArray
from clvmodels.predict.paths import Outcomes, Walk, walk
from clvmodels.predict.random import State, gamma, hashed, uniform
from clvmodels.predict.values import Customers
from clvmodels.schema import FloatArray

Keys = npt.NDArray[np.uint64]
BUYERS, ALIVE, PURCHASES, VALUE = range(4)


@compiled
def _future(
    d: int,
    alive: float,
    end: float,
    buys: float,
    living: tuple[float, float, float, float],
    outcomes: Outcomes,
    state: State,
    times: FloatArray,
    amounts: FloatArray,
) -> Walk:
    """One path of a customer who may be dead, by draw d.

    ``end`` is ln((A + horizon) / A), ``buys`` the probability of a purchase if alive. Most
    paths have none, and need no logarithm to find it out.
    """
    v = (uniform(state) - (1.0 - alive)) / alive if alive > 0.0 else -1.0
    if v < 0.0:
        return Walk(0.0, 0, False)
    if v > buys:
        return Walk(0.0, 0, True)
    first = -math.log1p(-v) / living[0]  # by inversion of P(first <= t)
    return walk(first, end, living, outcomes.p[d], outcomes, state, times, amounts)


@compiled
def _living(chunk: Chunk, pair: int, d: int) -> tuple[float, float, float, float]:
    k = chunk.x_of_pair[pair]
    return chunk.power[k, d], chunk.alpha[d] + chunk.T[pair], chunk.a[d], chunk.stays[k, d]


@compiled
def _enter_chances(
    chunk: Chunk, pair: int, ratio: FloatArray, end: FloatArray, buys: FloatArray
) -> None:
    """Fill ln((A + horizon) / A) and P(a purchase | alive) by draw of an (x, T)."""
    k = chunk.x_of_pair[pair]
    for d in range(ratio.size):
        end[d] = math.log1p(ratio[d])
        buys[d] = -math.expm1(-chunk.power[k, d] * end[d])


@compiled
def _scale(x: float, spent: float, d: int, outcomes: Outcomes, state: State) -> float:
    """1 / nu of a customer who spent x m_bar."""
    level = gamma(outcomes.q[d] + outcomes.p[d] * x, state)
    return float((outcomes.v[d] + spent) / level)


@compiled
def add_totals(
    chunk: Chunk,
    customers: Customers,
    outcomes: Outcomes,
    keys: Keys,
    group: IntArray,
    out: FloatArray,
) -> None:
    """Add the customers of some histories to the totals of their groups, path by path.

    Parameters
    ----------
    chunk, customers, outcomes
        Who, and what is simulated.
    keys : ndarray of uint64, shape (N,)
        Of each row, which its random numbers depend on.
    group : ndarray of int, shape (N,)
    out : ndarray, shape (groups, per_draw, S, 4)
        Buyers, customers alive at the end, purchases and value without margin.
    """
    S, none = chunk.a.size, np.empty(0)
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    end, buys = np.empty(S), np.empty(S)
    state, last = np.empty(1, dtype=np.uint64), -1
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        if pair != last:
            last = pair
            enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
            _enter_chances(chunk, pair, ratio, end, buys)
        enter_alive(chunk, h, log_age, alive)
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            seed, totals = hashed(outcomes.seed, keys[i]), out[group[i]]
            for d in range(S):
                living = _living(chunk, pair, d)
                for j in range(outcomes.per_draw):
                    state[0] = hashed(seed, np.uint64(j * S + d))
                    path = _future(
                        d, alive[d], end[d], buys[d], living, outcomes, state, none, none
                    )
                    totals[j, d, ALIVE] += path.stays
                    if path.bought > 0:
                        totals[j, d, BUYERS] += 1.0
                        totals[j, d, PURCHASES] += path.bought
                        scale = _scale(x, x * customers.m_bar[i], d, outcomes, state)
                        totals[j, d, VALUE] += scale * path.orders


@compiled
def follow(
    chunk: Chunk,
    customers: Customers,
    outcomes: Outcomes,
    keys: Keys,
    begin: IntArray,
    times: FloatArray,
    amounts: FloatArray,
    out: FloatArray,
) -> None:
    """Every purchase of the customers of some histories.

    Parameters
    ----------
    chunk, customers, outcomes, keys
        As in :func:`add_totals`.
    begin : ndarray of int, shape (N * paths + 1,) or (0,)
        Where the purchases of row i on path k go: from begin[i * paths + k] on. If it is
        empty, nothing is recorded.
    times, amounts : ndarray
        Time since T, and amount, of every purchase, are filled in.
    out : ndarray, shape (2, N, paths)
        Purchases, and discounted value without margin, are filled in.
    """
    S, paths, none = chunk.a.size, outcomes.per_draw * chunk.a.size, np.empty(0)
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    end, buys = np.empty(S), np.empty(S)
    state, when, what = np.empty(1, dtype=np.uint64), none, none
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
        _enter_chances(chunk, pair, ratio, end, buys)
        enter_alive(chunk, h, log_age, alive)
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            seed = hashed(outcomes.seed, keys[i])
            for k in range(paths):
                d, place = k % S, i * paths + k
                if begin.size > 0:
                    when = times[begin[place] : begin[place + 1]]
                    what = amounts[begin[place] : begin[place + 1]]
                state[0] = hashed(seed, np.uint64(k))
                living = _living(chunk, pair, d)
                path = _future(d, alive[d], end[d], buys[d], living, outcomes, state, when, what)
                out[0, i, k], out[1, i, k] = path.bought, 0.0
                if path.bought > 0:
                    scale = _scale(x, x * customers.m_bar[i], d, outcomes, state)
                    out[1, i, k] = scale * path.orders
                    what *= scale
