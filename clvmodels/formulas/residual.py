"""What a customer who is alive at T will still buy.

Given that a beta-geometric customer is alive at T, the purchase rate is
lambda ~ Gamma(R, A) with R = r + x and A = alpha + T, and the dropout probability
p ~ Beta(a, B), the two independent (Fader, Hardie & Lee 2005, the derivation of eq. 10).
The expected purchase rate s after T is then E[lambda e^(-lambda p s)], which is
m(s) = (R/A) 2F1(R+1, a; a+B; -s/A); everything here is an integral of m.

Domain: R, A, a, B > 0 and finite. Tested against mpmath to 1e-11 relative for
parameters from 1e-3 to 1e4, x to 5,000, T and horizons to 10,000 and infinite horizons.
There is no factor 1/(a-1), so a = 1 is a point like any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clvmodels.formulas import _robust, _series
from clvmodels.formulas._domain import (
    check_amounts,
    check_counts,
    check_discounting,
    check_horizon,
    check_positive,
    flat,
)
from clvmodels.schema import FloatArray


@dataclass(frozen=True, slots=True)
class ResidualPurchases:
    """Purchases of a living customer, both ways.

    Attributes
    ----------
    purchases : ndarray of float64
        Expected purchases over the horizon.
    discounted : ndarray of float64
        The same, each discounted; of the same shape.
    """

    purchases: FloatArray
    discounted: FloatArray


@dataclass(frozen=True, slots=True)
class _Living:
    """Living customers and what is asked of them: arrays of one length."""

    month: float
    R: FloatArray
    A: FloatArray
    a: FloatArray
    B: FloatArray
    horizon: FloatArray
    delta: FloatArray

    @classmethod
    def broadcast(cls, *columns: FloatArray, month: float) -> tuple[_Living, tuple[int, ...]]:
        """Bring the columns to one shape and lay them out flat."""
        arrays, shape = flat(*columns)
        return cls(month, *arrays), shape

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> _Living:
        columns = (self.R, self.A, self.a, self.B, self.horizon, self.delta)
        return _Living(self.month, *[column[rows] for column in columns])


def _fill(purchases: FloatArray, discounted: FloatArray, who: _Living) -> None:
    """Compute by quadrature, in place, what the series left NaN."""
    (left,) = np.nonzero(np.isnan(purchases))
    if not left.size:
        return
    rest = who[left]
    value = np.empty(left.size)
    _robust.undiscounted_loop(rest.R, rest.A, rest.a, rest.B, rest.horizon, value)
    purchases[left] = value
    if rest.delta.any():
        _robust.discounted_loop(
            rest.R, rest.A, rest.a, rest.B, rest.horizon, rest.delta, who.month, value
        )
    discounted[left] = value


def _residual(who: _Living, shape: tuple[int, ...]) -> ResidualPurchases:
    """Run the fast loop, and the robust one where that gives up."""
    purchases, discounted = np.empty(who.R.size), np.empty(who.R.size)
    _series.series_loop(
        who.R, who.A, who.a, who.B, who.horizon, who.delta, who.month, purchases, discounted
    )
    _fill(purchases, discounted, who)
    return ResidualPurchases(purchases.reshape(shape), discounted.reshape(shape))


def purchases_if_alive(
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
) -> FloatArray:
    """Purchases expected of a living customer, undiscounted.

    E[(1 - (1 + p h/A)^-R) / p], p ~ Beta(a, B): Fader, Hardie & Lee (2005), eq. 10,
    without its first factor's pole at a = 1.

    Parameters
    ----------
    R, A : array_like
        Shape and rate of the purchase rate, r + x and alpha + T.
    a, B : array_like
        Shapes of the dropout probability, B = b + x for BG/NBD.
    horizon : array_like
        Length of time, in A's unit, >= 0, may be infinite.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs. At an infinite horizon (a+B-1)/(a-1) where a > 1,
        else infinity.

    Raises
    ------
    DomainError
        A parameter is not finite and > 0, or the horizon is negative or NaN.
    """
    parameters = check_positive(R=R, A=A, a=a, B=B)
    who, shape = _Living.broadcast(*parameters, check_horizon(horizon), np.zeros(()), month=0.0)
    return _residual(who, shape).purchases


def discounted_if_alive(
    R: npt.ArrayLike,
    A: npt.ArrayLike,
    a: npt.ArrayLike,
    B: npt.ArrayLike,
    horizon: npt.ArrayLike,
    delta: npt.ArrayLike,
    *,
    month: float | None = None,
) -> FloatArray:
    """Discounted purchases expected of a living customer.

    Continuously, the integral of e^(-delta s) m(s) over the horizon (the discounted
    expected residual transactions of Fader & Hardie, for any horizon); with a month,
    the sum over months k of e^(-delta k month) times the purchases expected in month k.

    Parameters
    ----------
    R, A, a, B, horizon : array_like
        As in :func:`purchases_if_alive`.
    delta : array_like
        Continuous discount rate per unit of time, >= 0.
    month : float, optional
        Length of a month. If given, purchases are discounted at their month's end,
        those of the last, partial month too.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs; finite wherever delta > 0.

    Raises
    ------
    DomainError
        As in :func:`purchases_if_alive`, or delta < 0, or month <= 0.
    """
    parameters = check_positive(R=R, A=A, a=a, B=B)
    length, rate, month_length = check_discounting(horizon, delta, month)
    who, shape = _Living.broadcast(*parameters, length, rate, month=month_length)
    return _residual(who, shape).discounted


def residual_block(
    x: npt.ArrayLike,
    T: npt.ArrayLike,
    horizon: float,
    delta: float,
    *,
    r: npt.ArrayLike,
    alpha: npt.ArrayLike,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    extra_stays: int,
    month: float | None = None,
) -> ResidualPurchases:
    """Both values for every draw and every (x, T): the kernel of scoring.

    What depends on a draw and x alone is computed once for all T, so a base's distinct
    (x, T) in one call are cheaper than one by one. It releases the GIL.

    Parameters
    ----------
    x, T : array_like
        Repeat purchases and age, one-dimensional, of one length J. Any order.
    horizon : float
        Length of time, >= 0, may be infinite.
    delta : float
        Continuous discount rate per unit of time, >= 0.
    r, alpha, a, b : array_like
        Draws of the parameters, scalars or one-dimensional of one length S.
    extra_stays : int
        B = b + x + extra_stays: 0 for BG/NBD, 1 for MBG/NBD.
    month : float, optional
        As in :func:`discounted_if_alive`.

    Returns
    -------
    ResidualPurchases
        Arrays of shape (S, J).

    Raises
    ------
    DomainError
        As in :func:`discounted_if_alive`, or x or T are not counts or ages.
    """
    draws = np.broadcast_arrays(
        *(np.atleast_1d(v) for v in check_positive(r=r, alpha=alpha, a=a, b=b))
    )
    counts, ages = np.broadcast_arrays(
        np.atleast_1d(check_counts("x", x)), np.atleast_1d(check_amounts("T", T))
    )
    length, rate, month_length = check_discounting(horizon, delta, month)
    order = np.lexsort((counts, ages))
    both = _sorted_block(
        [np.ascontiguousarray(draw) for draw in draws],
        counts[order],
        ages[order],
        extra_stays,
        (float(length), float(rate), month_length),
    )
    back = np.argsort(order)
    return ResidualPurchases(both.purchases[:, back], both.discounted[:, back])


def _sorted_block(
    draws: list[FloatArray],
    x: FloatArray,
    T: FloatArray,
    extra_stays: int,
    ask: tuple[float, float, float],
) -> ResidualPurchases:
    """Both values for histories sorted by T; ask is horizon, delta and month."""
    r, alpha, a, b = draws
    counts, x_of = np.unique(x, return_inverse=True)
    asked = (counts, counts + extra_stays, x_of, T, *ask)
    purchases, discounted = np.empty((r.size, x.size)), np.empty((r.size, x.size))
    _series.series_block(r, alpha, a, b, *asked, purchases, discounted)
    horizon, delta, month = (np.asarray(value) for value in ask)
    # a draw at a time, so that the index arrays stay small
    for i in np.flatnonzero(np.isnan(purchases).any(axis=1)):
        living = (r[i] + x, alpha[i] + T, a[i], b[i] + x + extra_stays, horizon, delta)
        who, _ = _Living.broadcast(*living, month=float(month))
        _fill(purchases[i], discounted[i], who)
    return ResidualPurchases(purchases, discounted)
