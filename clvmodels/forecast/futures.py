"""Futures of whole bases, customer by customer: the compiled loops behind their totals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.counts import enter_age, enter_alive
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.paths import Outcomes, level_of, record, walk
from clvmodels.forecast.random import hashed, uniform
from clvmodels.forecast.values import Customers
from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

Keys = npt.NDArray[np.uint64]
BUYERS, ALIVE, PURCHASES, VALUE = range(4)


@compiled
def _first(u: float, alive: float, buys: float, R: float) -> float:
    """ln((A + t) / A) of the first purchase: infinite after the horizon, negative of the dead.

    ``buys`` is the probability of a purchase if alive, ``u`` is uniform. Most paths have
    none, and need no logarithm to find it out.
    """
    v = (u - (1.0 - alive)) / alive if alive > 0.0 else -1.0
    if v < 0.0:
        return -1.0
    if v > buys:
        return math.inf
    return -math.log1p(-v) / R  # by inversion of P(first <= t)


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
    S, discounting = chunk.a.size, (outcomes.delta, outcomes.month)
    # Out of the tuples here: numba counts references to arrays wherever one is taken out.
    a, alpha, p, q, v = chunk.a, chunk.alpha, outcomes.p, outcomes.q, outcomes.v
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    end, buys, last = np.empty(S), np.empty(S), -1
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        k, T = chunk.x_of_pair[pair], chunk.T[pair]
        if pair != last:
            last = pair
            enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
            _enter_chances(chunk, pair, ratio, end, buys)
        enter_alive(chunk, h, log_age, alive)
        power, stays = chunk.power[k], chunk.stays[k]
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            seed, spent = hashed(outcomes.seed, keys[i]), x * customers.m_bar[i]
            totals = out[group[i]]
            for d in range(S):
                living = power[d], alpha[d] + T, a[d], stays[d]
                for j in range(outcomes.per_draw):
                    u, state = uniform(hashed(seed, np.uint64(j * S + d)))
                    first = _first(u, alive[d], buys[d], power[d])
                    if first < 0.0:
                        continue
                    path = walk(first, end[d], living, p[d], discounting, state)
                    totals[j, d, ALIVE] += path.stays
                    if path.bought > 0:
                        totals[j, d, BUYERS] += 1.0
                        totals[j, d, PURCHASES] += path.bought
                        level = level_of(x, p[d], q[d], path.state)
                        totals[j, d, VALUE] += (v[d] + spent) / level * path.orders


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
    S, paths = chunk.a.size, outcomes.per_draw * chunk.a.size
    a, alpha, p, q, v = chunk.a, chunk.alpha, outcomes.p, outcomes.q, outcomes.v
    log_age, ratio, alive = np.empty(S), np.empty(S), np.empty(S)
    end, buys, discounting = np.empty(S), np.empty(S), (outcomes.delta, outcomes.month)
    for h in range(chunk.x_of.size):
        pair, x = chunk.pair_of[h], customers.x[h]
        k, T = chunk.x_of_pair[pair], chunk.T[pair]
        enter_age(chunk, pair, outcomes.horizon, log_age, ratio)
        _enter_chances(chunk, pair, ratio, end, buys)
        enter_alive(chunk, h, log_age, alive)
        power, stays = chunk.power[k], chunk.stays[k]
        for r in range(customers.start[h], customers.start[h + 1]):
            i = customers.rows[r]
            seed, spent = hashed(outcomes.seed, keys[i]), x * customers.m_bar[i]
            for n in range(paths):
                d, place = n % S, i * paths + n
                u, state = uniform(hashed(seed, np.uint64(n)))
                first = _first(u, alive[d], buys[d], power[d])
                out[0, i, n], out[1, i, n] = 0.0, 0.0
                if first < 0.0 or first > end[d]:
                    continue
                living = power[d], alpha[d] + T, a[d], stays[d]
                path = walk(first, end[d], living, p[d], discounting, state)
                level = level_of(x, p[d], q[d], path.state)
                scale = (v[d] + spent) / level
                out[0, i, n], out[1, i, n] = path.bought, scale * path.orders
                if begin.size > 0:
                    where = slice(begin[place], begin[place + 1])
                    record(first, living, p[d], state, times[where], amounts[where])
                    amounts[where] *= scale
