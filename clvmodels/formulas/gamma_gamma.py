"""Gamma-Gamma spend: Fader, Hardie & Lee (2005), JMR 42(4), 415-430; Hardie, note 25.

A customer's purchases are worth Gamma(p, nu) each, nu ~ Gamma(q, v) over customers;
m_bar is the mean of x of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from clvmodels.formulas._domain import check_amounts, check_counts, check_positive
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.fused import Fused, Table, add_stratum, by_stratum, sums
from clvmodels.formulas.special import digamma
from clvmodels.schema import FloatArray

Numbers = npt.ArrayLike
_HALF_LOG_2PI = 0.5 * np.log(2.0 * np.pi)


class SpendParameters(TypedDict):
    """The keyword arguments that every formula takes: scalars or arrays, > 0."""

    p: Numbers
    q: Numbers
    v: Numbers


@dataclass(frozen=True, slots=True)
class SpendCoefficients:
    """Expected spend as intercept + slope * m_bar.

    Attributes
    ----------
    intercept : ndarray of float64
        p v / (p x + q - 1), infinite where p x + q <= 1.
    slope : ndarray of float64
        p x / (p x + q - 1), and 0 where the intercept is infinite already.
    """

    intercept: FloatArray
    slope: FloatArray


def _check(*, p: Numbers, q: Numbers, v: Numbers) -> tuple[FloatArray, FloatArray, FloatArray]:
    p, q, v = check_positive(p=p, q=q, v=v)
    return p, q, v


def _stirling_error(z: FloatArray) -> FloatArray:
    """Ln G(z) less Stirling's formula (z - 1/2) ln z - z + ln(2 pi) / 2."""
    small = np.minimum(z, 16.0)
    direct = gammaln(small) - (small - 0.5) * np.log(small) + small - _HALF_LOG_2PI
    w = 1.0 / np.maximum(z, 16.0)
    series = w * (1 / 12 - w**2 * (1 / 360 - w**2 * (1 / 1260 - w**2 * (1 / 1680 - w**2 / 1188))))
    return np.where(z < 16.0, direct, series)


def _deviance(k: FloatArray, mean: FloatArray) -> FloatArray:
    """K ln(k / mean) + mean - k, without cancellation where k is near the mean."""
    share = (mean - k) / k
    near = np.abs(share) < 0.1
    t = np.where(near, share, 0.0)
    # t - ln(1 + t) = t^2 (1/2 - t/3 + t^2/4 - ...)
    series = np.polynomial.polynomial.polyval(t, [(-1.0) ** j / (j + 2.0) for j in range(15)])
    with np.errstate(over="ignore"):
        far = np.where(near, 0.0, share - np.log(mean / k))
    return k * np.where(near, t**2 * series, far)


def log_likelihood(x: Numbers, m_bar: Numbers, **parameters: Unpack[SpendParameters]) -> FloatArray:
    """Log density of the mean m_bar of x purchases: note 25, equation 1a.

    G(px+q) / (G(px) G(q)) v^q m_bar^(px-1) x^(px) / (v + x m_bar)^(px+q). It is computed
    as a beta density in saddle-point form (Loader 2000), as px reaches 10^7 and the
    gamma functions' logarithms then cancel in their first ten digits.

    Parameters
    ----------
    x : array_like
        Purchases that were averaged, whole numbers >= 1.
    m_bar : array_like
        Their mean, > 0.
    p, q, v : array_like
        Parameters, > 0.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs.

    Raises
    ------
    DomainError
        x < 1 or not whole, m_bar <= 0, or a parameter not finite and > 0.
    """
    p, q, v = _check(**parameters)
    x = check_counts("x", x, least=1)
    (m_bar,) = check_positive(m_bar=m_bar)
    k, total = p * x, x * m_bar
    n = k + q
    deviance = _deviance(k, n * (total / (v + total))) + _deviance(q, n * (v / (v + total)))
    normal = 0.5 * (np.log(k) + np.log(q) - np.log(n)) - _HALF_LOG_2PI
    stirling = _stirling_error(n) - _stirling_error(k) - _stirling_error(q)
    return np.asarray(normal + stirling - deviance - np.log(m_bar))


def spend_coefficients(x: Numbers, **parameters: Unpack[SpendParameters]) -> SpendCoefficients:
    """Intercept and slope in m_bar of the expected spend after x purchases.

    Parameters
    ----------
    x : array_like
        Purchases that were averaged, whole numbers >= 0.
    p, q, v : array_like
        Parameters, > 0.

    Returns
    -------
    SpendCoefficients
        Arrays broadcast over the inputs.

    Raises
    ------
    DomainError
        x is not a whole number >= 0, or a parameter is not finite and > 0.
    """
    p, q, v = _check(**parameters)
    weight = p * check_counts("x", x)
    rest = weight + (q - 1.0)
    finite = rest > 0
    divisor = np.where(finite, rest, 1.0)
    return SpendCoefficients(
        intercept=np.where(finite, p * v / divisor, np.inf),
        slope=np.where(finite, weight / divisor, 0.0),
    )


def expected_spend(x: Numbers, m_bar: Numbers, **parameters: Unpack[SpendParameters]) -> FloatArray:
    """Mean value of a future purchase, p (v + x m_bar) / (p x + q - 1): note 25, equation 5.

    Parameters
    ----------
    x : array_like
        Purchases that were averaged, whole numbers >= 0.
    m_bar : array_like
        Their mean, >= 0; without a meaning where x = 0, but a number there too.
    p, q, v : array_like
        Parameters, > 0.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs; infinite where p x + q <= 1, where the mean over
        customers does not exist.

    Raises
    ------
    DomainError
        x is not a whole number >= 0, m_bar is negative or not finite, or a parameter is not
        finite and > 0.
    """
    line = spend_coefficients(x, **parameters)
    return np.asarray(line.intercept + line.slope * check_amounts("m_bar", m_bar))


def population_mean(**parameters: Unpack[SpendParameters]) -> FloatArray:
    """Mean value of a purchase over the population, p v / (q - 1); infinite where q <= 1.

    Raises
    ------
    DomainError
        A parameter is not finite and > 0.
    """
    return expected_spend(0, 0.0, **parameters)


def mean_with_first(x: FloatArray, m_bar: FloatArray, first: FloatArray) -> FloatArray:
    """Mean of x + 1 amounts: of a first order, and of x repeat purchases whose mean is m_bar.

    Parameters
    ----------
    x, m_bar : ndarray
        Repeat purchases and their mean amount; 0 where there are none.
    first : ndarray
        Amount of the first order.
    """
    return np.asarray((first + x * m_bar) / (x + 1.0))


def fused(
    x: FloatArray,
    total: FloatArray,
    count: FloatArray,
    *,
    stratum: npt.NDArray[np.integer] | None = None,
) -> Fused:
    """Prepare a base for the fused log-likelihood.

    Customers enter through counts per distinct x, two sums of logarithms, and, per distinct
    total spend S, the customers and their purchases, which multiply ln(S + v).

    Parameters
    ----------
    x, total, count : ndarray, shape (H,)
        Distinct purchases and total spends, > 0, and the customers who share each pair.
    stratum : ndarray of int, shape (H,), optional
        Whose parameters are the pair's; one for all by default.
    """
    tables, ends = by_stratum(_tables, (x, total, count), stratum)
    bounds = np.stack([ends["x"], ends["total"]])
    return Fused({**tables, "bounds": bounds}, _kernel)


def _tables(x: FloatArray, total: FloatArray, count: FloatArray) -> dict[str, Table]:
    """Distinct x and totals with sums over their customers."""
    kinds, x_index = np.unique(x, return_inverse=True)
    totals, index = np.unique(total, return_inverse=True)
    return {
        "x": kinds,
        "x_count": sums(x_index, count, len(kinds)),
        "total": totals,
        "total_count": sums(index, count, len(totals)),
        "total_purchases": sums(index, count * x, len(totals)),
        # over customers, of x ln S and of ln(S / x)
        "constants": np.array([count * x @ np.log(total), count @ np.log(total / x)]),
    }


@compiled
def _stratum(p, q, v, x, x_count, total, total_count, total_purchases, constants):  # type: ignore[no-untyped-def]
    """Value of note 25's eq. 1a, and its derivatives by p, q and v, shape (4,)."""
    out = np.zeros(4)
    if not (p > 0.0 and q > 0.0 and v > 0.0):
        out[0] = -np.inf
        return out
    n = 0.0
    for i in range(x.size):
        w, px = x_count[i], p * x[i]
        n += w
        psi = digamma(px + q)
        out[0] += w * (math.lgamma(px + q) - math.lgamma(px))
        out[1] += w * x[i] * (psi - digamma(px))
        out[2] += w * psi
    for i in range(total.size):
        level = math.log(total[i] + v)
        weight = p * total_purchases[i] + q * total_count[i]
        out[0] -= weight * level
        out[1] -= total_purchases[i] * level
        out[2] -= total_count[i] * level
        out[3] -= weight / (total[i] + v)
    out[0] += n * (q * math.log(v) - math.lgamma(q)) + p * constants[0] - constants[1]
    out[1] += constants[0]
    out[2] += n * (math.log(v) - digamma(q))
    out[3] += n * q / v
    return out


@compiled
def _kernel(theta, tables, gradient):  # type: ignore[no-untyped-def]
    """Add up the strata; see `clvmodels.formulas.fused.Fused`."""
    p, q, v = theta
    x, x_count, total, total_count, total_purchases, constants, ends = tables
    strata = p.size
    assert strata == ends.shape[1] - 1
    out = np.zeros(1 + 3 * strata)
    for g in range(strata):
        i, j = ends[0, g], ends[0, g + 1]
        k, m = ends[1, g], ends[1, g + 1]
        own = _stratum(
            p[g], q[g], v[g], x[i:j], x_count[i:j], total[k:m], total_count[k:m],
            total_purchases[k:m], constants[2 * g : 2 * g + 2],
        )  # fmt: skip
        add_stratum(out, own, g)
    return out
