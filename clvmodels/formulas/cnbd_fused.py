"""The fused log-likelihood of the beta-geometric family with regular timing.

With k x stages behind a customer in place of x purchases it is that of
:mod:`clvmodels.formulas.beta_geometric_fused`, and besides, per distinct history, the odds
of being alive in each phase against the first: a polynomial of degree k - 1 in
y = (T - t_x) / (alpha + T), whose coefficients depend on x alone. So

    ln L = terms of x + terms of T + ln(phases + e^z),

in a loop that the compiler vectorises: one exp and two logarithms, without a branch.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.beta_geometric_fused import gamma_terms, survival_terms
from clvmodels.formulas.fused import Fused, Table, add_stratum, by_stratum, sums
from clvmodels.formulas.special import exp_negative, log1p_unit, log_from_one
from clvmodels.schema import FloatArray

MOST_REGULAR: Final = 4  # greatest k: the loop over histories is written for as many phases
_NEVER: Final = -1e300  # log odds of having dropped out of who was never asked


def fused(
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    count: FloatArray,
    *,
    regularity: int,
    stays: FloatArray,
    stratum: npt.NDArray[np.integer] | None = None,
) -> Fused:
    """Prepare a base for the loop.

    Parameters
    ----------
    x, t_x, T, count, stays, stratum
        As for BG/NBD and MBG/NBD.
    regularity : int
        k, stages a purchase: 1 to 4.
    """
    make = partial(_tables, regularity)
    tables, ends = by_stratum(make, (x, t_x, T, count, stays), stratum)
    bounds = np.stack([ends[name] for name in ("stages", "time", "count")])
    k = np.array([regularity])
    return Fused({**tables, "regularity": k, "bounds": bounds}, _kernel)


def _tables(
    regularity: int,
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    count: FloatArray,
    stays: FloatArray,
) -> dict[str, Table]:
    """Distinct x and times with sums over their customers, and histories by their places."""
    kinds, first, x_index = np.unique(x, return_index=True, return_inverse=True)
    time, position = np.unique(np.concatenate([t_x, T]), return_inverse=True)
    tx_index, T_index = np.split(position, 2)
    return {
        "stages": regularity * kinds,
        "stays": stays[first],
        "x_count": sums(x_index, count, len(kinds)),
        "time": time,
        "T_count": sums(T_index, count, len(time)),
        "T_stages": sums(T_index, count * regularity * x, len(time)),
        "x_index": x_index.astype(np.int32),
        "tx_index": tx_index.astype(np.int32),
        "T_index": T_index.astype(np.int32),
        "count": count,
    }


@compiled
def _phase_coefficients(r, k, stages):  # type: ignore[no-untyped-def]
    """Gamma(R+j) / (Gamma(R) j!) of the phases j = 1, 2, 3 (0 from k on), and d/dr of each."""
    odds, by_r = np.zeros((3, stages.size)), np.zeros((3, stages.size))
    for i in range(stages.size):
        R, term, slope = r + stages[i], 1.0, 0.0
        for j in range(1, k):
            term *= (R + (j - 1)) / j
            slope += 1.0 / (R + (j - 1))
            odds[j - 1, i], by_r[j - 1, i] = term, term * slope
    return odds, by_r


@compiled_sum
def _history_terms(  # type: ignore[no-untyped-def]
    r, stages, log_odds, inv_stay, odds, odds_by_r, time, log_time, inv_time,
    x_index, tx_index, T_index, count,
):  # fmt: skip
    """Sum of ln(phases + e^z), and of its derivatives by r, alpha, ln a and b."""
    value = by_r = by_alpha = by_log_a = by_b = 0.0
    c1, c2, c3 = odds
    d1, d2, d3 = odds_by_r
    for i in range(count.size):
        n, j, m = x_index[i], tx_index[i], T_index[i]
        R = r + stages[n]
        gap = log_time[m] - log_time[j]
        y = (time[m] - time[j]) * inv_time[m]
        phases = 1.0 + y * (c1[n] + y * (c2[n] + y * c3[n]))
        log_phases = log_from_one(phases)
        z = log_odds[n] + R * gap - log_phases
        e = exp_negative(-abs(z))
        value += count[i] * (log_phases + max(z, 0.0) + log1p_unit(e))
        dropped = count[i] * ((1.0 if z > 0.0 else e) / (1.0 + e))
        alive = count[i] * ((e if z > 0.0 else 1.0) / (1.0 + e)) / phases
        by_r += dropped * gap + alive * (y * (d1[n] + y * (d2[n] + y * d3[n])))
        by_alpha += dropped * R * (inv_time[m] - inv_time[j])
        by_alpha -= alive * y * inv_time[m] * (c1[n] + y * (2.0 * c2[n] + 3.0 * y * c3[n]))
        by_log_a += dropped
        by_b -= dropped * inv_stay[n]
    return value, by_r, by_alpha, by_log_a, by_b


@compiled
def _stratum(  # type: ignore[no-untyped-def]
    r, alpha, a, b, k,
    stages, stays, x_count, time, T_count, T_stages, x_index, tx_index, T_index, count,
):  # fmt: skip
    """Value and derivatives by r, alpha, a and b of one stratum, shape (5,)."""
    out = np.zeros(5)
    if not (r > 0.0 and alpha > 0.0 and a > 0.0 and b > 0.0):
        out[0] = -np.inf
        return out
    # Of 1 + time/alpha, not alpha + time: r and alpha may run off together.
    log_time = np.log1p(time / alpha)
    inv_time = 1.0 / (alpha + time)
    gamma_terms(r, alpha, a, b, stages, stays, x_count, out)
    survival_terms(r, alpha, time, log_time, inv_time, T_count, T_stages, out)
    out[0] -= np.dot(x_count, stages) / k * math.lgamma(float(k))
    stay = b + np.maximum(stays - 1.0, 0.0)  # in this order: b may be tiny
    log_odds = np.full(stays.size, _NEVER)
    for n in range(stays.size):
        if stays[n] > 0.0:
            log_odds[n] = math.log(a) - math.log(stay[n])
    odds, odds_by_r = _phase_coefficients(r, k, stages)
    value, by_r, by_alpha, by_log_a, by_b = _history_terms(
        r, stages, log_odds, 1.0 / stay, odds, odds_by_r, time, log_time, inv_time,
        x_index, tx_index, T_index, count,
    )  # fmt: skip
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
    (
        stages, stays, x_count, time, T_count, T_stages, x_index, tx_index, T_index, count,
        regularity, ends,
    ) = tables  # fmt: skip
    strata = r.size
    assert strata == ends.shape[1] - 1
    out = np.zeros(1 + 4 * strata)
    for g in range(strata):
        i, j = ends[0, g], ends[0, g + 1]
        k, m = ends[1, g], ends[1, g + 1]
        h, n = ends[2, g], ends[2, g + 1]
        own = _stratum(
            r[g], alpha[g], a[g], b[g], regularity[0],
            stages[i:j], stays[i:j], x_count[i:j], time[k:m], T_count[k:m], T_stages[k:m],
            x_index[h:n], tx_index[h:n], T_index[h:n], count[h:n],
        )  # fmt: skip
        add_stratum(out, own, g)
    return out
