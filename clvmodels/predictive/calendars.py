"""The calendar that a forecast of totals is made under: its doubt, and the user's scenario."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Draws
from clvmodels.forecast.calendar import Calendar
from clvmodels.limits import CALENDAR_SD, SPEND_SHARE
from clvmodels.posterior.predicting import Prepared
from clvmodels.purchases.clock import harmonics
from clvmodels.rfm import RfmTable
from clvmodels.schema import DAYS_PER_YEAR, PERIOD_FREQUENCY, FloatArray, shown

if TYPE_CHECKING:
    import pandas as pd

# "auto" is "learnt" where the fit has learnt one from its log, and else an assumption
CalendarChoice = Literal["auto", "none", "learnt"] | float
Scenario = Mapping[Any, float] | Literal["as last year", "no season"] | Any

NOTHING: Final = Calendar()
_MOST_SD: Final = 1.0
_MOST_FACTOR: Final = 20.0
_MOST_DRAWS: Final = 500  # that paths are given each a calendar of its own among
_WEEKS_OF_A_YEAR: Final = 364  # days
AGAIN: Final = ("as last year", "no season")
_PERIOD: Final = r"\d{4}(-\d{2}(-\d{2})?|Q[1-4])?"


def calendar_of(
    choice: CalendarChoice,
    scenario: Scenario | None,
    rfm: Any,
    *,
    days: float,
    learnt: Calendar = NOTHING,
) -> tuple[Calendar, dict[str, float]]:
    """Check what is said of the future's calendar.

    Parameters
    ----------
    choice : {"auto", "none", "learnt"} or float
        Doubt about the level of the base; a number is the sd of its logarithm.
    scenario : mapping, Series, "as last year" or "no season", optional
        Factors by period, or what to make of the posterior's clock.
    rfm : RfmTable or frame
        Whose observation ends before the scenario begins.
    days : float
        The longest horizon.
    learnt : Calendar
        What the posterior's clock tells of the future; nothing where it has none.

    Returns
    -------
    Calendar
    dict of str to float
        The scenario, by period in words.

    Raises
    ------
    SchemaError, DomainError
        The choice is unknown; or the scenario has no dates, or no factors.
    """
    sd, source = _doubt(choice, learnt)
    calendar = replace(learnt, sd=sd, source=source)
    if scenario is None:
        return calendar, {}
    if isinstance(scenario, str) and scenario in AGAIN:
        factors = _of_the_clock(scenario, learnt, max(math.ceil(days - 1e-9), 1))
        return replace(calendar, factors=factors), {scenario: float(factors.mean())}
    named = _factors_by_period(scenario)
    first = first_day_of(rfm, "A scenario")
    found = np.ones(max(math.ceil(days - 1e-9), 1))
    for period, factor in named.items():
        begin, end = ((moment - first).days for moment in (period.start_time, period.end_time))
        if end < 0 or begin >= len(found):
            last = first + len(found) * _day() - _day()
            raise SchemaError(
                f"The scenario names {period}, which is not within the horizon, "
                f"{first:%Y-%m-%d} to {last:%Y-%m-%d}: leave it out, or take a longer horizon."
            )
        found[max(begin, 0) : end + 1] *= factor
    return replace(calendar, factors=found), {str(p): f for p, f in named.items()}


def _of_the_clock(scenario: str, learnt: Calendar, days: int) -> FloatArray:
    """Factors of as many days to come by what the clock has learnt, for a scenario by name."""
    clock, ahead = learnt.clock, learnt.first_day + np.arange(days)
    if clock is None:
        raise SchemaError(
            f'scenario="{scenario}" needs a posterior with a clock, and this one has none: fit it '
            "with one, as in BetaGeoModel(clock=True), or give factors by period."
        )
    if scenario == "as last year":
        if not len(clock.shocks) or clock.last_day - clock.first_day < _WEEKS_OF_A_YEAR:
            raise DomainError(
                'scenario="as last year" takes a year of log and a clock with shocks: give factors '
                "by period."
            )
        # whole weeks before, as often as it takes to be in the log
        before = np.ceil((ahead - clock.last_day) / _WEEKS_OF_A_YEAR).astype(np.int64)
        shocks = clock.shock(ahead - before * _WEEKS_OF_A_YEAR)
        return np.asarray(np.exp(shocks - clock.shock(ahead)))
    if not len(clock.season):
        raise DomainError(
            'scenario="no season" has nothing to leave out: the clock has learnt no season.'
        )
    year = np.exp(harmonics(learnt.first_day + np.arange(int(DAYS_PER_YEAR))) @ clock.season)
    return np.asarray(year.mean() / np.exp(harmonics(ahead) @ clock.season))


def under(given: Prepared, calendar: Calendar, paths: int, days_per_unit: float) -> Prepared:
    """The same under a calendar; draws are repeated, so that every path has one of its own."""
    if not calendar.matters:
        return given
    draws = enough(given.draws, calendar, paths)
    due = calendar.over(given.future.due, days_per_unit, draws.count)
    return replace(given, draws=draws, future=replace(given.future, due=due))


def levels_of_spend(calendar: Calendar, paths: int) -> FloatArray:
    """What is spent on an order, as a multiple of what is expected, on each path: shape (paths,).

    It moves for all customers at once, as their pace does, and by a share of the calendar's sd.
    Paths go by twos, the second one with the logarithm mirrored, and their mean is 1.
    """
    rng = np.random.default_rng([calendar.seed, 2])
    half = SPEND_SHARE * calendar.sd * rng.standard_normal(-(-paths // 2))
    levels = np.exp(np.stack([half, -half], axis=1).ravel()[:paths])
    return np.asarray(levels / levels.mean())


def enough(draws: Draws, calendar: Calendar, paths: int) -> Draws:
    """As many draws as paths need to have calendars of their own: the same ones again and again."""
    times = max(min(math.ceil(paths / draws.count), _MOST_DRAWS // draws.count), 1)
    return repeated(draws, times) if calendar.sd > 0.0 and times > 1 else draws


def repeated(draws: Draws, times: int) -> Draws:
    """The same draws, one after the other, several times."""

    def tiled(some: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        return {name: np.tile(values, times) for name, values in some.items()}

    effects = draws.effects and replace(draws.effects, draws=tiled(draws.effects.draws))
    spend = draws.spend and tiled(draws.spend)
    return replace(draws, purchases=tiled(draws.purchases), spend=spend, effects=effects)


def first_day_of(rfm: Any, what: str) -> pd.Timestamp:
    """The day after the last period that was observed.

    Raises
    ------
    SchemaError
        The table knows no dates.
    """
    import pandas as pd

    end = rfm.observation_end if isinstance(rfm, RfmTable) else None
    if end is None:
        raise SchemaError(
            f"{what} needs dates, and these customers have none: pass an RfmTable that knows when "
            "its observation ended, made by rfm_summary, or by RfmTable.from_pandas(..., "
            "observation_end=...)."
        )
    after = (pd.Period(end, freq=PERIOD_FREQUENCY[rfm.time_unit]) + 1).start_time
    return (after + pd.Timedelta(hours=12)).normalize()  # of hours: the day that most of them are


def month_ends(rfm: Any, days: float) -> tuple[list[str], FloatArray, tuple[str, ...]]:
    """Calendar months within a horizon, the first and last one cut off, and days to their ends.

    And dates: the first day of each, and the one after the last.
    """
    import pandas as pd

    first = first_day_of(rfm, "A path by month")
    after = first + pd.Timedelta(days=math.ceil(days - 1e-9))
    months = pd.period_range(first.to_period("M"), (after - _day()).to_period("M"))
    ends = [float((month.end_time.normalize() - first).days + 1) for month in months]
    edges = [first, *(month.start_time for month in months[1:]), after]
    dates = tuple(f"{one:%Y-%m-%d}" for one in edges)
    return [str(month) for month in months], np.minimum(ends, days), dates


def sd_of(choice: CalendarChoice, learnt: Calendar = NOTHING) -> float:
    """The sd that a choice stands for.

    Raises
    ------
    SchemaError, DomainError
        It is unknown, out of range, or to be learnt and was not.
    """
    return _doubt(choice, learnt)[0]


def _doubt(choice: CalendarChoice, learnt: Calendar) -> tuple[float, Any]:
    if isinstance(choice, str):
        if choice == "none":
            return 0.0, "none"
        if choice in ("auto", "learnt") and learnt.clock is not None:
            return learnt.sd, "learnt"
        if choice == "auto":
            return CALENDAR_SD, "assumed"
        if choice == "learnt":
            raise SchemaError(
                'calendar="learnt" needs a posterior with a clock, and this one has none: fit it '
                "with one, as in BetaGeoModel(clock=True), leave calendar out for an assumed sd "
                f"of {CALENDAR_SD}, or pass an sd of your own."
            )
    number = isinstance(choice, int | float | np.integer | np.floating)
    if not number or isinstance(choice, bool | np.bool_):
        raise SchemaError(
            f'calendar={shown(choice)} must be "auto", "none", "learnt" or the sd of the logarithm '
            "of the base's level, such as 0.15."
        )
    sd = float(choice)
    if not 0.0 <= sd <= _MOST_SD:
        raise DomainError(
            f"calendar={shown(choice)} must lie between 0 and {_MOST_SD:g}: it is the sd of the "
            "logarithm of the base's level, 0.15 for about 15 percent."
        )
    return (sd, "given") if sd > 0.0 else (0.0, "none")


def _day() -> Any:
    import pandas as pd

    return pd.Timedelta(days=1)


def _factors_by_period(scenario: Scenario) -> dict[pd.Period, float]:
    import pandas as pd

    if isinstance(scenario, pd.Series):
        _check_daily(scenario.index)
        items: Any = scenario.items()
    elif isinstance(scenario, Mapping):
        items = scenario.items()
    else:
        raise SchemaError(
            f"scenario={shown(scenario)} must be a mapping or a pandas Series of factors by "
            'period, such as {"2024-12": 1.2, "2024-08": 0.0}.'
        )
    found: dict[pd.Period, float] = {}
    for when, factor in items:
        period = _period(when)
        if period in found:
            raise SchemaError(f"The scenario names {period} twice: give one factor for it.")
        found[period] = _factor(period, factor)
    if not found:
        raise SchemaError("The scenario is empty: leave it out, or name a period and its factor.")
    return found


def _check_daily(index: Any) -> None:
    """Refuse dates further apart than a day: they do not say how long a factor holds."""
    import pandas as pd

    if isinstance(index, pd.DatetimeIndex) and len(index) > 1:
        gaps = np.diff(index.normalize().to_numpy()) / np.timedelta64(1, "D")
        if (gaps != 1).any():
            raise SchemaError(
                "The scenario's dates are not one day after the other, so that it does not say "
                'how long each factor holds: give a period, as in series.to_period("M").'
            )


def _period(when: Any) -> pd.Period:
    import datetime

    import pandas as pd

    if isinstance(when, pd.Period):
        return when
    if isinstance(when, datetime.date | np.datetime64):
        return pd.Period(pd.Timestamp(when), freq="D")
    if isinstance(when, str) and re.fullmatch(_PERIOD, when.strip(), re.ASCII):
        try:
            return pd.Period(when.strip())
        except ValueError:
            pass
    raise SchemaError(
        f"The scenario names {shown(when)}, which is not a period: write a day, month, quarter or "
        'year as "2024-12-24", "2024-12", "2024Q4" or "2024", or use dates and pandas Periods.'
    )


def _factor(period: Any, factor: Any) -> float:
    try:
        number = float(factor)
    except (TypeError, ValueError):
        number = math.nan
    if not 0.0 <= number <= _MOST_FACTOR or isinstance(factor, str | bool):
        raise DomainError(
            f"The scenario's factor for {period} is {shown(factor)}: it must be a number from 0 "
            f"(closed) to {_MOST_FACTOR:g}, 1.2 for 20 percent more."
        )
    return number
