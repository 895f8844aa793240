"""What the manager's page shows: figures, and the curve of payback as lines of an SVG.

The script draws the curve anew by the same scales, which it reads from the page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from clvmodels.diagnostics.lists import FIRST_CUSTOMERS
from clvmodels.diagnostics.record import Report
from clvmodels.reporting.values import write
from clvmodels.reporting.views import Grid, ShownFact, shown_fact, table_grid

WIDTH: Final = 640
HEIGHT: Final = 270
LEFT: Final = 74
RIGHT: Final = 626
TOP: Final = 16
FLOOR: Final = 240
_HEADROOM: Final = 1.1
_STEPS: Final = 4  # of money
_MONTHS: Final = 6  # between marks


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
    reliable: bool


def shown_brief(report: Report) -> ShownBrief | None:
    """Lay out the manager's page; None of records without one."""
    brief = report.brief
    if brief is None:
        return None
    lists = (one for section in report.sections for one in section.tables)
    tables = (*brief.tables, *(one for one in lists if one.key == FIRST_CUSTOMERS))
    grids = {table.key: table_grid(table, report) for table in tables}
    return ShownBrief(
        sentence=brief.sentence,
        answer=brief.answer,
        facts=tuple(shown_fact(fact, report) for fact in brief.facts),
        actions=brief.actions,
        costs=grids.get("brief-costs") if brief.reliable else None,
        tiers=grids.get("brief-tiers"),
        customers=grids.get(FIRST_CUSTOMERS),
        curve=_curve(dict(brief.curve), report.currency)
        if brief.curve and brief.reliable
        else None,
        reliable=brief.reliable,
    )


def _curve(known: dict[str, Any], currency: str) -> Curve:
    """Scale revenue by the margin, as far as the horizon, and cost beside it."""
    last, margin, cac = known["months"], known["margin"], known["cac"]
    worth = [margin * one for one in known["revenue"][: last + 1]]
    ends = [
        [one if end is None else margin * end for end, one in zip(known[name], worth, strict=False)]
        for name in ("lower", "upper")
    ]
    top = max(*ends[1], cac, 1e-9) * _HEADROOM

    def x(month: float) -> float:
        return float(round(LEFT + month / last * (RIGHT - LEFT), 1))

    def y(value: float) -> float:
        return float(round(FLOOR - value / top * (FLOOR - TOP), 1))

    def points(values: list[float], back: bool = False) -> str:
        placed = [f"{x(month)},{y(value)}" for month, value in enumerate(values)]
        return " ".join(placed[::-1] if back else placed)

    marks = [top * step / _STEPS for step in range(_STEPS + 1)]
    step = max(1, _MONTHS if last > _MONTHS * 2 else last // _MONTHS or 1)
    said = {name: write(value, "money", currency=currency) for name, value in (
        ("cac", cac), ("first", worth[0]), ("last", worth[-1]), ("most", max(worth[-1] * 1.5, cac))
    )}  # fmt: skip
    geometry = {"left": LEFT, "right": RIGHT, "top": TOP, "floor": FLOOR, "room": _HEADROOM}
    return Curve(
        data=json.dumps({**known, "currency": currency, **geometry}, allow_nan=False),
        line=points(worth),
        band=f"{points(ends[0])} {points(ends[1], back=True)}",
        cost=y(cac),
        marks=tuple(
            (y(mark), write(float(f"{mark:.3g}"), "money", currency=currency)) for mark in marks
        ),
        months=tuple((x(month), str(month)) for month in range(0, last + 1, step)),
        alt=(
            f"What a new customer brings rises from {said['first']} by the first order to "
            f"{said['last']} after {last} months; the cost is {said['cac']}."
        ),
        margin=f"{100 * margin:g}",
        cac=f"{cac:.4g}",
        highest=f"{max(worth[-1] * 1.5, cac * 1.5):.2g}",
        horizon=last,
    )
