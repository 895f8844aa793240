"""For how long customers will have to be served: discounted time until they leave.

A flow of one a unit of time, paid while a customer lives who is alive at T, is worth

    int_0^H v(t) P(alive at T + S(t) | alive at T) dt,

v(t) being the value now of what is paid at t, and S the customers' own time under a calendar.
P(alive) is smooth, most so for those who have been customers for long; v is a flight of stairs
where flows are told by the month, and S is rough. So P(alive) is asked for at the Gauss points of
few stretches of own time, each three times as long as the one before, and the weights of the
points hold the integrals of Legendre's polynomials with all that is not smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander

from clvmodels.forecast.draws import Draws
from clvmodels.formulas.discounting import Due, flow_value
from clvmodels.purchases.stratified import births_of
from clvmodels.schema import FloatArray

_POINTS: Final = 16  # of a stretch
_LONGER: Final = 3.0  # than the one before
_FIRST: Final = 1.0  # stretch, in c of `Family.strip`: P(alive) is singular at -c/2 at the nearest
_UNKNOWN: Final = 1e-4  # of the horizon, where a family does not say
_NOTHING_LEFT: Final = 45.0  # e^-45 is nothing
_MOST_LENGTHS: Final = 4_000_000  # at a time
_YEAR: Final = 365


def annuity(due: Due) -> float:
    """Discounted time until the horizon, which somebody is served who never leaves."""
    return float(flow_value(0.0, due.horizon, due.delta, month=due.month or None))


@dataclass(frozen=True, slots=True)
class Serving:
    """Discounted time alive as a sum over lengths of own time.

    Attributes
    ----------
    lengths, weights : ndarray, shape (n,)
        Of P(alive) after each.
    """

    lengths: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, due: Due, draws: Draws) -> Self:
        """What is due until the horizon; under a calendar that is the same in all draws."""
        H = min(due.horizon, _NOTHING_LEFT / due.delta if due.delta > 0.0 else math.inf)
        if H == 0.0:
            return cls(np.zeros(1), np.zeros(1))
        strip = draws.formulas.strip(draws.purchases)
        edges = [H]
        while edges[0] > (_FIRST * strip[0] if strip else _UNKNOWN * H):
            edges.insert(0, edges[0] / _LONGER)
        edges = [0.0, *edges]
        t, w = _fine(due, np.array(edges))
        s, parts = _own_time(due, t), []
        for low, high in pairwise(edges):
            here = (t > low) & (t < high)
            ends = _own_time(due, np.array([low, high]))
            parts.append(_stretch(float(ends[0]), float(ends[1]), s[here], w[here]))
        lengths, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(lengths, weights)

    def of_new(self, draws: Draws) -> FloatArray:
        """Discounted time that new customers will stay, shape (S,)."""
        x, share = births_of(draws.formulas)
        nothing, alive = np.zeros(len(x)), np.empty((draws.formulas.phases, len(x), draws.count))
        draws.formulas.weights(x, nothing, nothing, draws.purchases).fill(0, alive)
        stay = np.swapaxes(self.if_alive(draws, x, nothing), 0, 1)
        return np.asarray(share @ (alive * stay).sum(axis=0))

    def if_alive(self, draws: Draws, x: FloatArray, T: FloatArray) -> FloatArray:
        """Discounted time alive of customers alive at T, both of shape (P,): (P, K, S)."""
        K, S = draws.formulas.phases, draws.count
        out, some = np.empty((len(x), K, S)), max(_MOST_LENGTHS // (K * S * len(self.lengths)), 1)
        for one in np.unique(x):
            same = np.flatnonzero(x == one)
            for begin in range(0, len(same), some):
                rows = same[begin : begin + some]
                stay = draws.formulas.staying(float(one), T[rows], self.lengths, draws.purchases)
                out[rows] = np.moveaxis(stay @ self.weights, 2, 0)
        return out


def _fine(due: Due, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points of time between the edges and their weights, each with what it is worth now."""
    end, cuts = float(edges[-1]), [edges]
    if due.month > 0.0 and due.delta > 0.0:
        cuts.append(np.arange(due.month, end, due.month))
    if due.calendar:
        last = float(due.edges[-1])
        step = (due.edges[1] - due.edges[0]) * _YEAR / 12.0
        cuts += [due.edges[due.edges < end], np.arange(last, max(end, last), step)]
    at = np.unique(np.concatenate(cuts))
    x, w = leggauss(_POINTS if len(cuts) > 1 else 2 * _POINTS)
    half, middle = np.diff(at)[:, None] / 2.0, (at[1:] + at[:-1])[:, None] / 2.0
    t, weights = (middle + half * x).ravel(), (half * w).ravel()
    when = t if due.month == 0.0 else due.month * np.ceil(t / due.month)
    return t, weights * np.exp(-due.delta * when)


def _own_time(due: Due, t: FloatArray) -> FloatArray:
    """Own time by t; beyond a calendar it passes at the pace of its last year."""
    if not due.calendar:
        return t
    own, last = due.warped[0], due.edges.size - 1
    before = max(last - _YEAR, 0)
    pace = (own[last] - own[before]) / (due.edges[last] - due.edges[before])
    beyond = np.maximum(t - due.edges[last], 0.0)
    inside = np.minimum(t, due.edges[last])
    return np.asarray(due._replace(warped=due.warped[:1]).own_time(inside)[0] + pace * beyond)


def _stretch(
    low: float, high: float, s: FloatArray, w: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gauss points of own time from low to high, with weights for what is worth w at s."""
    x, gauss = leggauss(_POINTS)
    half, middle = (high - low) / 2.0, (high + low) / 2.0
    if half == 0.0:  # the calendar stands still
        return np.array([low]), np.array([w.sum()])
    moments = w @ legvander((s - middle) / half, _POINTS - 1)
    size = np.arange(_POINTS) + 0.5
    return middle + half * x, gauss * (legvander(x, _POINTS - 1) @ (size * moments))
