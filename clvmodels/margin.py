"""Which margin values are made of, where several are known: one rule for all of them.

An explicit argument above all; else the margin that the table says; else that of the base
which the posterior was fitted to; else 1, and values are revenue.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal

from clvmodels.errors import OURS
from clvmodels.schema import check_margin

MarginSource = Literal["argument", "table", "posterior", "not said"]
_SAID = {
    "argument": "as passed",
    "table": "the table's",
    "posterior": "that of the base that was fitted",
    "not said": "no margin was given",
}


@dataclass(frozen=True, slots=True)
class Margin:
    """The margin that values are made of, and whence it is.

    Attributes
    ----------
    value : float
        Share of revenue, in (0, 1].
    source : {"argument", "table", "posterior", "not said"}
        Where it was said.
    note : str
        How table and posterior differ, where nothing else decided; else empty.
    """

    value: float
    source: MarginSource
    note: str = ""

    def __str__(self) -> str:
        return f"margin {self.value:g} ({_SAID[self.source]})"

    def warned(self) -> Margin:
        """Warn of the difference, if there is one; return itself."""
        if self.note:
            warnings.warn(self.note, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        return self


def margin_for(
    argument: float | None = None, *, table: float | None = None, posterior: float | None = None
) -> Margin:
    """Decide which margin counts.

    Parameters
    ----------
    argument, table, posterior : float or None
        What each of them says; None where it says nothing.

    Raises
    ------
    DomainError
        The argument is not a share of revenue.
    """
    if argument is not None:
        return Margin(check_margin(argument), "argument")
    if table is not None:
        return Margin(table, "table", _difference(table, posterior))
    if posterior is not None:
        return Margin(posterior, "posterior")
    return Margin(1.0, "not said")


def _difference(table: float, posterior: float | None) -> str:
    if posterior is None or math.isclose(table, posterior):
        return ""
    return (
        f"The table's margin is {table:g}, but the base that was fitted had {posterior:g}: values "
        f"use the table's. Pass margin={table:g} or margin={posterior:g} to choose."
    )


def said_margin(margin: float | None) -> dict[str, Any]:
    """Fields ``margin`` and ``margin_said`` of a table whose margin may not have been said."""
    value = 1.0 if margin is None else check_margin(margin)
    return {"margin": value, "margin_said": margin is not None}
