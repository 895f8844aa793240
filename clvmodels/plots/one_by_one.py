"""Figures of customers one by one, and of how they differ: drawn from a record's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clvmodels.plots.common import (
    as_percent,
    band,
    floats,
    legend_above,
    one_axes,
    panels,
    thousands,
    within_calendar,
    written,
)
from clvmodels.plots.fit import Numbers
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_alive_history(
    dates: Sequence[str],
    p_alive: Numbers,
    *,
    purchases: Sequence[str],
    lower: Numbers = (),
    upper: Numbers = (),
    interval: float = 0.9,
    name: str = "",
    axes: Axes | None = None,
) -> Axes:
    """P(alive) of one customer over time, and the purchases.

    Parameters
    ----------
    dates, purchases : sequence of str
        ISO dates: of the chances, and of purchases.
    p_alive, lower, upper : sequence of float
        On each date; without an interval the last two are empty.
    interval : float
        Its probability.
    name : str
        Of the customer.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    when, bought = _days(dates), _days(purchases)
    if len(lower):
        band(axes, when, floats(lower), floats(upper), label=f"{100 * interval:.0f} % interval")
    axes.plot(when, floats(p_alive), color=EXPECTED, linewidth=1.8, label="P(alive)")
    marks = np.full(len(bought), 1.06)
    axes.plot(bought, marks, "v", color=ACTUAL, markersize=6, label="purchases", clip_on=False)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_ylabel("P(alive)")
    _dated(axes)
    if name:
        axes.set_title(f"Customer {name}", pad=14)
    axes.legend(frameon=False, loc="lower left")
    return axes


def draw_timelines(
    names: Sequence[str],
    seen: Sequence[Sequence[str]],
    later: Sequence[Sequence[str]],
    *,
    end: str,
    p_alive: Numbers = (),
    axes: Axes | None = None,
) -> Axes:
    """Purchases of some customers, a line for each.

    Parameters
    ----------
    names : sequence of str
        Of the customers, from the bottom.
    seen, later : sequence of sequences of str
        ISO dates of each one's purchases, up to the end and after it.
    end : str
        Last date that the table knows.
    p_alive : sequence of float
        Of each customer; empty where it is not known.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    rows, now = np.arange(len(names)), np.datetime64(end, "D")
    for row, days in zip(rows, map(_days, seen), strict=True):
        axes.plot([days[0], now], [row, row], color=OTHER, linewidth=0.5, zorder=0)
    for days, marker, colour, label in (
        (seen, "o", EXPECTED, "purchases known"),
        (later, "x", ACTUAL, "purchases after it"),
    ):
        at = np.repeat(rows, [len(one) for one in days])
        if len(at):
            when = _days([day for one in days for day in one])
            axes.plot(when, at, marker, color=colour, markersize=5, label=label)
    axes.axvline(now, color="black", linewidth=1.2, linestyle=":")  # type: ignore[arg-type]
    axes.set_yticks(rows, [_short(name) for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_ylabel("customer")
    _dated(axes)
    for row, chance in zip(rows, floats(p_alive), strict=False):
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
        axes.text(1.01, float(row), f"P(alive) {100 * chance:.0f} %", fontsize="small", **place)
    legend_above(axes)
    return axes


def draw_times_between(
    edges: Numbers,
    actual: Numbers,
    *,
    median: float,
    beyond: float,
    unit: str,
    expected: Numbers = (),
    axes: Axes | None = None,
) -> Axes:
    """Times between purchases of all customers, as counts by bin.

    Parameters
    ----------
    edges : sequence of float, length B + 1
        Of the bins.
    actual, expected : sequence of float, length B
        Times in each; what is expected may be empty.
    median : float
        Of the actual times.
    beyond : float
        Share of them beyond the last edge.
    unit : str
        Of the times.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    at = floats(edges)
    axes.stairs(
        floats(actual), at, fill=True, facecolor=PALE, edgecolor=OTHER, linewidth=1, label="actual"
    )
    if len(expected):
        middle = (at[1:] + at[:-1]) / 2
        axes.plot(middle, floats(expected), color=EXPECTED, label="expected by the model")
    label = f"median, {median:,.4g} {unit}"
    axes.axvline(median, color="black", linewidth=1.2, linestyle=":", label=label)
    more = f"; {100 * beyond:.1f} % are longer" if beyond > 0 else ""
    axes.set_xlabel(f"time from one purchase to the next ({unit}{more})")
    axes.set_ylabel("times between purchases")
    axes.set_xlim(left=0, right=at[-1])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(thousands)
    axes.legend(frameon=False)
    return axes


def draw_heterogeneity(
    parameters: Sequence[Mapping[str, Any]], *, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """How customers differ: shares of them, as bars.

    Parameters
    ----------
    parameters : sequence of mapping
        One panel each: name, bins (names of the bars), share, and lower and upper, which may
        be absent.
    axes : sequence of matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    shown = panels(len(parameters), axes)
    for one, panel in zip(shown, parameters, strict=True):
        places = np.arange(len(panel["bins"]))
        one.bar(places, floats(panel["share"]), 0.75, color=PALE, edgecolor=OTHER)
        if "lower" in panel:
            ends = floats(panel["lower"]), floats(panel["upper"])
            one.vlines(places, *ends, color=EXPECTED, linewidth=2.5)
        one.set_xticks(places, list(panel["bins"]), rotation=30, ha="right", fontsize="small")
        one.set_xlabel(panel["name"])
        one.set_ylabel("share of new customers")
        one.yaxis.set_major_formatter(as_percent)
        one.set_ylim(bottom=0)
    return shown


def draw_customer_value(
    edges: Numbers,
    chances: Numbers,
    *,
    nothing: float,
    mean: float,
    lower: float,
    upper: float,
    interval: float,
    name: str = "",
    unit: str = "",
    axes: Axes | None = None,
) -> Axes:
    """What one customer may bring: chances by bins of value.

    Parameters
    ----------
    edges : sequence of float, length B + 1
        Of the bins, in money.
    chances : sequence of float, length B
        Of a value above 0 in each.
    nothing : float
        Chance of no value at all.
    mean, lower, upper : float
        Of the value, with the interval of the outcome.
    interval : float
        Its probability.
    name, unit : str
        Of the customer, and of money.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    at, sign = floats(edges), written(unit)
    width, zero = at[1] - at[0], -(at[1] - at[0]) * 1.5
    axes.bar([zero], [nothing], width, color=OTHER, label=f"nothing, {100 * nothing:.0f} %")
    axes.stairs(floats(chances), at, fill=True, facecolor=PALE, edgecolor=EXPECTED, linewidth=1)
    top = axes.get_ylim()[1]
    label = f"mean, {sign}{_amount(mean)}"
    axes.plot([mean, mean], [0, top], color=EXPECTED, linewidth=1.8, label=label)
    ends = f"{sign}{_amount(lower)} to {sign}{_amount(upper)}"
    said = f"{100 * interval:.0f} % of the cases, {ends}"
    axes.plot([lower, upper], [top, top], "|-", color=ACTUAL, linewidth=2.5, label=said)
    axes.set_xlabel("value within the horizon" + (f" ({sign})" if unit else ""))
    axes.set_ylabel("chance")
    axes.yaxis.set_major_formatter(as_percent)
    axes.xaxis.set_major_formatter(lambda value, _: thousands(value, _) if value >= 0 else "")
    axes.locator_params(axis="x", nbins=6)
    axes.set_ylim(0, 1.45 * top)  # with room for the legend
    if name:
        axes.set_title(f"Customer {name}")
    axes.legend(frameon=False, loc="upper right")
    return axes


def draw_next_purchase(
    times: Sequence[Any],
    chances: Numbers,
    *,
    never: float,
    next: Sequence[Any],
    interval: float,
    unit: str = "",
    name: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Chance that one customer has bought again, by time.

    Parameters
    ----------
    times : sequence of str or float
        ISO dates, or times from the end of observation.
    chances : sequence of float
        By each.
    never : float
        Chance that no purchase will come.
    next : sequence of three
        Median and ends of the interval of the time, if a purchase comes; None beyond all.
    interval : float
        Its probability.
    unit, name : str
        Of times that are no dates, and of the customer.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    dated = not unit
    at: Any = _days(times) if dated else floats(times)
    axes.plot(at, floats(chances), color=EXPECTED, linewidth=1.8, label="has bought again")
    label = f"ever buys again, {100 * (1 - never):.0f} %"
    axes.axhline(1.0 - never, color=OTHER, linewidth=1.2, linestyle="--", label=label)
    middle, low, high = (_place(one, at, dated=dated) for one in next)
    if low is not None:
        right = at[-1] if high is None else high
        said = f"if so, in {100 * interval:.0f} % of the cases"
        axes.plot([low, right], [0.02, 0.02], "|-", color=ACTUAL, linewidth=2.5, label=said)
        if middle is not None:
            axes.plot([middle], [0.02], "o", color=ACTUAL, label="median of these")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(at[0], at[-1])
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_ylabel("chance of a purchase by then")
    if dated:
        _dated(axes)
    else:
        axes.set_xlabel(f"time from now ({unit})")
    if name:
        axes.set_title(f"Customer {name}")
    axes.legend(frameon=False)
    return axes


def _place(one: Any, at: Any, *, dated: bool) -> Any:
    """Where a time lies, or None where it lies beyond the axis."""
    if one is None:
        return None
    place = np.datetime64(one, "D") if dated else float(one)
    return place if place <= at[-1] else None


def draw_payback(
    months: Sequence[int],
    value: Numbers,
    *,
    is_profit: bool,
    lower: Numbers = (),
    upper: Numbers = (),
    interval: float = 0.9,
    cac: float | None = None,
    paid_back: float | None = None,
    discount_rate: float = 0.0,
    unit: str = "",
    axes: Axes | None = None,
) -> Axes:
    """What a new customer brings by months since the first order, against what one costs.

    Parameters
    ----------
    months : sequence of int
        From 0, which is the first order.
    value, lower, upper : sequence of float
        So far, with the interval of the expectation, which may be empty.
    interval : float
        Its probability.
    is_profit : bool
        Whether a margin is in it.
    cac : float, optional
        Cost of acquiring a customer.
    paid_back : float, optional
        Months after which the value has reached it.
    discount_rate : float
        Effective annual rate at which the value is discounted.
    unit : str
        Of money.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    if len(lower):
        band(axes, months, floats(lower), floats(upper), label=f"{100 * interval:.0f} % interval")
    axes.plot(months, floats(value), color=EXPECTED, linewidth=1.8, label="expected")
    if cac is not None:
        label = f"CAC {written(unit)}{_amount(cac)}"
        axes.axhline(cac, color=ACTUAL, linewidth=1.5, linestyle="--", label=label)
    if cac is not None and paid_back is not None:
        at_once = paid_back == 0.0
        label = (
            "paid by the first order"
            if at_once
            else f"paid back after {max(paid_back, 0.1):.1f} months"
        )
        height = float(floats(value)[0]) if at_once else cac
        axes.plot([paid_back], [height], "o", color=ACTUAL, label=label, clip_on=False)
    axes.set_xlabel("months since the first order")
    what = "profit" if is_profit else "revenue"
    rate = f"discounted at {100 * discount_rate:g} % a year" if discount_rate else "not discounted"
    money = f" ({written(unit)})" if unit else ""
    axes.set_ylabel(f"{what} of a new customer so far{money},\n{rate}")
    axes.yaxis.set_major_formatter(thousands)
    axes.set_xlim(0, max(months))
    axes.set_ylim(bottom=0)
    top = axes.get_ylim()[1]
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False, loc="upper left" if cac is None or cac < top / 2 else "lower right")
    return axes


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def _days(dates: Sequence[str]) -> Any:
    return np.array(dates, dtype="datetime64[D]")


def _dated(axes: Axes) -> None:
    axes.set_xlabel("date")
    within_calendar(axes)
    axes.tick_params(axis="x", labelrotation=30)


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:11]}..."
