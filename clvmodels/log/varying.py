"""Segment columns of a log: one value a customer, and what is said where it varies.

Rows are merged moment by moment, then period by period, then customer by customer. At each
step the first or the last value in time is kept, the smallest where several have one moment,
so that neither the order of rows nor the engine matters; and whether there were others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.log.audit import Reason
from clvmodels.log.engines import earliest, latest
from clvmodels.log.options import LogOptions

if TYPE_CHECKING:
    import ibis

SEGMENT: Final = "segment_{}"
VARIES: Final = "varies_{}"
_MISSING: Final = "missing_{}"


def of_moments(rows: ibis.Table, options: LogOptions) -> dict[str, Any]:
    """Smallest value of each segment column at one moment, and whether there are others."""
    found = {}
    for value, varies in _columns(options):
        found[value] = rows[value].min()
        found[varies] = _apart(rows[value])
    return found


def kept_values(table: ibis.Table, by: str, options: LogOptions) -> dict[str, Any]:
    """Value of each segment column at the first or the last ``by``, missing ones passed over.

    With whether there are others, where ``table`` says that of its rows.
    """
    import ibis

    at = latest if options.varying_segments == "last" else earliest
    found = {}
    for value, varies in _columns(options):
        column = table[value]
        found[value] = at(column, table[by], where=column.notnull())
        if varies in table.columns:
            found[varies] = ibis.greatest(table[varies].max(), _apart(column))
    return found


def _columns(options: LogOptions) -> Iterator[tuple[str, str]]:
    return ((SEGMENT.format(i), VARIES.format(i)) for i in range(len(options.segment_cols)))


def _apart(column: Any) -> Any:
    return (column.min() < column.max()).fill_null(False).cast("int64")


def customers_by_column(ledger: ibis.Table, options: LogOptions) -> dict[str, Any]:
    """Of each segment column, how many rows of a ledger have several values, and how many none."""
    found = {}
    for i, (value, varies) in enumerate(_columns(options)):
        found[varies] = ledger[varies].sum()
        found[_MISSING.format(i)] = ledger[value].isnull().cast("int64").sum()
    return found


def varying_notes(lines: Sequence[Mapping[str, Any]], options: LogOptions) -> tuple[str, ...]:
    """Say how many customers have several values of a segment column, and how many none.

    Parameters
    ----------
    lines : sequence of mapping
        Rows of `clvmodels.log.audit_of`.
    options : LogOptions
        How the log was read; of a later log, whose customers are known from before, nothing
        is said.

    Raises
    ------
    SchemaError
        There are several, and they are to be refused.
    """
    used = next((line for line in lines if line["reason"] == Reason.USED), None)
    if used is None or options.after is not None:
        return ()
    notes: list[str] = []
    for i, name in enumerate(options.segment_cols):
        varying = int(used[VARIES.format(i)])
        refuse_varying(name, varying, options)
        notes += varying_note(name, varying, options)
        notes += missing_note(name, int(used[_MISSING.format(i)]))
    return tuple(notes)


def refuse_varying(name: str, customers: int, options: LogOptions, where: str = "") -> None:
    """Raise SchemaError where customers have several values, and that is to be an error."""
    if customers and options.varying_segments == "error":
        raise SchemaError(
            f"{name!r} varies within {many(customers, 'customer')}{where}: pass "
            "varying_segments='first' or 'last' to keep the first or the last value in time, "
            "or give every customer one value."
        )


def varying_note(name: str, customers: int, options: LogOptions, where: str = "") -> list[str]:
    """Say which of several values of a column is kept, where there are several."""
    kept, other = ("first", "last") if options.varying_segments == "first" else ("last", "first")
    if not customers:
        return []
    return [
        f"{name!r} varies within {many(customers, 'customer')}{where}: the {kept} value in "
        f"time is kept; varying_segments={other!r} keeps the {other}"
    ]


def missing_note(name: str, customers: int) -> list[str]:
    """Say how many customers have no value of a column, where there are such."""
    return [f"{is_missing(name)}{many(customers, 'customer')}"] if customers else []


def is_missing(name: str) -> str:
    """How a note of `missing_note` begins."""
    return f"{name!r} is missing for "
