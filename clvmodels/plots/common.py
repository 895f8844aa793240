"""Colours, sheets and small parts that all pictures share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.plots.inks import EXPECTED
from clvmodels.schema import FloatArray, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE, _HIGH = 4.6, 3.0  # inches of a panel

_BACKTEST: Final = "a Backtest, as backtest or load_backtest returns it"
_POSTERIOR: Final = "a posterior, as a model's fit or load_posterior returns it"
_TABLE: Final = "an RfmTable, as rfm_summary makes it"
_VALUES: Final = "a table of predict or score, or a posterior and its RfmTable"
TAKES: Final = {
    "plot_alive_histogram": f"{_VALUES}, or numbers P(alive)",
    "plot_calibration": "a list of chances and a list of shares",
    "plot_clock": "a posterior whose model was fitted with a clock",
    "plot_cohorts": f"{_TABLE}, or what cohorts returns",
    "plot_comparison": "the table of compare_with_simple, or a CLVPosterior and its RfmTable",
    "plot_conditional_expectations": _BACKTEST,
    "plot_deciles": "a Backtest, or its table calibration",
    "plot_effects": "a posterior whose model was fitted with covariates",
    "plot_energy": _POSTERIOR,
    "plot_forecast": 'what forecast_total(..., path="M") returns',
    "plot_gains": _BACKTEST,
    "plot_group_calibration": _BACKTEST,
    "plot_history_matrix": "a posterior of purchases, as a model's fit returns it",
    "plot_interval_coverage": "a Backtest, or its table coverage",
    "plot_lorenz": f"{_VALUES}, or customers' values, or these by label",
    "plot_metric": "a Backtest, or its table metrics",
    "plot_origin_totals": _BACKTEST,
    "plot_pairs": "names of groups and two lists of numbers",
    "plot_prior_posterior": _POSTERIOR,
    "plot_prior_sensitivity": _POSTERIOR,
    "plot_purchases_over_time": "a Backtest or its table tracking, or a posterior with its "
    "RfmTable and their log",
    "plot_ranks": _POSTERIOR,
    "plot_repeat_histogram": f"{_TABLE}, or a posterior and its RfmTable, or a Backtest or "
    "its table repeats",
    "plot_ridges": _POSTERIOR,
    "plot_spend_by_frequency": _TABLE,
    "plot_spend_density": "a CLVPosterior and its RfmTable",
    "plot_tiers": "the table of tier_report, or a CLVPosterior and its RfmTable",
    "plot_tornado": "the table of simple_sensitivity, or what simple_clv returns",
    "plot_totals": "totals by label, or a Backtest",
    "plot_trace": _POSTERIOR,
    "plot_value_distribution": _VALUES,
    "plot_alive_history": f"{_POSTERIOR}, with its RfmTable and their log",
    "plot_timelines": f"{_TABLE}, or a posterior and its RfmTable, and their log",
    "plot_times_between": f"{_TABLE}, or a posterior and its RfmTable, and their log",
    "plot_heterogeneity": "a posterior of purchases, as a model's fit returns it",
    "plot_customer_value": "a CLVPosterior and its RfmTable",
    "plot_next_purchase": "a posterior of purchases and its RfmTable",
    "plot_payback": "a CLVPosterior, and the cost of acquiring a customer",
    "plot_cohort_heatmap": "what cohorts returns",
}
"""What every plot takes, in words."""


def new_figure(rows: int, columns: int, title: str) -> tuple[Figure, Sequence[Axes]]:
    """Make a figure for a file: pyplot does not keep it; a notebook shows it as a cell's value.

    Parameters
    ----------
    rows, columns : int
        Of the grid of axes.
    title : str
        Of the whole figure.

    Returns
    -------
    figure : matplotlib Figure
        To be saved by :func:`save_figure`.
    axes : list of matplotlib Axes
        From left to right, row by row.
    """
    from clvmodels.plots.sheet import Sheet

    figure = Sheet(figsize=(5.6 * columns, 4.2 * rows), layout="constrained")
    figure.suptitle(title, fontsize=13)
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, _open(list(grid.flat))


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix says the format.

    Parameters
    ----------
    figure : matplotlib Figure
        Of :func:`new_figure`.
    path : Path
        File to write, such as ``picture.png``.
    """
    figure.savefig(path, dpi=130)


def whisker(axes: Axes, interval: tuple[float, float], place: int) -> None:
    """An interval along a horizontal bar."""
    lower, upper = interval
    middle = (lower + upper) / 2
    half = (upper - lower) / 2
    error_bars(axes, [middle], [place], xerr=[[half], [half]])


def band(
    axes: Axes, x: Any, lower: Any, upper: Any, *, colour: str = EXPECTED, **options: Any
) -> None:
    """An area between two lines, with edges that are seen where its grey is not."""
    from matplotlib.colors import to_rgba

    strength = options.pop("alpha", 0.2)
    options |= {"facecolor": to_rgba(colour, strength), "edgecolor": to_rgba(colour, 0.8)}
    axes.fill_between(x, lower, upper, linewidth=0.7, **options)


def error_bars(axes: Axes, x: Any, y: Any, *, colour: str = "black", **half: Any) -> None:
    """Intervals, with a light rim that is seen on dark bars."""
    from matplotlib.patheffects import withStroke

    drawn = axes.errorbar(x, y, color=colour, capsize=3, fmt="none", lw=1, **half)
    rim: Any = [withStroke(linewidth=3.0, foreground="white")] if colour == "black" else []
    for line in (*drawn.lines[1], *drawn.lines[2]):
        line.set_path_effects(rim)


def written(unit: str) -> str:
    """A unit of money in a label, in which two dollar signs would begin and end a formula."""
    return unit.replace("\\$", "$").replace("$", "\\$")


def legend_above(axes: Axes) -> None:
    """A legend above the drawing, where data fill it to its corners."""
    entries = len(axes.get_legend_handles_labels()[0])
    where: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    close: Any = {"columnspacing": 1.0, "handlelength": 1.5, "handletextpad": 0.5}
    axes.legend(frameon=False, ncols=3 if entries == 3 else 2, **where, **close)


def thousands(value: float, _: Any) -> str:
    """Format a tick that is a number."""
    return f"{value:,.10g}"


def as_percent(value: float, _: Any) -> str:
    """Format a tick that is a share."""
    return f"{100 * value:.0f} %"


def floats(values: Sequence[float | None]) -> FloatArray:
    """Numbers of a record, in which what is not there is None."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def check_axes(plot: str, found: Any, *, several: bool = False) -> None:
    """Check that what a plot was given to draw on is one axes, or ``several``.

    Raises
    ------
    SchemaError
        It is something else.
    """
    from matplotlib.axes import Axes as Drawn

    each = list(found) if several and isinstance(found, Iterable) else [found]
    if not all(isinstance(one, Drawn) for one in each):
        what = "a sequence of matplotlib Axes" if several else "one matplotlib Axes"
        raise SchemaError(
            f"ax={shown(found)} is not what {plot} draws on: pass {what}, as plt.subplots() makes "
            "them, or leave it out for a new figure."
        )


def shown_axes(axes: Axes | None) -> Axes:
    """The axes that were given, or those of a new figure of pyplot, which shows itself.

    Pyplot's figures are displayed at the end of a notebook's cell, and by ``plt.show()``.
    """
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    return _open([plt.subplots(figsize=(5.6, 4.2), layout="constrained")[1]])[0]


def shown_panels(count: int, axes: Sequence[Axes] | None) -> Sequence[Axes]:
    """As many axes as there are panels: those that were given, or of a new figure of pyplot."""
    if axes is not None:
        return panels(count, axes)
    import matplotlib.pyplot as plt

    return _panels_of(plt.figure(figsize=_size(count), layout="constrained"), count)


def takes(plot: str, found: object) -> SchemaError:
    """The error of a plot that was given something else than it takes."""
    said = "nothing" if found is None else f"{type(found).__name__} {shown(found)}"
    return SchemaError(f"{plot} takes {TAKES[plot]}, found {said}.")


def table_with(plot: str, found: object, columns: Sequence[str]) -> pd.DataFrame:
    """A frame with certain columns as a pandas frame.

    Raises
    ------
    SchemaError
        It is something else, or lacks some of them.
    """
    from clvmodels.frames import column_names, kind_of, to_pandas

    if kind_of(found) is None:
        raise takes(plot, found)
    lacking = [name for name in columns if name not in column_names(found)]
    if lacking:
        names = ", ".join(map(repr, lacking))
        raise SchemaError(f"{plot} takes {TAKES[plot]}, found a table without {names}.")
    return to_pandas(found)


def numbers(plot: str, found: Any) -> FloatArray:
    """A list or array of numbers.

    Raises
    ------
    SchemaError
        It is another thing.
    """
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise takes(plot, found) from None
    if values.ndim != 1:
        raise takes(plot, found)
    return values


def with_customers(plot: str, rfm: Any) -> Any:
    """The customers beside a posterior.

    Raises
    ------
    SchemaError
        There are none.
    """
    if rfm is None:
        raise SchemaError(f"A posterior is drawn with its customers: {plot}(posterior, rfm).")
    return rfm


def one_axes(axes: Axes | None) -> Axes:
    """The axes that were given, or those of a figure of their own, unknown to pyplot."""
    return new_figure(1, 1, "")[1][0] if axes is None else axes


def panels(count: int, axes: Sequence[Axes] | None) -> Sequence[Axes]:
    """As many axes as there are panels: those given, or of a figure unknown to pyplot.

    Raises
    ------
    SchemaError
        Too few were given.
    """
    if axes is None:
        from clvmodels.plots.sheet import Sheet

        return _panels_of(Sheet(figsize=_size(count), layout="constrained"), count)
    given = list(axes) if isinstance(axes, Iterable) else [axes]
    if len(given) < count:
        raise SchemaError(f"There are {count} panels: pass as many axes, found {len(given)}.")
    return given[:count]


def _size(count: int) -> tuple[float, float]:
    return _WIDE * min(count, 2), _HIGH * -(-count // 2)


def _panels_of(figure: Figure, count: int) -> Sequence[Axes]:
    """Two in a row, and the last one as wide as both where it would stand alone."""
    rows = -(-count // 2)
    grid = figure.add_gridspec(rows, min(count, 2))
    places = [
        (i // 2, slice(None) if i == count - 1 and count % 2 else i % 2) for i in range(count)
    ]
    return _open([figure.add_subplot(grid[place]) for place in places])


def _open(grid: list[Axes]) -> list[Axes]:
    """Axes with open frames."""
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
    return grid


def within_calendar(axes: Axes) -> None:
    """Keep the margins of an axis of dates within the years 1 to 9999, all that can be named."""
    from matplotlib.dates import date2num

    first, last = date2num(np.array(["0001-01-01", "9999-12-31"], dtype="datetime64[D]"))
    left, right = axes.get_xlim()
    if left < first or right > last:
        axes.set_xlim(max(left, first), min(right, last))
