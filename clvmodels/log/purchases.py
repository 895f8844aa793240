"""The purchases of a log, customer by customer and period by period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from clvmodels.log.arrow import replayable
from clvmodels.log.audit import Reason
from clvmodels.log.collecting import _attach_map, reading, tidy
from clvmodels.log.embedded import attach, engine, fetch
from clvmodels.log.expressions import _customer_periods
from clvmodels.log.ids import read_id_map
from clvmodels.log.options import LogOptions
from clvmodels.log.plausible import left_out_apart, without_implausible
from clvmodels.log.sources import open_log


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
    if options.implausible_dates == "drop":
        source = replayable(source)  # what is to be dropped is known after one reading
    names = ["customer", "period", "reason", *(["total"] if options.has_money else [])]
    names += ["seen"] if options.by_order else []
    with reading(), engine() as backend:
        log = open_log(source, options, backend)
        id_table = _attach_map(persons, log.table, backend)
        names += ["day"] if log.options.counts_days else []
        narrower: LogOptions | None = log.options
        while narrower is not None:
            read_as = narrower
            periods = _customer_periods(log.table, read_as, id_table)
            found = tidy(fetch(log.table.get_backend(), periods.select(*names)))
            ledger = _ends_of(attach(backend, found, "purchases"))
            narrower = without_implausible(ledger, read_as, backend)
    known = found.filter(pc.not_equal(found["reason"], int(Reason.IMPLAUSIBLE_DATE)))
    last, day = (
        pc.max(known[name]).as_py() if name in known.column_names else None
        for name in ("seen" if options.by_order else "period", "day")
    )
    used = found.filter(pc.equal(found["reason"], int(Reason.USED))).select(
        [name for name in names if name not in ("reason", "seen", "day")]
    )
    ordered = used.sort_by([("customer", "ascending"), ("period", "ascending")])
    return Purchases(ordered, last, day)


def _ends_of(purchases: Any) -> Any:
    """Reduce purchases to the columns of a ledger by which dates are judged."""
    purchases = left_out_apart(purchases)
    ends = {"first": purchases["period"].min(), "last": purchases["period"].max()}
    if "seen" in purchases.columns:
        ends["seen"] = purchases["seen"].max()
    return purchases.group_by("customer", "reason", "apart").agg(**ends)
