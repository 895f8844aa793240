"""Totals forecast at several dates: how often their intervals hold, with a clock and without.

A model with a clock is fitted without it too, and without its season where it learnt one, so
that each row of totals says by which of these it is.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from clvmodels.verdict import Check

WITH: Final = "with"
NO_SEASON: Final = "without season"
WITHOUT: Final = "without"
_BETTER: Final = {
    NO_SEASON: "without the clock's season: leave it out, as in Clock(season=False)",
    WITHOUT: "without the clock: leave it out, or parts of it, as in Clock(shocks=False)",
}
_DATES: Final = 3  # at least, for a clock to be judged


def over_dates(rows: pd.DataFrame) -> pd.DataFrame:
    """How well totals hold over all dates; see `Backtest.totals_over_dates`."""
    rows = rows.assign(error=(rows["forecast"] / rows["actual"].where(rows["actual"] > 0)) - 1)
    by = rows.groupby(["target", "clock", "calendar"], sort=False, as_index=False)
    found: pd.DataFrame = by.agg(
        calendar_sd=("calendar_sd", "mean"),
        level=("level", "first"),
        dates=("inside", "size"),
        inside=("inside", "sum"),
        coverage=("inside", "mean"),
        interval_score=("interval_score", "mean"),
        error=("error", "mean"),
    )
    return found


def moved_by_clock(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Forecasts of each date without a clock and with it; see `Backtest.moved_by_clock`."""
    keys = ["train_end", "test_end", "target"]
    plain = rows[rows["calendar"] == "none"]
    both = plain[plain["clock"] == WITH].merge(
        plain.loc[plain["clock"] == WITHOUT, [*keys, "forecast"]],
        on=keys,
        suffixes=("_with", "_without"),
    )
    if not len(both):
        return None
    moved = both["forecast_with"] / both["forecast_without"].where(both["forecast_without"] > 0)
    names = ["forecast_without", "forecast_with", "moved", "actual"]
    return both.assign(moved=moved - 1)[[*keys, *names]].sort_values(
        "train_end", kind="stable", ignore_index=True
    )


def clock_check(rows: pd.DataFrame | None) -> Check | None:
    """Whether held-out dates object to the clock, or to its season.

    What it was held against is the same model without, to plan with: with the assumed doubt
    about the calendar. None where there is no clock, or are fewer than three dates.
    """
    if rows is None:
        return None
    mine = rows[(rows["target"] == "purchases") & (rows["calendar"] != "none")]
    by = mine.groupby(["train_end", "test_end", "clock"])["interval_score"].first()
    scores = by.unstack("clock")  # noqa: PD010
    others = [name for name in (NO_SEASON, WITHOUT) if name in scores]
    if WITH not in scores or not others or len(scores) < _DATES:
        return None
    # each on the dates that it was fitted at: a season is not learnt at the early ones
    same = {name: scores[[WITH, name]].dropna() for name in others}
    ratio = {name: float(one[WITH].mean() / one[name].mean()) for name, one in same.items()}
    worst = max(ratio, key=lambda name: ratio[name])
    fine = ratio[worst] <= 1.0
    said = "" if fine else f"Totals to plan with are better {_BETTER[worst]}."
    return Check(
        "interval score of totals with the clock, as a multiple of that without",
        ratio[worst],
        1.0,
        "pass" if fine else "warn",
        said,
        "at most",
        "number",
        ("totals",),
    )


def with_clock(rows: pd.DataFrame | None) -> pd.DataFrame | None:
    """Rows as they are written now, of a file from before clocks were compared."""
    if rows is None or "clock" in rows:
        return rows
    allowed = rows["calendar_sd"] > 0.0
    place = list(rows.columns).index("calendar_sd")
    rows = rows.copy()
    rows.insert(place, "clock", WITHOUT)
    rows.insert(place + 1, "calendar", allowed.map({True: "given", False: "none"}))
    return rows
