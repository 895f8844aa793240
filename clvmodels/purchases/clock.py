"""The clock of a base: how fast the time of all its customers passed, day by day.

Where customers leave at purchases, a common intensity g of the day changes nothing but time:
x, t_x and T stay what they are, in days of the customers' own, of which

    W(first, last) = sum of g over the days after the first one, up to the last one

lie between two dates. All closed forms stay. With

    log g = day of the week + season + shocks - log of its mean over the log,

the week has a number for every day, the season eight harmonics of the year, and shocks are
one number for every 7 days (14 from 1.25 years of log on, 28 from 2.5), without their part that
is constant, linear or quadratic in time: trends would hide in them, and forecasts explode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from clvmodels.errors import SchemaError
from clvmodels.keywords import named_fields
from clvmodels.purchases.age_curve import AgeCurve
from clvmodels.schema import DAYS_PER_YEAR, FloatArray, shown

IntArray = npt.NDArray[np.int64]

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LEAST_YEARS: Final = 1.25  # of log, for a season
_THURSDAY: Final = 3  # 1970-01-01
_HARMONICS: Final = 8
_WIDTHS: Final = ((LEAST_YEARS, 7), (2.5, 14), (np.inf, 28))
_LAST: Final = int(DAYS_PER_YEAR)  # days, whose shocks say what level to go on at


@named_fields
@dataclass(frozen=True, slots=True)
class Clock:
    """What may speed all customers up and slow them down, to be learnt from a log.

    A purchase model that is given one, as in ``BetaGeoModel(clock=True)``, is fitted to times
    in which the week, the season and shocks are allowed for, and its forecasts have the season
    that is to come. It needs a table with the days of purchases,
    ``rfm_summary(..., day_pairs=True)``.

    Parameters
    ----------
    day_of_week : bool
        Whether days of the week differ.
    season : bool or "auto"
        Whether times of the year differ. "auto" has a season where the log is of 1.25 years
        at least and the evidence favours one. True requires a log of that length.
    shocks : bool
        Whether periods of one to four weeks differ besides. Their standard deviation tells
        how much of a level to expect of the future.
    left_truncated : bool or "auto"
        Whether customers of the log's first month buy at a rate of their own, since many came
        before the log began: their first order in it is not their first. "auto" says so
        where they buy more often than those of the next months, beyond chance and by a quarter
        at least. New customers are those who came later.
    age : bool
        Whether a customer's pace changes with the time since the first purchase, by a curve
        common to all. It is meant for bases that were acquired within a short window, which
        grow older all at once. Customers of the log's first month then have a rate of their
        own, and no curve, as their age is not known; unless nobody came later.

    Examples
    --------
    >>> from clvmodels import BetaGeoModel, Clock
    >>> BetaGeoModel(clock=Clock(season=False)).clock
    Clock(day_of_week=True, season=False, shocks=True, left_truncated='auto', age=False)
    """

    day_of_week: bool = True
    season: bool | Literal["auto"] = "auto"
    shocks: bool = True
    left_truncated: bool | Literal["auto"] = "auto"
    age: bool = False

    def __post_init__(self) -> None:
        for name in ("day_of_week", "shocks", "age"):
            if not isinstance(getattr(self, name), bool):
                raise SchemaError(
                    f"Clock({name}={shown(getattr(self, name))}) must be True or False."
                )
        if not (isinstance(self.season, bool) or self.season == "auto"):
            raise SchemaError(
                f'Clock(season={shown(self.season)}) must be True, False or "auto", which has a '
                "season where the log tells of one."
            )
        if not (isinstance(self.left_truncated, bool) or self.left_truncated == "auto"):
            raise SchemaError(
                f"Clock(left_truncated={shown(self.left_truncated)}) must be True, False or "
                '"auto", which tells first customers apart where they buy more often.'
            )
        if self.age and self.left_truncated is False:
            raise SchemaError(
                "Clock(age=True, left_truncated=False) would count the age of customers who may "
                'have come before the log began: leave left_truncated at "auto".'
            )
        if not (self.day_of_week or self.shocks or self.season):
            raise SchemaError(
                "Clock has neither days of the week nor a season nor shocks: leave the clock out."
            )


def clock_of(given: Any) -> Clock | None:
    """What a model's ``clock`` stands for: a clock, True for one with its defaults, or none.

    Raises
    ------
    SchemaError
        It is another thing.
    """
    if given is None or given is False:
        return None
    if given is True:
        return Clock()
    if not isinstance(given, Clock):
        raise SchemaError(
            f"clock={shown(given)} must be a Clock, such as Clock(season=False), or True for one "
            "with its defaults."
        )
    return given


def width_of_shocks(days: int) -> int:
    """Days that have a shock in common, in a log of so many."""
    return next(width for years, width in _WIDTHS if days < years * DAYS_PER_YEAR)


def weekdays(days: IntArray) -> FloatArray:
    """A column for each day of the week, less their mean; shape (n, 7), Monday first."""
    return np.asarray(np.eye(7)[(days + _THURSDAY) % 7] - 1.0 / 7.0)


def harmonics(days: IntArray) -> FloatArray:
    """Sines and cosines of the year, the faster the smaller; shape (n, 16)."""
    angle = 2.0 * np.pi * days / DAYS_PER_YEAR
    order = np.arange(1, _HARMONICS + 1)
    both = np.stack([np.sin(np.outer(angle, order)), np.cos(np.outer(angle, order))], axis=-1)
    return np.asarray((both / np.sqrt(order)[:, None]).reshape(len(days), 2 * _HARMONICS))


@dataclass(frozen=True, slots=True, eq=False)
class LearntClock:
    """A clock that was learnt: g on every day, of the log and to come.

    Attributes
    ----------
    first_day, last_day : int
        Of the log, in days since 1970-01-01: of the first purchase, and the end of observation.
    week : ndarray, shape (7,) or (0,)
        What days of the week add to log g, Monday first.
    season : ndarray, shape (16,) or (0,)
        What the harmonics do.
    shocks : ndarray, shape (m,)
        What shocks do, one after the other.
    width : int
        Days of one.
    sd_of_shocks : float
        Standard deviation of shocks, that was learnt; 0 without shocks.
    level : float
        Logarithm of the mean of g over the log, which is taken off.
    doubt : ndarray, shape (q, q)
        Square root of the covariance of week and season, given the log: times a standard
        normal vector it is what they may be off by.
    log_evidence : float
        Of clock and model together, for the customers that it was learnt from, by a Gaussian
        at the mode.
    notes : tuple of str
        What a reader should know.
    slopes : ndarray, shape (9,) or (0,)
        Of the age curve, by steps of the logarithm of days.
    """

    first_day: int
    last_day: int
    week: FloatArray = field(repr=False)
    season: FloatArray = field(repr=False)
    shocks: FloatArray = field(repr=False)
    width: int
    sd_of_shocks: float
    level: float
    doubt: FloatArray = field(repr=False)
    log_evidence: float = field(default=np.nan, repr=False)
    notes: tuple[str, ...] = ()
    slopes: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)

    def curve(self, days: float) -> AgeCurve | None:
        """The age curve in a unit of so many days, where one was learnt."""
        if not len(self.slopes):
            return None
        return AgeCurve(tuple(self.slopes.tolist()), float(self.last_day - self.first_day), days)

    def pattern(self, days: IntArray) -> FloatArray:
        """What comes again, week and season, of log g."""
        return np.asarray(self._columns(days) @ np.concatenate([self.week, self.season]))

    def doubts(self, days: IntArray) -> FloatArray:
        """Directions in which the pattern is in doubt, each with a standard normal; (q, n)."""
        return np.ascontiguousarray((self._columns(days) @ self.doubt).T)

    def shock(self, days: IntArray) -> FloatArray:
        """What shocks are of log g: after the log the level of its last year, before it none."""
        place = np.clip((days - self.first_day) // self.width, 0, max(len(self.shocks) - 1, 0))
        within = self.shocks[place] if len(self.shocks) else np.zeros(len(days))
        after = np.where(days > self.last_day, self.worth, within)
        return np.where(days < self.first_day, 0.0, after)

    def log_intensity(self, days: IntArray) -> FloatArray:
        """Log g on these days since 1970-01-01, of the log, before or after it."""
        return self.pattern(days) + self.shock(days) - self.level

    def intensity(self, days: IntArray) -> FloatArray:
        """The same, as g."""
        return np.asarray(np.exp(self.log_intensity(days)))

    @property
    def worth(self) -> float:
        """What the last year's shocks multiplied its sum of g by, as a logarithm."""
        if not len(self.shocks):
            return 0.0
        days = np.arange(max(self.last_day - _LAST, self.first_day) + 1, self.last_day + 1)
        if not len(days):
            return 0.0
        usual = np.exp(self.pattern(days))
        place = np.minimum((days - self.first_day) // self.width, len(self.shocks) - 1)
        return float(np.log((usual * np.exp(self.shocks[place])).sum() / usual.sum()))

    @property
    def pace(self) -> float:
        """Mean of g over the year to come."""
        return float(self.intensity(self.last_day + 1 + np.arange(_LAST)).mean())

    def own_days(self, day: IntArray) -> FloatArray:
        """Days of customers' own by the end of days since 1970-01-01, from the log's first on.

        W is the difference of two.
        """
        if not day.size:
            return np.zeros(day.shape)
        reach = int(max(day.max(), self.last_day)) - self.first_day
        before = int(max(self.first_day - day.min(), 0))
        # sums begin at the log's first day, whoever is asked for, so that nobody's time
        # depends on whom it is asked with
        later = np.cumsum(self.intensity(self.first_day + np.arange(1, reach + 1)))
        earlier = np.cumsum(self.intensity(self.first_day - np.arange(before)))
        passed = np.concatenate([-earlier[::-1], [0.0], later])
        return np.asarray(passed[day - (self.first_day - before)])

    def days_at(self, own: FloatArray) -> FloatArray:
        """Turn own days into days since 1970-01-01, the other way round; infinite ones stay so.

        What is further off than ten years from either end of the log passes at the pace of the
        year to come.
        """
        far = 10 * _LAST
        days = np.arange(self.first_day - far, self.last_day + far + 1)
        passed = self.own_days(days)
        beyond = np.maximum(own - passed[-1], 0.0) + np.minimum(own - passed[0], 0.0)
        # of days on which nothing passes the first one counts
        passed, at = np.unique(passed, return_index=True)
        return np.asarray(np.interp(own, passed, days[at].astype(np.float64)) + beyond / self.pace)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {name: getattr(self, name) for name in _NUMBERS}
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        by_age = {"slopes": self.slopes.tolist()} if len(self.slopes) else {}
        return {**found, **arrays, "notes": list(self.notes), **by_age}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> LearntClock:
        """Rebuild from :meth:`to_dict`."""
        fields: dict[str, Any] = {name: record[name] for name in _NUMBERS}
        fields |= {name: np.asarray(record[name], dtype=np.float64) for name in _ARRAYS}
        fields["slopes"] = np.asarray(record.get("slopes", ()), dtype=np.float64)
        size = len(fields["week"]) + len(fields["season"])
        fields |= {"doubt": fields["doubt"].reshape(size, size), "notes": tuple(record["notes"])}
        return cls(**fields)

    def _columns(self, days: IntArray) -> FloatArray:
        parts = [np.zeros((len(days), 0))]
        if len(self.week):
            parts.append(weekdays(days))
        if len(self.season):
            parts.append(harmonics(days))
        return np.concatenate(parts, axis=1)


_NUMBERS: Final = ("first_day", "last_day", "width", "sd_of_shocks", "level", "log_evidence")
_ARRAYS: Final = ("week", "season", "shocks", "doubt")
