"""Totals that a backtest forecast at several dates: how often they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.words import percent, short

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation.backtest_record import Backtest

TARGETS: Final = {"purchases": "purchases", "value": "discounted value"}


def origin_tables(backtest: Backtest) -> Iterator[Table]:
    """How often totals hold over all dates, without the calendar and with it."""
    over = backtest.totals_over_dates
    if over is None:
        return
    level = percent(float(over["level"].iloc[0]))
    yield Table(
        key="totals-over-dates",
        title=f"How often {level} intervals of totals hold over all dates",
        columns=("total", "calendar", "dates", "hold", "share", "interval score", "error"),
        rows=tuple(
            (
                TARGETS[row["target"]],
                f"sd {row['calendar_sd']:g}" if row["calendar_sd"] > 0.0 else "left out",
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


def origin_figures(backtest: Backtest) -> Iterator[Figure]:
    """Totals of every date as shares of the real ones, where there are several dates."""
    totals = backtest.calendar_totals
    if totals is None or totals["train_end"].nunique() < 2:
        return
    for target, rows in totals.sort_values("train_end").groupby("target", sort=False):
        held = rows.groupby("calendar_sd")["inside"].agg(["sum", "count"])
        told = [f"{int(a)} of {int(b)}" for a, b in held.to_numpy()]
        level = percent(float(rows["level"].iloc[0]))
        said = told[-1] + (f", without the calendar {told[0]}" if len(told) > 1 else "")
        yield Figure(
            key=f"origins-{target}",
            kind="origin_totals",
            title=f"{level} intervals of total {TARGETS[str(target)]} hold at {said} dates",
            caption=(
                "Forecasts of the totals after each date, as shares of what really came: with "
                "the calendar's doubt (wide) and without it (narrow). An interval holds where it "
                "crosses the line."
            ),
            alt=f"{level} intervals of total {TARGETS[str(target)]} at {len(rows)} cuts: {said}.",
            data={
                "dates": [str(one) for one in rows["train_end"].unique()],
                "series": [
                    {"calendar": bool((some["calendar_sd"] > 0.0).any()), **_as_shares(some)}
                    for _, some in rows.groupby("calendar_sd")
                ],
                "quantity": TARGETS[str(target)],
            },
        )


def _as_shares(rows: pd.DataFrame) -> dict[str, list[float | None]]:
    actual = rows["actual"].where(rows["actual"] > 0)
    return {n: short((rows[n] / actual).to_numpy()) for n in ("forecast", "lower", "upper")}
