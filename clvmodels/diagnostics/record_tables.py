"""The tables of a report, and how each of their columns is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from clvmodels.display import Readable

Format = Literal[
    "text",
    "integer",
    "number",
    "percent",
    "error",
    "money",
    "duration",
    "date",
    "status",
]
"""How a value is written.

text as it is; integer with thousands separators; number with up to 4 significant
digits; percent of a share (0.25 is 25 %), error the same with its
sign (0.25 is +25 %); money in the report's
currency; duration in the report's time unit; date as ISO text; status as
pass | warn | fail | unavailable.
"""


@dataclass(frozen=True, slots=True, repr=False)
class Table(Readable):
    """One table.

    Attributes
    ----------
    key, title, caption : str
        The title says what to see, the caption how to read it.
    columns : tuple of str
        Headings.
    rows : tuple of tuple
        Plain Python values in the order of the columns; the first column names the row.
    formats : mapping of str to Format
        By column; a column that is missing here is text.
    intervals : mapping of str to (str, str)
        Columns of the lower and upper ends of a column's values, which are shown in its cells.
    signs : mapping of str to str
        Columns of a sign, such as "+", that is shown after a column's values.
    bars : tuple of str
        Columns of shares that are also drawn.
    spanners : mapping of str to tuple of str
        Headings above several columns.
    folded : str
        Column whose rows of 0 are not shown.
    leads : mapping of str to tuple of str
        Groups of customers that the rows name, by the column of the list of customers that has
        them; "" for a row that leads to nobody.
    lives : tuple of str
        Of a list of customers: what happened to the one of each row, as
        ``clvmodels.predictive.timelines`` writes it.
    reading : mapping
        How the lives are read.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    formats: Mapping[str, Format] = field(default_factory=dict)
    intervals: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    signs: Mapping[str, str] = field(default_factory=dict)
    bars: tuple[str, ...] = ()
    spanners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folded: str = ""
    leads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lives: tuple[str, ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(tuple(plain(v) for v in row) for row in self.rows))
        object.__setattr__(self, "reading", plain(self.reading))
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.key}: rows and columns do not match")
        # what `table_of` left out since nothing is known of it
        there = set(self.columns)
        kept = {name: ends for name, ends in self.intervals.items() if {name, *ends} <= there}
        object.__setattr__(self, "intervals", kept)
        object.__setattr__(self, "bars", tuple(name for name in self.bars if name in there))

    @property
    def joined(self) -> frozenset[str]:
        """The columns that are shown in the cells of others."""
        ends = (name for pair in self.intervals.values() for name in pair)
        return frozenset({*ends, *self.signs.values()})

    @property
    def shown(self) -> tuple[tuple[Any, ...], ...]:
        """The rows that are not folded."""
        if not self.folded:
            return self.rows
        place = self.columns.index(self.folded)
        return tuple(row for row in self.rows if row[place] != 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "title": self.title,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "caption": self.caption,
            "formats": dict(self.formats),
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "signs": dict(self.signs),
            "bars": list(self.bars),
            "folded": self.folded,
            "spanners": {name: list(below) for name, below in self.spanners.items()},
            "leads": {name: list(groups) for name, groups in self.leads.items()},
            "lives": list(self.lives),
            "reading": dict(self.reading),
        }


def table_of(
    key: str,
    title: str,
    index: str,
    frame: pd.DataFrame,
    columns: dict[str, tuple[str, Format]],
    caption: str,
    **shown_as: Any,
) -> Table:
    """A table of some columns of a frame, as far as it has them, under their own headings."""
    there = {
        name: shown
        for name, shown in columns.items()
        if name in frame and not frame[name].isna().all()
    }
    rows: list[tuple[Any, ...]] = [
        tuple(row) for row in frame[[index, *there]].itertuples(index=False, name=None)
    ]
    return Table(
        key=key,
        title=title,
        columns=(index.replace("_", " "), *(shown for shown, _ in there.values())),
        rows=tuple((str(row[0]), *row[1:]) for row in rows),
        caption=caption,
        formats=dict(there.values()),
        **shown_as,
    )


def plain(value: Any) -> Any:
    """Values that strict JSON knows: NumPy's become Python's, what is not finite None.

    Raises
    ------
    TypeError
        The value is neither a number, a text, a truth value, nor made of them.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no place in a record")
