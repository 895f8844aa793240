"""Ways in which amounts are written, expressions that read them, and their sums.

Currency signs, spaces and separators between thousands go, and a minus may stand before
or behind, or be a pair of parentheses; a dash behind the decimal sign ("10,-") is no minus but
stands for no cents. What stays open is the decimal sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from clvmodels.errors import SchemaError
from clvmodels.schema import MISSING_WORDS, shown

# Spaces that are set between thousands: no-break, narrow no-break, thin; and dashes set as a
# minus: the sign itself, and what word processors make of a hyphen
_ODD: Final = "\u00a0\u202f\u2009\u2212\u2013\u2014"
_PLAINER: Final = "   ---"
_CURRENCY: Final = r"([A-Z]{0,3}\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|lei|Fr\.?|Rs\.?)?"
# For each decimal sign what separates thousands
_THOUSANDS: Final[Mapping[str, str]] = {".": ",", ",": "."}
_ANY_GROUP: Final = " '\u2019"
_NO_CENTS: Final = "--?"
_BITS_ASIDE: Final = 64  # room for sums of more amounts than there can be
_PLAIN: Final = r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$"
# Words for a missing amount, which is not an unreadable one
MISSING: Final = ("", *MISSING_WORDS, "inf", "-inf", "infinity", "-infinity")
_BEFORE, _SIGN, _CURRENCY_BEFORE, _SIGN_INSIDE, _BODY = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class AmountText:
    """Text of amounts, taken apart.

    Attributes
    ----------
    number : ibis value
        float64, null where the text is not an amount.
    missing : ibis value
        Whether there is no amount, rather than one that cannot be read.
    """

    number: Any
    missing: Any


def check_decimal(value: object) -> str | None:
    """Return the decimal sign if it is one.

    Raises
    ------
    SchemaError
        It is neither a point nor a comma.
    """
    if value is None or value in (".", ","):
        return None if value is None else str(value)
    raise SchemaError(f"decimal={shown(value)} is unknown: use '.' or ','.")


def read_amounts(column: Any, decimal: str | None) -> AmountText:
    """Text -> numbers, with the decimal sign given ("." where there is none)."""
    import ibis

    text = _tidy(column)
    missing = column.isnull() | text.lower().isin(list(MISSING))
    pattern = pattern_of(decimal or ".")
    body = text.re_extract(pattern, _BODY)
    bare = body.re_replace(f"[{_THOUSANDS[decimal or '.']}{_ANY_GROUP}-]", "")
    size = bare.replace(",", ".").try_cast("float64")
    signs, opened = text.re_replace(rf"\d\{decimal or '.'}{_NO_CENTS}", ""), text.contains("(")
    signed = ibis.ifelse(signs.contains("-") | opened, -size, size)
    one_sign = ~signs.re_search(r"[-(].*[-(]") & (opened == text.endswith(")"))
    parsed = ibis.ifelse(text.re_search(pattern) & one_sign, signed, ibis.null("float64"))
    if (decimal or ".") == ".":
        plain = ibis.ifelse(text.re_search(_PLAIN), text, ibis.null("string"))
        parsed = ibis.ifelse(text.re_search(_PLAIN), plain.try_cast("float64"), parsed)
    return AmountText(parsed, missing)


def currency_of(column: Any, decimal: str) -> Any:
    """Currency sign of each amount, empty where there is none."""
    text, pattern = _tidy(column), pattern_of(decimal)
    before = text.re_extract(pattern, _CURRENCY_BEFORE)
    return before + text.re_extract(pattern, _BODY + 1)


def pattern_of(decimal: str) -> str:
    """Regular expression of an amount; parentheses come in pairs."""
    point = "\\" + decimal
    group = f"[{_THOUSANDS[decimal]}{_ANY_GROUP}]"
    cents = rf"(?:{point}(?:{_NO_CENTS}|\d*))?"
    body = (
        rf"(\d+{cents}|{point}\d+|"
        rf"[1-9]\d{{0,2}}(?:{group}\d{{2,3}})*{group}\d{{3}}{cents})"
    )
    inner = rf"([-+])? ?{_CURRENCY} ?\(?([-+])? ?{body} ?{_CURRENCY} ?"
    return rf"^(\()?{inner}(?:-|\))?$"


def _tidy(column: Any) -> Any:
    return column.translate(_ODD, _PLAINER).strip()


def sum_of_amounts(amounts: Iterable[float]) -> float:
    """Add up without rounding in between; infinite only if the sum itself is too large."""
    given = list(amounts)
    try:
        return math.fsum(given)
    except OverflowError:  # on the way, of amounts next to the largest number there is
        return math.fsum(math.ldexp(one, -_BITS_ASIDE) for one in given) * 2.0**_BITS_ASIDE
