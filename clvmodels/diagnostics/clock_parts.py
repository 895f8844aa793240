"""The clock of a posterior: its week, season and shocks, as a figure, and a table of the week."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import percent, short
from clvmodels.forecast.calendar import sd_of_level
from clvmodels.purchases.clock import WEEKDAYS, LearntClock, harmonics, weekdays

_AHEAD: Final = 365  # days that the figure goes on for
_STEP: Final = 7
_AGES: Final = (7, 30, 90, 180, 365, 730)


def clock_data(clock: LearntClock) -> dict[str, Any]:
    """Data of the figure: weeks of the log and of a year to come, without days of the week."""
    days = np.arange(clock.first_day + 1, clock.last_day + _AHEAD + 1, _STEP)
    season = harmonics(days) @ clock.season if len(clock.season) else np.zeros(len(days))
    usual = season + clock.shock(days)
    in_log = days <= clock.last_day
    level = math.log(np.exp(usual[in_log]).mean())
    return {
        "dates": [str(day) for day in days.astype("datetime64[D]")],
        "intensity": short(np.exp(usual - level)),
        "season": short(np.exp(season - level)) if len(clock.season) else [],
        "end": str(np.datetime64(clock.last_day, "D")),
        "week": short(_week(clock)) if len(clock.week) else [],
    }


def clock_figures(study: Study) -> Iterator[Figure]:
    """The clock, where one was learnt."""
    clock = study.purchases.metadata.clock
    if clock is None:
        return
    yield Figure(
        key="clock",
        kind="clock",
        title=f"A year to come counts as {365.0 * clock.pace:,.0f} days of the log",
        caption=(
            "How fast the time of all customers passed, by the week, without days of the week: 1 "
            f"is the mean of the log. {_parts_said(clock)} After the dotted line it is what the "
            "forecasts take as usual."
        ),
        alt=f"Intensity by week, with {percent(clock.sd_of_shocks)} as the sd of its shocks.",
        data=clock_data(clock),
    )


def clock_tables(study: Study) -> Iterator[Table]:
    """How the days of the week differ."""
    clock = study.purchases.metadata.clock
    if clock is not None and len(clock.week):
        yield Table(
            key="week",
            title="How much is bought on each day of the week",
            columns=WEEKDAYS,
            rows=(tuple(float(one) for one in _week(clock)),),
            caption="As multiples of the mean over the week, of customers who are alike otherwise.",
            formats=dict.fromkeys(WEEKDAYS, "number"),
        )
    if clock is not None and (curve := clock.curve(1.0)) is not None:
        ages = [days for days in _AGES if days <= curve.oldest]
        columns = tuple(f"{days} days" for days in ages)
        yield Table(
            key="age",
            title="How the pace of customers changes with their age",
            columns=columns,
            rows=(tuple(float(curve.intensity(days)) for days in ages),),
            caption=(
                "By the time since the first purchase, as multiples of the pace of the oldest "
                "customers; of those who are still active, and came after the log's first month."
            ),
            formats=dict.fromkeys(columns, "number"),
        )


def _parts_said(clock: LearntClock) -> str:
    season = "It has a season" if len(clock.season) else "It has no season"
    level = percent(sd_of_level(clock.sd_of_shocks))
    if not len(clock.shocks):
        return f"{season}, and no shocks."
    return (
        f"{season}, and shocks of {clock.width} days with an sd of {percent(clock.sd_of_shocks)}: "
        f"so totals to come allow for a level that is off by an sd of {level}."
    )


def _week(clock: LearntClock) -> np.ndarray[Any, np.dtype[np.float64]]:
    monday = 4  # 1970-01-05
    factors = np.exp(weekdays(monday + np.arange(7)) @ clock.week)
    return np.asarray(factors / factors.mean())
