"""CSV of customers -> Parquet, so that it is read by the block.

Every column is read as text. Numbers go into columns of numbers, and the text as it was
given stays beside them for the rejects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvmodels import schema
from clvmodels.errors import SchemaError, one_line
from clvmodels.log.amounts import MISSING, check_decimal
from clvmodels.log.csv_files import (
    CsvHeader,
    Scratch,
    check_delimiter,
    check_encoding,
    open_csv_file,
    scan,
)
from clvmodels.log.sniff import quoted_texts
from clvmodels.rfm.on_disk import Resources, quoted
from clvmodels.scoring.csv_numbers import decimal_of, number_of, text_table
from clvmodels.scoring.duck import connected, identifier
from clvmodels.scoring.rows import columns_of, needed_of, refuse_confusing

# The column as it was given, beside the numbers that were read from it.
GIVEN: Final = "given: "
_COUNTS: Final = (schema.FREQUENCY, schema.RECENCY, schema.T)
_BARE: Final = r"^(0|-?[1-9][0-9]{0,17})$"
_POINT_ZERO: Final = r"^(0|-?[1-9][0-9]{0,14})\.0$"


def numbers_of(*, amounts: bool) -> tuple[str, ...]:
    """Columns that are read as numbers, where they are there."""
    return tuple(name for name in columns_of(amounts=amounts) if name != schema.CUSTOMER_ID)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvOptions:
    """How CSV files of customers are written, as far as the caller says it.

    Attributes
    ----------
    decimal, delimiter, encoding : str or None
        None is what the files show.
    """

    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        check_decimal(self.decimal)
        object.__setattr__(self, "delimiter", check_delimiter(self.delimiter))
        check_encoding(self.encoding)


def open_customers(
    path: Path, options: CsvOptions, scratch: Scratch, *, amounts: bool
) -> CsvHeader:
    """Read the first line of a CSV file that is to be scored, with amounts or without.

    Raises
    ------
    SchemaError
        As `open_csv`, or it lacks a column.
    """
    needed = needed_of(amounts=amounts)
    header = open_csv(path, options, scratch, needed)
    missing = [name for name in needed if name not in header.columns]
    if missing:
        raise SchemaError(
            f"{path} lacks {', '.join(missing)}; found {', '.join(header.columns)}. For a log name "
            "customer_id_col, datetime_col and, for values, monetary_value_col."
        )
    refuse_confusing(header.columns, str(path))
    return header


def open_csv(path: Path, options: CsvOptions, scratch: Scratch, wanted: Sequence[str]) -> CsvHeader:
    """Read the first line of a CSV file.

    Parameters
    ----------
    path : Path
    options : CsvOptions
    scratch : Scratch
        Where the file is written anew if it is not in UTF-8.
    wanted : sequence of str
        Columns that tell the right delimiter.

    Raises
    ------
    SchemaError
        It is empty or not text.
    """
    try:
        return open_csv_file(str(path), wanted, options.delimiter, options.encoding, scratch)
    except (OSError, EOFError) as error:
        raise SchemaError(f"{path} cannot be read as CSV: {one_line(error)}") from error


def whole_ids(connection: Any, files: Sequence[CsvHeader]) -> bool:
    """Whether the ids of all files are integers, as a typed file would have them.

    Ids with leading zeros stay text; all of them may have a ``.0``, as pandas writes
    integers beside missing values.
    """
    one = identifier(schema.CUSTOMER_ID)
    checks = ", ".join(
        f"bool_and(regexp_full_match({one}, {quoted(pattern)}))" for pattern in (_BARE, _POINT_ZERO)
    )
    found = [
        connection.execute(f"SELECT {checks} FROM ({scan([f])}) WHERE {one} <> ''").fetchone()
        for f in files
    ]
    return any(all(line[i] is not False for line in found) for i in range(2))


def copy_csv(
    connection: Any,
    file: CsvHeader,
    target: Path,
    *,
    whole: bool,
    decimal: str,
    numbers: Sequence[str],
) -> None:
    """Write a CSV file's rows, in their order, as Parquet.

    Parameters
    ----------
    connection : DuckDB connection
    file : CsvHeader
    target : Path
        Parquet file to write.
    whole : bool
        Whether ids become integers.
    decimal : str
        Sign of the numbers.
    numbers : sequence of str
        Columns of numbers, where they are there.
    """
    import ibis

    with text_table(connection, file) as rows:
        columns = {}
        for name in file.columns:
            column = rows[name]
            if name == schema.CUSTOMER_ID and whole:
                column = column.re_replace(r"\.0$", "").nullif("").cast("int64")
            if name in numbers:
                column = number_of(column, decimal, money=name not in _COUNTS)
            columns[name] = column
        columns |= {GIVEN + name: rows[name] for name in file.columns if name in numbers}
        connection.execute(
            f"COPY ({ibis.to_sql(rows.select(**columns), dialect='duckdb')}) TO {quoted(target)} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )


def read_csv(
    path: Path,
    options: CsvOptions,
    wanted: Sequence[str],
    numbers: Sequence[str] | None,
) -> tuple[pa.Table, str | None]:
    """Read a CSV file into memory, as `copy_csv` does.

    Parameters
    ----------
    path : Path
    options : CsvOptions
    wanted : sequence of str
        Columns that tell the right delimiter.
    numbers : sequence of str or None
        Columns of numbers, where they are there; None for all but customer_id.

    Returns
    -------
    pyarrow.Table
        Its columns.
    str or None
        What was found of how it is written.

    Raises
    ------
    SchemaError
        It cannot be read, or has text where numbers are meant.
    """
    scratch = Scratch()
    with TemporaryDirectory() as folder, connected(Resources()) as connection:
        file = open_csv(path, options, scratch, wanted)
        if numbers is None:
            numbers = [name for name in file.columns if name != schema.CUSTOMER_ID]
        whole = schema.CUSTOMER_ID in file.columns and whole_ids(connection, [file])
        decimal, note = decimal_of(connection, [file], numbers, options.decimal)
        target = Path(folder) / "rows.parquet"
        copy_csv(connection, file, target, whole=whole, decimal=decimal, numbers=numbers)
        table = pq.read_table(target)
    for name in file.columns:
        if name in numbers:
            _refuse_text(path, name, table, options.decimal)
    return table.select(list(file.columns)), note


def _refuse_text(path: Path, name: str, table: pa.Table, decimal: str | None) -> None:
    given = pc.utf8_trim_whitespace(table[GIVEN + name])
    missing = pc.is_in(pc.utf8_lower(given), pa.array(MISSING, pa.string()))
    read = pc.or_(pc.is_valid(table[name]), pc.or_(pc.is_null(given), missing))
    wrong = given.filter(pc.invert(read))
    if len(wrong):
        cure = "." if decimal is None else f", or leave out decimal={decimal!r}."
        raise SchemaError(
            f"{len(wrong):,} rows of {path} have text in {name!r} that cannot be read as a number, "
            f"such as {quoted_texts(wrong.to_pylist())}. Correct or drop them{cure}"
        )
