"""Discounted purchases of a living customer where purchases come regularly.

**By parts.** Let M(s) be the purchases expected within s, and F(s) the part of value
that is lost by discounting until s. Purchases within h, discounted, are

    integral of (1 - F) dM = (1 - F(h)) M(h) + integral of M dF over (0, h),

which takes nothing but M, and of which every term is positive. F is 1 - e^(-delta s), or
its step function at the ends of months. M is analytic off the negative half-plane, and
close to 0 on the scale of one stage, A / R; so the integral is done by Gauss-Legendre on
pieces (h/4, h], (h/16, h/4], ... down to that scale, and on what is left of it. By the month
pieces are octaves, since what is summed there is M's polynomial on each. Pieces and weights are
those of h, delta and month alone, the same for all customers.

**A whole life, continuously.** Stage by stage value shrinks by phi = lambda / (lambda +
delta) in the mean, so that purchases of given lambda and p are worth

    phi^(k - phase) / (1 - (1 - p) phi^k),

to be integrated over both as in :mod:`clvmodels.formulas._robust`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._domain import check_discounting, check_positive, flat
from clvmodels.formulas._jit import compiled
from clvmodels.formulas._robust import beta_rule, gamma_rule
from clvmodels.formulas.erlang_counts import check_regularity
from clvmodels.formulas.erlang_means import ROOM, means_if_alive, room_for
from clvmodels.schema import FloatArray

POINTS: Final = 16  # of a piece
_X, _W = np.polynomial.legendre.leggauss(POINTS)
_LEGENDRE = np.polynomial.legendre.legvander(_X, POINTS - 1) * (np.arange(POINTS) + 0.5)
_MOST_PIECES: Final = 64
_NOTHING_LEFT: Final = 45.0  # e^-45 of the value
_MOST_MONTHS: Final = 1 << 16  # to be summed one by one
_STEEPEST: Final = 8.0  # delta times the length of the last piece
# Each piece is so many times the next; the last one ends after at most so many stages, and at
# at most so much of A: M is there as good as a polynomial of degree 31 (15, by the month).
_FLOW: Final = (4.0, 10.0, 2.0)
_MONTHS: Final = (2.0, 4.0, 0.5)


class Moments(NamedTuple):
    """Moments at which to ask for M, and their weights.

    Attributes
    ----------
    end, end_weight : float
        The horizon, or where nothing is left of the value; and its weight.
    piece, piece_weight : ndarray, shape (Q, 16)
        From the last piece down, the last moment of each first.
    rest, rest_weight : ndarray, shape (Q + 1, 16)
        Of what is below, for q = 0 to Q pieces above it.
    least : int
        Pieces that discounting needs.
    ratio, stages, reach : float
        What each piece is to the next, and where the rest may end: in stages, in A.
    """

    end: float
    end_weight: float
    piece: FloatArray
    piece_weight: FloatArray
    rest: FloatArray
    rest_weight: FloatArray
    least: int
    ratio: float
    stages: float
    reach: float


@lru_cache(maxsize=64)
def moments(horizon: float, delta: float, month: float) -> Moments:
    """Return the moments for a horizon; ``month == 0`` discounts continuously.

    Parameters
    ----------
    horizon : float
        May be infinite where delta > 0.
    delta : float
        Continuous discount rate per unit of time.
    month : float
    """
    ratio, stages, reach = _FLOW if month == 0.0 else _MONTHS
    if delta == 0.0 or horizon == 0.0:
        none = np.empty((0, POINTS))
        return Moments(horizon, 1.0, none, none, none, none, 0, ratio, stages, reach)
    end = min(horizon, _NOTHING_LEFT / delta + month)
    # No moment lies within the first month.
    depth = _MOST_PIECES if month == 0.0 else max(math.ceil(math.log2(end / month)), 0) + 1
    edges = end * ratio ** -np.arange(depth + 1.0)
    pieces = [_piece(low, high, delta, month) for low, high in zip(edges[1:], edges, strict=False)]
    rests = [_piece(0.0, high, delta, month) for high in edges]
    steep = 0
    if month == 0.0:
        steep = math.ceil(math.log(max(delta * end / _STEEPEST, 1.0)) / math.log(ratio))
    last = end if month == 0.0 else month * max(math.ceil(end / month), 1)
    nodes, weights = (np.array(column)[:, ::-1].copy() for column in zip(*pieces, strict=True))
    rest, rest_weights = (np.array(column)[:, ::-1].copy() for column in zip(*rests, strict=True))
    above = (math.exp(-delta * last), nodes, weights)
    return Moments(end, *above, rest, rest_weights, steep, ratio, stages, reach)


def _piece(low: float, high: float, delta: float, month: float) -> tuple[FloatArray, FloatArray]:
    """Return 16 moments within [low, high), none of them 0, and their weights."""
    middle, half = (high + low) / 2.0, (high - low) / 2.0
    nodes = middle + half * _X
    if month == 0.0:
        return nodes, delta * half * _W * np.exp(-delta * nodes)
    first, behind = max(math.ceil(low / month), 1), math.ceil(high / month)
    if behind - first > _MOST_MONTHS:  # as good as a flow, from half a month before the first
        middle, half = month * (first + behind - 1) / 2.0, month * (behind - first) / 2.0
        nodes = middle + half * _X
        return nodes, half / month * _W * np.exp(-delta * nodes) * -math.expm1(-delta * month)
    ends = month * np.arange(first, behind)
    lost = np.exp(-delta * ends) * -math.expm1(-delta * month)
    if ends.size <= POINTS:
        room = (0, POINTS - ends.size)
        return np.pad(ends, room), np.pad(lost, room)
    # M's Legendre series over the piece is summed exactly over the ends of months.
    series = np.polynomial.legendre.legvander((ends - middle) / half, POINTS - 1)
    return nodes, _W * (_LEGENDRE @ (lost @ series))


@compiled
def moments_of(
    when: Moments, R: float, A: float, begin: int, w: FloatArray, weight: FloatArray
) -> int:
    """Fill in what is asked of M, from ``begin`` on: w, and the weights of M(w) in the value.

    Parameters
    ----------
    when : Moments
    R, A : float
        Of a living customer, in the latest phase that is asked for.
    begin : int
        Place of the first.
    w, weight : ndarray
        w is filled so that it falls.

    Returns
    -------
    int
        The place after the last.
    """
    w[begin], weight[begin] = when.end / A, when.end_weight
    count = begin + 1
    if when.rest.shape[0] == 0:
        return count
    # How many pieces there are before M is as good as a polynomial
    first = A * min(when.stages / R, when.reach)
    pieces = math.ceil(math.log(max(when.end / first, 1.0)) / math.log(when.ratio))
    above = int(min(max(pieces, when.least), when.piece.shape[0]))
    for q in range(above + 1):
        nodes = when.piece[q] if q < above else when.rest[q]
        weights = when.piece_weight[q] if q < above else when.rest_weight[q]
        for i in range(nodes.size):
            if weights[i] != 0.0:
                w[count], weight[count] = nodes[i] / A, weights[i]
                count += 1
    return count


@compiled
def _values(
    k: int,
    phase: int,
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    when: Moments,
    rows: npt.NDArray[np.intp],
    out: FloatArray,
) -> None:
    most = most_moments(when)
    w, weight, means, room = np.empty(most), np.empty(most), np.empty((1, most)), room_for(most, 1)
    for i in rows:
        count = moments_of(when, R[i], A[i], 0, w, weight)
        means_if_alive(k, phase, R[i], w, a[i], B[i], count, room, means)
        out[i] = 0.0
        for n in range(count):
            out[i] += weight[n] * means[0, n]


@compiled
def most_moments(when: Moments) -> int:
    """How many moments there are for anybody, at most."""
    return int(1 + POINTS * (when.piece.shape[0] + 1))


@compiled
def _over_p(
    k: int,
    phase: int,
    rate: FloatArray,
    weight: FloatArray,
    p: FloatArray,
    delta: float,
    out: FloatArray,
) -> None:
    """Value of purchases over lambda, of every p, with the loop over p inside."""
    out[:] = 0.0
    for i in range(rate.size):
        log_phi = -math.log1p(delta / rate[i])
        paid, ended = math.exp(k * log_phi), -math.expm1(k * log_phi)
        first = weight[i] * math.exp((k - phase - 1) * log_phi) / (rate[i] + delta)
        for j in range(p.size):
            out[j] += first / (ended + p[j] * paid)


@compiled
def _whole_lives(
    k: int,
    phase: int,
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    delta: float,
    rows: npt.NDArray[np.intp],
    out: FloatArray,
) -> None:
    p, p_weight, inner = np.empty(ROOM), np.empty(ROOM), np.empty(ROOM)
    rate, weight = np.empty(ROOM), np.empty(ROOM)
    for i in rows:
        reach = 4.0 / (delta * A[i])
        # E[lambda g(lambda)] is R / A times the mean of g over Gamma(R + 1, A).
        n = gamma_rule(R[i] + 1.0, reach, rate, weight)
        m = beta_rule(a[i], B[i], reach * rate[n - 1], p, p_weight)
        _over_p(k, phase, rate[:n] / A[i], weight[:n], p[:m], delta, inner[:m])
        value = 0.0
        for j in range(m):
            value += p_weight[j] * inner[j]
        out[i] = R[i] / A[i] * value


def discounted_if_alive(
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
    delta: npt.ArrayLike,
    *,
    regularity: int,
    phase: int = 0,
    month: float | None = None,
) -> FloatArray:
    """Discounted purchases expected of a living customer with regular timing.

    Parameters
    ----------
    R, A, a, B, horizon, regularity, phase
        As in :func:`~clvmodels.formulas.erlang_means.purchases_if_alive`.
    delta : array_like
        Continuous discount rate per unit of time, >= 0.
    month : float, optional
        Length of a month. If given, purchases are discounted at their month's end,
        those of the last, partial month too.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs; finite wherever delta > 0.

    Raises
    ------
    DomainError
        As in :func:`~clvmodels.formulas.erlang_means.purchases_if_alive`, or
        delta < 0, or month <= 0.
    """
    k, phase = check_regularity(regularity, phase)
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    length, rate, month_length = check_discounting(horizon, delta, month)
    (shape, A, a, B, h, d), form = flat(R, A, a, B, length, rate)
    out = np.empty(h.size)
    alike = length.ndim == rate.ndim == 0
    for one, other in [(float(length), float(rate))] if alike else set(zip(h, d, strict=True)):
        (rows,) = np.nonzero((h == one) & (d == other))
        if math.isinf(one) and other > 0.0 and month is None:
            _whole_lives(k, phase, shape, A, a, B, other, rows, out)
        else:
            when = moments(one, other, month_length)
            _values(k, phase, shape, A, a, B, when, rows, out)
    return out.reshape(form)
