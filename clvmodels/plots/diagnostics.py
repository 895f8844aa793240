"""Figures of the diagnostic report: each kind has one function that draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.record import Figure
from clvmodels.plots import convergence, fit, says
from clvmodels.plots.common import floats
from clvmodels.plots.economics import plot_comparison, plot_lorenz, plot_tiers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Picture


def draw_figure(figure: Figure, axes: Any = None) -> Picture:
    """Draw a report's figure.

    Parameters
    ----------
    figure : Figure
        Of a report; its kind names the function of `clvmodels.plots` that draws it.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own. Kinds of several panels take a
        sequence of them.

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


def _tiers(report: Mapping[str, Any], axes: Any = None) -> Any:
    return plot_tiers(_frame(report, text="tier"), axes=axes)


def _comparison(table: Mapping[str, Any], unit: str, axes: Any = None) -> Any:
    return plot_comparison(_frame(table, text="decile"), unit=unit, axes=axes)


def _frame(columns: Mapping[str, Any], *, text: str) -> pd.DataFrame:
    """A table of a record, of numbers but for one column."""
    import pandas as pd

    return pd.DataFrame(
        {name: values if name == text else floats(values) for name, values in columns.items()}
    )


PLOTS: Final[Mapping[str, Callable[..., Any]]] = {
    "alive_histogram": says.plot_alive_histogram,
    "cohorts": fit.plot_cohorts,
    "comparison": _comparison,
    "conditional_expectations": fit.plot_conditional_expectations,
    "energy": convergence.plot_energy,
    "gains": says.plot_gains,
    "group_calibration": says.plot_group_calibration,
    "history_matrix": says.plot_history_matrix,
    "interval_coverage": says.plot_interval_coverage,
    "lorenz": plot_lorenz,
    "prior_posterior": convergence.plot_prior_posterior,
    "prior_sensitivity": convergence.plot_prior_sensitivity,
    "purchases_over_time": fit.plot_purchases_over_time,
    "ranks": convergence.plot_ranks,
    "repeat_histogram": fit.plot_repeat_histogram,
    "ridges": convergence.plot_ridges,
    "spend_by_frequency": fit.plot_spend_by_frequency,
    "spend_density": fit.plot_spend_density,
    "tiers": _tiers,
    "trace": convergence.plot_trace,
    "value_distribution": says.plot_value_distribution,
}
"""By kind of figure."""
