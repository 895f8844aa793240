"""How many purchases of a log are made on one day and followed by another on a later one.

Apart from `expressions`, whose ledger knows of a customer no more than the first and the last:
these sums over customers take a reading of their own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clvmodels.log.embedded import fetch
from clvmodels.log.expressions import _used_part, _with_gaps, purchases_expr
from clvmodels.log.options import LogOptions
from clvmodels.schema import DAYS_PER_MONTH

if TYPE_CHECKING:
    import ibis


def ages_from(first: int | None, newest: int | None) -> int:
    """The first day whose new customers have a known age: that after the log's first month.

    Who came in the first month may have come before the log began. Where nobody came later,
    all are taken to have come when they are first seen.

    Parameters
    ----------
    first, newest : int or None
        Days of the first purchases of the oldest customer and of the newest; None where there
        are no customers.
    """
    if first is None or newest is None:
        return 0
    after = first + math.ceil(DAYS_PER_MONTH)
    return after if newest >= after else first


def came_between(customers: ibis.Table, backend: Any) -> tuple[int | None, int | None]:
    """Days of the first purchases of the oldest customer and of the newest, for `ages_from`."""
    first = customers["first"]
    row = fetch(backend, customers.aggregate(oldest=first.min(), newest=first.max()))
    return row["oldest"][0].as_py(), row["newest"][0].as_py()


def day_pairs_expr(
    table: ibis.Table, options: LogOptions, since: int, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> how many purchases there are of each day and day of the customer's purchase before.

    Parameters
    ----------
    table, options, id_map
        As in `ledger_expr`.
    since : int
        First period of new customers whose age counts: see `ages_from`.

    Returns
    -------
    ibis.Table
        day and next_day (ordinals of periods), count and by_age, one row for each pair that
        there is; first purchases have no day before and are not among them. Where by_age is 1,
        and not 0, the days are those since the customer's first purchase.
    """
    return _paired(purchases_expr(table, options, id_map), since)


def used_day_pairs_expr(
    table: ibis.Table, options: LogOptions, since: int, *, part: int = 0, parts: int = 1
) -> ibis.Table:
    """As `day_pairs_expr`, of one part of the customers, as `used_expr` takes them."""
    rows = _used_part(table, options, part, parts).select("customer", "period").distinct()
    return _paired(rows, since)


def _paired(purchases: ibis.Table, since: int) -> ibis.Table:
    import ibis

    whose = ibis.window(group_by="customer")
    p = _with_gaps(purchases, ["customer"])
    p = p.mutate(first=p["period"].min().over(whose))
    p = p.filter(p["gap"].notnull())
    by_day = _counted(p, p["period"], by_age=False)
    aged = p.filter(p["first"] >= since)
    return ibis.union(by_day, _counted(aged, aged["period"] - aged["first"], by_age=True))


def _counted(p: ibis.Table, when: ibis.Value, *, by_age: bool) -> ibis.Table:
    import ibis

    pairs = p.group_by(day=when - p["gap"], next_day=when).agg(count=p.count())
    whole = {name: pairs[name].cast("int64") for name in pairs.columns}
    return pairs.select(**whole, by_age=ibis.literal(int(by_age), type="int64"))
