"""Which rows of a log are meant: a condition in a small part of SQL, put into Ibis.

It is parsed and put together anew, so that it means the same on every backend, and can do
nothing but compare columns with constants.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from clvmodels.errors import SchemaError, one_line
from clvmodels.log.amounts import read_amounts
from clvmodels.schema import shown

_HOW: Final = (
    "compare columns with constants (status = 'paid', amount > 0, shop IN ('a', 'b'), note IS "
    "NULL, name LIKE 'x%'), joined by AND, OR, NOT and parentheses"
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}
_EXACT: Final = 2**53  # beyond, floats skip whole numbers
_SWAPPED: Final = {"LT": "GT", "LTE": "GTE", "GT": "LT", "GTE": "LTE"}


@dataclass(frozen=True, slots=True)
class _Said:
    """A condition as it was written, and the decimal sign of numbers in text."""

    where: str
    decimal: str | None = None


def check_where(where: object) -> str | None:
    """Return a condition if it can be parsed.

    Raises
    ------
    SchemaError
        It is not one of the forms that are understood.
    """
    if where is None:
        return None
    if not isinstance(where, str) or not where.strip():
        raise _refused(where, "it must be text")
    columns_of(where)
    return where


@functools.lru_cache(maxsize=16)
def columns_of(where: str) -> tuple[str, ...]:
    """Columns that a condition names, in their order."""
    found: list[str] = []
    _build(_parsed(where), found.append, _Said(where), only_names=True)
    return tuple(dict.fromkeys(found))


def condition(where: str, table: Any, decimal: str | None = None) -> Any:
    """Put a condition into an expression on a table; never null.

    Text that is compared with a number is read as amounts are, with their decimal sign.
    """
    built = _build(_parsed(where), lambda name: table[name], _Said(where, decimal))
    return built.fill_null(False)


def _parsed(where: str) -> Any:
    import sqlglot

    try:
        return sqlglot.parse_one(f"SELECT 1 WHERE {where}", dialect="duckdb").args["where"].this
    except (sqlglot.errors.SqlglotError, KeyError, AttributeError) as error:
        # the parser underlines with codes for terminals
        raise _refused(where, re.sub(r"\x1b\[\d*m", "", one_line(error))) from error


def _refused(where: object, why: str) -> SchemaError:
    return SchemaError(f"where={shown(where)} cannot be used ({why}): {_HOW}.")


def _build(
    node: Any, column: Callable[[str], Any], said: _Said, *, only_names: bool = False
) -> Any:
    """Parsed condition -> expression; with ``only_names`` columns are named, nothing built."""
    from sqlglot import exp

    def again(part: Any) -> Any:
        return _build(part, column, said, only_names=only_names)

    if isinstance(node, exp.Paren):
        return again(node.this)
    if isinstance(node, exp.Not):
        inner = again(node.this)
        return None if only_names else ~inner
    if isinstance(node, exp.And | exp.Or):
        left, right = again(node.this), again(node.expression)
        if only_names:
            return None
        return left & right if isinstance(node, exp.And) else left | right
    return _compared(node, column, said, only_names)


def _compared(node: Any, column: Callable[[str], Any], said: _Said, only_names: bool) -> Any:
    from sqlglot import exp

    kind = type(node).__name__
    left, right = node.args.get("this"), node.args.get("expression")
    if kind in _COMPARE and not isinstance(left, exp.Column):
        left, right, kind = right, left, _SWAPPED.get(kind, kind)
    if not isinstance(left, exp.Column) or left.table:
        raise _refused(said.where, f"{node.sql()} compares no column with a constant")
    this = column(left.name)
    if kind in _COMPARE:
        value = _constant(right, said)
        if only_names:
            return None
        ordered = kind not in ("EQ", "NEQ")
        return _COMPARE[kind](_typed(this, value, left.name, said, ordered), value)
    if kind == "Is" and isinstance(right, exp.Null):
        return None if only_names else this.isnull()
    if kind == "In" and node.expressions:
        values = [_constant(one, said) for one in node.expressions]
        if only_names:
            return None
        typed = [_typed(this, one, left.name, said) for one in values]
        return typed[0].isin(values)
    if kind == "Between":
        low, high = (_constant(node.args[name], said) for name in ("low", "high"))
        if only_names:
            return None
        _typed(this, high, left.name, said, True)
        return _typed(this, low, left.name, said, True).between(low, high)
    if kind == "Like":
        pattern = _constant(right, said)
        return None if only_names else _typed(this, str(pattern), left.name, said).like(pattern)
    raise _refused(said.where, f"{node.sql()} is not understood")


def _constant(node: Any, said: _Said) -> Any:
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        return -_constant(node.this, said)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        text = str(node.this)
        if node.is_string:
            return text
        return int(text) if text.isdigit() else float(text)
    raise _refused(said.where, "a column is compared with something that is not a constant")


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _typed(column: Any, value: Any, name: str, said: _Said, ordered: bool = False) -> Any:
    """Make a column comparable with a constant: text of a CSV file may hold numbers."""
    kind = column.type()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _refused(said.where, f"{value} is more than the engine's whole numbers can hold")
    if isinstance(value, str) and kind.is_temporal() and not _is_date(value):
        raise _refused(said.where, f"{name} holds {kind}, and {shown(value)} is not a date")
    if isinstance(value, bool):
        if kind.is_string():
            return column.strip().lower() == "true"
        return column
    if isinstance(value, int | float):
        if kind.is_string():
            if isinstance(value, int) and abs(value) > _EXACT:  # text is read as floats
                raise _refused(
                    said.where,
                    f"{name} holds text, and {value} has too many digits to be compared with it as "
                    f"a number: write '{value}'",
                )
            return read_amounts(column, said.decimal).number
        if kind.is_numeric():
            return column
    elif (kind.is_string() and not ordered) or kind.is_temporal():
        return column
    found = f"{name} holds {kind}, and {shown(value)} cannot be compared with it"
    raise _refused(said.where, found + (" by order" if ordered and kind.is_string() else ""))
