"""A transaction log from anywhere -> a checked Ibis table.

Nothing is read here but schemas; the rows flow when the ledger is computed.
"""

from __future__ import annotations

import functools
import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.display import many
from clvmodels.errors import SchemaError, one_line
from clvmodels.log.arrow import plain, replayable, to_arrow
from clvmodels.log.column_checks import check_columns, check_types, is_fine_instant
from clvmodels.log.csv_files import Scratch, open_csv_file, scan
from clvmodels.log.embedded import attach, fetch
from clvmodels.log.options import LogOptions
from clvmodels.log.sniff import sniff
from clvmodels.path_checks import path_of

if TYPE_CHECKING:
    import ibis

_SUFFIXES = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
}
_LOG = "log"
_IN_FOLDERS = "**/*.parquet"


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
        names = [name for text in self.patterns for name in matches(text)]
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


def _file_kind(path: str) -> str:
    for kind, suffixes in _SUFFIXES.items():
        if path.lower().endswith(suffixes):
            return kind
    raise SchemaError(
        f"{path!r} is neither Parquet nor CSV by its name: the name must end in "
        + ", ".join(suffix for group in _SUFFIXES.values() for suffix in group)
        + ", or be a folder of Parquet files."
    )


def expanded(path: str) -> str:
    """Check that a local path exists; a folder stands for its Parquet files."""
    if path_of("The log", path).is_dir():
        _check_folder(Path(path))
        path = str(Path(path) / _IN_FOLDERS)
    if not Path(path).exists() and not any(map(os.path.isfile, glob.glob(path, recursive=True))):
        raise SchemaError(f"No file is found at {path!r}: check the path or the pattern.")
    return path


def _check_folder(folder: Path) -> None:
    """Refuse a folder with files of a log that would be passed over: CSV, or Parquet's short names.

    What is hidden, such as a checksum, or is plain text, such as a README, is no part of a log.
    """
    suffixes = [one for kind in _SUFFIXES.values() for one in kind if not one.startswith(".txt")]
    passed_over = sorted(
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.name.lower().endswith(tuple(suffixes))
        and not file.name.endswith(".parquet")
        and not file.name.startswith((".", "_"))
        and file.is_file()
    )
    if passed_over:
        raise SchemaError(
            f"In {folder} {many(len(passed_over), 'file')} such as {passed_over[0]!r} would not be "
            "read: of a folder only those are that end in .parquet. Pass a pattern that says which "
            f"files are the log, such as '{folder / _IN_FOLDERS}' or '{folder / '*.csv'}'."
        )


def matches(path: str) -> list[str]:
    """Files of a path or pattern."""
    found = [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))
    return [str(path_of("A file of the log", name)) for name in found]


def _open_files(paths: list[str], options: LogOptions, backend: Any) -> OpenLog:
    paths = [expanded(path) for path in paths]
    files = [name for path in paths for name in matches(path)]
    kinds = {_file_kind(path) for path in paths}
    if len(kinds) > 1:
        raise SchemaError(
            "The paths mix Parquet and CSV: pass files of one kind, and add the others with update."
        )
    if kinds == {"csv"}:
        return _open_csv(files, options, backend)
    # else the engine casts what later files hold to the types of the first, and rounds
    widened = {} if _check_alike(files, options) else {"union_by_name": True}
    table = backend.read_parquet(paths, table_name=_LOG, **widened)
    options = replace(options, time_zone=_parquet_zone(paths[0], table, options))
    return OpenLog(table, options, patterns=tuple(paths))


def _check_alike(files: Sequence[str], options: LogOptions) -> bool:
    """Refuse a file that lacks a column which others have, by its name.

    Returns
    -------
    bool
        Whether columns have the same type in all files.
    """
    files = [name for name in files if Path(name).is_file()]  # a pattern may find folders
    schemas = {name: _schema_of(name) for name in files}
    anywhere: set[str] = set().union(*(found.names for found in schemas.values()))
    for name, schema in schemas.items():
        keys = {part.split("=")[0] for part in Path(name).parts if "=" in part}
        found = {*schema.names, *keys}
        lacking = [one for one in options.columns if one in anywhere and one not in found]
        if lacking:
            raise SchemaError(
                f"{name} lacks {', '.join(map(repr, lacking))}, which other files of the log have "
                f"(its columns: {', '.join(map(repr, sorted(schema.names)))}): write the files "
                "alike, or leave this one out."
            )
    _check_zones(schemas, options)
    kinds = [{field.name: field.type for field in schema} for schema in schemas.values()]
    return all(one == kinds[0] for one in kinds[1:])


def _check_zones(schemas: Mapping[str, pa.Schema], options: LogOptions) -> None:
    """Refuse files whose dates have time zones of their own: local days would be mixed up."""
    zones: dict[str, str] = {}
    for name, schema in schemas.items():
        if (at := schema.get_field_index(options.datetime_col)) >= 0:
            zones.setdefault(_zone(schema.field(at).type) or "no time zone", name)
    if len(zones) > 1:
        listed = ", ".join(f"{zone} in {name}" for zone, name in sorted(zones.items()))
        raise SchemaError(
            f"Files of the log differ in the time zone of {options.datetime_col!r} ({listed}): "
            "write them alike."
        )


def _schema_of(name: str) -> pa.Schema:
    try:
        return pq.read_schema(name)
    except (pa.ArrowInvalid, OSError) as error:
        raise SchemaError(
            f"{name} cannot be read as Parquet: {one_line(error).rstrip('.')}. Write it again, or "
            "leave it out."
        ) from error


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
    return _zone(pq.read_schema(matches(path)[0]).field(options.datetime_col).type)


def _zone(kind: pa.DataType) -> str | None:
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return None if zone is None else str(zone)


# --- frames --------------------------------------------------------------------------


def _open_arrow(data: Any, options: LogOptions, backend: Any) -> OpenLog:
    schema = data.schema
    check_columns(schema.names, options)
    if isinstance(data, pa.Table):
        data = plain(data, options)
    zone = _zone(schema.field(options.datetime_col).type)
    if isinstance(data, pa.RecordBatchReader) and _is_read_twice(schema, options):
        data = data.read_all()
    table = attach(backend, data, _LOG)
    return OpenLog(table, replace(options, time_zone=zone))


def _is_read_twice(schema: pa.Schema, options: LogOptions) -> bool:
    """Whether rows must be looked at to know how they are written."""
    kind = schema.field(options.datetime_col).type
    amounts = options.monetary_value_col
    return not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)) or (
        amounts is not None and _is_text(schema.field(amounts).type)
    )


def _is_text(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)
