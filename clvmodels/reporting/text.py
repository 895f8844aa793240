"""A record as text for the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Layout
from rich.text import Text

from clvmodels.diagnostics.record import Fact, Report, Section, Table
from clvmodels.display import wrapped
from clvmodels.keywords import named
from clvmodels.reporting.values import MISSING, code_line, one_line, write
from clvmodels.reporting.views import CODE, Cell, columns_of, count_checks
from clvmodels.verdict import Check

MARKS: Final = {"pass": "ok", "warn": "WARN", "fail": "FAIL", "unavailable": "n/a"}
MAX_ROWS: Final = 40  # of one table
MAX_TEXT: Final = 80  # letters of one cell
_BLANK: Final = "\N{BRAILLE PATTERN BLANK}"  # which no layout strips
_BLANKS: Final = {ord(blank): _BLANK for blank in "\N{FIGURE SPACE}\N{PUNCTUATION SPACE}"}
_NARROWEST: Final = 40
_TO_MIND: Final = ("warn", "fail")
_EXPLAINED: Final = ("worth", "active")  # groups of figures whose notes a terminal shows too


@named
def render_text(report: Report, *, width: int = 100, whole: bool = True) -> str:
    """Write a record as lines for a terminal.

    Parameters
    ----------
    report : Report
        The record.
    width : int
        Columns; 40 at least.
    whole : bool
        With the sections, all checks, and what each figure leaves out; else what fits a
        screen: verdict, figures, what the first of them is of, and the checks that are to be
        minded.

    Returns
    -------
    str
        Plain text without colours or control codes, whatever the data holds.
    """
    width = max(width, _NARROWEST)
    lines = [one_line(report.title), "", *_verdict(report, width, whole=whole), ""]
    lines += _facts(report, width, whole=whole)
    if report.checks:
        lines += [count_checks(report.checks), ""]
        lines += _checks(report.checks, width) if whole else _to_mind(report.checks, width)
    if whole:
        lines += [""] if report.checks else []
        for section in report.sections:
            lines += _section(section, report, width)
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


def _verdict(report: Report, width: int, *, whole: bool) -> list[str]:
    verdict = report.verdict
    lines = _wrap(f"{MARKS[verdict.status]}: {verdict.headline}", width)
    for use in verdict.uses:
        lines += [""] if whole else []
        said = str(use)
        if not whole and use.status in _TO_MIND:  # why is among what is to be minded, below
            said = f"{use.subject[:1].upper()}{use.subject[1:]}: {use.verdict}."
        lines += [*_wrap(f"{MARKS[use.status]}: {said}", width)]
    lines += [""] if verdict.uses and verdict.sentences else []
    for sentence in verdict.sentences:
        lines += _wrap(sentence, width)
    return lines


def _facts(report: Report, width: int, *, whole: bool) -> list[str]:
    if not report.facts:
        return []
    rows = [_fact(fact, report) for fact in report.facts]
    lines = [*_grid(("", "", ""), (False, True, True), rows, width), ""]
    explained = [fact for fact in report.facts if fact.group in _EXPLAINED and fact.note]
    # what the figures that decide leave out; at least over which time the first is, at which margin
    for fact in explained if whole else explained[:1]:
        lines += [*_wrap(f"{fact.label}: {fact.note}", width), ""]
    return lines


def _fact(fact: Fact, report: Report) -> tuple[str, str, str]:
    units = {"currency": report.currency, "time_unit": report.time_unit}
    value = write(fact.value, fact.format, **units)
    if fact.lower is None and fact.upper is None:
        return fact.label, value, ""
    lower, upper = (write(bound, fact.format) for bound in (fact.lower, fact.upper))
    return fact.label, value, f"{lower} to {upper}"


def _checks(checks: Sequence[Check], width: int) -> list[str]:
    rows = [(c.finding, MARKS[c.status], c.figure or MISSING, c.bound or MISSING) for c in checks]
    headings, numeric = ("check", "", "value", "limit"), (False, True, True, True)
    lines = _grid(headings, numeric, rows, width)
    for check in checks:
        if check.status != "pass":
            lines += ["", *_advice(check, width)]
    return lines


def _to_mind(checks: Sequence[Check], width: int) -> list[str]:
    lines, said = [], ""
    for check in (c for c in checks if c.status in _TO_MIND):
        lines += _advice(check if check.advice != said else replace(check, advice=""), width)
        said = check.advice
    return lines


def _advice(check: Check, width: int) -> list[str]:
    return _wrap(f"{MARKS[check.status]}: {check.sentence} {check.advice}", width)


def _section(section: Section, report: Report, width: int) -> list[str]:
    title = one_line(section.title)
    lines = [title, "=" * min(len(title), width), ""]
    lines += [*_wrap(section.intro, width), ""] if section.intro else []
    for note in section.notes:
        lines += [*_note(note, width), ""]
    for figure in section.figures:
        lines += [*_wrap(f"Figure: {figure.title}", width), *_wrap(figure.alt, width), ""]
    for table in section.tables:
        lines += _table(table, report, width)
    return lines


def _note(note: str, width: int) -> list[str]:
    if "\n" in note:
        return [f"    {code_line(line)}" for line in note.split("\n")]
    return _wrap(f"Note: {note}", width)


def _table(table: Table, report: Report, width: int) -> list[str]:
    lines = [*_wrap(table.title, width), ""]
    if table.key in CODE:
        return [*lines, *(f"    {code_line(str(row[-1]))}" for row in table.rows), ""]
    columns, cells = columns_of(table, report, MAX_ROWS)
    headings = [f"{one.name} ({one.unit})" if one.unit else one.name for one in columns]
    rows = [[_text(cell) for cell in row] for row in zip(*cells, strict=True)]
    lines += _grid(headings, [one.kind == "number" for one in columns], rows, width)
    if len(table.rows) > MAX_ROWS:
        lines.append(f"  ... {len(table.rows) - MAX_ROWS:,} rows more")
    return [*lines, "", *_wrap(table.caption, width), *([""] if table.caption else [])]


def _text(cell: Cell) -> str:
    text = MARKS.get(cell.status, cell.text)
    text += f" ({cell.ends})" if cell.ends else ""
    text += "" if cell.sign is None else f" {cell.sign or _BLANK}"
    text = text.translate(_BLANKS)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def _grid(
    headings: Sequence[str],
    numeric: Sequence[bool],
    rows: Iterable[Sequence[str]],
    width: int,
) -> list[str]:
    """Lay out cells; words fold where the terminal is narrow, figures do not."""
    layout = Layout(
        box=box.SIMPLE_HEAD if any(headings) else None,
        show_header=any(headings),
        pad_edge=False,
        show_edge=False,
    )
    for name, is_figure in zip(headings, numeric, strict=True):
        layout.add_column(
            Text(one_line(name)),
            justify="right" if is_figure else "left",
            vertical="bottom",
            overflow="fold",
            no_wrap=is_figure and len(numeric) <= 4,
        )
    for row in rows:
        layout.add_row(*(Text(one_line(cell)) for cell in row))
    file = io.StringIO()
    plain: dict[str, Any] = {"color_system": None, "legacy_windows": False}
    # In a notebook rich would else show the lines, and write none
    console = Console(file=file, width=width, force_jupyter=False, **plain)
    console.print(Padding(layout, (0, 0, 0, 2), expand=False))
    return file.getvalue().replace(_BLANK, " ").rstrip("\n").split("\n")


def _wrap(text: str, width: int) -> list[str]:
    # Long names are broken: a line is never wider than the terminal.
    return wrapped(one_line(text), width)
