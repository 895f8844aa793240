"""Purchases if alive by a power series under Gauss-Legendre nodes: the fast rule.

In u = ln(1 + s/A) the purchase rate of a living customer is m(s) ds = R e^u F du with

    F = 2F1(R+1, a; a+B; -s/A) = e^(-a u) 2F1(a, d; c; v),   v = 1 - e^-u,

c = a + B, d = c - R - 1 (Pfaff). For BG/NBD d = a + b - r - 1 does not depend on x, so
the coefficients are small, mostly of one sign, and serve every T of one x and draw.
Where d is far below 0, as of customers who come regularly, they alternate and cancel, and
Euler's form of the same function is taken, whose terms are all positive:

    F = e^(-(R+1) u) 2F1(R+1, B; c; v)

What the rule cannot do to full accuracy, or not more quickly, it marks NaN, for _robust.py
to fill.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.special import exp_negative, one_less_exp
from clvmodels.schema import FloatArray

_X16, _W16 = np.polynomial.legendre.leggauss(16)
_DEGREE = np.arange(16)
_LEGENDRE = np.ascontiguousarray((np.polynomial.legendre.legvander(_X16, 15) * (_DEGREE + 0.5)).T)
# P_m+1 = GROWS t P_m - FALLS P_m-1
_GROWS, _FALLS = (2.0 * _DEGREE + 1.0) / (_DEGREE + 1.0), _DEGREE / (_DEGREE + 1.0)
_SHARE = 1.0 / (2.0 * _DEGREE + 1.0)
_TERMS = 2048
_MAX_PANELS = 32
# Rows of the one array that the loops work in, since each array that is handed on costs the time
# of a panel (numba counts who holds it): of the nodes of all panels, and the coefficients by x.
_U, _V, _RATE, _DISCOUNT, _FIRST_X = 0, 1, 2, 3, 4
_PANEL = 2.0  # length in u of one panel, where a and |d| are at most _SMOOTH
_SMOOTH = 12.0
_MONTHLY_PANEL = 1.0
_MONTHLY_SMOOTH = 4.0
_USUAL_SIZE = 40.0  # of a and |d|: above it what a case costs is looked at
_MAX_EXPONENT = 600.0  # of Euler's form, short of what a number can hold
# Terms of all panels that cost as much as _robust.py, with a discount and without
_MOST_TERMS = 8192
_MOST_UNDISCOUNTED = 512
_MAX_DISCOUNT = 10.0  # of delta times horizon
_MAX_MONTHS = 4096.0
_TOLERANCE = 1e-14
_MAX_CANCELLATION = 1e3


@compiled
def _fill_coefficients(
    a: float, d: float, c: float, room: FloatArray, row: int, begin: int
) -> None:
    """Fill the next eight of 2F1(a, d; c; v); the ratios do not wait for each other."""
    last = room[row, begin - 1] if begin > 0 else 1.0
    for k in range(begin, begin + 8):
        if k > 0:
            last *= ((a + k - 1.0) * (d + k - 1.0)) / ((c + k - 1.0) * k)
        room[row, k] = last


@compiled
def _count_terms(
    a: float, d: float, c: float, v: float, room: FloatArray, row: int, filled: int, most: int
) -> tuple[int, int]:
    """Terms of 2F1(a, d; c; v) until the rest is negligible; -1 where there is no end.

    They come in eights. The ratio of later terms is at most v max(1, (a+k)/(1+k)) as |d| <= c,
    which bounds the rest by a geometric series.
    """
    v2 = v * v
    v4, power, value, largest = v2 * v2, 1.0, 0.0, 0.0
    for k in range(0, most, 8):
        if k >= filled:
            _fill_coefficients(a, d, c, room, row, k)
            filled = k + 8
        t0, t1 = room[row, k], room[row, k + 1] * v
        t2, t3 = room[row, k + 2] * v2, room[row, k + 3] * (v2 * v)
        t4, t5 = room[row, k + 4] * v4, room[row, k + 5] * (v4 * v)
        t6, t7 = room[row, k + 6] * (v4 * v2), room[row, k + 7] * (v4 * (v2 * v))
        value += power * (((t0 + t1) + (t2 + t3)) + ((t4 + t5) + (t6 + t7)))
        most = max(max(abs(t0), abs(t1)), max(abs(t2), abs(t3)))
        most = max(most, max(max(abs(t4), abs(t5)), max(abs(t6), abs(t7))))
        largest = max(largest, power * most)
        ratio = v if a <= 1.0 else v * ((a + k + 7.0) / (k + 8.0))
        if power * abs(t7) * ratio <= _TOLERANCE * min(1.0, value) * (1.0 - ratio):
            return (k + 8 if largest <= _MAX_CANCELLATION * value else -1), filled
        power *= v4 * v4
    return -1, filled


@compiled
def _monthly_weights(
    A: float, lo: float, hi: float, delta: float, month: float, weight: FloatArray
) -> None:
    """Weights that stand for the discount factor at the 16 nodes of a panel in u.

    The factor e^(-delta k month) is a step function of u. The integrand's Legendre series
    over the panel is integrated exactly from month's end to month's end.
    """
    moment, before = np.zeros(16), np.zeros(16)
    before[0] = -1.0
    legendre = np.empty(17)
    legendre[0] = 1.0
    stop = A * math.expm1(hi)
    k = np.floor(A * math.expm1(lo) / month) + 1.0
    while True:
        last = k * month >= stop
        t = 1.0 if last else 2.0 * (math.log1p(k * month / A) - lo) / (hi - lo) - 1.0
        legendre[1] = t
        for m in range(1, 16):
            legendre[m + 1] = _GROWS[m] * t * legendre[m] - _FALLS[m] * legendre[m - 1]
        factor = math.exp(-delta * k * month)
        for m in range(16):  # the integral of P_m is (P_m+1 - P_m-1) / (2m + 1)
            integral = (legendre[m + 1] - legendre[m - 1]) * _SHARE[m] if m > 0 else t
            moment[m] += factor * (integral - before[m])
            before[m] = integral
        if last:
            break
        k += 1.0
    weight[:] = 0.0
    for m in range(16):
        for i in range(16):
            weight[i] += _LEGENDRE[m, i] * moment[m]


@compiled
def _count_panels(size: float, A: float, horizon: float, delta: float, month: float) -> int:
    """Panels that make the rule good to 1e-11; 0 where it is not for this case.

    The limits were found in a scan against _robust.py, which a test repeats.
    """
    if math.isinf(horizon) or delta * horizon > _MAX_DISCOUNT:
        return 0
    end = math.log1p(horizon / A)
    if month == 0.0:
        panels = end / _PANEL * max(1.0, size / _SMOOTH)
    elif horizon <= _MAX_MONTHS * month:
        panels = end / _MONTHLY_PANEL * max(1.0, size / _MONTHLY_SMOOTH)
    else:
        return 0
    return math.ceil(panels) if panels <= _MAX_PANELS else 0


@compiled
def _place_nodes(
    A: float,
    a: float,
    horizon: float,
    delta: float,
    month: float,
    panels: int,
    room: FloatArray,
) -> None:
    """Fill u = ln(1 + s/A), v, weight times e^((1-a) u), and discounts at the nodes."""
    end = math.log1p(horizon / A)
    for k in range(panels):
        lo, hi, n = end * k / panels, end * (k + 1) / panels, 16 * k
        half = 0.5 * (hi - lo)
        for i in range(16):
            u = lo + half * (1.0 + _X16[i])
            room[_U, n + i] = u
            less = exp_negative(-u)
            room[_V, n + i] = one_less_exp(-u)
            room[_RATE, n + i] = half * _W16[i] * exp_negative(-a * u) / less
            room[_DISCOUNT, n + i] = exp_negative(-delta * A * (room[_V, n + i] / less))
        if month > 0.0:
            _monthly_weights(A, lo, hi, delta, month, room[_DISCOUNT, n : n + 16])


@compiled
def _evaluate(room: FloatArray, row: int, terms: int, lo: int, out: FloatArray) -> None:
    """Evaluate the series at 16 nodes: a number known when compiling, so it vectorises.

    Eight terms at a time, in pairs of pairs: a term at a time waits for the one before.
    """
    for i in range(16):
        out[i] = 0.0
    for k in range(terms - 8, -1, -8):
        c0, c1, c2, c3 = (
            room[row, k],
            room[row, k + 1],
            room[row, k + 2],
            room[row, k + 3],
        )
        c4, c5, c6, c7 = (
            room[row, k + 4],
            room[row, k + 5],
            room[row, k + 6],
            room[row, k + 7],
        )
        for i in range(16):
            w = room[_V, lo + i]
            w2 = w * w
            w4 = w2 * w2
            high = (c7 * w + c6) * w2 + (c5 * w + c4)
            out[i] = (out[i] * w4 + high) * w4 + ((c3 * w + c2) * w2 + (c1 * w + c0))


@compiled
def _large_pair(
    R: float,
    A: float,
    a: float,
    B: float,
    horizon: float,
    delta: float,
    month: float,
    room: FloatArray,
    row: int,
    filled: int,
    out: FloatArray,
    placed: int,
) -> tuple[float, float, int, int]:
    """As `_pair`, where a or d is large, so that it may take more than _robust.py does.

    A loop for both cases makes the usual one, which is the most of scoring, a sixth slower.
    """
    c = a + B
    d = c - R - 1.0
    euler = -d > min(c, _USUAL_SIZE)  # signs alternate for so long that the terms cancel
    first, second = (R + 1.0, B) if euler else (a, d)
    end = math.log1p(horizon / A)
    size = max(first, abs(d)) + delta * horizon / end
    panels = _count_panels(size, A, horizon, delta, month)
    if panels == 0 or (euler and size * end > _MAX_EXPONENT):
        return math.nan, math.nan, filled, placed
    most = min((_MOST_TERMS if delta > 0.0 else _MOST_UNDISCOUNTED) // panels, _TERMS)
    if panels != placed:
        _place_nodes(A, a, horizon, delta, month, panels, room)
    total, discounted = 0.0, 0.0
    for lo in range(16 * panels - 16, -1, -16):  # the last has the most terms: if too many, stop
        v = room[_V, lo + 15]
        terms, filled = _count_terms(first, second, c, v, room, row, filled, most)
        if terms < 0:
            return math.nan, math.nan, filled, panels
        _evaluate(room, row, terms, lo, out)
        for i in range(16):
            value = room[_RATE, lo + i] * exp_negative((a - first) * room[_U, lo + i]) * out[i]
            total += value
            discounted += value * room[_DISCOUNT, lo + i]
    return R * total, R * discounted, filled, panels


@compiled
def _pair(
    R: float,
    A: float,
    a: float,
    B: float,
    horizon: float,
    delta: float,
    month: float,
    room: FloatArray,
    row: int,
    filled: int,
    out: FloatArray,
    placed: int,
) -> tuple[float, float, int, int]:
    """Undiscounted and discounted purchases; how many coefficients are known, panels placed."""
    if horizon == 0.0:
        return 0.0, 0.0, filled, placed
    c = a + B
    d = c - R - 1.0
    size = max(a, abs(d))
    if size > _USUAL_SIZE or -d > c:
        return _large_pair(R, A, a, B, horizon, delta, month, room, row, filled, out, placed)
    panels = _count_panels(size, A, horizon, delta, month)
    if panels == 0:
        return math.nan, math.nan, filled, placed
    if panels != placed:
        _place_nodes(A, a, horizon, delta, month, panels, room)
    total, discounted = 0.0, 0.0
    for lo in range(0, 16 * panels, 16):
        terms, filled = _count_terms(a, d, c, room[_V, lo + 15], room, row, filled, _TERMS)
        if terms < 0:
            return math.nan, math.nan, filled, panels
        _evaluate(room, row, terms, lo, out)
        for i in range(16):
            value = room[_RATE, lo + i] * out[i]
            total += value
            discounted += value * room[_DISCOUNT, lo + i]
    return R * total, R * discounted, filled, panels


@compiled
def series_loop(
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    delta: FloatArray,
    month: float,
    purchases: FloatArray,
    discounted: FloatArray,
) -> None:
    """Both values element by element; the coefficients are kept while R, a, B stay."""
    room, out, row, filled = np.empty((_FIRST_X + 1, _TERMS)), np.empty(16), _FIRST_X, 0
    for i in range(R.size):
        if i > 0 and (R[i] != R[i - 1] or a[i] != a[i - 1] or B[i] != B[i - 1]):
            filled = 0
        purchases[i], discounted[i], filled, _ = _pair(
            R[i], A[i], a[i], B[i], horizon[i], delta[i], month, room, row, filled, out, 0
        )


@compiled
def series_block(
    r: FloatArray,
    alpha: FloatArray,
    a: FloatArray,
    b: FloatArray,
    x: FloatArray,
    stays: FloatArray,
    x_of: npt.NDArray[np.int64],
    T: FloatArray,
    horizon: float,
    delta: float,
    month: float,
    purchases: FloatArray,
    discounted: FloatArray,
) -> None:
    """Both values for every draw and every (x[x_of], T).

    Sort by T: those of one T share the nodes, which are the most of the cost where there are
    many x, or months. Those of one x share its coefficients.
    """
    room, out = np.empty((_FIRST_X + x.size, _TERMS)), np.empty(16)
    filled = np.empty(x.size, dtype=np.int64)
    for i in range(r.size):
        filled[:] = 0
        placed = 0
        for j in range(T.size):
            if j > 0 and T[j] != T[j - 1]:
                placed = 0
            k = x_of[j]
            purchases[i, j], discounted[i, j], filled[k], placed = _pair(
                r[i] + x[k],
                alpha[i] + T[j],
                a[i],
                b[i] + stays[k],
                horizon,
                delta,
                month,
                room,
                _FIRST_X + k,
                filled[k],
                out,
                placed,
            )
