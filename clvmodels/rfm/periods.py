"""Calendar periods on the Python side: dates -> pandas Periods and their ordinals."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from clvmodels.errors import SchemaError, one_line
from clvmodels.schema import TimeScale, TimeUnit, shown

# Weeks from Monday to Sunday
PERIOD_FREQUENCY: Final[dict[TimeUnit, str]] = {"h": "h", "D": "D", "W": "W-SUN", "M": "M"}


def start_of(ordinal: int, scale: TimeScale) -> pd.Timestamp:
    """Return the start of the period with an ordinal, such as 0 = 1970-01-01 for days."""
    return pd.Period(ordinal=ordinal, freq=PERIOD_FREQUENCY[scale.time_unit]).to_timestamp()


def ordinal_of(when: Any, scale: TimeScale) -> int:
    """Return the ordinal of the calendar period that holds a date.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64 or Period
        A Period stands for its start. A time zone is dropped: the wall-clock date counts.
    scale : TimeScale
        Says how long a period is.

    Raises
    ------
    SchemaError
        It is no date.
    """
    if isinstance(when, pd.Period):
        when = when.to_timestamp()
    try:
        if isinstance(when, bool | int | float):
            raise TypeError("a number is no date")
        moment = pd.Timestamp(when)
        if pd.isna(moment):
            raise ValueError("it is missing")
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"{shown(when)} is no date ({one_line(error)}): write it as '2011-12-09' or pass a "
            "date."
        ) from error
    period = pd.Period(moment.tz_localize(None), freq=PERIOD_FREQUENCY[scale.time_unit])
    return int(period.ordinal)
