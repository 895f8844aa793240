"""Ways in which dates are written, and expressions that read them.

A reading of text is a pattern and what its groups mean; it makes ISO text, which every
backend casts alike, where the backends' own parsers differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clvmodels.dates import DAY, DIGITS, MOMENT, OFFSET
from clvmodels.errors import SchemaError
from clvmodels.schema import MISSING_WORDS, shown

# An offset is dropped: the wall-clock time counts, as for time-zone-aware columns.
_OFFSET: Final = r" ?(?:Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
_HOUR, _SIXTY = r"([01]?\d|2[0-3])", r"([0-5]?\d)"
_CLOCK: Final = (
    rf"(?:(?:[T ]|, ?){_HOUR}:{_SIXTY}(?::{_SIXTY}(\.\d*)?)?(?: ?([AaPp])\.?[Mm]\.?)?"
    rf"(?:{_OFFSET})?)?"
)
_CLOCK_FIELDS: Final = "HMSfp"
_YEAR, _ONE_OR_TWO, _NAME = r"(\d{4}|\d{2})", r"(\d{1,2})", r"([A-Za-z]{3,9})\.?"
# Two digits of a year, as POSIX reads them
PIVOT: Final = 69
_NAMES: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
# Whole names and their beginnings: "marras" is no March, but November in Finnish
MONTHS: Final[Mapping[str, str]] = {
    **{name: f"{i:02}" for i, name in enumerate(_NAMES, 1)},
    **{name[:3]: f"{i:02}" for i, name in enumerate(_NAMES, 1)},
    "sept": "09",
}


@dataclass(frozen=True, slots=True)
class DateReading:
    """One way of reading text as dates.

    Parameters
    ----------
    words : str
        The order, as it is said to the user.
    pattern : str
        Regular expression of the whole text.
    fields : str
        What each of its groups is: letters of strptime, with "Y" for two and four digits.
    """

    words: str
    pattern: str
    fields: str


READINGS: Final[Mapping[str, DateReading]] = {
    "ymd": DateReading(
        "year/month/day",
        rf"^(\d{{4}})[/.](\d{{1,2}})[/.](\d{{1,2}}){_CLOCK}$",
        "Ymd" + _CLOCK_FIELDS,
    ),
    "dmy": DateReading(
        "day/month/year",
        rf"^{_ONE_OR_TWO}[/.-]{_ONE_OR_TWO}[/.-]{_YEAR}{_CLOCK}$",
        "dmY" + _CLOCK_FIELDS,
    ),
    "mdy": DateReading(
        "month/day/year",
        rf"^{_ONE_OR_TWO}[/.-]{_ONE_OR_TWO}[/.-]{_YEAR}{_CLOCK}$",
        "mdY" + _CLOCK_FIELDS,
    ),
    "%y/%m/%d": DateReading(
        "year/month/day with two-digit years",
        rf"^(\d{{2}})[/.-]{_ONE_OR_TWO}[/.-]{_ONE_OR_TWO}{_CLOCK}$",
        "Ymd" + _CLOCK_FIELDS,
    ),
    "d month y": DateReading(
        "day, name of the month, year",
        rf"^{_ONE_OR_TWO}\.?[ /.-]?{_NAME},?[ /.-]?{_YEAR}{_CLOCK}$",
        "dbY" + _CLOCK_FIELDS,
    ),
    "month d y": DateReading(
        "name of the month, day, year",
        # with something between day and year: "May 2020" is no 20th of May
        rf"^{_NAME}[ /.-]?{_ONE_OR_TWO}(?:, ?|[ /.-]){_YEAR}{_CLOCK}$",
        "bdY" + _CLOCK_FIELDS,
    ),
}
# Readings of the same text: one that fits no more rows than another says nothing.
RIVALS: Final = ("dmy", "mdy", "%y/%m/%d")
# Unit of a count since 1970 -> microseconds
EPOCHS: Final[Mapping[str, tuple[str, int, int]]] = {
    "s": ("seconds", 1_000_000, 1),
    "ms": ("milliseconds", 1_000, 1),
    "us": ("microseconds", 1, 1),
    "ns": ("nanoseconds", 1, 1_000),
}
COMPACT: Final = "%Y%m%d"
_DIRECTIVES: Final[Mapping[str, tuple[str, str]]] = {
    "Y": (r"(\d{4})", "Y"),
    "y": (r"(\d{2})", "Y"),
    "m": (_ONE_OR_TWO, "m"),
    "d": (_ONE_OR_TWO, "d"),
    "b": (_NAME, "b"),
    "B": (_NAME, "b"),
    "H": (_HOUR, "H"),
    "I": (r"(0?[1-9]|1[0-2])", "H"),
    "M": (_SIXTY, "M"),
    "S": (_SIXTY, "S"),
    "f": (r"(\d{1,9})", "F"),
    "p": (r"([AaPp])\.?[Mm]\.?", "p"),
    "z": (_OFFSET, ""),
    "T": (rf"{_HOUR}:{_SIXTY}:{_SIXTY}", "HMS"),
    "%": ("%", ""),
}
FORMATS: Final = (
    "'iso', 'ymd', 'dmy', 'mdy', a format such as '%d.%m.%Y %H:%M', or 's', 'ms', 'us' or 'ns' "
    "for a count since 1970"
)


def check_date_format(value: object) -> str | None:
    """Return a date format if it is one.

    Raises
    ------
    SchemaError
        It is neither one of the words nor a format that says year, month and day.
    """
    if value is None or value == "iso" or value in READINGS or value in EPOCHS:
        return None if value is None else str(value)
    if isinstance(value, str) and "%" in value:
        fields = _of_format(value).fields
        if all(len(set(part) & set(fields)) == 1 for part in ("Y", "mb", "d")):
            return value
    raise SchemaError(
        f"date_format={shown(value)} does not say how dates are written: use {FORMATS}."
    )


def words_of(date_format: str) -> str:
    """Say how dates are read, as in notes."""
    if date_format in EPOCHS:
        return f"{EPOCHS[date_format][0]} since 1970, in UTC"
    if date_format == "iso":
        return "ISO 8601"
    return READINGS[date_format].words if date_format in READINGS else date_format


def is_no_date(column: Any) -> Any:
    """Whether there is no date, rather than one that cannot be read."""
    kind = column.type()
    absent = column.isnull()
    if kind.is_string():
        return absent | column.strip().lower().isin(["", *MISSING_WORDS])
    return absent | column.isnan() if kind.is_floating() else absent


def read_dates(column: Any, date_format: str | None) -> Any:
    """Text or numbers -> local timestamp, null where it is written otherwise."""
    kind = column.type()
    if date_format is not None and date_format in EPOCHS:
        return _from_epoch(_counted(column), date_format)
    text = column.strip() if kind.is_string() else column.cast("int64").cast("string")
    if date_format in (None, "iso"):
        return _iso(text)
    return _read(text, READINGS.get(date_format) or _of_format(date_format))


def _counted(column: Any) -> Any:
    """Counts as whole numbers, without what a cast would round up to the next day."""
    import ibis

    kind = column.type()
    if not kind.is_string():
        return (column.floor() if kind.is_floating() else column).cast("int64")
    text = column.strip().re_replace(r"\.0*$", "")
    broken = text.try_cast("float64").floor().try_cast("int64")
    return ibis.ifelse(text.contains("."), broken, text.try_cast("int64"))


def _from_epoch(number: Any, unit: str) -> Any:
    import ibis

    _, times, over = EPOCHS[unit]
    # whole microseconds; beyond years 1 to 9999 a count is in another unit
    limit = 250_000_000_000_000_000 // times
    micro = ibis.ifelse(number.abs() <= limit, number, None) * times
    if over > 1:
        micro = (number - ((number % over) + over) % over) // over
    day = 86_400_000_000
    rest = ((micro % day) + day) % day
    days = ((micro - rest) / day).cast("int64")
    date = ibis.timestamp("1970-01-01") + days.as_interval("D")
    return date + rest.cast("int64").as_interval("us")


def _iso(text: Any) -> Any:
    """ISO 8601 text (2011-12-09, 20111209, 2011-12-09T08:26:00+01:00) -> local timestamp."""
    import ibis

    dashed = text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2)
    iso = ibis.cases(
        (text.re_search(DIGITS), dashed),
        (text.re_search(DAY), text),
        (text.re_search(MOMENT), text.re_replace(OFFSET + "$", "")),
        else_=ibis.null("string"),
    )
    return iso.try_cast("timestamp")


def _of_format(text: str) -> DateReading:
    """Translate a format of strptime."""
    pattern, fields = "", ""
    pieces = re.split(r"%(.)", text)
    for i, piece in enumerate(pieces):
        if i % 2 == 0:
            pattern += re.escape(piece).replace("\\ ", " +")
            continue
        if piece not in _DIRECTIVES:
            known = " ".join(f"%{name}" for name in _DIRECTIVES)
            raise SchemaError(f"date_format={text!r} has %{piece}, which is unknown: use {known}.")
        more, field = _DIRECTIVES[piece]
        pattern, fields = pattern + more, fields + field
    return DateReading(text, f"^{pattern}$", fields)


def _read(text: Any, reading: DateReading) -> Any:
    """Groups of the pattern -> ISO text -> timestamp."""
    import ibis

    part = {name: text.re_extract(reading.pattern, i + 1) for i, name in enumerate(reading.fields)}
    iso = _four_digits(part["Y"]) + "-" + _month(part) + "-" + _two_digits(part["d"])
    if "H" in part:
        clock = [_hour(part), *(_two_digits(part[name]) for name in "MS" if name in part)]
        clock += ["00"] * (3 - len(clock))
        iso = iso + " " + clock[0] + ":" + clock[1] + ":" + clock[2]
    if "f" in part:
        iso = iso + part["f"]
    if "F" in part:
        iso = iso + "." + part["F"]
    fits = text.re_search(reading.pattern)
    return ibis.ifelse(fits, iso, ibis.null("string")).try_cast("timestamp")


def _four_digits(year: Any) -> Any:
    import ibis

    return ibis.cases((year.length() == 4, ""), (year < str(PIVOT), "20"), else_="19") + year


def _two_digits(number: Any) -> Any:
    """One or two digits, or none -> two; written without lpad, which says its text four times."""
    import ibis

    return (ibis.literal("00") + number).right(2)


def _month(part: Mapping[str, Any]) -> Any:
    import ibis

    if "m" in part:
        return _two_digits(part["m"])
    return part["b"].lower().cases(*MONTHS.items(), else_=ibis.null("string"))


def _hour(part: Mapping[str, Any]) -> Any:
    import ibis

    hour = _two_digits(part["H"])
    if "p" not in part:
        return hour
    marker, number = part["p"].lower(), hour.cast("int64")
    noon = number % 12 + ibis.ifelse(marker == "p", 12, 0)
    return _two_digits(ibis.ifelse(marker.isin(["a", "p"]), noon, number).cast("string"))
