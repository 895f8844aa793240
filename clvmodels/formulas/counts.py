"""How many purchases a living customer will make: the whole distribution.

Given that a beta-geometric customer is alive, purchases until the horizon would be
N ~ negative binomial (R, A) if nobody dropped out, and the question of dropping out is
survived k times with probability S(k) = B(a, B + k) / B(a, B). The count is the smaller
one of N and the purchase K at which the customer drops out, so

    P(count >= n) = S(n - 1) P(N >= n),
    P(count = n)  = S(n) P(N = n) + (S(n - 1) - S(n)) P(N >= n),

for n >= 1: Fader, Hardie & Lee (2005), eq. 8, with R, A, a, B of the customer's own
history. R, A, a, B > 0 and finite; tested to 1e-10 relative against mpmath for
parameters from 1e-3 to 1e4, x and n to 5,000.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc

from clvmodels.formulas._domain import check_counts, check_horizon, check_positive, flat
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.special import (
    deviance,
    exp_negative,
    log_from_one,
    log_rising,
    stirling_error,
)
from clvmodels.schema import FloatArray

_LEAST_LOG = -650.0  # of a probability that is worth its place in double precision
# Chances that are added up, and -log of the first one: an incomplete beta costs 100 times one
_FEW = 8.0
_SURE = 0.03  # of which 1e-14 is what rounding leaves of 1 less the others
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@compiled
def mean_of_row(values: FloatArray) -> float:
    """Mean over draws of a row of a table, added up in order."""
    total = 0.0
    for d in range(values.size):
        total += values[d]
    return total / values.size


@compiled
def more_rows(table: FloatArray) -> FloatArray:
    """Make room in a table for as many rows again."""
    more = np.empty((2 * table.shape[0], table.shape[1]))
    for n in range(table.shape[0]):  # to assign it whole takes two seconds more to compile
        for d in range(table.shape[1]):
            more[n, d] = table[n, d]
    return more


@compiled
def log_share_staying(k: float, a: float, B: float) -> float:
    """Return ln S(k), the log probability of surviving the question k times.

    ln G(B+k) - ln G(B) - ln G(a+B+k) + ln G(a+B) is symmetric in a and k; the smaller one
    is the step of both differences, so that little cancels.
    """
    step, apart = min(a, k), max(a, k)
    return log_rising(B, step) - log_rising(B + apart, step)


@compiled
def log_negative_binomial(n: float, R: float, ratio: float) -> float:
    """Log probability of n events of a negative binomial in saddle-point form.

    ratio is horizon / A. As in Loader (2000), "Fast and accurate computation of binomial
    probabilities": R / (R + n) times a binomial probability of real arguments.
    """
    if n == 0.0:
        return -R * math.log1p(ratio)
    if ratio == 0.0 or math.isinf(ratio):
        return -math.inf
    total = R + n
    shape = deviance(R, total / (1.0 + ratio)) + deviance(n, total * (ratio / (1.0 + ratio)))
    stirling = stirling_error(total) - stirling_error(R) - stirling_error(n)
    # R / (R + n) sqrt((R + n) / (2 pi R n))
    return stirling - shape + 0.5 * math.log(R / (total * n)) - _HALF_LOG_2PI


@compiled
def _pmf_parts(
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
        both[i] = math.exp(
            log_share_staying(n[i], a[i], B[i]) + log_negative_binomial(n[i], R[i], ratio[i])
        )
        last[i] = 0.0
        if n[i] > 0.0:
            before = n[i] - 1.0
            last[i] = (
                math.exp(log_share_staying(before, a[i], B[i])) * a[i] / (a[i] + B[i] + before)
            )


@compiled
def _some_at_least(least: FloatArray, R: FloatArray, ratio: FloatArray, out: FloatArray) -> None:
    """1 less the chances of fewer, where that loses no digits; NaN elsewhere."""
    for i in range(least.size):
        out[i], n = 1.0, 0.0
        none = R[i] * math.log1p(ratio[i])
        if least[i] > 0.0 and (least[i] > _FEW or not none < _FEW):
            out[i] = math.nan
            continue
        one = exp_negative(-none)
        share = ratio[i] / (1.0 + ratio[i])
        while n < least[i]:
            out[i] -= one
            one *= (R[i] + n) / (n + 1.0) * share
            n += 1.0
        if out[i] < _SURE and least[i] > 0.0:
            out[i] = math.nan


def at_least(count: npt.ArrayLike, R: npt.ArrayLike, ratio: npt.ArrayLike) -> FloatArray:
    """P(N >= count) of a negative binomial N, stages or purchases; ratio is horizon / A."""
    columns = (np.asarray(column, dtype=np.float64) for column in (count, R, ratio))
    (least, shape, w), form = flat(*columns)
    chance = np.empty(least.size)
    _some_at_least(least, shape, w, chance)
    left, late = np.isnan(chance), w > 1.0
    early, late = left & ~late, left & late
    with np.errstate(divide="ignore", over="ignore"):  # of a ratio that is next to 0
        some = 1.0 / (1.0 + 1.0 / w[early])
    chance[early] = betainc(least[early], shape[early], some)
    # 1 - some would be rounded where it is next to 0
    chance[late] = betaincc(shape[late], least[late], 1.0 / (1.0 + w[late]))
    return np.asarray(chance.reshape(form))


def count_pmf_if_alive(
    n: npt.ArrayLike,
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
) -> FloatArray:
    """Probability that a living customer makes exactly n purchases.

    Parameters
    ----------
    n : array_like
        Whole numbers >= 0.
    R, A : array_like
        Shape and rate of the purchase rate, r + x and alpha + T.
    a, B : array_like
        Shapes of the dropout probability, B = b + x for BG/NBD.
    horizon : array_like
        Length of time, in A's unit, >= 0, may be infinite.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs. At an infinite horizon the distribution of the
        purchase at which the customer drops out.

    Raises
    ------
    DomainError
        n is not a whole number >= 0, a parameter is not finite and > 0, or the horizon is
        negative or NaN.
    """
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    columns, form = flat(check_counts("n", n), R, check_horizon(horizon) / A, a, B)
    count, shape, ratio, a, B = columns
    both, last = np.empty(count.size), np.empty(count.size)
    _pmf_parts(count, shape, ratio, a, B, both, last)
    return np.asarray((both + last * at_least(count, shape, ratio)).reshape(form))


def count_sf_if_alive(
    n: npt.ArrayLike,
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
) -> FloatArray:
    """Probability that a living customer makes more than n purchases, S(n) P(N > n).

    Parameters and errors are those of :func:`count_pmf_if_alive`.
    """
    R, A, a, B = check_positive(R=R, A=A, a=a, B=B)
    columns, form = flat(check_counts("n", n), R, check_horizon(horizon) / A, a, B)
    count, shape, ratio, a, B = columns
    stays = np.empty(count.size)
    _log_shares(count, a, B, stays)
    return np.asarray((np.exp(stays) * at_least(count + 1.0, shape, ratio)).reshape(form))


@compiled
def _log_shares(k: FloatArray, a: FloatArray, B: FloatArray, out: FloatArray) -> None:
    for i in range(k.size):
        out[i] = log_share_staying(k[i], a[i], B[i])


@compiled
def first_count(R: float, ratio: float) -> float:
    """Least n whose probability is more than e^-650, among those below the mode."""
    if log_negative_binomial(0.0, R, ratio) > _LEAST_LOG:
        return 0.0
    low, high = 0.0, max(np.floor((R - 1.0) * ratio), 1.0)
    while high - low > 1.0:
        middle = np.floor(0.5 * (low + high))
        if log_negative_binomial(middle, R, ratio) > _LEAST_LOG:
            high = middle
        else:
            low = middle
    return float(high)


@compiled
def begin_counts(R: FloatArray, ratio: FloatArray, first: FloatArray, state: FloatArray) -> float:
    """Set up the recursion of :func:`next_count` at n = 0.

    Parameters
    ----------
    R, ratio : ndarray, shape (S,)
        Shape of the purchase rate, and horizon / A, of each draw.
    first : ndarray, shape (S,)
        Is filled with the n from which on P(N = n) does not underflow.
    state : ndarray, shape (4, S)
        Is filled with P(N = 0), P(N >= 0), S(0), and horizon / (A + horizon).

    Returns
    -------
    float
        The greatest of ``first``.
    """
    latest, late = 0.0, 0
    for d in range(R.size):
        first[d] = -R[d] * log_from_one(1.0 + ratio[d])
        late += first[d] <= _LEAST_LOG
        state[0, d], state[1, d], state[2, d] = exp_negative(first[d]), 1.0, 1.0
        state[3, d] = ratio[d] / (1.0 + ratio[d])
    for d in range(R.size if late else 0):
        first[d] = first_count(R[d], ratio[d]) if first[d] <= _LEAST_LOG else 0.0
        state[0, d] = state[0, d] if first[d] == 0.0 else 0.0
        latest = max(latest, first[d])
    if not late:
        first[:] = 0.0
    return latest


@compiled
def _enter_late(
    n: float, R: FloatArray, ratio: FloatArray, first: FloatArray, pmf: FloatArray
) -> None:
    for d in range(R.size):
        if first[d] == n:
            pmf[d] = math.exp(log_negative_binomial(n, R[d], ratio[d]))


@compiled_sum
def _advance(
    n: float, R: FloatArray, a: FloatArray, B: FloatArray, state: FloatArray, out: FloatArray
) -> None:
    """One step from n to n + 1 for all draws, without a branch."""
    by_next, by_later = 1.0 / (n + 1.0), 1.0 / (n + 2.0)
    for d in range(R.size):
        some = state[3, d]
        pmf, at_least = state[0, d], state[1, d] - state[0, d]
        pmf *= (R[d] + n) * by_next * some
        # Later terms shrink by less than this from one to the next; once they do shrink,
        # a geometric series bounds the tail, which the difference above cannot resolve.
        shrink = max((R[d] + n + 1.0) * by_later, 1.0) * some
        bound = pmf / (1.0 - shrink) if shrink < 1.0 else 1.0
        bound = bound if state[0, d] > 0.0 else 1.0
        at_least = max(min(at_least, bound), 0.0)
        out[d] = state[2, d] * at_least
        state[0, d], state[1, d] = pmf, at_least
        state[2, d] *= (B[d] + n) / (a[d] + B[d] + n)


@compiled
def next_count(
    n: float,
    R: FloatArray,
    ratio: FloatArray,
    a: FloatArray,
    B: FloatArray,
    first: FloatArray,
    latest: float,
    state: FloatArray,
    out: FloatArray,
) -> None:
    """Fill ``out`` with P(count >= n + 1 | alive) of every draw, and advance to n + 1.

    Parameters
    ----------
    n : float
        Steps made so far.
    R, ratio, a, B : ndarray, shape (S,)
        Of the living customer, by draw; ratio is horizon / A.
    first, latest, state
        From :func:`begin_counts`; the state is advanced.
    out : ndarray, shape (S,)
        Falls from step to step, right to about 1e-15.
    """
    _advance(n, R, a, B, state, out)
    if n + 1.0 <= latest:
        _enter_late(n + 1.0, R, ratio, first, state[0])
