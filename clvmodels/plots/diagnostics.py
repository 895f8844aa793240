"""Figures of the diagnostic report: each kind has one function that draws it."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from clvmodels.diagnostics.record import Figure


def draw_figure(figure: Figure, axes: Axes | None = None) -> Picture:
    """Draw a report's figure.

    Parameters
    ----------
    figure : Figure
        Of a report; its kind names the function of `clvmodels.plots` that draws it.
    axes : matplotlib Axes, optional
        Where to draw; by default a figure of its own.

    Returns
    -------
    matplotlib Figure
        Without its title and caption, which stand around it.

    Raises
    ------
    KeyError
        No function draws this kind.
    """
    drawn = _PLOTS[figure.kind](**figure.data, axes=axes)
    picture = drawn.figure
    while not isinstance(picture, Picture):
        picture = picture.figure
    return picture


_PLOTS: dict[str, Any] = {}
