"""Purchases if alive by a power series under Gauss-Legendre nodes: the fast rule.

In u = ln(1 + s/A) the purchase rate of a living customer is m(s) ds = R e^u F du with

    F = 2F1(R+1, a; a+B; -s/A) = e^(-a u) 2F1(a, d; c; v),   v = 1 - e^-u,

c = a + B, d = c - R - 1 (Pfaff). For BG/NBD d = a + b - r - 1 does not depend on x, so
the coefficients are small, mostly of one sign, and serve every T of one x and draw.
What the rule cannot do to full accuracy it marks NaN, for _robust.py to fill.
"""

from __future__ import annotations

import math

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.special import exp_negative, one_less_exp
from clvmodels.schema import FloatArray

_X16, _W16 = np.polynomial.legendre.leggauss(16)
_LEGENDRE = np.polynomial.legendre.legvander(_X16, 15) * (np.arange(16) + 0.5)
_TERMS = 2048
_MAX_PANELS = 32
_PANEL = 2.0  # length in u of one panel, where a and |d| are at most _SMOOTH
_SMOOTH = 12.0
_MONTHLY_PANEL = 1.0
_MONTHLY_SMOOTH = 4.0
_MAX_SIZE = 40.0  # of a and |d|
_MAX_DISCOUNT = 10.0  # of delta times horizon
_MAX_MONTHS = 4096.0
_TOLERANCE = 1e-14
_MAX_CANCELLATION = 1e3


@compiled
def _count_terms(
    a: float, d: float, c: float, v: float, coefficients: FloatArray, filled: int
) -> tuple[int, int]:
    """Terms of 2F1(a, d; c; v) until the rest is negligible; -1 where there is no end.

    The ratio of later terms is at most v max(1, (a+k)/(1+k)) as |d| <= c, which bounds
    the rest by a geometric series.
    """
    term, power, value, largest = 1.0, 1.0, 0.0, 0.0
    for k in range(_TERMS - 1):
        if k >= filled:
            coefficients[k] = (
                coefficients[k - 1] * (a + k - 1.0) * (d + k - 1.0) / ((c + k - 1.0) * k)
            )
            filled = k + 1
        term = coefficients[k] * power
        value += term
        size = abs(term)
        largest = max(largest, size)
        ratio = v * max(1.0, (a + k) / (1.0 + k))
        if size * ratio <= _TOLERANCE * min(1.0, value) * (1.0 - ratio):
            return (k + 1 if largest <= _MAX_CANCELLATION * value else -1), filled
        power *= v
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
            legendre[m + 1] = ((2.0 * m + 1.0) * t * legendre[m] - m * legendre[m - 1]) / (m + 1.0)
        factor = math.exp(-delta * k * month)
        for m in range(16):  # the integral of P_m is (P_m+1 - P_m-1) / (2m + 1)
            integral = (legendre[m + 1] - legendre[m - 1]) / (2.0 * m + 1.0) if m > 0 else t
            moment[m] += factor * (integral - before[m])
            before[m] = integral
        if last:
            break
        k += 1.0
    for i in range(16):
        weight[i] = 0.0
        for m in range(16):
            weight[i] += _LEGENDRE[i, m] * moment[m]


@compiled
def _count_panels(
    R: float, A: float, a: float, c: float, horizon: float, delta: float, month: float
) -> int:
    """Panels that make the rule good to 1e-11; 0 where it is not for this case.

    The limits were found in a scan against _robust.py, which a test repeats.
    """
    d = abs(c - R - 1.0)
    size = max(a, d)
    if math.isinf(horizon) or d > c or size > _MAX_SIZE or delta * horizon > _MAX_DISCOUNT:
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
    v: FloatArray,
    rate: FloatArray,
    discount: FloatArray,
) -> None:
    """Fill v, weight times e^((1-a) u), and discounts at the nodes in u = ln(1 + s/A)."""
    end = math.log1p(horizon / A)
    for k in range(panels):
        lo, hi, n = end * k / panels, end * (k + 1) / panels, 16 * k
        half = 0.5 * (hi - lo)
        for i in range(16):
            u = lo + half * (1.0 + _X16[i])
            less = exp_negative(-u)
            v[n + i] = one_less_exp(-u)
            rate[n + i] = half * _W16[i] * exp_negative(-a * u) / less
            discount[n + i] = exp_negative(-delta * A * (v[n + i] / less))
        if month > 0.0:
            _monthly_weights(A, lo, hi, delta, month, discount[n : n + 16])


@compiled
def _pair(
    R: float,
    A: float,
    a: float,
    B: float,
    horizon: float,
    delta: float,
    month: float,
    coefficients: FloatArray,
    filled: int,
    work: FloatArray,
) -> tuple[float, float, int]:
    """Undiscounted and discounted purchases, and how many coefficients are known."""
    if horizon == 0.0:
        return 0.0, 0.0, filled
    c = a + B
    d = c - R - 1.0
    panels = _count_panels(R, A, a, c, horizon, delta, month)
    if panels == 0:
        return math.nan, math.nan, filled
    v, rate, discount, series = work[0], work[1], work[2], work[3]
    _place_nodes(A, a, horizon, delta, month, panels, v, rate, discount)
    total, discounted = 0.0, 0.0
    for lo in range(0, 16 * panels, 16):
        hi = lo + 16
        terms, filled = _count_terms(a, d, c, v[hi - 1], coefficients, filled)
        if terms < 0:
            return math.nan, math.nan, filled
        series[lo:hi] = coefficients[terms - 1]
        for k in range(terms - 2, -1, -1):
            for i in range(lo, hi):
                series[i] = series[i] * v[i] + coefficients[k]
        for i in range(lo, hi):
            total += rate[i] * series[i]
            discounted += rate[i] * series[i] * discount[i]
    return R * total, R * discounted, filled


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
    coefficients, work = np.empty(_TERMS), np.empty((4, 16 * _MAX_PANELS))
    coefficients[0] = 1.0
    filled = 1
    for i in range(R.size):
        if i > 0 and (R[i] != R[i - 1] or a[i] != a[i - 1] or B[i] != B[i - 1]):
            filled = 1
        purchases[i], discounted[i], filled = _pair(
            R[i], A[i], a[i], B[i], horizon[i], delta[i], month, coefficients, filled, work
        )


@compiled
def series_block(
    r: FloatArray,
    alpha: FloatArray,
    a: FloatArray,
    b: FloatArray,
    x: FloatArray,
    T: FloatArray,
    stays: FloatArray,
    horizon: float,
    delta: float,
    month: float,
    purchases: FloatArray,
    discounted: FloatArray,
) -> None:
    """Both values for every draw and every (x, T); sort by x to share coefficients."""
    coefficients, work = np.empty(_TERMS), np.empty((4, 16 * _MAX_PANELS))
    coefficients[0] = 1.0
    for i in range(r.size):
        filled = 1
        for j in range(x.size):
            if j > 0 and x[j] != x[j - 1]:
                filled = 1
            purchases[i, j], discounted[i, j], filled = _pair(
                r[i] + x[j],
                alpha[i] + T[j],
                a[i],
                b[i] + stays[j],
                horizon,
                delta,
                month,
                coefficients,
                filled,
                work,
            )
