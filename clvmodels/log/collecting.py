"""Run the expressions: source -> ledger in memory -> audit and RFM columns.

Only customers leave the backend that holds the log; the rest is done on them by the
embedded engine, with the same expressions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from clvmodels.errors import OURS, SchemaError, one_line
from clvmodels.log.amounts import sum_of_amounts
from clvmodels.log.arrow import replayable
from clvmodels.log.audit import (
    Audit,
    LeftOut,
    Netting,
    Reason,
    Uncovered,
    make_audit,
)
from clvmodels.log.csv_files import said_of
from clvmodels.log.embedded import attach, engine, fetch, open_engine, refuse_full_disk
from clvmodels.log.ends import cut_note, last_period_note, narrowed
from clvmodels.log.expressions import (
    audit_of,
    customers_of,
    ledger_expr,
    merge_customers,
    purchases_expr,
    rfm_of,
)
from clvmodels.log.ids import doubtful_ids, read_id_map
from clvmodels.log.options import LogOptions
from clvmodels.log.orders import order_notes
from clvmodels.log.row_expressions import FRACTIONAL_ID, NO_EARLIER, TOO_LARGE, whole_bits
from clvmodels.log.sources import OpenLog, open_log
from clvmodels.log.successive import ages_from, day_pairs_expr
from clvmodels.log.unread import with_texts
from clvmodels.log.varying import varying_notes
from clvmodels.schema import CUSTOMER_ID

_SHORT: Final = (NO_EARLIER, TOO_LARGE)
_SHORT_WHY: Final = {
    Uncovered.NO_EARLIER: (NO_EARLIER,),
    Uncovered.TOO_LARGE: (TOO_LARGE,),
}
_OPEN: Final = ("negative_rows", "amount")
# Text ids that are integers, as an untyped file writes them.
WHOLE_ID: Final = r"^(0|-?[1-9][0-9]{0,17})(\.0)?$"


@dataclass(frozen=True, slots=True)
class Ledger:
    """A log reduced to its customers, with its audit.

    Parameters
    ----------
    customers : pyarrow.Table
        As `clvmodels.log.customers_of`.
    audit : Audit
        Every row of the log.
    last : int or None
        Ordinal of the last period with a readable date, or of the last whole one where
        that was asked for; None if there is none.
    options : LogOptions
        How the log was read, with what was found of how it is written.
    day_pairs : pyarrow.Table or None
        As `clvmodels.log.day_pairs_expr`, where the options ask for it.
    """

    customers: pa.Table
    audit: Audit
    last: int | None
    options: LogOptions
    day_pairs: pa.Table | None = None


def collect(source: Any, options: LogOptions, id_map: Any = None, embedded: Any = None) -> Ledger:
    """Read a log once, with an engine of its own or one that is ``embedded`` already.

    Raises
    ------
    SchemaError
        The log cannot be read as the options say, or has refunds where
        ``refunds="error"``.
    """
    persons = read_id_map(id_map)
    if options.implausible_dates == "drop" or options.day_pairs:
        source = replayable(source)  # what is to be dropped is known after one reading
    with reading(), open_engine(embedded) as backend:
        log = open_log(source, options, backend)
        id_table = _attach_map(persons, log.table, backend)
        result = _read(log, log.options, id_table, backend)
    refuse_refunds(result.audit, options)
    return result


def _read(log: OpenLog, options: LogOptions, id_table: Any, backend: Any) -> Ledger:
    """Read the log; once more where dates are to be left out that cannot be right."""
    ledger = fetch(log.table.get_backend(), ledger_expr(log.table, options, id_table))
    if log.text_ids:
        ledger = _ids_from_text(ledger)
    table = attach(backend, ledger, "ledger")
    narrower = narrowed(table, options, backend)
    if narrower is not None:
        return _read(log, narrower, id_table, backend)
    audit, last = read_audit(table, replace(log, options=options), backend)
    customers = tidy(backend.to_pyarrow(customers_of(table, options)))
    read_as = replace(options, time_zone=None, plausible=(None, None))
    pairs = None
    if options.day_pairs:
        home, came = log.table.get_backend(), pc.min_max(customers["first"]).as_py()
        since = ages_from(came["min"], came["max"])
        pairs = fetch(home, day_pairs_expr(log.table, options, since, id_table))
    return Ledger(customers, audit, last, read_as, pairs)


def refuse_refunds(audit: Audit, options: LogOptions) -> None:
    """Raise SchemaError for refunds in a log that is to have none."""
    refunds = audit.rows_left_out(Reason.REFUND)
    if options.refunds == "error" and refunds:
        raise SchemaError(
            f"{refunds:,} rows have a negative {options.monetary_value_col!r}: pass "
            'refunds="drop" to leave them out, "net" to take them off the purchases of their '
            'period, or "net_earlier" to take what then remains off earlier purchases.'
        )


def gap_quantile_of_log(
    source: Any, options: LogOptions, share: float, id_map: Any = None
) -> float | None:
    """Quantile of the gaps between a customer's successive purchases.

    Returns
    -------
    float or None
        In periods, linear between gaps; None where nobody bought twice.

    Raises
    ------
    SchemaError
        The log cannot be read as the options say.
    """
    import ibis

    persons = read_id_map(id_map)
    with reading(), engine() as backend:
        log = open_log(source, options, backend)
        id_table = _attach_map(persons, log.table, backend)
        purchases = purchases_expr(log.table, log.options, id_table)
        in_time = ibis.window(group_by="customer", order_by="period")
        gap = purchases["period"] - purchases["period"].lag().over(in_time)
        gaps = purchases.select(gap=gap).filter(ibis._.gap.notnull())
        found = fetch(log.table.get_backend(), gaps.aggregate(q=gaps["gap"].quantile(share)))
    value = found["q"][0].as_py()
    return None if value is None else float(value)


def to_rfm(
    parts: Iterable[pa.Table], options: LogOptions, end: int, embedded: Any = None
) -> pa.Table:
    """Turn customers of ledgers of separate periods into RFM columns, sorted by customer_id.

    Parameters
    ----------
    parts : iterable of pyarrow.Table
        One `Ledger.customers` or two, with equal columns and types.
    options : LogOptions
        How the logs were read.
    end : int
        Ordinal of the last period observed.
    embedded : ibis backend, optional
        An engine that is open already.
    """
    tables = list(parts)
    with open_engine(embedded) as backend:
        customers = attach(backend, pa.concat_tables(tables), "customers")
        if len(tables) > 1:
            customers = merge_customers(customers, options)
        rfm = rfm_of(customers, options, end).order_by(CUSTOMER_ID)
        return tidy(backend.to_pyarrow(rfm))


@contextmanager
def reading() -> Iterator[None]:
    """Say in our own words that a file cannot be read."""
    try:
        yield
    except _engine_error() as error:
        refuse_full_disk(error)  # where the engine spills
        # A damaged file may end in an error of no kind.
        if isinstance(error, _unreadable()) or type(error) is _engine_error():
            text = said_of(error) or one_line(str(error).split("\n\nLINE ")[0])
            raise SchemaError(f"The log cannot be read: {text}") from error
        raise


def empty_result(audit: Audit) -> SchemaError:
    """Make the error for a log that leaves no purchase, with what became of its rows."""
    left = ", ".join(f"{item.rows:,} {item.reason}" for item in audit.left_out if item.rows)
    return SchemaError(
        f"No purchase remains in the log: {audit.rows_read:,} rows read"
        + (f", of which {left}." if left else ".")
        + " Check the column names and the observation end."
    )


def _engine_error() -> type[Exception]:
    import duckdb

    kind: type[Exception] = duckdb.Error
    return kind


def _unreadable() -> tuple[type[Exception], ...]:
    """Errors of the embedded engine that are about the data and not about the machine."""
    import duckdb

    return (
        duckdb.DataError,
        duckdb.InvalidInputException,
        duckdb.IOException,
        duckdb.NotSupportedError,
    )


def _attach_map(persons: pa.Table | None, log: Any, backend: Any) -> Any:
    import ibis

    if persons is None:
        return None
    if log.get_backend() is backend:
        return attach(backend, persons, "id_map")
    return ibis.memtable(persons)


def read_audit(
    ledger: Any, log: OpenLog, backend: Any, rows_read: int | None = None
) -> tuple[Audit, int | None]:
    """Audit of a ledger that lies in a backend, and the last period with a readable date.

    What cannot be read is looked up in the log again, to be shown.
    ``rows_read`` are all rows of the log, where the ledger does not count those that are
    used (`used_expr`): they are what the reasons leave over.

    Raises
    ------
    SchemaError
        Ids are floats that are not whole numbers, or too many amounts cannot be read.
    """
    options = log.options
    lines = fetch(backend, audit_of(ledger, options)).to_pylist()
    if rows_read is not None:
        left_out = sum(line["rows"] for line in lines if line["reason"] != Reason.USED)
        for line in lines:
            if line["reason"] == Reason.USED:
                line["rows"] = rows_read - left_out
    fractional = [line["rows"] for line in lines if line["reason"] == FRACTIONAL_ID]
    if fractional:
        kind = log.table[options.customer_id_col].type()
        said = (
            f" holds floats, and {int(fractional[0]):,} rows have ids that are not whole numbers "
            f"below 2**{whole_bits(kind)}, beyond which these floats skip integers"
            if kind.is_floating()
            else f" holds {kind}, and {int(fractional[0]):,} rows have ids beyond 2**63"
        )
        raise SchemaError(
            f"customer_id_col={options.customer_id_col!r}{said}: convert the column to integers "
            "or text where it is made."
        )
    notes: tuple[str, ...] = (
        (f"customer ids in {options.customer_id_col!r} were whole floats, read as integers",)
        if log.float_ids
        else ()
    )
    doubtful = doubtful_ids(ledger, options, backend)
    for text in doubtful:
        warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    notes += (*order_notes(lines, options), *varying_notes(lines, options))
    known = [line for line in lines if line["reason"] != Reason.IMPLAUSIBLE_DATE]
    last = _latest(known, "last")
    note = last_period_note(options, last, _latest(known, "day"))
    used = [line for line in lines if line["reason"] == Reason.USED]
    cut = cut_note(options, _latest(used, "last"), last)
    if cut is not None:
        warnings.warn(f"{cut}.", UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        notes += (cut,)
    audit = replace(_audit(lines, options, (*log.notes, *notes, *doubtful)), last_period=note)
    ends = options.end if options.whole and options.end is not None else last
    return with_texts(audit, log), ends


def _latest(lines: list[dict[str, Any]], name: str) -> int | None:
    found = [line[name] for line in lines if line.get(name) is not None]
    return max(found, default=None)


def _audit(lines: list[dict[str, Any]], options: LogOptions, notes: tuple[str, ...]) -> Audit:
    """Lines of `audit_of` -> Audit; copies beyond the first become a line of their own."""
    money = options.has_money
    per_reason: dict[Reason, tuple[int, float | None]] = {}
    for line in lines:
        amount = _stated(line["amount"] or 0.0) if money else None
        reason = Reason.REFUND if line["reason"] in _SHORT else Reason(line["reason"])
        rows, before = per_reason.get(reason, (0, 0.0))
        amount = None if amount is None else _stated(amount + (before or 0.0))
        if amount is not None and not math.isfinite(amount):
            raise SchemaError(
                "The amounts add up to more than a number can hold (1.8e308): leave out those that "
                "cannot be right, as by where='amount < 1e9'."
            )
        per_reason[reason] = (int(line["rows"]) + rows, amount)
    if options.duplicates == "drop":
        extra = int(sum(line["extra"] for line in lines))
        amount = _stated(sum(line["extra_amount"] for line in lines)) if money else None
        per_reason[Reason.DUPLICATE] = (extra, amount)
    if money and not per_reason:
        per_reason[Reason.USED] = (0, 0.0)
    used = next((line for line in lines if line["reason"] == Reason.USED), None)
    return make_audit(
        per_reason,
        reasons=_with_unreadable(options.reasons, per_reason),
        customers=int(used["customers"]) if used else 0,
        periods=int(used["periods"]) if used else 0,
        netting=_netting(lines, options),
        notes=notes,
    )


def _netting(lines: list[dict[str, Any]], options: LogOptions) -> Netting:
    """What became of refunds that were to be netted."""
    if not options.netting:
        return Netting()
    counted = [line for line in lines if line["reason"] == Reason.USED]
    if not options.netting_earlier:
        return Netting(*_sums(counted, "negative_rows", "negative"))
    counted += [line for line in lines if line["reason"] == Reason.NETTED]
    short = [line for line in lines if line["reason"] in _SHORT]
    within = _sums(counted, "negative_rows", "negative")[0]
    return Netting(
        within,
        _sums([*counted, *short], "negative_rows", "negative")[1],
        *_sums([*counted, *short], "earlier_rows", "earlier"),
        tuple(
            LeftOut(why.value, *_sums([one for one in short if one["reason"] in codes], *_OPEN))
            for why, codes in (
                _SHORT_WHY if options.after is None else {Uncovered.OBSERVED_BEFORE: _SHORT}
            ).items()
        ),
    )


def _sums(lines: list[dict[str, Any]], rows: str, amount: str) -> tuple[int, float]:
    return int(sum(line[rows] for line in lines)), _stated(
        sum_of_amounts(line[amount] for line in lines)
    )


def _with_unreadable(reasons: tuple[Reason, ...], found: Iterable[Reason]) -> tuple[Reason, ...]:
    """Add amounts that cannot be read, which only text has, in their place."""
    listed = {*reasons, *({Reason.UNREADABLE_AMOUNT} & set(found))}
    return tuple(reason for reason in Reason if reason in listed)


def _stated(amount: float) -> float:
    """An amount to 15 digits: those of cents are exact, and the same in any order of adding."""
    return float(f"{amount:.15g}")


def _ids_from_text(ledger: pa.Table) -> pa.Table:
    """Ids of an untyped file: integers if all of them are, as a typed file would have it."""
    ids = ledger["customer"]
    whole = pc.all(pc.match_substring_regex(ids, WHOLE_ID)).as_py()
    numbers = pc.replace_substring_regex(ids, r"\.0$", "").cast(pa.int64()) if whole else None
    if numbers is None or pc.count_distinct(numbers).as_py() < len(ids) - ids.null_count:
        return ledger
    return ledger.set_column(ledger.schema.get_field_index("customer"), "customer", numbers)


def tidy(table: pa.Table) -> pa.Table:
    """One chunk per column, text as string, and no column of the null type."""
    columns = []
    for column in table.combine_chunks().columns:
        kind = column.type
        if pa.types.is_null(kind) or pa.types.is_large_string(kind):
            column = column.cast(pa.string())
        columns.append(column)
    return pa.table(columns, names=table.column_names)
