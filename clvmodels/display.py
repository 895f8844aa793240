"""How records show themselves: a short table, as text and in notebooks."""

from __future__ import annotations

import dataclasses
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

_ROWS: Final = 5
_LONGEST: Final = 70
_LEFT: Final = '<th style="text-align: left">'
_OF_ONE: Final = {"are": "is", "have": "has", "were": "was"}
_LARGE: Final = 1e6  # above it six digits would be an exponent


def wrapped(text: str, width: int, *, break_long_words: bool = True, indent: str = "") -> list[str]:
    """Break a paragraph into lines, not at hyphens, nor before the percent sign of a number."""
    kept = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
    lines = textwrap.wrap(
        kept,
        width,
        break_long_words=break_long_words,
        break_on_hyphens=False,
        subsequent_indent=indent,
    )
    return [line.replace("\N{NO-BREAK SPACE}%", " %") for line in lines]


def many(count: int, noun: str, verb: str = "") -> str:
    """A count with its noun, and the verb that goes with it: 1 customer is, 2,357 customers are."""
    one = count == 1
    said = f"{count:,} {noun}{'' if one else 's'}"
    return f"{said} {_OF_ONE[verb] if one else verb}" if verb else said


def listed(names: Any, word: str = "and") -> str:
    """Names in a sentence."""
    *most, last = [str(name) for name in names]
    return f"{', '.join(most)} {word} {last}" if most else last


class Readable:
    """A record whose repr is a line for each field, and an HTML table in notebooks.

    Long things in it (tables, arrays, draws) are named by their size. A field's metadata may
    give the unit of its number: ``field(metadata={"unit": "days"})``. Dataclasses that
    inherit it say ``repr=False``, or theirs would come first.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        lines = [*_fields(self)]
        width = max((len(name) for name, *_ in lines), default=0)
        return "\n".join(
            [type(self).__name__, *(f"  {n:<{width}}  {_said(v)}{unit}" for n, v, unit in lines)]
        )

    def _repr_html_(self) -> str:
        rows, tables = [], []
        for name, value, unit in _fields(self):
            text = escape(f"{_said(value)}{unit}")
            if _is_table(value):
                tables.append(f"<p>{escape(name)}: {text}</p>{_head(value)}")
            else:
                rows.append(f"<tr>{_LEFT}{escape(name)}</th><td>{text}</td></tr>")
        table = f"<table>{''.join(rows)}</table>" if rows else ""
        title = f"<p><b>{escape(type(self).__name__)}</b></p>"
        return f"<div>{title}{table}{''.join(tables)}</div>"


def _fields(record: Any) -> Iterator[tuple[str, Any, str]]:
    """Names, values and units of a record's fields, but for hidden ones and empty notes."""
    for one in dataclasses.fields(record):
        value = getattr(record, one.name)
        if one.repr and value is not None and not (isinstance(value, str | tuple) and not value):
            unit = one.metadata.get("unit", "")
            yield one.name, value, f" {unit}" if unit and math.isfinite(value) else ""


def _is_table(value: Any) -> bool:
    return hasattr(value, "to_html") and hasattr(value, "head")


def _head(table: Any) -> str:
    return str(table.head(_ROWS).to_html(border=0, index=False, float_format=_short))


def _said(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, tuple | list) and all(isinstance(one, str) for one in value):
        return "; ".join(value)
    if isinstance(value, tuple | list | Mapping):
        return f"{len(value):,} entries"
    shape = getattr(value, "shape", None)
    if shape:
        size = " x ".join(f"{n:,}" for n in shape)
        return f"{'table' if _is_table(value) else 'array'} of {size}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if _LARGE <= abs(value) < math.inf else f"{value:,.6g}"


def _short(value: float) -> str:
    """A number in a table: four digits, or all of those before the point."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < math.inf else f"{value:,.4g}"
