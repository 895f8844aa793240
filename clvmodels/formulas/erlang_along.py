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
from clvmodels.formulas.erlang_counts import (
    ROOM,
    check_regularity,
    mean_if_alive,
    purchases_if_alive,
)
from clvmodels.formulas.erlang_values import (
    POINTS,
    Moments,
    discounted_if_alive,
    moments,
    pieces_above,
    value_if_alive,
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
def _curve(
    k: int,
    phase: int,
    R: float,
    a: float,
    B: float,
    scale: float,
    reach: float,
    cosines: FloatArray,
    p: FloatArray,
    weight: FloatArray,
) -> FloatArray:
    """Coefficients of M(w) / w by Chebyshev's polynomials, from the roots of the last one."""
    size = cosines.shape[0]
    values, found = np.empty(size), np.zeros(size)
    for i in range(size):
        w = scale * math.expm1(reach * (1.0 + cosines[1, i]) / 2.0)
        values[i] = mean_if_alive(k, phase, R, w, a, B, p, weight) / w
    for j in range(size):
        for i in range(size):
            found[j] += cosines[j, i] * values[i]
        found[j] *= (2.0 if j else 1.0) / size
    return found


@compiled
def _read(
    coefficients: FloatArray, scale: float, reach: float, count: int, room: FloatArray
) -> None:
    """Fill room[2] with M at ``count`` many w in room[0]: Clenshaw's rule, side by side."""
    for i in range(count):
        room[1, i] = 4.0 * math.log1p(room[0, i] / scale) / reach - 2.0
        room[2, i], room[3, i] = 0.0, 0.0
    for j in range(coefficients.size - 1, 0, -1):
        c = coefficients[j]
        for i in range(count):
            new = room[1, i] * room[2, i] - room[3, i] + c
            room[3, i], room[2, i] = room[2, i], new
    for i in range(count):
        last = 0.5 * room[1, i] * room[2, i] - room[3, i] + coefficients[0]
        room[2, i] = room[0, i] * last


@compiled
def _asked(
    when: Moments, horizon: float, R: float, A: float, w: FloatArray, weight: FloatArray
) -> int:
    """Fill in the horizon, and the moments of one age with their weights; return how many."""
    w[0], w[1] = horizon / A, when.end / A
    weight[0], weight[1] = 0.0, when.end_weight
    if when.rest.shape[0] == 0:
        return 2
    above, count = pieces_above(when, R, A), 2
    for q in range(above + 1):
        nodes = when.piece[q] if q < above else when.rest[q]
        weights = when.piece_weight[q] if q < above else when.rest_weight[q]
        for i in range(nodes.size):
            if weights[i] != 0.0:
                w[count], weight[count] = nodes[i] / A, weights[i]
                count += 1
    return count


@compiled
def _along(
    k: int,
    phase: int,
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
    """Fill both, of shape (ages, S), of which A is too; all else is of the draw alone."""
    p, p_weight = np.empty(ROOM), np.empty(ROOM)
    most = 2 + POINTS * (when.piece.shape[0] + 1)
    room, weight = np.empty((4, most)), np.empty(most)
    for d in range(R.size):
        scale = min(2.0 / R[d], 0.5)
        reach = math.log1p(horizon / A[:, d].min() / scale)
        settled, degree, coefficients = False, 0, np.empty(0)
        for cosines in tables:
            late = degree + 1 < begin.size and reach + _LONGER * (k - 2) > begin[degree + 1]
            degree += 1
            if settled or late:
                continue
            coefficients = _curve(k, phase, R[d], a[d], B[d], scale, reach, cosines, p, p_weight)
            room[0, 0] = when.end / A[:, d].max()
            _read(coefficients, scale, reach, 1, room)
            left = np.abs(coefficients[-_LAST:]).max()
            settled = left * room[0, 0] <= _SETTLED * room[2, 0]
        for i in range(A.shape[0]):
            if not settled:
                w = horizon / A[i, d]
                bought[i, d] = mean_if_alive(k, phase, R[d], w, a[d], B[d], p, p_weight)
                worth[i, d] = value_if_alive(k, phase, R[d], A[i, d], a[d], B[d], when, p, p_weight)
                continue
            count = _asked(when, horizon, R[d], A[i, d], room[0], weight)
            _read(coefficients, scale, reach, count, room)
            value = 0.0
            for n in range(1, count):
                value += weight[n] * room[2, n]
            bought[i, d], worth[i, d] = room[2, 0], value


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
    phase: int = 0,
    month: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Purchases expected of living customers of many ages, undiscounted and discounted.

    Parameters
    ----------
    R, a, B : ndarray, shape (S,)
        As in :func:`~clvmodels.formulas.erlang_values.discounted_if_alive`, of every draw.
    A : ndarray, shape (ages, S)
        alpha + T.
    horizon, delta : float
    regularity, phase, month
        As there.

    Returns
    -------
    tuple of ndarray, shape (ages, S)
        Equal to :func:`~clvmodels.formulas.erlang_counts.purchases_if_alive` and
        :func:`~clvmodels.formulas.erlang_values.discounted_if_alive` within 1e-10.
    """
    if len(A) < _WORTH or not 0.0 < horizon < math.inf:
        terms = {"regularity": regularity, "phase": phase}
        bought = purchases_if_alive(R, A, a, B, horizon, regularity=regularity, phase=phase)
        if delta == 0.0:
            return bought, bought
        return bought, discounted_if_alive(R, A, a, B, horizon, delta, month=month, **terms)
    check_discounting(horizon, delta, month)
    k, phase = check_regularity(regularity, phase)
    check_positive(R=R, A=A, a=a, B=B)
    bought, worth = np.empty(A.shape), np.empty(A.shape)
    when = moments(horizon, delta, month or 0.0)
    _along(k, phase, R, A, a, B, horizon, when, _TABLES, _FROM, bought, worth)
    return bought, worth
