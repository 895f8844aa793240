"""Pictures of economics: sensitivity, tiers, concentration, comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clvmodels.economics import (
    SimpleClv,
    compare_with_simple,
    simple_sensitivity,
    tier_report,
)
from clvmodels.economics.inputs import SimpleInputs
from clvmodels.plots.common import (
    as_percent,
    error_bars,
    legend_above,
    one_axes,
    shown_axes,
    table_with,
    with_customers,
)
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER, PALE
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from clvmodels.rfm import RfmTable


@picture
def plot_tornado(table: pd.DataFrame | SimpleClv | SimpleInputs, *, ax: Axes | None = None) -> Axes:
    """Bars of what value gains and loses when each input is lowered or raised.

    Parameters
    ----------
    table : DataFrame, SimpleClv or SimpleInputs
        As `clvmodels.simple_sensitivity` returns it: its first row is the top bar; or what
        that function takes.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Change of value in percent; what is not available has no bar.
    """
    if isinstance(table, SimpleClv | SimpleInputs):
        table = simple_sensitivity(table)
    columns = ("input", "change_lowered", "change_raised")
    table = table_with("plot_tornado", table, columns)
    axes = shown_axes(ax)
    places = range(len(table))
    for name, colour in (("lowered", OTHER), ("raised", EXPECTED)):
        widths = 100 * table[f"change_{name}"].to_numpy()
        axes.barh(places, widths, color=colour, height=0.6, label=f"input {name}")
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(places, [name.replace("_", " ") for name in table["input"]])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("change of value, %")
    # Above the bars, which may reach anywhere.
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return axes


@picture
def plot_tiers(
    report: pd.DataFrame | CLVPosterior,
    rfm: RfmTable | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Bars of what each value tier holds of customers, of past revenue and of value.

    Parameters
    ----------
    report : DataFrame or CLVPosterior
        As `clvmodels.tier_report` returns it; its last row, the whole, is not drawn. Or a
        posterior, for that report with its defaults.
    rfm : RfmTable, optional
        The customers, with a posterior.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Shares of the whole, of value with its interval.
    """
    if isinstance(report, CLVPosterior):
        report = tier_report(report, with_customers("plot_tiers", rfm))
    columns = ("tier", "customer_share", "value_share")
    return draw_tiers(
        table_with("plot_tiers", report, columns),
        axes=shown_axes(ax),
    )


@picture
def plot_comparison(
    table: pd.DataFrame | CLVPosterior,
    rfm: RfmTable | None = None,
    *,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
    """Bars of the simple formula and the model by groups of customers, and what happened.

    Parameters
    ----------
    table : DataFrame or CLVPosterior
        As `clvmodels.compare_with_simple` returns it; its last row, the whole, is not
        drawn. Or a posterior, for that table with its defaults.
    rfm : RfmTable, optional
        The customers, with a posterior.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    unit : str
        Of money, such as "$".

    Returns
    -------
    Axes
        Sums over each group's customers, of the model with their interval.
    """
    if isinstance(table, CLVPosterior):
        table = compare_with_simple(table, with_customers("plot_comparison", rfm))
    columns = ("simple", "simple_per_customer", "model")
    return draw_comparison(
        table_with("plot_comparison", table, columns),
        axes=shown_axes(ax),
        unit=unit,
    )


# --- drawing ----------------------------------------------------------------------------


def draw_lorenz(
    curves: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    best_first: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Lorenz curves by label, as `clvmodels.lorenz_curve` returns them; at most three."""
    axes = one_axes(axes)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    for (label, (customers, value)), colour, dash in zip(
        curves.items(), (EXPECTED, ACTUAL, OTHER), ("-", "--", "-."), strict=False
    ):
        axes.plot(customers, value, color=colour, linestyle=dash, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel(f"share of customers, {'most' if best_first else 'least'} valuable first")
    axes.set_ylabel("share of value")
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)
    axes.legend(frameon=False, loc="lower right" if best_first else "upper left")
    return axes


def draw_tiers(report: pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Draw the table of `clvmodels.tier_report`."""
    axes = one_axes(axes)
    tiers = report.iloc[:-1]
    bars = {
        "customers": ("customer_share", PALE),  # as greys the others are alike
        "past revenue": ("past_share", ACTUAL),
        "expected value": ("value_share", EXPECTED),
    }
    bars = {label: bar for label, bar in bars.items() if bar[0] in tiers}
    for place, (label, (name, colour)) in enumerate(bars.items()):
        edge = OTHER if colour == PALE else colour
        at = _beside(len(tiers), place, len(bars))
        axes.bar(at, tiers[name], 0.26, color=colour, label=label, edgecolor=edge)
    _whiskers(axes, _beside(len(tiers), len(bars) - 1, len(bars)), tiers, "value_share")
    axes.set_xticks(range(len(tiers)), list(tiers["tier"]))
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tier of customers")
    axes.set_ylabel("share of the whole")
    legend_above(axes)
    return axes


def draw_comparison(table: pd.DataFrame, *, axes: Axes | None = None, unit: str = "") -> Axes:
    """Draw the table of `clvmodels.compare_with_simple`."""
    axes = one_axes(axes)
    groups = table.iloc[:-1]
    bars = {
        "simple formula": ("simple", OTHER),
        "simple formula, customer's own figures": ("simple_per_customer", PALE),
        "model": ("model", EXPECTED),
    }
    for place, (label, (name, colour)) in enumerate(bars.items()):
        edge = OTHER if colour == PALE else colour
        at = _beside(len(groups), place, 3)
        axes.bar(at, groups[name], 0.26, color=colour, label=label, edgecolor=edge)
    _whiskers(axes, _beside(len(groups), 2, 3), groups, "model")
    if "actual" in groups:
        left, right = _beside(len(groups), -0.5, 3), _beside(len(groups), 2.5, 3)
        axes.hlines(groups["actual"], left, right, color=ACTUAL, linewidth=2, label="actual")
    axes.set_xticks(range(len(groups)), list(groups.iloc[:, 0]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{unit}{value:,.0f}")
    axes.set_xlabel("groups of customers, the most valuable (by the model) first")
    axes.set_ylabel("value of all customers of the group")
    axes.legend(frameon=False)
    return axes


def _beside(groups: int, place: float, bars: int) -> FloatArray:
    """Where the bars of one kind stand, when so many stand side by side in each group."""
    return np.arange(groups, dtype=np.float64) + (place - (bars - 1) / 2) * 0.28


def _whiskers(axes: Axes, places: FloatArray, table: pd.DataFrame, name: str) -> None:
    """Intervals of bars, where there are any."""
    lower, upper = table[f"{name}_lower"].to_numpy(), table[f"{name}_upper"].to_numpy()
    there = lower == lower
    middle, half = (lower + upper)[there] / 2, (upper - lower)[there] / 2
    error_bars(axes, places[there], middle, yerr=half)
