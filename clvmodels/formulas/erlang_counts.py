"""How many purchases a living customer will make, where purchases come regularly.

Every k-th stage of a Poisson process of rate lambda is a purchase: times between purchases are
Erlang-k. Given that a customer is alive and ``phase`` stages have passed since the last
purchase, lambda ~ Gamma(R, A) and p ~ Beta(a, B), independent, where R counts all stages that
have passed. Stages until the horizon are S ~ negative binomial (R, A), purchases would be
N = floor((S + phase) / k) if nobody dropped out, and as in :mod:`clvmodels.formulas.counts` the
count is the smaller one of N and the purchase K at which the customer drops out:

    P(count >= n) = S(n - 1) P(S >= n k - phase),   S(n) = B(a, B + n) / B(a, B).

Tested against mpmath to 1e-10; at k = 1 all of it is that of BG/NBD. The mean is in
:mod:`clvmodels.formulas.erlang_means`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.formulas._domain import check_counts, check_horizon, check_positive, flat
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.counts import at_least, log_negative_binomial, log_share_staying
from clvmodels.schema import FloatArray


def check_regularity(regularity: int, phase: int) -> tuple[int, int]:
    """Return the stages a purchase, and those passed since the last one, as integers."""
    if int(regularity) != regularity or regularity < 1:
        raise DomainError(f"regularity={regularity!r} must be a whole number >= 1.")
    if int(phase) != phase or not 0 <= phase < regularity:
        raise DomainError(f"phase={phase!r} must be a whole number from 0 to {regularity - 1}.")
    return int(regularity), int(phase)


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
        As in :func:`~clvmodels.formulas.erlang_means.purchases_if_alive`.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs.

    Raises
    ------
    DomainError
        As in :func:`~clvmodels.formulas.erlang_means.purchases_if_alive`, or
        n is not a whole number >= 0.
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
