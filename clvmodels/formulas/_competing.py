"""Which of two risks strikes first: a purchase or the end of the customer's life.

With lambda ~ Gamma(a, A) and mu ~ Gamma(b, B), independent, the share of mu B in
lambda A + mu B is Beta(b, a) distributed, and so the chance that either strikes first is
the expectation of a rational function of that share. Call the risk with the smaller rate
parameter the near one, k = A_far / A_near - 1 >= 0, and p its share. Then

    P(far first)  = a_far / (a_far + a_near) E[g],             p ~ Beta(a_near, a_far + 1),
    P(near first) = (1 + k) a_near / (a_far + a_near) E[g],    p ~ Beta(a_near + 1, a_far),

with g = 1 / (1 + k p): each is (k + 1) to some power times 2F1(1, .; a + b + 1; .), whose
argument k / (1 + k) comes as close to 1 as one likes. Neither series nor connection
formula is needed: in logit(p) the density and g are analytic in a strip, every term of the
trapezoid rule is positive, and the two chances are computed apart, so that none is one less
the other. Nodes and weights depend on the shapes alone: they serve all ages of one x.
Derivatives by the shapes are covariances of g with ln p and ln(1 - p) by the same rule.
"""

from __future__ import annotations

import math

import numpy as np

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas._robust import beta_node, beta_start, normalise
from clvmodels.schema import FloatArray

MOST_NODES = 8192
_NO_CANCELLATION = 0.01  # share of a difference below which it is not taken
SHARE, REST, WEIGHT, BY_NEAR, BY_FAR = range(5)  # rows of a rule


@compiled
def _fill(a: float, b: float, reach: float, rule: FloatArray) -> int:
    """Fill nodes, weights and logarithms for E[g], p ~ Beta(a, b); return their number.

    As :func:`clvmodels.formulas._robust.beta_rule`, with the logarithms besides: where a
    tail is closed, the means over it.
    """
    step, mode, top, log_reach, log_size = beta_start(a, b, reach)
    n = 0
    for side in (-1.0, 1.0):
        slope = a if side < 0 else b
        t = mode if side < 0 else mode + step
        while n < MOST_NODES:
            (
                rule[BY_NEAR, n],
                rule[BY_FAR, n],
                rule[SHARE, n],
                rule[REST, n],
                log_w,
                closing,
                last,
            ) = beta_node(a, b, t, side, top, log_reach, log_size)
            rule[WEIGHT, n] = math.exp(log_w)
            if closing:
                rule[WEIGHT, n] /= -math.expm1(-slope * step)
                rule[BY_NEAR if side < 0 else BY_FAR, n] -= step / math.expm1(slope * step)
            n += 1
            if last:
                break
            t += side * step
    normalise(rule[WEIGHT], n)
    return n


@compiled
def chance_rule(near: float, far: float, far_first: bool, reach: float, rule: FloatArray) -> int:
    """Fill nodes and weights for the chance that a risk strikes first; return their number.

    Parameters
    ----------
    near, far : float
        Shapes of the two risks.
    far_first : bool
        Of which one.
    reach : float
        The greatest k that will be asked for.
    rule : ndarray, shape (5, MOST_NODES)
        Is filled with p, 1 - p, the weights, and the weights times ln p and ln(1 - p) less
        their means.
    """
    one, other = (near, far + 1.0) if far_first else (near + 1.0, far)
    n = _fill(one, other, reach, rule)
    for row in (BY_NEAR, BY_FAR):
        mean = 0.0
        for i in range(n):
            mean += rule[WEIGHT, i] * rule[row, i]
        for i in range(n):
            rule[row, i] = rule[WEIGHT, i] * (rule[row, i] - mean)
    return n


@compiled_sum
def _mean_of_g(k: float, p: FloatArray, weight: FloatArray) -> float:
    total = 0.0
    for i in range(p.size):
        total += weight[i] / (1.0 + k * p[i])
    return total


@compiled_sum
def _means(
    k: float,
    p: FloatArray,
    beside: FloatArray,
    weight: FloatArray,
    by_near: FloatArray,
    by_far: FloatArray,
) -> tuple[float, float, float, float]:
    """Means of g, g^2 times p or 1 - p, and covariances of g with the two logarithms."""
    mean = bent = near = far = 0.0
    for i in range(p.size):
        g = 1.0 / (1.0 + k * p[i])
        mean += weight[i] * g
        bent += weight[i] * g * g * beside[i]
        near += by_near[i] * g
        far += by_far[i] * g
    return mean, bent, near, far


@compiled
def log_chance(
    near: float, far: float, far_first: bool, k: float, rule: FloatArray, n: int
) -> float:
    """Logarithm of the chance, by a rule of its shapes."""
    mean = _mean_of_g(k, rule[SHARE, :n], rule[WEIGHT, :n])
    if far_first:
        return math.log(far / (far + near)) + math.log(mean)
    return math.log1p(k) + math.log(near / (far + near)) + math.log(mean)


@compiled
def log_chance_gradient(
    near: float, far: float, far_first: bool, k: float, rule: FloatArray, n: int
) -> tuple[float, float, float, float]:
    """Logarithm of the chance, and its derivatives by ln(1 + k) and the two shapes.

    As d g / d ln(1 + k) = -(1 + k) p g^2, and g - (1 + k) p g^2 = (1 - p) g^2.
    """
    beside = rule[SHARE, :n] if far_first else rule[REST, :n]
    mean, bent, by_near, by_far = _means(
        k, rule[SHARE, :n], beside, rule[WEIGHT, :n], rule[BY_NEAR, :n], rule[BY_FAR, :n]
    )
    both = far + near
    by_near, by_far = by_near / mean - 1.0 / both, by_far / mean - 1.0 / both
    if far_first:
        value = math.log(far / both) + math.log(mean)
        return value, -(1.0 + k) * bent / mean, by_near, by_far + 1.0 / far
    value = math.log1p(k) + math.log(near / both) + math.log(mean)
    return value, bent / mean, by_near + 1.0 / near, by_far


@compiled
def roles(R: float, A: float, s: float, B: float) -> tuple[float, float, float, bool]:
    """Shapes of the near and the far risk, k, and whether the far one is a purchase.

    Of lambda ~ Gamma(R, A) and mu ~ Gamma(s, B).
    """
    if A >= B:
        return s, R, (A - B) / B, True
    return R, s, (B - A) / A, False


@compiled
def chances_loop(
    R: FloatArray, A: FloatArray, s: FloatArray, B: FloatArray, purchase: bool, out: FloatArray
) -> None:
    """Log chances that a purchase (or the end) comes first, element by element.

    A rule serves as long as R and s stay and k does not grow.
    """
    rule, n, reach, last = np.empty((5, MOST_NODES)), 0, -1.0, False
    for i in range(out.size):
        near, far, k, far_buys = roles(R[i], A[i], s[i], B[i])
        same = i > 0 and R[i] == R[i - 1] and s[i] == s[i - 1] and far_buys == last
        if not (same and k <= reach):
            reach, last = k, far_buys
            n = chance_rule(near, far, far_buys == purchase, reach, rule)
        out[i] = log_chance(near, far, far_buys == purchase, k, rule, n)


@compiled
def _mean_within(
    k: float, A: float, N: float, horizon: float, p: FloatArray, weight: FloatArray
) -> float:
    total = 0.0
    for i in range(p.size):
        growth = 1.0 + k * p[i]
        total += weight[i] * -math.expm1(-N * math.log1p(growth * (horizon / A))) / growth
    return total


@compiled
def _exactly_within(
    R: float, A: float, s: float, B: float, horizon: float, rule: FloatArray, n: int
) -> float:
    """Chance that a purchase comes first and within the horizon, however short that is.

    E[lambda (1 - e^(-(lambda + mu) h)) / (lambda + mu)]: the sum of the two in units of
    their rate parameters is Gamma(R + s, 1), independent of the shares; at share p its rate
    is (1 + k p) / A_far.
    """
    _, _, k, far_buys = roles(R, A, s, B)
    mean = _mean_within(k, A if far_buys else B, R + s, horizon, rule[SHARE, :n], rule[WEIGHT, :n])
    return R / (R + s) * (1.0 if far_buys else B / A) * mean


@compiled
def purchase_within(
    R: float, A: float, s: float, B: float, horizon: float, rule: FloatArray, n: int
) -> float:
    """Chance that a purchase comes first and within the horizon, by the rule of a purchase.

    That it comes first, less that nothing comes until then, and then a purchase: without
    transcendental functions at the nodes. Where the two are nearly equal, term by term.
    """
    near, far, k, far_buys = roles(R, A, s, B)
    value = math.exp(log_chance(near, far, far_buys, k, rule, n))
    if math.isinf(horizon):
        return value
    near, far, k, far_buys = roles(R, A + horizon, s, B + horizon)
    nothing = -R * math.log1p(horizon / A) - s * math.log1p(horizon / B)
    later = math.exp(nothing + log_chance(near, far, far_buys, k, rule, n))
    if value - later > _NO_CANCELLATION * value:
        return value - later
    return _exactly_within(R, A, s, B, horizon, rule, n)


@compiled
def within_loop(
    R: FloatArray, A: FloatArray, s: FloatArray, B: FloatArray, horizon: FloatArray, out: FloatArray
) -> None:
    """:func:`purchase_within`, element by element, right to the last digits."""
    rule, n, reach, last = np.empty((5, MOST_NODES)), 0, -1.0, False
    for i in range(out.size):
        near, far, k, far_buys = roles(R[i], A[i], s[i], B[i])
        same = i > 0 and R[i] == R[i - 1] and s[i] == s[i - 1] and far_buys == last
        if not (same and k <= reach):
            reach, last = k, far_buys
            n = chance_rule(near, far, far_buys, reach, rule)
        out[i] = _exactly_within(R[i], A[i], s[i], B[i], horizon[i], rule, n)
