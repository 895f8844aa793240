"""Frames of pandas, polars and pyarrow: one form inside, and the caller's own kind outside.

Arithmetic is done on pandas and NumPy; Arrow is the bridge. No library is imported to
tell whose a frame is: it can only be of a library that is loaded already, and so polars
is no dependency.
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
        It is no frame, or two columns have the same name.
    """
    import pandas as pd

    frame = eager(data)
    kind = kind_of(frame)
    if kind is None:
        raise SchemaError(f"Expected {FRAMES}, found {type(data).__name__}.")
    if kind == "pandas":
        return frame  # type: ignore[no-any-return]
    names = column_names(frame)
    wanted = names if columns is None else [name for name in columns if name in names]
    for name in wanted:
        if names.count(name) > 1:
            raise SchemaError(f"The frame has {names.count(name)} columns named {name!r}.")
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
        What the caller passed, after `eager`. For a pandas frame, and for what is no frame
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


def _arrow_of_polars(frame: Any) -> pa.Table:
    library: Any = sys.modules["polars"]
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
