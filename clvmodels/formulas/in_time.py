"""The log-likelihood of beta-geometric models with its derivatives by recency and age too.

A common intensity of the day changes t_x and T of all histories and nothing else, as customers
leave at purchases: so whoever learns it needs, besides the derivatives by the parameters, those
by the times. With R = r + k x, A = alpha + T, gap = ln(A / (alpha + t_x)) and y = (T - t_x) / A
the terms in which times occur are

    -R ln(1 + T / alpha) + ln(phases(y) + e^z),    z = ln odds of having left + R gap,

phases being the polynomial of :mod:`clvmodels.formulas.cnbd_fused`, 1 for k = 1. A share d of
the last term is of who has left, so that its derivatives are

    by T:    (1 - d) (ln phases)'(y) (1 - y) / A + d R / A,
    by t_x: -(1 - d) (ln phases)'(y) / A - d R / (alpha + t_x).

The loop keeps its base as histories and not by distinct times, which every step of learning
moves; apart from that it is the one of a fit, and shares its terms of x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.beta_geometric_fused import gamma_terms
from clvmodels.formulas.cnbd_fused import _NEVER, _phase_coefficients
from clvmodels.formulas.special import exp_negative, log1p_unit, log_from_one
from clvmodels.schema import FloatArray


@dataclass(frozen=True, slots=True)
class Slopes:
    """A log-likelihood of a base and its derivatives.

    Attributes
    ----------
    value : float
        Sum over customers.
    by_parameter : ndarray, shape (P, G)
        By each parameter of each stratum.
    by_recency, by_age : ndarray, shape (H,)
        By the times of each history, of all customers who share it.
    """

    value: float
    by_parameter: FloatArray
    by_recency: FloatArray
    by_age: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class InTime:
    """A base whose times may move, ready for its log-likelihood.

    Attributes
    ----------
    regularity : int
        k.
    stages, stays : ndarray, shape (K,)
        k x, and how often a living customer has stayed, by distinct x.
    x_count : ndarray, shape (G, K)
        Customers by stratum and distinct x.
    x_index, stratum : ndarray of int, shape (H,)
        Whose they are.
    count : ndarray, shape (H,)
        Customers who share the history.
    """

    regularity: int
    stages: FloatArray
    stays: FloatArray
    x_count: FloatArray
    x_index: npt.NDArray[np.int64]
    stratum: npt.NDArray[np.int64]
    count: FloatArray

    @classmethod
    def of(
        cls,
        x: FloatArray,
        count: FloatArray,
        stratum: npt.NDArray[np.integer] | None,
        *,
        regularity: int,
        extra_stays: int,
    ) -> Self:
        """Prepare a base; x and count are of shape (H,)."""
        kinds, x_index = np.unique(x, return_inverse=True)
        part = np.zeros(len(x), dtype=np.int64) if stratum is None else stratum.astype(np.int64)
        strata, size = int(part.max(initial=0)) + 1, len(kinds)
        x_count = np.bincount(part * size + x_index, count, strata * size).reshape(strata, size)
        where = x_index.astype(np.int64), part
        stages, stays = regularity * kinds, kinds + extra_stays
        return cls(regularity, stages, stays, x_count.astype(np.float64), *where, count)

    def __call__(
        self,
        t_x: FloatArray,
        T: FloatArray,
        *,
        r: npt.ArrayLike,
        alpha: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
    ) -> Slopes:
        """Value and derivatives where the times are t_x and T, 0 <= t_x <= T.

        Parameters
        ----------
        t_x, T : ndarray, shape (H,)
            Of each history.
        r, alpha, a, b : array_like
            A number, or one for each stratum, shape (G,).
        """
        strata = len(self.x_count)
        theta = np.array([np.broadcast_to(one, strata) for one in (r, alpha, a, b)], dtype=float)
        by_parameter, by_t_x, by_T = np.zeros_like(theta), np.empty(len(T)), np.empty(len(T))
        value = _loop(
            *(theta, self.regularity, self.stages, self.stays, self.x_count),
            *(self.x_index, self.stratum, self.count, t_x, T),
            *(by_parameter, by_t_x, by_T),
        )
        return Slopes(float(value), by_parameter, by_t_x, by_T)


@compiled
def _loop(  # type: ignore[no-untyped-def]
    theta, k, stages, stays, x_count, x_index, stratum, count, t_x, T, by_parameter, by_t_x, by_T
):
    strata, size = x_count.shape
    log_odds, inv_stay = np.empty((strata, size)), np.empty((strata, size))
    odds, by_r = np.empty((strata, 3, size)), np.empty((strata, 3, size))
    value = 0.0
    for g in range(strata):
        r, alpha, a, b = theta[0, g], theta[1, g], theta[2, g], theta[3, g]
        if not (r > 0.0 and alpha > 0.0 and a > 0.0 and b > 0.0):
            return -np.inf
        out = np.zeros(5)
        gamma_terms(r, alpha, a, b, stages, stays, x_count[g], out)
        value += out[0] - np.dot(x_count[g], stages) / k * math.lgamma(float(k))
        for p in range(4):
            by_parameter[p, g] += out[1 + p]
        for n in range(size):
            stay = b + max(stays[n] - 1.0, 0.0)  # in this order: b may be tiny
            inv_stay[g, n] = 1.0 / stay
            log_odds[g, n] = math.log(a) - math.log(stay) if stays[n] > 0.0 else _NEVER
        of_stratum, slopes = _phase_coefficients(r, k, stages)
        for p in range(3):
            for n in range(size):
                odds[g, p, n], by_r[g, p, n] = of_stratum[p, n], slopes[p, n]
    for i in range(count.size):
        g, n = stratum[i], x_index[i]
        r, alpha, a = theta[0, g], theta[1, g], theta[2, g]
        R, inv_T, inv_t_x = r + stages[n], 1.0 / (alpha + T[i]), 1.0 / (alpha + t_x[i])
        # Of 1 + time/alpha, not alpha + time: r and alpha may run off together.
        log_T = math.log1p(T[i] / alpha)
        gap, y = log_T - math.log1p(t_x[i] / alpha), (T[i] - t_x[i]) * inv_T
        c1, c2, c3 = odds[g, 0, n], odds[g, 1, n], odds[g, 2, n]
        d1, d2, d3 = by_r[g, 0, n], by_r[g, 1, n], by_r[g, 2, n]
        phases = 1.0 + y * (c1 + y * (c2 + y * c3))
        log_phases = log_from_one(phases)
        z = log_odds[g, n] + R * gap - log_phases
        e = exp_negative(-abs(z))
        w = count[i]
        dropped = (1.0 if z > 0.0 else e) / (1.0 + e)
        alive = (e if z > 0.0 else 1.0) / (1.0 + e) / phases
        rise = alive * (c1 + y * (2.0 * c2 + 3.0 * y * c3))  # by y
        value += w * (log_phases + max(z, 0.0) + log1p_unit(e) - R * log_T)
        by_parameter[0, g] += w * (dropped * gap + alive * (y * (d1 + y * (d2 + y * d3))) - log_T)
        by_parameter[1, g] += w * (
            dropped * R * (inv_T - inv_t_x) - rise * y * inv_T + R * inv_T * (T[i] / alpha)
        )
        by_parameter[2, g] += w * dropped / a
        by_parameter[3, g] -= w * dropped * inv_stay[g, n]
        by_T[i] = w * inv_T * (rise * (1.0 - y) + (dropped - 1.0) * R)
        by_t_x[i] = -w * (rise * inv_T + dropped * R * inv_t_x)
    return value
