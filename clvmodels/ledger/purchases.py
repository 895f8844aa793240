"""The purchases of a log, customer by customer and period by period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clvmodels.audit import Reason
from clvmodels.ledger.expressions import _customer_periods
from clvmodels.ledger.id_map import read_id_map
from clvmodels.ledger.plausible import plausible_purchases
from clvmodels.ledger.run import _attach_map, reading, tidy
from clvmodels.transactions import LogOptions, engine, fetch, open_log


@dataclass(frozen=True, slots=True)
class Purchases:
    """Every purchase of a log: what one customer buys within one period.

    Parameters
    ----------
    table : pyarrow.Table
        customer (as the log writes it: text of a CSV file), period (ordinal) and, with
        amounts, total; sorted by customer and period.
    last : int or None
        Ordinal of the last period with a readable date, used or not; None if there is none.
    day : int or None
        Ordinal of the last day, where weeks or months are counted.
    """

    table: pa.Table
    last: int | None
    day: int | None = None


def collect_purchases(source: Any, options: LogOptions, id_map: Any = None) -> Purchases:
    """Read a log once, down to its purchases.

    Raises
    ------
    SchemaError
        The log cannot be read as the options say.
    """
    persons = read_id_map(id_map)
    names = ["customer", "period", "reason", *(["total"] if options.has_money else [])]
    names += ["seen"] if options.by_order else []
    with reading(), engine() as backend:
        log = open_log(source, options, backend)
        id_table = _attach_map(persons, log.table, backend)
        names += ["day"] if log.options.counts_days else []
        periods = _customer_periods(log.table, log.options, id_table)
        found = tidy(fetch(log.table.get_backend(), periods.select(*names)))
        found = plausible_purchases(found, log.options)
    last, day = (
        pc.max(found[name]).as_py() if name in found.column_names else None
        for name in ("seen" if options.by_order else "period", "day")
    )
    used = found.filter(pc.equal(found["reason"], int(Reason.USED))).select(
        [name for name in names if name not in ("reason", "seen", "day")]
    )
    ordered = used.sort_by([("customer", "ascending"), ("period", "ascending")])
    return Purchases(ordered, last, day)
