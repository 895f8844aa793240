"""Frames of pandas, polars and pyarrow: one form inside, and the caller's own kind outside.

Arithmetic is done on pandas and NumPy; Arrow is the bridge. No library is imported to
tell whose a frame is: it can only be of a library that is loaded already, and so polars
is not a dependency.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from clvmodels.errors import SchemaError, one_line

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

Kind = Literal["pandas", "polars", "pyarrow"]
type Frame = pd.DataFrame | pl.DataFrame | pl.LazyFrame | pa.Table
# A frame that is not pandas': what comes out is of the kind that went in.
OtherFrame = TypeVar("OtherFrame", bound="pl.DataFrame | pa.Table")

FRAMES: Final = "a pandas or polars DataFrame or a pyarrow Table"
_WHOLE: Final = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_CLASSES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "pandas": ("DataFrame",),
    "polars": ("DataFrame", "LazyFrame"),
    "pyarrow": ("Table", "RecordBatch"),
}


def kind_of(data: object) -> Kind | None:
    """Whose frame it is; None of anything else."""
    for kind, names in _CLASSES.items():
        if _is(data, kind, *names):
            return kind
    return None


def eager(data: Any) -> Any:
    """Collect a LazyFrame, make a Table of a RecordBatch, and return all else unchanged.

    A lazy frame must be collected once: again it may cost as much, and give other rows
    or another order.
    """
    if _is(data, "polars", "LazyFrame"):
        return data.collect()
    if _is(data, "pyarrow", "RecordBatch"):
        return sys.modules["pyarrow"].Table.from_batches([data])
    return data


def column_names(frame: Any) -> list[str]:
    """Names of a frame's columns, in order, as often as they are there."""
    names = frame.column_names if kind_of(frame) == "pyarrow" else frame.columns
    return [str(name) for name in names]


def to_pandas(data: Any, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Turn a frame into pandas, which is returned as it is.

    Whole numbers and truth values with nulls stay what they are (pandas' nullable types),
    so that no id loses digits. Dictionaries become plain values unless they are ordered.
    The index that pandas may have noted in an Arrow schema stays a column.

    Parameters
    ----------
    data : DataFrame, LazyFrame, Table or RecordBatch
        Of pandas, polars or pyarrow.
    columns : iterable of str, optional
        Of a frame that is not pandas', take these columns only, if they are there.

    Raises
    ------
    SchemaError
        It is not a frame, or two columns have the same name.
    """
    import pandas as pd

    frame = eager(data)
    kind = kind_of(frame)
    if kind is None:
        raise SchemaError(
            f"Expected {FRAMES}, found {type(data).__name__}: convert it to one of these."
        )
    if kind == "pandas":
        return frame  # type: ignore[no-any-return]
    names = column_names(frame)
    wanted = names if columns is None else [name for name in columns if name in names]
    for name in wanted:
        if names.count(name) > 1:
            count = names.count(name)
            raise SchemaError(f"The frame has {count} columns named {name!r}: rename one.")
    table = frame.select(wanted)
    if kind == "polars":
        table = _arrow_of_polars(table)
    return pd.DataFrame({name: _series(table[name]) for name in wanted})


def like(
    given: Any,
    frame: pd.DataFrame,
    *,
    own: Mapping[str, npt.NDArray[np.int64] | None] | None = None,
) -> Any:
    """Turn a pandas result into the kind of frame that it was made from.

    Parameters
    ----------
    given : object
        What the caller passed, after `eager`. For a pandas frame, and for what is not a frame
        (a table of customers, paths, ...), the result stays pandas'.
    frame : pandas.DataFrame
        The result. NaN becomes null; an index with a name becomes the first column.
    own : mapping of str to ndarray of int or None, optional
        Columns to take from ``given``, so that they keep their type: rows by position, or
        all of them.

    Raises
    ------
    SchemaError
        The index has the name of a column.
    """
    kind = kind_of(given)
    if kind not in ("polars", "pyarrow"):
        return frame
    library: Any = sys.modules[kind]
    named = frame.index.names != [None]
    plain = frame.reset_index(allow_duplicates=False) if named else frame
    taken = own or {}
    columns = {
        str(name): _taken(given, name, taken[name])
        if name in taken
        else _converted(plain[name], library, kind)
        for name in plain.columns
    }
    return library.table(columns) if kind == "pyarrow" else library.DataFrame(columns)


def out_of_index(data: Any, name: str) -> Any:
    """Make a column of a level of a pandas index, if the frame has no such column.

    Summaries of lifetimes have customers there. All else is returned as it is.
    """
    if kind_of(data) != "pandas" or name in data.columns or name not in data.index.names:
        return data
    return data.reset_index(level=name)


def index_name(data: Any) -> str | None:
    """Name of a pandas index, where ids may be under another name; None if it has none."""
    if kind_of(data) != "pandas" or data.index.name is None:
        return None
    return str(data.index.name)


def to_arrow(data: Any, columns: Iterable[str] | None = None) -> pa.Table:
    """Turn a frame into Arrow, column by column, so that each keeps what it is.

    Parameters
    ----------
    data : DataFrame, LazyFrame, Table or RecordBatch
        Of pandas, polars or pyarrow.
    columns : iterable of str, optional
        Take these only, if they are there.

    Raises
    ------
    SchemaError
        It is not a frame, two columns have the same name, or a column has no Arrow
        equivalent.
    """
    import pyarrow as pa

    frame = eager(data)
    kind = kind_of(frame)
    if kind is None:
        raise SchemaError(
            f"Expected {FRAMES}, found {type(data).__name__}: convert it to one of these."
        )
    names = column_names(frame)
    wanted = names if columns is None else [name for name in columns if name in names]
    for name in wanted:
        if names.count(name) > 1:
            count = names.count(name)
            raise SchemaError(f"The frame has {count} columns named {name!r}: rename one.")
    if kind == "pandas":
        place = {name: position for position, name in enumerate(names)}
        return pa.table({name: arrow_column(frame.iloc[:, place[name]]) for name in wanted})
    table = frame.select(wanted)
    table = _arrow_of_polars(table) if kind == "polars" else table
    return pa.table({name: _known(table[name]) for name in wanted})


def arrow_column(series: pd.Series[Any]) -> pa.Array | pa.ChunkedArray:
    """Turn one pandas column into Arrow; NaN is null.

    What Arrow has no type for becomes what it has: UUIDs, intervals (as `pandas.cut`
    makes them) and periods become text, sparse columns dense ones.

    Raises
    ------
    SchemaError
        The column mixes types, or holds what Arrow does not know.
    """
    import pandas as pd
    import pyarrow as pa

    plain: pd.Series[Any] = _as_text(series)
    if isinstance(plain.dtype, pd.SparseDtype):
        plain = plain.astype(plain.dtype.subtype)
    if plain.dtype == np.longdouble:
        plain = plain.astype(np.float64)
    if isinstance(plain.dtype, np.dtype) and not plain.dtype.isnative:
        plain = plain.astype(plain.dtype.newbyteorder("="))
    try:
        return pa.array(plain, from_pandas=True)
    except (pa.ArrowException, OverflowError) as error:
        raise SchemaError(
            f"Column {str(series.name)!r} holds values of several types, or of a type without an "
            f"Arrow equivalent ({one_line(error)}): convert it to one type, for instance with "
            ".astype('string'), or drop it."
        ) from error


def to_polars(table: pa.Table) -> pl.DataFrame:
    """Turn Arrow into polars.

    Raises
    ------
    SchemaError
        polars is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise SchemaError(f"polars is not installed ({error}): pip install polars.") from error
    return polars.from_arrow(table)


def _is(data: object, module: Kind, *names: str) -> bool:
    library = sys.modules.get(module)
    return library is not None and isinstance(data, tuple(getattr(library, n) for n in names))


def _known(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """UUIDs as text, which every reader of Arrow knows; all else unchanged."""
    import pyarrow as pa

    if getattr(column.type, "extension_name", "") != "arrow.uuid":
        return column
    texts = [None if value is None else str(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _arrow_of_polars(frame: Any) -> pa.Table:
    library: Any = sys.modules["polars"]
    if library.Object in frame.dtypes:  # would become addresses in memory
        raise SchemaError(
            "A column of the polars frame holds Python objects: convert it to text or numbers."
        )
    try:
        # Views of strings, polars' newest form, are not known to every reader of Arrow.
        return frame.to_arrow(compat_level=library.CompatLevel.oldest())
    except Exception as error:
        raise SchemaError(
            f"A column of the polars frame has no Arrow equivalent ({one_line(error)}): convert "
            "it to text or numbers."
        ) from error


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    """One column as pandas, whole numbers beside nulls as whole numbers."""
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.unify_dictionaries() if kind.ordered else column.cast(kind.value_type)
    nullable: dict[pa.DataType, Any] = {
        getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")() for name in _WHOLE
    }
    nullable[pa.bool_()] = pd.BooleanDtype()
    series: pd.Series[Any] = column.to_pandas(
        types_mapper=nullable.get if column.null_count else None
    )
    return series


def _as_text(series: pd.Series[Any]) -> pd.Series[Any]:
    """Text of what pandas alone knows; all else is returned as it is."""
    import uuid

    import pandas as pd

    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        categories = pd.Series(kind.categories)
        text = _as_text(categories)
        if text is categories:
            return series
        return series.cat.rename_categories(text.to_list())
    alone = isinstance(kind, pd.IntervalDtype | pd.PeriodDtype)
    if pd.api.types.is_object_dtype(kind):
        present = series.dropna()
        first = present.iloc[0] if len(present) else None
        alone = isinstance(first, uuid.UUID | pd.Interval | pd.Period)
        alone = alone and all(type(value) is type(first) for value in present)
    if not alone:
        return series
    return series.astype(object).where(series.notna(), None).map(str, na_action="ignore")


def _converted(series: pd.Series[Any], library: Any, kind: Kind) -> Any:
    """One pandas column as Arrow or polars; NaN is null."""
    import pandas as pd
    import pyarrow as pa

    ordered = isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered
    if kind == "polars" and ordered:
        texts = library.from_arrow(pa.array(series.astype(object), pa.string(), from_pandas=True))
        return texts.cast(library.Enum([str(name) for name in series.cat.categories]))
    column = pa.array(series, from_pandas=True)
    if pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    return library.from_arrow(column) if kind == "polars" else column


def _taken(given: Any, name: str, rows: npt.NDArray[np.int64] | None) -> Any:
    """A column of the caller's own frame: all of it, or some rows by position."""
    column = given[name]
    if rows is None:
        return column
    return column.gather(rows) if kind_of(given) == "polars" else column.take(rows)
