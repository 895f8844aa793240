"""What the template shows of a record: cells of text, each with the number behind it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from clvmodels.diagnostics.record import Fact, Format, Report, Section, Table
from clvmodels.reporting.values import MISSING, NUMERIC, is_number, write
from clvmodels.verdict import Check, Status

Kind = Literal["number", "date", "text"]

MAX_ROWS: Final = 1000  # of one table; the record has all
MAX_TEXT: Final = 400  # letters of one cell
LONG: Final = 25  # rows from which a table scrolls in its own box
CODE: Final = ("reproduce",)  # tables of lines to copy
_ORDERED: Final = ("table-brief-costs", "table-brief-tiers")  # in an order of their own
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


@dataclass(frozen=True, slots=True)
class Column:
    """One heading, and the unit of what stands below."""

    name: str
    kind: Kind = "text"
    unit: str = ""


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

    @property
    def sortable(self) -> bool:
        """Whether there is anything to sort: not what is a list of names and values."""
        return len(self.rows) > 2 and len(self.columns) > 2 and self.id not in _ORDERED

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

    name: str
    value: Cell
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
    return tuple(
        ShownCheck(c.name, _figure(c), _bound(c), c.status, c.advice) for c in section.checks
    )


def worst(checks: Sequence[Check]) -> Status | None:
    """The status that a reader should know of first; None where there are no checks."""
    return min((check.status for check in checks), key=_ORDER.index, default=None)


def table_grid(table: Table, report: Report) -> Grid:
    """One table; what is too long for a page is cut, and said to be."""
    formats = [table.formats.get(name, "text") for name in table.columns]
    columns = tuple(
        Column(name, _kind(how), _unit(how, report))
        for name, how in zip(table.columns, formats, strict=True)
    )
    rows = tuple(
        tuple(
            _cell(value, how, header=place == 0)
            for place, (value, how) in enumerate(zip(row, formats, strict=True))
        )
        for row in table.rows[:MAX_ROWS]
    )
    cut = ""
    if len(table.rows) > MAX_ROWS:
        cut = f"The first {MAX_ROWS:,} of {len(table.rows):,} rows; the report as JSON has all."
    code = "\n".join(str(row[-1]) for row in table.rows) if table.key in CODE else ""
    return Grid(f"table-{slug(table.key)}", table.title, table.caption, columns, rows, cut, code)


def _kind(how: Format) -> Kind:
    return "number" if how in NUMERIC else "date" if how == "date" else "text"


def slug(key: str) -> str:
    """A key as part of an id, to which references in a page must not break."""
    return re.sub(r"[^0-9A-Za-z_-]+", "-", key)


def _unit(how: Format, report: Report) -> str:
    return {"money": report.currency, "duration": report.time_unit}.get(how, "")


def shown_fact(fact: Fact, report: Report) -> ShownFact:
    """One figure with its interval, as it is read."""
    value, lower, upper = (
        _cell(v, fact.format, currency=report.currency, time_unit=report.time_unit)
        for v in (fact.value, fact.lower, fact.upper)
    )
    return ShownFact(fact.label, value, lower, upper, fact.note)


def _check_row(check: Check) -> tuple[Cell, ...]:
    status = Cell(check.status, status=check.status)
    name = Cell(check.name, header=True, more=check.advice)
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


def _cell(value: Any, how: Format, *, header: bool = False, **units: str) -> Cell:
    if how == "status" and value in _ORDER:
        return Cell(str(value), status=str(value), header=header)
    text = write(value, how, **units)
    raw = repr(value) if how in NUMERIC and is_number(value) else None
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]} ... ({len(text):,} characters)"
    return Cell(text, raw, _kind(how), header=header)
