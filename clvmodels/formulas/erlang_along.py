"""Purchases of living customers of one number of repeats and many ages, regular timing.

The mean M of purchases within s depends on s and A = alpha + T through w = s / A alone. So for
one draw and one number of repeats M(w) / w is one curve. It is taken at Chebyshev's points of
ln(1 + w / scale), with a scale of two stages, or of half of A where there are few; in that it is
smooth at both ends, among the first stages and in the long run. Purchases of all ages and the
moments that discounting asks for (`clvmodels.formulas.erlang_values`) are read off it. Where the
coefficients do not settle each age is computed by itself.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from clvmodels.formulas._domain import check_discounting, check_positive
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.erlang_counts import check_regularity
from clvmodels.formulas.erlang_means import (
    Room,
    means_if_alive,
    purchases_if_alive,
    room_for,
)
from clvmodels.formulas.erlang_values import (
    Moments,
    discounted_if_alive,
    moments,
    moments_of,
    most_moments,
)
from clvmodels.schema import FloatArray

_DEGREES: Final = (24, 36, 56, 80, 128)
# From which range of ln(1 + w / scale) on a degree is the first to be tried, where k = 2; with
# every further stage the curve has more waves, and needs as many as a longer one.
_FROM: Final = np.array([0.0, 4.2, 5.2, 6.8, 8.6])
_LONGER: Final = 0.6
_SETTLED: Final = 3e-12  # share of the least value that the last coefficients must fall to
_LAST: Final = 3
_WORTH: Final = 6  # ages that a curve is worth it for


@compiled
def _curves(
    k: int,
    R: float,
    a: float,
    B: float,
    scale: float,
    reach: float,
    cosines: FloatArray,
    room: Room,
    found: FloatArray,
) -> None:
    """Fill coefficients of M(w) / w by Chebyshev's polynomials, from the roots of the last one.

    Of all phases, shape (k, degree + 1).
    """
    size = cosines.shape[0]
    w, values = np.empty(size), np.empty((k, size))
    for i in range(size):
        w[i] = scale * math.expm1(reach * (1.0 + cosines[1, i]) / 2.0)
    means_if_alive(k, 0, R, w, a, B, size, room, values)
    found[:] = 0.0
    for phase in range(k):
        for i in range(size):
            values[phase, i] *= 2.0 / (size * w[i])
        for j in range(size):
            for i in range(size):
                found[phase, j] += cosines[j, i] * values[phase, i]
        found[phase, 0] /= 2.0


@compiled
def _read(coefficients: FloatArray, w: FloatArray, room: FloatArray) -> None:
    """Fill room[1] with M at all w: Clenshaw's rule, side by side; room[0] is their place."""
    count = w.size
    for i in range(count):
        room[1, i], room[2, i] = 0.0, 0.0
    for j in range(coefficients.size - 1, 0, -1):
        c = coefficients[j]
        for i in range(count):
            new = room[0, i] * room[1, i] - room[2, i] + c
            room[2, i], room[1, i] = room[1, i], new
    for i in range(count):
        last = 0.5 * room[0, i] * room[1, i] - room[2, i] + coefficients[0]
        room[1, i] = w[i] * last


@compiled
def _place(w: FloatArray, scale: float, reach: float, room: FloatArray) -> None:
    """Fill room[0] with twice the place of all w among Chebyshev's polynomials, -2 to 2."""
    for i in range(w.size):
        room[0, i] = 4.0 * math.log1p(w[i] / scale) / reach - 2.0


@compiled
def _settled(
    k: int,
    R: float,
    a: float,
    B: float,
    scale: float,
    reach: float,
    least: FloatArray,
    tables: tuple[FloatArray, ...],
    begin: FloatArray,
    room: Room,
    side: FloatArray,
) -> FloatArray:
    """Coefficients of all phases, or none; ``least`` is the least w that they are read at."""
    degree = 0
    _place(least, scale, reach, side)
    for cosines in tables:
        degree += 1
        if degree < begin.size and reach + _LONGER * (k - 2) > begin[degree]:
            continue
        curves = np.empty((k, cosines.shape[0]))
        _curves(k, R, a, B, scale, reach, cosines, room, curves)
        good = 0
        for phase in range(k):
            _read(curves[phase], least, side)
            left = np.abs(curves[phase, -_LAST:]).max()
            good += left * least[0] <= _SETTLED * side[1, 0]
        if good == k:
            return curves
    return np.empty((k, 0))


@compiled
def _along(
    k: int,
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    horizon: float,
    when: Moments,
    tables: tuple[FloatArray, ...],
    begin: FloatArray,
    bought: FloatArray,
    worth: FloatArray,
) -> None:
    """Fill both, of shape (k, ages, S); A is of (ages, S), all else of the draw alone."""
    most = 1 + most_moments(when)
    room = room_for(max(most, tables[-1].shape[0]), k)
    w, weight, least = np.empty(most), np.empty(most), np.empty(1)
    means, side, curves = np.empty((k, most)), np.empty((3, most)), np.empty((k, 0))
    for d in range(R.size):
        scale, reach = min(2.0 / R[d], 0.5), 0.0
        if A.shape[0] >= _WORTH and horizon > 0.0:
            low, high = A[0, d], A[0, d]
            for i in range(A.shape[0]):
                low, high = min(low, A[i, d]), max(high, A[i, d])
            reach, least[0] = math.log1p(horizon / low / scale), when.end / high
            curves = _settled(k, R[d], a[d], B[d], scale, reach, least, tables, begin, room, side)
        for i in range(A.shape[0]):
            w[0], weight[0] = horizon / A[i, d], 0.0
            count = moments_of(when, R[d] + (k - 1), A[i, d], 1, w, weight)
            if curves.shape[1] == 0:
                means_if_alive(k, 0, R[d], w, a[d], B[d], count, room, means)
            else:
                _place(w[:count], scale, reach, side)
            for phase in range(k):
                if curves.shape[1] > 0:
                    _read(curves[phase], w[:count], side)
                    for n in range(count):
                        means[phase, n] = side[1, n]
                value = 0.0
                for n in range(1, count):
                    value += weight[n] * means[phase, n]
                bought[phase, i, d], worth[phase, i, d] = means[phase, 0], value


def _cosines(degree: int) -> FloatArray:
    """Chebyshev's polynomials (rows) at the roots of the one after the last."""
    roots = (np.arange(degree + 1) + 0.5) / (degree + 1)
    return np.cos(np.pi * np.outer(np.arange(degree + 1), roots))


_TABLES: Final = tuple(_cosines(degree) for degree in _DEGREES)


def both_along(
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    horizon: float,
    delta: float,
    *,
    regularity: int,
    month: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Purchases expected of living customers of many ages, undiscounted and discounted.

    Parameters
    ----------
    R, a, B : ndarray, shape (S,)
        As in :func:`~clvmodels.formulas.erlang_values.discounted_if_alive`, of every draw; R of
        the first phase.
    A : ndarray, shape (ages, S)
        alpha + T.
    horizon, delta : float
    regularity, month
        As there.

    Returns
    -------
    tuple of ndarray, shape (regularity, ages, S)
        By phase. Equal to :func:`~clvmodels.formulas.erlang_means.purchases_if_alive` and
        :func:`~clvmodels.formulas.erlang_values.discounted_if_alive` within 1e-10.
    """
    k, _ = check_regularity(regularity, 0)
    if math.isinf(horizon):
        each = [(R + j, A, a, B, horizon) for j in range(k)]
        bought = [purchases_if_alive(*each[j], regularity=k, phase=j) for j in range(k)]
        if delta == 0.0:
            return np.array(bought), np.array(bought)
        worth = [
            discounted_if_alive(*each[j], delta, regularity=k, phase=j, month=month)
            for j in range(k)
        ]
        return np.array(bought), np.array(worth)
    check_discounting(horizon, delta, month)
    check_positive(R=R, A=A, a=a, B=B)
    both = np.empty((2, k, *A.shape))
    when = moments(horizon, delta, month or 0.0)
    _along(k, R, A, a, B, horizon, when, _TABLES, _FROM, both[0], both[1])
    return both[0], both[1]
