"""Rows whose text was not read: what it is, and whether the reading chosen was the right one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from clvmodels.log.amounts import read_amounts
from clvmodels.log.date_texts import RIVALS, read_dates
from clvmodels.log.options import LogOptions
from clvmodels.log.sniff import (
    Fetch,
    alone,
    present_rows,
    quoted_texts,
    two_date_readings,
    two_decimals,
)

if TYPE_CHECKING:
    import ibis

_LOOK = 1_000


def unreadable_texts(table: ibis.Table, options: LogOptions, fetch: Fetch) -> dict[str, str]:
    """Some texts of dates and amounts that cannot be read, by column, as they are shown."""
    return {
        name: quoted_texts(fetch(rows.limit(_LOOK))[name].to_pylist())
        for name, rows in _unread(table, options)
    }


def refuse_contradicted(
    table: ibis.Table, options: LogOptions, guessed: Sequence[str], fetch: Fetch
) -> None:
    """Refuse a reading that was guessed from the first rows and that later ones contradict.

    Rows that both readings fit, with other values, cannot be told from the right ones: so
    it is no use to leave out those that show the contradiction.

    Parameters
    ----------
    table : ibis.Table
        The log.
    options : LogOptions
        With the readings that were chosen.
    guessed : sequence of str
        Columns whose reading nobody said.
    fetch : callable
        Runs an expression and gives an Arrow table.

    Raises
    ------
    SchemaError
        Another reading fits what the one chosen does not.
    """
    for name, rows in _unread(table, options):
        if name not in guessed:
            continue
        for error, read in _others(name, rows[name], options):
            found: pa.Table = fetch(rows.filter(read.notnull()).limit(_LOOK))
            if len(found):
                raise error(quoted_texts(found[name].to_pylist()))


def other_decimal(table: ibis.Table, options: LogOptions, fetch: Fetch) -> str | None:
    """Return the decimal sign with which unreadable amounts can be read, if there is one."""
    for name, rows in _unread(table, options):
        if name == options.monetary_value_col:
            other = _other(options.decimal)
            look = rows.limit(_LOOK)
            read = look.mutate(fits=read_amounts(look[name], other).number.notnull())
            fits = fetch(read.select("fits"))["fits"].to_pylist()
            return other if fits and all(fits) else None
    return None


def _unread(table: ibis.Table, options: LogOptions) -> Iterable[tuple[str, Any]]:
    """Columns of text, each with its rows that are not read."""
    for name in (options.datetime_col, options.monetary_value_col):
        if name is None or not (column := alone(table, name)).type().is_string():
            continue
        rows = present_rows(column)
        if name == options.datetime_col:
            wrong = read_dates(rows[name], options.date_format).isnull()
        else:
            read = read_amounts(rows[name], options.decimal)
            wrong = read.number.isnull() & ~read.missing
        yield name, rows.filter(wrong)


def _others(name: str, column: Any, options: LogOptions) -> Iterable[tuple[Any, Any]]:
    """Other readings of a column, each with the error that they are."""
    if name != options.datetime_col:
        other = _other(options.decimal)
        yield (
            lambda sample: two_decimals(name, sample, mixed=True),
            read_amounts(column, other).number,
        )
    elif (chosen := options.date_format) in RIVALS:
        for other in RIVALS:
            if other != chosen:
                readings = [one for one in RIVALS if one in (chosen, other)]
                yield (
                    lambda sample, both=readings: two_date_readings(name, sample, both, mixed=True),
                    read_dates(column, other),
                )


def _other(decimal: str | None) -> str:
    return "," if decimal in (None, ".") else "."
