"""The record that a report is rendered from: plain values, frozen, strict JSON.

A report is computed once and rendered many times. Every number that any rendering
shows is in the record; rendering decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from clvmodels.diagnostics.record_tables import Format, Table, plain
from clvmodels.display import Readable
from clvmodels.schema import check_choice
from clvmodels.uses import UseVerdict
from clvmodels.verdict import Check, Status

__all__ = [
    "SCHEMA_VERSION",
    "Brief",
    "Fact",
    "Figure",
    "Format",
    "Headline",
    "Report",
    "Section",
    "Table",
    "check_record",
    "plain",
]

SCHEMA_VERSION: Final = 2

FactGroup = Literal["worth", "buy", "active", "base"]


@dataclass(frozen=True, slots=True)
class Headline:
    """What the numbers can be used for, on one screen.

    Attributes
    ----------
    status : {"pass", "warn", "fail", "unavailable"}
        Of all uses together: pass where each is supported, fail where none is left,
        unavailable where none was checked.
    headline : str
        What the numbers can be used for, in a sentence or two for the manager.
    sentences : tuple of str
        What else stands behind it, at most a handful.
    uses : tuple of UseVerdict
        The verdict of each use: totals, ranking, single customers.
    """

    status: Status
    headline: str
    sentences: tuple[str, ...] = ()
    uses: tuple[UseVerdict, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "status": self.status,
            "headline": self.headline,
            "uses": [use.to_dict() for use in self.uses],
            "sentences": list(self.sentences),
        }


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of the first screen.

    Attributes
    ----------
    key : str
        Stable name, such as "value_of_the_base".
    label : str
        What the figure is, such as "What the base is worth".
    value, lower, upper : float, int, str or None
        Lower and upper bound the credible interval; None where there is none. Infinite
        values are None, and the note says so.
    format : Format
        How the three are written.
    note : str
        What the figure means and leaves out.
    group : {"worth", "buy", "active", "base"}
        What the base is worth; who will buy; who is still a customer; the base.
    """

    key: str
    label: str
    value: float | int | str | None
    lower: float | None = None
    upper: float | None = None
    format: Format = "number"
    note: str = ""
    group: FactGroup = "base"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "label": self.label,
            "value": plain(self.value),
            "lower": plain(self.lower),
            "upper": plain(self.upper),
            "format": self.format,
            "note": self.note,
            "group": self.group,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Figure(Readable):
    """One figure: the data that it draws, and the words around it.

    Attributes
    ----------
    key : str
        Stable name within the report.
    kind : str
        Which function of `clvmodels.plots` draws it, ``plot_<kind>``; `draw_figure` calls
        it with the data.
    title, caption, alt : str
        The title says what to see, the caption how to read it, and the alt text says in
        words what the picture shows, with its main numbers.
    data : mapping
        Plain values: numbers, texts, lists and mappings of them; small for any base.
    """

    key: str
    kind: str
    title: str
    caption: str
    alt: str
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", plain(self.data))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "kind": self.kind,
            "title": self.title,
            "caption": self.caption,
            "alt": self.alt,
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Section(Readable):
    """One of the report's sections after the verdict.

    Attributes
    ----------
    key : str
        "data", "convergence", "priors", "fit", "prediction", "says" or "provenance".
    title, intro : str
        The heading, and a paragraph below it.
    checks : tuple of Check
        Those of the report's checks that this section's numbers stand behind.
    tables, figures : tuple of Table, Figure
        In the order in which they should be read.
    notes : tuple of str
        Sentences: what is unavailable and why, what to keep in mind.
    """

    key: str
    title: str
    intro: str
    checks: tuple[Check, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "title": self.title,
            "intro": self.intro,
            "checks": [check_record(check) for check in self.checks],
            "tables": [table.to_dict() for table in self.tables],
            "figures": [figure.to_dict() for figure in self.figures],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Brief(Readable):
    """The first page, for whoever decides.

    Attributes
    ----------
    sentence : str
        What the base is expected to bring.
    answer : str
        What a new customer may cost, and whether the given cost is paid back.
    facts : tuple of Fact
        The base over the horizon, a new customer, the cost to aim at, payback.
    actions : tuple of str
        Three things to do.
    tables : tuple of Table
        What may be paid for a new customer, and who holds the value.
    curve : mapping
        Revenue of a new customer after so many months, with its interval, the margin and the
        cost; empty where it is not known.
    reliable : bool
        Whether the fit converged, so that its figures may be used at all.
    cohorts : mapping
        What customers of some cohorts have brought by months since their first order, and will
        bring, with intervals; empty where it is not known.
    limits : tuple of str
        What the data lack that these figures rest on.
    """

    sentence: str
    answer: str
    facts: tuple[Fact, ...]
    actions: tuple[str, ...]
    tables: tuple[Table, ...]
    curve: Mapping[str, Any]
    reliable: bool = True
    cohorts: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", plain(self.curve))
        object.__setattr__(self, "cohorts", plain(self.cohorts))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sentence": self.sentence,
            "answer": self.answer,
            "facts": [fact.to_dict() for fact in self.facts],
            "actions": list(self.actions),
            "tables": [table.to_dict() for table in self.tables],
            "curve": dict(self.curve),
            "reliable": self.reliable,
            "cohorts": dict(self.cohorts),
            "limits": list(self.limits),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Report(Readable):
    """Everything that a rendering shows.

    Attributes
    ----------
    title : str
    verdict : Headline
        Can these numbers be used?
    checks : tuple of Check
        All of them, in reading order; each is also in its section.
    facts : tuple of Fact
        The first screen's figures.
    sections : tuple of Section
        Sections two to eight; the first is verdict, checks and facts.
    provenance : mapping
        Plain values: versions, seed, priors, fingerprints, date and so on; the last
        section shows them as tables.
    currency, time_unit : str
        What "money" and "duration" are counted in, for the eye; "" for no currency.
    brief : Brief or None
        The manager's page; None in records of before there was one.
    """

    title: str
    verdict: Headline
    checks: tuple[Check, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    provenance: Mapping[str, Any]
    currency: str = ""
    time_unit: str = ""
    brief: Brief | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", plain(self.provenance))

    def section(self, key: str) -> Section:
        """The section of that key.

        Raises
        ------
        SchemaError
            There is none.
        """
        keys = [section.key for section in self.sections]
        return self.sections[keys.index(check_choice("section", key, tuple(keys)))]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in reading order."""
        return tuple(figure for section in self.sections for figure in section.figures)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: what is not finite is None."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "verdict": self.verdict.to_dict(),
            "checks": [check_record(check) for check in self.checks],
            "facts": [fact.to_dict() for fact in self.facts],
            "sections": [section.to_dict() for section in self.sections],
            "provenance": dict(self.provenance),
            "currency": self.currency,
            "time_unit": self.time_unit,
            "brief": None if self.brief is None else self.brief.to_dict(),
        }


def check_record(check: Check) -> dict[str, Any]:
    """Plain values of a check."""
    return {
        "name": check.name,
        "value": plain(check.value),
        "limit": plain(check.limit),
        "status": check.status,
        "advice": check.advice,
        "sentence": check.sentence,
        "side": check.side,
        "unit": check.unit,
        "bears_on": list(check.bears_on),
    }
