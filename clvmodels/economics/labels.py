"""Which segment a customer belongs to: columns, what is given by id, and first purchases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.frames import to_pandas
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import cohorts_by, ordinal_of
from clvmodels.schema import CUSTOMER_ID, T, check_choice, check_list, shown

COHORT: Final = "cohort"
NONE: Final = "(none)"
NO_VALUE: Final = "(no value)"
WHOLE: Final = "(whole)"
SEGMENT: Final = "segment"

# States of customers. Lists to act on go by what silence has taken off P(alive); the list of
# customers and the explorer by how long the wait for an order is. Each word means one thing.
NEW: Final = "new"
ACTIVE: Final = "active"
ONE_TIME: Final = "one-time"
SLIPPING: Final = "slipping"
SLOWING: Final = "slowing"
OVERDUE: Final = "overdue"
LOST: Final = "probably lost"

By = str | Sequence[str] | Mapping[Any, Any] | pd.Series
"""Segment columns, or the segment of every customer by id."""
Every = Literal["M", "Q", "Y"]


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


def segments_of(rfm: RfmTable, by: By) -> Segments:
    """Divide a base by segment columns, by cohort, or by what is given.

    Parameters
    ----------
    rfm : RfmTable
        The base.
    by : str, sequence of str, mapping or Series
        Segment columns; of several every combination that occurs is a segment. "cohort"
        is the month of the first purchase, such as "1997-03", unless a segment column
        has that name. Or the segment of every customer, by id: a mapping, or a Series with
        the ids as its index, whose name is that of the column (else "segment").

    Returns
    -------
    Segments
        Sorted by value. Customers without a value (missing, blank or "(none)", or not among
        the ids) are a segment of their own, "(none)", the last.

    Raises
    ------
    SchemaError
        There is no such column, or the table does not know its observation end and so
        no months; or the ids are none of the table's, or there twice.
    """
    return divided(columns_by(rfm, by))


def columns_by(rfm: RfmTable, by: By) -> dict[str, pd.Series[Any]]:
    """Find the value that each customer has of what segments are made by, in the table's order.

    Raises
    ------
    SchemaError
        As `segments_of`.
    """
    if isinstance(by, Mapping | pd.Series):
        given = by if isinstance(by, pd.Series) else pd.Series(dict(by), dtype=object)
        return {str(SEGMENT if given.name is None else given.name): _by_id(rfm, given)}
    names = (by,) if isinstance(by, str) else tuple(dict.fromkeys(check_list("by", by)))
    if not names:
        raise SchemaError("by is empty: name at least one segment column, or 'cohort'.")
    return {name: _column(rfm, name) for name in names}


def divided(columns: Mapping[str, pd.Series[Any]]) -> Segments:
    """Divide customers by some columns: every combination that occurs is a segment."""
    parts = [_coded(name, values) for name, values in columns.items()]
    codes = np.stack([code for code, _ in parts], axis=1)
    found, group = np.unique(codes, axis=0, return_inverse=True)
    labels = tuple(
        tuple(texts[code] for code, (_, texts) in zip(row, parts, strict=True)) for row in found
    )
    return Segments(tuple(columns), labels, group.reshape(-1).astype(np.int64))


def _by_id(rfm: RfmTable, given: pd.Series[Any]) -> pd.Series[Any]:
    ids = pd.Index(to_pandas(rfm.table, [CUSTOMER_ID])[CUSTOMER_ID])
    keys = given.index
    if pd.api.types.is_integer_dtype(ids) != pd.api.types.is_integer_dtype(keys):
        ids, keys = ids.map(str), keys.map(str)
    if keys.has_duplicates:
        twice = shown(keys[keys.duplicated()][0])
        raise SchemaError(f"by has customer {twice} twice: give each customer one segment.")
    place = keys.get_indexer(ids)
    if len(ids) and not (place >= 0).any():
        raise SchemaError(
            f"None of the ids of by, such as {shown(keys[0]) if len(keys) else 'any'}, is a "
            "customer of the table: pass a mapping from customer_id to segment, or a Series whose "
            "index holds the ids."
        )
    values = given.astype(object).to_numpy()[place]
    values[place < 0] = None
    return pd.Series(values).astype(object)


def cohorts_of(rfm: RfmTable, every: Every = "M") -> pd.Series[Any]:
    """Month of every customer's first purchase, such as "1997-03", in the table's order.

    It is the month, quarter ("1997Q1") or year in which the period of the first purchase (day,
    week, ...) begins.

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
    check_choice("cohort", every, ("M", "Q", "Y"))
    return pd.Series(cohorts_by(first, rfm.scale, every), name=COHORT, dtype=object)


def _column(rfm: RfmTable, name: str) -> pd.Series[Any]:
    if name in rfm.segment_cols:
        return to_pandas(rfm.table, [name])[name].astype(object)
    if name == COHORT:
        return cohorts_of(rfm)
    there = ", ".join(map(repr, (*rfm.segment_cols, COHORT)))
    raise SchemaError(
        f"by={name!r} is not a segment column of the table (there are: {there}). Give "
        "rfm_summary the column in segment_cols."
    )


def _coded(name: str, values: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Codes of a column, in the order of its values, and the text of each code."""
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
