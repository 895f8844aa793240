"""Purchases of a whole base, simulated week by week: the band around what is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from clvmodels.errors import DomainError
from clvmodels.forecast.grouping import IntArray, group_rows
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.beta_geometric import BetaGeometric
from clvmodels.formulas.random import exponential, hashed, uniform
from clvmodels.machine import available_cores
from clvmodels.purchases import Family
from clvmodels.schema import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Customers from whom the simulation goes on.

    Attributes
    ----------
    x, t_x, T : ndarray, shape (N,)
        What each had done; zeros for customers who have just bought for the first time.
    start : ndarray, shape (N,)
        When that was, in units of time on a common clock.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    start: FloatArray


def simulate_counts(
    formulas: Family,
    parameters: Mapping[str, FloatArray],
    histories: Histories,
    edges: FloatArray,
    seed: int,
) -> FloatArray:
    """Simulate all customers' purchases once for every draw, and count them by interval.

    Given a history and the parameters a customer is alive with P(alive), buys at a rate
    ~ Gamma(r + x, alpha + T), and leaves after a purchase with a probability
    ~ Beta(a, B), the three independent.

    Parameters
    ----------
    formulas : Family
        Of the purchase model.
    parameters : mapping of str to ndarray, shape (S,)
        Draws of r, alpha, a, b.
    histories : Histories
        The customers.
    edges : ndarray, shape (K + 1,)
        Ends of the intervals (edges[k], edges[k + 1]] on the common clock.
    seed : int
        Each draw has a stream of its own.

    Returns
    -------
    ndarray, shape (S, K)
        Purchases of all customers in each interval.
    """
    if not isinstance(formulas, BetaGeometric):
        raise DomainError(
            f"{type(formulas).__name__} cannot be simulated week by week: report this."
        )
    h, groups = histories, group_rows(histories.x, histories.t_x, histories.T)
    whose = np.repeat(np.arange(len(groups.x)), np.diff(groups.start))
    start = h.start[groups.rows].astype(np.float64)
    place = np.searchsorted(edges, start, side="right") - 1
    out = np.zeros((len(parameters["r"]), len(edges) - 1))

    def one(s: int) -> None:
        r, alpha, a, b = (float(parameters[name][s]) for name in ("r", "alpha", "a", "b"))
        chance = formulas.p_alive(groups.x, groups.t_x, groups.T, r=r, alpha=alpha, a=a, b=b)
        living = r + groups.x, alpha + groups.T, formulas.stay_shape(groups.x, b=b)
        state = np.uint64(hashed(np.uint64(seed), np.uint64(s)))
        _count(whose, chance, living, a, start, place, edges, state, out[s])

    with ThreadPoolExecutor(available_cores()) as pool:
        for _ in pool.map(one, range(len(out))):
            pass
    return out


@compiled
def _count(
    whose: IntArray,
    chance: FloatArray,
    living: tuple[FloatArray, FloatArray, FloatArray],
    a: float,
    start: FloatArray,
    place: IntArray,
    edges: FloatArray,
    state: np.uint64,
    out: FloatArray,
) -> None:
    """Count all purchases under one draw.

    What customers go on to do is drawn purchase by purchase, as in
    `clvmodels.forecast.paths`; ``place`` is the interval that each customer starts in.
    """
    power, age, stays = living
    for i in range(whose.size):
        h, k, count = whose[i], place[i], 0
        u, state = uniform(state)
        if u >= chance[h]:
            continue
        R, A = power[h], age[h]
        end = math.log1p((edges[-1] - start[i]) / A)
        more, state = exponential(state)
        growth = more / R
        while growth <= end:
            when = start[i] + A * math.expm1(growth)
            while k < out.size - 1 and edges[k + 1] < when:
                k += 1
            if k >= 0:
                out[k] += 1.0
            u, state = uniform(state)
            if u * (a + stays[h] + count) < a:
                break
            count += 1
            more, state = exponential(state)
            growth += more / (R + count)
