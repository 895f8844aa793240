"""Log -> Parquet file of an RfmTable, for customers that do not fit in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.log import (
    WHOLE_ID,
    LogOptions,
    OpenLog,
    ages_from,
    attach,
    came_between,
    customers_of,
    day_pairs_expr,
    empty_result,
    engine,
    fetch,
    ledger_expr,
    left_out_expr,
    narrowed,
    open_log,
    read_audit,
    reading,
    refuse_refunds,
    replayable,
    rfm_of,
    used_day_pairs_expr,
    used_expr,
)
from clvmodels.log.audit import Audit
from clvmodels.log.embedded import Resources, quoted
from clvmodels.log.options import SummaryTerms
from clvmodels.machine import check_memory_limit
from clvmodels.margin import said_margin
from clvmodels.outputs import aside, refuse_inputs
from clvmodels.path_checks import named_paths, path_of
from clvmodels.progress import Told, is_told, telling_part
from clvmodels.rejects import RejectLimit, refuse_loss, unreadable, warn_unreadable
from clvmodels.rfm.continuity import noted_of_ledger
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.periods import start_of
from clvmodels.rfm.summary import log_options
from clvmodels.rfm.table import METADATA_KEY, RfmTable
from clvmodels.schema import CUSTOMER_ID

_LEDGER: Final = "ledger"
_MOST: Final = 0.9  # of the time, for the ledger
_EVERY: Final = 0.2  # seconds


@named
def rfm_summary_to_parquet(
    source: Any,
    target: str | Path,
    *,
    max_rejects: float | str | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    **terms: Unpack[SummaryTerms],
) -> Audit:
    """Summarise a log of any size into a file that `RfmTable.from_parquet` reads.

    The customers never leave the embedded engine, which spills what exceeds its memory
    limit to disk, next to the file. The file appears whole or not at all.

    Parameters
    ----------
    source : object
        As :func:`clvmodels.rfm_summary` takes it; paths are the ones that can be larger
        than memory.
    target : str or Path
        Parquet file to write or replace.
    customer_id_col, datetime_col, monetary_value_col, time_unit, time_scaler
        As in :func:`clvmodels.rfm_summary`.
    observation_period_end, refunds, order_id_col, zero_amounts, duplicates
        As in :func:`clvmodels.rfm_summary`.
    segment_cols, margin, day_pairs
        As in :func:`clvmodels.rfm_summary`.
    implausible_dates, missing_ids, varying_segments
        As in :func:`clvmodels.rfm_summary`.
    date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in :func:`clvmodels.rfm_summary`.
    max_rejects : float or str, optional
        The most rows whose date or amount cannot be read: a share below 1 (0.01 or "1%")
        or a number of rows. Where there are more, nothing is written.
    memory_limit : str, optional
        Such as "4GB"; by default a quarter of the memory (a container's, where it has less),
        at most 4 GB.
    threads : int, optional
        Cores to use; by default all.

    Returns
    -------
    Audit
        Every row of the log, used or left out for one reason; also in the file.

    Raises
    ------
    SchemaError
        The log cannot be read as the options say, no purchases remain in it, or more rows
        are unreadable than ``max_rejects``.
    TimeUnitError
        The time unit is unknown.
    DomainError
        The margin is not a share of revenue.
    """
    most = RejectLimit.read(max_rejects)
    options = log_options(**terms)
    limit, path = check_memory_limit(memory_limit), path_of("The output", target)
    refuse_inputs([path], named_paths(source))
    with aside(path) as written:
        resources = Resources(limit, threads, written.with_name("spill"))
        audit = summarize_to_parquet(source, written, options, resources)
        refuse_loss(unreadable(audit), audit.rows_read, most, path)
    warn_unreadable(audit)
    return audit


def summarize_to_parquet(
    source: Any, target: Path, options: LogOptions, resources: Resources | None = None
) -> Audit:
    """Do the work of `rfm_summary_to_parquet`, in place: give a name aside, and rename it.

    Parameters
    ----------
    source : object
        As `clvmodels.rfm_summary` takes it; paths are the ones that can be larger than
        memory.
    target : Path
        Parquet file to write.
    options : LogOptions
        How the log is read.
    resources : Resources, optional
        Memory limit, threads and spill folder.

    Returns
    -------
    Audit
        Every row of the log; also in the file's metadata.

    Raises
    ------
    SchemaError
        The log cannot be read as the options say, or no purchases remain in it.
    """
    with reading(), engine(resources) as backend:
        # The only order that counts is asked for, when customers are written.
        backend.con.execute("SET preserve_insertion_order = false")
        if options.implausible_dates == "drop" or options.day_pairs:
            source = replayable(source)
        log = open_log(source, options, backend)
        rows_read = _make_ledger(backend, log, resources or Resources())
        ledger = backend.table(_LEDGER)
        while (narrower := narrowed(ledger, log.options, backend)) is not None:
            log = replace(log, options=narrower)
            rows_read = _make_ledger(backend, log, resources or Resources())
            ledger = backend.table(_LEDGER)
        audit, last = read_audit(ledger, log, backend, rows_read)
        refuse_refunds(audit, options)
        end = last if options.end is None else options.end
        if end is None or not audit.customers:
            raise empty_result(audit)
        audit = noted_of_ledger(audit, ledger, log.options.scale, end, backend)
        pairs = _day_pairs(backend, ledger, log, resources or Resources())
        _write(backend, ledger, log, end, target, audit=audit, day_pairs=pairs)
    return audit


def _make_ledger(backend: Any, log: OpenLog, resources: Resources) -> int | None:
    """Fill the table of the ledger; return the rows of the log where it does not count them."""
    home = log.table.get_backend()
    if home is not backend:  # the log lies in a database of its own: only its customers come
        attach(backend, fetch(home, ledger_expr(log.table, log.options)), _LEDGER)
        return None
    if not _in_parts(log):
        _store(backend, [ledger_expr(log.table, log.options)])
        return None
    before = log.versions()
    rows = int(backend.to_pyarrow(log.table.count()).as_py())
    parts = resources.parts(rows)
    used = [used_expr(log.table, log.options, part=i, parts=parts) for i in range(parts)]
    _store(backend, [*used, left_out_expr(log.table, log.options)])
    if log.versions() != before:
        raise SchemaError(
            "The log has changed while it was read: run it again when nobody writes to it."
        )
    return rows


def _in_parts(log: OpenLog) -> bool:
    """Whether the log lies in files of which customers can be read a part at a time."""
    return bool(log.patterns and not log.options.netting and log.options.duplicates == "keep")


def _store(backend: Any, pieces: Sequence[Any]) -> None:
    told = telling_part()
    for i, piece in enumerate(pieces):
        how = (
            f"INSERT INTO {_LEDGER} BY NAME" if i else f"CREATE OR REPLACE TEMP TABLE {_LEDGER} AS"
        )
        with _watched(backend.con, partial(_of_pieces, told, i, len(pieces))):
            backend.con.execute(f"{how} {backend.compile(piece)}")


def _of_pieces(told: Told, place: int, pieces: int, share: float) -> None:
    told(_MOST * (place + share) / pieces)


@contextmanager
def _watched(connection: Any, told: Callable[[float], None]) -> Iterator[None]:
    """Tell how far a statement is while it runs, where somebody watches and DuckDB knows."""
    if not is_told() or not hasattr(connection, "query_progress"):  # before DuckDB 1.3
        yield
        return
    connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    over = threading.Event()

    def ask() -> None:
        while not over.wait(_EVERY):
            if (share := connection.query_progress() / 100) > 0.0:
                told(share)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


def _day_pairs(backend: Any, ledger: Any, log: OpenLog, resources: Resources) -> DayPairs | None:
    """Count the purchases by day and day before, where that is asked for, part by part."""
    if not log.options.day_pairs:
        return None
    home, options = log.table.get_backend(), log.options
    since = ages_from(*came_between(customers_of(ledger, options), backend))
    if home is not backend or not _in_parts(log):
        return DayPairs.of([fetch(home, day_pairs_expr(log.table, options, since))])
    parts = resources.parts(int(backend.to_pyarrow(log.table.count()).as_py()))
    pieces = (
        used_day_pairs_expr(log.table, options, since, part=i, parts=parts) for i in range(parts)
    )
    return DayPairs.of([fetch(backend, one) for one in pieces])


def _write(
    backend: Any,
    ledger: Any,
    log: OpenLog,
    end: int,
    target: Path,
    *,
    audit: Audit,
    day_pairs: DayPairs | None,
) -> None:
    customers = customers_of(ledger, log.options)
    if log.text_ids and _are_whole(backend, customers):
        ids = customers[CUSTOMER_ID].re_replace(r"\.0$", "").cast("int64")
        customers = customers.mutate(**{CUSTOMER_ID: ids})
    rfm = rfm_of(customers, log.options, end).order_by(CUSTOMER_ID)
    header = RfmTable(
        table=pa.table({}),
        scale=log.options.scale,
        observation_end=start_of(end, log.options.scale),
        **said_margin(log.options.margin),
        audit=audit,
        segment_cols=log.options.segment_cols,
        day_pairs=day_pairs,
        options=replace(
            log.options, end=None, until=None, whole=False, plausible=(None, None), time_zone=None
        ),
    )._header()
    backend.con.execute(
        f"COPY ({backend.compile(rfm)}) TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd, "
        f"KV_METADATA {{{quoted(METADATA_KEY.decode())}: {quoted(json.dumps(header))}}})"
    )
    found = pq.read_metadata(target).num_rows
    if found != audit.customers:
        raise RuntimeError(
            f"{found:,} customers were written, not {audit.customers:,}: report this."
        )


def _are_whole(backend: Any, customers: Any) -> bool:
    """Whether ids of an untyped file are integers, as a typed file would have them."""
    ids = customers[CUSTOMER_ID]
    numbers = ids.re_replace(r"\.0$", "").try_cast("int64")
    found = backend.to_pyarrow(
        customers.aggregate(
            whole=ids.re_search(WHOLE_ID).all(), apart=numbers.nunique(), ids=ids.count()
        )
    ).to_pylist()[0]
    return bool(found["whole"] and found["apart"] == found["ids"])
