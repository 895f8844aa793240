"""How many purchases a living customer with regular timing is expected to make.

With lambda, p, S and N as in :mod:`clvmodels.formulas.erlang_counts`, the mean is E[H(N)], where
H(n) = S(0) + ... + S(n - 1) is the mean of min(n, K): a sum over stages, all of it positive, of
all phases and of many horizons side by side. Where that would be long it is an integral over p of

    f(p) = (1 - E[theta^N]) / p,   theta = 1 - p,

with the generating function of N from that of S at the k-th roots of theta.
Tested against mpmath to 1e-10; at k = 1 all of it is that of BG/NBD.
"""

from __future__ import annotations

import cmath
import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._domain import check_horizon, check_positive, flat
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas._robust import beta_rule
from clvmodels.formulas.counts import first_count, log_negative_binomial
from clvmodels.formulas.erlang_counts import check_regularity
from clvmodels.schema import FloatArray

ROOM: Final = 8192
_MOST_STEPS: Final = 10_000.0  # of the sum; the integral is quicker then
_CHECK: Final = 8  # steps between looks at what is left of the sum
_REST: Final = 1e-16
_SMALL_THETA: Final = 0.01  # below it powers of theta fall faster than roots cancel
_POWERS: Final = 9
_LATEST: Final = 640.0  # logarithm of one over the least chance of no stage to begin with
_TOGETHER: Final = 128  # points of one customer in a row


class Room(NamedTuple):
    """Where :func:`means_if_alive` works, for so many w and phases at most.

    Attributes
    ----------
    p, weight : ndarray
        Of a rule of quadrature.
    w, some, pmf, whole, total, where : ndarray
        Of what is summed side by side; and, from the end of where, which is longer by one, of
        what is not.
    """

    p: FloatArray
    weight: FloatArray
    w: FloatArray
    some: FloatArray
    pmf: FloatArray
    whole: FloatArray
    total: FloatArray
    where: npt.NDArray[np.int64]


@compiled
def room_for(most: int, phases: int) -> Room:
    """Make room for so many w and phases."""
    return Room(
        np.empty(ROOM),
        np.empty(ROOM),
        np.empty(most),
        np.empty(most),
        np.empty(most),
        np.empty((phases, most)),
        np.empty((phases, most)),
        np.empty(most + 1, dtype=np.int64),
    )


@compiled
def _ended(
    i: int,
    m: float,
    mean: float,
    phases: int,
    R: float,
    some: FloatArray,
    pmf: float,
    total: FloatArray,
) -> bool:
    """Whether what is left of the sums at one w, from the stage m on, counts no more."""
    if pmf == 0.0:
        return True
    for j in range(phases):
        # Later terms shrink by less than this from one to the next; H grows by 1 at most.
        shrink = max((R + j + m) / (m + 1.0), 1.0) * some[i]
        if shrink >= 1.0:
            return False
        if pmf / (1.0 - shrink) * (mean + 1.0 / (1.0 - shrink)) > _REST * total[j, i]:
            return False
        pmf *= (R + j + m) / (R + j)
    return True


@compiled_sum
def _sum_over_stages(
    k: int,
    phase: int,
    R: float,
    a: float,
    B: float,
    begin: float,
    count: int,
    room: Room,
    out: FloatArray,
) -> None:
    """E[H(N)] at w side by side, from the stage ``begin`` on, below which nothing counts.

    Where R is that of ``phase``, with i further stages passed S is as likely to be m as it is
    without them, times (R + m) ... (R + m + i - 1), up to what does not depend on m. So all
    phases are sums over one recursion. It is quickest where w falls: the least end first.
    """
    phases = out.shape[0]
    w, some, pmf, whole, total = room.w, room.some, room.pmf, room.whole, room.total
    n, mean, stays = 0.0, 0.0, 1.0
    until = np.floor((begin + phase) / k)
    while n < until:
        mean += stays
        stays *= (B + n) / (a + B + n)
        n += 1.0
    m, left = begin, k - int(begin + phase - n * k)  # stages to the next purchase
    for i in range(count):
        some[i] = w[i] / (1.0 + w[i])
        pmf[i] = math.exp(log_negative_binomial(begin, R, w[i]))
        for j in range(phases):
            whole[j, i], total[j, i] = 0.0, 0.0
    while count > 0:
        for _ in range(_CHECK):
            share = 1.0
            for j in range(1, phases):
                share *= (R + m + (j - 1)) / (R + (j - 1))
                worth = share * (mean if j < left else mean + stays)
                for i in range(count):
                    whole[j, i] += share * pmf[i]
                    total[j, i] += worth * pmf[i]
            grows = (R + m) / (m + 1.0)
            for i in range(count):
                whole[0, i] += pmf[i]
                total[0, i] += mean * pmf[i]
                pmf[i] *= grows * some[i]
            m += 1.0
            left -= 1
            if left == 0:
                left = k
                mean += stays
                stays *= (B + n) / (a + B + n)
                n += 1.0
        while count > 0 and _ended(
            count - 1, m, mean + stays, phases, R, some, pmf[count - 1], total
        ):
            count -= 1
            for j in range(phases):  # rounding of the ratio, to the power of m, cancels
                out[j, room.where[count]] = total[j, count] / whole[j, count]


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
def _integral(
    k: int,
    phase: int,
    R: float,
    w: float,
    a: float,
    B: float,
    p: FloatArray,
    weight: FloatArray,
) -> float:
    """E[H(N)] as the mean of f(p)."""
    tails = np.empty(_POWERS)
    _tails(k, phase, R, w, tails)
    value = 0.0
    for i in range(beta_rule(a, B, (R + 1.0) * w, p, weight)):
        value += weight[i] * _given_p(k, phase, R, w, p[i], tails)
    return value


@compiled
def means_if_alive(
    k: int,
    phase: int,
    R: float,
    w: FloatArray,
    a: float,
    B: float,
    count: int,
    room: Room,
    out: FloatArray,
) -> None:
    """Purchases expected of a living customer within many w = horizon / A, by phase.

    Parameters
    ----------
    k, phase : int
        Stages a purchase, and those passed since the last one.
    R, a, B : float
        R in that phase.
    w : ndarray
        At best falling.
    count : int
        How many of them are asked for.
    room : Room
        For so many.
    out : ndarray, shape (phases, count or more)
        Is filled for ``phase`` and the ones after it.
    """
    phases, together, late = out.shape[0], 0, 0
    for i in range(count):
        if w[i] == 0.0 or math.isinf(w[i]):
            endless = (a + B - 1.0) / (a - 1.0) if a > 1.0 else math.inf
            for j in range(phases):
                out[j, i] = 0.0 if w[i] == 0.0 else endless
            continue
        # mean + 9 sd + the exponential tail of a negative binomial distribution
        steps = R * w[i] + 9.0 * math.sqrt(R * w[i] * (1.0 + w[i])) + 37.0 * (1.0 + w[i])
        if steps > _MOST_STEPS:
            for j in range(phases):
                out[j, i] = _integral(k, phase + j, R + j, w[i], a, B, room.p, room.weight)
            continue
        if R * math.log1p(w[i]) < _LATEST:
            room.w[together], room.where[together] = w[i], i
            together += 1
        else:  # by itself, from where its probabilities are numbers
            late += 1
            room.where[room.where.size - late] = i
    _sum_over_stages(k, phase, R, a, B, 0.0, together, room, out)
    for n in range(1, late + 1):
        i = room.where[room.where.size - n]
        room.w[0], room.where[0] = w[i], i
        _sum_over_stages(k, phase, R, a, B, first_count(R, w[i]), 1, room, out)


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
    room, begin = room_for(_TOGETHER, 1), 0
    while begin < out.size:
        end = begin + 1
        while end < min(out.size, begin + _TOGETHER) and (
            R[end] == R[begin] and a[end] == a[begin] and B[end] == B[begin]
        ):
            end += 1
        means_if_alive(
            k, phase, R[begin], w[begin:end], a[begin], B[begin], end - begin, room,
            out[begin:end].reshape(1, -1),
        )  # fmt: skip
        begin = end


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
