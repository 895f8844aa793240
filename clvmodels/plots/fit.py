"""Figures of the data and of how the model fits them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.plots.common import (
    as_percent,
    band,
    floats,
    legend_above,
    one_axes,
    thousands,
    within_calendar,
)
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER, PALE
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = Sequence[float | None]

_FEW: Final = 10


def draw_repeat_histogram(
    bins: Sequence[str],
    actual: Numbers,
    *,
    expected: Numbers | None = None,
    lower: Numbers | None = None,
    upper: Numbers | None = None,
    expected_label: str = "expected by the model",
    share: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Customers by number of repeat purchases.

    Parameters
    ----------
    bins : sequence of str
        Names of the bars.
    actual : sequence of float
        Customers in each, or shares of them.
    expected, lower, upper : sequence of float, optional
        What a model expects, with its interval.
    expected_label : str
        What that is called.
    share : bool
        Whether the numbers are shares.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    places = np.arange(len(bins))
    axes.bar(places, floats(actual), 0.75, color=PALE, edgecolor=OTHER, label="actual")
    if expected is not None:
        middle = floats(expected)
        if lower is not None and upper is not None:
            axes.vlines(places, floats(lower), floats(upper), color=EXPECTED, linewidth=2.0)
        axes.plot(places, middle, "o", color=EXPECTED, markersize=6, label=expected_label)
        axes.legend(frameon=False)
    axes.set_xticks(places, list(bins))
    axes.set_xlabel("repeat purchases")
    axes.set_ylabel("share of customers" if share else "customers")
    axes.yaxis.set_major_formatter(as_percent if share else thousands)
    axes.set_ylim(bottom=0)
    return axes


def draw_cohorts(
    cohorts: Sequence[str],
    customers: Numbers,
    repeat_share: Numbers,
    *,
    axes: Axes | None = None,
) -> Axes:
    """New customers by cohort, and the share of them who have come back.

    Parameters
    ----------
    cohorts : sequence of str
        Months, quarters or years of the first purchase.
    customers : sequence of float
        New ones.
    repeat_share : sequence of float
        Of them, who have come back.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    Axes
        Of the customers; those of the share are its twin. Shares of cohorts of fewer than ten are
        hollow, and no line leads to them.
    """
    axes = one_axes(axes)
    places = np.arange(len(cohorts))
    axes.bar(places, floats(customers), 0.75, color=PALE, edgecolor=OTHER, label="new customers")
    step = -(-len(cohorts) // 8)
    axes.set_xticks(places[::step], list(cohorts)[::step])
    axes.tick_params(axis="x", labelrotation=30 if len(cohorts) > 4 else 0)
    axes.set_xlabel("first purchase in")
    axes.set_ylabel("new customers (bars)")
    axes.yaxis.set_major_formatter(thousands)
    twin = axes.twinx()
    shares = floats(repeat_share)
    few = floats(customers) < _FEW  # their shares are chance: 0 or 100 % of one customer
    twin.plot(places, np.where(few, np.nan, shares), "o-", color=EXPECTED, markersize=4)
    twin.plot(places[few], shares[few], "o", color=EXPECTED, markersize=4, fillstyle="none")
    twin.set_ylim(0, 1)
    twin.set_ylabel("came back (line)", color=EXPECTED)
    twin.yaxis.set_major_formatter(as_percent)
    twin.spines[["top"]].set_visible(False)
    return axes


def draw_purchases_over_time(
    dates: Sequence[str],
    actual: Numbers,
    expected: Numbers,
    *,
    lower: Numbers = (),
    upper: Numbers = (),
    split: str | None = None,
    future: Mapping[str, Any] | None = None,
    cumulative: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Repeat purchases of the whole base by period: actual, and expected with its band.

    Parameters
    ----------
    dates : sequence of str
        ISO dates.
    actual, expected : sequence of float
        Repeat purchases of each period.
    lower, upper : sequence of float
        Predictive band; empty where there is none.
    split : str, optional
        Date from which the model forecasts.
    future : mapping, optional
        What follows by month: edges (ISO dates, one more than there are months), expected,
        lower and upper.
    cumulative : bool
        Whether the numbers are sums so far.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    when, sums = np.array(dates, dtype="datetime64[D]"), cumulative
    known = floats(actual)
    bands = (floats(lower), floats(upper)) if len(lower) else None
    for part, begin in _parts(when, split if sums else None, known):
        label = None if begin else "expected by the model"
        at = np.append(begin[0], when[part]) if begin else when[part]
        if bands is not None:
            ends = [_from(begin, one[part]) for one in bands]
            band(axes, at, *ends, label=None if begin else "predictive band")
        line = _from(begin, floats(expected)[part])
        axes.plot(at, line, color=EXPECTED, linewidth=1.6, label=label)
    axes.plot(when, known, "--" if sums else ".", color=ACTUAL, markersize=5, label="actual")
    if future is not None:
        _draw_future(axes, future, float(known[-1]) if sums else None)
    axes.set_ylim(bottom=0)
    if split is not None:
        at = np.array([split, split], dtype="datetime64[D]")
        axes.plot(at, axes.get_ylim(), color="black", linewidth=1.2, linestyle=":")
    axes.set_ylabel("repeat purchases" + (" so far" if sums else " in each period"))
    axes.set_xlabel("date")
    within_calendar(axes)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(thousands)
    axes.tick_params(axis="x", labelrotation=30)
    if sums:  # which rise from the lower left
        axes.legend(frameon=False, loc="upper left")
    else:
        legend_above(axes)
    return axes


def _parts(
    when: npt.NDArray[Any], split: str | None, known: FloatArray
) -> list[tuple[slice, tuple[Any, float] | None]]:
    """Sums up to a date, and on from what had happened by then; all at once where none is cut."""
    before = len(when) if split is None else int((when <= np.datetime64(split)).sum())
    if before in (0, len(when)):
        return [(slice(None), None)]
    begin = (when[before - 1], float(known[before - 1]))
    return [(slice(before), None), (slice(before, None), begin)]


def _from(begin: tuple[Any, float] | None, values: FloatArray) -> FloatArray:
    return values if begin is None else np.append(begin[1], values)


def _draw_future(axes: Axes, future: Mapping[str, Any], so_far: float | None) -> None:
    """Go on by month: at the rate of each, or from what was so far to what will be at its end."""
    edges = np.array(future["edges"], dtype="datetime64[D]")
    expected, lower, upper = (floats(future[n]) for n in ("expected", "lower", "upper"))
    draw_band(axes, edges, lower, upper, alpha=0.35, label="forecast, with its fan", begin=so_far)
    draw_months(axes, edges, expected, label=None, begin=so_far)


def draw_months(
    axes: Axes,
    edges: npt.NDArray[Any],
    expected: FloatArray,
    *,
    label: str | None,
    begin: float | None,
) -> None:
    """The line of such a band."""
    drawn = "steps-post" if begin is None else "default"
    how: Any = {"color": EXPECTED, "linewidth": 1.6, "drawstyle": drawn, "label": label}
    axes.plot(edges, _at_edges(expected, begin), **how)


def draw_band(
    axes: Axes,
    edges: npt.NDArray[Any],
    lower: FloatArray,
    upper: FloatArray,
    *,
    alpha: float,
    label: str,
    begin: float | None,
) -> None:
    """A band by month: of rates, each of which holds for all of it, or of sums from begin on."""
    step = "post" if begin is None else None
    ends = [_at_edges(one, begin) for one in (lower, upper)]
    band(axes, edges, *ends, step=step, alpha=alpha, label=label)


def _at_edges(values: FloatArray, begin: float | None) -> FloatArray:
    return np.append(values, values[-1]) if begin is None else np.insert(values, 0, begin)


def draw_conditional_expectations(
    groups: Sequence[str],
    customers: Sequence[int],
    actual: Numbers,
    expected: Numbers,
    *,
    axes: Axes | None = None,
) -> Axes:
    """Mean purchases in a holdout by number of repeats before it.

    Parameters
    ----------
    groups : sequence of str
        Number of repeats in the calibration.
    customers : sequence of int
        How many each group has.
    actual, expected : sequence of float
        Mean purchases in the holdout.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    places = np.arange(len(groups))
    axes.plot(places, floats(expected), "o-", color=EXPECTED, label="expected by the model")
    axes.plot(places, floats(actual), "s--", color=ACTUAL, label="actual")
    labels = [f"{name}\n({count:,})" for name, count in zip(groups, customers, strict=True)]
    axes.set_xticks(places, labels)
    axes.set_xlabel("repeats in the calibration (customers)")
    axes.set_ylabel("mean purchases in the holdout")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return axes


def draw_spend_density(
    edges: Numbers,
    actual: Numbers,
    expected: Numbers,
    *,
    lower: Numbers | None = None,
    upper: Numbers | None = None,
    currency: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Density of the mean spend of repeat customers, over its logarithm.

    Parameters
    ----------
    edges : sequence of float, length B + 1
        Of the bins, in money.
    actual, expected, lower, upper : sequence of float, length B
        Densities: data, model, and the model's interval.
    currency : str
        Of the edges.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    at = floats(edges)
    middle = np.sqrt(at[1:] * at[:-1])
    axes.stairs(
        floats(actual), at, fill=True, facecolor=PALE, edgecolor=OTHER, linewidth=1, label="actual"
    )
    if lower is not None and upper is not None:
        band(axes, middle, floats(lower), floats(upper))
    axes.plot(
        middle, floats(expected), color=EXPECTED, linewidth=1.8, label="expected by the model"
    )
    money_axis(axes, "x", currency)
    axes.set_xlabel("mean spend per repeat purchase" + (f" ({currency})" if currency else ""))
    axes.set_ylabel("density per unit of ln(spend)")
    axes.set_ylim(bottom=0)
    legend_above(axes)
    return axes


def draw_spend_by_frequency(
    groups: Sequence[str],
    customers: Sequence[int],
    quantiles: Sequence[Numbers],
    *,
    currency: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Boxes of mean spend by number of repeats.

    Parameters
    ----------
    groups : sequence of str
        Numbers of repeats.
    customers : sequence of int
        How many each group has.
    quantiles : sequence of 5 sequences of float
        10, 25, 50, 75 and 90 % of each group.
    currency : str
        Of the quantiles.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    low, first, middle, third, high = (floats(row) for row in quantiles)
    places = np.arange(len(groups))
    axes.vlines(places, low, high, color=OTHER, linewidth=1.2)
    axes.bar(places, third - first, 0.6, bottom=first, color=PALE, edgecolor=OTHER)
    axes.hlines(middle, places - 0.3, places + 0.3, color=EXPECTED, linewidth=2.4)
    labels = [f"{name}\n({count:,})" for name, count in zip(groups, customers, strict=True)]
    axes.set_xticks(places, labels)
    axes.set_yscale("log")
    money_axis(axes, "y", currency)
    axes.set_xlabel("repeat purchases (customers)")
    axes.set_ylabel("mean spend per purchase" + (f" ({currency})" if currency else ""))
    return axes


def money_axis(axes: Axes, which: str, currency: str) -> None:
    """A logarithmic axis of money, with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    sign = currency if len(currency) == 1 else ""
    if which == "x":
        axes.set_xscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    subs = (1.0, 2.0, 5.0) if high / max(low, 1e-300) < 1e3 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{sign}{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
