"""What was predicted beside what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clvmodels.diagnostics.clock_parts import clock_data
from clvmodels.diagnostics.planned import fan_of
from clvmodels.errors import SchemaError
from clvmodels.evaluation import Backtest
from clvmodels.plots.common import as_percent, numbers, shown_axes, takes, whisker
from clvmodels.plots.diagnostics import drawn
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.posterior.scorable import purchases_of
from clvmodels.predictive import TotalForecast

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@picture
def plot_totals(
    totals: Mapping[str, float] | Backtest,
    *,
    colours: Sequence[str] | None = None,
    interval: tuple[float, float] | None = None,
    unit: str = "",
    target: str = "purchases",
    ax: Axes | None = None,
) -> Axes:
    """Bars of totals, the first at the top.

    Parameters
    ----------
    totals : mapping of str to float, or Backtest
        By label; of a backtest the model's forecast, with its widest predictive interval,
        and what happened.
    colours : sequence of str, optional
        One for each.
    interval : (float, float), optional
        Of the first.
    unit : str
        Of the totals, such as "$".
    target : {"purchases", "value"}
        Of a backtest.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    label = ""
    if isinstance(totals, Backtest):
        label = f"{target} in the holdout"
        totals, interval = _of_backtest(totals, target)
        colours = (EXPECTED, ACTUAL)
    if not isinstance(totals, Mapping):
        raise takes("plot_totals", totals)
    names, widths = list(totals), numbers("plot_totals", list(totals.values()))
    axes = shown_axes(ax)
    if colours is None:
        colours = [EXPECTED, *[OTHER] * (len(names) - 1)]
    axes.barh(names, widths, color=list(colours), height=0.6)
    if interval is not None:
        whisker(axes, interval, 0)
    for place, value in enumerate(widths):
        axes.text(value, place - 0.33, f"{unit}{value:,.0f}", ha="right", va="bottom", fontsize=9)
    axes.set_ylim(len(totals) - 0.5, -0.65)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{unit}{value:,.0f}")
    axes.set_xlabel(label)
    return axes


def _of_backtest(
    backtest: Backtest, target: str
) -> tuple[Mapping[str, float], tuple[float, float] | None]:
    backtest.table(target)  # refuses a target that is not there
    rows = backtest.totals[backtest.totals["target"] == target].sort_values("level")
    row = rows.iloc[-1]
    bounds = (float(row["lower"]), float(row["upper"]))
    totals = {"model": float(row["forecast"]), "actual": float(row["actual"])}
    return totals, bounds if np.isfinite(bounds).all() else None


@picture
def plot_forecast(
    forecast: TotalForecast,
    *,
    total: str = "purchases",
    cumulative: bool = False,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A total by calendar month: expected, and the fan of what may come.

    Parameters
    ----------
    forecast : TotalForecast
        Of :func:`~clvmodels.forecast_total` with ``path="M"``; of its segments all together.
    total : {"purchases", "value"}
        Which of its totals.
    cumulative : bool
        Draw the sums so far, in place of each month's. Months that are cut off, as the first
        and last one may be, are drawn at the rate of a whole one.
    unit : str
        Of the value, such as "$".
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The dark band is of half of the cases, the light one of ``forecast.interval``.
    """
    if not isinstance(forecast, TotalForecast) or not forecast.edges:
        raise takes("plot_forecast", forecast)
    data = fan_of(forecast, total, cumulative=cumulative)
    return drawn("forecast", data | {"unit": unit}, ax)


@picture
def plot_clock(posterior: Any, *, ax: Axes | None = None) -> Axes:
    """How fast the time of all customers passed in the log, and is taken to pass after it.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of a model that was fitted with a clock.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        By the week, with the days of the week in the title.

    Raises
    ------
    SchemaError
        The posterior has no clock.
    """
    if not isinstance(posterior, CLVPosterior | PurchasePosterior):
        raise takes("plot_clock", posterior)
    clock = purchases_of(posterior).metadata.clock
    if clock is None:
        raise SchemaError(
            "The posterior has no clock to draw: fit its model with one, as in "
            "BetaGeoModel(clock=True)."
        )
    return drawn("clock", clock_data(clock), ax)


@picture
def plot_pairs(
    groups: Sequence[str],
    expected: npt.ArrayLike,
    actual: npt.ArrayLike,
    *,
    unit: str,
    ax: Axes | None = None,
) -> Axes:
    """Two lines over groups of customers: what was expected, what happened.

    Parameters
    ----------
    groups : sequence of str
        Their names, from left to right.
    expected, actual : array_like
        Of each group.
    unit : str
        Of both.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    expected = numbers("plot_pairs", expected)
    actual = numbers("plot_pairs", actual)
    axes = shown_axes(ax)
    places = range(len(groups))
    axes.plot(places, expected, "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, actual, "s--", color=ACTUAL, label="actual")
    axes.set_xticks(list(places), list(groups))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.legend(frameon=False)
    return axes


@picture
def plot_calibration(
    predicted: npt.ArrayLike, observed: npt.ArrayLike, *, ax: Axes | None = None
) -> Axes:
    """Predicted chances against the shares that came true; on the line both agree.

    Parameters
    ----------
    predicted, observed : array_like
        Mean chance and share of each group, in [0, 1].
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    predicted = numbers("plot_calibration", predicted)
    observed = numbers("plot_calibration", observed)
    axes = shown_axes(ax)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1, zorder=0)
    axes.plot(predicted, observed, "o", color=EXPECTED)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_xlabel("predicted chance")
    axes.set_ylabel("share that did")
    return axes
