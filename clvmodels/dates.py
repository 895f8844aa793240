"""Dates as people write them: the one place that knows what is read, in logs and options."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.errors import SchemaError, one_line
from clvmodels.schema import PERIOD_FREQUENCY, TimeScale, shown

# ISO 8601, in regular expressions that Python and the engines read alike
OFFSET: Final = r" ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)"
# Whole, since backends differ in what they make of the rest (PM, 24:00, a named zone)
CLOCK: Final = r"([01]?\d|2[0-3])(:\d{1,2}){1,2}(\.\d*)?"
DIGITS: Final = r"^\d{8}(\.0)?$"
DAY: Final = r"^\d{4}-\d{1,2}-\d{1,2}$"
MOMENT: Final = rf"^\d{{4}}-\d{{1,2}}-\d{{1,2}}[T ]{CLOCK}({OFFSET})?$"

# Said in place of a date: the last calendar week or month that is over when the log ends
LAST_WHOLE_PERIOD: Final = "last whole period"


def period_of(ordinal: int, scale: TimeScale) -> pd.Period:
    """Return the calendar period with an ordinal, such as 0 = 1970-01-01 for days."""
    return pd.Period(ordinal=ordinal, freq=PERIOD_FREQUENCY[scale.time_unit])


def start_of(ordinal: int, scale: TimeScale) -> pd.Timestamp:
    """Return the start of the period with an ordinal, such as 0 = 1970-01-01 for days."""
    return period_of(ordinal, scale).to_timestamp()


def last_day_of(ordinal: int, scale: TimeScale) -> str:
    """Write the last date of a period; where hours are counted, the hour."""
    if scale.time_unit == "h":
        return str(start_of(ordinal, scale))
    return str(period_of(ordinal, scale).asfreq("D", how="end"))


def hour_of(when: Any, name: str) -> pd.Period:
    """Return the hour of a moment, or the last hour of a day or a longer period.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64 or Period
        As `moment_of` takes it. What has no time of day (the text of a date, a date, a
        datetime64 in days) stands for the end of its day.
    name : str
        What the argument is called, for the message.

    Raises
    ------
    SchemaError
        It is not such a date.
    """
    if isinstance(when, pd.Period):
        return when.asfreq("h", how="end")
    moment = moment_of(when, name)
    if _is_bare_day(when):
        return pd.Period(moment, freq="D").asfreq("h", how="end")
    return pd.Period(moment, freq="h")


def _is_bare_day(when: Any) -> bool:
    """Whether a date has no time of day."""
    if isinstance(when, str):
        return re.search(f"{DIGITS}|{DAY}", when.strip(), re.ASCII) is not None
    if isinstance(when, np.datetime64):
        return np.datetime_data(when.dtype)[0] in "YMWD"
    return isinstance(when, date) and not isinstance(when, datetime)


def moment_of(when: Any, name: str) -> pd.Timestamp:
    """Return a date as a moment without time zone, of a longer period the end.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64 or Period
        Text must be ISO 8601, as in logs. A Period, and a datetime64 in weeks, months or
        years, stands for its last hour or day. A time zone is dropped: the wall clock
        counts.
    name : str
        What the argument is called, for the message.

    Raises
    ------
    SchemaError
        It is not such a date.
    """
    if isinstance(when, pd.Period):
        return hour_of(when, name).to_timestamp()
    try:
        moment = _of_text(when) if isinstance(when, str) else when
        if not isinstance(moment, date | np.datetime64):
            raise ValueError(f"it is of type {type(when).__name__}")
        if pd.isna(moment):
            raise ValueError("it is missing")
        if isinstance(moment, np.datetime64) and np.datetime_data(moment.dtype)[0] in "YMW":
            moment = (moment + 1).astype("datetime64[D]") - 1
        return pd.Timestamp(moment).tz_localize(None)
    except ValueError as error:
        raise SchemaError(
            f"{name}={shown(when)} is not a date in ISO 8601 ({one_line(error)}): write it with "
            "the year first, as '2011-12-09' or '2011-12-09T08:26', or pass a date; for a month, "
            "quarter or year, write its last day."
        ) from error


def _of_text(text: str) -> datetime:
    """Read ISO 8601 as a log's dates are read, the offset dropped."""
    text = text.strip()
    if re.search(DIGITS, text, re.ASCII):
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:]))
    if not (re.search(DAY, text, re.ASCII) or re.search(MOMENT, text, re.ASCII)):
        raise ValueError("other forms are not guessed")
    day, _, clock = text.replace("T", " ").partition(" ")
    # whatever follows the minutes, its own offset too, is of no consequence for the hour
    numbers = [int(part) for part in day.split("-")]
    numbers += [int(part) for part in re.findall("[0-9]+", re.sub(OFFSET + "$", "", clock))[:3]]
    return datetime(*numbers)  # type: ignore[arg-type]
