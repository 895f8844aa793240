"""Purchases of a whole base, simulated week by week: the band around what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.formulas.purchases import BetaGeometric, PurchaseFormulas
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
    formulas: PurchaseFormulas,
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
    formulas : PurchaseFormulas
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
        raise DomainError(f"{formulas.name} cannot be simulated week by week.")
    count = len(parameters["r"])
    streams = np.random.SeedSequence(seed).spawn(count)
    out = np.zeros((count, len(edges) - 1))
    for s in range(count):
        one = {name: float(values[s]) for name, values in parameters.items()}
        times = _one(formulas, one, histories, float(edges[-1]), np.random.default_rng(streams[s]))
        place = np.searchsorted(edges, times, side="left") - 1
        out[s] = np.bincount(place[place >= 0], minlength=len(edges) - 1)
    return out


def _one(
    formulas: BetaGeometric,
    parameters: Mapping[str, float],
    histories: Histories,
    end: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Times of all purchases up to the end, under one draw."""
    r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
    h = histories
    chance = formulas.p_alive(h.x, h.t_x, h.T, r=r, alpha=alpha, a=a, b=b)
    who = np.flatnonzero(rng.random(len(h.x)) < chance)
    rate = rng.standard_gamma(r + h.x[who]) / (alpha + h.T[who])
    stay = formulas.stay_shape(h.x[who], b=b)
    leave = rng.beta(a, stay)
    when = h.start[who].astype(np.float64)
    times: list[npt.NDArray[np.float64]] = []
    while len(when):
        with np.errstate(divide="ignore", over="ignore"):  # a rate may underflow to 0
            when = when + rng.standard_exponential(len(when)) / rate
        inside = when <= end
        when, rate, leave = when[inside], rate[inside], leave[inside]
        times.append(when)
        stays = rng.random(len(when)) >= leave
        when, rate, leave = when[stays], rate[stays], leave[stays]
    return np.concatenate([np.empty(0), *times])
