"""Pictures of results: they draw what they are given, and compute and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXPECTED: Final = "#2a6f97"
ACTUAL: Final = "#d1495b"
OTHER: Final = "#9aa5b1"
PALE: Final = "#d5dbe1"


def new_figure(rows: int, columns: int, title: str) -> tuple[Figure, Sequence[Axes]]:
    """Make a figure that needs no screen, and its axes in reading order."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6 * columns, 4.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix says the format."""
    figure.savefig(path, dpi=130)


def plot_totals(
    axes: Axes,
    totals: Mapping[str, float],
    *,
    colours: Sequence[str],
    interval: tuple[float, float] | None = None,
    unit: str = "",
) -> None:
    """Bars of totals, the first at the top.

    Parameters
    ----------
    totals : mapping of str to float
        By label.
    colours : sequence of str
        One for each.
    interval : (float, float), optional
        Of the first.
    unit : str
        Of the totals, such as "$".
    """
    names = list(totals)
    axes.barh(names, list(totals.values()), color=list(colours), height=0.6)
    if interval is not None:
        _whisker(axes, interval, 0)
    for place, value in enumerate(totals.values()):
        axes.text(value, place - 0.33, f"{unit}{value:,.0f}", ha="right", va="bottom", fontsize=9)
    axes.set_ylim(len(totals) - 0.5, -0.65)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{unit}{value:,.0f}")


def plot_pairs(
    axes: Axes, groups: Sequence[str], expected: FloatArray, actual: FloatArray, *, unit: str
) -> None:
    """Two lines over groups of customers: what was expected, what happened."""
    places = range(len(groups))
    axes.plot(places, expected, "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, actual, "s--", color=ACTUAL, label="really")
    axes.set_xticks(list(places), list(groups))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.legend(frameon=False)


def plot_calibration(axes: Axes, predicted: FloatArray, observed: FloatArray) -> None:
    """Predicted chances against the shares that came true; on the line both agree."""
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1, zorder=0)
    axes.plot(predicted, observed, "o", color=EXPECTED)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(_as_percent)
    axes.yaxis.set_major_formatter(_as_percent)


def plot_concentration(axes: Axes, customers: FloatArray, value: FloatArray) -> None:
    """Cumulative share of value over the share of customers, most valuable first."""
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    axes.plot(customers, value, color=EXPECTED)
    axes.fill_between(customers, customers, value, color=EXPECTED, alpha=0.12)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(_as_percent)
    axes.yaxis.set_major_formatter(_as_percent)


def plot_tornado(table: pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Bars of what value gains and loses when each input is lowered or raised.

    Parameters
    ----------
    table : DataFrame
        As `clvmodels.economics.simple_sensitivity` returns it: its first row is the top bar.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        Change of value in percent; what is not available has no bar.
    """
    if axes is None:
        axes = new_figure(1, 1, "")[1][0]
    places = range(len(table))
    for name, colour in (("lowered", OTHER), ("raised", EXPECTED)):
        widths = 100 * table[f"change_{name}"].to_numpy()
        axes.barh(places, widths, color=colour, height=0.6, label=f"input {name}")
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(places, [name.replace("_", " ") for name in table["input"]])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("change of value, %")
    axes.legend(frameon=False)
    return axes


def _whisker(axes: Axes, interval: tuple[float, float], place: int) -> None:
    lower, upper = interval
    middle = (lower + upper) / 2
    half = (upper - lower) / 2
    axes.errorbar([middle], [place], xerr=[[half], [half]], color="black", capsize=4, fmt="none")


def _as_percent(value: float, _: Any) -> str:
    return f"{100 * value:.0f} %"


def plot_lorenz(
    curves: Mapping[str, tuple[FloatArray, FloatArray]], *, axes: Axes | None = None
) -> Axes:
    """Lorenz curves: cumulative share of value, the least valuable customers first.

    Parameters
    ----------
    curves : mapping of str to (ndarray, ndarray)
        By label, as `clvmodels.lorenz_curve` returns them; at most three.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        On the diagonal all customers would be equal.
    """
    if axes is None:
        axes = new_figure(1, 1, "")[1][0]
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    for (label, (customers, value)), colour in zip(
        curves.items(), (EXPECTED, ACTUAL, OTHER), strict=False
    ):
        axes.plot(customers, value, color=colour, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("share of customers, least valuable first")
    axes.set_ylabel("share of value")
    axes.xaxis.set_major_formatter(_as_percent)
    axes.yaxis.set_major_formatter(_as_percent)
    axes.legend(frameon=False, loc="upper left")
    return axes


def plot_tiers(report: pd.DataFrame, *, axes: Axes | None = None) -> Axes:
    """Bars of what each value tier holds of customers, of past revenue and of value.

    Parameters
    ----------
    report : DataFrame
        As `clvmodels.tier_report` returns it; its last row, the whole, is not drawn.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        Shares of the whole, of value with its interval.
    """
    if axes is None:
        axes = new_figure(1, 1, "")[1][0]
    tiers = report.iloc[:-1]
    bars = {
        "customers": ("customer_share", OTHER),
        "past revenue": ("past_share", ACTUAL),
        "expected value": ("value_share", EXPECTED),
    }
    for place, (label, (name, colour)) in enumerate(bars.items()):
        axes.bar(_beside(len(tiers), place, 3), tiers[name], 0.26, color=colour, label=label)
    _whiskers(axes, _beside(len(tiers), 2, 3), tiers, "value_share")
    axes.set_xticks(range(len(tiers)), list(tiers["tier"]))
    axes.yaxis.set_major_formatter(_as_percent)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share of the whole")
    axes.legend(frameon=False)
    return axes


def plot_comparison(table: pd.DataFrame, *, axes: Axes | None = None, unit: str = "") -> Axes:
    """Bars of the simple formula and the model by groups of customers, and what happened.

    Parameters
    ----------
    table : DataFrame
        As `clvmodels.compare_with_simple` returns it; its last row, the whole, is not
        drawn.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    unit : str
        Of money, such as "$".

    Returns
    -------
    Axes
        Sums over each group's customers, of the model with their interval.
    """
    if axes is None:
        axes = new_figure(1, 1, "")[1][0]
    groups = table.iloc[:-1]
    bars = {
        "simple formula": ("simple", OTHER),
        "simple formula, customer's own figures": ("simple_per_customer", PALE),
        "model": ("model", EXPECTED),
    }
    for place, (label, (name, colour)) in enumerate(bars.items()):
        axes.bar(_beside(len(groups), place, 3), groups[name], 0.26, color=colour, label=label)
    _whiskers(axes, _beside(len(groups), 2, 3), groups, "model")
    if "actual" in groups:
        left, right = _beside(len(groups), -0.5, 3), _beside(len(groups), 2.5, 3)
        axes.hlines(groups["actual"], left, right, color=ACTUAL, linewidth=2, label="really")
    axes.set_xticks(range(len(groups)), list(groups.iloc[:, 0]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{unit}{value:,.0f}")
    axes.set_xlabel("groups of customers, the most valuable (by the model) first")
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
    axes.errorbar(places[there], middle, yerr=half, color="black", capsize=2, lw=1, fmt="none")
