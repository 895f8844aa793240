"""Columns of customers' attributes, as covariates are made of them, and customers' strata."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import frames
from clvmodels.errors import SchemaError, one_line
from clvmodels.purchases.design import FIRST_PURCHASE, MISSING, Design, Factor
from clvmodels.rfm.customers import is_text
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.histories import RfmColumns
from clvmodels.rfm.periods import cohorts_by
from clvmodels.schema import FIRST_VALUE, FREQUENCY, FloatArray, TimeScale, shown

COHORT: Final = "cohort"
_NONE: Final = ("", "(none)", MISSING)

IntArray = npt.NDArray[np.int64]
type Column = pa.ChunkedArray | pa.Array


def attribute(columns: RfmColumns, name: str) -> Column:
    """Return a column of a base, or the month of the first purchase where "cohort" is none.

    Raises
    ------
    SchemaError
        There is no such column, or the base does not know days.
    """
    if name == FIRST_PURCHASE:
        return first_days(columns.age, known_day(columns.last_day), columns.scale or TimeScale())
    assert columns.frame is not None  # these are some of a table's rows, whose others are gone
    there = frames.column_names(columns.frame)
    if name in there:
        found: Column = frames.to_arrow(columns.frame, [name])[name]
        return found
    if name == COHORT and columns.last_day is not None and columns.scale is not None:
        months: Column = pa.array(cohorts_of(columns.age, columns.last_day, columns.scale))
        return months
    dates = "" if name != COHORT else ", and it knows no dates from which months could be taken"
    raise SchemaError(
        f"The table has no column {shown(name)}, a covariate of the model (columns: "
        f"{', '.join(there)}){dates}. Give rfm_summary the column in segment_cols."
    )


def first_days(age: FloatArray, last_day: int, scale: TimeScale) -> pa.Array:
    """Day of every customer's first purchase, since 1970-01-01."""
    return pa.array(last_day - np.rint(age * scale.days))


def cohorts_of(age: FloatArray, last_day: int, scale: TimeScale) -> npt.NDArray[np.object_]:
    """Month of every customer's first purchase, such as "1997-03"; of tables that count days."""
    first = last_day - np.rint(age * scale.days).astype(np.int64)
    return cohorts_by(first, TimeScale("D"))


def is_number(column: Column) -> bool:
    """Whether a column holds numbers, and not categories."""
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(number)


def texts_of(column: Column) -> npt.NDArray[np.object_]:
    """Categories as texts, None where there is none; 3 and 3.0 are one."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return texts_of(column.cast(kind.value_type))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = numbers_of(column)
        return np.array([None if np.isnan(v) else f"{v:.15g}" for v in numbers], dtype=object)
    found = pc.utf8_trim_whitespace(column.cast(pa.string()))
    found = pc.if_else(pc.is_in(found, pa.array(_NONE)), None, found)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=object)


def numbers_of(column: Column) -> FloatArray:
    """Numbers; NaN where there is none, or none that is finite."""
    found = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def numbers_in(column: Column, name: str) -> FloatArray:
    """The same of a column that may hold them as text, where blanks are none.

    Raises
    ------
    SchemaError
        It holds something else.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers_in(column.cast(kind.value_type), name)
    if not (is_number(column) or pa.types.is_null(kind) or is_text(kind)):
        raise SchemaError(
            f"The column {shown(name)} holds {kind}, and the model takes numbers there: convert it."
        )
    try:
        return numbers_of(pa.array(texts_of(column), pa.string()) if is_text(kind) else column)
    except pa.ArrowInvalid as error:
        raise SchemaError(
            f"The column {shown(name)} holds text that is not a number, and the model takes "
            f"numbers there: correct it ({one_line(error, 80)})."
        ) from error


def codes_of(factor: Factor, column: Column) -> IntArray:
    """Level of each customer's value.

    Raises
    ------
    SchemaError
        A number is wanted, and the column holds something else.
    """
    if not factor.numeric:
        return _codes_of_texts(factor, column)
    return factor.codes(numbers_in(column, factor.name))


def _codes_of_texts(factor: Factor, column: Column) -> IntArray:
    """The same of categories: a text for each different one, and not for each customer."""
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or is_number(column)):
        return factor.codes(texts_of(column))
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    different = pc.dictionary_encode(whole, null_encoding="encode")
    codes = factor.codes(texts_of(different.dictionary))
    return np.asarray(codes[different.indices.to_numpy(zero_copy_only=False)])


def segments_for(attributes: Iterable[str]) -> tuple[str, ...]:
    """Columns of a log that its summary must keep so that these are there."""
    return tuple(name for name in attributes if name not in (COHORT, FIRST_VALUE, FREQUENCY))


def strata_of(
    design: Design, read: Callable[[str], Column], used: Iterable[str] | None = None
) -> IntArray:
    """Stratum of each customer of a table whose columns `read` returns by name.

    Of columns that are not ``used`` everybody has the first level, and they are not read.
    """
    names = design.columns if used is None else tuple(used)
    codes = {one.name: codes_of(one, read(one.name)) for one in design.factors if one.name in names}
    return design.strata(codes)


def with_strata(
    columns: RfmColumns, design: Design | None, used: Iterable[str] | None = None
) -> RfmColumns:
    """The same customers, with the stratum of each; as they are where there is no design.

    Parameters
    ----------
    columns : RfmColumns
        Of a table.
    design : Design or None
    used : iterable of str, optional
        Columns that count, as in `strata_of`; by default all of the design.

    Raises
    ------
    SchemaError
        A covariate is not a column of the table, or is of another type.
    """
    if design is None:
        return columns
    stratum = strata_of(design, lambda name: attribute(columns, name), used)
    if not len(stratum):  # nothing was read: all are of the first
        stratum = np.ones(len(columns), dtype=np.int64)
    return replace(columns, stratum=stratum)


def level_counts(texts: Iterable[Any]) -> dict[str, int]:
    """Categories in order, and how many customers have each; missing ones last."""
    import pandas as pd

    series = pd.Series(list(texts), dtype=object)
    counts = series.value_counts(dropna=True)
    found = {str(level): int(counts[level]) for level in sorted(counts.index, key=number_or_text)}
    missing = int(series.isna().sum())
    return {**found, **({MISSING: missing} if missing else {})}


def number_or_text(level: str) -> tuple[int, float, str]:
    """What orders levels: numbers by their size (0, number), before texts (1, 0)."""
    try:
        return 0, float(level), level
    except ValueError:
        return 1, 0.0, level
