"""Which rows of an RFM table can be scored, and why the others cannot.

Every row gets exactly one verdict: none, or the first of `REASONS` that applies to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import schema
from clvmodels.customers import (
    check_ids,
    check_numbers,
    exceeds_periods,
    is_text,
    read_numbers,
    sortable,
)
from clvmodels.errors import SchemaError
from clvmodels.schema import FloatArray, TimeScale

# The order matters: a row has the first reason that applies to it.
REASONS: Final = (
    "no customer id",
    "customer has more than one row",
    "frequency is missing or not finite",
    "frequency is negative",
    "frequency is no whole number",
    "frequency is too large to be a count",
    "recency is missing or not finite",
    "T is missing or not finite",
    "recency is negative",
    "recency is greater than T",
    "recency above 0 at frequency 0",
    "frequency exceeds the periods in recency",
    "monetary_value is missing or not finite at frequency above 0",
    "monetary_value is negative at frequency above 0",
    "monetary_value is too large to be an amount",
)
NEEDED: Final = (
    schema.CUSTOMER_ID,
    schema.FREQUENCY,
    schema.RECENCY,
    schema.T,
    schema.MONETARY_VALUE,
)
_MOST: Final = 2.0**53  # beyond it floats skip whole numbers
_MOST_SPENT: Final = 1e100  # the squares of sums over any base are finite
_OF_THE_ENGINE: Final = ("file_index", "file_row_number")
# Also read where it is there: it makes historical_value and total_value.
OPTIONAL: Final = (schema.FIRST_VALUE,)


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of a batch as numbers, with a verdict on each row.

    Attributes
    ----------
    x, t_x, T, m_bar : ndarray of float64, shape (N,)
        NaN where the input is missing; m_bar is 0 at x = 0, where it has no meaning.
    first_value : ndarray of float64 or None, shape (N,)
    reason : ndarray of int8, shape (N,)
        -1 where the row can be scored, else a position in `REASONS`.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    m_bar: FloatArray
    first_value: FloatArray | None
    reason: npt.NDArray[np.int8]


def check_schema(found: pa.Schema, where: str, scale: TimeScale) -> None:
    """Refuse a table whose columns cannot be those of an RFM table.

    Parameters
    ----------
    found : pyarrow.Schema
        Columns and types.
    where : str
        The file or frame, for messages.
    scale : TimeScale
        The unit of recency and T, which may be lengths of time.

    Raises
    ------
    SchemaError
        A needed column is missing or twice there, or holds no numbers.
    """
    missing = [name for name in NEEDED if name not in found.names]
    if missing:
        only_money = missing == [schema.MONETARY_VALUE]
        hint = "Summarise the log with amounts." if only_money else "Rename yours."
        raise SchemaError(
            f"{where} lacks {', '.join(missing)}; found {', '.join(found.names)}. {hint}"
        )
    for name in (*NEEDED, *OPTIONAL):
        if found.names.count(name) > 1:
            raise SchemaError(
                f"{where} has {found.names.count(name)} columns named {name!r}: rename one."
            )
        if name == schema.CUSTOMER_ID:
            check_ids(found.field(name).type, where)
        elif name in found.names:
            check_numbers(name, found.field(name).type, scale, where)


def refuse_confusing(names: Sequence[str], where: str) -> None:
    """Refuse names that the embedded engine, to which T and t are one, would mix up.

    Raises
    ------
    SchemaError
        A name differs from a needed one in upper and lower case only, or is that by which
        the engine tells files and rows apart.
    """
    for name in names:
        same = [one for one in NEEDED if one.lower() == name.lower() and one != name]
        if same and same[0] in names:
            raise SchemaError(
                f"{where} has columns {same[0]!r} and {name!r}, which differ in upper and lower "
                "case only: rename one."
            )
        if name.lower() in _OF_THE_ENGINE:
            raise SchemaError(
                f"{where} has a column {name!r}, which means something else to the embedded "
                "engine: rename it."
            )


def read_rows(
    batch: pa.RecordBatch,
    scale: TimeScale,
    duplicated: npt.NDArray[np.bool_] | None = None,
) -> Rows:
    """Take the numbers out of a batch and judge every row.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        With the columns of `NEEDED`; `check_schema` accepts its schema.
    scale : TimeScale
        The unit of recency and T, which may be lengths of time.
    duplicated : ndarray of bool, shape (N,), optional
        Rows whose customer has another row somewhere in the whole table.
    """
    x, t_x, T, m_bar = (_floats(batch, name, scale) for name in NEEDED[1:])
    repeat = x > 0
    nobody = _nobody(sortable(batch.column(schema.CUSTOMER_ID)))
    wrong: Sequence[npt.NDArray[np.bool_]] = (
        nobody,
        np.zeros(len(x), dtype=bool) if duplicated is None else duplicated,
        ~np.isfinite(x),
        x < 0,
        x != np.floor(x),
        x > _MOST,
        ~np.isfinite(t_x),
        ~np.isfinite(T),
        t_x < 0,
        t_x > T,
        (x == 0) & (t_x > 0),
        exceeds_periods(x, t_x, scale),
        repeat & ~np.isfinite(m_bar),
        repeat & (m_bar < 0),
        repeat & (m_bar > _MOST_SPENT),
    )
    reason = np.full(len(x), -1, dtype=np.int8)
    for code in range(len(REASONS) - 1, -1, -1):
        reason[wrong[code]] = code
    first = _floats(batch, schema.FIRST_VALUE, scale) if _has(batch, schema.FIRST_VALUE) else None
    return Rows(x, t_x, T, np.where(x == 0, 0.0, m_bar), first, reason)


def _has(batch: pa.RecordBatch, name: str) -> bool:
    return name in batch.schema.names


def _nobody(ids: pa.Array) -> npt.NDArray[np.bool_]:
    """Rows without an id: missing, NaN or empty text."""
    nobody = pc.is_null(ids, nan_is_null=pa.types.is_floating(ids.type))
    if is_text(ids.type):
        nobody = pc.or_kleene(nobody, pc.equal(ids, ""))
    return np.asarray(nobody.to_numpy(zero_copy_only=False), dtype=bool)


def _floats(batch: pa.RecordBatch, name: str, scale: TimeScale) -> FloatArray:
    return read_numbers(name, batch.column(name), scale, "The table")
