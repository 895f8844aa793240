"""Totals of a backtest's dates, as a terminal shows them: by the calendar, and by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clvmodels.cli.terminal import Terminal, between, number, percent, signed, table
from clvmodels.verdict import figure_text

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation import Backtest


def show_totals(terminal: Terminal, found: Backtest) -> None:
    """Print totals of every cut, and over all of them, where a calendar was asked for."""
    if found.calendar_totals is None:
        return
    _show_calendar(terminal, found.calendar_totals)
    over = found.totals_over_dates
    if over is not None and over["dates"].max() > 1:
        _show_dates(terminal, over)
    if found.moved_by_clock is not None:
        _show_moved(terminal, found.moved_by_clock)


def _show_calendar(terminal: Terminal, totals: pd.DataFrame) -> None:
    """Totals of every cut, allowing for the calendar; and how often they hold without it."""
    from clvmodels.evaluation.over_dates import WITH, WITHOUT

    allowed = totals[totals["calendar"] != "none"]
    timed = bool((allowed["clock"] == WITH).any())
    some = allowed[allowed["clock"] == (WITH if timed else WITHOUT)]
    rows = [
        (
            row["target"],
            row["train_end"],
            number(row["forecast"]),
            between(row["lower"], row["upper"]),
            number(row["actual"]),
            "yes" if row["inside"] else "no",
        )
        for row in some.to_dict("records")
    ]
    level = percent(float(some["level"].iloc[0]))
    headings = ("allowing for\nthe calendar", "from", "forecast", level, "really", "holds")
    terminal.show(table(headings, rows))
    terminal.say()
    sds = some["calendar_sd"]
    low, high = f"{sds.min():.2g}", f"{sds.max():.2g}"
    learnt = (some["calendar"] == "learnt").any()
    terminal.say(
        "All customers together buy more or less in some seasons and years"
        + (". " if learnt else ", which the model does not know. ")
        + "The intervals of the last table allow for it by a standard deviation of "
        + (low if low == high else f"{low} to {high}")
        + " of the logarithm of their level"
        + (", which the clock has learnt." if learnt else ".")
    )
    terminal.say()


def _show_dates(terminal: Terminal, over: pd.DataFrame) -> None:
    """How often totals hold over all dates, and how good their intervals are."""
    from clvmodels.evaluation.over_dates import WITH

    timed = (over["clock"] == WITH).any()
    rows = [
        (
            f"{row['target']}, {percent(row['level'])}",
            *((row["clock"],) if timed else ()),
            "left out" if row["calendar"] == "none" else "allowed for",
            f"{row['inside']} of {row['dates']}",
            number(row["interval_score"], 2),
            figure_text(row["error"], "share", signed=True),
        )
        for row in over.to_dict("records")
    ]
    headings = ["totals over\nall dates", "\ncalendar", "\nhold", "interval\nscore", "mean\nerror"]
    terminal.show(table([headings[0], *(("\nclock",) if timed else ()), *headings[1:]], rows))
    terminal.say()
    terminal.say(
        "Interval score: the mean width of the intervals, and a penalty for what lies outside, as "
        "a share of the real total; smaller is better."
    )
    terminal.say()


def _show_moved(terminal: Terminal, moved: pd.DataFrame) -> None:
    """By how much the clock moved the forecast of each date."""
    rows = [
        (
            row["target"],
            row["train_end"],
            number(row["forecast_without"]),
            number(row["forecast_with"]),
            signed(row["moved"]),
            number(row["actual"]),
        )
        for row in moved.to_dict("records")
    ]
    headings = ("forecasts,\nby the clock", "from", "without", "with", "moved", "really")
    terminal.show(table(headings, rows))
    terminal.say()
