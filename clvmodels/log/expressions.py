"""Log -> ledger -> summary and audit, as Ibis expressions that any backend can run.

Two group-bys do all the work:

1. rows -> *customer-periods*: every row gets a reason (0 = used), left-out rows lose
   their customer, and rows are merged by customer, calendar period and reason;
2. customer-periods -> *ledger*: one row per customer with what a summary needs, and one
   row without customer per reason, which is the audit.

The log is read once; files that can be read again go faster in two passes, `used_expr`
and `left_out_expr`. The ledger is sufficient: `customers_of`, `rfm_of` and ``audit_of``
read the rest off it, and two ledgers of separate periods can be merged (`merge_customers`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clvmodels.log.audit import Reason
from clvmodels.log.engines import earliest, total_of
from clvmodels.log.netting import net, resum
from clvmodels.log.options import LogOptions
from clvmodels.log.plausible import left_out_apart
from clvmodels.log.row_expressions import classify, last_whole, to_persons, used_rows
from clvmodels.log.varying import SEGMENT, VARIES, customers_by_column, kept_values, of_moments
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    LOG_GAPS,
    MONETARY_VALUE,
    RECENCY,
    T,
)

if TYPE_CHECKING:
    import ibis

# What the audit counts beside rows and amounts, where the options ask for it.
_COUNTED: Final = (
    "extra",
    "extra_amount",
    "negative_rows",
    "negative",
    "earlier_rows",
    "earlier",
    "stray_rows",
    "stray",
    "beyond_rows",
    "beyond",
)


def summary_expr(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> one row per customer, as one Ibis expression.

    Parameters
    ----------
    table : ibis.Table
        The log, with the columns that ``options`` names.
    options : LogOptions
        Column names and policies.
    id_map : ibis.Table, optional
        Columns id and customer: whose account an id of the log is.

    Returns
    -------
    ibis.Table
        customer_id, frequency, recency, T, with amounts monetary_value and first_value,
        log_gaps, then the segment columns; unordered.
    """
    options = _ended(table, options)
    periods = _with_gaps(_customer_periods(table, options, id_map), ["customer", "reason"])
    ledger = _to_ledger(periods, options)
    end = _seen(ledger).max().as_scalar() if options.end is None else options.end
    return rfm_of(customers_of(ledger, options), options, end)


def audit_expr(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> one row per reason: rows, amount, customers, periods.

    Parameters
    ----------
    table : ibis.Table
        The log.
    options : LogOptions
        How it is to be read.
    id_map : ibis.Table, optional
        From ids in the log to customers.
    """
    options = _ended(table, options)
    return audit_of(_to_ledger(_customer_periods(table, options, id_map), options), options)


def _ended(table: ibis.Table, options: LogOptions) -> LogOptions:
    """Let the engine find the last whole period, where that is the end."""
    if not options.whole or options.end is not None:
        return options
    return replace(options, end=last_whole(table, options).as_scalar())


def ledger_expr(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> ledger: one row per customer, and one per reason and period without customer.

    By its last period alone a reason could not tell a stray date from one among many.

    Returns
    -------
    ibis.Table
        customer, reason (0 = used), purchases (periods), first and last (period
        ordinals), log_gaps (sum of the logarithms of the periods from one purchase to the
        next; null of one purchase), rows; with amounts total, first_value, and negative
        (netting) or extra_amount (duplicates); extra (duplicates); earlier_rows and earlier
        (netting against earlier purchases); seen (orders: last period of any row), stray_rows,
        stray, beyond_rows and beyond (orders: refunds that their order does not cover);
        segment_0, ..., and varies_0, ... (1 where the customer has several values)
    """
    periods = _with_gaps(_customer_periods(table, options, id_map), ["customer", "reason"])
    return _apart(periods, options)


def used_expr(
    table: ibis.Table, options: LogOptions, *, part: int = 0, parts: int = 1
) -> ibis.Table:
    """Log -> the rows of the ledger that stand for customers, of one part of them.

    Leaner than `ledger_expr`, for logs that can be read twice: neither the reason nor the
    count of rows goes through the group-by of customer-periods, whose size decides how
    much memory and time a summary takes.

    Parameters
    ----------
    table : ibis.Table
        The log.
    options : LogOptions
        Without netting and with duplicates kept: those need the count.
    part, parts : int
        Customers whose hash leaves this remainder; a customer lies in one part.

    Returns
    -------
    ibis.Table
        The columns of `ledger_expr`, in another order; rows is null.
    """
    import ibis

    rows = _used_part(table, options, part, parts)
    periods = _with_gaps(_to_periods(rows, options, keys=["customer", "period"]), ["customer"])
    ledger = _to_ledger(periods, options, keys=["customer"])
    reason = ibis.literal(int(Reason.USED), type="int8")
    ends = {name: ledger[name].cast("int64") for name in ("first", "last")}
    return ledger.mutate(reason=reason, rows=ibis.null("int64"), **ends)


def _used_part(table: ibis.Table, options: LogOptions, part: int, parts: int) -> ibis.Table:
    rows = used_rows(table, options)
    if parts > 1:
        rows = rows.filter(rows["customer"].hash().abs() % parts == part)
    if options.scale.time_unit != "h":  # of which there are more than 2^31 in all of time
        rows = rows.mutate(period=rows["period"].cast("int32"))  # half as wide: 10 % less work
    return rows


def left_out_expr(table: ibis.Table, options: LogOptions) -> ibis.Table:
    """Log -> the rows of the ledger that stand for reasons; see `used_expr`."""
    rows = classify(table, options)
    rows = rows.filter(rows["reason"] != int(Reason.USED))
    return _apart(_to_periods(rows, options), options)


def purchases_expr(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None = None
) -> ibis.Table:
    """Log -> customer and period (ordinal) of every purchase, one row for each pair."""
    periods = _customer_periods(table, options, id_map)
    return periods.filter(periods["reason"] == int(Reason.USED)).select("customer", "period")


def customers_of(ledger: ibis.Table, options: LogOptions) -> ibis.Table:
    """Select the customers of a ledger.

    Returns
    -------
    ibis.Table
        customer_id, purchases, first, last, log_gaps; with amounts total and first_value;
        then segment_0, ..., and varies_0, ...
    """
    columns = ["customer", "purchases", "first", "last", LOG_GAPS]
    columns += ["total", "first_value"] if options.has_money else []
    columns += [
        one.format(i) for one in (SEGMENT, VARIES) for i in range(len(options.segment_cols))
    ]
    used = ledger.filter(ledger["reason"] == int(Reason.USED))
    return used.select(*columns).rename({CUSTOMER_ID: "customer"})


def rfm_of(customers: ibis.Table, options: LogOptions, end: Any) -> ibis.Table:
    """Turn customers of a ledger into the columns of an RfmTable observed up to ``end``.

    frequency is the number of purchase periods after the first; recency and T run from
    the first period to the last purchase and to the end; monetary_value is the mean
    total of the periods after the first, 0 where there is none; log_gaps is left out where
    the customers have none.
    """
    c = customers
    scaler = options.scale.time_scaler
    columns = {
        CUSTOMER_ID: c[CUSTOMER_ID],
        FREQUENCY: (c["purchases"] - 1).cast("int64"),
        RECENCY: (c["last"] - c["first"]).cast("float64") / scaler,
        T: (end - c["first"]).cast("float64") / scaler,
    }
    if options.has_money:
        repeats = (c["purchases"] - 1).cast("float64")
        mean = (c["total"] - c["first_value"]) / repeats.nullif(0.0)
        columns |= {MONETARY_VALUE: mean.fill_null(0.0), FIRST_VALUE: c["first_value"]}
    if LOG_GAPS in c.columns:
        columns[LOG_GAPS] = c[LOG_GAPS].fill_null(0.0)
        if scaler != 1.0:
            columns[LOG_GAPS] -= (c["purchases"] - 1).cast("float64") * math.log(scaler)
    segments = {name: c[SEGMENT.format(i)] for i, name in enumerate(options.segment_cols)}
    return c.select(**columns, **segments)


def audit_of(ledger: ibis.Table, options: LogOptions) -> ibis.Table:
    """Ledger -> one row per reason.

    Returns
    -------
    ibis.Table
        reason, rows, amount, customers, periods, last (ordinal), extra and extra_amount
        (copies beyond the first), negative_rows and negative (netted amounts), earlier_rows
        and earlier (those netted against purchases of earlier periods); stray_rows, stray,
        beyond_rows and beyond (refunds of orders that are not there, or are less); day (the
        last one, as an ordinal) where weeks or months are counted to the log's end; varies_0,
        ... and missing_0, ... (customers with several values of a segment column, and with none).
    """
    import ibis

    names = set(ledger.columns)
    return ledger.group_by("reason").agg(
        rows=ledger["rows"].sum(),
        customers=ledger["customer"].count(),
        periods=ledger["purchases"].sum(),
        last=_seen(ledger).max(),
        amount=total_of(ledger["total"]) if "total" in names else ibis.null("float64"),
        **{
            name: total_of(ledger[name]) if name in names else ibis.literal(0.0)
            for name in _COUNTED
        },
        **customers_by_column(ledger, options),
        **_last_day(ledger),
    )


def _seen(ledger: ibis.Table) -> Any:
    """Last period of the rows of a ledger, wherever refunds were dated back to."""
    return ledger["seen" if "seen" in ledger.columns else "last"]


def merge_customers(customers: ibis.Table, options: LogOptions) -> ibis.Table:
    """Merge customers whose purchases were summed apart, before a period and after it.

    Parameters
    ----------
    customers : ibis.Table
        As `customers_of`, with one or two rows per customer; log_gaps and varies_0 may be lacking.
    """
    import ibis

    c = customers
    aggregates = {
        "purchases": c["purchases"].sum(),
        "first": c["first"].min(),
        "last": c["last"].max(),
    }
    if options.has_money:
        aggregates |= {
            "total": total_of(c["total"]),
            "first_value": earliest(c["first_value"], c["first"]),
        }
    if LOG_GAPS in c.columns:
        between = (c["first"].max() - c["last"].min()).cast("float64")
        seam = ibis.ifelse(c.count() > 1, between, 1.0).ln()
        aggregates[LOG_GAPS] = total_of(c[LOG_GAPS].fill_null(0.0)) + seam
    return c.group_by(CUSTOMER_ID).agg(**aggregates, **kept_values(c, "first", options))


# --- stage 1: customer-periods -----------------------------------------------------


def _customer_periods(
    table: ibis.Table, options: LogOptions, id_map: ibis.Table | None
) -> ibis.Table:
    rows = classify(table, options)
    if id_map is not None:
        rows = to_persons(rows, id_map)
    return net(_to_periods(rows, options), options)


def _to_periods(
    rows: ibis.Table, options: LogOptions, keys: Sequence[str] = ("customer", "period", "reason")
) -> ibis.Table:
    """Rows -> one row per customer, period and reason; without reasons rows are not counted."""
    import ibis

    if options.duplicates == "drop":
        rows = _split_copies(rows, options)
    aggregates: dict[str, Any] = {}
    if "reason" in keys:
        aggregates["rows"] = rows["keep"].sum() if options.duplicates == "drop" else rows.count()
    if options.has_money:
        aggregates["total"] = total_of(rows["amount"])
    if options.duplicates == "drop":
        aggregates["extra"] = rows["extra"].sum()
        if options.has_money:
            aggregates["extra_amount"] = total_of(rows["amount"] * rows["extra"])
    if options.netting:
        refund = rows["amount"] < 0
        aggregates["negative_rows"] = refund.cast("int64").sum()
        aggregates["negative"] = total_of(ibis.ifelse(refund, rows["amount"], 0.0))
    if options.by_order:
        aggregates["earlier_rows"] = rows["moved"].cast("int64").sum()
        aggregates["earlier"] = total_of(ibis.ifelse(rows["moved"], rows["amount"], 0.0))
        aggregates["seen"] = rows["seen"].max()
        aggregates["stray_rows"] = rows["stray"].cast("int64").sum()
        aggregates["stray"] = total_of(ibis.ifelse(rows["stray"], rows["amount"], 0.0))
        aggregates["beyond_rows"] = (rows["beyond"] < 0.0).cast("int64").sum()
        aggregates["beyond"] = total_of(rows["beyond"])
    if not options.segment_cols:
        return rows.group_by(list(keys)).agg(**aggregates, **_last_day(rows))
    # one row per moment first: then the first value in time is unique, as is the last
    at_once = of_moments(rows, options)
    moments = rows.group_by([*keys, "stamp"]).agg(**aggregates, **at_once, **_last_day(rows))
    sums = resum(moments, aggregates) | _last_day(moments)
    return moments.group_by(keys).agg(**sums, **kept_values(moments, "stamp", options))


def _split_copies(rows: ibis.Table, options: LogOptions) -> ibis.Table:
    """Distinct rows with their number -> rows that keep their reason, and extra copies.

    Of rows that are left out for an earlier reason every copy keeps that reason.
    """
    import ibis

    late = rows["reason"].isin([int(Reason.USED), int(Reason.REFUND), int(Reason.ALREADY_OBSERVED)])
    keep = ibis.ifelse(late, 1, rows["copies"]).cast("int64")
    rows = rows.mutate(keep=keep, extra=rows["copies"].cast("int64") - keep)
    if not options.has_money:
        return rows
    return rows.mutate(amount=rows["amount"] * rows["keep"])


def _with_gaps(periods: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    """Add the periods since the purchase before; null of a first one."""
    import ibis

    in_time = ibis.window(group_by=list(keys), order_by="period")
    return periods.mutate(gap=periods["period"] - periods["period"].lag().over(in_time))


# --- stage 2: ledger ---------------------------------------------------------------


def _to_ledger(
    periods: ibis.Table, options: LogOptions, keys: Sequence[str] = ("customer", "reason")
) -> ibis.Table:
    """Customer-periods -> one row per customer, one per reason without customer."""
    p, when = periods, periods["period"]
    aggregates = {"purchases": p.count(), "first": when.min(), "last": when.max()}
    if options.has_money:
        aggregates["first_value"] = earliest(p["total"], when)
    if "gap" in p.columns:
        aggregates[LOG_GAPS] = total_of(p["gap"].cast("float64").ln())
    names = ("rows", "total", *_COUNTED, "seen")
    sums = resum(p, [name for name in names if name in p.columns]) | _last_day(p)
    return p.group_by(list(keys)).agg(**aggregates, **sums, **kept_values(p, "period", options))


def _apart(periods: ibis.Table, options: LogOptions) -> ibis.Table:
    """The ledger, with a row for each period of what is left out."""
    keys = ("customer", "reason", "apart")
    return _to_ledger(left_out_apart(periods), options, keys=keys).drop("apart")


def _last_day(table: ibis.Table) -> dict[str, Any]:
    return {"day": table["day"].max()} if "day" in table.columns else {}
