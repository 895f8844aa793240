"""Rows of a log, as Ibis expressions: customer, calendar period, and reason to be left out.

Everything here is portable; what DuckDB wants differently is in `clvmodels.log.engines`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from clvmodels.log.amounts import read_amounts
from clvmodels.log.audit import Reason
from clvmodels.log.column_checks import is_fine_instant, is_uint64
from clvmodels.log.date_texts import is_no_date, read_dates
from clvmodels.log.engines import is_finite, local_time
from clvmodels.log.options import LogOptions
from clvmodels.log.varying import SEGMENT
from clvmodels.log.where import condition
from clvmodels.schema import TimeScale

if TYPE_CHECKING:
    import ibis

# Not a reason of the audit: such ids are refused.
FRACTIONAL_ID: Final = -1
# Refunds that no purchase is left for; the audit says why, under `Reason.REFUND`.
NO_EARLIER: Final = -2
TOO_LARGE: Final = -3
_ORDER: Final = ["customer", "order"]
# A share of what moved below which a sum over rows is rounding: a thousand additions of floats
# are off by 1e-13 of it.
RUNNING_TOLERANCE: Final = 1e-12
_DAYS: Final = TimeScale("D")
# Whole weeks added before an integer division, so that it never meets a negative number:
# backends disagree on which way those round.
_WEEKS_BEFORE_1970: Final = 1_000_000


def classify(table: ibis.Table, options: LogOptions) -> ibis.Table:
    """Give every row of a log its reason; left-out rows lose their customer.

    Returns
    -------
    ibis.Table
        customer, period (ordinal), reason (0 = used); with amounts amount (0 where it is
        not finite); copies (``duplicates="drop"``: one row stands for so many); with
        segments stamp and segment_0, ...; with orders seen (the row's own period), moved
        (whether ``period`` is that of an earlier order), stray (whether a refund names an
        order without purchase) and beyond (what of a refund its order does not cover).
    """
    import ibis

    rows = _with_reasons(table, options)
    used = rows["reason"] == int(Reason.USED)
    changes = {"customer": ibis.ifelse(used, rows["customer"], None)}
    if options.has_money:
        changes["amount"] = ibis.ifelse(rows["finite"], rows["amount"], 0.0)
    return rows.select(*_kept(rows), **changes)


def used_rows(table: ibis.Table, options: LogOptions) -> ibis.Table:
    """Keep the rows that `classify` gives reason 0, with the same columns but the reason."""
    rows = _with_reasons(table, options)
    amounts = ["amount"] if options.has_money else []
    names = ["customer", *amounts, *(name for name in _kept(rows) if name != "reason")]
    return rows.filter(rows["reason"] == int(Reason.USED)).select(*names)


def _kept(rows: ibis.Table) -> list[str]:
    names = ("period", "reason", "copies", "stamp", "seen", "moved", "stray", "beyond", "day")
    return [name for name in rows.columns if name in names or name.startswith("segment_")]


def _with_reasons(table: ibis.Table, options: LogOptions) -> ibis.Table:
    import ibis

    rows = _read(table, options)
    reason = ibis.cases(*_cases(rows, options), else_=int(Reason.USED)).cast("int8")
    rows = _without_stray_dates(rows.mutate(reason=reason), options)
    return _to_orders(rows, options) if options.by_order else rows


def _without_stray_dates(rows: ibis.Table, options: LogOptions) -> ibis.Table:
    """Take dates that cannot be right from rows that are left out for an earlier reason.

    They keep that reason, but say nothing of how long customers were observed.
    """
    import ibis

    low, high = options.plausible
    outside = [] if low is None else [rows["period"] < low]
    outside += [] if high is None else [rows["period"] > high]
    if not outside:
        return rows
    known = [int(Reason.USED), int(Reason.IMPLAUSIBLE_DATE)]
    stray = ibis.or_(*outside) & ~rows["reason"].isin(known)
    names = ["period", *(["day"] if "day" in rows.columns else [])]
    return rows.mutate(**{name: ibis.ifelse(stray, None, rows[name]) for name in names})


def _to_orders(rows: ibis.Table, options: LogOptions) -> ibis.Table:
    """Date refunds back to the last purchase of the order that they name, if there is one.

    One of an order that was observed before has nothing here to be taken off.
    """
    import ibis

    known = rows["reason"].isin([int(Reason.USED), int(Reason.ALREADY_OBSERVED)])
    bought = ibis.ifelse(known & (rows["amount"] > 0.0), rows["period"], None)
    so_far = ibis.range_window(preceding=None, following=0, group_by=_ORDER, order_by="period")
    found = bought.max().over(so_far)
    mine = (rows["reason"] == int(Reason.USED)) & (rows["amount"] < 0.0)
    rows = rows.mutate(beyond=_beyond(rows, known, mine))
    rows = rows.mutate(found=ibis.ifelse(mine & rows["has_order"], found, None))
    moved = (rows["found"] < rows["period"]).fill_null(False)
    late = None if options.after is None else moved & (rows["found"] <= options.after)
    moved = moved if late is None else moved & ~late
    changes = {
        "seen": rows["period"],
        "moved": moved,
        "stray": mine & rows["has_order"] & rows["found"].isnull(),
        "beyond": ibis.ifelse(rows["found"].notnull(), rows["beyond"], 0.0),
        "period": ibis.ifelse(moved, rows["found"], rows["period"]),
    }
    if late is not None:
        changes["reason"] = ibis.ifelse(late, NO_EARLIER, rows["reason"]).cast("int8")
    return rows.mutate(**changes)


def _beyond(rows: ibis.Table, known: Any, mine: Any) -> Any:
    """What of a refund is more than is left of its order, as a negative amount or 0."""
    import ibis

    amount = ibis.ifelse(known, rows["amount"], 0.0)
    in_time = ibis.window(rows=(None, 0), group_by=_ORDER, order_by=["period", ibis.desc("amount")])
    left = amount.sum().over(in_time)
    noise = RUNNING_TOLERANCE * amount.abs().sum().over(ibis.window(group_by=_ORDER))
    return ibis.ifelse(mine & (left < -noise), ibis.greatest(left, rows["amount"]), 0.0)


def _order_key(column: Any) -> dict[str, Any]:
    kind = column.type()
    there = column.notnull()
    if kind.is_floating():
        there &= ~column.isnan()
    if kind.is_string():
        there &= column != ""
    return {"order": column, "has_order": there}


def _read(table: ibis.Table, options: LogOptions) -> ibis.Table:
    """Log -> the columns that are needed, under fixed names and types."""
    columns = {}
    if options.duplicates == "drop":
        copies = "copies"
        while copies in table.columns:
            copies += "_"
        table = table.group_by(list(table.columns)).agg(**{copies: table.count()})
        columns["copies"] = table[copies].cast("int64")
    columns |= customer_key(table[options.customer_id_col], options.missing_ids)
    raw = table[options.datetime_col]
    stamp = _to_stamp(raw, options)
    columns["no_date"] = is_no_date(raw)
    columns["period"] = period_ordinal(stamp, options.scale)
    if options.counts_days:
        columns["day"] = period_ordinal(stamp, _DAYS)
    if options.monetary_value_col is not None:
        columns |= _amount_of(table[options.monetary_value_col], options, _rate(table, options))
    if options.by_order:
        columns |= _order_key(table[options.order_id_col])
    if options.where is not None:
        columns["chosen"] = condition(options.where, table, options.decimal)
    if options.segment_cols:
        columns["stamp"] = stamp
    for i, name in enumerate(options.segment_cols):
        column = table[name]
        fine = is_fine_instant(column.type())
        columns[SEGMENT.format(i)] = column.cast("timestamp('UTC')") if fine else column
    return table.select(**columns)


def _rate(table: ibis.Table, options: LogOptions) -> Any:
    """What the amount of each row is multiplied by; None where nothing is to be converted."""
    import ibis

    if not options.rates:
        return None
    currency = currency_in(table, options)
    return ibis.cases(*((currency == name, rate) for name, rate in options.rates), else_=math.nan)


def currency_in(table: ibis.Table, options: LogOptions) -> Any:
    """Currency of each row as text, empty where there is none."""
    return table[options.currency_col].cast("string").strip().fill_null("")


def _amount_of(column: Any, options: LogOptions, rate: Any) -> dict[str, Any]:
    """Amounts as floats, whether they are finite and, of text, whether it cannot be read."""
    if not column.type().is_string():
        amount = column.cast("float64")
        amount = amount if rate is None else amount * rate
        return {"amount": amount, "finite": is_finite(amount)}
    read = read_amounts(column, options.decimal)
    unreadable = read.number.isnull() & ~read.missing
    amount = read.number if rate is None else read.number * rate
    return {"amount": amount, "finite": is_finite(amount), "no_number": unreadable}


def to_persons(rows: ibis.Table, id_map: ibis.Table) -> ibis.Table:
    """Replace ids by the customer whose accounts they are; ids without entry stay."""
    import ibis

    keys = (rows["customer"], id_map["id"], id_map["customer"])
    if len({str(key.type().copy(nullable=True)) for key in keys}) > 1:
        rows = rows.mutate(customer=rows["customer"].cast("string"))
        id_map = id_map.select(
            id=id_map["id"].cast("string"), customer=id_map["customer"].cast("string")
        )
    persons = id_map.select(id=id_map["id"], person=id_map["customer"])
    joined = rows.left_join(persons, rows["customer"] == persons["id"])
    customer = ibis.coalesce(joined["person"], joined["customer"])
    others = [name for name in rows.columns if name != "customer"]
    return joined.select(*others, customer=customer)


def _cases(rows: ibis.Table, options: LogOptions) -> list[tuple[Any, int]]:
    """Conditions of the reasons, in the order in which they are tried."""
    cases = [(rows["fractional"], FRACTIONAL_ID)] if "fractional" in rows.columns else []
    if options.where is not None:
        cases.append((~rows["chosen"], Reason.NOT_CHOSEN))
    cases += [
        (rows["no_customer"], Reason.NO_CUSTOMER),
        (rows["no_date"], Reason.NO_DATE),
        (rows["period"].isnull(), Reason.UNREADABLE_DATE),
    ]
    low, high = options.plausible
    if low is not None:
        cases.append((rows["period"] < low, Reason.IMPLAUSIBLE_DATE))
    if high is not None:
        cases.append((rows["period"] > high, Reason.IMPLAUSIBLE_DATE))
    if "no_number" in rows.columns:
        cases.append((rows["no_number"], Reason.UNREADABLE_AMOUNT))
    if options.has_money:
        cases.append((~rows["finite"], Reason.NON_FINITE_AMOUNT))
    if options.end is not None:
        cases.append((rows["period"] > options.end, Reason.AFTER_END))
    if options.has_money and options.zero_amounts == "drop":
        cases.append((rows["amount"] == 0.0, Reason.ZERO_AMOUNT))
    if options.has_money and not options.netting:
        cases.append((rows["amount"] < 0.0, Reason.REFUND))
    if options.after is not None:
        cases.append((rows["period"] <= options.after, Reason.ALREADY_OBSERVED))
    return [(condition, int(reason)) for condition, reason in cases]


def customer_key(column: Any, missing: Sequence[str | int] = ()) -> dict[str, Any]:
    """Read the id column: customer (int64 or text), no_customer, and fractional where ids may be.

    Ids that are ``missing``, spaces around them aside, are not customers.

    Whole floats (integers that became floats beside missing values) are read as
    integers; other floats are not ids.
    """
    import ibis

    kind = column.type()
    if kind.is_floating():
        absent = column.isnull() | column.isnan()
        absent = _or_one_of(absent, column, _numbers(missing, kind))
        exact = column.abs() < 2.0 ** whole_bits(kind)
        number = ibis.ifelse(exact, column, 0.0)  # floor overflows on what is larger
        whole = exact & (number == number.floor())
        key = ibis.ifelse(whole & ~absent, number, None).cast("int64")
        return {"customer": key, "no_customer": absent, "fractional": ~absent & ~whole}
    if kind.is_string() or kind.is_uuid():
        key = column.cast("string")
        absent = key.isnull() | (key == "")
        texts = [str(one).strip() for one in missing]
        return {"customer": key, "no_customer": _or_one_of(absent, key.strip(), texts)}
    if kind.is_decimal():
        key, absent = column.try_cast("int64"), column.isnull()
        no_customer = _or_one_of(absent, key, _numbers(missing, kind))
        return {"customer": key, "no_customer": no_customer, "fractional": ~absent & key.isnull()}
    key = column if is_uint64(kind) else column.cast("int64")
    absent = _or_one_of(column.isnull(), key, _numbers(missing, kind))
    return {"customer": key, "no_customer": absent}


def whole_bits(kind: Any) -> int:
    """Bits of the integers that a type of floats tells apart; from 2**bits on it skips some."""
    return 53 if str(kind.copy(nullable=True)) == "float64" else 24


def _numbers(ids: Sequence[str | int], kind: Any) -> list[Any]:
    """Those of the ids that a column of numbers can hold."""
    import ibis

    found = [re.fullmatch(r"\s*(-?\d+)(\.0*)?\s*", str(one)) for one in ids]
    whole = [int(one[1]) for one in found if one is not None]
    least, most = (0, 2**64) if is_uint64(kind) else (-(2**63), 2**63)
    held = [one for one in whole if least <= one < most]
    return [ibis.literal(one, type="uint64") if one >= 2**63 else one for one in held]


def _or_one_of(absent: Any, column: Any, values: Sequence[Any]) -> Any:
    return absent | column.isin(values) if values else absent


def _to_stamp(column: Any, options: LogOptions) -> Any:
    """Any kind of date -> local date or timestamp without zone; null if unreadable."""
    import ibis

    kind = column.type()
    if is_fine_instant(kind):
        column = local_time(options.time_zone or "UTC", column)
        kind = column.type()
    elif not (kind.is_timestamp() or kind.is_date()):
        return read_dates(column, options.date_format)
    elif kind.is_timestamp() and options.time_zone not in (None, "UTC"):
        return local_time(options.time_zone, column)
    if kind.is_timestamp() and kind.timezone is not None:
        return column.cast("timestamp")
    if kind.is_timestamp() and (kind.scale or 0) > 6:
        # casting to microseconds drops the rest towards zero, which before 1970 is upwards
        micro = column.cast("timestamp(6)")
        up = micro.cast("timestamp(9)") > column
        return ibis.ifelse(up, micro - ibis.interval(microseconds=1), micro)
    return column


def last_whole(table: ibis.Table, options: LogOptions) -> Any:
    """Ordinal of the last week or month that is over on the log's last day, as an expression."""
    import ibis

    last = _to_stamp(table[options.datetime_col], options).max()
    next_day = last.cast("date") + ibis.interval(days=1)
    return period_ordinal(next_day.cast("date"), options.scale) - 1


def period_ordinal(stamp: Any, scale: TimeScale) -> Any:
    """Ordinal of the calendar period, as pandas' Period counts them (day 0 is 1970-01-01).

    Built from calendar fields and whole days, so that dates before 1970 need no care;
    weeks run from Monday to Sunday.
    """
    import ibis

    if scale.time_unit == "M":
        return ((stamp.year() - 1970) * 12 + stamp.month() - 1).cast("int64")
    date = stamp if stamp.type().is_date() else stamp.cast("date")
    days = date.delta(ibis.date(1970, 1, 1), unit="day").cast("int64")
    if scale.time_unit == "D":
        return days
    if scale.time_unit == "W":
        # 1969-12-29, a Monday, begins week 1
        return (days + 3 + 7 * _WEEKS_BEFORE_1970) // 7 - (_WEEKS_BEFORE_1970 - 1)
    hours = stamp.hour().cast("int64") if stamp.type().is_timestamp() else 0
    return days * 24 + hours
