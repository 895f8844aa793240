"""How the values of a record are written: one rule for page, terminal and tests."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from clvmodels.diagnostics.record import Format
from clvmodels.diagnostics.words import round_number

MISSING: Final = "\N{EN DASH}"
NUMERIC: Final = frozenset({"integer", "number", "percent", "error", "money", "duration"})
_DIGITS: Final = {"number": 4, "duration": 4}
_FIGURE: Final = "\N{FIGURE SPACE}"
_POINT: Final = "\N{PUNCTUATION SPACE}"
_WRITTEN: Final = re.compile(r"(?P<whole>[^.]*\d)(?P<fraction>\.\d+)?(?P<rest>( %)?)")
_WHOLE_MONEY: Final = 100.0  # from where on a column of amounts needs no cents
THOUSANDS: Final = 1e5  # from where on a column of amounts is written in thousands
_UNWELCOME: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI: Final = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Replace what neither HTML, XML nor a terminal takes: control codes, lone surrogates."""
    return _UNWELCOME.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """Text for one line of a terminal: no line breaks, no codes that turn directions."""
    return _BIDI.sub("", " ".join(clean(text).split()))


def code_line(text: str) -> str:
    """A line of code for a terminal: its blanks stay."""
    return _BIDI.sub("", clean(text).replace("\n", " ").expandtabs(4)).rstrip()


def is_number(value: Any) -> bool:
    """Whether a value can be compared as a number; truth values cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def write(value: Any, how: Format = "text", *, currency: str = "", time_unit: str = "") -> str:
    """Write a value for the eye.

    Parameters
    ----------
    value : float, int, str, bool or None
        None is a dash.
    how : Format
        See `clvmodels.diagnostics.record.Format`.
    currency, time_unit : str
        Written beside money and durations; "" leaves them out.
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value) or how not in NUMERIC:
        return str(value)
    if not math.isfinite(value):
        return MISSING
    if how == "money":
        return with_currency(_money(value), currency)
    if how == "duration":
        return f"{significant(value, 4)} {time_unit}".rstrip()
    if how == "percent":
        return percent(value)
    if how == "error":
        return f"{'+' if value > 0 else ''}{percent(value)}"
    if how == "integer":
        return f"{value:,.0f}"
    return significant(value, 4)


def unpadded(text: str) -> str:
    """A number of a column without its blanks."""
    return text.replace(_FIGURE, "").replace(_POINT, "")


def write_column(values: Sequence[Any], how: Format, *, thousands: bool = False) -> list[str]:
    """Write a column so that its decimal points lie below each other.

    Shares and amounts have as many decimals as their column; what is too small for these is said
    to be below them. Other numbers, which need not be of one kind, keep their digits, and blanks
    as wide as these follow.

    Parameters
    ----------
    values : sequence
        As in `write`.
    how : Format
        Of all of them.
    thousands : bool
        Whether amounts are written in thousands.
    """
    numbers = [v for v in values if _there(v)]
    if how == "money" and thousands:
        return _in_thousands(values)
    if how == "money" and max(map(abs, numbers), default=0.0) >= _WHOLE_MONEY:
        return [write(v, "integer") for v in values]
    if how in ("percent", "error"):
        return _shares(values, sign="+" * (how == "error"))
    texts = [write(v, how) for v in values]
    if how not in _DIGITS:
        return texts
    found = [
        _WRITTEN.fullmatch(one) if is_number(v) else None
        for v, one in zip(values, texts, strict=True)
    ]
    most = max((len(one["fraction"] or ".") - 1 for one in found if one), default=0)
    return [
        _padded(one, _DIGITS[how], most) if one else text
        for text, one in zip(texts, found, strict=True)
    ]


def _shares(values: Sequence[Any], *, sign: str) -> list[str]:
    """Percentages, with no decimals where all are whole, and two where all are below 10."""
    known = [abs(100.0 * v) for v in values if _there(v) and v]
    whole = all(abs(one - round(one)) < 5e-4 for one in known)
    places = 0 if whole else 2 if max(known) < 10 else 1
    return [_share(100.0 * v, places, sign) if _there(v) else MISSING for v in values]


def _share(size: float, places: int, sign: str) -> str:
    text = f"{size:{sign if size > 0 else ''},.{places}f} %"
    least = 10.0**-places
    if size and not round(size, places):
        return f"{_nearly_0(size)}{least:.{places}f} %"
    if not sign and size < 100 and round(size, places) == 100:
        return f">{100 - least:.{places}f} %"
    return text


def _in_thousands(values: Sequence[Any]) -> list[str]:
    sizes = [v / 1000.0 if _there(v) else None for v in values]
    places = int(any(one and abs(one) < _WHOLE_MONEY for one in sizes))
    return [
        MISSING
        if one is None
        else f"{_nearly_0(one)}{10.0**-places:.{places}f}"
        if one and not round(one, places)
        else f"{one:,.{places}f}"
        for one in sizes
    ]


def _nearly_0(size: float) -> str:
    return "<" if size > 0 else ">-"


def _there(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _padded(written: re.Match[str], digits: int, most: int) -> str:
    """A number with zeros as far as its digits are known, then blanks as wide as digits."""
    whole, fraction = written["whole"], written["fraction"] or ""
    size = abs(float(re.sub(r"[^\d.]", "", f"{whole}{fraction}")))
    known = min(most, digits - 1 - math.floor(math.log10(size))) if size else 0
    if known > 0:
        fraction = (fraction or ".").ljust(1 + known, "0")
    blanks = _FIGURE * (most - max(len(fraction) - 1, 0))
    return f"{whole}{fraction}{_POINT if most and not fraction else ''}{blanks}{written['rest']}"


def significant(value: float, digits: int) -> str:
    """Up to that many significant digits; large numbers keep all before the point."""
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent >= 15:
        return f"{value:.{digits - 1}e}"
    text = f"{value:,.{max(0, digits - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """A share as a percentage of 3 digits; only 1 is 100 %."""
    text = significant(100.0 * share, 3)
    return ">99.9 %" if text == "100" and share < 1 else f"{text} %"


def _money(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == 0 else f"{value:,.2f}"


def spoken_money(value: float, currency: str) -> str:
    """Write an amount as it is said: three digits, millions by name."""
    size = abs(value)
    return with_currency(_money(value) if size < 100 else round_number(value), currency)


def with_currency(text: str, currency: str) -> str:
    """Put the currency where it belongs: signs before the number, names after it."""
    if not currency:
        return text
    if currency.isalpha():
        return f"{text} {currency}"
    return f"-{currency}{text[1:]}" if text.startswith("-") else f"{currency}{text}"
