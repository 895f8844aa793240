"""The Pareto/NBD log-likelihood of a whole base, with its gradient, from one compiled loop.

A history is x purchases, the last one at t_x, and nothing until T. What came next is either
death, whenever after t_x, or one more purchase, after T. So the likelihood (Fader & Hardie
2005, section 3, which they write with a difference of two 2F1) is a sum of two,

    L = G(r+x)/G(r) alpha^-x [ e^U(x, T) + e^V(x, t_x) ],
    e^U(x, t) = (1 + t/alpha)^-(r+x) (1 + t/beta)^-s P(purchase first | alive at t),
    e^V(x, t) = the same with P(death first | alive at t),

neither of which is a difference, and each a function of x and one time. A base has far
fewer distinct (x, T) and (x, t_x) than histories: those hold the quadratures of
_competing.py, and per distinct history there remain one exp and one log1p.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._competing import (
    MOST_NODES,
    chance_rule,
    log_chance,
    log_chance_gradient,
)
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.fused import Fused, Table, add_stratum, by_stratum, sums
from clvmodels.formulas.special import digamma, exp_negative, log1p_unit, log_rising
from clvmodels.schema import FloatArray


def fused(
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    count: FloatArray,
    *,
    stratum: npt.NDArray[np.integer] | None = None,
) -> Fused:
    """Prepare a base for the loop.

    Parameters
    ----------
    x, t_x, T, count : ndarray, shape (H,)
        Histories, and the customers who share each.
    stratum : ndarray of int, shape (H,), optional
        Whose parameters are the history's; one for all by default.
    """
    tables, ends = by_stratum(_tables, (x, t_x, T, count), stratum)
    bounds = np.stack([ends[name] for name in ("x", "T", "t_x", "count")])
    return Fused({**tables, "bounds": bounds}, _kernel)


def _tables(x: FloatArray, t_x: FloatArray, T: FloatArray, count: FloatArray) -> dict[str, Table]:
    """Distinct x, (x, T) and (x, t_x), and histories by their places among these."""
    kinds, x_of = np.unique(x, return_inverse=True)
    T_of, ages, T_index = distinct_pairs(x_of, T)
    t_x_of, recencies, t_x_index = distinct_pairs(x_of, t_x)
    return {
        "x": kinds,
        "x_count": sums(x_of, count, len(kinds)),
        "T_of": T_of,
        "T": ages,
        "t_x_of": t_x_of,
        "t_x": recencies,
        "T_index": T_index,
        "t_x_index": t_x_index,
        "count": count,
    }


def distinct_pairs(x_of: npt.NDArray[np.intp], time: FloatArray) -> tuple[Table, FloatArray, Table]:
    """Distinct pairs in order of x and time: both parts, and where each row's pair is."""
    times, time_of = np.unique(time, return_inverse=True)
    pairs, index = np.unique(x_of * max(len(times), 1) + time_of, return_inverse=True)
    found, place = np.divmod(pairs, max(len(times), 1))
    return found.astype(np.int32), times[place], index.astype(np.int32)


@compiled
def _fill_pairs(  # type: ignore[no-untyped-def]
    r, alpha, s, beta, purchase, gradient, x, x_of, time, out
):
    """Fill U (or V) of distinct (x, time), and its derivatives by r, alpha, s, beta.

    ``out`` has shape (5, P). Time rises within an x, and k falls: the first one reaches.
    """
    far_buys = alpha >= beta
    low, apart = min(alpha, beta), abs(alpha - beta)
    rule, n, last = np.empty((5, MOST_NODES)), 0, -1
    for i in range(time.size):
        R, t = r + x[x_of[i]], time[i]
        near, far = (s, R) if far_buys else (R, s)
        k = apart / (low + t)
        if x_of[i] != last:
            n = chance_rule(near, far, far_buys == purchase, k, rule)
            last = x_of[i]
        log_alpha, log_beta = math.log1p(t / alpha), math.log1p(t / beta)
        base = -R * log_alpha - s * log_beta
        if not gradient:
            out[0, i] = base + log_chance(near, far, far_buys == purchase, k, rule, n)
            continue
        value, by_log_k, by_near, by_far = log_chance_gradient(
            near, far, far_buys == purchase, k, rule, n
        )
        by_R, by_s = (by_far, by_near) if far_buys else (by_near, by_far)
        tilt = by_log_k if far_buys else -by_log_k  # by ln((alpha + t) / (beta + t))
        out[0, i] = base + value
        out[1, i] = by_R - log_alpha
        out[2, i] = (R * (t / alpha) + tilt) / (alpha + t)
        out[3, i] = by_s - log_beta
        out[4, i] = (s * (t / beta) - tilt) / (beta + t)


@compiled
def _gamma_terms(r, alpha, x, x_count, out):  # type: ignore[no-untyped-def]
    """Add the terms that depend on x alone, with their gradient."""
    log_alpha, psi = math.log(alpha), digamma(r)
    for i in range(x.size):
        out[0] += x_count[i] * (log_rising(r, x[i]) - x[i] * log_alpha)
        out[1] += x_count[i] * (digamma(r + x[i]) - psi)
        out[2] -= x_count[i] * x[i] / alpha


@compiled_sum
def _log_sums(buys, dies, T_index, t_x_index, count, weight):  # type: ignore[no-untyped-def]
    """Sum of ln(e^U + e^V), and each history's weight of V: of death having come first."""
    value = 0.0
    for i in range(count.size):
        u = buys[T_index[i]]
        z = dies[t_x_index[i]] - u
        e = exp_negative(-abs(z))
        value += count[i] * (u + max(z, 0.0) + log1p_unit(e))
        weight[i] = count[i] * ((1.0 if z > 0.0 else e) / (1.0 + e))
    return value


@compiled_sum
def _product(one, other):  # type: ignore[no-untyped-def]
    """Sum of products, on this thread: BLAS starts others, which spin."""
    total = 0.0
    for i in range(one.size):
        total += one[i] * other[i]
    return total


@compiled
def _stratum(  # type: ignore[no-untyped-def]
    r, alpha, s, beta, gradient,
    x, x_count, T_of, T, t_x_of, t_x, T_index, t_x_index, count,
):  # fmt: skip
    """Value and derivatives by r, alpha, s and beta of one stratum, shape (5,)."""
    out = np.zeros(5)
    if not (r > 0.0 and alpha > 0.0 and s > 0.0 and beta > 0.0):
        out[0] = -np.inf
        return out
    buys, dies = np.empty((5, T.size)), np.empty((5, t_x.size))
    _fill_pairs(r, alpha, s, beta, True, gradient, x, T_of, T, buys)
    _fill_pairs(r, alpha, s, beta, False, gradient, x, t_x_of, t_x, dies)
    _gamma_terms(r, alpha, x, x_count, out)
    weight = np.empty(count.size)
    out[0] += _log_sums(buys[0], dies[0], T_index, t_x_index, count, weight)
    if not gradient:
        return out
    of_buys, of_dies = np.zeros(T.size), np.zeros(t_x.size)
    for i in range(count.size):
        of_buys[T_index[i]] += count[i] - weight[i]
        of_dies[t_x_index[i]] += weight[i]
    for j in range(1, 5):
        out[j] += _product(buys[j], of_buys) + _product(dies[j], of_dies)
    return out


@compiled
def _kernel(theta, tables, gradient):  # type: ignore[no-untyped-def]
    """Add up the strata; see `clvmodels.formulas.fused.Fused`."""
    r, alpha, s, beta = theta
    x, x_count, T_of, T, t_x_of, t_x, T_index, t_x_index, count, ends = tables
    strata = r.size
    assert strata == ends.shape[1] - 1
    out = np.zeros(1 + 4 * strata)
    for g in range(strata):
        i, j = ends[0, g], ends[0, g + 1]
        k, m = ends[1, g], ends[1, g + 1]
        p, q = ends[2, g], ends[2, g + 1]
        h, n = ends[3, g], ends[3, g + 1]
        own = _stratum(
            r[g], alpha[g], s[g], beta[g], gradient,
            x[i:j], x_count[i:j], T_of[k:m], T[k:m], t_x_of[p:q], t_x[p:q],
            T_index[h:n], t_x_index[h:n], count[h:n],
        )  # fmt: skip
        add_stratum(out, own, g)
    return out
