"""Figures of draws: traces, ranks, ridges, energies, prior against posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clvmodels.display import many
from clvmodels.plots.common import floats, one_axes, panels
from clvmodels.plots.inks import ACTUAL, CHAINS, EXPECTED, OTHER, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Mapping[str, Any]


def draw_trace(
    draw: Sequence[int], parameters: Sequence[Panel], *, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Values of each parameter along the chains.

    Parameters
    ----------
    draw : sequence of int
        Positions of the draws that are shown.
    parameters : sequence of mapping
        One panel each: name, unit, and chains, one sequence of values for each.
    axes : sequence of matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    sequence of Axes
        One for each parameter.
    """
    shown = panels(len(parameters), axes)
    for one, panel in zip(shown, parameters, strict=True):
        for i, chain in enumerate(panel["chains"]):
            one.plot(draw, floats(chain), color=CHAINS[i % len(CHAINS)], linewidth=0.6)
        one.set_ylabel(_with_unit(panel["name"], panel["unit"]))
        one.set_xlabel("draw")
    return shown


def draw_ranks(
    parameters: Sequence[Panel], even: float, *, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Histograms of each chain's ranks among all draws, as lines, by parameter.

    Parameters
    ----------
    parameters : sequence of mapping
        One panel each: name, and chains, counts by bin of each.
    even : float
        The count of every bar if all chains are alike.
    axes : sequence of matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    shown = panels(len(parameters), axes)
    for one, panel in zip(shown, parameters, strict=True):
        for i, counts in enumerate(panel["chains"]):
            edges = np.linspace(0.0, 1.0, len(counts) + 1)
            one.stairs(counts, edges, color=CHAINS[i % len(CHAINS)], linewidth=1.2)
        one.axhline(even, color="black", linewidth=0.8, linestyle="--")
        one.set_ylim(0, max(2.0 * even, 1.05 * max(map(max, panel["chains"]))))
        one.set_xlim(0, 1)
        one.set_xlabel(f"rank of {panel['name']} among all draws, as a share")
        one.set_ylabel("draws")
    return shown


def draw_ridges(pairs: Sequence[Panel], *, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draws of two parameters against each other, on logarithmic axes.

    Parameters
    ----------
    pairs : sequence of mapping
        One panel each: x_name, y_name, x_unit, y_unit, x, y, and diverging, which draws
        ended a divergent transition.
    axes : sequence of matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    shown = panels(len(pairs), axes)
    for one, panel in zip(shown, pairs, strict=True):
        x, y = floats(panel["x"]), floats(panel["y"])
        bad = np.asarray(panel["diverging"], dtype=bool)
        one.scatter(x[~bad], y[~bad], s=8, color=EXPECTED, alpha=0.75, linewidths=0)
        if bad.any():
            one.scatter(x[bad], y[bad], s=36, color=ACTUAL, marker="x", label="divergent")
            one.legend(frameon=False)
        one.set_xscale("log")
        one.set_yscale("log")
        one.set_xlabel(_with_unit(panel["x_name"], panel["x_unit"]))
        one.set_ylabel(_with_unit(panel["y_name"], panel["y_unit"]))
        _few_log_ticks(one)
    return shown


def draw_energy(
    edges: Sequence[float],
    energy: Sequence[float],
    transition: Sequence[float],
    *,
    axes: Axes | None = None,
) -> Axes:
    """Energies of all draws about their mean, and their change from draw to draw.

    Parameters
    ----------
    edges : sequence of float, length B + 1
        Of the bins.
    energy, transition : sequence of float, length B
        Densities.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    axes.stairs(
        energy,
        edges,
        fill=True,
        facecolor=PALE,
        edgecolor=OTHER,
        linewidth=1,
        label="energy of the draws",
    )
    axes.stairs(transition, edges, color=EXPECTED, linewidth=1.8, label="change between draws")
    axes.set_xlabel("energy less its mean")
    axes.set_ylabel("density")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return axes


def draw_prior_posterior(
    parameters: Sequence[Panel], *, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Prior and posterior of each parameter, each scaled to its own height.

    Parameters
    ----------
    parameters : sequence of mapping
        One panel each: name, unit, log (whether the axis is), x and prior (a curve),
        edges and posterior (bars).
    axes : sequence of matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    shown = panels(len(parameters), axes)
    for one, panel in zip(shown, parameters, strict=True):
        one.stairs(
            floats(panel["posterior"]),
            floats(panel["edges"]),
            fill=True,
            color=EXPECTED,
            alpha=0.75,
            label="posterior",
        )
        one.plot(floats(panel["x"]), floats(panel["prior"]), "--", color=ACTUAL, label="prior")
        if panel["log"]:
            one.set_xscale("log")
        one.set_ylim(0, 1.08)
        one.set_xlabel(_with_unit(panel["name"], panel["unit"]))
        one.set_ylabel("density / its peak")
    shown[0].legend(frameon=False)
    return shown


def draw_prior_sensitivity(
    parameters: Sequence[str],
    prior: Sequence[float],
    likelihood: Sequence[float],
    limit: float,
    *,
    axes: Axes | None = None,
) -> Axes:
    """How far each posterior moves when prior or data count a little more.

    Parameters
    ----------
    parameters : sequence of str
        Names.
    prior, likelihood : sequence of float
        Power-scaling sensitivity to each.
    limit : float
        Above it a sensitivity is noticeable.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.
    """
    axes = one_axes(axes)
    places = np.arange(len(parameters))
    axes.barh(places - 0.19, floats(prior), 0.36, color=ACTUAL, label="to the prior")
    axes.barh(places + 0.19, floats(likelihood), 0.36, color=EXPECTED, label="to the data")
    axes.axvline(limit, color="black", linewidth=0.9, linestyle="--")
    axes.set_yticks(places, [_wrapped(name) for name in parameters])
    axes.set_ylim(len(parameters) - 0.5, -0.5)
    axes.set_xlabel("sensitivity (limit dashed)")
    # Above the bars, which may reach anywhere.
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return axes


def draw_effects(
    levels: Sequence[str],
    covariates: Sequence[str],
    series: Sequence[Mapping[str, Any]],
    left: int = 0,
    *,
    axes: Axes | None = None,
) -> Axes:
    """Effects of covariates, as multiples of the average customer.

    Parameters
    ----------
    levels, covariates : sequence of str
        Each level, and what it is a level of.
    series : sequence of mapping
        Purchases, leaving and spend, as far as there are effects: name, places among the
        levels, times, lower and upper.
    left : int
        How many levels, which differ less, are not among them.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own, as high as there are rows.
    """
    if axes is None:
        axes = one_axes(None)
        as_high_as_rows(axes, len(levels), len(series))
    for i, one in enumerate(series):
        at = np.array(one["places"]) + 0.5 * (i - (len(series) - 1) / 2) / max(len(series) - 1, 1)
        ends = [floats(one[name]) for name in ("times", "lower", "upper")]
        color = (EXPECTED, ACTUAL, CHAINS[2])[i]
        axes.hlines(at, ends[1], ends[2], color=color, linewidth=1.6)
        axes.plot(ends[0], at, "os^"[i], color=color, markersize=4, label=one["name"])
    axes.axvline(1.0, color="black", linewidth=0.9, linestyle="--")
    axes.set_xscale("log")
    axes.set_yticks(np.arange(len(levels)), [_wrapped(name) for name in levels])
    axes.set_yticks(np.arange(1, len(levels)) - 0.5, minor=True)
    axes.tick_params(axis="y", which="minor", length=0)
    axes.grid(axis="y", which="minor", color=PALE, linewidth=0.8)
    axes.set_ylim(len(levels) - 0.4, -0.6)
    less = f"\n{many(left, 'level')} that differ less are not shown" if left else ""
    axes.set_xlabel(f"times the average customer{less}")
    axes.set_ylabel(" / ".join(dict.fromkeys(covariates)))
    _few_ticks(axes.xaxis, *axes.get_xlim())
    # Above the intervals, which may reach anywhere
    above = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2, "borderaxespad": 0.2}
    axes.legend(frameon=False, **above)
    return axes


def as_high_as_rows(axes: Axes, levels: int, series: int) -> None:
    """Make the figure as high as every level's lines need, and no label another's."""
    figure: Any = axes.figure
    figure.set_figheight(max(1.4 + levels * (0.1 + 0.11 * series), 3.0))


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _wrapped(name: str) -> str:
    from textwrap import fill

    return fill(name, 18)


def _few_log_ticks(axes: Axes) -> None:
    """Plain numbers on logarithmic axes, few enough to be read."""
    for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        _few_ticks(axis, *ends)


def _few_ticks(axis: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    near = high / max(low, 1e-300) < 30.0
    axis.set_major_locator(MaxNLocator(4) if near else LogLocator(numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_minor_formatter(NullFormatter())
