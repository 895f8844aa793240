"""How many purchases of a log are made on one day and followed by another on a later one.

Apart from `expressions`, whose ledger knows of a customer no more than the first and the last:
these sums over customers take a reading of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clvmodels.log.expressions import _used_part, _with_gaps, purchases_expr
from clvmodels.log.options import LogOptions

if TYPE_CHECKING:
    import ibis


def day_pairs_expr(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> how many purchases there are of each day and day of the customer's purchase before.

    Returns
    -------
    ibis.Table
        day and next_day (ordinals of periods) and count, one row for each pair that there
        is; first purchases have no day before and are not among them.
    """
    return _paired(purchases_expr(table, options, id_map))


def used_day_pairs_expr(
    table: ibis.Table, options: LogOptions, *, part: int = 0, parts: int = 1
) -> ibis.Table:
    """As `day_pairs_expr`, of one part of the customers, as `used_expr` takes them."""
    return _paired(_used_part(table, options, part, parts).select("customer", "period").distinct())


def _paired(purchases: ibis.Table) -> ibis.Table:
    p = _with_gaps(purchases, ["customer"])
    p = p.filter(p["gap"].notnull())
    pairs = p.group_by(day=p["period"] - p["gap"], next_day=p["period"]).agg(count=p.count())
    return pairs.mutate(**{name: pairs[name].cast("int64") for name in pairs.columns})
