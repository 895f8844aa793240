"""How dates and amounts of a log are written: the one reading that fits, or a question.

A look at the first rows mostly decides, since a reading that does not fit one of them does
not fit the column; where it leaves two, all rows are counted. What the reading chosen does
not fit is found again when the rows are read: they are unreadable, and counted, and where
another reading fits them the choice was wrong (`clvmodels.log.unread`).
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from clvmodels.dates import DAY, DIGITS, MOMENT
from clvmodels.errors import SchemaError
from clvmodels.log.amounts import currency_of, read_amounts
from clvmodels.log.column_checks import is_written
from clvmodels.log.date_texts import (
    COMPACT,
    EPOCHS,
    READINGS,
    RIVALS,
    read_dates,
    words_of,
)
from clvmodels.log.options import LogOptions
from clvmodels.log.row_expressions import currency_in
from clvmodels.log.where import condition

if TYPE_CHECKING:
    import ibis

_FIRST_ROWS: Final = 10_000
_OUR_TIME: Final = (1990, 2100)
# Days that a spreadsheet counts, of 1954 to 2064
_SHEET_FROM, _SHEET_TO = 20_000, 60_000
# Counts since 1970 in these years, and dates as numbers (20111209): no two overlap
_FROM, _TO = 631_152_000, 4_102_444_800
_COMPACT_FROM, _COMPACT_TO = 19_000_101, 21_001_231
_DIGITS: Final[Mapping[str, str]] = {
    "s": r"^\d{9,10}(\.0)?$",
    "ms": r"^\d{12,13}(\.0)?$",
}
# Readings of which one log can have but one
_GROUPS: Final = (RIVALS, tuple(_DIGITS))
# What numbers are not made of, such as a currency
_SIGN: Final = r"[^-+0-9.,'()\s_eE]"
# Amounts that a decimal point alone fits, and those that either sign fits alike
_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]{1,2})?")
_READABLE: Final = ("iso", *READINGS, *_DIGITS)

SPREADSHEET_CURE: Final = (
    "They look like the days that a spreadsheet counts: let it write the column as dates, such as "
    "2011-12-09."
)

Fetch = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Sniffed:
    """Options with what was found, and what is to be said of it.

    Attributes
    ----------
    options : LogOptions
        With a date format where dates are not ISO, and a decimal sign where amounts are text.
    notes : tuple of str
        Of the audit.
    guessed : tuple of str
        Columns whose reading was found, where nobody said it.
    """

    options: LogOptions
    notes: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


def sniff(table: ibis.Table, options: LogOptions, fetch: Fetch) -> Sniffed:
    """Find how dates and amounts are written, as far as the options leave it open.

    Parameters
    ----------
    table : ibis.Table
        The log.
    options : LogOptions
        How it is to be read.
    fetch : callable
        Runs an expression and gives an Arrow table.

    Raises
    ------
    SchemaError
        More than one reading fits all rows, or none of them does.
    """
    notes: list[str] = []
    guessed: list[str] = []
    column = alone(table, options.datetime_col)
    if is_written(column.type()):
        text = column.type().is_string()
        found = options.date_format or (
            _dates_of_text(column, fetch) if text else _dates_of_numbers(column, options, fetch)
        )
        if found is not None and options.date_format is None:
            notes.append(f"dates read as {words_of(found)}, the only reading that fits")
            guessed.append(options.datetime_col)
        elif found is not None and found in EPOCHS and options.implausible_dates != "keep":
            _check_unit(column, found, fetch)
        options = replace(options, date_format=found)
    if options.monetary_value_col is None:
        return Sniffed(options, tuple(notes), tuple(guessed))
    column = alone(table, options.monetary_value_col)
    if column.type().is_string():
        guessed += [options.monetary_value_col] if options.decimal is None else []
        found, note, marked = _decimal(column, options, fetch)
        notes += [note] if note else []
        options = replace(options, decimal=found)
        if marked and options.currency_col is None:
            _one_currency(table, options, fetch)
    if options.currency_col is not None:
        notes += _converted(table, options, fetch)
    return Sniffed(options, tuple(notes), tuple(guessed))


# --- dates -----------------------------------------------------------------------------


def _dates_of_text(column: Any, fetch: Fetch) -> str | None:
    """Reading of dates as text; None is ISO, and where nothing can be read."""
    name, present = column.get_name(), present_rows(column)
    first = present.limit(_FIRST_ROWS)
    counts = _fits(first, name, fetch, _possible(fetch(first)[name].to_pylist()))
    # A count in another unit is a date as well, so that nothing would show it to be misread
    if len(best := _best(counts)) > 1 or not any(counts.values()) or best[0] in _DIGITS:
        counts = _fits(present, name, fetch)
    best = _best(counts)
    if not counts[best[0]]:
        return None
    rivals = next((group for group in _GROUPS if best[0] in group), ())
    if not set(best[1:]) <= set(rivals):  # which no row has in common
        raise SchemaError(
            f"Dates in {name!r}, such as {quoted_texts(fetch(first)[name].to_pylist())}, are "
            f"written in more than one way ({', '.join(map(words_of, best))}), each in as many "
            "rows: write all alike, such as 2011-12-09."
        )
    mixed = sum(counts[f"any {one}"] for one in rivals[:1]) > counts[best[0]]
    if len(best) > 1 or mixed:
        readings = best if len(best) > 1 else rivals[:2]
        raise two_date_readings(name, _sample(present, name, fetch), readings, mixed=mixed)
    return None if best[0] == "iso" else best[0]


def two_date_readings(
    name: str, sample: str, readings: Sequence[str], *, mixed: bool
) -> SchemaError:
    """Make the error for dates that can be read in two ways."""
    said = " and ".join(words_of(one) for one in readings)
    fit = "some rows, but not the others" if mixed else "every row"
    how = (
        "'dmy' (day/month/year), 'mdy' (month/day/year) or a format such as '%y/%m/%d'"
        if readings[0] in RIVALS
        else "'s' or 'ms'"
    )
    return SchemaError(
        f"Dates in {name!r}, such as {sample}, can be read as {said}: each fits {fit}. Say which "
        f"it is with date_format={how}."
    )


def _fits(
    table: Any, name: str, fetch: Fetch, possible: Sequence[str] = _READABLE
) -> dict[str, int]:
    """Rows that each reading fits, and those that any of some rivals fits."""
    column = table[name]
    fits: dict[str, Any] = {}
    for key in possible:
        digits = _DIGITS.get(key)
        fits[key] = (
            column.strip().re_search(digits) if digits else read_dates(column, key).notnull()
        )
    for group in _GROUPS:
        if there := [fits[one] for one in group if one in fits]:
            fits[f"any {group[0]}"] = functools.reduce(operator.or_, there)
    sums = {f"n{i}": one.cast("int64").sum() for i, one in enumerate(fits.values())}
    line = fetch(table.aggregate(**sums)).to_pylist()[0] if sums else {}
    rows = {key: int(line[f"n{i}"] or 0) for i, key in enumerate(fits)}
    return dict.fromkeys((*_READABLE, *(f"any {group[0]}" for group in _GROUPS)), 0) | rows


def _possible(texts: Sequence[str]) -> list[str]:
    """Readings whose pattern some text has: the engine is asked of no others, each is long."""
    distinct = {text.strip() for text in texts}
    patterns = {"iso": "|".join((DIGITS, DAY, MOMENT)), **_DIGITS}
    patterns |= {key: one.pattern for key, one in READINGS.items()}
    found = {key: re.compile(pattern, re.ASCII).search for key, pattern in patterns.items()}
    return [key for key in _READABLE if any(map(found[key], distinct))]


def _best(counts: Mapping[str, int]) -> list[str]:
    """Readings that fit the most rows."""
    own = {key: rows for key, rows in counts.items() if not key.startswith("any ")}
    most = max(own.values())
    return [key for key, rows in own.items() if rows == most] if most else [next(iter(own))]


def _dates_of_numbers(column: Any, options: LogOptions, fetch: Fetch) -> str | None:
    """Unit of dates as numbers, by their size; None where there are none."""
    kind, name = column.type(), column.get_name()
    table = _table_of(column)
    if kind.is_floating():
        table = table.filter(~column.isnan())
    [line] = fetch(table.aggregate(low=table[name].min(), high=table[name].max())).to_pylist()
    low, high = line["low"], line["high"]
    if low is None:
        return None
    if low >= _COMPACT_FROM and high <= _COMPACT_TO:
        return COMPACT
    for unit, (_, times, over) in EPOCHS.items():
        scale = 1_000_000 // times * over
        if _FROM * scale <= low and high <= _TO * scale:
            return unit
    if low >= _SHEET_FROM and high <= _SHEET_TO:
        raise SchemaError(
            f"datetime_col={options.datetime_col!r} holds {kind}, numbers from {low:,} to "
            f"{high:,}. {SPREADSHEET_CURE}"
        )
    raise SchemaError(
        f"datetime_col={options.datetime_col!r} holds {kind}, numbers from {low:,} to {high:,}, "
        "which are not recognised as dates. If they count from 1970, pass their unit, "
        "date_format='s', 'ms', 'us' or 'ns'; else name the column of dates, or convert this one."
    )


def _check_unit(column: Any, unit: str, fetch: Fetch) -> None:
    """Refuse a unit with which all dates lie before 1990, if they are of our time with another."""
    first, last = _ends(column, unit, fetch)
    if last is None or last.year >= _OUR_TIME[0]:
        return
    for one, (words, *_) in EPOCHS.items():
        low, high = _ends(column, one, fetch)
        if high is not None and _OUR_TIME[0] <= low.year and high.year < _OUR_TIME[1]:
            raise SchemaError(
                f"Read as {EPOCHS[unit][0]} since 1970, all dates in {column.get_name()!r} lie "
                f"between {first:%Y-%m-%d} and {last:%Y-%m-%d}; as {words}, between "
                f"{low:%Y-%m-%d} and {high:%Y-%m-%d}. Pass date_format={one!r}, or use them as "
                "they are with implausible_dates='keep'."
            )


def _ends(column: Any, date_format: str, fetch: Fetch) -> tuple[Any, Any]:
    """First and last date of a column, None where nothing is read."""
    read = read_dates(column, date_format)
    [line] = fetch(_table_of(column).aggregate(low=read.min(), high=read.max())).to_pylist()
    return line["low"], line["high"]


# --- amounts ---------------------------------------------------------------------------


def _decimal(column: Any, options: LogOptions, fetch: Fetch) -> tuple[str, str, bool]:
    """Decimal sign of amounts as text, what is to be said of it, and whether currencies are."""
    name, present = column.get_name(), present_rows(column)
    first = present.limit(_FIRST_ROWS)
    texts = fetch(first)[name].to_pylist()
    line = _plain_readings(present, texts, name, fetch) or _readings(first, name, fetch)
    if len(texts) == _FIRST_ROWS and not line["currencies"]:
        line["currencies"] = fetch(present.filter(present[name].re_search(_SIGN)).limit(1)).num_rows
    if options.decimal is None and (line["point"] == 0) == (line["comma"] == 0):
        line = _readings(present, name, fetch) if line["rest"] else line
    marked = bool(line["currencies"])
    if options.decimal is not None:
        return options.decimal, "", marked
    point, comma, differ = (int(line[key] or 0) for key in ("point", "comma", "differ"))
    if (point and comma) or (differ and not point and not comma):
        raise two_decimals(name, _sample(present, name, fetch), mixed=bool(point))
    if comma:
        note = "amounts read with a decimal comma, the only reading that fits"
        return ",", note, marked
    return ".", "", marked


def two_decimals(name: str, sample: str, *, mixed: bool) -> SchemaError:
    """Make the error for numbers that can be read in two ways."""
    fit = "some rows, but not the others" if mixed else "every row"
    return SchemaError(
        f"Numbers in {name!r}, such as {sample}, can be read with a decimal point and with a "
        f"decimal comma: each fits {fit}. Say which it is with decimal='.' or decimal=','."
    )


def _plain_readings(
    present: Any, first: Sequence[str], name: str, fetch: Fetch
) -> dict[str, Any] | None:
    """`_readings` of the first rows where these are plain, such as 12 and 9.50: most logs' are.

    The engine would need longer to understand the question than to answer it.
    """
    texts = [text.strip(" ") for text in first]
    if not all(map(_PLAIN.fullmatch, texts)):
        return None
    point = sum("." in text for text in texts)
    whole = present[name].strip().re_search("^-?[0-9]+$")
    rest = not point and fetch(present.filter(~whole).limit(1)).num_rows > 0
    return {"point": point, "comma": 0, "differ": 0, "currencies": 0, "rest": rest}


def _readings(table: Any, name: str, fetch: Fetch) -> dict[str, Any]:
    """Rows that only one decimal sign fits, and those that both fit with other values.

    "rest" says that rows beyond them may tell more.
    """
    column = table[name]
    point, comma = (read_amounts(column, sign).number for sign in (".", ","))
    counts = {
        "point": point.notnull() & comma.isnull(),
        "comma": comma.notnull() & point.isnull(),
        "differ": (point != comma).fill_null(False),
        "currencies": (currency_of(column, ".") != "") | (currency_of(column, ",") != ""),
    }
    sums = {key: one.cast("int64").sum() for key, one in counts.items()}
    [line] = fetch(table.aggregate(**sums)).to_pylist()
    return {**line, "rest": True}


def _one_currency(table: Any, options: LogOptions, fetch: Fetch) -> None:
    """Refuse amounts in several currencies, which cannot be added."""
    import ibis

    if options.where is not None:
        table = table.filter(condition(options.where, table, options.decimal))
    name = str(options.monetary_value_col)
    found = table.select(sign=currency_of(table[name], str(options.decimal)))
    found = found.filter(ibis._.sign != "").distinct().order_by("sign").limit(9)
    signs = fetch(found)["sign"].to_pylist()
    if len(signs) > 1:
        listed = ", ".join(repr(one) for one in signs)
        raise SchemaError(
            f"Amounts in {name!r} are in several currencies ({listed}), which cannot be added: "
            "convert them to one, or choose the rows of one with where=."
        )


def _converted(table: Any, options: LogOptions, fetch: Fetch) -> list[str]:
    """Say how amounts are converted; refuse currencies that no rate is given of."""
    import ibis

    if options.where is not None:
        table = table.filter(condition(options.where, table, options.decimal))
    found = table.select(currency=currency_in(table, options)).distinct().order_by("currency")
    there = fetch(found.limit(20))["currency"].to_pylist()
    rates = dict(options.rates)
    if not rates and len(there) < 2:
        return []
    unknown = [repr(one) for one in there if one not in rates]
    if unknown:
        rest = fetch(found.filter(~ibis._.currency.isin(list(rates))).count().as_table())
        more = rest.column(0)[0].as_py() - len(unknown)
        raise SchemaError(
            f"{options.currency_col!r} has amounts in {', '.join(unknown)}"
            + (f" and {more:,} more" if more > 0 else "")
            + ", of which no rate is given, and sums over currencies mean nothing: pass rates=, "
            "such as {'EUR': 1.0, 'USD': 0.92}, or choose the rows of one with where=."
        )
    told = ", ".join(f"{name} {rate:g}" for name, rate in options.rates if name in there)
    return [f"amounts converted by {options.currency_col}: {told}"]


def _sample(table: Any, name: str, fetch: Fetch) -> str:
    found = fetch(table.limit(1_000))[name].to_pylist()
    # those with a sign between digits show the question
    telling = [text for text in found if any(sign in text for sign in ".,/-")]
    return quoted_texts(telling or found)


def quoted_texts(texts: Sequence[str]) -> str:
    """Write the first few different texts, as in messages."""
    return ", ".join(repr(text) for text in list(dict.fromkeys(texts))[:3])


def alone(table: ibis.Table, name: str) -> Any:
    """Return a column of a table that has no other."""
    return table.select(name)[name]


def _table_of(column: Any) -> Any:
    return column.op().rel.to_expr()


def present_rows(column: Any) -> Any:
    """Rows of a column of text that hold some."""
    return _table_of(column).filter(column.notnull() & (column.strip() != ""))
