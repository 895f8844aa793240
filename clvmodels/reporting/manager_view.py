"""What the manager's page shows: figures, and the curve of payback as lines of an SVG.

The script draws the curve anew by the same scales, which it reads from the page.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from clvmodels.diagnostics.customers_listed import FIRST_CUSTOMERS
from clvmodels.diagnostics.record import Format, Report
from clvmodels.reporting.values import (
    significant,
    spoken_money,
    unpadded,
    with_currency,
    write_column,
)
from clvmodels.reporting.views import Grid, ShownFact, shown_fact, table_grid

LEFT: Final = 74
RIGHT: Final = 626
TOP: Final = 16
FLOOR: Final = 210
_HEADROOM: Final = 1.08
_MONTHS: Final = 6  # between marks
_LABEL: Final = 20.0  # between names of lines
_SHORT: Final = ((1e6, "m"), (1e3, "k"), (1.0, ""))
_END: Final = 540  # where lines end that have a name beside them


@dataclass(frozen=True, slots=True)
class Axes:
    """Where values stand in a drawing, and the marks of both axes."""

    last: int
    top: float
    right: int = RIGHT

    def x(self, month: float) -> float:
        """Of a month."""
        return float(round(LEFT + month / self.last * (self.right - LEFT), 1))

    def y(self, value: float) -> float:
        """Of a value."""
        return float(round(FLOOR - value / self.top * (FLOOR - TOP), 1))

    def points(self, values: Sequence[float], first: int = 0, *, back: bool = False) -> str:
        """Of a line that begins at a month."""
        placed = [f"{self.x(first + i)},{self.y(value)}" for i, value in enumerate(values)]
        return " ".join(placed[::-1] if back else placed)

    def marks(self, how: Format, currency: str = "") -> tuple[tuple[float, str], ...]:
        """Round values up to the top, as short as there is room: no names of currencies."""
        sign = currency if len(currency) == 1 else ""
        step = round_step(self.top)
        values = [step * place for place in range(int(self.top / step) + 1)]
        size, letter = next(one for one in _SHORT if self.top >= one[0] * 10 or one[0] == 1)
        texts = write_column([v / size for v in values], "integer" if step >= size else how)
        return tuple(
            (self.y(value), with_currency(unpadded(text) + (letter if value else ""), sign))
            for value, text in zip(values, texts, strict=True)
        )

    def months(self) -> tuple[tuple[float, str], ...]:
        """Every sixth month, or each of a few."""
        step = max(1, _MONTHS if self.last > _MONTHS * 2 else self.last // _MONTHS or 1)
        return tuple((self.x(month), str(month)) for month in range(0, self.last + 1, step))


def round_step(top: float) -> float:
    """A round step, of which three to six lead to the top."""
    size = 10.0 ** math.floor(math.log10(top / 3.0))
    return float(max(size * one for one in (1.0, 2.0, 5.0) if size * one <= top / 3.0))


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of payback as it is drawn, and what it is drawn anew from."""

    data: str
    line: str
    band: str
    cost: float
    marks: tuple[tuple[float, str], ...]
    months: tuple[tuple[float, str], ...]
    alt: str
    margin: str
    cac: str
    highest: str
    horizon: int


@dataclass(frozen=True, slots=True)
class CohortLine:
    """What has happened, what is forecast, its fan, and the height of the name beside it."""

    name: str
    past: str
    ahead: str
    band: str
    end: float


@dataclass(frozen=True, slots=True)
class CohortChart:
    """What customers of some cohorts bring by months since their first order."""

    data: str
    lines: tuple[CohortLine, ...]
    marks: tuple[tuple[float, str], ...]
    months: tuple[tuple[float, str], ...]
    alt: str
    interval: str
    title: str


@dataclass(frozen=True, slots=True)
class ShownBrief:
    """The manager's page, ready to be laid out."""

    sentence: str
    answer: str
    facts: tuple[ShownFact, ...]
    actions: tuple[str, ...]
    costs: Grid | None
    tiers: Grid | None
    customers: Grid | None
    curve: Curve | None
    cohorts: CohortChart | None
    reliable: bool
    limits: tuple[str, ...]


def shown_brief(report: Report) -> ShownBrief | None:
    """Lay out the manager's page; None of records without one."""
    brief = report.brief
    if brief is None:
        return None
    lists = (one for section in report.sections for one in section.tables)
    tables = (*brief.tables, *(one for one in lists if one.key == FIRST_CUSTOMERS))
    # of a fit that may not be used: what it would have said, and nothing to go by
    facts = [
        fact if brief.reliable else replace(fact, lower=None, upper=None, note="")
        for fact in brief.facts
    ]
    grids = {table.key: table_grid(table, report) for table in tables if brief.reliable}
    return ShownBrief(
        sentence=brief.sentence,
        answer=brief.answer,
        facts=tuple(shown_fact(fact, report) for fact in facts),
        actions=brief.actions,
        costs=grids.get("brief-costs"),
        tiers=grids.get("brief-tiers"),
        customers=grids.get(FIRST_CUSTOMERS),
        curve=_curve(dict(brief.curve), report.currency)
        if brief.curve and brief.reliable
        else None,
        cohorts=_cohorts(dict(brief.cohorts), report.currency) if brief.cohorts else None,
        reliable=brief.reliable,
        limits=brief.limits,
    )


def _curve(known: dict[str, Any], currency: str) -> Curve:
    """Scale revenue by the margin, as far as the horizon, and cost beside it."""
    last, margin, cac = known["months"], known["margin"], known["cac"]
    worth = [margin * one for one in known["revenue"][: last + 1]]
    ends = [
        [one if end is None else margin * end for end, one in zip(known[name], worth, strict=False)]
        for name in ("lower", "upper")
    ]
    axes = Axes(last, max(*ends[1], cac, 1e-9) * _HEADROOM)
    said = {name: spoken_money(value, currency) for name, value in (
        ("cac", cac), ("first", worth[0]), ("last", worth[-1])
    )}  # fmt: skip
    return Curve(
        data=_data({**known, "room": _HEADROOM}, currency, RIGHT),
        line=axes.points(worth),
        band=f"{axes.points(ends[0])} {axes.points(ends[1], back=True)}",
        cost=axes.y(cac),
        marks=axes.marks("money", currency),
        months=axes.months(),
        alt=(
            f"What a new customer brings rises from {said['first']} by the first order to "
            f"{said['last']} after {last} months, not discounted; the cost is {said['cac']}."
        ),
        margin=f"{100 * margin:g}",
        cac=f"{cac:.4g}",
        highest=f"{max(worth[-1] * 1.5, cac * 1.5):.2g}",
        horizon=last,
    )


def _data(known: dict[str, Any], currency: str, right: int) -> str:
    """What the script needs of a chart, and where it is drawn."""
    geometry = {"left": LEFT, "right": right, "top": TOP, "floor": FLOOR}
    return json.dumps({**known, "currency": currency, **geometry}, allow_nan=False)


def _cohorts(known: dict[str, Any], currency: str) -> CohortChart:
    """Lines of cohorts: solid where all has happened, dashed with a fan where it is forecast."""
    lines, last, value = known["lines"], known["months"], known["total"] == "value"
    top = max(v for line in lines for name in ("mean", "upper") for v in line[name] if v)
    axes = Axes(last, top * _HEADROOM, _END)
    drawn = []
    for line in lines:
        past = max(line["known"], 0)
        ends = [line[name][past:] for name in ("lower", "upper")]
        drawn.append(
            CohortLine(
                line["cohort"],
                axes.points(line["mean"][: past + 1]),
                axes.points(line["mean"][past:], past),
                f"{axes.points(ends[0], past)} {axes.points(ends[1], past, back=True)}",
                axes.y(line["mean"][-1]),
            )
        )

    def said(amount: float) -> str:
        return spoken_money(amount, currency) if value else f"{significant(amount, 3)} purchases"

    told = [
        f"Customers who came in {line['cohort']} ({line['customers']:,}) have brought "
        f"{said(line['mean'][max(line['known'], 0)])} each in {max(line['known'], 0)} months, and "
        f"are expected to have brought {said(line['mean'][-1])} after {last}"
        for line in lines
    ]
    return CohortChart(
        data=_data({"lines": lines, "months": last, "value": value}, currency, _END),
        lines=_dodged(drawn),
        marks=axes.marks("money" if value else "number", currency if value else ""),
        months=axes.months(),
        alt=f"{'; '.join(told)}.",
        interval=known["interval"],
        title=f"What {'a customer brings' if value else 'a customer buys'}, by when they came",
    )


def _dodged(lines: Sequence[CohortLine]) -> tuple[CohortLine, ...]:
    """Names of lines that end close to each other are moved apart."""
    lowest = float(FLOOR)
    placed: dict[str, float] = {}
    for line in sorted(lines, key=lambda line: -line.end):
        placed[line.name] = min(line.end, lowest)
        lowest = placed[line.name] - _LABEL
    return tuple(replace(line, end=placed[line.name]) for line in lines)
