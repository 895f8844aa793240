"""What the last period observed covers: a week or month may go beyond the date given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pandas as pd

from clvmodels.dates import LAST_WHOLE_PERIOD, last_day_of, period_of, start_of
from clvmodels.log.audit import Reason
from clvmodels.log.embedded import fetch
from clvmodels.log.options import LogOptions
from clvmodels.log.plausible import without_implausible
from clvmodels.log.where import columns_of
from clvmodels.schema import TimeScale

_CALLED: Final = {"W": "calendar week", "M": "calendar month"}


def narrowed(ledger: Any, options: LogOptions, backend: Any) -> LogOptions | None:
    """Find out from a ledger that lies in a backend what a second reading has to leave out.

    Returns
    -------
    LogOptions or None
        With which the log is to be read again: without dates that cannot be right, then up
        to the last whole period; None where the ledger is as it should be.

    Raises
    ------
    SchemaError
        As `without_implausible`.
    """
    if options.whole and options.end is not None:
        return None
    found = without_implausible(ledger, options, backend)
    if found is not None or not options.whole:
        return found
    known = ledger.filter(ledger["reason"] != int(Reason.IMPLAUSIBLE_DATE))
    seen = "seen" if "seen" in known.columns else "last"  # as in the audit
    ends = fetch(backend, known.agg(last=known[seen].max(), day=known["day"].max()))
    last, day = ends["last"][0].as_py(), ends["day"][0].as_py()
    if last is None:
        return None
    begun = covered_note(options.scale, last, day, given=False) is not None
    return replace(options, end=int(last) - begun)


def last_period_note(options: LogOptions, last: int | None, day: int | None) -> str | None:
    """Say what the last period covers, where that is more than was given, or is known.

    Parameters
    ----------
    options : LogOptions
        How the log was read.
    last : int or None
        Ordinal of the log's last period.
    day : int or None
        Ordinal of the log's last day.
    """
    if options.whole:
        return None
    if options.end is not None:
        return covered_note(options.scale, options.end, options.until, given=True)
    return covered_note(options.scale, last, day, given=False)


def cut_note(options: LogOptions, used: int | None, last: int | None) -> str | None:
    """Say that a condition on dates leaves customers observed beyond its rows.

    Parameters
    ----------
    options : LogOptions
        How the log was read.
    used, last : int or None
        Ordinals of the last period with a row that is used, and of the log's last one.
    """
    by_date = options.where is not None and options.datetime_col in columns_of(options.where)
    if not by_date or options.end is not None or options.whole or used is None or last is None:
        return None
    if used >= last:
        return None
    chosen, end = (period_of(one, options.scale) for one in (used, last))
    return (
        f"where selects rows by {options.datetime_col!r}: the rows end on {chosen}, but customers "
        f"count as observed until {end}, and as silent since. To cut a log at a date, pass "
        "observation_period_end"
    )


def covered_note(scale: TimeScale, end: int | None, day: int | None, *, given: bool) -> str | None:
    """Say what a last period covers beyond a day that was given, or the last of the log.

    Parameters
    ----------
    scale : TimeScale
        What a period is.
    end : int or None
        Ordinal of the last period.
    day : int or None
        Ordinal of the day.
    given : bool
        Whether it was given as the end.
    """
    called = _CALLED.get(scale.time_unit)
    if called is None or end is None or day is None:
        return None
    if period_of(end, scale).asfreq("D", how="end").ordinal <= day:
        return None
    date = pd.Period(ordinal=day, freq="D")
    covers = f"the {called} {start_of(end, scale).date()} to {last_day_of(end, scale)}"
    if given:
        return (
            f"the end given, {date}, lies within {covers}, all of whose rows count; for whole "
            f"periods only, pass {last_day_of(end - 1, scale)} as the end"
        )
    return (
        f"the log ends on {date}, within {covers}, which counts as observed to its end; to leave "
        f'it out, pass "{LAST_WHOLE_PERIOD}" as the end'
    )
