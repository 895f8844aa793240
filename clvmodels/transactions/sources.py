"""A transaction log from anywhere -> a checked Ibis table.

Nothing is read here but schemas; the rows flow when the ledger is computed.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import frames
from clvmodels.errors import SchemaError
from clvmodels.schema import path_of, shown
from clvmodels.transactions.options import LogOptions

if TYPE_CHECKING:
    import ibis

_SUFFIXES = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
}
_SOURCES = (
    "a pandas or polars DataFrame, a pyarrow Table, RecordBatchReader or dataset, "
    "an Ibis table, or a path, glob or list of paths of Parquet or CSV files"
)
_LOG = "log"


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log that is ready to be summarised.

    Parameters
    ----------
    table : ibis.Table
        The log, bound to the backend that will read it.
    options : LogOptions
        The options, with the time zone that the source declares.
    text_ids : bool
        Ids were read as text only because the file has no types (CSV).
    patterns : tuple of str
        Paths and patterns of local Parquet files, which are cheap to read twice; empty
        for any other source.
    """

    table: ibis.Table
    options: LogOptions
    text_ids: bool = False
    patterns: tuple[str, ...] = ()

    def versions(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of each file of ``patterns``."""
        names = [name for text in self.patterns for name in _matches(text)]
        found = {name: Path(name).stat() for name in names}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}

    @property
    def float_ids(self) -> bool:
        """Whether ids come as floats, as pandas makes of integers beside missing values."""
        return bool(self.table[self.options.customer_id_col].type().is_floating())


@contextmanager
def engine() -> Iterator[Any]:
    """Yield a private embedded DuckDB backend, closed afterwards; nothing of it is shared."""
    import ibis

    backend = ibis.duckdb.connect()
    try:
        set_up(backend.con)
        yield backend
    finally:
        backend.disconnect()


def set_up(connection: Any) -> None:
    """Make a connection of the embedded engine count in UTC and draw no progress bar."""
    connection.execute("SET TimeZone = 'UTC'")
    # In notebooks it may be unable to draw one, and then to be told not to.
    [[drawn]] = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if drawn:
        connection.execute("SET enable_progress_bar = false")


def attach(backend: Any, data: Any, name: str) -> ibis.Table:
    """Show Arrow data to the embedded engine as a table, without copying it."""
    backend.con.register(name, data)
    return backend.table(name)


def open_log(source: Any, options: LogOptions, backend: Any) -> OpenLog:
    """Open a log and check the columns that are needed.

    Parameters
    ----------
    source : object
        A pandas or polars DataFrame, a pyarrow Table, RecordBatchReader or dataset, an
        Ibis table, or a path, glob or list of paths of Parquet or CSV files.
    options : LogOptions
        Names the columns.
    backend : ibis backend
        The embedded engine, for everything but an Ibis table.

    Raises
    ------
    SchemaError
        The source is unknown, a column is missing or of the wrong type.
    """
    import ibis

    if options.whole:
        source = replayable(source)  # its end is found in a first reading
    if isinstance(source, ibis.Table):
        log = OpenLog(source, options)
    elif paths := _as_paths(source):
        log = _open_files(paths, options, backend)
    else:
        log = _open_arrow(to_arrow(source, options), options, backend)
    check_columns(log.table.columns, options)
    _check_types(log)
    return log


# --- files ---------------------------------------------------------------------------


def _as_paths(source: Any) -> list[str]:
    """Paths of a path-like source, empty for any other."""
    if isinstance(source, str | Path):
        return [str(source)]
    if isinstance(source, Sequence) and all(isinstance(item, str | Path) for item in source):
        return [str(item) for item in source]
    return []


def _file_kind(path: str) -> str:
    for kind, suffixes in _SUFFIXES.items():
        if path.lower().endswith(suffixes):
            return kind
    raise SchemaError(
        f"{path!r} is neither Parquet nor CSV by its name: the name must end in "
        + ", ".join(suffix for group in _SUFFIXES.values() for suffix in group)
        + ", or be a folder of Parquet files."
    )


def _expand(path: str) -> str:
    """Check that a local path exists; a folder stands for its Parquet files."""
    if path_of("The log", path).is_dir():
        path = str(Path(path) / "**" / "*.parquet")
    if not Path(path).exists() and not glob.glob(path, recursive=True):
        raise SchemaError(f"No file is found at {path!r}: check the path or the pattern.")
    return path


def _matches(path: str) -> list[str]:
    return [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))


def _open_files(paths: list[str], options: LogOptions, backend: Any) -> OpenLog:
    paths = [_expand(path) for path in paths]
    kinds = {_file_kind(path) for path in paths}
    if len(kinds) > 1:
        raise SchemaError("The paths mix Parquet and CSV: pass files of one kind at a time.")
    if kinds == {"csv"}:
        return _open_csv(paths, options, backend)
    table = backend.read_parquet(paths, table_name=_LOG)
    options = replace(options, time_zone=_parquet_zone(paths[0], table, options))
    return OpenLog(table, options, patterns=tuple(paths))


def _open_csv(paths: list[str], options: LogOptions, backend: Any) -> OpenLog:
    """Read every column as text, so that no id loses a zero and no date is guessed at."""
    table = backend.read_csv(paths, table_name=_LOG, all_varchar=True)
    check_columns(table.columns, options)
    if options.monetary_value_col is not None:
        name = options.monetary_value_col
        table = table.mutate(**{name: table[name].strip().try_cast("float64")})
    return OpenLog(table, options, text_ids=True)


def _parquet_zone(path: str, table: ibis.Table, options: LogOptions) -> str | None:
    """Time zone that the file's Arrow schema declares; the engine itself forgets it."""
    check_columns(table.columns, options)
    kind = table[options.datetime_col].type()
    if not (is_fine_instant(kind) or (kind.is_timestamp() and kind.timezone is not None)):
        return None
    return _zone(pq.read_schema(_matches(path)[0]).field(options.datetime_col).type)


def is_fine_instant(kind: Any) -> bool:
    """Whether an Ibis type is that of instants to the nanosecond, which Ibis 12 has no name for."""
    return bool(kind.is_unknown()) and "TIMESTAMPTZ_NS" in str(kind)


def _zone(kind: pa.DataType) -> str | None:
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return None if zone is None else str(zone)


# --- frames --------------------------------------------------------------------------


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
        return _from_pandas(pd.DataFrame(source))
    raise SchemaError(f"A log cannot be a {type(source).__name__}: pass {_SOURCES}.")


def _narrow_pandas(frame: pd.DataFrame, options: LogOptions | None) -> pd.DataFrame:
    """Drop columns that are not asked for; all are needed to tell duplicates."""
    if options is None:
        return frame
    check_columns([str(name) for name in frame.columns], options)
    if frame.columns.has_duplicates:
        twice = str(frame.columns[frame.columns.duplicated()][0])
        raise SchemaError(f"The log has two columns named {twice!r}: rename one of them.")
    if options.duplicates == "drop":
        return frame
    return frame[list(dict.fromkeys(options.columns))]


def _from_pandas(frame: pd.DataFrame) -> pa.Table:
    columns = {str(name): frames.arrow_column(frame[name]) for name in frame.columns}
    return pa.table(columns)


def _open_arrow(data: Any, options: LogOptions, backend: Any) -> OpenLog:
    schema = data.schema
    check_columns(schema.names, options)
    if isinstance(data, pa.Table):
        data = _plain(data, options)
    zone = _zone(schema.field(options.datetime_col).type)
    table = attach(backend, data, _LOG)
    return OpenLog(table, replace(options, time_zone=zone))


def _plain(data: pa.Table, options: LogOptions) -> pa.Table:
    """Decode dictionaries and type all-missing columns, so that the engine sees values."""
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
        else:
            continue
        data = data.set_column(i, field.name, column)
    return data


# --- checks --------------------------------------------------------------------------


def check_columns(found: Sequence[str], options: LogOptions) -> None:
    """Raise SchemaError naming a column that is missing, with the closest names there are."""
    arguments = {
        "customer_id_col": options.customer_id_col,
        "datetime_col": options.datetime_col,
        "monetary_value_col": options.monetary_value_col,
        "order_id_col": options.order_id_col,
        **{f"segment_cols[{i}]": name for i, name in enumerate(options.segment_cols)},
    }
    for argument, name in arguments.items():
        if isinstance(name, str) and name in found:
            continue
        if name is None and argument in ("monetary_value_col", "order_id_col"):
            continue
        folded = {str(column).lower(): str(column) for column in found}
        close = difflib.get_close_matches(str(name).lower(), list(folded), n=3, cutoff=0.5)
        hint = " or ".join(repr(folded[key]) for key in close)
        listed = ", ".join(repr(str(column)) for column in found)
        raise SchemaError(
            f"{argument}={shown(name)} is no column of the log, which has {listed}."
            + (f" Did you mean {hint}?" if hint else "")
        )


def _check_types(log: OpenLog) -> None:
    options = log.options
    kind = log.table[options.datetime_col].type()
    if not (kind.is_timestamp() or kind.is_date() or kind.is_string() or is_fine_instant(kind)):
        raise SchemaError(
            f"datetime_col={options.datetime_col!r} holds {kind}, not dates: convert it to a "
            "date or timestamp first (a number does not say since when it counts; "
            "pandas.to_datetime with format= or unit= does), or to text such as '2011-12-09'."
        )
    kind = log.table[options.customer_id_col].type()
    if not (
        kind.is_string()
        or kind.is_integer()
        or kind.is_floating()
        or kind.is_uuid()
        or (kind.is_decimal() and kind.scale == 0)
    ):
        raise SchemaError(
            f"customer_id_col={options.customer_id_col!r} holds {kind}: ids must be text, "
            "integers or UUIDs; convert the column."
        )
    for name in options.segment_cols:
        kind = log.table[name].type()
        if kind.is_interval():
            raise SchemaError(
                f"The segment column {name!r} holds {kind}: convert it to numbers or text."
            )
    if options.monetary_value_col is None:
        return
    kind = log.table[options.monetary_value_col].type()
    if not (kind.is_integer() or kind.is_floating() or kind.is_decimal()):
        raise SchemaError(
            f"monetary_value_col={options.monetary_value_col!r} holds {kind}, not numbers: "
            "convert it to float first."
        )


def replayable(source: Any) -> Any:
    """Return a source that can be read twice: a stream or a lazy frame is read into memory."""
    return source.read_all() if isinstance(source, pa.RecordBatchReader) else frames.eager(source)
