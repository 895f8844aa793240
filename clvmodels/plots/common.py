"""Colours, sheets and small parts that all pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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


def whisker(axes: Axes, interval: tuple[float, float], place: int) -> None:
    """An interval along a horizontal bar."""
    lower, upper = interval
    middle = (lower + upper) / 2
    half = (upper - lower) / 2
    axes.errorbar([middle], [place], xerr=[[half], [half]], color="black", capsize=4, fmt="none")


def as_percent(value: float, _: Any) -> str:
    """Format a tick that is a share."""
    return f"{100 * value:.0f} %"
