"""Cohorts: how many customers they are, and what these bring by months since their first orders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.diagnostics import single
from clvmodels.plots.common import band, shown_axes, takes
from clvmodels.plots.diagnostics import drawn
from clvmodels.plots.inks import ACTUAL
from clvmodels.plots.renamed import picture
from clvmodels.predictive import CohortCurves
from clvmodels.rfm import RfmTable
from clvmodels.schema import check_choice, check_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_LARGE: Final = 8.0  # from where on a tick needs no decimals


@picture
def plot_cohorts(
    found: RfmTable | CohortCurves,
    *,
    total: str | None = None,
    most: int = 5,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """New customers by cohort, or what cohorts bring by months since the first order.

    Parameters
    ----------
    found : RfmTable or CohortCurves
        A table with its observation end, of which new customers are drawn, and the share of
        them who have come back; or what :func:`~clvmodels.cohorts` returns.
    total : {"value", "purchases"}, optional
        Of curves: which; by default value where there is one.
    most : int
        Of curves: draw so many cohorts, evenly spaced over all.
    unit : str
        Of the value, such as "$".
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Of a table: of the customers; those of the share are its twin. Of curves: solid lines
        are what has happened, dashed ones the forecast with its interval.
    """
    if isinstance(found, RfmTable):
        return drawn("cohorts", single.cohorts(found), ax)
    if not isinstance(found, CohortCurves):
        raise takes("plot_cohorts", found)
    total, kept = _total_of(found, total), _kept(found)
    axes = shown_axes(ax)
    count = min(check_whole("most", most), len(kept))
    chosen = np.unique(np.linspace(0, len(kept) - 1, count).round().astype(int))
    for number, place in enumerate(chosen):
        key, rows = kept[place]
        _draw_curve(axes, rows, total, " / ".join(map(str, key)), number / max(count - 1, 1))
    if total == "value":
        _draw_costs(axes, found.payback, unit)
    sign = unit if len(unit) == 1 else ""
    digits = 0 if axes.get_ylim()[1] > _LARGE else 1
    axes.yaxis.set_major_formatter(lambda value, _: f"{sign}{value:,.{digits}f}")
    axes.set(xlabel="months since the first order", ylabel=f"{total} per customer so far")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, found.months)
    axes.locator_params(axis="x", integer=True)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    return axes


@picture
def plot_cohort_heatmap(
    found: CohortCurves,
    *,
    total: str | None = None,
    cumulative: bool = False,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What cohorts bring month by month since the first order, as a map of colours.

    Parameters
    ----------
    found : CohortCurves
        What :func:`~clvmodels.cohorts` returns.
    total : {"value", "purchases"}, optional
        Which; by default value where there is one.
    cumulative : bool
        Draw the sums so far, the first order included, in place of what each month brought after
        it.
    unit : str
        Of the value, such as "$".
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        A row for each cohort, per customer; to the right of its stair it is forecast.
    """
    if not isinstance(found, CohortCurves):
        raise takes("plot_cohort_heatmap", found)
    total = _total_of(found, total)
    keys, values, known = [], [], []
    for key, rows in _kept(found):
        sums = rows[total].to_numpy(dtype=np.float64)
        keys.append(" / ".join(map(str, key)))
        values.append(sums if cumulative else np.diff(sums))
        known.append(rows["known"].to_numpy()[0 if cumulative else 1 :] == 1.0)
    axes, begin = shown_axes(ax), 0 if cumulative else 1
    places = np.arange(begin, found.months + 1)
    drawn = axes.pcolormesh(
        places, np.arange(len(keys)), np.stack(values), cmap="viridis", vmin=0.0, rasterized=True
    )
    bar = axes.figure.colorbar(drawn, ax=axes)
    when = "so far" if cumulative else "in the month"
    bar.set_label(f"{total} per customer {when}" + (f" ({unit})" if unit else ""))
    _draw_stair(axes, [int(row.sum()) for row in known], begin)
    step = -(-len(keys) // 12)
    axes.set_yticks(np.arange(len(keys))[::step], keys[::step])
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.set_xlabel("months since the first order")
    axes.set_ylabel(" / ".join(found.by))
    axes.locator_params(axis="x", integer=True)
    return axes


def _draw_stair(axes: Axes, past: list[int], begin: int) -> None:
    """The end of what has happened, row by row."""
    from matplotlib.patheffects import withStroke

    edge = np.repeat(np.array(past, dtype=np.float64) + begin - 0.5, 2)
    rows = np.repeat(np.arange(len(past) + 1) - 0.5, 2)[1:-1]
    rim: Any = [withStroke(linewidth=3.4, foreground="white")]
    how: Any = {"color": "black", "linewidth": 1.4, "path_effects": rim}
    axes.plot(edge, rows, label="forecast from here", **how)
    above: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    axes.legend(frameon=False, **above)


def _total_of(found: CohortCurves, total: str | None) -> str:
    totals = tuple(name for name in ("value", "purchases") if name in found.table)
    return check_choice("total", totals[0] if total is None else total, totals)


def _kept(found: CohortCurves) -> list[tuple[Any, pd.DataFrame]]:
    """Cohorts with their rows; without the whole, where it is not the only one."""
    groups = [*found.table.groupby(list(found.by), sort=False)]
    return groups[:-1] if len(groups) > 1 else groups


def _draw_curve(axes: Axes, rows: pd.DataFrame, total: str, label: str, shade: float) -> None:
    """One cohort, from a dark line of the first to a lighter one of the last."""
    from matplotlib import colormaps

    colour: Any = colormaps["viridis"](0.6 * shade)
    month, value = rows["month"].to_numpy(), rows[total].to_numpy()
    past = int((rows["known"] == 1.0).sum())
    axes.plot(month[:past], value[:past], color=colour, linewidth=1.8, label=label)
    ahead = slice(max(past - 1, 0), None)
    axes.plot(month[ahead], value[ahead], color=colour, linewidth=1.3, linestyle="--")
    lower, upper = (rows[f"{total}_{end}"].to_numpy()[ahead] for end in ("lower", "upper"))
    band(axes, month[ahead], lower, upper, colour=colour, alpha=0.15)


def _draw_costs(axes: Axes, payback: pd.DataFrame | None, unit: str) -> None:
    """A line where one cost is everybody's, or that of the whole."""
    if payback is None or math.isnan(cost := float(payback["cac"].iloc[-1])):
        return
    alike = bool((payback["cac"] == cost).all())
    label = f"CAC {unit}{cost:,.4g}" if alike else f"CAC {unit}{cost:,.4g} on average"
    axes.axhline(cost, color=ACTUAL, linewidth=1.5, linestyle=":", label=label)
