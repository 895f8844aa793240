"""Log -> RfmTable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.log import Ledger, LogOptions, collect, empty_result, to_rfm
from clvmodels.log.embedded import engine
from clvmodels.log.options import SummaryTerms
from clvmodels.margin import said_margin
from clvmodels.rejects import warn_unreadable
from clvmodels.rfm.continuity import noted
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.periods import end_options, start_of
from clvmodels.rfm.table import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    LOG_GAPS,
    MONETARY_VALUE,
    RECENCY,
    T,
    TimeScale,
    check_list,
)

_RESERVED = (CUSTOMER_ID, FREQUENCY, RECENCY, T, MONETARY_VALUE, FIRST_VALUE, LOG_GAPS)


@named
def rfm_summary(source: Any, *, id_map: Any = None, **terms: Unpack[SummaryTerms]) -> RfmTable:
    """Summarise a transaction log into one row per customer.

    frequency counts the periods with a purchase after the first, recency and T run from
    the first purchase to the last and to the observation end, and monetary_value is the
    mean total of the periods after the first: Fader, Hardie & Lee (2005), and the same
    as lifetimes and pymc-marketing. log_gaps, the sum of the logarithms of the times
    between a customer's purchases, is what models of regular timing are compared by.

    Parameters
    ----------
    source : object
        A pandas or polars DataFrame; a pyarrow Table, RecordBatchReader or dataset; a
        path, glob or list of paths of Parquet or CSV files; or an Ibis table, which is
        summarised where it lives. In CSV files ids that are all whole numbers become
        integers, and segment columns stay text.
    customer_id_col : str
        Text, integers or UUIDs (which become text). Missing and empty ids are "no
        customer". Whole floats, as pandas makes of integers beside missing values, are
        read as integers (17850.0 is 17850), and the audit says so.
    datetime_col : str
        Dates, timestamps, ISO 8601 text (2011-12-09, 20111209, 2011-12-09T08:26:00), or text
        and numbers written in one other way throughout; see ``date_format``.
        Time-zone-aware timestamps are counted by their own zone's wall clock (as pandas
        does on dropping the zone); an Ibis table's by the zone that its backend reports.
    monetary_value_col : str, optional
        Amounts, as numbers or text. Missing, NaN and infinite ones are left out as
        "non-finite amount", text that cannot be read as "unreadable amount"; more than a
        tenth of the latter is an error.
    time_unit : {"D", "W", "M", "h"}
        Calendar period in which purchases are merged; weeks run from Monday to Sunday.
    time_scaler : float
        Periods per unit of recency and T: 7 with days gives weeks in the papers' sense.
    observation_period_end : str, date or Period, optional
        The last period observed; later rows are left out. Text must be ISO 8601, as in logs;
        a Period stands for its end, as does a date without a time of day where hours are
        counted. The calendar week or month that a date lies in counts as observed to its
        end, and the audit says so; "last whole period" is the last one that is complete
        when the log ends. By default the period of the last readable date in the log,
        whether or not that row is used.
    refunds : {"drop", "net", "net_earlier", "error"}
        Negative amounts are left out, taken off the purchases of the customer's period
        ("net"), off those and then off the latest earlier purchases ("net_earlier"), or
        refused. When netting, a period whose total is not positive (up to rounding) is
        no purchase: with "net" its rows count as refunds; with "net_earlier" they and the
        purchases that they cancel are "netted to nothing", and the audit says what the
        customer's earlier purchases do not cover. Refunds after the observation end are
        not known at that time, and take nothing off.
    order_id_col : str, optional
        With "net_earlier": the order of a row. A refund that names an order of its
        customer is first taken off that order, as if it had happened in its (last)
        period; the rest of it, and refunds whose order is not found, are taken off the
        latest earlier purchases.
    zero_amounts : {"keep", "drop"}
        Whether an amount of 0 is a purchase.
    duplicates : {"keep", "drop"}
        "drop" keeps one of the rows that agree in every column of the source.
    implausible_dates : {"error", "drop", "keep"}
        What to do where the log's first or last dates cannot be right: in the future, a
        placeholder such as 1970-01-01, or hardly any, behind a gap out of proportion to the
        log's own. One of them moves the observation end, or a customer's T, by years. They
        are refused by name, left out as "implausible date", or used. With an
        ``observation_period_end`` only the log's beginning is checked.
    missing_ids : sequence of str or int
        Ids that mean "no customer", such as "nan", "guest" or 0. Words like these, and 0
        or -1 with far more purchases than anybody else, are named in the audit's notes.
    varying_segments : {"first", "last", "error"}
        Which value of a segment column is kept where it varies within a customer: the first
        in time that is not missing, the last, or none, as it is refused; of several at one
        moment the smallest. The audit counts the customers with several, and with none.
    date_format : str, optional
        How dates are written if they are text or numbers: "iso", "dmy", "mdy", "ymd" (any of
        ``/ . -`` between, a time after), a format of strptime such as "%d.%m.%Y %H:%M", or
        "s", "ms", "us", "ns" for a count since 1970, in UTC. By default the one reading that
        fits all rows, which the audit says; where several do, the log is refused. Two digits
        of a year are 1969 to 2068.
    decimal : {".", ","}, optional
        Decimal sign of amounts that are text; by default the one that fits all rows.
        Currency signs, separators between thousands, and a minus behind or in parentheses
        are read.
    delimiter, encoding : str, optional
        Of CSV files: by default the delimiter that splits the first line into the columns
        named, and UTF-8, or UTF-16 where the file says so.
    where : str, optional
        Rows to use, such as ``"status = 'paid'"``: columns compared with constants by
        =, <>, <, <=, >, >=, IN, BETWEEN, LIKE, IS NULL, joined by AND, OR, NOT. The others
        are left out as "not chosen by where". The observation still ends where the whole log
        does: to cut a log off at a date, pass observation_period_end.
    currency_col : str, optional
        Column of the currency of each amount, such as "EUR". Without rates, amounts in several
        are refused.
    rates : mapping of str to float, or sequence of str, optional
        What one unit of each currency is worth in that of all sums, ``{"EUR": 1.0, "USD":
        0.92}`` or ``["EUR=1", "USD=0.92"]``: amounts are multiplied by it, of purchases and of
        refunds alike, and the audit says so. One rate holds for the whole log; where rates move,
        convert the column before.
    segment_cols : sequence of str
        Columns to keep, one value a customer: see ``varying_segments``.
    day_pairs : bool
        Also count purchases by their day and the day of the customer's purchase before, in a
        second reading, which nearly doubles the time. Time must be counted in days.
    id_map : mapping or frame, optional
        From ids in the log to customers, for persons with several accounts: a dict, or
        a table of two columns (id, customer). Ids without entry stay as they are. If
        ids and customers differ in type, all become text.
    margin : float, optional
        Share of revenue that is profit, in (0, 1]; stored with the table and with what is
        fitted to it, applied only in values. If it is not given, values use the margin of
        the posterior that makes them, which is 1 unless its base had another.

    Returns
    -------
    RfmTable
        With ``.audit``: every row of the log, used or left out for one reason.

    Raises
    ------
    SchemaError
        A column is missing or of the wrong type, or no purchase is left.
    TimeUnitError
        The time unit is unknown, or not days where days are to be counted.
    DomainError
        The margin is not a share of revenue.
    """
    options = log_options(**terms)
    with engine() as backend:
        ledger = collect(source, options, id_map, backend)
        rfm = _to_table(ledger, options, id_map is not None, backend)
    if rfm.audit is not None:
        warn_unreadable(rfm.audit)
    return rfm


@named
def log_options(**terms: Unpack[SummaryTerms]) -> LogOptions:
    """Check the arguments of `rfm_summary`."""
    known: dict[str, Any] = {**terms}
    scale = TimeScale(known.pop("time_unit"), known.pop("time_scaler"))
    segments = _check_segments(known.pop("segment_cols"))
    end = end_options(known.pop("observation_period_end"), scale, "observation_period_end")
    return LogOptions(scale=scale, **end, segment_cols=segments, **known)


def _to_table(ledger: Ledger, options: LogOptions, mapped: bool, embedded: Any) -> RfmTable:
    end = ledger.last if options.end is None else options.end
    if end is None or not ledger.customers.num_rows:
        raise empty_result(ledger.audit)
    table = to_rfm([ledger.customers], options, end, embedded)
    return RfmTable(
        table=table,
        scale=options.scale,
        observation_end=start_of(end, options.scale),
        **said_margin(options.margin),
        audit=noted(ledger.audit, table, options.scale, end),
        segment_cols=options.segment_cols,
        day_pairs=None if ledger.day_pairs is None else DayPairs.of([ledger.day_pairs]),
        options=replace(ledger.options, end=None, until=None, whole=False),
        has_id_map=mapped,
    )


def _check_segments(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise SchemaError(f"segment_cols={names!r} must be a list of names: [{names!r}].")
    listed = check_list("segment_cols", names)
    for name in listed:
        if name in _RESERVED:
            raise SchemaError(
                f"segment_cols has {name!r}, a column of the summary itself: rename it."
            )
    return tuple(dict.fromkeys(listed))
