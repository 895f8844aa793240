"""Refunds that their own order does not cover, and that are taken off other purchases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clvmodels.log.amounts import sum_of_amounts
from clvmodels.log.options import LogOptions

NO_PURCHASE: Final = "of which the log has no purchase"
_ELSE: Final = "taken off the customer's other purchases before it, as far as there are any"


def order_notes(lines: Sequence[Mapping[str, Any]], options: LogOptions) -> tuple[str, ...]:
    """Say what refunds name orders that do not cover them.

    Parameters
    ----------
    lines : sequence of mapping
        Rows of `clvmodels.log.audit_of`.
    options : LogOptions
        How the log was read.

    Returns
    -------
    tuple of str
        Notes for the audit.
    """
    if not options.by_order:
        return ()
    stray, strays = _sums(lines, "stray")
    over, beyond = _sums(lines, "beyond")
    name = repr(options.order_id_col)
    notes = (
        (stray, f"refunds name an order in {name} {NO_PURCHASE}, {strays:,.2f}"),
        (
            over,
            f"refunds exceed what is left of their order in {name}, by {beyond:,.2f} in total "
            "(some orders may be refunded twice)",
        ),
    )
    return tuple(f"{rows:,} {text}: each is {_ELSE}" for rows, text in notes if rows)


def _sums(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[int, float]:
    rows = int(sum(line[f"{name}_rows"] for line in lines))
    return rows, float(f"{sum_of_amounts(line[name] for line in lines):.15g}")
