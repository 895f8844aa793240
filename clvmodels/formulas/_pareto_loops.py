"""Loops of Pareto/NBD over what living customers do: their remaining life, their counts.

Given alive at T, lambda ~ Gamma(R, A) and mu ~ Gamma(s, B), independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from clvmodels.formulas._domain import flat
from clvmodels.formulas._jit import compiled
from clvmodels.formulas._robust import gamma_rule
from clvmodels.formulas.counts import log_negative_binomial
from clvmodels.formulas.discounting import flow_of_one
from clvmodels.formulas.special import log_rising
from clvmodels.schema import FloatArray

_NODES = 8192
X16, W16 = np.polynomial.legendre.leggauss(16)
FALL = 38.0  # logarithm of what is cut off beside the peak: 3e-17
# Longest panel of a log-concave integrand in ln(time): its nearest singularity is pi away;
# a bell of 1.25 standard deviations to either side, and an exponential of e^12 from end to
# end, are both exact to 1e-15 with 16 nodes. Curvature may grow by e^1.5 over a panel.
PANEL, BELL, SLOPE = 1.5, 2.5, 12.0


def each(loop: Callable[..., None], *columns: FloatArray, options: tuple[Any, ...] = ()) -> Any:
    """Run a loop over columns brought to one shape."""
    arrays, shape = flat(*columns)
    out = np.empty(arrays[0].size)
    loop(*arrays, *options, out)
    return out.reshape(shape)


def in_order(
    loop: Callable[..., None],
    R: FloatArray,
    A: FloatArray,
    s: FloatArray,
    B: FloatArray,
    *more: FloatArray,
    options: tuple[Any, ...] = (),
) -> FloatArray:
    """As :func:`each`, in an order in which one quadrature rule serves many elements."""
    arrays, shape = flat(R, A, s, B, *more)
    apart = np.abs(arrays[1] - arrays[3]) / np.minimum(arrays[1], arrays[3])
    order = np.lexsort((-apart, arrays[2], arrays[0]))
    out = np.empty(order.size)
    out[order] = each(loop, *(column[order] for column in arrays), options=options)
    return out.reshape(shape)


@compiled
def rising_loop(r: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """Logarithm of the rising factorial, ln G(r + x) - ln G(r), element by element."""
    for i in range(out.size):
        out[i] = log_rising(r[i], x[i])


@compiled
def active_time(s: float, B: float, horizon: float) -> float:
    """Time that a living customer is expected to stay within the horizon.

    E[(1 - e^(-mu h)) / mu] = B (1 - (1 + h/B)^(1-s)) / (s - 1), without its pole at s = 1.
    """
    if math.isinf(horizon):
        return B / (s - 1.0) if s > 1.0 else math.inf
    u = math.log1p(horizon / B)
    y = (1.0 - s) * u
    return B * u * (math.expm1(y) / y if y != 0.0 else 1.0)


@compiled
def active_time_loop(s: FloatArray, B: FloatArray, horizon: FloatArray, out: FloatArray) -> None:
    """:func:`active_time`, element by element."""
    for i in range(out.size):
        out[i] = active_time(s[i], B[i], horizon[i])


@compiled
def discounted_time_loop(
    s: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    delta: FloatArray,
    month: float,
    out: FloatArray,
) -> None:
    """Time that a living customer is expected to stay, discounted, element by element.

    E[g(mu)], g the present value of the flow e^(-mu t), by the trapezoid rule in ln(mu):
    every term is positive, and its step and ends follow from bounds on its error, whatever
    s and delta B. In closed form this is a difference of incomplete gamma functions of order
    1 - s, or over a lifetime Kummer's U(s, s, delta B) (Fader, Hardie & Lee 2005, "RFM and
    CLV"), whose factors run off near s = 1 and for large delta B.
    A rule serves as long as s stays and delta B or horizon / B does not ask for more.
    """
    rate, weight = np.empty(_NODES), np.empty(_NODES)
    reach, n = -1.0, 0
    for i in range(out.size):
        if delta[i] == 0.0 or horizon[i] == 0.0:
            out[i] = active_time(s[i], B[i], horizon[i])
            continue
        wait = min(horizon[i], max(1.0 / delta[i], month)) / B[i]
        if not (i > 0 and s[i] == s[i - 1] and wait <= reach):
            reach = 4.0 * wait
            n = gamma_rule(s[i], reach, rate, weight)
        discount, interest = math.exp(-delta[i] * month), -math.expm1(-delta[i] * month)
        value = 0.0
        for j in range(n):
            value += weight[j] * flow_of_one(
                rate[j] / B[i], horizon[i], delta[i], month, discount, interest
            )
        out[i] = value


@compiled
def _peak(k: float, M: float, A: float, m: float, B: float) -> float:
    """Return the t where k = M t / (A + t) + m t / (B + t), k < M + m."""
    fall = M + m - k
    half = 0.5 * (k * (A + B) - M * B - m * A)
    root = math.sqrt(half * half + fall * k * A * B)
    return (half + root) / fall if half > 0.0 else k * A * B / (root - half)


@compiled
def _beside(
    t: float, top: float, k: float, M: float, A: float, m: float, B: float
) -> tuple[float, float, float]:
    """Logarithm of t^k (A + t)^-M (B + t)^-m over that at top, slope and curvature in ln(t)."""
    gap = t - top
    value = (
        k * math.log(t / top) - M * math.log1p(gap / (A + top)) - m * math.log1p(gap / (B + top))
    )
    one, other = t / (A + t), t / (B + t)
    return (
        value,
        k - M * one - m * other,
        M * one * (A / (A + t)) + m * other * (B / (B + t)),
    )


@compiled
def _area_beside(top: float, end: float, k: float, M: float, A: float, m: float, B: float) -> float:
    """Integral over ln(t), t <= end, of the function that :func:`_beside` gives.

    It is log-concave in ln(t): panels go from its peak to both sides until nothing is left;
    their length follows slope and curvature, so that 16 nodes give each to 1e-14.
    """
    y_top, y_end = math.log(top), math.log(end)
    # from here on a power of t, to within 1e-17
    y_power = math.log(max(A, B)) + math.log(M + m) + 39.0
    total = 0.0
    for side in (-1.0, 1.0):
        y = y_top
        while True:
            value, slope, curvature = _beside(math.exp(y), top, k, M, A, m, B)
            if value < -FALL or (side > 0.0 and y >= y_end):
                break
            if side > 0.0 and y >= y_power:
                rest = M + m - k
                total += math.exp(value) * -math.expm1(-rest * (y_end - y)) / rest
                break
            width = min(PANEL, BELL / math.sqrt(curvature + 1e-300))
            width = min(width, SLOPE / max(abs(slope), 1e-300))
            if side > 0.0:
                width = min(width, y_end - y)
            area = 0.0
            for i in range(16):
                t = math.exp(y + side * width * 0.5 * (1.0 + X16[i]))
                area += W16[i] * math.exp(_beside(t, top, k, M, A, m, B)[0])
            total += 0.5 * width * area
            y += side * width
    return total


@compiled
def at_least(n: float, R: float, A: float, s: float, B: float, horizon: float) -> float:
    """Probability that a living customer makes n or more purchases.

    The n-th comes at t with density n P(N(t) = n) / t, N negative binomial of what would be
    bought without death, and the customer must live then.
    """
    if n == 0.0:
        return 1.0
    if horizon == 0.0:
        return 0.0
    top = min(_peak(n, R + n, A, s, B), horizon)
    peak = log_negative_binomial(n, R, top / A) - s * math.log1p(top / B)
    return min(n * math.exp(peak) * _area_beside(top, horizon, n, R + n, A, s, B), 1.0)


@compiled
def exactly(n: float, R: float, A: float, s: float, B: float, horizon: float) -> float:
    """Probability that a living customer makes exactly n purchases.

    Either they live on and buy n times, or they die at t after having bought n times.
    """
    if horizon == 0.0:
        return 1.0 if n == 0.0 else 0.0
    value = 0.0
    if not math.isinf(horizon):
        lives = log_negative_binomial(n, R, horizon / A) - s * math.log1p(horizon / B)
        value = math.exp(lives)
    top = min(_peak(n + 1.0, R + n, A, s + 1.0, B), horizon)
    peak = log_negative_binomial(n, R, top / A) - s * math.log1p(top / B)
    dies = s * (top / (B + top)) * _area_beside(top, horizon, n + 1.0, R + n, A, s + 1.0, B)
    return min(value + math.exp(peak) * dies, 1.0)


@compiled
def counts_loop(
    n: FloatArray,
    R: FloatArray,
    A: FloatArray,
    s: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    cumulative: bool,
    out: FloatArray,
) -> None:
    """Probability of exactly n purchases (or of more than n), element by element."""
    for i in range(out.size):
        if cumulative:
            out[i] = at_least(n[i] + 1.0, R[i], A[i], s[i], B[i], horizon[i])
        else:
            out[i] = exactly(n[i], R[i], A[i], s[i], B[i], horizon[i])
