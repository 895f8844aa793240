"""Special functions for compiled loops.

SciPy's ufuncs cannot be called there, and the C library's exp and log1p keep a loop from
being vectorised. Those below are branch-free polynomials (minimax, coefficients from
mpmath's ``chebyfit``), right to 4 units in the last place.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

_SHIFT: Final = 8.0
_HALF_LOG_2PI: Final = 0.5 * math.log(2.0 * math.pi)

_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_LEAST_EXPONENT: Final = -708.0
_FRACTION: Final = (1 << 52) - 1
_ONE: Final = 1023 << 52
_MOST: Final = 1e300


@compiled
def digamma(x: float) -> float:
    """Logarithmic derivative of the gamma function for x > 0.

    Shifted by psi(x) = psi(x + 1) - 1/x (DLMF 5.5.2) to where seven terms of the
    asymptotic series (DLMF 5.11.2) are exact in double precision.
    """
    shift = 0.0
    while x < _SHIFT:
        shift -= 1.0 / x
        x += 1.0
    u = 1.0 / (x * x)
    series = u * (
        1 / 12
        - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132 - u * (691 / 32760 - u / 12)))))
    )
    return shift + math.log(x) - 0.5 / x - series


@compiled
def stirling_error(z: float) -> float:
    """Return ln G(z) less Stirling's formula (z - 1/2) ln z - z + ln(2 pi) / 2, z > 0.

    DLMF 5.11.1; six terms are exact in double precision from z = 16 on.
    """
    if z < 16.0:
        return math.lgamma(z) - (z - 0.5) * math.log(z) + z - _HALF_LOG_2PI
    w = 1.0 / z
    u = w * w
    return w * (
        1 / 12 - u * (1 / 360 - u * (1 / 1260 - u * (1 / 1680 - u * (1 / 1188 - u * 691 / 360360))))
    )


@compiled
def deviance(k: float, mean: float) -> float:
    """Return k ln(k / mean) + mean - k, without cancellation where k is near the mean."""
    t = (mean - k) / k
    if abs(t) >= 0.1:
        return k * (t - math.log(mean / k))
    series, power = 0.0, t * t  # t - ln(1 + t) = t^2 (1/2 - t/3 + t^2/4 - ...)
    for j in range(2, 17):
        series += power / j
        power *= -t
    return k * series


@compiled
def log_rising(z: float, k: float) -> float:
    """Return ln G(z + k) - ln G(z) for z > 0, k >= 0, at any size of z.

    The two logarithms themselves lose every digit of their difference where z is large:
    at z = 1e20 they are right to 5e5.
    """
    if z < 16.0:
        return math.lgamma(z + k) - math.lgamma(z)
    growth = (z - 0.5) * math.log1p(k / z) + k * (math.log(z + k) - 1.0)
    return growth + (stirling_error(z + k) - stirling_error(z))


@compiled
def _reduced(y: float) -> tuple[float, float]:
    """e^f - 1 and 2^n of e^y = 2^n e^f, y <= 0, without a branch; of e^-708 below that.

    y = n ln 2 + f with |f| <= ln(2) / 2; a polynomial for e^f, and 2^n by its bits.
    """
    y = max(y, _LEAST_EXPONENT)
    n = np.floor(y * _LOG2_E + 0.5)
    f = (y - n * _LN2_HIGH) - n * _LN2_LOW
    p = 2.09215799649503e-09 * f + 2.5114869528657765e-08
    p = p * f + 2.7557251904174915e-07
    p = p * f + 2.7557224958392624e-06
    p = p * f + 2.4801587350110797e-05
    p = p * f + 0.000198412699092171
    p = p * f + 0.001388888888887189
    p = p * f + 0.008333333333309528
    p = p * f + 0.04166666666666669
    p = p * f + 0.16666666666666702
    p = p * f + 0.5
    p = p * f + 1.0
    bits = (np.int64(n) + 1023) << 52
    return p * f, float(np.int64(bits).view(np.float64))


@compiled
def exp_negative(y: float) -> float:
    """e^y for y <= 0, without a branch; e^-708 below that."""
    more, power = _reduced(y)
    return (more + 1.0) * power


@compiled
def one_less_exp(y: float) -> float:
    """1 - e^y for y <= 0, without a branch, and without cancellation near 0."""
    more, power = _reduced(y)
    return (1.0 - power) - power * more


@compiled
def log1p_unit(e: float) -> float:
    """Natural logarithm of 1 + e for 0 <= e <= 1, without a branch: 2 atanh(e / (2 + e))."""
    s = e / (2.0 + e)
    t = s * s
    p = 0.08522081781390699 * t + 0.0416225325593041
    p = p * t + 0.06055084364034609
    p = p * t + 0.06650187016337313
    p = p * t + 0.07693307021152004
    p = p * t + 0.09090870416252403
    p = p * t + 0.11111112040373837
    p = p * t + 0.14285714272727057
    p = p * t + 0.20000000000092874
    p = p * t + 0.33333333333333076
    p = p * t + 1.0
    return 2.0 * s * p


@compiled
def log_from_one(y: float) -> float:
    """Natural logarithm of a finite y >= 1, without a branch: y = 2^n (1 + e) by its bits.

    Below 1, down to 1e-300, it is right to 4e-16 or 4 ulp, whichever is more.
    """
    bits = np.float64(y).view(np.int64)
    n = float((bits >> 52) - 1023)
    e = np.int64((bits & _FRACTION) | _ONE).view(np.float64) - 1.0
    return float(n * _LN2_HIGH + (n * _LN2_LOW + log1p_unit(e)))


@compiled
def log_sums(t: FloatArray, alpha: FloatArray) -> FloatArray:
    """Natural logarithm of alpha + t by time and draw, shape (len(t), S), to 4e-16 or 4 ulp."""
    out = np.empty((t.size, alpha.size))
    for i in range(t.size):
        for d in range(alpha.size):
            out[i, d] = log_from_one(alpha[d] + t[i])
    return out


@compiled
def growth_logs(length: FloatArray, t: FloatArray, alpha: FloatArray) -> FloatArray:
    """Natural logarithm of 1 + length / (alpha + t) by time and draw, shape (len(t), S).

    Lengths, one for each draw, are at least 0, and may be infinite; to 4 ulp.
    """
    out = np.empty((t.size, alpha.size))
    for i in range(t.size):
        for d in range(alpha.size):
            e = length[d] / (alpha[d] + t[i])
            y = 1.0 + min(e, _MOST)
            # What 1 + e has lost of e, over y, is missing in the logarithm
            log = log_from_one(y) + (min(e, _MOST) - (y - 1.0)) / y
            out[i, d] = log if e <= _MOST else np.inf
    return out
