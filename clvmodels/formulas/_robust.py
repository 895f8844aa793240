"""Purchases if alive by quadrature over the dropout probability and the purchase rate.

With lambda ~ Gamma(R, A) and p ~ Beta(a, B) a living customer buys, discounted,

    D = E[lambda g(lambda p)] = (R / A) E[g(lambda' p)],   lambda' ~ Gamma(R + 1, A),

where g(theta) is the present value of the flow e^(-theta s) (discounting.py). In the
variables ln(lambda) and logit(p) both densities are analytic in a strip about the real
line and g falls at most as fast as 1/theta, so the trapezoid rule converges
exponentially whatever the parameters, and every term is positive. Weights are divided
by their own sum: no gamma function of large arguments is ever subtracted from another.
"""

from __future__ import annotations

import math

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import flow_of_one
from clvmodels.schema import FloatArray

NEGLIGIBLE = -31.0  # logarithm of a share of the whole that no longer counts: 3e-14
_NODES = 8192


@compiled
def trapezoid_step(precision: float) -> float:
    """Step of the trapezoid rule for a density of this precision (1/variance).

    Its error is about exp(-pi^2 / step) in a strip of pi / 2 and exp(-2 (pi sd / step)^2)
    for a narrow density: both, and what lies between, are kept below 1e-12.
    """
    return 1.0 / math.sqrt(9.8 + 1.6 * precision)


@compiled
def logistic(t: float) -> tuple[float, float, float, float]:
    """Logarithms of p and 1 - p, and both themselves, where logit(p) = t: of one e^-|t|."""
    less = math.exp(-abs(t))
    greater, log_greater = 1.0 / (1.0 + less), -math.log1p(less)
    lesser = less * greater
    p, q = (greater, lesser) if t > 0.0 else (lesser, greater)
    return log_greater + min(t, 0.0), log_greater - max(t, 0.0), p, q


@compiled
def normalise(weight: FloatArray, n: int) -> None:
    total = 0.0
    for i in range(n):
        total += weight[i]
    if n == weight.size:
        total = math.nan  # never a silent cap: the result is NaN
    for i in range(n):
        weight[i] /= total


@compiled
def beta_start(a: float, B: float, reach: float) -> tuple[float, float, float, float, float]:
    """Step and first node of the rule for Beta(a, B), and what :func:`beta_node` asks for."""
    step = trapezoid_step(1.0 / (1.0 / a + 1.0 / B))
    mode = math.log(a / B)
    log_p, log_q, _, _ = logistic(mode)
    top = a * log_p + B * log_q
    return step, mode, top, math.log(max(reach, 1.0)), math.log(max(a + B, 1.0))


@compiled
def beta_node(
    a: float, B: float, t: float, side: float, top: float, log_reach: float, log_size: float
) -> tuple[float, float, float, float, float, bool, bool]:
    """What `logistic` has of t, the weight's logarithm there, and whether its side ends there.

    Of the two truth values the first says that it stands for the rest of its tail besides.
    """
    log_p, log_q, p, q = logistic(t)
    log_w = a * log_p + B * log_q - top
    share = log_w + (min(-log_p, log_reach) if side < 0 else 0.0)
    bend = log_p + max(log_reach, log_size) if side < 0 else log_q + log_size
    closing = share + bend < NEGLIGIBLE and bend < 0.0
    return log_p, log_q, p, q, log_w, closing, closing or share < NEGLIGIBLE


@compiled
def beta_rule(a: float, B: float, reach: float, p: FloatArray, weight: FloatArray) -> int:
    """Fill nodes and normalised weights for E[f(p)], p ~ Beta(a, B); return their number.

    f must fall at most as fast as 1/p, and be constant to within p * reach for small p.
    Both tails of the density are exponentials in logit(p); they are summed to infinity
    once f is constant there, so a and B may be as small as they like.
    """
    step, mode, top, log_reach, log_size = beta_start(a, B, reach)
    n = 0
    for side in (-1.0, 1.0):
        slope = a if side < 0 else B
        t = mode if side < 0 else mode + step
        while n < weight.size:
            _, _, p[n], _, log_w, closing, last = beta_node(a, B, t, side, top, log_reach, log_size)
            weight[n] = math.exp(log_w)
            if closing:
                weight[n] /= -math.expm1(-slope * step)
            n += 1
            if last:
                break
            t += side * step
    normalise(weight, n)
    return n


@compiled
def gamma_rule(shape: float, reach: float, rate: FloatArray, weight: FloatArray) -> int:
    """Fill nodes and weights for E[f(rate)], rate ~ Gamma(shape, 1), shape >= 1.

    f must fall at most as fast as 1/rate, and be constant to within rate * reach.
    """
    step = trapezoid_step(shape)
    mode = math.log(shape)
    log_reach = math.log(max(reach, 1.0))
    n = 0
    for side in (-1.0, 1.0):
        y = 0.0 if side < 0 else step  # ln(rate) from the mode
        while n < weight.size:
            log_w = shape * (y - math.expm1(y))
            share = log_w + (min(-y, log_reach + mode) if side < 0 else 0.0)
            bend = y + mode + log_reach
            closing = side < 0 and share + bend < NEGLIGIBLE and bend < 0.0
            rate[n], weight[n] = math.exp(mode + y), math.exp(log_w)
            if closing:
                weight[n] /= -math.expm1(-shape * step)
            n += 1
            if closing or share < NEGLIGIBLE:
                break
            y += side * step
    normalise(weight, n)
    return n


@compiled
def _mean_over_p(R: float, w: float, n: int, p: FloatArray, weight: FloatArray) -> float:
    """E[(1 - (1 + p w)^-R) / p] by a rule that reaches (R + 1) w."""
    value = 0.0
    for i in range(n):
        value += weight[i] * -math.expm1(-R * math.log1p(p[i] * w)) / p[i]
    return value


@compiled
def _undiscounted(
    R: float, A: float, a: float, B: float, horizon: float, p: FloatArray, weight: FloatArray
) -> float:
    """E[(1 - (1 + p h/A)^-R) / p]; at an infinite horizon E[1/p]."""
    if horizon == 0.0:
        return 0.0
    if math.isinf(horizon):
        return (a + B - 1.0) / (a - 1.0) if a > 1.0 else math.inf
    w = horizon / A
    n = beta_rule(a, B, (R + 1.0) * w, p, weight)
    return _mean_over_p(R, w, n, p, weight)


@compiled
def undiscounted_loop(
    R: FloatArray, A: FloatArray, a: FloatArray, B: FloatArray, horizon: FloatArray, out: FloatArray
) -> None:
    """Purchases if alive, element by element of arrays of one length.

    A rule over p serves as long as R, a and B stay and horizon / A does not grow: rows
    in falling order of it are several times as quick.
    """
    p, weight = np.empty(_NODES), np.empty(_NODES)
    reach, n = -1.0, 0
    for i in range(out.size):
        if horizon[i] == 0.0 or math.isinf(horizon[i]):
            out[i] = _undiscounted(R[i], A[i], a[i], B[i], horizon[i], p, weight)
            continue
        w = horizon[i] / A[i]
        same = i > 0 and R[i] == R[i - 1] and a[i] == a[i - 1] and B[i] == B[i - 1]
        if not (same and w <= reach):
            reach = w
            n = beta_rule(a[i], B[i], (R[i] + 1.0) * w, p, weight)
        out[i] = _mean_over_p(R[i], w, n, p, weight)


@compiled
def _over_rates(
    rate: FloatArray,
    weight: FloatArray,
    p: FloatArray,
    horizon: float,
    delta: float,
    month: float,
    out: FloatArray,
) -> None:
    """E[g(rate p)] for every p; the loop over p is inside, so that it is vectorised."""
    out[:] = 0.0
    endless = math.isinf(horizon) and month == 0.0
    discount, interest = math.exp(-delta * month), -math.expm1(-delta * month)
    for j in range(rate.size):
        if endless:  # g(theta) = 1 / (theta + delta)
            for k in range(p.size):
                out[k] += weight[j] / (rate[j] * p[k] + delta)
        else:
            for k in range(p.size):
                out[k] += weight[j] * flow_of_one(
                    rate[j] * p[k], horizon, delta, month, discount, interest
                )


@compiled
def discounted_loop(
    R: FloatArray,
    A: FloatArray,
    a: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    delta: FloatArray,
    month: float,
    out: FloatArray,
) -> None:
    """Discounted purchases if alive (``month == 0``: continuously), element by element."""
    p, p_weight, inner = np.empty(_NODES), np.empty(_NODES), np.empty(_NODES)
    rate, rate_weight = np.empty(_NODES), np.empty(_NODES)
    reach, n_rates, n = -1.0, 0, 0
    for i in range(out.size):
        if delta[i] == 0.0 or horizon[i] == 0.0:
            out[i] = _undiscounted(R[i], A[i], a[i], B[i], horizon[i], p, p_weight)
            reach = -1.0
            continue
        # the longest wait that counts, in units of the time between purchases
        wait = min(horizon[i], max(1.0 / delta[i], month)) / A[i]
        same = i > 0 and R[i] == R[i - 1] and a[i] == a[i - 1] and B[i] == B[i - 1]
        if not (same and wait <= reach):
            reach = 4.0 * wait
            n_rates = gamma_rule(R[i] + 1.0, reach, rate, rate_weight)
            n = beta_rule(a[i], B[i], reach * rate[n_rates - 1], p, p_weight)
        _over_rates(
            rate[:n_rates] / A[i],
            rate_weight[:n_rates],
            p[:n],
            horizon[i],
            delta[i],
            month,
            inner[:n],
        )
        value = 0.0
        for k in range(n):
            value += p_weight[k] * inner[k]
        out[i] = R[i] / A[i] * value
