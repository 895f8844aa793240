"""A record as strict JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clvmodels.diagnostics.record import (
    SCHEMA_VERSION,
    Brief,
    Fact,
    Figure,
    Headline,
    Report,
    Section,
    Table,
)
from clvmodels.errors import SchemaError, one_line
from clvmodels.uses import UseVerdict
from clvmodels.verdict import Check


def to_json(report: Report) -> str:
    """A record as JSON: no NaN, nothing but ASCII, the same text for the same record."""
    return json.dumps(report.to_dict(), allow_nan=False, indent=1) + "\n"


def from_json(text: str) -> Report:
    """Read back what `to_json` wrote, so that it can be rendered again.

    Raises
    ------
    SchemaError
        The text is not such JSON, or of another version of the record.
    """
    try:
        data = json.loads(text)
        version = data["schema_version"]
        if version != SCHEMA_VERSION:
            raise SchemaError(
                f"The report is of record version {version}, and this clvmodels reads "
                f"{SCHEMA_VERSION}: make it again, or render it with the version that wrote it."
            )
        return _report(data)
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, SchemaError):
            raise
        raise SchemaError(
            f"This is not a report of clvmodels ({one_line(error)}): write it with "
            "'clvmodels report --json'."
        ) from error


def _report(data: Mapping[str, Any]) -> Report:
    verdict = data["verdict"]
    return Report(
        title=data["title"],
        verdict=Headline(
            verdict["status"],
            verdict["headline"],
            tuple(verdict["sentences"]),
            tuple(map(UseVerdict.from_dict, verdict["uses"])),
        ),
        checks=_checks(data),
        facts=tuple(Fact(**fact) for fact in data["facts"]),
        sections=tuple(_section(section) for section in data["sections"]),
        provenance=data["provenance"],
        currency=data["currency"],
        time_unit=data["time_unit"],
        brief=_brief(data.get("brief")),
    )


def _brief(data: Mapping[str, Any] | None) -> Brief | None:
    """The manager's page, which records of older versions do not have."""
    if data is None:
        return None
    parts = {
        "facts": tuple(Fact(**fact) for fact in data["facts"]),
        "actions": tuple(data["actions"]),
        "limits": tuple(data.get("limits", ())),
        "tables": tuple(_table(table) for table in data["tables"]),
    }
    return Brief(**{**data, **parts})


def _checks(data: Mapping[str, Any]) -> tuple[Check, ...]:
    # the sentence follows from the rest
    kept = (
        {key: one for key, one in check.items() if key != "sentence"} for check in data["checks"]
    )
    return tuple(Check(**check) for check in kept)


def _section(data: Mapping[str, Any]) -> Section:
    return Section(
        key=data["key"],
        title=data["title"],
        intro=data["intro"],
        checks=_checks(data),
        tables=tuple(_table(table) for table in data["tables"]),
        figures=tuple(Figure(**figure) for figure in data["figures"]),
        notes=tuple(data["notes"]),
    )


def _table(data: Mapping[str, Any]) -> Table:
    rows = tuple(tuple(row) for row in data["rows"])
    pairs = {name: tuple(ends) for name, ends in data.get("intervals", {}).items()}
    below = {name: tuple(columns) for name, columns in data.get("spanners", {}).items()}
    made = {"columns": tuple(data["columns"]), "rows": rows, "bars": tuple(data.get("bars", ()))}
    leads = {name: tuple(groups) for name, groups in data.get("leads", {}).items()}
    lives = tuple(data.get("lives", ()))
    pairs_and_groups = {"intervals": pairs, "spanners": below, "leads": leads, "lives": lives}
    return Table(**{**data, **made, **pairs_and_groups})
