"""A log in Spark -> customers in Spark, by the expressions of `clvmodels.log`.

Spark counts; the driver sees the audit (a row per reason) and nothing of the customers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Unpack

import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.log import (
    LogOptions,
    OpenLog,
    ages_from,
    came_between,
    customers_of,
    day_pairs_expr,
    empty_result,
    fetch,
    ledger_expr,
    narrowed,
    open_log,
    read_audit,
    read_id_map,
    refuse_refunds,
    rfm_of,
)
from clvmodels.log.audit import Audit
from clvmodels.log.column_checks import check_columns
from clvmodels.log.options import TableTerms
from clvmodels.margin import said_margin
from clvmodels.rejects import warn_unreadable
from clvmodels.rfm.continuity import noted_of_ledger
from clvmodels.rfm.counted import CountedHistories, counted, facts_of
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.periods import check_said, start_of
from clvmodels.rfm.summary import log_options
from clvmodels.schema import TimeScale, TimeUnit, scale_said
from clvmodels.spark.session import SparkTables, tables_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Keeps the instants of a log apart where two of them are one wall-clock time.
_INSTANT: Final = "__clvmodels_instant"


@dataclass(frozen=True, slots=True, eq=False)
class SparkRfm:
    """Customers of a log as a Spark DataFrame, with their units and their audit.

    Attributes
    ----------
    table : pyspark.sql.DataFrame
        The columns of an `RfmTable`, one row per customer, in no order.
    scale : TimeScale
        The unit of recency and T.
    observation_end : pandas.Timestamp
        Start of the last period observed.
    margin : float
        Share of revenue that is profit; stored only.
    audit : Audit
        What became of every row of the log.
    segment_cols : tuple of str
        Names of the segment columns.
    margin_said : bool
        Whether a margin was given.
    ledger : pyspark.sql.DataFrame
        What `table` is read off; kept by Spark until `unpersist`.
    day_pairs : DayPairs or None
        As of an `RfmTable`: the pairs of days come to the driver, customers do not.
    """

    table: DataFrame = field(repr=False)
    scale: TimeScale
    observation_end: pd.Timestamp
    margin: float
    audit: Audit = field(repr=False)
    segment_cols: tuple[str, ...] = ()
    margin_said: bool = False
    ledger: DataFrame | None = field(default=None, repr=False)
    day_pairs: DayPairs | None = field(default=None, repr=False)

    def unpersist(self) -> None:
        """Let Spark drop the counted ledger; `table` counts again if it is used again."""
        if self.ledger is not None:
            self.ledger.unpersist()


@named
def rfm_summary(
    df: DataFrame, *, id_map: Any = None, persist: bool = True, **terms: Unpack[TableTerms]
) -> SparkRfm:
    """Summarise a transaction log where it lies; see :func:`clvmodels.rfm_summary`.

    One Spark job counts the log and makes the audit; the customers themselves are
    computed when ``.table`` is used.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        The log. Columns of type TIMESTAMP are counted by the wall clock of the session's
        time zone (``spark.sql.session.timeZone``), which is what Spark shows of them.
    customer_id_col, datetime_col, monetary_value_col, time_unit, time_scaler
        As in :func:`clvmodels.rfm_summary`.
    observation_period_end, refunds, order_id_col, zero_amounts, duplicates
        As in :func:`clvmodels.rfm_summary`.
    segment_cols, margin, day_pairs
        As in :func:`clvmodels.rfm_summary`.
    implausible_dates, missing_ids, varying_segments
        As in :func:`clvmodels.rfm_summary`.
    date_format, decimal, where, currency_col, rates
        As in :func:`clvmodels.rfm_summary`.
    id_map : mapping, frame or pyspark.sql.DataFrame, optional
        As in :func:`clvmodels.rfm_summary`; a Spark DataFrame of two columns is checked
        and joined in Spark.
    persist : bool
        Keep the counted customers in Spark (memory, then disk), so that the log is read
        once for audit and table together; `SparkRfm.unpersist` lets go of them.

    Returns
    -------
    SparkRfm
        With ``.audit``; the customers stay in Spark.

    Raises
    ------
    SchemaError
        A column is missing or of the wrong type, or no purchase is left.
    TimeUnitError
        The time unit is unknown.
    DomainError
        The margin is not a share of revenue.
    """
    options = log_options(**terms)
    found = summary_of(df, options, id_map, persist=persist)
    warn_unreadable(found.audit)
    return found


@named
def count_histories(
    data: SparkRfm | DataFrame,
    *,
    first_order: bool = False,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> CountedHistories:
    """Count the distinct histories of a base where it lies; no customer reaches the driver.

    A billion customers, looked at by the day over two years, have some ten million of them.

    Parameters
    ----------
    data : SparkRfm or pyspark.sql.DataFrame
        Customers: frequency, recency, T and, where there are amounts, monetary_value.
    first_order : bool
        As in :func:`clvmodels.count_histories`.
    time_unit, time_scaler : str, float, optional
        The unit of a plain DataFrame; days by default.

    Returns
    -------
    CountedHistories
        What a fit takes in place of the base, ``CLVModel().fit(histories)``.

    Raises
    ------
    SchemaError
        A column is missing, or amounts of first orders where they are to count.
    TimeUnitError
        The data are in another unit than is said.
    """
    said = scale_said(time_unit, time_scaler)
    if isinstance(data, SparkRfm):
        check_said(data.scale, said or data.scale)
        df, facts = data.table, facts_of(data)
    else:
        df, facts = data, {"scale": said or TimeScale()}
    with tables_of(df.sparkSession) as tables:
        return counted(tables.table(df), tables.backend, first_order, **facts)


def summary_of(
    df: DataFrame, options: LogOptions, id_map: Any, *, persist: bool = True
) -> SparkRfm:
    """Summarise a log as the options say; see `rfm_summary`."""
    log = _wall_clock(_needed(df, options), options)
    persons = spark_id_map(id_map, df.sparkSession)
    with tables_of(df.sparkSession) as tables:
        opened = open_log(tables.table(log), options, tables.backend)
        ledger = _ledger(tables, opened, persons)
        if persist:
            ledger.persist()
        while True:
            narrower = narrowed(tables.table(ledger), opened.options, tables.backend)
            if narrower is None:
                break
            opened = replace(opened, options=narrower)
            ledger.unpersist()
            ledger = _ledger(tables, opened, persons)
            if persist:
                ledger.persist()
        return _summary(tables, ledger, opened, _day_pairs(tables, ledger, opened, persons))


def _needed(df: DataFrame, options: LogOptions) -> DataFrame:
    """Columns to read; all of them are needed to tell duplicates."""
    check_columns(df.columns, options)
    twice = [name for name in options.columns if df.columns.count(name) > 1]
    if twice:
        raise SchemaError(f"The log has two columns named {twice[0]!r}: rename one of them.")
    if options.duplicates == "drop":
        return df
    return df.select(*(_quoted(name) for name in dict.fromkeys(options.columns)))


def _wall_clock(df: DataFrame, options: LogOptions) -> DataFrame:
    """Instants -> wall-clock times of the session's zone, which Ibis knows nothing of.

    The zone is written out, since Spark Connect reads the session's only when it runs a job.
    """
    from pyspark.sql import functions
    from pyspark.sql.types import TimestampType

    name = options.datetime_col
    if not isinstance(df.schema[name].dataType, TimestampType):
        return df
    if options.duplicates == "drop":
        df = df.withColumn(_INSTANT, functions.col(_quoted(name)))
    zone = df.sparkSession.conf.get("spark.sql.session.timeZone")
    seconds = f"cast(unix_micros({_quoted(name)}) AS decimal(20, 0)) / 1000000"
    utc = f"timestamp_ntz'1970-01-01' + make_dt_interval(0, 0, 0, {seconds})"
    return df.withColumn(name, functions.expr(f"convert_timezone('UTC', '{zone}', {utc})"))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _ledger(tables: SparkTables, log: OpenLog, persons: DataFrame | None) -> DataFrame:
    id_map = None if persons is None else tables.table(persons)
    return tables.frame(ledger_expr(log.table, log.options, id_map))


def _day_pairs(
    tables: SparkTables, ledger: DataFrame, log: OpenLog, persons: DataFrame | None
) -> DayPairs | None:
    if not log.options.day_pairs:
        return None
    id_map = None if persons is None else tables.table(persons)
    customers = customers_of(tables.table(ledger), log.options)
    since = ages_from(*came_between(customers, tables.backend))
    pairs = day_pairs_expr(log.table, log.options, since, id_map)
    return DayPairs.of([fetch(tables.backend, pairs)])


def _summary(
    tables: SparkTables, ledger: DataFrame, log: OpenLog, day_pairs: DayPairs | None
) -> SparkRfm:
    table, options = tables.table(ledger), log.options
    audit, last = read_audit(table, log, tables.backend)
    refuse_refunds(audit, options)
    end = last if options.end is None else options.end
    if end is None or not audit.customers:
        raise empty_result(audit)
    audit = noted_of_ledger(audit, table, options.scale, end, tables.backend)
    return SparkRfm(
        table=tables.frame(rfm_of(customers_of(table, options), options, end)),
        scale=options.scale,
        observation_end=start_of(end, options.scale),
        **said_margin(options.margin),
        audit=audit,
        segment_cols=options.segment_cols,
        ledger=ledger,
        day_pairs=day_pairs,
    )


def spark_id_map(id_map: Any, session: SparkSession) -> DataFrame | None:
    """Check a table from ids to customers and take it to Spark; None where it says nothing.

    Parameters
    ----------
    id_map : mapping, frame or pyspark.sql.DataFrame
        As in `clvmodels.log.read_id_map`; a Spark DataFrame stays in Spark.
    session : SparkSession

    Raises
    ------
    SchemaError
        There are not two columns, something is missing, or an id has two customers.
    """
    if _is_spark(id_map):
        return _checked(id_map)
    table = read_id_map(id_map)
    if table is None or not table.num_rows:
        return None
    return session.createDataFrame(table)


def _is_spark(data: Any) -> bool:
    return type(data).__module__.startswith("pyspark.sql")


def _checked(df: DataFrame) -> DataFrame:
    from pyspark.sql import functions

    if len(df.columns) != 2:
        raise SchemaError(
            f"id_map has {len(df.columns)} columns: it must have two, the id in the log "
            "and the customer that it belongs to."
        )
    pairs = df.toDF("id", "customer").distinct()
    if pairs.filter(functions.col("id").isNull() | functions.col("customer").isNull()).take(1):
        raise SchemaError("id_map has missing values: drop those rows.")
    twice = pairs.groupBy("id").count().filter("count > 1")
    for row in twice.take(1):
        raise SchemaError(
            f"id_map gives {twice.count():,} ids several customers, first {row['id']!r}: "
            "keep one customer per id."
        )
    onward = pairs.alias("a").join(pairs.alias("b"), functions.expr("a.customer = b.id"))
    chained = onward.filter("b.id <> b.customer").select("b.id", "b.customer")
    for row in chained.take(1):
        raise SchemaError(
            f"id_map sends ids to {row['id']!r}, which is itself sent to {row['customer']!r}: "
            "give the last customer of each chain."
        )
    return pairs
