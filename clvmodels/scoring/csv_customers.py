"""CSV of customers -> Parquet, so that it is read by the block.

Every column is read as text. Numbers go into columns of numbers, and the text as it was
given stays beside them for the rejects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvmodels import schema
from clvmodels.errors import SchemaError, one_line
from clvmodels.log.amounts import MISSING, check_decimal, currency_of, read_amounts
from clvmodels.log.csv_files import (
    CsvHeader,
    Scratch,
    check_delimiter,
    check_encoding,
    open_csv_file,
    scan,
)
from clvmodels.log.embedded import Resources, connected, identifier, quoted
from clvmodels.log.sniff import present_rows, quoted_texts, two_decimals
from clvmodels.scoring.row_checks import columns_of, needed_of, refuse_confusing

if TYPE_CHECKING:
    import ibis

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
            f"{path} lacks {', '.join(missing)}; found {', '.join(header.columns)}. For a log "
            "pass customer_id_col, datetime_col and, for values, monetary_value_col."
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
        Where the file is written again if it is not in UTF-8.
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


_ROWS: Final = "rows_of_text"
# Where the comma is the decimal sign, programs write this between fields.
_OF_COMMAS: Final = ";"
COMMA_NOTE: Final = "Numbers were read with a decimal comma, the only reading that fits."


@contextmanager
def text_table(connection: Any, file: CsvHeader) -> Iterator[ibis.Table]:
    """Yield the rows of a file, all of it text, as a table of this connection."""
    import ibis

    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_ROWS} AS {scan([file])}")
    yield ibis.table(dict.fromkeys(file.columns, "string"), name=_ROWS)
    connection.execute(f"DROP VIEW {_ROWS}")


def number_of(column: Any, decimal: str, *, money: bool) -> Any:
    """Text -> float, null where it is none; what is plain is read by the short way."""
    import ibis

    read = read_amounts(column, decimal).number
    if not money:
        read = ibis.ifelse(currency_of(column, decimal) == "", read, ibis.null("float64"))
    if decimal == ".":
        return ibis.coalesce(column.strip().try_cast("float64"), read)
    plain = column.strip().replace(",", ".").try_cast("float64")
    return ibis.ifelse(column.contains("."), read, ibis.coalesce(plain, read))


def decimal_of(
    connection: Any, files: Sequence[CsvHeader], numbers: Sequence[str], decimal: str | None
) -> tuple[str, str | None]:
    """Find the decimal sign of numbers, and what is to be said of it.

    Numbers as programs write them have a point; it is only where something else is there
    too, or fields are told apart by semicolons, that the texts are looked at.

    Raises
    ------
    SchemaError
        Numbers can be read with both signs, as other numbers, or are in several currencies.
    """
    if decimal is None and not any(_asks(connection, file, numbers) for file in files):
        return ".", None
    lines = [
        _readings(connection, file, name, decimal)
        for file in files
        for name in numbers
        if name in file.columns
    ]
    if decimal is not None:
        return decimal, None
    point, comma = (any(line[key] for line in lines) for key in ("point", "comma"))
    left_open = next((line for line in lines if line["open"]), None)
    if left_open is not None and point == comma:
        raise two_decimals(left_open["name"], left_open["sample"], mixed=point)
    return (",", COMMA_NOTE) if comma and not point else (".", None)


def _asks(connection: Any, file: CsvHeader, numbers: Sequence[str]) -> bool:
    """Whether the numbers of a file are not all as programs write them."""
    if file.delimiter == _OF_COMMAS:
        return True
    names = [identifier(name) for name in numbers if name in file.columns]
    if not names:
        return False
    other = " OR ".join(
        f"(trim({n}) <> '' AND TRY_CAST(trim({n}) AS DOUBLE) IS NULL)" for n in names
    )
    [found] = connection.execute(f"SELECT bool_or({other}) FROM ({scan([file])})").fetchone()
    return bool(found)


def _readings(connection: Any, file: CsvHeader, name: str, decimal: str | None) -> dict[str, Any]:
    """Numbers that one sign alone fits, and those that leave it open, with some of these.

    A point that both fit leaves nothing open where fields are told apart by commas: it is
    how programs write numbers.
    """
    with text_table(connection, file) as table:
        rows = present_rows(table.select(name)[name])
        column = rows[name]
        point, comma = (read_amounts(column, sign).number for sign in (".", ","))
        both = (point != comma).fill_null(False)
        left_open = both if file.delimiter == _OF_COMMAS else both & column.contains(",")
        counts = {
            "point": point.notnull() & comma.isnull(),
            "comma": comma.notnull() & point.isnull(),
            "open": left_open,
        }
        sums = {key: one.cast("int64").sum().fill_null(0) for key, one in counts.items()}
        [line] = _fetch(connection, rows.aggregate(**sums))
        texts = [row[name] for row in _fetch(connection, rows.filter(left_open).limit(3))]
        signs = currency_of(column, decimal or ("," if line["comma"] else "."))
        found = rows.select(sign=signs).distinct().order_by("sign")
        listed = [repr(row["sign"]) for row in _fetch(connection, found) if row["sign"]]
    if len(listed) > 1:
        raise SchemaError(
            f"Numbers in {name!r} are in several currencies ({', '.join(listed[:9])}), which "
            "cannot be added: convert them to one."
        )
    return {**line, "name": name, "sample": quoted_texts(texts)}


def _fetch(connection: Any, expression: Any) -> list[dict[str, Any]]:
    import ibis

    found = connection.execute(str(ibis.to_sql(expression, dialect="duckdb")))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
