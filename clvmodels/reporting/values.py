"""How the values of a record are written: one rule for page, terminal and tests."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from clvmodels.diagnostics.record import Format

MISSING: Final = "\N{EN DASH}"
NUMERIC: Final = frozenset(
    {"integer", "number", "figures", "percent", "error", "money", "duration"}
)
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
        return _with_currency(_money(value), currency)
    if how == "duration":
        return f"{significant(value, 4)} {time_unit}".rstrip()
    if how == "percent":
        return percent(value)
    if how == "error":
        return f"{'+' if value > 0 else ''}{percent(value)}"
    if how == "integer":
        return f"{value:,.0f}"
    return significant(value, 6 if how == "figures" else 4)


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


def _with_currency(text: str, currency: str) -> str:
    if not currency:
        return text
    if currency.isalpha():
        return f"{text} {currency}"
    return f"-{currency}{text[1:]}" if text.startswith("-") else f"{currency}{text}"
