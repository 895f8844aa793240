"""Pictures of a backtest: its tables, as `clvmodels.Backtest` documents them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clvmodels.evaluation import FORECAST_LABELS, METRIC_LABELS, Backtest
from clvmodels.evaluation.metrics import SHARES
from clvmodels.keywords import named
from clvmodels.plots.common import (
    ACTUAL,
    EXPECTED,
    OTHER,
    as_percent,
    shown_axes,
    table_with,
    within_calendar,
)
from clvmodels.schema import check_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

_COLUMNS = {
    "tracking": ("date", "days", "part", "actual", "expected", "lower", "upper"),
    "repeats": ("repeats", "actual", "expected", "lower", "upper"),
    "calibration": ("target", "forecast", "group", "expected", "actual"),
    "coverage": ("target", "level", "coverage", "lower", "upper"),
    "metrics": ("target", "metric", "forecast", "value", "lower", "upper"),
}


@named
def plot_tracking(
    backtest: Backtest | pd.DataFrame, *, cumulative: bool = False, axes: Axes | None = None
) -> Axes:
    """Repeat purchases by week: what was expected, with its predictive band, and what came.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        Or its table `Backtest.tracking`.
    cumulative : bool
        Draw the sums so far.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        The dashed line is the end of the calibration.
    """
    table = _table("plot_tracking", backtest, "tracking")
    axes = shown_axes(axes)
    start = "cumulative_" if cumulative else ""
    if not cumulative:  # a short last week would look like a fall
        table = table[table["days"] >= table["days"].median() - 1e-9]
    end = table.loc[table["part"] == "train", "date"].iloc[-1]
    for name, part in table.groupby("part", sort=False):
        if cumulative and name == "holdout":
            part = _from_origin(part, table)
        label = name == "train"
        axes.fill_between(
            part["date"],
            part[f"{start}lower"],
            part[f"{start}upper"],
            color=EXPECTED,
            alpha=0.18,
            linewidth=0,
            label="predictive band" if label else None,
        )
        axes.plot(
            part["date"],
            part[f"{start}expected"],
            color=EXPECTED,
            label="expected by the model" if label else None,
        )
    axes.plot(table["date"], table[f"{start}actual"], color=ACTUAL, linewidth=1.2, label="really")
    axes.axvline(end, color="black", linewidth=0.8, linestyle="--")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("repeat purchases" + (" so far" if cumulative else " in the week"))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False, loc="upper left" if cumulative else "best")
    _date_axis(axes)
    return axes


def _from_origin(part: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Let the curves of the holdout begin at what had happened."""
    import pandas as pd

    origin = table[table["part"] == "train"].iloc[[-1]].copy()
    for name in ("expected", "lower", "upper"):
        origin[f"cumulative_{name}"] = origin["cumulative_actual"]
    return pd.concat([origin, part])


def _date_axis(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    within_calendar(axes)
    locator = AutoDateLocator(maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


@named
def plot_repeats(backtest: Backtest | pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Customers with 0, 1, 2, ... repeat purchases in the calibration.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        Or its table `Backtest.repeats`.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    table = _table("plot_repeats", backtest, "repeats")
    axes = shown_axes(axes)
    places = np.arange(len(table))
    axes.bar(places - 0.2, table["actual"], 0.38, color=ACTUAL, label="really")
    axes.bar(places + 0.2, table["expected"], 0.38, color=EXPECTED, label="expected by the model")
    _error_bars(axes, places + 0.2, table, "")
    axes.set_xticks(places, list(table["repeats"]))
    axes.set_xlabel("repeat purchases in the calibration")
    axes.set_ylabel("customers")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False)
    return axes


@named
def plot_deciles(
    backtest: Backtest | pd.DataFrame,
    *,
    target: str = "purchases",
    forecast: str = "model",
    unit: str = "purchases",
    axes: Axes | None = None,
) -> Axes:
    """Mean forecast and what happened, by groups of customers in the order of the forecast.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        Or its table `Backtest.calibration`.
    target, forecast : str
        Which rows of it.
    unit : str
        Of the target, per customer.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    table = _table("plot_deciles", backtest, "calibration")
    axes = shown_axes(axes)
    mine = _rows(table, target=target, forecast=forecast)
    places = mine["group"].to_numpy()
    axes.plot(places, mine["expected"], "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, mine["actual"], "s", color=ACTUAL, label="really, with interval")
    _error_bars(axes, places, mine, "actual_", colour=ACTUAL)
    axes.set_xticks(places)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tenths of customers, the highest forecast last")
    axes.set_ylabel(f"{unit} per customer")
    axes.legend(frameon=False, loc="upper left")
    return axes


@named
def plot_coverage(backtest: Backtest | pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Share of customers whose predictive interval holds, against what it should be.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        Or its table `Backtest.coverage`.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        Above the line intervals hold more often than they say.
    """
    table = _table("plot_coverage", backtest, "coverage")
    axes = shown_axes(axes)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1, zorder=0)
    for (target, mine), colour in zip(
        table.groupby("target", sort=False), (EXPECTED, ACTUAL), strict=False
    ):
        axes.plot(mine["level"], mine["coverage"], "o-", color=colour, label=str(target))
        _error_bars(axes, mine["level"].to_numpy(), mine, "", colour=colour)
    axes.set(xlim=(0.4, 1.02), ylim=(0.4, 1.02))
    axes.set_xlabel("probability of the predictive interval")
    axes.set_ylabel("share of customers inside it")
    axes.legend(frameon=False, loc="lower right")
    return axes


@named
def plot_metric(
    backtest: Backtest | pd.DataFrame,
    metric: str,
    *,
    labels: Mapping[str, str] | None = None,
    target: str = "purchases",
    axes: Axes | None = None,
) -> Axes:
    """One metric of every forecast, with its bootstrap interval.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        Or its table `Backtest.metrics`.
    metric, target : str
        Which rows of it, such as "mae" and "purchases" or "value".
    labels : mapping of str to str, optional
        What forecasts are called; by default as in reports.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    table = _table("plot_metric", backtest, "metrics")
    alone, axes = axes is None, shown_axes(axes)
    mine = _rows(table, target=target, metric=metric)
    mine = mine[np.isfinite(mine["value"])]
    places = np.arange(len(mine))
    colours = [EXPECTED if name == "model" else OTHER for name in mine["forecast"]]
    labels = FORECAST_LABELS if labels is None else labels
    axes.barh(places, mine["value"], 0.6, color=colours)
    middle, half = _middle_and_half(mine, "")
    axes.errorbar(middle, places, xerr=half, color="black", capsize=3, fmt="none", lw=1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [labels.get(name, name) for name in mine["forecast"]])
    axes.set_ylim(len(mine) - 0.4, -0.6)
    if alone:
        axes.set_xlabel(METRIC_LABELS.get(metric, metric))
    if metric in SHARES:
        axes.xaxis.set_major_formatter(as_percent)
    return axes


def _table(plot: str, given: Any, name: str) -> pd.DataFrame:
    """The table of a backtest that a plot draws."""
    if isinstance(given, Backtest):
        table: pd.DataFrame = getattr(given, name)
        return table
    return table_with(plot, given, _COLUMNS[name])


def _rows(table: pd.DataFrame, **chosen: str) -> pd.DataFrame:
    """The rows of a table that have certain values, which must be there."""
    for name, value in chosen.items():
        check_choice(name, value, tuple(table[name].unique()))
        table = table[table[name] == value]
    return table


def _error_bars(
    axes: Axes, places: Any, table: pd.DataFrame, start: str, *, colour: str = "black"
) -> None:
    middle, half = _middle_and_half(table, start)
    axes.errorbar(places, middle, yerr=half, color=colour, capsize=3, fmt="none", lw=1)


def _middle_and_half(table: pd.DataFrame, start: str) -> tuple[Any, Any]:
    lower, upper = table[f"{start}lower"].to_numpy(), table[f"{start}upper"].to_numpy()
    return (lower + upper) / 2, (upper - lower) / 2
