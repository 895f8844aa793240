"""Dates that cannot be right: in the future, placeholders, or far from all others.

One mistyped year moves the end of the observation, and with it every customer's T. What is
judged is read off the ledger alone, so that no engine has to read a log twice for it: the
first and the last purchase of every customer, each with the number of customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.log.audit import Reason
from clvmodels.log.embedded import fetch
from clvmodels.log.options import LogOptions
from clvmodels.schema import PERIOD_FREQUENCY, TimeScale

# What programs write where there is no date; in the future they are found anyway.
PLACEHOLDERS: Final = (
    *("0001-01-01", "1582-10-15", "1601-01-01", "1753-01-01", "1899-12-30", "1899-12-31"),
    *("1900-01-01", "1904-01-01", "1960-01-01", "1970-01-01", "1980-01-01"),
)
PLACEHOLDER_GAP_DAYS: Final = 365.25
# The bulk of the log lies between these shares of its firsts and lasts; beyond it a gap is out of
# proportion that is so many times the longest of all before it (seen from the other end of the
# bulk on), and such a share of the bulk.
OUTER: Final = 0.01
MIN_EVENTS: Final = 100
MIN_PERIODS: Final = 10
GAP_TIMES: Final = 5
GAP_SHARE: Final = 0.05
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """First and last period whose dates can be right.

    Attributes
    ----------
    low, high : int or None
        Ordinals; None where that end is as it should be.
    """

    low: int | None
    high: int | None


def today(scale: TimeScale) -> int:
    """Ordinal of the period of tomorrow, since somewhere it is tomorrow already."""
    moment = pd.Timestamp.now() + pd.Timedelta(days=1)
    return int(pd.Period(moment, freq=PERIOD_FREQUENCY[scale.time_unit]).ordinal)


def bounds_of(
    periods: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], options: LogOptions
) -> Bounds | None:
    """Find the ends of a log that cannot be right.

    Parameters
    ----------
    periods : ndarray of int64, shape (P,)
        Distinct ordinals, ascending.
    counts : ndarray of int64, shape (P,)
        How often each occurs.
    options : LogOptions
        Unit of time, and whether the observation end is given.

    Returns
    -------
    Bounds or None
        None where all is as it should be.
    """
    if len(periods) < 2:
        return None
    low = _after_placeholder(periods, options.scale)
    high = None if options.end is not None else _before_future(periods, options.scale)
    inner = (periods >= (periods[0] if low is None else low)) & (
        periods <= (periods[-1] if high is None else high)
    )
    first, last = _bulk(periods[inner], counts[inner])
    if first is not None and first > periods[inner][0]:
        low = first
    if last is not None and last < periods[inner][-1] and options.end is None:
        high = last
    return None if low is None and high is None else Bounds(low, high)


def _after_placeholder(periods: npt.NDArray[np.int64], scale: TimeScale) -> int | None:
    """First period behind a placeholder that stands a year or more before all others."""
    frequency = PERIOD_FREQUENCY[scale.time_unit]
    known = {pd.Period(text, freq=frequency).ordinal for text in PLACEHOLDERS}
    gap = PLACEHOLDER_GAP_DAYS / TimeScale(scale.time_unit).days
    if int(periods[0]) in known and periods[1] - periods[0] >= gap:
        return int(periods[1])
    return None


def _before_future(periods: npt.NDArray[np.int64], scale: TimeScale) -> int | None:
    """Last period that is not in the future; None where none is, or all are."""
    past = periods[periods <= today(scale)]
    return int(past[-1]) if 0 < len(past) < len(periods) else None


def _bulk(
    periods: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[int | None, int | None]:
    """First and last period of what hangs together, where the log is large enough to tell."""
    if counts.sum() < MIN_EVENTS:
        return None, None
    share = np.cumsum(counts) / counts.sum()
    start = int(np.searchsorted(share, OUTER, side="right"))
    stop = int(np.searchsorted(share, 1 - OUTER, side="left"))
    if stop - start + 1 < MIN_PERIODS:
        return None, None
    gaps = np.diff(periods)
    least = GAP_SHARE * float(periods[stop] - periods[start])
    head = _break(gaps[:stop][::-1], stop - start, least)
    tail = _break(gaps[start:], stop - start, least)
    first = periods[0] if head is None else periods[stop - head]
    last = periods[-1] if tail is None else periods[start + tail]
    return int(first), int(last)


def _break(gaps: npt.NDArray[np.int64], bulk: int, least: float) -> int | None:
    """Position of the first gap behind the bulk that is out of proportion to all before it.

    Where a log thins out its gaps grow little by little: none is.
    """
    longest = np.maximum.accumulate(gaps)
    found = np.flatnonzero(gaps[bulk:] > np.maximum(GAP_TIMES * longest[bulk - 1 : -1], least))
    return bulk + int(found[0]) if len(found) else None


def without_implausible(ledger: Any, options: LogOptions, backend: Any) -> LogOptions | None:
    """Judge the dates of a ledger that lies in a backend.

    Returns
    -------
    LogOptions or None
        With which the log is to be read again, without dates that cannot be right; None
        where there are none, or they are to be kept.

    Raises
    ------
    SchemaError
        There are such dates and the options want them to be an error; the message has the
        dates and customers, and what to do.
    """
    if options.implausible_dates == "keep":
        return None
    events = fetch(backend, _events(ledger, options)).drop_null().sort_by("period")
    periods, counts = (events[name].to_numpy().astype(np.int64) for name in ("period", "n"))
    found = bounds_of(periods, counts, options)
    if found is not None and options.implausible_dates == "error":
        customers = fetch(backend, _customers(ledger, found)).to_pylist()
        raise _implausible(found, periods, options, [row["customer"] for row in customers])
    if found is None:
        return None
    # Whoever has two such dates shows one at a time: what is found is added to what was.
    low, high = options.plausible
    low = found.low if found.low is not None else low
    high = found.high if found.high is not None else high
    return replace(options, plausible=(low, high))


def left_out_apart(periods: Any) -> Any:
    """Add the period of what is left out, to group by: its last alone may seem to be stray."""
    import ibis

    left_out = periods["reason"] != int(Reason.USED)
    return periods.mutate(apart=ibis.ifelse(left_out, periods["period"], None))


def _events(ledger: Any, options: LogOptions) -> Any:
    """Firsts and lasts of customers, and the periods of rows left out that may set the end.

    What lies before all customers sets nothing.
    """
    used = ledger.filter(ledger["reason"] == int(Reason.USED))
    ends = used.select(period=used["first"]).union(used.select(period=used["last"]))
    if options.end is None:
        known = [int(Reason.USED), int(Reason.IMPLAUSIBLE_DATE)]
        others = ledger.filter(~ledger["reason"].isin(known))
        seen = "seen" if "seen" in ledger.columns else "last"  # refunds dated back to orders
        others = others.filter(others[seen] >= used["first"].min().as_scalar())
        ends = ends.union(others.select(period=others[seen]))
        if seen == "seen":
            ends = ends.union(used.select(period=used[seen]))
    return ends.group_by("period").agg(n=ends.count())  # with a null of rows without a date


def _customers(ledger: Any, found: Bounds) -> Any:
    """Some of the customers who have such dates."""
    used = ledger.filter(ledger["reason"] == int(Reason.USED))
    tests = [] if found.low is None else [used["first"] < found.low]
    tests += [] if found.high is None else [used["last"] > found.high]
    outside = tests[0] if len(tests) == 1 else tests[0] | tests[1]
    return used.filter(outside).select("customer").order_by("customer").limit(_SHOWN)


def _implausible(
    found: Bounds, periods: npt.NDArray[np.int64], options: LogOptions, customers: Sequence[Any]
) -> SchemaError:
    low, high = _filled(found, periods)
    outside = periods[(periods < low) | (periods > high)]
    dates = ", ".join(_date(period, options.scale) for period in outside[:_SHOWN])
    more = ", ..." if len(outside) > _SHOWN else ""
    noun = "customer" if len(customers) == 1 else "customers"
    whose = f" ({noun} {', '.join(map(str, customers))})" if customers else ""
    end = "" if found.high is None else ", say with observation_period_end when it ends"
    return SchemaError(
        f"The log has dates that cannot be right: {dates}{more}{whose}, while all others lie "
        f"between {_date(low, options.scale)} and {_date(high, options.scale)}. Leave such rows "
        f"out with implausible_dates='drop'{end}, or use them with implausible_dates='keep'."
    )


def _filled(found: Bounds, periods: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return the bounds, with the log's own where an end is as it should be."""
    low = periods[0] if found.low is None else found.low
    high = periods[-1] if found.high is None else found.high
    return int(low), int(high)


def _date(period: int, scale: TimeScale) -> str:
    when = pd.Period(ordinal=int(period), freq=PERIOD_FREQUENCY[scale.time_unit])
    return str(when).partition("/")[0]  # of a week its Monday
