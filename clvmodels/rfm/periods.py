"""Calendar periods on the Python side: dates -> pandas Periods and ordinals; units agree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.dates import (
    LAST_WHOLE_PERIOD,
    hour_of,
    last_day_of,
    period_of,
    start_of,
)
from clvmodels.errors import TimeUnitError
from clvmodels.schema import PERIOD_FREQUENCY, TimeScale

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_said",
    "check_scale",
    "cohorts_by",
    "end_options",
    "is_last_whole",
    "last_day_of",
    "ordinal_of",
    "period_of",
    "same_scale",
    "start_of",
]

_DAYS: Final = TimeScale("D")


def day_of(when: pd.Timestamp | None) -> int | None:
    """Return the day of a moment, since 1970-01-01; None of None."""
    return None if when is None else int(when.to_datetime64().astype("datetime64[D]").astype(int))


def cohorts_by(
    first: npt.NDArray[np.int64], scale: TimeScale, every: str = "M"
) -> npt.NDArray[np.object_]:
    """Month (quarter, year) in which the period of each customer's first purchase begins."""
    ordinals, place = np.unique(first, return_inverse=True)
    names = [str(start_of(int(ordinal), scale).to_period(every)) for ordinal in ordinals]
    return np.array(names, dtype=object)[place]


def ordinal_of(when: Any, scale: TimeScale, name: str = "date") -> int:
    """Return the ordinal of the calendar period that holds a date.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64 or Period
        Text must be ISO 8601, as in logs; a Period stands for its end, and so does a date
        without a time of day where hours are counted. A time zone is dropped: the
        wall-clock date counts.
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


def end_options(when: Any, scale: TimeScale, name: str) -> dict[str, Any]:
    """Turn the end of observation into the fields of `LogOptions` that say it.

    Parameters
    ----------
    when : str, date, datetime, Timestamp, datetime64, Period or None
        As in `ordinal_of`, "last whole period", or None for the log's own end.
    scale : TimeScale
        Says how long a period is.
    name : str
        What the argument is called, for the message.

    Raises
    ------
    SchemaError
        It is not such a date.
    """
    if when is None or is_last_whole(when):
        whole = when is not None and scale.time_unit in ("W", "M")  # others are whole
        return {"end": None, "until": None, "whole": whole}
    end, until = ordinal_of(when, scale, name), ordinal_of(when, _DAYS, name)
    return {"end": end, "until": until, "whole": False}


def is_last_whole(when: Any) -> bool:
    """Whether the last whole period is meant, and not a date."""
    return isinstance(when, str) and when == LAST_WHOLE_PERIOD


def same_scale(one: TimeScale, other: TimeScale) -> bool:
    """Whether two units are one.

    Calendar weeks are as long as seven days, but other data: purchases of a calendar week
    are merged into one.
    """
    return one.time_unit == other.time_unit and math.isclose(one.time_scaler, other.time_scaler)


def check_said(own: TimeScale, said: TimeScale) -> None:
    """Raise TimeUnitError for a table in another unit than the caller says."""
    if not same_scale(own, said):
        raise TimeUnitError(
            f"The table counts time in {own}, not in {said}: leave out time_unit and time_scaler, "
            "which are for frames that do not say their unit."
        )


def check_scale(own: TimeScale, scale: TimeScale) -> None:
    """Raise TimeUnitError for a table in another unit than its posterior's."""
    if not same_scale(own, scale):
        raise TimeUnitError(
            f"The table counts time in {own}, the posterior in {scale}: summarise the log with "
            f"time_unit={scale.time_unit!r}, time_scaler={scale.time_scaler:g}."
        )
