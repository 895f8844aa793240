"""Pictures of how well a backtest's forecasts told customers apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from clvmodels.diagnostics.of_backtests import held, of_backtest
from clvmodels.evaluation import Backtest
from clvmodels.plots.common import table_with, takes
from clvmodels.plots.diagnostics import drawn
from clvmodels.plots.renamed import picture

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Target = Literal["purchases", "value"]


@picture
def plot_conditional_expectations(backtest: Backtest, *, ax: Axes | None = None) -> Axes:
    """Mean purchases in a holdout by number of repeats before it.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Lines that part show for whom the model is wrong.
    """
    return _of_backtest("conditional_expectations", backtest, "purchases", ax)


@picture
def plot_group_calibration(
    backtest: Backtest, *, target: Target = "purchases", ax: Axes | None = None
) -> Axes:
    """Mean forecast of groups of customers against what came.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    target : {"purchases", "value"}
        What was forecast.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Points on the line were forecast rightly.
    """
    return _of_backtest("group_calibration", backtest, target, ax)


@picture
def plot_gains(backtest: Backtest, *, target: Target = "purchases", ax: Axes | None = None) -> Axes:
    """Share of what came that lies with the customers of the highest forecasts.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    target : {"purchases", "value"}
        What was forecast.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The higher a curve, the better a forecast finds the best customers.
    """
    return _of_backtest("gains", backtest, target, ax)


@picture
def plot_interval_coverage(backtest: Backtest | pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Share of customers whose predictive interval held, against what it should be.

    Parameters
    ----------
    backtest : Backtest or DataFrame
        As `clvmodels.backtest` returns it, or its table `Backtest.coverage`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Below the line intervals hold less often than they say.
    """
    name = "plot_interval_coverage"
    columns = ("target", "level", "coverage", "lower", "upper")
    found = backtest.coverage if isinstance(backtest, Backtest) else backtest
    return drawn("interval_coverage", held(table_with(name, found, columns)), ax)


@picture
def plot_origin_totals(
    backtest: Backtest, *, target: Target = "purchases", ax: Axes | None = None
) -> Axes:
    """Totals forecast at several dates, with and without the calendar, as shares of what came.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it, with origins.
    target : {"purchases", "value"}
        What was forecast.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        An interval holds where it crosses the line.
    """
    return _of_backtest("origin_totals", backtest, target, ax)


def _of_backtest(kind: str, backtest: Any, target: str, axes: Axes | None) -> Axes:
    if not isinstance(backtest, Backtest):
        raise takes(f"plot_{kind}", backtest)
    return drawn(kind, of_backtest(kind, backtest, target), axes)
