"""Figures of what a model says of customers, and of how well it said so before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.plots.common import as_percent, floats, one_axes, thousands, within_calendar
from clvmodels.plots.fit import Numbers, draw_band, draw_months, money_axis
from clvmodels.plots.inks import ACTUAL, CHAINS, EXPECTED, OTHER
from clvmodels.purchases.clock import WEEKDAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES: Final = ("-", "--", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (9, 2)))


def draw_history_matrix(
    frequency: Sequence[int],
    recency: Numbers,
    values: Sequence[Numbers],
    *,
    label: str,
    unit: str = "",
    share: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """A quantity over number of repeats and time of the last one, as a map of colours.

    Parameters
    ----------
    frequency : sequence of int, length X
        Repeat purchases.
    recency : sequence of float, length Y
        Time of the last purchase since the first.
    values : Y sequences of X numbers
        None where no history is possible.
    label, unit : str
        Of the values, and of time.
    share : bool
        Whether the values are probabilities.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    table = np.ma.masked_invalid(np.stack([floats(row) for row in values]))
    top = 1.0 if share else float(table.max()) if table.count() else 1.0
    places = np.arange(len(frequency))
    drawn = axes.pcolormesh(
        places,
        floats(recency),
        table,
        cmap="viridis",
        vmin=0.0,
        vmax=top,
        shading="nearest",
        rasterized=True,
    )
    bar = axes.figure.colorbar(drawn, ax=axes, label=label)
    if share:
        bar.ax.yaxis.set_major_formatter(as_percent)
    step = -(-len(frequency) // 9)
    axes.set_xticks(places[::step], [f"{x}" for x in list(frequency)[::step]])
    axes.set_xlabel("repeat purchases")
    axes.set_ylabel("last purchase after" + (f" ({unit})" if unit else ""))
    return axes


def draw_alive_histogram(
    edges: Numbers,
    customers: Sequence[int],
    *,
    label: str = "repeat customers",
    axes: Axes | None = None,
) -> Axes:
    """Repeat customers by P(alive).

    Parameters
    ----------
    edges : sequence of float, length B + 1
        Of P(alive).
    customers : sequence of int, length B
        How many lie between each two edges.
    label : str
        Who they are.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    axes.stairs(customers, floats(edges), fill=True, color=EXPECTED, alpha=0.85)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(as_percent)
    axes.set_xlabel("P(alive)")
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(thousands)
    return axes


def draw_value_distribution(
    edges: Numbers,
    repeat: Sequence[int],
    once: Sequence[int],
    *,
    currency: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Customers by expected value, on a logarithmic axis.

    Parameters
    ----------
    edges : sequence of float, length B + 1
        In money.
    repeat, once : sequence of int, length B
        Customers who came back, and who bought once; one upon the other.
    currency : str
        Of the edges.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    at = floats(edges)
    lower = np.asarray(once)
    both = lower + np.asarray(repeat)
    axes.stairs(both, at, baseline=lower, fill=True, color=EXPECTED, label="came back")
    axes.stairs(lower, at, fill=True, color=OTHER, label="bought once")
    money_axis(axes, "x", currency)
    axes.set_xlabel("expected value of a customer" + (f" ({currency})" if currency else ""))
    axes.set_ylabel("customers")
    axes.yaxis.set_major_formatter(thousands)
    axes.legend(frameon=False)
    return axes


def draw_group_calibration(
    expected: Numbers,
    actual: Numbers,
    *,
    lower: Numbers,
    upper: Numbers,
    quantity: str,
    unit: str = "",
    logarithmic: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Mean forecast of groups of customers against what came.

    Parameters
    ----------
    expected, actual, lower, upper : sequence of float
        Of each group; the interval is of what came.
    quantity, unit : str
        What was forecast.
    logarithmic : bool
        Whether both axes are: of values, of which nearly all are small.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    x, y = floats(expected), floats(actual)
    ends = np.stack([floats(lower), floats(upper)])
    every = np.concatenate([x, y, ends.ravel()])
    top = float(np.nanmax(every, initial=1e-9)) * (1.3 if logarithmic else 1.05)
    low = float(np.nanmin(every)) / 1.3 if logarithmic else 0.0
    axes.plot([low, top], [low, top], color=OTHER, linewidth=1)
    axes.vlines(x, ends[0], ends[1], color=EXPECTED, linewidth=1.5)
    axes.plot(x, y, "o", color=EXPECTED)
    axes.set(xlim=(low, top), ylim=(low, top))
    if logarithmic:
        axes.set_yscale("log")
        for which in ("x", "y"):
            money_axis(axes, which, unit)
    words = f"{quantity} per customer" + (f" ({unit})" if unit else "")
    axes.set_xlabel(f"forecast {words}")
    axes.set_ylabel(f"actual {words}")
    return axes


def draw_gains(
    share: Numbers,
    curves: Mapping[str, Numbers],
    *,
    quantity: str,
    axes: Axes | None = None,
) -> Axes:
    """Share of what came that lies with the customers of the highest forecasts.

    Parameters
    ----------
    share : sequence of float
        Of customers.
    curves : mapping of str to sequence of float
        By forecast, the model's first; the last one is the best possible.
    quantity : str
        What was forecast.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    at = floats(share)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    for i, (name, curve) in enumerate(curves.items()):
        style: dict[str, Any] = {
            "color": CHAINS[i % len(CHAINS)],
            "linestyle": _DASHES[i % len(_DASHES)],
            "linewidth": 2.2 if i == 0 else 1.2,
        }
        if i == len(curves) - 1 and i > 0:
            style |= {"color": "black", "linestyle": ":"}
        axes.plot(at, floats(curve), label=name, **style)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_xlabel("share of customers, highest forecasts first")
    axes.set_ylabel(f"share of the actual {quantity}")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return axes


def draw_interval_coverage(
    series: Sequence[Mapping[str, Any]], *, axes: Axes | None = None
) -> Axes:
    """Share of customers whose predictive interval held, against what it should be.

    Parameters
    ----------
    series : sequence of mapping
        One for each target: name, level, coverage, lower, upper.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=1)
    for one, colour, marker in zip(series, (EXPECTED, ACTUAL), "os", strict=False):
        level = floats(one["level"])
        axes.vlines(level, floats(one["lower"]), floats(one["upper"]), color=colour, linewidth=1.5)
        axes.plot(level, floats(one["coverage"]), f"{marker}-", color=colour, label=one["name"])
    axes.set(xlim=(0.4, 1.0), ylim=(0.4, 1.01))
    axes.xaxis.set_major_formatter(as_percent)
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_xlabel("probability of the interval")
    axes.set_ylabel("share of customers whose interval held")
    axes.legend(frameon=False)
    return axes


def draw_forecast(
    edges: Sequence[str],
    expected: Numbers,
    *,
    lower: Numbers,
    upper: Numbers,
    inner_lower: Numbers,
    inner_upper: Numbers,
    quantity: str,
    unit: str = "",
    cumulative: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """A total by calendar month: expected, and two intervals of what may come.

    Parameters
    ----------
    edges : sequence of str, length M + 1
        ISO dates: when each month begins, and the day after the last.
    expected : sequence of float, length M
        At the rate of a whole month, or so far.
    lower, upper, inner_lower, inner_upper : sequence of float, length M
        Of the wide interval, and of the narrow one.
    quantity, unit : str
        What the total is of, and its money.
    cumulative : bool
        Whether the numbers are sums so far.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    when = np.array(edges, dtype="datetime64[D]")
    begin = 0.0 if cumulative else None
    bands = (
        (lower, upper, 0.15, "what may come"),
        (inner_lower, inner_upper, 0.45, "in half of the cases"),
    )
    for low, high, alpha, label in bands:
        draw_band(axes, when, floats(low), floats(high), alpha=alpha, label=label, begin=begin)
    draw_months(axes, when, floats(expected), label="expected", begin=begin)
    sign = unit if len(unit) == 1 else ""
    axes.yaxis.set_major_formatter(lambda value, _: f"{sign}{value:,.0f}")
    axes.set_ylabel(quantity + (" so far" if cumulative else " in a month"))
    axes.set_xlabel("date")
    within_calendar(axes)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", labelrotation=30)
    axes.legend(frameon=False, loc="upper left" if cumulative else "best")
    return axes


def draw_origin_totals(
    dates: Sequence[str],
    series: Sequence[Mapping[str, Any]],
    *,
    quantity: str = "",
    without_clock: Mapping[str, Numbers] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Totals forecast at several dates, as shares of what came.

    Parameters
    ----------
    dates : sequence of str
        Until when was known.
    series : sequence of mapping
        calendar (whether its doubt is allowed for), forecast, lower and upper, each by date.
    quantity : str
        What the totals are of.
    without_clock : mapping, optional
        forecast, lower and upper by date of the same model without its clock, to plan with.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    from matplotlib.colors import to_rgba

    axes = one_axes(axes)
    places = np.arange(len(dates))
    axes.axhline(1.0, color=ACTUAL, linewidth=1.2, label="actual")
    for one in series:
        lower, upper = floats(one["lower"]), floats(one["upper"])
        if one["calendar"]:
            how: Any = {"facecolor": to_rgba(EXPECTED, 0.25), "edgecolor": EXPECTED}
            at, height = places, upper - lower
            axes.bar(at, height, 0.1, bottom=lower, label="to plan with", **how)
        else:
            how = {"color": EXPECTED, "linewidth": 2.5, "label": "without the calendar"}
            axes.vlines(places, lower, upper, **how)
    axes.plot(places, floats(series[-1]["forecast"]), "o", color=EXPECTED, label="expected")
    if without_clock is not None:
        forecast, lower, upper = (floats(without_clock[n]) for n in ("forecast", "lower", "upper"))
        how = {"color": OTHER, "linewidth": 2.5, "label": "without the clock"}
        axes.vlines(places + 0.15, lower, upper, **how)
        axes.plot(places + 0.15, forecast, "o", color=OTHER)
    axes.set_xticks(places, list(dates))
    axes.tick_params(axis="x", labelrotation=30 if len(dates) > 3 else 0)
    axes.set_xlim(-0.6, len(dates) - 0.4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(as_percent)
    axes.set_xlabel("known up to")
    axes.set_ylabel(f"total {quantity}, of what came".replace("  ", " "))
    axes.legend(frameon=False, loc="lower left")
    return axes


def draw_clock(
    dates: Sequence[str],
    intensity: Numbers,
    season: Numbers = (),
    *,
    end: str,
    week: Numbers = (),
    axes: Axes | None = None,
) -> Axes:
    """How fast the time of all customers passed, by the week.

    Parameters
    ----------
    dates : sequence of str
        ISO dates, of the log and after it.
    intensity, season : sequence of float
        On each: with shocks, and the season alone; 1 is the mean of the log.
    end : str
        Last date of the log.
    week : sequence of float
        Multiples of the days of the week, which stand in the legend.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    when, now = (np.array(one, dtype="datetime64[D]") for one in (dates, [end, end]))
    if len(season):
        axes.plot(when, floats(season), color=ACTUAL, linewidth=1.4, label="season")
    label = "season and shocks" if len(season) else "shocks"
    axes.step(when, floats(intensity), where="post", color=EXPECTED, linewidth=1.6, label=label)
    axes.axhline(1.0, color="black", linewidth=0.6)
    axes.set_ylim(bottom=0)
    axes.plot(now, axes.get_ylim(), color="black", linewidth=1.2, linestyle=":")
    if len(week):
        told = ", ".join(
            f"{day} {one:.2f}" for day, one in zip(WEEKDAYS, floats(week), strict=True)
        )
        axes.set_title(told, fontsize="small")
    axes.set_ylabel("customers' own days a day")
    axes.set_xlabel("date")
    within_calendar(axes)
    axes.tick_params(axis="x", labelrotation=30)
    axes.legend(frameon=False, loc="lower left")
    return axes
