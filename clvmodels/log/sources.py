"""A transaction log from anywhere -> a checked Ibis table.

Nothing is read here but schemas; the rows flow when the ledger is computed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError
from clvmodels.log.arrow import plain, replayable, to_arrow
from clvmodels.log.column_checks import (
    check_columns,
    check_distinct,
    check_types,
    is_fine_instant,
)
from clvmodels.log.csv_files import Scratch, open_csv_file, scan
from clvmodels.log.embedded import attach, fetch, parquet_scan
from clvmodels.log.local_files import all_files, check_alike, files_of, kind_of, zone_of
from clvmodels.log.options import LogOptions
from clvmodels.log.sniff import sniff

if TYPE_CHECKING:
    import ibis

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
    notes : tuple of str
        What was found of how the log is written, for the audit.
    guessed : tuple of str
        Columns of which nobody said how they are written.
    scratch : Scratch or None
        Files that were written again to be read, kept as long as this record.
    """

    table: ibis.Table
    options: LogOptions
    text_ids: bool = False
    patterns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()
    scratch: Scratch | None = None

    def versions(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of each file of ``patterns``."""
        names = [name for text in self.patterns for name in files_of(text)]
        found = {name: Path(name).stat() for name in names}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}

    @property
    def float_ids(self) -> bool:
        """Whether ids come as floats, as pandas makes of integers beside missing values."""
        return bool(self.table[self.options.customer_id_col].type().is_floating())


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
    check_types(log.table, log.options)
    found = sniff(log.table, log.options, functools.partial(fetch, log.table.get_backend()))
    notes = (*log.notes, *found.notes)
    return replace(log, options=found.options, notes=notes, guessed=found.guessed)


# --- files ---------------------------------------------------------------------------


def _as_paths(source: Any) -> list[str]:
    """Paths of a path-like source, empty for any other."""
    if isinstance(source, str | Path):
        return [str(source)]
    if isinstance(source, Sequence) and all(isinstance(item, str | Path) for item in source):
        return [str(item) for item in source]
    return []


def _open_files(paths: list[str], options: LogOptions, backend: Any) -> OpenLog:
    files = all_files(paths)
    if kind_of(files) == "csv":
        return _open_csv(files, options, backend)
    alike = check_alike(files, options)
    # without union_by_name the engine casts what later files hold to the types of the first
    rows = parquet_scan(map(Path, files), by_name=not alike.same, by_folder=alike.by_folder)
    backend.con.execute(f"CREATE TEMP VIEW {_LOG} AS SELECT * FROM {rows}")
    table = backend.table(_LOG)
    options = replace(options, time_zone=_parquet_zone(files[0], table, options))
    return OpenLog(table, options, patterns=tuple(paths), notes=alike.notes)


def _open_csv(files: list[str], options: LogOptions, backend: Any) -> OpenLog:
    """Read every column as text, so that no id loses a zero and no date is guessed at."""
    scratch = Scratch()
    headers = [
        open_csv_file(name, options.columns, options.delimiter, options.encoding, scratch)
        for name in files
    ]
    for header in headers:
        check_columns(header.columns, options)
    alike = {frozenset(header.columns) for header in headers}
    if options.duplicates == "drop" and len(alike) > 1:
        raise SchemaError(
            'The files differ in their columns, and duplicates="drop" compares all columns: '
            'write the files alike, or pass duplicates="keep".'
        )
    backend.con.execute(f"CREATE TEMP VIEW {_LOG} AS {scan(headers)}")
    return OpenLog(backend.table(_LOG), options, text_ids=True, scratch=scratch)


def _parquet_zone(path: str, table: ibis.Table, options: LogOptions) -> str | None:
    """Time zone that the file's Arrow schema declares; the engine itself forgets it."""
    check_columns(table.columns, options)
    kind = table[options.datetime_col].type()
    if not (is_fine_instant(kind) or (kind.is_timestamp() and kind.timezone is not None)):
        return None
    return zone_of(pq.read_schema(path).field(options.datetime_col).type)


# --- frames --------------------------------------------------------------------------


def _open_arrow(data: Any, options: LogOptions, backend: Any) -> OpenLog:
    schema = data.schema
    check_columns(schema.names, options)
    check_distinct(schema.names, options)
    zone = zone_of(schema.field(options.datetime_col).type)
    data = _in_memory(data, options)
    if isinstance(data, pa.Table):
        data = plain(data, options)
    table = attach(backend, data, _LOG)
    return OpenLog(table, replace(options, time_zone=zone))


def _in_memory(data: Any, options: LogOptions) -> Any:
    """Read a stream that is looked at twice, and types that the engine does not know."""
    kinds = [data.schema.field(name).type for name in options.columns]
    if isinstance(data, pa.RecordBatchReader):
        twice = _is_read_twice(data.schema, options)
        return data.read_all() if twice or any(map(_is_odd, kinds)) else data
    if isinstance(data, pa.Table) or not any(map(_is_odd, kinds)):
        return data
    return data.to_table(
        None if options.duplicates == "drop" else [*dict.fromkeys(options.columns)]
    )


def _is_odd(kind: pa.DataType) -> bool:
    """Whether `plain` has to change a type before the engine takes it."""
    found = (pa.types.is_dictionary, pa.types.is_null, pa.types.is_float16, pa.types.is_decimal256)
    return any(is_kind(kind) for is_kind in found)


def _is_read_twice(schema: pa.Schema, options: LogOptions) -> bool:
    """Whether rows must be looked at to know how they are written, or what they are worth."""
    kind = schema.field(options.datetime_col).type
    amounts = options.monetary_value_col
    return (
        not (pa.types.is_timestamp(kind) or pa.types.is_date(kind))
        or options.currency_col is not None
        or (amounts is not None and _is_text(schema.field(amounts).type))
    )


def _is_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)
