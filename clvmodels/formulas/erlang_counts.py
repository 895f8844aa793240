"""How many purchases a living customer will make, where purchases come regularly.

Stages pass in a Poisson process of rate lambda, and every k-th one is a purchase: times
between purchases are Erlang-k. Given that a customer is alive and ``phase`` stages have
passed since the last purchase, lambda ~ Gamma(R, A) and p ~ Beta(a, B), independent,
where R counts all stages that have passed. Stages until the horizon are
S ~ negative binomial (R, A), purchases would be N = floor((S + phase) / k) if nobody
dropped out, and as in :mod:`clvmodels.formulas.counts` the count is the smaller one of N
and the purchase K at which the customer drops out:

    P(count >= n) = S(n - 1) P(S >= n k - phase),   S(n) = B(a, B + n) / B(a, B).

The mean is E[H(N)], where H(n) = S(0) + ... + S(n - 1) is the mean of min(n, K): a sum
over stages, all of it positive. Where that would be long it is an integral over p of

    f(p) = (1 - E[theta^N]) / p,   theta = 1 - p,

with the generating function of N from that of S at the k-th roots of theta.
Tested against mpmath to 1e-10; at k = 1 all of it is that of BG/NBD.
"""

from __future__ import annotations

import cmath
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.formulas._domain import check_counts, check_horizon, check_positive, flat
from clvmodels.formulas._jit import compiled
from clvmodels.formulas._robust import beta_rule
from clvmodels.formulas.counts import (
    at_least,
    first_count,
    log_negative_binomial,
    log_share_staying,
)
from clvmodels.schema import FloatArray

ROOM: Final = 8192
_MOST_STEPS: Final = 10_000.0  # of the sum; the integral is quicker then
_CHECK: Final = 8  # steps between looks at what is left of the sum
_REST: Final = 1e-16
_SMALL_THETA: Final = 0.01  # below it powers of theta fall faster than roots cancel
_POWERS: Final = 9


def check_regularity(regularity: int, phase: int) -> tuple[int, int]:
    """Return the stages a purchase, and those passed since the last one, as integers."""
    if int(regularity) != regularity or regularity < 1:
        raise DomainError(f"regularity={regularity!r} must be a whole number >= 1.")
    if int(phase) != phase or not 0 <= phase < regularity:
        raise DomainError(f"phase={phase!r} must be a whole number from 0 to {regularity - 1}.")
    return int(regularity), int(phase)


@compiled
def _sum_over_stages(
    k: int, phase: int, R: float, w: float, a: float, B: float, begin: float
) -> float:
    """E[H(N)] from the stage ``begin`` on, below which nothing counts; w is horizon / A."""
    n, mean, stays = 0.0, 0.0, 1.0
    until = np.floor((begin + phase) / k)
    while n < until:
        mean += stays
        stays *= (B + n) / (a + B + n)
        n += 1.0
    some = w / (1.0 + w)
    m, total, whole = begin, 0.0, 0.0
    pmf = math.exp(log_negative_binomial(m, R, w))
    left = k - int(m + phase - n * k)  # stages to the next purchase
    while True:
        for _ in range(_CHECK):
            total += pmf * mean
            whole += pmf
            pmf *= (R + m) / (m + 1.0) * some
            m += 1.0
            left -= 1
            if left == 0:
                left = k
                mean += stays
                stays *= (B + n) / (a + B + n)
                n += 1.0
        # Later terms shrink by less than this from one to the next; H grows by 1 at most.
        shrink = max((R + m) / (m + 1.0), 1.0) * some
        if shrink < 1.0:
            rest = pmf / (1.0 - shrink) * (mean + 1.0 / (1.0 - shrink))
            if rest <= _REST * total or pmf == 0.0:
                return total / whole  # rounding of the ratio, to the power of m, cancels


@compiled
def _tails(k: int, phase: int, R: float, w: float, out: FloatArray) -> None:
    """Fill P(S >= n k - phase) for n = 1, 2, ... by what lies below."""
    below, m = 0.0, 0
    for n in range(1, out.size + 1):
        while m < n * k - phase:
            below += math.exp(log_negative_binomial(float(m), R, w))
            m += 1
        out[n - 1] = max(1.0 - below, 0.0)


@compiled
def _given_p(k: int, phase: int, R: float, w: float, p: float, tails: FloatArray) -> float:
    """f(p); the first root is real and cancels where p is small, the others have a factor p."""
    theta = 1.0 - p
    if theta < _SMALL_THETA:
        value = 0.0
        for n in range(tails.size - 1, -1, -1):
            value = value * theta + tails[n]
        return value
    log_z = math.log1p(-p) / k
    up = math.expm1(-log_z)  # 1 / z - 1
    term = more = 0.0  # more is the mean of z^-i - 1 over i < k
    for _ in range(k - 1):
        term = term * (1.0 + up) + up
        more += term / k
    log_first = math.log1p(more) + phase * log_z - R * math.log1p(w * -math.expm1(log_z))
    value = -math.expm1(log_first) / p
    z = math.exp(log_z)
    for i in range(1, k // 2 + 1):
        angle = 2.0 * math.pi * i / k
        u = complex(-z, 0.0) if 2 * i == k else z * complex(math.cos(angle), math.sin(angle))
        power = cmath.exp(-R * cmath.log(1.0 + w * (1.0 - u)))
        both = 1.0 if 2 * i == k else 2.0  # conjugate roots come in pairs
        value += both * (u ** (phase + 1) / (u - 1.0) * power).real / (k * theta)
    return value


@compiled
def mean_if_alive(
    k: int,
    phase: int,
    R: float,
    w: float,
    a: float,
    B: float,
    p: FloatArray,
    weight: FloatArray,
) -> float:
    """Purchases expected of a living customer within w = horizon / A.

    Parameters
    ----------
    k, phase : int
        Stages a purchase, and those passed since the last one.
    R, w, a, B : float
    p, weight : ndarray
        Room for a rule of quadrature.
    """
    if w == 0.0:
        return 0.0
    if math.isinf(w):
        return (a + B - 1.0) / (a - 1.0) if a > 1.0 else math.inf
    # mean + 9 sd + the exponential tail of a negative binomial distribution
    steps = R * w + 9.0 * math.sqrt(R * w * (1.0 + w)) + 37.0 * (1.0 + w)
    if steps <= _MOST_STEPS:
        return _sum_over_stages(k, phase, R, w, a, B, first_count(R, w))
    tails = np.empty(_POWERS)
    _tails(k, phase, R, w, tails)
    value = 0.0
    for i in range(beta_rule(a, B, (R + 1.0) * w, p, weight)):
        value += weight[i] * _given_p(k, phase, R, w, p[i], tails)
    return value


@compiled
def _means(
    k: int,
    phase: int,
    R: FloatArray,
    w: FloatArray,
    a: FloatArray,
    B: FloatArray,
    out: FloatArray,
) -> None:
    p, weight = np.empty(ROOM), np.empty(ROOM)
    for i in range(out.size):
        out[i] = mean_if_alive(k, phase, R[i], w[i], a[i], B[i], p, weight)


def purchases_if_alive(
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    regularity: int,
    phase: int = 0,
) -> FloatArray:
    """Purchases expected of a living customer with regular timing, undiscounted.

    Parameters
    ----------
    R, A : array_like
        Shape and rate of the rate of stages: r + k x + phase and alpha + T.
    a, B : array_like
        Shapes of the dropout probability.
    horizon : array_like
        Length of time, in A's unit, >= 0, may be infinite.
    regularity : int
        k, stages a purchase.
    phase : int
        Stages that have passed since the last purchase, 0 to k - 1.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs. At an infinite horizon (a+B-1)/(a-1) where a > 1,
        else infinity.

    Raises
    ------
    DomainError
        A parameter is not finite and > 0, the horizon is negative or NaN, or there is no
        such phase.
    """
    k, phase = check_regularity(regularity, phase)
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    (shape, w, a, B), form = flat(R, check_horizon(horizon) / A, a, B)
    out = np.empty(w.size)
    _means(k, phase, shape, w, a, B, out)
    return out.reshape(form)


@compiled
def _pmf_parts(
    k: int,
    phase: int,
    n: FloatArray,
    R: FloatArray,
    ratio: FloatArray,
    a: FloatArray,
    B: FloatArray,
    both: FloatArray,
    last: FloatArray,
) -> None:
    """Fill S(n) P(N = n) and S(n - 1) - S(n), which is S(n - 1) a / (a + B + n - 1)."""
    for i in range(n.size):
        first = max(n[i] * k - phase, 0.0)
        chance = 0.0
        for m in range(int((n[i] + 1.0) * k - phase - first)):
            chance += math.exp(log_negative_binomial(first + m, R[i], ratio[i]))
        both[i] = math.exp(log_share_staying(n[i], a[i], B[i])) * chance
        last[i] = 0.0
        if n[i] > 0.0:
            before = n[i] - 1.0
            stays = math.exp(log_share_staying(before, a[i], B[i]))
            last[i] = stays * a[i] / (a[i] + B[i] + before)


@compiled
def _shares(n: FloatArray, a: FloatArray, B: FloatArray, out: FloatArray) -> None:
    for i in range(n.size):
        out[i] = math.exp(log_share_staying(n[i], a[i], B[i]))


def count_pmf_if_alive(
    n: npt.ArrayLike,
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    regularity: int,
    phase: int = 0,
) -> FloatArray:
    """Probability that a living customer with regular timing makes exactly n purchases.

    Parameters
    ----------
    n : array_like
        Whole numbers >= 0.
    R, A, a, B, horizon, regularity, phase
        As in :func:`purchases_if_alive`.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs.

    Raises
    ------
    DomainError
        As in :func:`purchases_if_alive`, or n is not a whole number >= 0.
    """
    k, phase = check_regularity(regularity, phase)
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    columns, form = flat(check_counts("n", n), R, check_horizon(horizon) / A, a, B)
    count, shape, ratio, a, B = columns
    both, last = np.empty(count.size), np.empty(count.size)
    _pmf_parts(k, phase, count, shape, ratio, a, B, both, last)
    return np.asarray((both + last * at_least(count * k - phase, shape, ratio)).reshape(form))


def count_sf_if_alive(
    n: npt.ArrayLike,
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
    *,
    regularity: int,
    phase: int = 0,
) -> FloatArray:
    """Probability that a living customer with regular timing makes more than n purchases.

    Parameters and errors are those of :func:`count_pmf_if_alive`.
    """
    k, phase = check_regularity(regularity, phase)
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    columns, form = flat(check_counts("n", n), R, check_horizon(horizon) / A, a, B)
    count, shape, ratio, a, B = columns
    stays = np.empty(count.size)
    _shares(count, a, B, stays)
    more = at_least((count + 1.0) * k - phase, shape, ratio)
    return np.asarray((stays * more).reshape(form))
