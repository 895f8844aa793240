"""Figures of the diagnostic report: each kind has one function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.record import Figure
from clvmodels.plots import convergence, expectations, fit, one_by_one
from clvmodels.plots.common import floats, shown_axes, shown_panels
from clvmodels.plots.economics import draw_comparison, draw_lorenz, draw_tiers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture


def draw_figure(figure: Figure, axes: Any = None) -> Picture:
    """Draw a report's figure.

    Parameters
    ----------
    figure : Figure
        Of a report; its kind names the function of `clvmodels.plots` that draws it too.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own, which is not pyplot's: a notebook
        shows it as the value of a cell, and reports of any number leave nothing open.
        Kinds of several panels take a sequence of them.

    Returns
    -------
    matplotlib Figure
        Without the record's title and caption, which stand around it.

    Raises
    ------
    KeyError
        No function draws this kind.
    """
    from matplotlib.figure import Figure as Picture

    drawn = PLOTS[figure.kind](**figure.data, axes=axes)
    picture = (drawn[0] if isinstance(drawn, list | tuple) else drawn).figure
    while not isinstance(picture, Picture):  # a figure within a figure
        picture = picture.figure
    return picture


def drawn(kind: str, data: Mapping[str, Any], axes: Axes | None) -> Axes:
    """Draw data of a kind of figure; without axes on a new figure of pyplot."""
    found: Axes = PLOTS[kind](**data, axes=shown_axes(axes))
    return found


def drawn_panels(kind: str, data: Mapping[str, Any], axes: Sequence[Axes] | None) -> Sequence[Axes]:
    """The same for kinds of several panels: one for each parameter, or pair of them."""
    count = len(data["pairs" if "pairs" in data else "parameters"])
    found: Sequence[Axes] = PLOTS[kind](**data, axes=shown_panels(count, axes))
    return found


def _tiers(report: Mapping[str, Any], axes: Any = None) -> Any:
    return draw_tiers(_frame(report, text="tier"), axes=axes)


def _comparison(table: Mapping[str, Any], unit: str, axes: Any = None) -> Any:
    return draw_comparison(_frame(table, text="decile"), unit=unit, axes=axes)


def _frame(columns: Mapping[str, Any], *, text: str) -> pd.DataFrame:
    """A table of a record, of numbers but for one column."""
    import pandas as pd

    return pd.DataFrame(
        {name: values if name == text else floats(values) for name, values in columns.items()}
    )


PLOTS: Final[Mapping[str, Callable[..., Any]]] = {
    "alive_histogram": expectations.draw_alive_histogram,
    "alive_history": one_by_one.draw_alive_history,
    "clock": expectations.draw_clock,
    "cohorts": fit.draw_cohorts,
    "comparison": _comparison,
    "conditional_expectations": fit.draw_conditional_expectations,
    "customer_value": one_by_one.draw_customer_value,
    "effects": convergence.draw_effects,
    "energy": convergence.draw_energy,
    "forecast": expectations.draw_forecast,
    "gains": expectations.draw_gains,
    "group_calibration": expectations.draw_group_calibration,
    "heterogeneity": one_by_one.draw_heterogeneity,
    "history_matrix": expectations.draw_history_matrix,
    "interval_coverage": expectations.draw_interval_coverage,
    "lorenz": draw_lorenz,
    "next_purchase": one_by_one.draw_next_purchase,
    "origin_totals": expectations.draw_origin_totals,
    "payback": one_by_one.draw_payback,
    "prior_posterior": convergence.draw_prior_posterior,
    "prior_sensitivity": convergence.draw_prior_sensitivity,
    "purchases_over_time": fit.draw_purchases_over_time,
    "ranks": convergence.draw_ranks,
    "repeat_histogram": fit.draw_repeat_histogram,
    "ridges": convergence.draw_ridges,
    "spend_by_frequency": fit.draw_spend_by_frequency,
    "spend_density": fit.draw_spend_density,
    "tiers": _tiers,
    "timelines": one_by_one.draw_timelines,
    "times_between": one_by_one.draw_times_between,
    "trace": convergence.draw_trace,
    "value_distribution": expectations.draw_value_distribution,
}
"""By kind of figure."""
