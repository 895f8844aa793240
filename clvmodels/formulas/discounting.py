"""When purchases are due, and what they are worth by then: the kernel of discounted formulas.

Rates here are continuous, per the unit of time in which horizon and month are given;
:meth:`Due.of` makes them of annual rates.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._domain import check_discounting
from clvmodels.formulas._jit import compiled
from clvmodels.schema import Discounting, FloatArray, Horizon, TimeScale, check_choice

_NO_EDGES: Final = np.zeros(0)
_NO_CALENDAR: Final = np.zeros((0, 0))


class Due(NamedTuple):
    """Until when purchases count, and how they are discounted.

    Compiled loops take it as it is. Under a calendar the customers' own time passes now
    faster, now slower, and otherwise in every draw: what they do within the horizon is what
    they would do within `until` of their own time, and purchases are discounted, told by the
    month and recorded at the `calendar_time` at which they are made.

    Attributes
    ----------
    horizon : float
        In units of T; infinite for the remaining lifetime.
    delta : float
        Continuous discount rate per unit of T; 0 for none.
    month : float
        Length of a month in units of T, at whose end its purchases are discounted; 0 where
        they are discounted continuously.
    edges : ndarray, shape (E,)
        Times from T on, a day apart, the first one 0 and the last one not before the horizon,
        between which the customers' own time passes evenly; none where there is no calendar.
    warped : ndarray, shape (S, E)
        Their own time that has passed by each, in every draw, in units of T.
    """

    horizon: float
    delta: float = 0.0
    month: float = 0.0
    edges: FloatArray = _NO_EDGES
    warped: FloatArray = _NO_CALENDAR

    @property
    def calendar(self) -> bool:
        """Whether time passes otherwise than evenly."""
        return self.edges.size > 0

    def some(self, which: slice | npt.NDArray[np.integer]) -> Due:
        """What is due in some of the draws."""
        return self._replace(warped=self.warped[which]) if self.calendar else self

    def own_time(self, t: FloatArray) -> FloatArray:
        """Customers' own time by times t, each of shape (n,): shape (S, n), under a calendar."""
        place = np.clip(np.searchsorted(self.edges, t, side="right"), 1, self.edges.size - 1)
        begin, end = self.edges[place - 1], self.edges[place]
        low, high = self.warped[:, place - 1], self.warped[:, place]
        passed: FloatArray = low + (high - low) * ((t - begin) / (end - begin))
        return passed

    def until(self, draws: int) -> FloatArray:
        """The horizon in the customers' own time, in every draw, shape (S,)."""
        if not self.calendar or math.isinf(self.horizon):
            return np.full(draws, self.horizon)
        return np.ascontiguousarray(self.own_time(np.array([self.horizon]))[:, 0])

    def at_pace(self, pace: float) -> Due:
        """The same where a unit of time holds so many of the customers' own, evenly."""
        horizon, delta, month = self.horizon * pace, self.delta / pace, self.month * pace
        return Due(horizon, delta, month)

    @classmethod
    def of(
        cls, scale: TimeScale, horizon: Horizon, discount_rate: float, discounting: Discounting
    ) -> Due:
        """Count options in a unit of time.

        Raises
        ------
        SchemaError, TimeUnitError, DomainError
            An option is of the wrong kind, or out of range.
        """
        check_choice("discounting", discounting, ("continuous", "monthly"))
        month = scale.month if discounting == "monthly" else 0.0
        delta = scale.delta(discount_rate)
        return cls(scale.horizon(horizon), delta, month)


@compiled
def present_value(t: float, delta: float, month: float) -> float:
    """Value now of one unit after t; delta and month as :class:`Due` has them."""
    if delta == 0.0:
        return 1.0
    when = t if month == 0.0 else month * max(np.ceil(t / month), 1.0)
    return math.exp(-delta * when)


@compiled
def calendar_time(t: float, d: int, edges: FloatArray, warped: FloatArray) -> float:
    """Time from T on at which t of the customers' own time has passed in a draw.

    ``edges`` and ``warped`` are as :class:`Due` has them; without a calendar it is t.
    """
    if edges.size == 0:
        return t
    low, high = 0, edges.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if warped[d, middle] < t:
            low = middle
        else:
            high = middle
    passed = warped[d, high] - warped[d, low]
    share = (t - warped[d, low]) / passed if passed > 0.0 else 0.0
    when: float = edges[low] + min(share, 1.0) * (edges[high] - edges[low])
    return when


@compiled
def flow_of_one(
    theta: float, horizon: float, delta: float, month: float, discount: float, interest: float
) -> float:
    """Value of one flow; ``month == 0`` discounts continuously.

    discount = e^(-delta month) and interest = 1 - discount, given as they stay the same
    in a loop over flows.
    """
    if month == 0.0:
        rate = theta + delta
        return -math.expm1(-rate * horizon) / rate if rate > 0.0 else horizon
    if horizon == 0.0:
        return 0.0
    # Month k yields e^(-theta (k-1) month) first, discounted by e^(-delta k month):
    # a geometric series over the full months, then what is left of the last one.
    ended = -math.expm1(-theta * month)
    lost = interest + discount * ended  # 1 - e^(-(theta + delta) month)
    if lost == 0.0:
        return horizon
    first = month if theta == 0.0 else ended / theta
    if math.isinf(horizon):
        return first * discount / lost
    months = np.floor(horizon / month)
    step = (theta + delta) * month
    value = first * discount / lost * -math.expm1(-step * months)
    rest = max(horizon - months * month, 0.0)
    last = rest if theta == 0.0 else -math.expm1(-theta * rest) / theta
    return value + last * discount * math.exp(-step * months)


@compiled
def _flow_value(theta: float, horizon: float, delta: float, month: float) -> float:
    discount, interest = math.exp(-delta * month), -math.expm1(-delta * month)
    return flow_of_one(theta, horizon, delta, month, discount, interest)


_flow_value_ufunc = np.frompyfunc(_flow_value, 4, 1)


def flow_value(
    decay: npt.ArrayLike,
    horizon: npt.ArrayLike,
    delta: npt.ArrayLike,
    *,
    month: float | None = None,
) -> FloatArray:
    """Present value of the flow e^(-decay s), s from 0 to the horizon.

    Parameters
    ----------
    decay : array_like
        Rate at which the flow dies out, >= 0 per unit of time; 0 is an annuity.
    horizon : array_like
        Length of time, >= 0, may be infinite.
    delta : array_like
        Continuous discount rate per unit of time, >= 0.
    month : float, optional
        Length of a month. If given, what flows in month k is discounted at the
        month's end by e^(-delta k month), in the last, partial month too.

    Returns
    -------
    ndarray of float64
        Broadcast over the inputs; infinite if nothing decays over an infinite horizon.

    Raises
    ------
    DomainError
        A rate or length is negative, NaN, or infinite (the horizon alone may be).
    """
    length, rate, month_length = check_discounting(horizon, delta, month)
    theta, _ = np.broadcast_arrays(check_discounting(decay, 0.0, None)[0], length)
    # The compiled loop may compute the last, partial month of an endless horizon ahead of the
    # branch that returns without it: the flag that inf - inf leaves behind means nothing.
    with np.errstate(invalid="ignore"):
        values = _flow_value_ufunc(theta, length, rate, month_length)
    return np.asarray(values, dtype=np.float64)
