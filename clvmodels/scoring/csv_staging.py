"""CSV of customers -> Parquet, so that it is read by the block; nothing is guessed at.

Every column is read as text. Numbers go into columns of numbers, and the text as it was
given stays beside them for the rejects.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clvmodels import schema
from clvmodels.errors import SchemaError, one_line
from clvmodels.rfm.on_disk import quoted
from clvmodels.scoring.duck import identifier
from clvmodels.scoring.rows import NEEDED, OPTIONAL, refuse_confusing

# The column as it was given, beside the numbers that were read from it.
GIVEN: Final = "given: "
_DELIMITERS: Final = ",;\t|"
_NUMBERS: Final = (*NEEDED[1:], *OPTIONAL)
_BARE: Final = r"^(0|-?[1-9][0-9]{0,17})$"
_POINT_ZERO: Final = r"^(0|-?[1-9][0-9]{0,14})\.0$"


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file with what its first line says.

    Attributes
    ----------
    path : Path
    delimiter : str
    columns : tuple of str
    """

    path: Path
    delimiter: str
    columns: tuple[str, ...]

    def scan(self) -> str:
        """Table of text in SQL."""
        columns = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in self.columns)
        return (
            f"read_csv({quoted(self.path)}, auto_detect = false, header = true, "
            f"delim = {quoted(self.delimiter)}, quote = '\"', escape = '\"', "
            f"columns = {{{columns}}})"
        )


def open_csv(path: Path) -> CsvFile:
    """Read the first line of a CSV file.

    Raises
    ------
    SchemaError
        It is empty or no text, or lacks a column.
    """
    header = _header(path)
    split = {delimiter: _fields(path, header, delimiter) for delimiter in _DELIMITERS}
    delimiter = max(split, key=lambda d: len(set(split[d]) & set(NEEDED)))
    columns = tuple(name.strip() for name in split[delimiter])
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise SchemaError(
            f"{path} lacks {', '.join(missing)}; found {', '.join(columns)}. For a log name "
            "customer_id_col, datetime_col and monetary_value_col."
        )
    folded = [name.lower() for name in columns]  # as the engine reads them
    twice = sorted({name for name in folded if folded.count(name) > 1 or not name})
    if twice:
        name = next(name for name in columns if name.lower() == twice[0])
        raise SchemaError(f"{path} has several columns named {name!r}, or one without a name.")
    refuse_confusing(columns, str(path))
    return CsvFile(path, delimiter, columns)


def whole_ids(connection: Any, files: Sequence[CsvFile]) -> bool:
    """Whether the ids of all files are integers, as a typed file would have them.

    Ids with leading zeros stay text; all of them may have a ``.0``, as pandas writes
    integers beside missing values.
    """
    one = identifier(schema.CUSTOMER_ID)
    checks = ", ".join(
        f"bool_and(regexp_full_match({one}, {quoted(pattern)}))" for pattern in (_BARE, _POINT_ZERO)
    )
    found = [
        connection.execute(f"SELECT {checks} FROM {f.scan()} WHERE {one} <> ''").fetchone()
        for f in files
    ]
    return any(all(line[i] is not False for line in found) for i in range(2))


def copy_csv(connection: Any, file: CsvFile, target: Path, *, whole: bool) -> None:
    """Write a CSV file's rows, in their order, as Parquet.

    Parameters
    ----------
    connection : DuckDB connection
    file : CsvFile
    target : Path
        Parquet file to write.
    whole : bool
        Whether ids become integers.
    """
    columns = [_column(name, whole=whole) for name in file.columns]
    columns += [
        f"{identifier(name)} AS {identifier(GIVEN + name)}"
        for name in file.columns
        if name in _NUMBERS
    ]
    connection.execute(
        f"COPY (SELECT {', '.join(columns)} FROM {file.scan()}) TO {quoted(target)} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )


def _column(name: str, *, whole: bool) -> str:
    quote = identifier(name)
    if name == schema.CUSTOMER_ID and whole:
        bare = f"regexp_replace({quote}, '\\.0$', '')"
        return f"CAST(nullif({bare}, '') AS BIGINT) AS {quote}"
    if name in _NUMBERS:
        return f"TRY_CAST(trim({quote}) AS DOUBLE) AS {quote}"
    return quote


def _fields(path: Path, line: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error as error:
        raise SchemaError(f"{path} cannot be read as CSV: {one_line(error)}") from error


def _header(path: Path) -> str:
    """First line that is not blank."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream:
            lines = (line.decode("utf-8-sig").strip("\r\n") for line in stream)
            header = next((line for line in lines if line.strip()), None)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise SchemaError(f"{path} cannot be read as CSV: {one_line(error)}") from error
    if header is None:
        raise SchemaError(f"{path} is empty: it must have a first line with names of columns.")
    return header
