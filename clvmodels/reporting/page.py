"""A record as one HTML file that loads nothing; Jinja2 escapes whatever comes from the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from clvmodels.diagnostics.customers_listed import FIRST_CUSTOMERS
from clvmodels.diagnostics.record import Figure, Report, Section
from clvmodels.keywords import named
from clvmodels.progress import telling_part
from clvmodels.reporting.images import Draw, Picture, limit_each, make_pictures
from clvmodels.reporting.manager_view import shown_brief
from clvmodels.reporting.self_contained import asset, dressed, environment
from clvmodels.reporting.views import (
    LIST,
    Grid,
    ShownCheck,
    check_grid,
    count_checks,
    fact_groups,
    shown_checks,
    shown_uses,
    slug,
    table_grid,
    worst,
)
from clvmodels.schema import check_choice
from clvmodels.verdict import Status

Reader = Literal["both", "manager", "analyst"]
READERS: Final[tuple[Reader, ...]] = get_args(Reader)


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """One figure with the words around it."""

    id: str
    title: str
    caption: str
    alt: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class ShownSection:
    """One section, ready to be laid out."""

    id: str
    title: str
    intro: str
    status: Status | None
    checks: tuple[ShownCheck, ...]
    notes: tuple[str, ...]
    figures: tuple[ShownFigure, ...]
    tables: tuple[Grid, ...]


@named
def render_page(report: Report, draw: Draw | None = None, *, reader: Reader = "both") -> str:
    """Render a record as one self-contained HTML page.

    Parameters
    ----------
    report : Report
        The record; every number of the page is one of its numbers.
    draw : callable, optional
        Makes a matplotlib figure of a record's figure; by default `clvmodels.plots.draw_figure`.
    reader : {"both", "manager", "analyst"}
        Whom it is for: the manager's page alone, the model's part alone, or the first with the
        second folded below it. A record without a manager's page shows the model's part.

    Returns
    -------
    str
        The same text for the same record.
    """
    from clvmodels.plots.inks import dark_style

    draw = _told(draw or _own_drawing(), len(report.figures))
    check_choice("reader", reader, READERS)
    page = dressed(
        "".join(asset(one) for one in ("style.css", "list.css", "card.css")),
        "".join(asset(one) for one in ("script.js", "list.js", "card.js", "touch.js")),
        figures=dark_style(),
    )
    brief = None if reader == "analyst" else shown_brief(report)
    sections = () if brief is not None and reader == "manager" else report.sections
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            brief=brief,
            customers_list=LIST,
            whole=brief is None or reader != "manager",
            folded=brief is not None,
            uses=shown_uses(report),
            facts=fact_groups(report),
            to_mind=check_grid(report.checks, passed=False),
            passed=check_grid(report.checks, passed=True),
            checks_title=count_checks(report.checks),
            sections=[
                _section(section, report, draw, listed=brief is not None) for section in sections
            ],
            version=_version(report),
            made_on=report.provenance.get("date"),
            **page,
        )
    )


def _told(draw: Draw, figures: int) -> Draw:
    """The same, telling how many figures are drawn: most of the time goes there."""
    told, seen = telling_part(), set[str]()

    def drawn(figure: Figure) -> Any:
        told(len(seen - {figure.key}) / figures, "the page")  # which may have panels of its own
        seen.add(figure.key)
        return draw(figure)

    return drawn


def _section(section: Section, report: Report, draw: Draw, *, listed: bool) -> ShownSection:
    limit = limit_each(len(report.figures))
    return ShownSection(
        id=f"section-{slug(section.key)}",
        title=section.title,
        intro=section.intro,
        status=worst(section.checks),
        checks=shown_checks(section),
        notes=section.notes,
        figures=tuple(_figure(figure, draw, limit) for figure in section.figures),
        tables=tuple(
            table_grid(table, report)
            for table in section.tables
            if not (listed and table.key == FIRST_CUSTOMERS)  # the manager's page has it
        ),
    )


def _figure(figure: Figure, draw: Draw, max_bytes: int) -> ShownFigure:
    return ShownFigure(
        f"figure-{slug(figure.key)}",
        figure.title,
        figure.caption,
        figure.alt,
        make_pictures(figure, draw, max_bytes=max_bytes),
    )


def _own_drawing() -> Draw:
    from clvmodels.plots import draw_figure

    return draw_figure


def _version(report: Report) -> str:
    """The version that made the record, where it says so."""
    versions: Any = report.provenance.get("report_versions")
    return str(versions.get("clvmodels", "")) if isinstance(versions, dict) else ""
