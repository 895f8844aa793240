"""Rows whose text was not read: what it is, and whether the reading chosen was the right one."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from clvmodels.errors import SchemaError
from clvmodels.log.amounts import read_amounts
from clvmodels.log.audit import Audit, Reason
from clvmodels.log.date_texts import MONTHS, READINGS, RIVALS, is_no_date, read_dates
from clvmodels.log.embedded import fetch
from clvmodels.log.options import LogOptions
from clvmodels.log.sniff import (
    SPREADSHEET_CURE,
    Fetch,
    alone,
    present_rows,
    quoted_texts,
    two_date_readings,
    two_decimals,
)
from clvmodels.log.sources import OpenLog

if TYPE_CHECKING:
    import ibis

_LOOK = 1_000


def unreadable_texts(table: ibis.Table, options: LogOptions, fetch: Fetch) -> dict[str, list[str]]:
    """Some texts of dates and amounts that cannot be read, by column."""
    found = {
        name: fetch(rows.limit(_LOOK))[name].to_pylist() for name, rows in _unread(table, options)
    }
    return {name: texts for name, texts in found.items() if texts}


def refuse_contradicted(
    table: ibis.Table, options: LogOptions, guessed: Sequence[str], fetch: Fetch
) -> None:
    """Refuse a reading that was guessed from the first rows and that later ones contradict.

    Rows that both readings fit, with other values, cannot be told from the right ones: so
    there is no point in leaving out those that show the contradiction.

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


def other_dates(table: ibis.Table, options: LogOptions, fetch: Fetch) -> list[str]:
    """Return the other ways of writing dates with which unreadable ones can all be read."""
    name = options.datetime_col
    for column, rows in _unread(table, options):
        if column == name:
            look = rows.limit(_LOOK)
            others = [one for one in ("iso", *READINGS) if one != (options.date_format or "iso")]
            read = {
                f"n{i}": read_dates(look[name], one).isnull().cast("int64").sum()
                for i, one in enumerate(others)
            }
            [line] = fetch(look.aggregate(**read)).to_pylist()
            return [one for i, one in enumerate(others) if line[f"n{i}"] == 0]
    return []


def _unread(table: ibis.Table, options: LogOptions) -> Iterable[tuple[str, Any]]:
    """Columns of text, each with its rows that are not read."""
    for name in (options.datetime_col, options.monetary_value_col):
        if name is None or not (column := alone(table, name)).type().is_string():
            continue
        rows = present_rows(column)
        if name == options.datetime_col:
            wrong = read_dates(rows[name], options.date_format).isnull() & ~is_no_date(rows[name])
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


# Beyond this share of unreadable dates or amounts the column is another, or written otherwise.
MAX_UNREADABLE: Final = 0.1
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_SPREADSHEET: Final = re.compile(r"^[1-9]\d{4}([.,]\d+)?$")


def with_texts(audit: Audit, log: OpenLog) -> Audit:
    """Show in an audit what cannot be read.

    Raises
    ------
    SchemaError
        It is much of the dates or amounts, or another reading than the one guessed fits it.
    """
    amounts = audit.rows_left_out(Reason.UNREADABLE_AMOUNT)
    dates = audit.rows_left_out(Reason.UNREADABLE_DATE)
    if not amounts and not dates:
        return audit
    options = log.options
    run = functools.partial(fetch, log.table.get_backend())
    refuse_contradicted(log.table, options, log.guessed, run)
    texts = unreadable_texts(log.table, options, run)
    told = (
        ("a date", dates, options.datetime_col),
        ("an amount", amounts, options.monetary_value_col),
    )
    notes = []
    for what, rows, name in told:
        if not rows or name is None or name not in texts:
            continue
        shown = quoted_texts(texts[name])
        if rows > MAX_UNREADABLE * audit.rows_read:
            most = 2 * rows > audit.rows_read
            cure = (
                _date_cure(texts[name], log.table, options, run, most=most)
                if what == "a date"
                else _amount_cure(log.table, options, run)
            )
            raise SchemaError(
                f"{rows:,} of {audit.rows_read:,} rows have text in {name!r} that cannot be read "
                f"as {what}, such as {shown}. {cure}"
            )
        notes.append(f"unreadable {what.split()[-1]}s in {name!r}, such as {shown}")
    return replace(audit, notes=(*audit.notes, *notes))


def _amount_cure(table: ibis.Table, options: LogOptions, fetch: Fetch) -> str:
    sign = other_decimal(table, options, fetch)
    return "Check the column." if sign is None else f"Pass decimal={sign!r}, which fits them."


def _date_cure(
    texts: Sequence[str], table: ibis.Table, options: LogOptions, fetch: Fetch, *, most: bool
) -> str:
    fits = other_dates(table, options, fetch)
    if fits and not most:
        return "Other rows are written otherwise: write all dates alike, such as 2011-12-09."
    if len(fits) == 1:
        return f"Pass date_format={fits[0]!r}, which fits them."
    if all(_SPREADSHEET.match(text.strip()) for text in texts):
        return SPREADSHEET_CURE
    words = {word for text in texts for word in _WORD.findall(text.lower())}
    return (
        "Dates as text are ISO 8601 (2011-12-09, 20111209, 2011-12-09T08:26) or written in one "
        "other way throughout: say which with date_format='%d.%m.%Y'."
        + (" Names of months are read in English only." if words - MONTHS.keys() else "")
    )
