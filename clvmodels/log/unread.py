"""Rows whose text was not read: what it is, and whether the reading chosen was the right one."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from clvmodels.errors import SchemaError
from clvmodels.log.amounts import read_amounts
from clvmodels.log.audit import Audit, Reason
from clvmodels.log.date_texts import RIVALS, read_dates
from clvmodels.log.embedded import fetch
from clvmodels.log.options import LogOptions
from clvmodels.log.sniff import (
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


# Beyond this share of unreadable amounts the column is another, or written otherwise.
MAX_UNREADABLE_AMOUNTS: Final = 0.1


def with_texts(audit: Audit, log: OpenLog) -> Audit:
    """Show in an audit what cannot be read.

    Raises
    ------
    SchemaError
        It is much of the amounts, or another reading than the one guessed fits it.
    """
    amounts = audit.rows_left_out(Reason.UNREADABLE_AMOUNT)
    dates = audit.rows_left_out(Reason.UNREADABLE_DATE)
    if not amounts and not dates:
        return audit
    options = log.options
    run = functools.partial(fetch, log.table.get_backend())
    refuse_contradicted(log.table, options, log.guessed, run)
    texts = unreadable_texts(log.table, options, run)
    if amounts > MAX_UNREADABLE_AMOUNTS * audit.rows_read:
        sign = other_decimal(log.table, options, run)
        cure = "Check the column." if sign is None else f"Pass decimal={sign!r}, which fits them."
        raise SchemaError(
            f"{amounts:,} of {audit.rows_read:,} rows have text in {options.monetary_value_col!r} "
            f"that cannot be read as an amount, such as {texts[str(options.monetary_value_col)]}. "
            f"{cure}"
        )
    told = (
        ("dates", dates, options.datetime_col),
        ("amounts", amounts, options.monetary_value_col),
    )
    notes = [
        f"unreadable {what} in {name!r}, such as {texts[name]}"
        for what, rows, name in told
        if rows and name is not None and texts.get(name)
    ]
    return replace(audit, notes=(*audit.notes, *notes))
