"""The fused log-likelihood of the beta-geometric family.

In the form of Hardie's note 27 of eq. 6 of Fader, Hardie & Lee (2005), with s stays
behind each living customer, s = x for BG/NBD and x + 1 for MBG/NBD (Batislam et al. 2007,
eq. 3),

    ln L = lnG(r+x) - lnG(r) + r ln alpha - (r+x) ln(alpha+T)
           + lnG(a+b) - lnG(b) + lnG(b+s) - lnG(a+b+s) + softplus(z),
    z    = ln a - ln(b+s-1) + (r+x) (ln(alpha+T) - ln(alpha+t_x)),

without softplus(z) where s = 0. The gamma functions need only the count of customers per
distinct x, the logarithms one value per distinct time; per distinct history there remain
one exp and one log1p, in a loop that the compiler vectorises.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

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
    stays: FloatArray,
    stratum: npt.NDArray[np.integer] | None = None,
) -> Fused:
    """Prepare a base for the loop.

    Parameters
    ----------
    x, t_x, T, count : ndarray, shape (H,)
        Histories, and the customers who share each.
    stays : ndarray, shape (H,)
        How often a customer alive after x repeats has stayed; a function of x.
    stratum : ndarray of int, shape (H,), optional
        Whose parameters are the history's; one for all by default.
    """
    tables, ends = by_stratum(_tables, (x, t_x, T, count, stays), stratum)
    bounds = np.stack([ends[name] for name in ("x", "time", "count")])
    return Fused({**tables, "bounds": bounds}, _kernel)


def _tables(
    x: FloatArray, t_x: FloatArray, T: FloatArray, count: FloatArray, stays: FloatArray
) -> dict[str, Table]:
    """Distinct x and times with sums over their customers, and histories by their places."""
    kinds, first, x_index = np.unique(x, return_index=True, return_inverse=True)
    time, position = np.unique(np.concatenate([t_x, T]), return_inverse=True)
    tx_index, T_index = np.split(position, 2)
    asked = slice(None) if stays.all() else stays > 0  # who may have left
    return {
        "x": kinds,
        "stays": stays[first],
        "x_count": sums(x_index, count, len(kinds)),
        "time": time,
        "T_count": sums(T_index, count, len(time)),
        "T_purchases": sums(T_index, count * x, len(time)),
        "x_index": x_index[asked].astype(np.int32),
        "tx_index": tx_index[asked].astype(np.int32),
        "T_index": T_index[asked].astype(np.int32),
        "count": count[asked],
    }


@compiled
def gamma_terms(r, alpha, a, b, x, stays, x_count, out):  # type: ignore[no-untyped-def]
    """Add the terms that depend on x alone, with their gradient."""
    log_alpha = math.log(alpha)
    psi_r, psi_b, psi_ab = digamma(r), digamma(b), digamma(a + b)
    for i in range(x.size):
        w, s = x_count[i], stays[i]
        psi_aB = digamma(a + b + s)
        out[0] += w * (
            log_rising(r, x[i]) - x[i] * log_alpha + (log_rising(b, s) - log_rising(a + b, s))
        )
        out[1] += w * (digamma(r + x[i]) - psi_r)
        out[2] -= w * x[i] / alpha
        out[3] += w * (psi_ab - psi_aB)
        out[4] += w * (psi_ab - psi_aB + digamma(b + s) - psi_b)


@compiled
def survival_terms(r, alpha, time, log_time, inv_time, T_count, T_purchases, out):  # type: ignore[no-untyped-def]
    """Add -(r+x) ln(1 + T/alpha) with its gradient."""
    for i in range(T_count.size):
        weight = r * T_count[i] + T_purchases[i]
        out[0] -= weight * log_time[i]
        out[1] -= T_count[i] * log_time[i]
        out[2] += weight * inv_time[i] * (time[i] / alpha)


@compiled_sum
def _softplus_terms(  # type: ignore[no-untyped-def]
    r, x, log_odds, inv_stay, log_time, inv_time, x_index, tx_index, T_index, count
):
    """Sum of softplus(z), and of its derivatives by r, alpha, ln a and b."""
    value = by_r = by_alpha = by_log_a = by_b = 0.0
    for i in range(count.size):
        k, j, m = x_index[i], tx_index[i], T_index[i]
        rate = r + x[k]
        gap = log_time[m] - log_time[j]
        z = log_odds[k] + rate * gap
        e = exp_negative(-abs(z))
        value += count[i] * (max(z, 0.0) + log1p_unit(e))
        weight = count[i] * ((1.0 if z > 0.0 else e) / (1.0 + e))
        by_r += weight * gap
        by_alpha += weight * rate * (inv_time[m] - inv_time[j])
        by_log_a += weight
        by_b -= weight * inv_stay[k]
    return value, by_r, by_alpha, by_log_a, by_b


@compiled_sum
def _softplus_sum(r, x, log_odds, log_time, x_index, tx_index, T_index, count):  # type: ignore[no-untyped-def]
    """Sum of softplus(z) alone: what importance weights need, in half the time."""
    value = 0.0
    for i in range(count.size):
        k = x_index[i]
        z = log_odds[k] + (r + x[k]) * (log_time[T_index[i]] - log_time[tx_index[i]])
        value += count[i] * (max(z, 0.0) + log1p_unit(exp_negative(-abs(z))))
    return value


@compiled
def _stratum(  # type: ignore[no-untyped-def]
    r, alpha, a, b, gradient,
    x, stays, x_count, time, T_count, T_purchases, x_index, tx_index, T_index, count,
):  # fmt: skip
    """Value and derivatives by r, alpha, a and b of one stratum, shape (5,)."""
    out = np.zeros(5)
    if not (r > 0.0 and alpha > 0.0 and a > 0.0 and b > 0.0):
        out[0] = -np.inf
        return out
    # Of 1 + time/alpha, not alpha + time: r and alpha may run off together.
    log_time = np.log1p(time / alpha)
    inv_time = 1.0 / (alpha + time)
    gamma_terms(r, alpha, a, b, x, stays, x_count, out)
    survival_terms(r, alpha, time, log_time, inv_time, T_count, T_purchases, out)
    stay = b + (stays - 1.0)  # in this order: b may be tiny
    log_odds = math.log(a) - np.log(stay)
    if not gradient:
        out[0] += _softplus_sum(r, x, log_odds, log_time, x_index, tx_index, T_index, count)
        return out
    value, by_r, by_alpha, by_log_a, by_b = _softplus_terms(
        r, x, log_odds, 1.0 / stay, log_time, inv_time, x_index, tx_index, T_index, count
    )
    out[0] += value
    out[1] += by_r
    out[2] += by_alpha
    out[3] += by_log_a / a
    out[4] += by_b
    return out


@compiled
def _kernel(theta, tables, gradient):  # type: ignore[no-untyped-def]
    """Add up the strata; see `clvmodels.formulas.fused.Fused`."""
    r, alpha, a, b = theta
    x, stays, x_count, time, T_count, T_purchases, x_index, tx_index, T_index, count, ends = tables
    strata = r.size
    assert strata == ends.shape[1] - 1
    out = np.zeros(1 + 4 * strata)
    for g in range(strata):
        i, j = ends[0, g], ends[0, g + 1]
        k, m = ends[1, g], ends[1, g + 1]
        h, n = ends[2, g], ends[2, g + 1]
        own = _stratum(
            r[g], alpha[g], a[g], b[g], gradient,
            x[i:j], stays[i:j], x_count[i:j], time[k:m], T_count[k:m], T_purchases[k:m],
            x_index[h:n], tx_index[h:n], T_index[h:n], count[h:n],
        )  # fmt: skip
        add_stratum(out, own, g)
    return out
