"""Which segment a customer belongs to: segment columns, and the month of the first purchase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.frames import to_pandas
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import T, check_list

COHORT: Final = "cohort"
NONE: Final = "(none)"
NO_VALUE: Final = "(no value)"
WHOLE: Final = "(whole)"


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Segments of a base.

    Attributes
    ----------
    by : tuple of str
        What they are made by.
    labels : tuple of tuple of str
        One text per name in ``by``, for every segment, in order.
    group : ndarray of int, shape (N,)
        Position of each customer's segment, in the table's order.
    """

    by: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    group: npt.NDArray[np.int64]

    def find(self, key: Any) -> int | None:
        """Position of the segment that a user's key means; None if there is none."""
        parts = key if isinstance(key, tuple) else (key,)
        wanted = tuple(NONE if _is_missing(part) else str(part) for part in parts)
        return self.labels.index(wanted) if wanted in self.labels else None


def segments_of(rfm: RfmTable, by: str | Sequence[str]) -> Segments:
    """Divide a base by segment columns, or by cohort.

    Parameters
    ----------
    rfm : RfmTable
        The base.
    by : str or sequence of str
        Segment columns; of several every combination that occurs is a segment. "cohort"
        is the month of the first purchase, such as "1997-03", unless a segment column
        has that name.

    Returns
    -------
    Segments
        Sorted by value. Customers without a value (missing, blank or "(none)") are a
        segment of their own, "(none)", the last.

    Raises
    ------
    SchemaError
        There is no such column, or the table does not know its observation end and so
        no months.
    """
    names = (by,) if isinstance(by, str) else tuple(dict.fromkeys(check_list("by", by)))
    if not names:
        raise SchemaError("by is empty: name at least one segment column, or 'cohort'.")
    parts = [_coded(rfm, name) for name in names]
    codes = np.stack([code for code, _ in parts], axis=1)
    found, group = np.unique(codes, axis=0, return_inverse=True)
    labels = tuple(
        tuple(texts[code] for code, (_, texts) in zip(row, parts, strict=True)) for row in found
    )
    return Segments(names, labels, group.reshape(-1).astype(np.int64))


def cohorts(rfm: RfmTable) -> pd.Series[Any]:
    """Month of every customer's first purchase, such as "1997-03", in the table's order.

    It is the month in which the period of the first purchase (day, week, ...) begins.

    Raises
    ------
    SchemaError
        The table does not know its observation end.
    """
    if rfm.observation_end is None:
        raise SchemaError(
            "Cohorts need dates, and this table does not know its observation end: make it with "
            "rfm_summary, or give RfmTable.from_pandas an observation_end."
        )
    end = ordinal_of(rfm.observation_end, rfm.scale)
    first = end - np.rint(rfm.table[T].to_numpy() * rfm.time_scaler).astype(np.int64)
    ordinals, place = np.unique(first, return_inverse=True)
    months = [f"{start_of(int(ordinal), rfm.scale):%Y-%m}" for ordinal in ordinals]
    return pd.Series(np.array(months, dtype=object)[place], name=COHORT, dtype=object)


def _coded(rfm: RfmTable, name: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Codes of a column, in the order of its values, and the text of each code."""
    if name in rfm.segment_cols:
        values = to_pandas(rfm.table, [name])[name].astype(object)
    elif name == COHORT:
        values = cohorts(rfm)
    else:
        there = ", ".join(map(repr, (*rfm.segment_cols, COHORT)))
        raise SchemaError(
            f"by={name!r} is not a segment column of the table (there are: {there}). Give "
            "rfm_summary the column in segment_cols."
        )
    codes, uniques = pd.factorize(values.where(~values.map(_is_missing), None), sort=True)
    texts = [str(value) for value in uniques]
    if WHOLE in texts:
        raise SchemaError(
            f"Segment column {name!r} has the value {WHOLE!r}, which stands for all customers: "
            "rename it."
        )
    return np.where(codes < 0, len(texts), codes).astype(np.int64), [*texts, NONE]


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in ("", NONE)
    return value is None or bool(pd.isna(value))
