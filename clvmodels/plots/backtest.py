"""Pictures of a backtest: its tables, as `clvmodels.Backtest` documents them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from clvmodels.evaluation import FORECAST_LABELS, METRIC_LABELS, Backtest
from clvmodels.evaluation.metrics import SHARES
from clvmodels.plots.common import as_percent, error_bars, shown_axes, table_with
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER
from clvmodels.plots.renamed import picture
from clvmodels.schema import check_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes

_COLUMNS = {
    "calibration": ("target", "forecast", "group", "expected", "actual"),
    "metrics": ("target", "metric", "forecast", "value", "lower", "upper"),
}


@picture
def plot_deciles(
    backtest: Backtest | pd.DataFrame,
    *,
    target: str = "purchases",
    forecast: str = "model",
    unit: str = "purchases",
    ax: Axes | None = None,
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
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    table = _table("plot_deciles", backtest, "calibration")
    axes = shown_axes(ax)
    mine = _rows(table, target=target, forecast=forecast)
    places = mine["group"].to_numpy()
    axes.plot(places, mine["expected"], "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, mine["actual"], "s", color=ACTUAL, label="actual, with its interval")
    _error_bars(axes, places, mine, "actual_", colour=ACTUAL)
    axes.set_xticks(places)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tenths of customers, the highest forecast last")
    axes.set_ylabel(f"{unit} per customer")
    axes.legend(frameon=False, loc="upper left")
    return axes


@picture
def plot_metric(
    backtest: Backtest | pd.DataFrame,
    metric: str,
    *,
    labels: Mapping[str, str] | None = None,
    target: str = "purchases",
    ax: Axes | None = None,
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
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    table = _table("plot_metric", backtest, "metrics")
    axes = shown_axes(ax)
    mine = _rows(table, target=target, metric=metric)
    mine = mine[np.isfinite(mine["value"])]
    places = np.arange(len(mine))
    colours = [EXPECTED if name == "model" else OTHER for name in mine["forecast"]]
    labels = FORECAST_LABELS if labels is None else labels
    axes.barh(places, mine["value"], 0.6, color=colours)
    middle, half = _middle_and_half(mine, "")
    error_bars(axes, middle, places, xerr=half)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(places, [labels.get(name, name) for name in mine["forecast"]])
    axes.set_ylim(len(mine) - 0.4, -0.6)
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
    error_bars(axes, places, middle, yerr=half, colour=colour)


def _middle_and_half(table: pd.DataFrame, start: str) -> tuple[Any, Any]:
    lower, upper = table[f"{start}lower"].to_numpy(), table[f"{start}upper"].to_numpy()
    return (lower + upper) / 2, (upper - lower) / 2
