"""What the template shows of a record: cells of text, each with the number behind it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, Literal

from clvmodels.diagnostics.customers_listed import FIRST_CUSTOMERS
from clvmodels.diagnostics.record import Fact, Format, Report, Section, Table
from clvmodels.reporting.values import (
    MISSING,
    NUMERIC,
    THOUSANDS,
    is_number,
    spoken_money,
    unpadded,
    write,
    write_column,
)
from clvmodels.verdict import Check, Status

Kind = Literal["number", "date", "text"]

MAX_ROWS: Final = 1000  # of one table; the record has all
MAX_TEXT: Final = 400  # letters of one cell
SPAN: Final = " (lower to upper)"  # of headings above intervals
LONG: Final = 25  # rows from which a table scrolls in its own box
CODE: Final = ("reproduce",)  # tables of lines to copy
SORTED: Final = 6  # rows from which a table can be sorted
_ORDERED: Final = ("table-brief-costs", "table-brief-tiers")  # in an order of their own
LIST: Final = f"table-{FIRST_CUSTOMERS}"
_GROUPS: Final = {
    "worth": "What the base is worth",
    "buy": "Who will buy",
    "active": "Who is still a customer",
    "base": "The base",
}
_ORDER: Final[tuple[Status, ...]] = ("fail", "warn", "unavailable", "pass")


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: as it is read, and the number behind it (None for words)."""

    text: str
    raw: str | None = None
    kind: Kind = "text"
    status: str = ""
    header: bool = False
    more: str = ""
    ends: str = ""  # of its interval
    room: int = 0  # letters that the widest interval of the column takes
    sign: str | None = None
    bar: float | None = None  # percent of the full width


@dataclass(frozen=True, slots=True)
class Column:
    """One heading, and the unit of what stands below."""

    name: str
    kind: Kind = "text"
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Spanner:
    """One heading above so many columns; "" is none."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Grid:
    """One table, ready to be laid out."""

    id: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    cut: str = ""
    code: str = ""
    spanners: tuple[Spanner, ...] = ()
    leads: tuple[str, ...] = ()  # of each row: filters of the list of customers, as JSON
    lives: tuple[str, ...] = ()
    reading: str = ""  # how they are read, as JSON

    @property
    def sortable(self) -> bool:
        """Whether there is anything to sort: not what one sees at a glance."""
        return len(self.rows) >= SORTED and len(self.columns) > 2 and self.id not in _ORDERED

    @property
    def filters(self) -> str:
        """Columns of a list of customers by which it can be filtered, one a line."""
        return "\n".join(one.name for one in self.columns[1:] if one.kind == "text")

    @property
    def wide(self) -> bool:
        """Whether a phone shows each row as a block: of many columns, or of intervals."""
        return len(self.columns) > 3 or any(cell.room for row in self.rows[:1] for cell in row)

    @property
    def long(self) -> bool:
        """Whether it scrolls in a box of its own."""
        return len(self.rows) > LONG and self.id != "checks"


@dataclass(frozen=True, slots=True)
class ShownFact:
    """One figure of the first screen."""

    label: str
    value: Cell
    lower: Cell
    upper: Cell
    note: str


@dataclass(frozen=True, slots=True)
class FactGroup:
    """Figures of the first screen that belong together."""

    key: str
    title: str
    facts: tuple[ShownFact, ...]


@dataclass(frozen=True, slots=True)
class ShownUse:
    """One use with its verdict."""

    subject: str
    verdict: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class ShownCheck:
    """One check, beside the section that it judges."""

    said: str
    limit: Cell
    status: Status
    advice: str


def shown_uses(report: Report) -> list[ShownUse]:
    """What the numbers can be used for."""
    return [
        ShownUse(use.subject[:1].upper() + use.subject[1:], use.verdict, use.status, use.reason)
        for use in report.verdict.uses
    ]


def fact_groups(report: Report) -> list[FactGroup]:
    """The first screen's figures by group, in the order in which they are read."""
    groups = []
    for key, title in _GROUPS.items():
        facts = tuple(shown_fact(fact, report) for fact in report.facts if fact.group == key)
        if facts:
            groups.append(FactGroup(key, title, facts))
    return groups


def check_grid(checks: Sequence[Check], *, passed: bool) -> Grid:
    """Checks that passed, or the others, as a table; the worst first."""
    chosen = [check for check in checks if (check.status == "pass") == passed]
    chosen.sort(key=lambda check: _ORDER.index(check.status))
    columns = (
        Column("Status"),
        Column("Check"),
        Column("Value", "number"),
        Column("Limit", "number"),
    )
    title = f"{len(chosen)} checks that passed" if passed else "Checks that did not pass"
    return Grid("checks", title, "", columns, tuple(_check_row(check) for check in chosen))


def count_checks(checks: Sequence[Check]) -> str:
    """A heading that counts the checks by status, the worst first."""
    names = {
        "fail": "failed",
        "warn": "warned",
        "unavailable": "not available",
        "pass": "passed",
    }
    counts = {status: sum(check.status == status for check in checks) for status in _ORDER}
    parts = [f"{number} {names[status]}" for status, number in counts.items() if number]
    return f"{len(checks)} checks: {', '.join(parts)}"


def shown_checks(section: Section) -> tuple[ShownCheck, ...]:
    """The checks of a section."""
    return tuple(ShownCheck(c.finding, _bound(c), c.status, c.advice) for c in section.checks)


def worst(checks: Sequence[Check]) -> Status | None:
    """The status that a reader should know of first; None where there are no checks."""
    return min((check.status for check in checks), key=_ORDER.index, default=None)


def table_grid(table: Table, report: Report) -> Grid:
    """One table; what is too long for a page is cut, and said to be."""
    cut = ""
    if len(table.rows) > MAX_ROWS:
        cut = f"The first {MAX_ROWS:,} of {len(table.rows):,} rows; the report as JSON has all."
    code = "\n".join(str(row[-1]) for row in table.rows) if table.key in CODE else ""
    columns, cells = columns_of(table, report)
    return Grid(
        id=f"table-{slug(table.key)}",
        title=table.title,
        caption=table.caption,
        columns=columns,
        rows=tuple(zip(*cells, strict=True)),
        cut=cut,
        code=code,
        spanners=_spanners(table, [name for name in table.columns if name not in table.joined]),
        leads=_leads(table),
        lives=table.lives[:MAX_ROWS],
        reading=json.dumps(dict(table.reading)) if table.lives else "",
    )


def _leads(table: Table) -> tuple[str, ...]:
    """Which customers each row leads to; none for the rows after those that name groups."""
    if not table.leads:
        return ()
    ((column, groups),) = table.leads.items()
    known = [json.dumps({column: one}) if one else "" for one in groups]
    return (*known, *[""] * (len(table.rows) - len(known)))


def columns_of(
    table: Table, report: Report, most: int = MAX_ROWS
) -> tuple[tuple[Column, ...], list[tuple[Cell, ...]]]:
    """The columns that are shown, and the cells below each."""
    values = dict(zip(table.columns, zip(*table.shown[:most], strict=True), strict=True))
    if not table.shown:
        values = dict.fromkeys(table.columns, ())
    shown = [name for name in table.columns if name not in table.joined]
    columns, cells = [], []
    for place, name in enumerate(shown):
        how = table.formats.get(name, "text")
        ends = table.intervals.get(name, ())
        parts = [values[one] for one in (name, *ends)]
        large = how == "money" and _largest(parts) >= THOUSANDS
        unit = _unit(how, report)
        unit = f"{unit} thousand".lstrip() if large else unit
        columns.append(Column(name + (SPAN if ends else ""), _kind(how), unit))
        made = _cells(parts, how, header=place == 0, thousands=large)
        if sign := table.signs.get(name):
            made = [
                replace(one, sign=text or "") for one, text in zip(made, values[sign], strict=True)
            ]
        if name in table.bars:
            made = [
                replace(one, bar=_bar(value)) for one, value in zip(made, values[name], strict=True)
            ]
        cells.append(tuple(made))
    return tuple(columns), cells


def _largest(parts: Sequence[Sequence[Any]]) -> float:
    return max((abs(v) for part in parts for v in part if is_number(v)), default=0.0)


def _bar(share: Any) -> float | None:
    return round(100.0 * min(max(share, 0.0), 1.0), 1) if is_number(share) else None


def _spanners(table: Table, shown: Sequence[str]) -> tuple[Spanner, ...]:
    """Headings above the columns, and gaps between them."""
    if not table.spanners:
        return ()
    over = {name: above for above, names in table.spanners.items() for name in names}
    groups = groupby(shown, key=lambda name: over.get(name, ""))
    return tuple(Spanner(above, len([*names])) for above, names in groups)


def _kind(how: Format) -> Kind:
    return "number" if how in NUMERIC else "date" if how == "date" else "text"


def slug(key: str) -> str:
    """A key as part of an id, to which references in a page must not break."""
    return re.sub(r"[^0-9A-Za-z_-]+", "-", key)


def _unit(how: Format, report: Report) -> str:
    return {"money": report.currency, "duration": report.time_unit}.get(how, "")


def shown_fact(fact: Fact, report: Report) -> ShownFact:
    """One figure with its interval, as it is read."""
    value, lower, upper = (_said(v, fact, report) for v in (fact.value, fact.lower, fact.upper))
    return ShownFact(fact.label, value, lower, upper, fact.note)


def _said(value: Any, fact: Fact, report: Report) -> Cell:
    """A figure as it is said; the number behind it is exact."""
    if fact.format == "money" and is_number(value) and math.isfinite(value):
        return Cell(spoken_money(value, report.currency), repr(value), "number")
    return _cell(value, fact.format, currency=report.currency, time_unit=report.time_unit)


def _check_row(check: Check) -> tuple[Cell, ...]:
    status = Cell(check.status, status=check.status)
    name = Cell(check.finding, header=True, more=check.advice)
    return (status, name, _figure(check), _bound(check))


def _figure(check: Check) -> Cell:
    return _written(check.figure, check.value)


def _bound(check: Check) -> Cell:
    return _written(check.bound, check.limit)


def _written(text: str, value: float | None) -> Cell:
    """A figure as checks write it, which is said once for every rendering."""
    if not text or value is None or not math.isfinite(value):
        return Cell(text or MISSING, kind="number")
    return Cell(text, repr(value), "number")


def _cells(
    parts: Sequence[Sequence[Any]], how: Format, *, header: bool, thousands: bool
) -> list[Cell]:
    """The cells of a column, with the ends of its intervals where it has them."""
    texts, *ends = _columns(parts, how, thousands)
    plain = [[unpadded(one) for one in end] for end in ends]
    spans = [f"{low} to {high}" for low, high in zip(*plain, strict=True)] if ends else []
    room = max(map(len, spans), default=0)
    made = [
        _as_cell(value, text, how, header=header)
        for value, text in zip(parts[0], texts, strict=True)
    ]
    known = zip(made, spans, *parts[1:], strict=True) if ends else ()
    joined = [
        replace(cell, ends=span if is_number(low) else "", room=room)
        for cell, span, low, _ in known
    ]
    return joined or made


def _columns(parts: Sequence[Sequence[Any]], how: Format, thousands: bool) -> list[list[str]]:
    """A column and its ends, with as many decimals where they are shares or amounts."""
    if how not in ("percent", "error", "money"):
        return [write_column(part, how) for part in parts]
    texts = write_column([v for part in parts for v in part], how, thousands=thousands)
    size = len(parts[0])
    return [texts[at * size : (at + 1) * size] for at in range(len(parts))]


def _cell(value: Any, how: Format, *, header: bool = False, **units: str) -> Cell:
    return _as_cell(value, write(value, how, **units), how, header=header)


def _as_cell(value: Any, text: str, how: Format, *, header: bool = False) -> Cell:
    if how == "status" and value in _ORDER:
        return Cell(str(value), status=str(value), header=header)
    raw = repr(value) if how in NUMERIC and is_number(value) else None
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]} ... ({len(text):,} characters)"
    return Cell(text, raw, _kind(how), header=header)
