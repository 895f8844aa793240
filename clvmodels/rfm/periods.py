"""Calendar periods on the Python side: dates -> pandas Periods and their ordinals."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clvmodels.dates import hour_of
from clvmodels.schema import PERIOD_FREQUENCY, TimeScale


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


def ordinal_of(when: Any, scale: TimeScale, name: str = "date") -> int:
    """Return the ordinal of the calendar period that holds a date.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64 or Period
        Text must be ISO 8601, as in logs; a Period stands for its end. A time zone is
        dropped: the wall-clock date counts.
    scale : TimeScale
        Says how long a period is.
    name : str
        What the argument is called, for the message.

    Raises
    ------
    SchemaError
        It is not such a date.
    """
    return int(hour_of(when, name).asfreq(PERIOD_FREQUENCY[scale.time_unit]).ordinal)
