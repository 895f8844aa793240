"""Whether pictures can be seen and read in print: contrast as WCAG 2.2 measures it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, StepPatch
from matplotlib.text import Text

SEEN, READ, IN_GREY = 3.0, 4.5, 1.4
WHITE = "#ffffff"


def light(colour: Any, ground: str = WHITE) -> float:
    """Relative luminance of a colour, which may let the ground through."""
    *own, alpha = to_rgba(colour)
    mixed = alpha * np.array(own) + (1 - alpha) * np.array(to_rgb(ground))
    linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: Any, other: Any = WHITE) -> float:
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def inks(axes: Any) -> Iterator[tuple[str, float]]:
    """Every mark of some axes, with the contrast of its stronger part to white."""
    for line in axes.lines:
        if line.get_linestyle() != "None" or line.get_marker() not in ("None", ""):
            yield f"line {line.get_label()}", contrast(to_rgba(line.get_color(), line.get_alpha()))
    for patch in axes.patches:
        filled = contrast(patch.get_facecolor()) if patch.get_fill() else 1.0
        edge = contrast(patch.get_edgecolor()) if patch.get_linewidth() > 0 else 1.0
        yield f"area {patch.get_label()}", max(filled, edge)
    for some in axes.collections:
        if isinstance(some, QuadMesh):
            continue
        colours = [*some.get_facecolors(), *some.get_edgecolors()]
        yield f"marks {some.get_label()}", max(map(contrast, colours), default=21.0)


def shape(handle: Any) -> tuple[str, ...]:
    """What tells a legend's entry apart beside its colour."""
    if isinstance(handle, Line2D):
        return ("line", str(handle._unscaled_dash_pattern), str(handle.get_marker()))
    if isinstance(handle, LineCollection | ErrorbarContainer):
        return ("bar of an interval",)
    if isinstance(handle, PathCollection):
        return ("points",)
    assert isinstance(handle, Patch | StepPatch | PolyCollection | BarContainer)
    return ("outline",) if isinstance(handle, Patch) and not handle.get_fill() else ("area",)


def colour(handle: Any) -> Any:
    if isinstance(handle, Line2D):
        return handle.get_color()
    handle = handle[0] if isinstance(handle, BarContainer | ErrorbarContainer) else handle
    if isinstance(handle, LineCollection):
        return handle.get_colors()[0]
    face = handle.get_facecolor()
    return face[0] if np.ndim(face) > 1 else face


def check(figure: Any) -> None:
    """Raise where a mark is too faint, a text too, or two entries of a legend are one grey."""
    for axes in figure.axes:
        faint = [(name, round(ratio, 2)) for name, ratio in inks(axes) if ratio < SEEN]
        assert not faint
        for text in axes.findobj(Text):
            assert contrast(text.get_color()) >= READ, text.get_text()
        handles, labels = axes.get_legend_handles_labels()
        for (one, a), (other, b) in combinations(zip(handles, labels, strict=True), 2):
            if shape(one) == shape(other):
                assert contrast(colour(one), colour(other)) >= IN_GREY, (a, b)
