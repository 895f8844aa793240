"""Column names, time units, horizons and rates: the one place that knows them.

A week is 7 days, a month 30.4375 and a year 365.25 days. An effective annual
discount rate d is, per day, delta = ln(1 + d) / 365.25.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, SupportsFloat, get_args

import numpy as np
import numpy.typing as npt

from clvmodels.errors import ClvError, DomainError, SchemaError, TimeUnitError

CUSTOMER_ID: Final = "customer_id"
FREQUENCY: Final = "frequency"
RECENCY: Final = "recency"
T: Final = "T"
MONETARY_VALUE: Final = "monetary_value"
FIRST_VALUE: Final = "first_value"
LOG_GAPS: Final = "log_gaps"
MARGIN: Final = "margin"
REASON: Final = "reason"

# What programs write where there is no value, in lower case
MISSING_WORDS: Final = ("nan", "na", "n/a", "#n/a", "<na>", "nat", "null", "none", r"\n")

DAYS_PER_WEEK: Final = 7.0
DAYS_PER_MONTH: Final = 30.4375
DAYS_PER_YEAR: Final = 365.25

# A statement, as jedi completes nothing of an object with a property that returns a Literal
type TimeUnit = Literal["h", "D", "W", "M"]
Discounting = Literal["continuous", "monthly"]

_DAYS_PER_UNIT: Final[dict[str, float]] = {
    "h": 1.0 / 24.0,
    "D": 1.0,
    "W": DAYS_PER_WEEK,
    "M": DAYS_PER_MONTH,
    "Y": DAYS_PER_YEAR,
}
# Calendar periods as pandas has them; weeks run from Monday to Sunday
PERIOD_FREQUENCY: Final[dict[str, str]] = {"h": "h", "D": "D", "W": "W-SUN", "M": "M"}
_HORIZON = re.compile(
    r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?:([hdwmy])|(hour|day|week|month|year)s?)\s*",
    re.IGNORECASE,
)
_UNIT_NAMES: Final[dict[str, str]] = {
    "h": "hours",
    "D": "days",
    "W": "weeks",
    "M": "months",
    "Y": "years",
}

# pathlib makes one slash of two; one letter is a drive of Windows

Horizon = str | float | int | timedelta | np.timedelta64 | None
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TimeScale:
    """The unit in which recency and T are counted.

    One unit of a table is ``time_scaler`` periods of ``time_unit``: weeks in the
    papers' sense are ``TimeScale("D", 7)``, whole calendar weeks ``TimeScale("W")``.

    Parameters
    ----------
    time_unit : {"h", "D", "W", "M"}
        The calendar period that purchases are merged in ("H" is read as "h").
    time_scaler : float
        Periods per unit of recency and T.

    Raises
    ------
    TimeUnitError
        The unit is unknown, or the scaler is not a positive number.
    """

    time_unit: TimeUnit = "D"
    time_scaler: float = 1.0

    def __post_init__(self) -> None:
        given: Any = self.time_unit
        unit = "h" if isinstance(given, str) and given == "H" else given
        if not isinstance(unit, str) or unit not in get_args(TimeUnit.__value__):
            raise TimeUnitError(
                f"time_unit={shown(self.time_unit)} is unknown: use one of 'h', 'D', 'W', 'M'."
            )
        scaler = check_number("time_scaler", self.time_scaler, TimeUnitError)
        if not (math.isfinite(scaler) and scaler > 0):
            raise TimeUnitError(f"time_scaler={shown(self.time_scaler)} must be a positive number.")
        object.__setattr__(self, "time_unit", unit)
        object.__setattr__(self, "time_scaler", scaler)

    @property
    def days(self) -> float:
        """Length of one unit of recency and T, in days."""
        return _DAYS_PER_UNIT[self.time_unit] * self.time_scaler

    def __str__(self) -> str:
        if self.time_scaler == 1.0:
            return self.time_unit
        return f"{self.time_scaler:g} x {self.time_unit}"

    @property
    def unit_name(self) -> str:
        """One unit of recency and T in words, such as "days" or "units of 10 days"."""
        name = _UNIT_NAMES[self.time_unit]
        if self.time_scaler == 1.0:
            return name
        if self.time_unit == "D" and self.time_scaler == DAYS_PER_WEEK:
            return "weeks"
        return f"units of {self.time_scaler:g} {name}"

    def horizon_words(self, horizon: Horizon) -> str:
        """Name a horizon with its unit: "365 days"; a bare number counts in this unit."""
        plain = plain_horizon(horizon)
        length = self.horizon(plain)
        if math.isinf(length):
            return "remaining lifetime"
        if isinstance(plain, str):
            return f"{float(plain[:-1]):g} {_UNIT_NAMES[plain[-1]]}"
        return f"{length:g} {self.unit_name}"

    def horizon(self, horizon: Horizon) -> float:
        """Turn "365D", "52W", "12M", "2Y", a number in this unit or None into units.

        Parameters
        ----------
        horizon : str, float, timedelta or None
            Text has a number and a unit, in upper or lower case or as a word; a timedelta is
            one of Python, NumPy or pandas; None is the remaining lifetime.

        Returns
        -------
        float
            Length in units of recency and T; ``inf`` for the lifetime.

        Raises
        ------
        TimeUnitError
            It is not a length of time, or several.
        DomainError
            The length is negative or not a number.
        """
        plain = plain_horizon(horizon)
        if plain is None:
            return math.inf
        if isinstance(plain, str):
            return float(plain[:-1]) * _DAYS_PER_UNIT[plain[-1]] / self.days
        return plain

    def delta(self, discount_rate: float) -> float:
        """Continuous discount rate per unit, from an effective annual rate."""
        return annual_rate_to_delta(discount_rate) * self.days

    @property
    def month(self) -> float:
        """A month of 30.4375 days in units of recency and T."""
        return DAYS_PER_MONTH / self.days


def plain_horizon(horizon: Horizon) -> str | float | None:
    """Write a horizon in one way: "12M", a number of the table's unit, or None.

    Parameters
    ----------
    horizon : str, float, timedelta or None
        As in :meth:`TimeScale.horizon`.

    Returns
    -------
    str, float or None
        Text is a number and one of h, D, W, M, Y; a timedelta becomes days.

    Raises
    ------
    TimeUnitError
        It is not a length of time, or several.
    DomainError
        The length is negative or not a number.
    """
    if horizon is None:
        return None
    if isinstance(horizon, str):
        match = _HORIZON.fullmatch(horizon)
        if match is None:
            raise _no_length(horizon)
        unit = (match[2] or match[3])[0].upper()
        return f"{match[1]}{'h' if unit == 'H' else unit}"
    if isinstance(horizon, timedelta | np.timedelta64):
        days = _days_of(horizon)
        if not days >= 0:
            raise DomainError(f"horizon={shown(horizon)} must be a length of time >= 0.")
        return f"{days:.12f}".rstrip("0").rstrip(".") + "D"
    if isinstance(horizon, bool) or np.ndim(horizon) or not isinstance(horizon, SupportsFloat):
        raise _no_length(horizon)
    length = check_number("horizon", horizon)
    if math.isnan(length) or length < 0:
        raise DomainError(f"horizon={horizon!r} must be a number >= 0.")
    return length


def _no_length(horizon: object) -> TimeUnitError:
    return TimeUnitError(
        f"horizon={shown(horizon)} is not one length of time: write '365D', '52W', '12M', '2Y', a "
        "timedelta, a number in the table's own unit, or None for the remaining lifetime."
    )


def _days_of(span: timedelta | np.timedelta64) -> float:
    """Length in days; NaN of what is missing or has no unit."""
    if isinstance(span, timedelta):
        return span.total_seconds() / 86_400.0
    unit, count = np.datetime_data(span.dtype)
    if np.isnat(span) or unit == "generic":
        return math.nan
    if unit in ("M", "Y"):  # NumPy's have no fixed length; ours have
        return float(span.astype(np.int64)) * count * _DAYS_PER_UNIT[unit]
    return float(span / np.timedelta64(1, "D"))


def scale_said(time_unit: TimeUnit | None, time_scaler: float | None) -> TimeScale | None:
    """Unit that a caller says, of which either half may be left out; None if both are."""
    if time_unit is None and time_scaler is None:
        return None
    return TimeScale(
        "D" if time_unit is None else time_unit, 1.0 if time_scaler is None else time_scaler
    )


def annual_rate_to_delta(discount_rate: float) -> float:
    """Continuous rate per day of an effective annual rate d: ln(1 + d) / 365.25.

    Raises
    ------
    DomainError
        The rate is negative, not finite, or 1 and above.
    """
    return math.log1p(check_rate(discount_rate)) / DAYS_PER_YEAR


def check_rate(discount_rate: float) -> float:
    """Return a discount rate as a float, a share in [0, 1).

    Raises
    ------
    DomainError
        The rate is negative, not finite, or 1 and above: that was meant in percent.
    """
    rate = check_number("discount_rate", discount_rate)
    if not (math.isfinite(rate) and rate >= 0):
        raise DomainError(
            f"discount_rate={discount_rate!r} must be an effective annual rate >= 0, "
            "such as 0.10 for ten percent a year."
        )
    if rate >= 1:
        percent = rate / 100 if rate < 100 else 0.10
        meant = f"{percent:.2f}" if percent == round(percent, 2) else f"{percent:.4g}"
        raise DomainError(
            f"discount_rate={discount_rate!r} is {100 * rate:,.0f} % a year: did you mean {meant}? "
            "It is an effective annual rate below 1, and 0.10 is ten percent."
        )
    return rate


def check_margin(margin: float) -> float:
    """Return the margin as a float, a share of revenue in (0, 1]."""
    value = check_number("margin", margin)
    if not (math.isfinite(value) and 0 < value <= 1):
        raise DomainError(
            f"margin={margin!r} must be a share of revenue in (0, 1], such as 0.3 for 30 %."
        )
    return value


def check_number(name: str, value: object, error: type[ClvError] = DomainError) -> float:
    """Return an argument as a float, which may be infinite or NaN.

    Raises
    ------
    DomainError, or the error that is given
        It is not a number, or too large for a float.
    """
    try:
        if isinstance(value, bool | str | bytes):
            raise TypeError
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as cause:
        raise error(f"{name}={shown(value)} must be a number.") from cause


def check_whole(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """Return an argument as an int, by default of at least 1.

    Raises
    ------
    DomainError
        It is not such a number.
    """
    number = check_number(name, value)
    if not (number >= least and number.is_integer()):
        raise DomainError(f"{name}={shown(value)} must be a whole number >= {least}.")
    if most is not None and number > most:
        raise DomainError(f"{name}={shown(value)} must be at most {most:,}.")
    return int(number)


def check_interval(interval: object) -> float:
    """Return the probability of an equal-tailed interval as a float."""
    value = check_number("interval", interval)
    if not 0 < value < 1:
        raise DomainError(f"interval={shown(interval)} must lie between 0 and 1, such as 0.9.")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return an argument that is True or False: text such as "no" would be true.

    Raises
    ------
    SchemaError
        It is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise SchemaError(f"{name}={shown(value)} must be True or False.")
    return bool(value)


def check_list(name: str, value: object) -> list[Any]:
    """Return an argument that holds several values as a list.

    Raises
    ------
    SchemaError
        It is one value, or a mapping.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise SchemaError(f"{name}={shown(value)} must be a list.")
    return list(value)


def shown(value: object) -> str:
    """Write any value in one line of a message; numbers of NumPy as Python writes them."""
    if isinstance(value, np.generic):
        value = value.item()
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_log(found: Sequence[object]) -> bool:
    """Whether columns have nothing of a summary, so that they are a log's."""
    return len(found) > 0 and not {FREQUENCY, RECENCY, T} & {str(name) for name in found}


def is_a_log(found: Sequence[object]) -> SchemaError:
    """The error of a log where a table of customers is meant."""
    columns = ", ".join(map(str, found))
    return SchemaError(
        f"This looks like a log of transactions (columns: {columns}), not like a table "
        "of customers: summarise it first, rfm = rfm_summary(log, customer_id_col=..., "
        "datetime_col=..., monetary_value_col=...)."
    )


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices, else say which there are."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise SchemaError(f"{name}={shown(value)} is unknown: use one of {listed}.")
    return value
