"""Numbers of customers in CSV files: which sign is their decimal sign, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from clvmodels.errors import SchemaError
from clvmodels.log.amounts import currency_of, read_amounts
from clvmodels.log.csv_files import CsvHeader, scan
from clvmodels.log.sniff import present_rows, quoted_texts, two_decimals
from clvmodels.scoring.duck import identifier

if TYPE_CHECKING:
    import ibis

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
