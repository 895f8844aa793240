"""What was predicted beside what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clvmodels.plots.common import ACTUAL, EXPECTED, OTHER, as_percent, whisker
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    axes : matplotlib Axes
        Where to draw.
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
        whisker(axes, interval, 0)
    for place, value in enumerate(totals.values()):
        axes.text(value, place - 0.33, f"{unit}{value:,.0f}", ha="right", va="bottom", fontsize=9)
    axes.set_ylim(len(totals) - 0.5, -0.65)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{unit}{value:,.0f}")


def plot_pairs(
    axes: Axes, groups: Sequence[str], expected: FloatArray, actual: FloatArray, *, unit: str
) -> None:
    """Two lines over groups of customers: what was expected, what happened.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    groups : sequence of str
        Their names, from left to right.
    expected, actual : ndarray
        Of each group.
    unit : str
        Of both.
    """
    places = range(len(groups))
    axes.plot(places, expected, "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, actual, "s--", color=ACTUAL, label="really")
    axes.set_xticks(list(places), list(groups))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(unit)
    axes.legend(frameon=False)


def plot_calibration(axes: Axes, predicted: FloatArray, observed: FloatArray) -> None:
    """Predicted chances against the shares that came true; on the line both agree.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    predicted, observed : ndarray
        Mean chance and share of each group, in [0, 1].
    """
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1, zorder=0)
    axes.plot(predicted, observed, "o", color=EXPECTED)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)


def plot_concentration(axes: Axes, customers: FloatArray, value: FloatArray) -> None:
    """Cumulative share of value over the share of customers, most valuable first.

    Parameters
    ----------
    axes : matplotlib Axes
        Where to draw.
    customers, value : ndarray
        Cumulative shares, from 0 to 1.
    """
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    axes.plot(customers, value, color=EXPECTED)
    axes.fill_between(customers, customers, value, color=EXPECTED, alpha=0.12)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)
