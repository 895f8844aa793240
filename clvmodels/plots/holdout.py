"""Pictures of how well a backtest's forecasts told customers apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from clvmodels.diagnostics import single
from clvmodels.evaluation import Backtest
from clvmodels.keywords import named
from clvmodels.plots.common import takes
from clvmodels.plots.diagnostics import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Target = Literal["purchases", "value"]


@named
def plot_conditional_expectations(backtest: Backtest, *, axes: Axes | None = None) -> Axes:
    """Mean purchases in a holdout by number of repeats before it.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    axes : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Lines that part show for whom the model is wrong.
    """
    return _of_backtest("conditional_expectations", backtest, "purchases", axes)


@named
def plot_group_calibration(
    backtest: Backtest, *, target: Target = "purchases", axes: Axes | None = None
) -> Axes:
    """Mean forecast of groups of customers against what came.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    target : {"purchases", "value"}
        What was forecast.
    axes : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Points on the line were forecast rightly.
    """
    return _of_backtest("group_calibration", backtest, target, axes)


@named
def plot_gains(
    backtest: Backtest, *, target: Target = "purchases", axes: Axes | None = None
) -> Axes:
    """Share of what came that lies with the customers of the highest forecasts.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    target : {"purchases", "value"}
        What was forecast.
    axes : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The higher a curve, the better a forecast finds the best customers.
    """
    return _of_backtest("gains", backtest, target, axes)


@named
def plot_interval_coverage(backtest: Backtest, *, axes: Axes | None = None) -> Axes:
    """Share of customers whose predictive interval held, against what it should be.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it.
    axes : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Below the line intervals hold less often than they say.
    """
    return _of_backtest("interval_coverage", backtest, "purchases", axes)


@named
def plot_origin_totals(
    backtest: Backtest, *, target: Target = "purchases", axes: Axes | None = None
) -> Axes:
    """Totals forecast at several dates, with and without the calendar, as shares of what came.

    Parameters
    ----------
    backtest : Backtest
        As `clvmodels.backtest` returns it, with origins.
    target : {"purchases", "value"}
        What was forecast.
    axes : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        An interval holds where it crosses the line.
    """
    return _of_backtest("origin_totals", backtest, target, axes)


def _of_backtest(kind: str, backtest: Any, target: str, axes: Axes | None) -> Axes:
    if not isinstance(backtest, Backtest):
        raise takes(f"plot_{kind}", backtest)
    return drawn(kind, single.of_backtest(kind, backtest, target), axes)
