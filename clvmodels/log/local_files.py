"""Which files of this machine a log is made of, and whether they belong together.

Names are expanded here and the engine gets the files one by one: its own patterns match hidden
files, do not follow links to folders, and take a name with brackets for a pattern.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.display import many
from clvmodels.errors import SchemaError, one_line
from clvmodels.log.options import LogOptions
from clvmodels.path_checks import named_files, path_of, regular_files, visible_files

_SUFFIXES: Final = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"),
}


def files_of(path: str) -> list[str]:
    """Files that a name stands for: itself, those of a folder, or those of a pattern.

    Parameters
    ----------
    path : str
        A name that exists is no pattern, whatever signs are in it. Of a folder and those in
        it, links followed, the files count that end in .parquet and are not hidden.

    Raises
    ------
    SchemaError
        There is none, one is a pipe or a link to nothing, or the folder has files of a log that
        would be passed over.
    """
    named = path_of("The log", path)
    found = _in_folder(named) if named.is_dir() else named_files(path)
    if not found:
        raise SchemaError(f"No file is found at {path!r}: check the path or the pattern.")
    return sorted(str(path_of("A file of the log", name)) for name in found)


def all_files(paths: Sequence[str]) -> list[str]:
    """Files that several names stand for, none of them twice.

    Raises
    ------
    SchemaError
        As `files_of`, or a file is named twice.
    """
    files = [name for path in paths for name in files_of(path)]
    known: dict[str, str] = {}
    for name in files:
        first = known.setdefault(os.path.realpath(name), name)
        if first is not name:
            also = "twice" if first == name else f"as {first!r} too"
            raise SchemaError(
                f"The file {name!r} is named {also}, and its rows would count twice: leave one out."
            )
    return files


def kind_of(paths: Sequence[str]) -> str:
    """Whether files are "parquet" or "csv", by their names.

    Raises
    ------
    SchemaError
        They are neither, or some are the one and some the other.
    """
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise SchemaError(
            "The paths mix Parquet and CSV: pass files of one kind, and add the others with update."
        )
    return kinds.pop()


def _kind(path: str) -> str:
    for kind, suffixes in _SUFFIXES.items():
        if path.lower().endswith(suffixes):
            return kind
    raise SchemaError(
        f"{path!r} is neither Parquet nor CSV by its name: the name must end in "
        + ", ".join(suffix for group in _SUFFIXES.values() for suffix in group)
        + ", or be a folder of Parquet files."
    )


def _in_folder(folder: Path) -> list[str]:
    """Parquet files of a folder.

    What is hidden, such as a checksum, or is plain text, such as a README, is no part of a log.
    """
    files = list(visible_files(folder))
    found = [name for name in files if name.endswith(".parquet")]
    others = tuple(s for kind in _SUFFIXES.values() for s in kind if not s.startswith(".txt"))
    passed_over = sorted(
        os.path.relpath(name, folder)
        for name in files
        if name.lower().endswith(others) and not name.endswith(".parquet")
    )
    if passed_over:
        raise SchemaError(
            f"In {folder} {many(len(passed_over), 'file')} such as {passed_over[0]!r} would not be "
            "read: of a folder only those are that end in .parquet. Pass a pattern that says which "
            f"files are the log, such as '{folder / '**/*.parquet'}' or '{folder / '*.csv'}'."
        )
    return regular_files(found)


@dataclass(frozen=True, slots=True)
class Alike:
    """How the columns of Parquet files go together.

    Attributes
    ----------
    same : bool
        Whether they are of the same types in all files.
    by_folder : bool
        Whether folders such as region=eu add columns.
    notes : tuple of str
        For the audit.
    """

    same: bool
    by_folder: bool
    notes: tuple[str, ...] = ()


def check_alike(files: Sequence[str], options: LogOptions) -> Alike:
    """Refuse files of which one lacks a column that others have, or spells it otherwise.

    Raises
    ------
    SchemaError
        The message names file and column.
    """
    schemas = {name: _schema_of(name) for name in files}
    keys = {name: _keys(name) for name in files}
    held = {one for found in schemas.values() for one in found.names}
    anywhere = held.union(*keys.values())
    for name, schema in schemas.items():
        found = {*schema.names, *keys[name]}
        lacking = [one for one in options.columns if one in anywhere and one not in found]
        if lacking:
            raise SchemaError(
                f"{name} lacks {', '.join(map(repr, lacking))}, which other files of the log have "
                f"(its columns: {', '.join(map(repr, sorted(schema.names)))}): write the files "
                "alike, or leave this one out."
            )
    _check_spelling(schemas, options)
    _check_zones(schemas, options)
    _check_kinds(schemas, options)
    kinds = [{field.name: field.type for field in schema} for schema in schemas.values()]
    both = sorted(held.intersection(*keys.values()))
    by_folder = not both and len({tuple(one) for one in keys.values()}) == 1
    notes = tuple(
        f"{one!r} is a column of the files, so that folders named {one}=... say nothing"
        for one in both
        if one in options.columns
    )
    return Alike(all(one == kinds[0] for one in kinds[1:]), by_folder, notes)


def _keys(name: str) -> list[str]:
    """Columns that the folders of a file add, as of region=eu."""
    return [part.split("=")[0] for part in Path(name).parts[:-1] if "=" in part]


def _check_spelling(schemas: Mapping[str, pa.Schema], options: LogOptions) -> None:
    """Refuse columns that differ in their case only: the engine takes one for the other."""
    spelled: dict[str, dict[str, str]] = {}
    for name, schema in schemas.items():
        for column in schema.names:
            spelled.setdefault(column.lower(), {}).setdefault(column, name)
    for column in options.columns:
        found = spelled.get(column.lower(), {})
        if len(found) > 1:
            listed = ", ".join(f"{one!r} in {name}" for one, name in sorted(found.items()))
            raise SchemaError(
                f"Columns differ only in capital letters ({listed}), by which the engine cannot "
                "tell them apart: rename one of them."
            )


def _check_zones(schemas: Mapping[str, pa.Schema], options: LogOptions) -> None:
    """Refuse files whose dates have time zones of their own: local days would be mixed up."""
    name = options.datetime_col
    zones = _first_of_each(schemas, name, lambda kind: zone_of(kind) or "no time zone")
    if len(zones) > 1:
        listed = ", ".join(f"{zone} in {file}" for zone, (_, file) in sorted(zones.items()))
        raise SchemaError(
            f"Files of the log differ in the time zone of {name!r} ({listed}): write them alike."
        )


def _check_kinds(schemas: Mapping[str, pa.Schema], options: LogOptions) -> None:
    """Refuse types that the engine would make one of with other values, or not at all."""
    for name in options.columns:
        held = _first_of_each(schemas, name, _family)
        held.pop("", None)
        if len(held) > 1:
            listed = ", ".join(f"{kind} in {file}" for kind, file in held.values())
            raise SchemaError(
                f"Files of the log differ in the type of {name!r} ({listed}): write them alike."
            )


def _first_of_each(
    schemas: Mapping[str, pa.Schema], column: str, sort: Callable[[pa.DataType], str]
) -> dict[str, tuple[pa.DataType, str]]:
    """A column's type and file, of the first of each sort that it has in the files."""
    found: dict[str, tuple[pa.DataType, str]] = {}
    for file, schema in schemas.items():
        if (at := schema.get_field_index(column)) >= 0:
            kind = schema.field(at).type
            found.setdefault(sort(kind), (kind, file))
    return found


def _family(kind: pa.DataType) -> str:
    """Types that stand beside each other without loss; "" goes with all."""
    if pa.types.is_boolean(kind):
        return "truth"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "number" if is_number else ""


def zone_of(kind: pa.DataType) -> str | None:
    """Time zone of an Arrow type; None without one."""
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    if zone in ("Z", "z"):  # as in ISO 8601, which the engine has no zone of
        return "UTC"
    return None if zone is None else str(zone)


def _schema_of(name: str) -> pa.Schema:
    try:
        return pq.read_schema(name)
    except (pa.ArrowInvalid, OSError) as error:
        raise SchemaError(
            f"{name} cannot be read as Parquet: {one_line(error).rstrip('.')}. Write it again, or "
            "leave it out."
        ) from error
