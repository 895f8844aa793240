"""Frames of pandas, polars and Arrow as Arrow data that the embedded engine can read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from clvmodels import frames
from clvmodels.errors import SchemaError, one_line
from clvmodels.log.column_checks import check_columns
from clvmodels.log.options import LogOptions

_SOURCES: Final = (
    "a pandas or polars DataFrame, a pyarrow Table, RecordBatchReader or dataset, "
    "an Ibis table, or a path, glob or list of paths of Parquet or CSV files"
)

_DIGITS: Final = 38


def to_arrow(source: Any, options: LogOptions | None = None) -> Any:
    """Turn a frame into a pyarrow Table (a stream stays one), with the columns needed.

    Raises
    ------
    SchemaError
        The source is unknown, or a column mixes types.
    """
    source = frames.eager(source)
    kind = frames.kind_of(source)
    if kind == "pandas":
        return _from_pandas(_narrow_pandas(source, options))
    if kind == "polars":
        names = frames.column_names(source)
        if options is not None:
            check_columns(names, options)
            if options.duplicates == "keep":
                names = list(dict.fromkeys(options.columns))
        return frames.to_arrow(source, names)
    if kind == "pyarrow" or isinstance(source, pa.RecordBatchReader):
        return source
    if type(source).__module__.startswith("pyarrow._dataset"):
        return source
    if isinstance(source, Mapping):
        return _from_pandas(_of_mapping(source))
    raise SchemaError(f"A log cannot be of type {type(source).__name__}: pass {_SOURCES}.")


def _of_mapping(source: Mapping[str, Any]) -> pd.DataFrame:
    try:
        return pd.DataFrame(source)
    except ValueError as error:
        raise SchemaError(
            f"The columns of the log do not go together ({one_line(error)}): give each as many "
            "values as there are rows."
        ) from error


def _narrow_pandas(frame: pd.DataFrame, options: LogOptions | None) -> pd.DataFrame:
    """Drop columns that are not asked for; all are needed to tell duplicates."""
    if options is None:
        return frame
    frame = frame.rename(columns=str)  # a column may be called by a number
    check_columns(list(frame.columns), options)
    if frame.columns.has_duplicates:
        twice = str(frame.columns[frame.columns.duplicated()][0])
        raise SchemaError(f"The log has two columns named {twice!r}: rename one of them.")
    if options.duplicates == "drop":
        return frame
    return frame[list(dict.fromkeys(options.columns))]


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    columns = {str(name): _arrow_column(frame[name]) for name in frame.columns}
    return pa.table(columns)


def _arrow_column(series: pd.Series[Any]) -> Any:
    if isinstance(series.dtype, pd.PeriodDtype):
        raise SchemaError(
            f"Column {series.name!r} holds pandas Periods, which are not single dates: convert "
            "it, for instance with .dt.to_timestamp()."
        )
    return frames.arrow_column(_at_local_time(series))


def _at_local_time(series: pd.Series[Any]) -> pd.Series[Any]:
    """Datetimes of several offsets, as databases give them, by the clock of each.

    Arrow would count all of them by the zone of the first, so that days went by row order.
    """
    present = series.dropna() if series.dtype == object else series[:0]
    if present.empty or not isinstance(present.iloc[0], datetime):
        return series
    aware = [isinstance(one, datetime) and one.tzinfo is not None for one in present]
    if not all(aware):
        if any(aware):
            raise SchemaError(
                f"Column {series.name!r} holds datetimes with a time zone beside dates without "
                "one: convert them alike, for instance with pandas.to_datetime(..., utc=True)."
            )
        return series
    if len({str(one.tzinfo) for one in present}) == 1:
        return series
    return pd.Series([one.replace(tzinfo=None) for one in present], present.index).reindex(
        series.index
    )


def plain(data: pa.Table, options: LogOptions) -> pa.Table:
    """Decode dictionaries, type all-missing columns and give numbers a width the engine knows."""
    if options.duplicates == "keep":
        data = data.select(list(dict.fromkeys(options.columns)))
    typed = {
        options.datetime_col: pa.timestamp("us"),
        options.monetary_value_col: pa.float64(),
    }
    for i, field in enumerate(data.schema):
        column = data.column(i)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        elif pa.types.is_null(field.type):
            column = column.cast(typed.get(field.name, pa.string()))
        elif pa.types.is_float16(field.type):
            column = column.cast(pa.float32())
        elif pa.types.is_decimal256(field.type):
            column = _narrower(column, field)
        else:
            continue
        data = data.set_column(i, field.name, column)
    return data


def _narrower(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Decimals of at most 38 digits, as the engine has them; the digits stay as they are."""
    try:
        return column.cast(pa.decimal128(_DIGITS, field.type.scale))
    except (pa.ArrowInvalid, ValueError) as error:
        raise SchemaError(
            f"Column {field.name!r} holds decimals of more than {_DIGITS} digits: convert it to "
            f"decimals of at most {_DIGITS} digits, or to floats."
        ) from error


def replayable(source: Any) -> Any:
    """Return a source that can be read twice: a stream or a lazy frame is read into memory."""
    return source.read_all() if isinstance(source, pa.RecordBatchReader) else frames.eager(source)
