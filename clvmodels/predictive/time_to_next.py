"""When each customer buys next: the time to the next purchase, which may never come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels import frames
from clvmodels.display import Readable
from clvmodels.errors import DomainError
from clvmodels.forecast import tail_probabilities
from clvmodels.forecast.grouping import group_rows
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.posterior.predicting import columns_of, own_horizon
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable
from clvmodels.predictive.base import purchase_draws
from clvmodels.predictive.waiting_times import FAR, solve
from clvmodels.rfm import RfmTable
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import (
    CUSTOMER_ID,
    FloatArray,
    Horizon,
    TimeScale,
    TimeUnit,
    check_interval,
    check_number,
    scale_said,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.posterior import PurchasePosterior

WITHIN: Final = ("30D", "90D", "365D")
LATE: Final = 0.9
# Periods in NumPy's units
_STEPS: Final = {"h": ("h", 1), "D": ("D", 1), "W": ("D", 7), "M": ("M", 1)}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NextPurchase(Readable):
    """When customers buy next, customer by customer.

    Attributes
    ----------
    customers : DataFrame or Table
        One row per customer, in the table's order, of the kind of frame that was passed
        (pandas for an RfmTable):

        - customer_id;
        - p_within_30D and so on: the chance of a purchase within each length of ``within``;
        - p_never: the chance that no purchase will ever come;
        - next, next_lower, next_upper: median and ends of the interval of the time of the next
          purchase from the end of observation, *if one comes*;
        - silence: time since the last purchase;
        - usual_silence: what it is seldom longer than: at their last purchase, a share ``late``
          of the times to a next one, if one came, was expected to be shorter;
        - overdue: whether silence is longer.

        Times are in the table's unit. Of an RfmTable that knows its end of observation, next,
        next_lower and next_upper are dates, and there are last_purchase and overdue_from, the
        date on which the customer became overdue, or will: each the first day of its period.
        A time beyond 100 years is infinite, and such a date missing.
    scale : TimeScale
        The unit of times.
    interval, late : float
        As they were asked for.
    """

    customers: Any
    scale: TimeScale
    interval: float
    late: float


@named
def next_purchase(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    within: Sequence[Horizon] = WITHIN,
    interval: float = 0.8,
    late: float = LATE,
    draws: int = 500,
    threads: int | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> NextPurchase:
    """Predict when each customer will buy next, and who is overdue.

    The time to the next purchase is a distribution of the outcome: the process's own
    randomness and the doubt about parameters are both in it. With P(alive) less than 1
    a part of it lies at "never", and medians of those who are probably gone would be
    infinite; so the chance of no further purchase is told apart, and times are those of
    customers who do buy again.

    Parameters
    ----------
    posterior : CLVPosterior, or BetaGeoPosterior and its like
        Of purchases; spend is not needed.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time.
    within : sequence of str or float
        Lengths of time for which the chance of a purchase is told, "30D" or numbers in the
        table's unit; finite.
    interval : float
        Probability of the equal-tailed interval of the time.
    late : float
        Share of times to a next purchase after which a customer is overdue, in (0, 1).
    draws : int
        Posterior draws to use, evenly spaced over all.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    NextPurchase
        A row for each customer, in the order of the table.

    Raises
    ------
    SchemaError, TimeUnitError
        The table is not of the right form or unit, or a length is none.
    DomainError
        A length is endless, or a share lies outside (0, 1).

    Notes
    -----
    P(next purchase within s) is the sum over phases j of w_j times the chance that a living
    customer in phase j buys within s, averaged over draws: for BG/NBD P(alive)
    (1 - ((alpha + T) / (alpha + T + s))^(r + x)), from eq. (7) of Fader, Hardie & Lee (2005).
    """
    rfm = frames.eager(rfm)
    whose = purchases_of(scorable(posterior, "The next purchase needs"))
    lengths = _lengths(whose.scale, within)
    found = waiting(
        posterior,
        columns_of(whose, rfm, scale_said(time_unit, time_scaler)),
        lengths=[*lengths.values()],
        interval=interval,
        late=[late],
        draws=draws,
        threads=threads,
    )
    end = rfm.observation_end if isinstance(rfm, RfmTable) else None
    frame = frames.like(rfm, _frame(end, whose.scale, lengths, found))
    return NextPurchase(frame, whose.scale, check_interval(interval), _share_of_times(late))


class Waiting(NamedTuple):
    """Of N customers what their next purchase is like, in the table's unit of time.

    Attributes
    ----------
    columns : RfmColumns
        The customers.
    chances : ndarray, shape (L, N)
        Of a purchase within each length.
    never : ndarray, shape (N,)
        P(no purchase ever).
    lower, median, upper : ndarray, shape (N,)
        Of the time to the next purchase, if one comes; infinite beyond 100 years.
    silence : ndarray, shape (N,)
        Since the last purchase.
    usual : ndarray, shape (Q, N)
        What it is seldom longer than, for each share of times.
    """

    columns: RfmColumns
    chances: FloatArray
    never: FloatArray
    lower: FloatArray
    median: FloatArray
    upper: FloatArray
    silence: FloatArray
    usual: FloatArray

    @property
    def overdue(self) -> npt.NDArray[np.bool_]:
        """Whose silence is longer than the last share of times."""
        return np.asarray(self.silence > self.usual[-1])


def waiting(
    posterior: Scorable,
    columns: RfmColumns,
    *,
    lengths: Sequence[float],
    interval: float,
    late: Sequence[float],
    draws: int,
    threads: int | None = None,
) -> Waiting:
    """Solve for customers' next purchases: arrays, without labels; as `next_purchase`."""
    whose, scale = purchases_of(posterior), posterior.scale
    low, high = tail_probabilities(check_interval(interval))
    shares = np.array([_share_of_times(one) for one in late])
    drawn, cores = purchase_draws(posterior, draws)[0], cores_for(threads)
    now = group_rows(columns.kind, columns.t_x, columns.T)
    until = [own_horizon(whose, length, columns.last_day) for length in lengths]
    asked, tails = np.array(until, dtype=np.float64), np.array([low, 0.5, high])
    found = solve(now, drawn, scale, asked, tails, cores)
    # What was to be expected right after the last purchase, when nobody had been silent yet
    then = group_rows(columns.kind, columns.t_x, columns.t_x)
    usual = solve(then, drawn, scale, np.zeros(0), shares, cores)
    far = FAR / scale.days
    times = _on_calendars(whose, columns, found.times, usual.times)
    told = np.where(times > far, np.inf, times)
    never, silence = np.clip(found.never, 0.0, 1.0), columns.age - columns.recency
    return Waiting(columns, found.chances, never, told[0], told[1], told[2], silence, told[3:])


def _lengths(scale: TimeScale, within: Sequence[Horizon]) -> dict[str, float]:
    """Lengths by the name of their column."""
    given = [within] if isinstance(within, str | int | float) or within is None else list(within)
    found = {}
    for one in given:
        length = scale.horizon(one)
        if math.isinf(length):
            raise DomainError(
                f"within={shown(within)} must hold finite lengths such as '90D': that no purchase "
                "ever comes is p_never."
            )
        name = one if isinstance(one, str) else f"{length:g}"
        found[f"p_within_{name}"] = length
    return found


def _share_of_times(late: object) -> float:
    share = check_number("late", late, DomainError)
    if not 0.0 < share < 1.0:
        raise DomainError(f"late={shown(late)} must lie between 0 and 1, such as 0.9.")
    return share


def _on_calendars(
    whose: PurchasePosterior, columns: RfmColumns, ahead: FloatArray, late: FloatArray
) -> FloatArray:
    """Times ahead of now, and after the last purchase, as calendars count them."""
    times = np.concatenate([ahead, late])
    clock, last_day = whose.metadata.clock, columns.last_day
    if clock is None or last_day is None:
        return times
    days = whose.scale.days
    begin = np.full(times.shape, last_day)
    begin[len(ahead) :] -= np.rint((columns.age - columns.recency) * days).astype(np.int64)
    own = clock.own_days(begin) + times * days
    return np.asarray((clock.days_at(own) - begin) / days)


def _frame(
    end: pd.Timestamp | None, scale: TimeScale, lengths: dict[str, float], found: Waiting
) -> pd.DataFrame:
    import pandas as pd

    table: dict[str, Any] = {CUSTOMER_ID: found.columns.customer_id}
    table |= dict(zip(lengths, found.chances, strict=True))
    table["p_never"] = found.never
    ahead = {"next": found.median, "next_lower": found.lower, "next_upper": found.upper}
    if end is None:
        table |= ahead
    else:
        since = {"last_purchase": -found.silence, "overdue_from": found.usual[-1] - found.silence}
        table |= {name: dates_at(end, scale, one) for name, one in {**ahead, **since}.items()}
    table |= {"silence": found.silence, "usual_silence": found.usual[-1], "overdue": found.overdue}
    return pd.DataFrame(table)


def dates_at(end: pd.Timestamp, scale: TimeScale, ahead: FloatArray) -> npt.NDArray[np.datetime64]:
    """First days of the periods that lie so many units after the last one observed."""
    unit, step = _STEPS[scale.time_unit]
    known = np.isfinite(ahead)
    # Times of tables are whole periods up to rounding; a purchase in between is in the next one
    periods = np.ceil(np.where(known, ahead, 0.0) * scale.time_scaler - 1e-6).astype(np.int64)
    last = end.to_numpy().astype(f"datetime64[{unit}]")
    found = (last + step * periods.astype(f"timedelta64[{unit}]")).astype("datetime64[s]")
    return np.where(known, found, np.datetime64("NaT", "s"))
