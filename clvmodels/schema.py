"""Column names, time units, horizons and rates: the one place that knows them.

A week is 7 days, a month 30.4375 and a year 365.25 days. An effective annual
discount rate d is, per day, delta = ln(1 + d) / 365.25.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from clvmodels.errors import ClvError, DomainError, SchemaError, TimeUnitError

CUSTOMER_ID: Final = "customer_id"
FREQUENCY: Final = "frequency"
RECENCY: Final = "recency"
T: Final = "T"
MONETARY_VALUE: Final = "monetary_value"
FIRST_VALUE: Final = "first_value"
MARGIN: Final = "margin"

DAYS_PER_WEEK: Final = 7.0
DAYS_PER_MONTH: Final = 30.4375
DAYS_PER_YEAR: Final = 365.25

TimeUnit = Literal["h", "D", "W", "M"]
Discounting = Literal["continuous", "monthly"]

_DAYS_PER_UNIT: Final[dict[str, float]] = {
    "h": 1.0 / 24.0,
    "D": 1.0,
    "W": DAYS_PER_WEEK,
    "M": DAYS_PER_MONTH,
    "Y": DAYS_PER_YEAR,
}
_HORIZON = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([hHDWMY])\s*")

# pathlib makes one slash of two; one letter is a drive of Windows
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")

Horizon = str | float | int | None
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
        if not isinstance(unit, str) or unit not in get_args(TimeUnit):
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

    def horizon(self, horizon: Horizon) -> float:
        """Turn "365D", "52W", "12M", "2Y", a number in this unit or None into units.

        Parameters
        ----------
        horizon : str, float or None
            None is the whole remaining life.

        Returns
        -------
        float
            Length in units of recency and T; ``inf`` for the whole life.

        Raises
        ------
        TimeUnitError
            The text is no length of time.
        DomainError
            The length is negative or not a number.
        """
        if horizon is None:
            return math.inf
        if isinstance(horizon, str):
            match = _HORIZON.fullmatch(horizon)
            if match is None:
                raise TimeUnitError(
                    f"horizon={horizon!r} is no length of time: write '365D', '52W', '12M', "
                    "'2Y', a number in the table's own unit, or None for the whole life."
                )
            unit = "h" if match[2] == "H" else match[2]
            return float(match[1]) * _DAYS_PER_UNIT[unit] / self.days
        length = check_number("horizon", horizon)
        if math.isnan(length) or length < 0:
            raise DomainError(f"horizon={horizon!r} must be a number >= 0.")
        return length

    def delta(self, discount_rate: float) -> float:
        """Continuous discount rate per unit, from an effective annual rate."""
        return annual_rate_to_delta(discount_rate) * self.days

    @property
    def month(self) -> float:
        """A month of 30.4375 days in units of recency and T."""
        return DAYS_PER_MONTH / self.days


def annual_rate_to_delta(discount_rate: float) -> float:
    """Continuous rate per day of an effective annual rate d: ln(1 + d) / 365.25.

    Raises
    ------
    DomainError
        The rate is negative or not finite.
    """
    rate = check_number("discount_rate", discount_rate)
    if not (math.isfinite(rate) and rate >= 0):
        raise DomainError(
            f"discount_rate={discount_rate!r} must be an effective annual rate >= 0, "
            "such as 0.10 for ten percent a year."
        )
    return math.log1p(rate) / DAYS_PER_YEAR


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
        It is no number, or too large for a float.
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
        It is no such number.
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


def path_of(what: str, value: object) -> Path:
    """Return a path of this machine that was given, or say what else was.

    Raises
    ------
    SchemaError
        It cannot be a path, or it is a URL.
    """
    if isinstance(value, str | os.PathLike) and "\0" not in str(value):
        if (url := _URL.match(os.fspath(value))) is not None:
            raise SchemaError(
                f"{what} is a URL ({url[1]}://{url[2]}): only files of this machine are read and "
                "written. Copy what is to be read here first, and copy the result from here; or "
                "mount the storage as a folder."
            )
        return Path(value)
    raise SchemaError(f"{what} must be named by a path, found {shown(value)}.")


def shown(value: object) -> str:
    """Write any value in one line of a message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices, else say which there are."""
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise SchemaError(f"{name}={shown(value)} is unknown: use one of {listed}.")
    return value
