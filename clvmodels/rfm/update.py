"""Later logs: a table with new purchases taken in, without the old log."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels.errors import OURS, SchemaError
from clvmodels.log import Ledger, LogOptions, collect, read_id_map, to_rfm
from clvmodels.log.audit import Audit
from clvmodels.log.orders import NO_PURCHASE
from clvmodels.log.varying import (
    SEGMENT,
    VARIES,
    is_missing,
    missing_note,
    refuse_varying,
    varying_note,
)
from clvmodels.rfm.continuity import noted
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.periods import end_options, ordinal_of, start_of
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
    from clvmodels.rfm.table import RfmTable

_LATER: Final = " of a later log, or from what it was before"


def updated(rfm: RfmTable, new_log: Any, observation_period_end: Any, id_map: Any) -> RfmTable:
    """Take later transactions in; see :meth:`RfmTable.update`."""
    options, end = _for_update(rfm)
    if rfm.has_id_map and id_map is None:
        raise SchemaError(
            "This table was made with an id_map: pass it to update as well (or {} if the "
            "new log has customers' own ids)."
        )
    asked = end_options(observation_period_end, rfm.scale, "observation_period_end")
    new_end: int | None = asked["end"]
    if new_end is not None and new_end < end:
        raise SchemaError(
            f"observation_period_end={observation_period_end!r} is before the table's "
            f"observation end {rfm._end_text()}: pass a later one."
        )
    known = rfm.day_pairs is not None
    ledger = collect(new_log, replace(options, **asked, after=end, day_pairs=known), id_map)
    if new_end is None:
        new_end = max(end, end if ledger.last is None else ledger.last)
    old = _old_customers(rfm, end, read_id_map(id_map))
    _warn_uncovered(ledger.audit)
    _warn_stray(ledger.audit)
    return _merged(rfm, old, ledger, options, new_end, id_map is not None)


def _for_update(rfm: RfmTable) -> tuple[LogOptions, int]:
    if rfm.options is None or rfm.audit is None or rfm.observation_end is None:
        raise SchemaError(
            "Only a table made by rfm_summary can be updated: this one does not know the "
            "columns of its log and its observation end."
        )
    return rfm.options, ordinal_of(rfm.observation_end, rfm.scale)


def _merged(
    rfm: RfmTable, old: pa.Table, ledger: Ledger, options: LogOptions, end: int, mapped: bool
) -> RfmTable:
    new = ledger.customers
    parts = [old, _same_types(new, old)] if len(new) else [old]
    varying = _varying_later(old, parts[1], new, options) if len(new) else []
    table = to_rfm(parts, options, end)
    periods = table.num_rows + int(pc.sum(table[FREQUENCY]).as_py())
    assert rfm.audit is not None
    audit = rfm.audit.merge(ledger.audit, customers=table.num_rows, periods=periods)
    audit = replace(audit, notes=_of_segments(audit.notes, table, options, varying))
    if start_of(end, rfm.scale) == rfm.observation_end:
        audit = replace(audit, last_period=rfm.audit.last_period)
    return replace(
        rfm,
        table=table,
        observation_end=start_of(end, rfm.scale),
        audit=noted(audit, table, rfm.scale, end),
        has_id_map=rfm.has_id_map or mapped,
        day_pairs=_later_pairs(rfm.day_pairs, ledger, old),
    )


def _varying_later(old: pa.Table, new: pa.Table, later: pa.Table, options: LogOptions) -> list[str]:
    """Say, or refuse, that segment columns vary within a later log or are not what they were."""
    if not options.segment_cols:
        return []
    notes = []
    place = pc.index_in(new[CUSTOMER_ID], value_set=old[CUSTOMER_ID].combine_chunks())
    for i, name in enumerate(options.segment_cols):
        value = SEGMENT.format(i)
        moved = pc.fill_null(pc.not_equal(old[value].take(place), new[value]), False)
        moved = pc.or_(moved, pc.greater(later[VARIES.format(i)], 0))
        varying = pc.sum(moved).as_py() or 0
        refuse_varying(name, varying, options, _LATER)
        notes += varying_note(name, varying, options, _LATER)
    return notes


def _of_segments(
    notes: tuple[str, ...], table: pa.Table, options: LogOptions, varying: list[str]
) -> tuple[str, ...]:
    """Notes with those of a later log's segments, and with missing values counted anew."""
    starts = tuple(map(is_missing, options.segment_cols))
    kept = [one for one in notes if not one.startswith(starts)] if starts else list(notes)
    for name in options.segment_cols:
        kept += missing_note(name, table[name].null_count)
    return tuple(dict.fromkeys([*kept, *varying]))


def _later_pairs(known: DayPairs | None, ledger: Ledger, old: pa.Table) -> DayPairs | None:
    """Add those of a later log, and those over the seam: last day before, first day after."""
    if known is None or ledger.day_pairs is None:
        return None
    ends = {name: old[name] for name in (CUSTOMER_ID, "last")}
    starts = {name: ledger.customers[name] for name in (CUSTOMER_ID, "first")}
    starts[CUSTOMER_ID] = starts[CUSTOMER_ID].cast(ends[CUSTOMER_ID].type)
    over = pa.table(ends).join(pa.table(starts), CUSTOMER_ID, join_type="inner")
    count = pa.array(np.ones(over.num_rows, dtype=np.int64))
    seam = pa.table({"day": over["last"], "next_day": over["first"], "count": count})
    # Of those by age the later log knows no first purchases: they cannot be added to
    return DayPairs.of([known.to_arrow(), DayPairs.of([ledger.day_pairs]).to_arrow(), seam])


def _warn_uncovered(later: Audit) -> None:
    """Say that refunds of a later log may concern purchases that are summed up already."""
    for item in later.not_netted:
        if item.rows:
            warnings.warn(
                f"{item.rows:,} refunds in the new log, {item.amount or 0.0:,.2f}, are "
                f"{item.reason}: they are left out, since the table does not keep single "
                "purchases that they could be taken off. Summarise both logs together with "
                "rfm_summary to have them netted.",
                UserWarning,
                stacklevel=2,
                skip_file_prefixes=OURS,
            )


def _warn_stray(later: Audit) -> None:
    """Say that refunds of a later log name orders that may be summed up already."""
    for note in later.notes:
        if NO_PURCHASE in note:
            warnings.warn(
                f"{note}. The table probably contains that order already: summarise both logs "
                "together with rfm_summary to have refunds taken off their own order.",
                UserWarning,
                stacklevel=2,
                skip_file_prefixes=OURS,
            )


def _old_customers(rfm: RfmTable, end: int, id_map: pa.Table | None) -> pa.Table:
    """Undo the summary: customers as `clvmodels.log.customers_of` has them."""
    columns = {name: rfm.table[name] for name in rfm.table.column_names}
    frequency = columns[FREQUENCY].to_numpy()
    first = end - np.rint(columns[T].to_numpy() * rfm.time_scaler).astype(np.int64)
    span = np.rint(columns[RECENCY].to_numpy() * rfm.time_scaler).astype(np.int64)
    data: dict[str, Any] = {
        CUSTOMER_ID: _renamed(columns[CUSTOMER_ID], id_map),
        "purchases": frequency + 1,
        "first": first,
        "last": first + span,
    }
    if LOG_GAPS in columns:  # tables of before have none, and cannot come by them
        data[LOG_GAPS] = columns[LOG_GAPS].to_numpy() + frequency * math.log(rfm.time_scaler)
    if rfm.has_money:
        first_value = columns[FIRST_VALUE].to_numpy()
        data["total"] = first_value + frequency * columns[MONETARY_VALUE].to_numpy()
        data["first_value"] = first_value
    segments = {SEGMENT.format(i): columns[name] for i, name in enumerate(rfm.segment_cols)}
    return pa.table(data | segments)


def _renamed(ids: pa.ChunkedArray, id_map: pa.Table | None) -> Any:
    """Ids after a new id_map; two of them must not become one."""
    if id_map is None or not id_map.num_rows:
        return ids
    persons = dict(zip(id_map["id"].to_pylist(), id_map["customer"].to_pylist(), strict=True))
    old = ids.to_pylist()
    new = [persons.get(key, key) for key in old]
    seen: dict[Any, Any] = {}
    for before, after in zip(old, new, strict=True):
        if after in seen:
            raise SchemaError(
                f"id_map makes one customer, {after!r}, of {seen[after]!r} and {before!r}, which "
                "are both in the table already: two summaries cannot be merged exactly, so "
                "summarise the whole log again with this id_map."
            )
        seen[after] = before
    if {type(key) for key in new} != {type(key) for key in old}:
        new = [str(key) for key in new]
    return pa.array(new)


def _same_types(new: pa.Table, old: pa.Table) -> pa.Table:
    """Give new customers the column types of the old ones."""
    ids = old.schema.field(CUSTOMER_ID).type
    found = new.schema.field(CUSTOMER_ID).type
    if pa.types.is_string(ids) != pa.types.is_string(found):
        raise SchemaError(
            f"The new log's customer ids are {found}, the table's are {ids}: convert the new "
            "log's column."
        )
    return new.select(old.column_names).cast(old.schema)
