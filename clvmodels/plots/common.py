"""Colours, sheets and small parts that all pictures share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXPECTED: Final = "#2a6f97"
ACTUAL: Final = "#d1495b"
OTHER: Final = "#9aa5b1"
PALE: Final = "#d5dbe1"


def new_figure(rows: int, columns: int, title: str) -> tuple[Figure, Sequence[Axes]]:
    """Make a figure that needs no screen, shows itself in notebooks, and its axes.

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
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat)


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
    axes.errorbar([middle], [place], xerr=[[half], [half]], color="black", capsize=4, fmt="none")


def as_percent(value: float, _: Any) -> str:
    """Format a tick that is a share."""
    return f"{100 * value:.0f} %"


def floats(values: Sequence[float | None]) -> FloatArray:
    """Numbers of a record, in which what is not there is None."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def one_axes(axes: Axes | None) -> Axes:
    """The axes that were given, or those of a figure of their own."""
    return new_figure(1, 1, "")[1][0] if axes is None else axes


def panels(count: int, axes: Sequence[Axes] | None, *, columns: int = 2) -> Sequence[Axes]:
    """As many axes as there are panels: those that were given, or of a figure of their own.

    Raises
    ------
    SchemaError
        Too few were given.
    """
    if axes is None:
        from matplotlib.figure import Figure

        columns = min(columns, count)
        rows = -(-count // columns)
        figure, grid = new_figure(rows, columns, "")
        assert isinstance(figure, Figure)
        figure.set_size_inches(4.6 * columns, 3.0 * rows)
        for empty in grid[count:]:
            empty.remove()
        return grid[:count]
    given = list(axes) if isinstance(axes, Iterable) else [axes]
    if len(given) < count:
        raise SchemaError(f"There are {count} panels: give as many axes, found {len(given)}.")
    return given[:count]
