"""Totals that a backtest forecast at several dates: how often they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.words import percent, short
from clvmodels.evaluation.over_dates import WITH, WITHOUT

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation.backtest_record import Backtest

TARGETS: Final = {"purchases": "purchases", "value": "discounted value"}


def calendar_said(row: Mapping[Any, Any]) -> str:
    """How totals allow for the calendar, in words."""
    if row["calendar"] == "none":
        return "left out"
    learnt = "learnt, " if row["calendar"] == "learnt" else ""
    return f"{learnt}sd {row['calendar_sd']:.2g}"


def origin_tables(backtest: Backtest) -> Iterator[Table]:
    """How often totals hold over all dates, without the calendar and with it."""
    over = backtest.totals_over_dates
    if over is None:
        return
    level = percent(float(over["level"].iloc[0]))
    timed = (over["clock"] == WITH).any()
    yield Table(
        key="totals-over-dates",
        title=f"How often {level} intervals of totals hold over all dates",
        columns=(
            "total",
            *(("clock",) if timed else ()),
            *("calendar", "dates", "hold", "share", "interval score", "error"),
        ),
        rows=tuple(
            (
                TARGETS[row["target"]],
                *((row["clock"],) if timed else ()),
                calendar_said(row),
                row["dates"],
                row["inside"],
                row["coverage"],
                row["interval_score"],
                row["error"],
            )
            for row in over.to_dict("records")
        ),
        caption=(
            "The model was fitted up to each date and forecast what followed. The interval score "
            "is the mean width and a penalty for what lies outside, as a share of the real total: "
            "smaller is better. Totals to plan with allow for the calendar, which moves all "
            "customers at once."
        ),
        formats={
            **dict.fromkeys(("dates", "hold"), "integer"),
            "share": "percent",
            "interval score": "number",
            "error": "error",
        },
    )
    yield from _moved(backtest)


def _moved(backtest: Backtest) -> Iterator[Table]:
    """By how much the clock moved the forecast of each date."""
    moved = backtest.moved_by_clock
    if moved is None:
        return
    yield Table(
        key="moved-by-clock",
        title="By how much the clock moved the forecasts of totals",
        columns=("total", "known up to", "without", "with", "moved", "really"),
        rows=tuple(
            (
                TARGETS[row["target"]],
                row["train_end"],
                *(row[name] for name in ("forecast_without", "forecast_with", "moved", "actual")),
            )
            for row in moved.to_dict("records")
        ),
        caption=(
            "The same model was fitted to the same customers without the clock, which counts "
            "every day alike."
        ),
        formats={**dict.fromkeys(("without", "with", "really"), "integer"), "moved": "error"},
    )


def origin_figures(backtest: Backtest) -> Iterator[Figure]:
    """Totals of every date as shares of the real ones, where there are several dates."""
    totals = backtest.calendar_totals
    if totals is None or totals["train_end"].nunique() < 2:
        return
    timed = bool((totals["clock"] == WITH).any())
    for target, rows in totals.sort_values("train_end", kind="stable").groupby(
        "target", sort=False
    ):
        mine = rows[rows["clock"] == (WITH if timed else WITHOUT)]
        shown = [mine[mine["calendar"] == "none"], mine[mine["calendar"] != "none"]]
        shown = [some for some in shown if len(some)]
        planned = rows[(rows["clock"] == WITHOUT) & (rows["calendar"] != "none")]
        level = percent(float(rows["level"].iloc[0]))
        said = _hold(shown[-1])
        said += f", without the calendar {_hold(shown[0])}" if len(shown) > 1 else ""
        said += f", without the clock {_hold(planned)}" if timed and len(planned) else ""
        quantity = TARGETS[str(target)]
        yield Figure(
            key=f"origins-{target}",
            kind="origin_totals",
            title=f"{level} intervals of total {quantity} hold at {said} dates",
            caption=(
                "Forecasts of the totals after each date, as shares of what really came: with "
                "the calendar's doubt (wide) and without it (narrow). An interval holds where it "
                "crosses the line."
                + (" Beside them those of the same model without its clock." if timed else "")
            ),
            alt=f"{level} intervals of total {quantity} at {len(rows)} cuts: {said}.",
            data={
                "dates": _cuts(rows),
                "series": [
                    {"calendar": bool((some["calendar"] != "none").any()), **_as_shares(some)}
                    for some in shown
                ],
                "quantity": quantity,
                **({"without_clock": _as_shares(planned)} if timed and len(planned) else {}),
            },
        )


def _cuts(rows: pd.DataFrame) -> list[str]:
    """Dates that the log was cut at, with the end where several forecasts have the same cut."""
    cuts = rows[["train_end", "test_end"]].drop_duplicates()
    several = cuts["train_end"].duplicated(keep=False)
    return [
        f"{cut.train_end}\nto {cut.test_end}" if more else str(cut.train_end)
        for cut, more in zip(cuts.itertuples(), several, strict=True)
    ]


def _hold(rows: pd.DataFrame) -> str:
    return f"{int(rows['inside'].sum())} of {len(rows)}"


def _as_shares(rows: pd.DataFrame) -> dict[str, list[Any]]:
    actual = rows["actual"].where(rows["actual"] > 0)
    return {n: short((rows[n] / actual).to_numpy()) for n in ("forecast", "lower", "upper")}
