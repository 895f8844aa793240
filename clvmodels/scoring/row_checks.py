"""Which rows of an RFM table can be scored, and why the others cannot.

Every row gets exactly one verdict: none, or the first of `REASONS` that applies to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import schema
from clvmodels.errors import SchemaError
from clvmodels.posterior.shares import is_share, read_shares
from clvmodels.rfm.attributes import COHORT
from clvmodels.rfm.customers import (
    check_ids,
    check_numbers,
    exceeds_periods,
    is_text,
    read_numbers,
    sortable,
    value_type,
)
from clvmodels.schema import FloatArray, TimeScale

# The order matters: a row has the first reason that applies to it.
REASONS: Final = (
    "no customer id",
    "customer has more than one row",
    "frequency is missing or not finite",
    "frequency is negative",
    "frequency is not a whole number",
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
    "first_value is missing, negative or too large, and the spend model counts it",
    "the customer's own margin is missing, not finite or above 1",
)
_HISTORY: Final = (schema.CUSTOMER_ID, schema.FREQUENCY, schema.RECENCY, schema.T)
_MOST: Final = 2.0**53  # beyond it floats skip whole numbers
_MOST_SPENT: Final = 1e100  # the squares of sums over any base are finite
_OF_THE_ENGINE: Final = ("file_index", "file_row_number")


def needed_of(*, amounts: bool) -> tuple[str, ...]:
    """Columns that a table must have, for values or for purchases alone."""
    return (*_HISTORY, schema.MONETARY_VALUE) if amounts else _HISTORY


def columns_of(*, amounts: bool) -> tuple[str, ...]:
    """Columns that are read: first_value where it is there, for historical_value."""
    return (*needed_of(amounts=True), schema.FIRST_VALUE) if amounts else _HISTORY


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of a batch as numbers, with a verdict on each row.

    Attributes
    ----------
    x, t_x, T, m_bar : ndarray of float64, shape (N,)
        NaN where the input is missing; m_bar is 0 at x = 0, where it has no meaning, and
        where amounts are not read.
    first_value, share : ndarray of float64 or None, shape (N,)
        Share is a customer's own margin.
    reason : ndarray of int8, shape (N,)
        -1 where the row can be scored, else a position in `REASONS`.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    m_bar: FloatArray
    first_value: FloatArray | None
    reason: npt.NDArray[np.int8]
    share: FloatArray | None = None


def check_schema(
    found: pa.Schema,
    where: str,
    scale: TimeScale,
    *,
    amounts: bool,
    attributes: Sequence[str] = (),
) -> None:
    """Refuse a table whose columns cannot be those of an RFM table.

    Parameters
    ----------
    found : pyarrow.Schema
        Columns and types.
    where : str
        The file or frame, for messages.
    scale : TimeScale
        The unit of recency and T, which may be lengths of time.
    amounts : bool
        Whether amounts are read.
    attributes : sequence of str
        Columns that the model's covariates are made of; months of first purchases need none.

    Raises
    ------
    SchemaError
        A needed column is missing or twice there, or holds no numbers.
    """
    lacking = [name for name in attributes if name not in found.names and name != COHORT]
    if lacking:
        raise SchemaError(
            f"{where} lacks {', '.join(lacking)}, of which the model's covariates (or customers' "
            f"own margins) are made; found {', '.join(found.names)}. Name covariates in "
            "segment_cols where the log is summarised, and join margins with "
            "customer_margins(...).join(rfm)."
        )
    missing = [name for name in needed_of(amounts=amounts) if name not in found.names]
    if missing:
        only_money = missing == [schema.MONETARY_VALUE]
        hint = "Summarise the log with amounts." if only_money else "Rename yours."
        raise SchemaError(
            f"{where} lacks {', '.join(missing)}; found {', '.join(found.names)}. {hint}"
        )
    for name in columns_of(amounts=amounts):
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
    needed = needed_of(amounts=True)
    for name in names:
        same = [one for one in needed if one.lower() == name.lower() and one != name]
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


def common_schema(
    files: Mapping[Path, pa.Schema],
    scale: TimeScale,
    *,
    amounts: bool,
    attributes: Sequence[str] = (),
) -> pa.Schema:
    """Columns that scoring reads, with types that hold the values of all files.

    Parameters
    ----------
    files : mapping of Path to pyarrow.Schema
        Parquet files, and what they hold.
    scale : TimeScale
        The unit of recency and T.
    amounts : bool
        Whether amounts are read.
    attributes : sequence of str
        As in `check_schema`.

    Raises
    ------
    SchemaError
        A file lacks a column, or the types do not go together.
    """
    found = list(files.values())
    for path, one in files.items():
        check_schema(one, str(path), scale, amounts=amounts, attributes=attributes)
        refuse_confusing(one.names, str(path))
    fields = [pa.field(schema.CUSTOMER_ID, _id_type(found, [*files]))]
    for name in columns_of(amounts=amounts)[1:]:
        types = {value_type(one.field(name).type) for one in found if name in one.names}
        if len(types) > 1 and any(pa.types.is_duration(kind) for kind in types):
            listed = " and ".join(sorted(map(str, types)))
            raise SchemaError(
                f"The column {name!r} is {listed} in different files: give it one type."
            )
        # first_value makes columns of the output, so it must be there for everybody
        if name != schema.FIRST_VALUE or all(name in one.names for one in found):
            fields.append(pa.field(name, types.pop() if len(types) == 1 else pa.float64()))
    there = [name for name in attributes if all(name in one.names for one in found)]
    own = [name for name in there if name not in [field.name for field in fields]]
    return pa.schema([*fields, *(pa.field(name, _attribute_type(found, name)) for name in own)])


def _attribute_type(found: Sequence[pa.Schema], name: str) -> pa.DataType:
    """One type for an attribute in all files: numbers stay numbers, all else is text."""
    types = {value_type(one.field(name).type) for one in found}
    if len(types) == 1:
        return types.pop()
    numbers = all(pa.types.is_integer(one) or pa.types.is_floating(one) for one in types)
    return pa.float64() if numbers else pa.string()


def read_rows(
    batch: pa.RecordBatch,
    scale: TimeScale,
    duplicated: npt.NDArray[np.bool_] | None = None,
    *,
    amounts: bool,
    first_counts: bool = False,
    margins: str | None = None,
) -> Rows:
    """Take the numbers out of a batch and judge every row.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        With the columns of `needed_of`; `check_schema` accepts its schema.
    scale : TimeScale
        The unit of recency and T, which may be lengths of time.
    duplicated : ndarray of bool, shape (N,), optional
        Rows whose customer has another row somewhere in the whole table.
    amounts : bool
        Whether amounts are read.
    first_counts : bool
        Whether spend depends on first_value, which must then be an amount.
    margins : str, optional
        Column of customers' own margins.
    """
    x, t_x, T = (_floats(batch, name, scale) for name in _HISTORY[1:])
    m_bar = _floats(batch, schema.MONETARY_VALUE, scale) if amounts else np.zeros(len(x))
    repeat = x > 0
    paid_first = amounts and schema.FIRST_VALUE in batch.schema.names
    first = _floats(batch, schema.FIRST_VALUE, scale) if paid_first else None
    amount = (x >= 0) if first is None else (first >= 0) & (first <= _MOST_SPENT)
    share = None if margins is None else read_shares(batch.column(margins), margins)
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
        ~amount if first_counts else np.zeros(len(x), dtype=bool),
        np.zeros(len(x), dtype=bool) if share is None else ~is_share(share),
    )
    reason = np.full(len(x), -1, dtype=np.int8)
    for code in range(len(REASONS) - 1, -1, -1):
        reason[wrong[code]] = code
    return Rows(x, t_x, T, np.where(x == 0, 0.0, m_bar), first, reason, share)


def _nobody(ids: pa.Array) -> npt.NDArray[np.bool_]:
    """Rows without an id: missing, NaN or empty text."""
    nobody = pc.is_null(ids, nan_is_null=pa.types.is_floating(ids.type))
    if is_text(ids.type):
        nobody = pc.or_kleene(nobody, pc.equal(ids, ""))
    return np.asarray(nobody.to_numpy(zero_copy_only=False), dtype=bool)


def _floats(batch: pa.RecordBatch, name: str, scale: TimeScale) -> FloatArray:
    return read_numbers(name, batch.column(name), scale, "The table")


def _id_type(found: Sequence[pa.Schema], paths: Sequence[Path]) -> pa.DataType:
    types = [value_type(one.field(schema.CUSTOMER_ID).type) for one in found]
    common = {_id_family(kind, path) for kind, path in zip(types, paths, strict=True)}
    common.discard(pa.null())
    if len(common) > 1:
        listed = " and ".join(sorted(map(str, common)))
        raise SchemaError(
            f"{schema.CUSTOMER_ID} is {listed} in different files of the input: give it one type."
        )
    return common.pop() if common else pa.string()


def _id_family(kind: pa.DataType, path: Path) -> pa.DataType:
    """Type in which ids of several files are compared and written."""
    check_ids(kind, str(path))
    if is_text(kind):
        return pa.string()
    return pa.int64() if pa.types.is_integer(kind) and kind != pa.uint64() else kind
