"""A figure that shows itself; apart, so that whoever draws nothing does not load matplotlib."""

from __future__ import annotations

import io
from typing import Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DPI: Final = 72


class Sheet(Figure):
    """A figure that belongs to no screen, and that notebooks display nevertheless.

    Pyplot's own figures are shown by its backend, which does not know of others until
    one of its own was made.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=_DPI)
        return picture.getvalue()
