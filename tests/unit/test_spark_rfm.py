"""Spark summarises a log as DuckDB does, customer by customer, and leaves it where it is."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels import spark as on_spark
from clvmodels.errors import SchemaError, TimeUnitError
from clvmodels.log.audit import Audit, Reason
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories

# The log holds rows that cannot be read.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning"),
]

NAMES = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}


def make_log(rows: int = 2_000, customers: int = 150) -> pd.DataFrame:
    """Rows with everything in them that a policy is about, from before 1970 on."""
    rng = np.random.default_rng(20_241)
    second = rng.integers(-90 * 86_400, 300 * 86_400, rows)
    frame = pd.DataFrame(
        {
            "who": pd.array(rng.integers(0, customers, rows), dtype="Int64"),
            "when": pd.Timestamp("1970-01-01") + pd.to_timedelta(second, unit="s"),
            "paid": rng.integers(-200, 3_000, rows) / 100,
            "shop": rng.choice(["x", "y", "z"], rows),
        }
    )
    frame["order"] = np.random.default_rng(2).integers(0, 600, rows)
    frame.loc[rng.choice(rows, 40), "who"] = pd.NA
    frame.loc[rng.choice(rows, 40), "when"] = pd.NaT
    frame.loc[rng.choice(rows, 300), "shop"] = None
    for value in (0.0, np.nan, np.inf, -np.inf):
        frame.loc[rng.choice(rows, 20), "paid"] = value
    twice = frame.sample(100, random_state=1)
    return pd.concat([frame, twice], ignore_index=True)


LOG = make_log()


@pytest.fixture(scope="module")
def log(spark: Any) -> Any:
    """Yield the same rows in Spark: null where pandas has nothing, NaN where an amount is NaN."""
    columns = {name: pa.array(LOG[name]) for name in LOG.columns}
    columns["paid"] = pa.array(LOG["paid"].to_numpy())
    return spark.createDataFrame(pa.table(columns)).repartition(3).cache()


def sorted_frame(table: Any) -> pd.DataFrame:
    frame: pd.DataFrame = table.toArrow().to_pandas()
    return frame.sort_values("customer_id", ignore_index=True)


def close(amount: float | None) -> Any:
    return None if amount is None else pytest.approx(amount, rel=1e-9, abs=1e-9)


def assert_same_audit(got: Audit, want: Audit) -> None:
    mine, theirs = got.to_dict(), want.to_dict()
    for name in ("amount_read", "amount_used", "netted_amount", "netted_earlier_amount"):
        theirs[name] = close(theirs[name])
    for name in ("left_out", "not_netted"):
        theirs[name] = [{**line, "amount": close(line["amount"])} for line in theirs[name]]
    assert mine == theirs


def assert_same(got: on_spark.SparkRfm, want: clv.RfmTable) -> None:
    pd.testing.assert_frame_equal(sorted_frame(got.table), want.table.to_pandas(), rtol=1e-12)
    assert want.audit is not None
    assert_same_audit(got.audit, want.audit)
    assert got.scale == want.scale
    assert got.observation_end == want.observation_end
    assert (got.margin, got.segment_cols) == (want.margin, want.segment_cols)


# the log is bad on purpose
@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time_unit": "W", "refunds": "net", "zero_amounts": "drop"},
        {"time_unit": "M", "segment_cols": ["shop"], "duplicates": "drop", "margin": 0.4},
        {"time_unit": "h", "refunds": "net", "duplicates": "drop", "segment_cols": ["shop"]},
        {"refunds": "net_earlier", "segment_cols": ["shop"], "varying_segments": "last"},
        {"refunds": "net_earlier", "order_id_col": "order", "time_unit": "W"},
        {"time_scaler": 7, "observation_period_end": "1970-07-01", "id_map": {1: 2, 3: 2}},
        {"id_map": {1: "one", 2: "one"}, "monetary_value_col": None, "time_unit": "W"},
        {"time_unit": "W", "observation_period_end": "last whole period"},
        {"time_unit": "M", "observation_period_end": "1970-07-01", "segment_cols": ["shop"]},
    ],
    ids=[
        *("days", "netted weeks", "segments", "all at once"),
        *("earlier", "orders"),
        *("scaled, mapped", "no amounts", "whole", "given"),
    ],
)
def test_spark_summarises_as_duckdb_does(log: Any, options: dict[str, Any]) -> None:
    got = on_spark.rfm_summary(log, **{**NAMES, **options})
    assert_same(got, clv.rfm_summary(LOG, **{**NAMES, **options}))
    got.unpersist()


def test_spark_counts_histories_as_duckdb_does(log: Any) -> None:
    """Rows come in no order, and a fit puts them into one: so its statistics are the same."""
    asked: dict[str, Any] = {**NAMES, "refunds": "drop", "margin": 0.3}
    got, want = on_spark.rfm_summary(log, **asked), clv.rfm_summary(LOG, **asked)
    there = on_spark.count_histories(got, first_order=True)
    assert there.customers == len(want)
    columns = there.columns()
    assert purchase_histories(columns).fingerprint() == purchase_histories(want).fingerprint()
    for first in ("exclude", "include"):
        found, expected = (spend_histories(one, first) for one in (columns, want))
        assert found.fingerprint() == expected.fingerprint()
        assert found.without_repeat == expected.without_repeat
        assert found.zero_spend == expected.zero_spend
    assert (there.scale, there.margin) == (want.scale, 0.3)
    assert there.observation_end == want.observation_end
    plain = on_spark.count_histories(got.table, time_scaler=7.0)
    assert plain.scale == clv.RfmTable.from_frame(want.to_pandas(), time_scaler=7.0).scale
    assert plain.customers == there.customers
    with pytest.raises(TimeUnitError):
        on_spark.count_histories(got, time_unit="W")
    with pytest.raises(SchemaError, match=r"lacks recency"):
        on_spark.count_histories(got.table.drop("recency"))
    got.unpersist()


def test_amounts_in_several_currencies(spark: Any) -> None:
    rates = {"EUR": 1.0, "USD": 0.8, "JPY": 0.005}
    money = np.array([*rates])[np.arange(len(LOG)) % 3]
    frame = LOG[["who", "when", "paid"]].assign(money=money).dropna()
    table = spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))
    with pytest.raises(SchemaError, match="of which no rate is given"):
        on_spark.rfm_summary(table, **NAMES, currency_col="money")
    asked: dict[str, Any] = {**NAMES, "currency_col": "money", "rates": rates, "refunds": "net"}
    found, want = on_spark.rfm_summary(table, **asked), clv.rfm_summary(frame, **asked)
    in_euros = frame.assign(paid=frame["paid"] * frame["money"].map(rates))
    plain = clv.rfm_summary(in_euros, **NAMES, refunds="net").to_pandas()
    for one in (sorted_frame(found.table), want.to_pandas()):
        pd.testing.assert_frame_equal(one[[*plain]], plain, check_dtype=False, rtol=1e-9)


def test_any_ibis_backend_is_a_source(spark: Any, log: Any) -> None:
    log.createOrReplaceTempView("ledger_source")
    zone = spark.conf.get("spark.sql.session.timeZone")
    table = ibis.pyspark.connect(spark).table("ledger_source")
    options = {**NAMES, "refunds": "net", "segment_cols": ["shop"], "id_map": {1: 2}}
    got, want = clv.rfm_summary(table, **options), clv.rfm_summary(LOG, **options)
    pd.testing.assert_frame_equal(got.to_pandas(), want.to_pandas(), rtol=1e-12)
    spark.catalog.dropTempView("ledger_source")
    spark.conf.set("spark.sql.session.timeZone", zone)


MOMENTS = [
    (1, dt.datetime(2020, 1, 1, 3)),
    (2, dt.datetime(2020, 1, 2, 3)),
    (1, dt.datetime(1960, 1, 2, 23, 59, 59, 999_999)),
    (None, dt.datetime(2020, 1, 5)),
]


@pytest.mark.parametrize(
    ("who", "when", "paid", "convert"),
    [
        ("int", "date", "int", (int, dt.datetime.date, int)),
        ("decimal(10,0)", "timestamp", "decimal(10,2)", (Decimal, None, Decimal)),
        ("double", "timestamp_ntz", "float", (float, None, float)),
        ("string", "timestamp", "long", (str, None, int)),
    ],
)
def test_types_of_columns(spark: Any, who: str, when: str, paid: str, convert: Any) -> None:
    kind, moment, money = convert
    rows = [
        (None if key is None else kind(key), moment(time) if moment else time, money(5))
        for key, time in MOMENTS
    ]
    df = spark.createDataFrame(rows, f"who {who}, when {when}, paid {paid}")
    got = on_spark.rfm_summary(df, time_unit="W", **NAMES, implausible_dates="keep")
    frame = sorted_frame(got.table)
    assert frame["customer_id"].tolist() == ([1, 2] if who != "string" else ["1", "2"])
    assert frame["recency"].tolist() == [3_131.0, 0.0]
    assert frame["T"].tolist() == [3_131.0, 0.0]
    assert frame["monetary_value"].tolist() == [5.0, 0.0]
    assert got.audit.rows_left_out(Reason.NO_CUSTOMER) == 1
    assert bool(got.audit.notes) == (who == "double")


TEXTS = [
    *("2020-01-01", "20200102", " 2020-01-03 ", "2020-1-4", "2020-1-4 8:05", "1900-02-28"),
    *("2020-01-05T23:59:59.123456789", "2020-01-06T08:26:00+01:00", "2020-01-07 08:26Z"),
    *("2020-01-07 08:26 UTC", "1969-12-31T23:30", "2020-01-09T08:26:00.5+0530", "9999-12-31"),
    *("2020-01-10 08:26:00 -05", "0001-01-01", "2020-02-30", "20201301", "never", "", " "),
    *("2020-01-08T24:00:00", "2020-01-08T25:00", "12020-01-01", "2020-01-10T08"),
    *("2020-01-10T08:26:61", "2020-01-11T08:26 America/New_York", "2020-01-11 08:26 PM"),
]


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
@pytest.mark.parametrize("unit", ["h", "D"])
def test_dates_as_text(spark: Any, unit: str) -> None:
    rows = [(f"c{i:02}", text, 1.0) for i, text in enumerate([*TEXTS, None])]
    rows += [("c00", "2020-01-01", 1.0)] * 100  # more than a tenth without a date is an error
    frame = pd.DataFrame(rows, columns=list(NAMES.values()))
    options = {**NAMES, "time_unit": unit, "observation_period_end": "2021-01-01"}
    options["implausible_dates"] = "keep"
    df = spark.createDataFrame(rows, "who string, when string, paid double")
    want = clv.rfm_summary(frame, **options)
    assert len(want) == 14  # "9999-12-31" is after the end, what follows "0001-01-01" no date
    assert_same(on_spark.rfm_summary(df, **options), want)


# --- time zones --------------------------------------------------------------------------


@pytest.fixture
def new_york(spark: Any) -> Any:
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield spark
    spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_instants_are_counted_by_the_sessions_clock(new_york: Any) -> None:
    # two rows an hour apart with one wall-clock time, and evenings that are the next day in UTC
    instants = ["2020-11-01 05:30", "2020-11-01 06:30", "2020-11-03 03:30", "2020-11-03 15:00"]
    instants += ["1960-07-01 03:59:59.999999", "1883-01-01 04:59", "2090-03-12 08:00"]
    when = pd.to_datetime(instants, utc=True, format="ISO8601")
    frame = pd.DataFrame({"who": ["a"] * 7, "when": when.tz_convert("America/New_York")})
    frame["paid"] = 2.0
    rows = [("a", moment.to_pydatetime(), 2.0) for moment in when]
    df = new_york.createDataFrame(rows, "who string, when timestamp, paid double")
    for options in ({}, {"time_unit": "h"}, {"duplicates": "drop"}):
        options = {**NAMES, **options, "implausible_dates": "keep"}
        got = on_spark.rfm_summary(df, **options)
        assert_same(got, clv.rfm_summary(frame, **options))
    last = on_spark.rfm_summary(df, **NAMES, implausible_dates="keep")
    assert sorted_frame(last.table)["frequency"].tolist() == [5]


def test_the_session_is_left_as_it_was(new_york: Any, log: Any) -> None:
    before = new_york.conf.get("spark.sql.mapKeyDedupPolicy"), new_york.catalog.listTables()
    summary = on_spark.rfm_summary(log, **NAMES)
    with pytest.raises(SchemaError):
        on_spark.rfm_summary(log, **{**NAMES, "customer_id_col": "paid"})
    assert new_york.conf.get("spark.sql.session.timeZone") == "America/New_York"
    after = new_york.conf.get("spark.sql.mapKeyDedupPolicy"), new_york.catalog.listTables()
    assert after == before
    assert summary.ledger is not None
    assert summary.ledger.is_cached
    summary.unpersist()
    assert not summary.ledger.is_cached
    assert summary.table.count() == summary.audit.customers  # it can still be counted anew


# --- where the work is done --------------------------------------------------------------


def test_customers_stay_in_spark(spark: Any) -> None:
    # the driver of the tests takes 2 MB of results at most
    log = spark.range(200_000).selectExpr(
        "id % 100000 AS who",
        "timestamp_ntz'2020-01-01' + make_dt_interval(int(id % 90)) AS when",
        "double(1 + id % 7) AS paid",
    )
    summary = on_spark.rfm_summary(log, **NAMES)
    assert summary.table.count() == summary.audit.customers == 100_000
    with pytest.raises(Exception, match="maxResultSize"):
        summary.table.toArrow()
    summary.unpersist()


# --- ids of persons ----------------------------------------------------------------------


def test_an_id_map_in_spark(spark: Any, log: Any) -> None:
    pairs = [(1, 2), (3, 2), (3, 2)]
    table = spark.createDataFrame(pairs, "account long, person long")
    got = on_spark.rfm_summary(log, id_map=table, **NAMES)
    assert_same(got, clv.rfm_summary(LOG, id_map=dict(pairs), **NAMES))
    assert_same(on_spark.rfm_summary(log, id_map={}, **NAMES), clv.rfm_summary(LOG, **NAMES))


@pytest.mark.parametrize(
    ("rows", "ddl", "message"),
    [
        ([(1, 2, 3)], "a long, b long, c long", "3 columns"),
        ([(1, None)], "a long, b long", "missing values"),
        ([(1, 2), (1, 3), (4, 5)], "a long, b long", "1 ids several customers, first 1"),
        ([(1, 2), (2, 3)], "a long, b long", "sends ids to 2, which is itself sent to 3"),
    ],
)
def test_bad_id_maps_in_spark(spark: Any, log: Any, rows: Any, ddl: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        on_spark.rfm_summary(log, id_map=spark.createDataFrame(rows, ddl), **NAMES)


# --- errors ------------------------------------------------------------------------------


def test_errors_are_those_of_one_machine(spark: Any, log: Any) -> None:
    with pytest.raises(SchemaError, match=r"customer_id_col='whom'.*Did you mean 'who'"):
        on_spark.rfm_summary(log, **{**NAMES, "customer_id_col": "whom"})
    with pytest.raises(SchemaError, match="which are not recognised as dates"):
        on_spark.rfm_summary(log, **{**NAMES, "datetime_col": "who"})
    with pytest.raises(SchemaError, match="No purchase remains"):
        on_spark.rfm_summary(log, observation_period_end="1900-01-01", **NAMES)
    with pytest.raises(SchemaError, match="rows have a negative 'paid'"):
        on_spark.rfm_summary(log, refunds="error", **NAMES)
    with pytest.raises(SchemaError, match="not whole numbers"):
        on_spark.rfm_summary(log.withColumn("who", log["who"] + 0.5), **NAMES)
    with pytest.raises(SchemaError, match="two columns named 'paid'"):
        on_spark.rfm_summary(log.toDF("who", "when", "paid", "paid", "order"), **NAMES)
    with pytest.raises(TimeUnitError, match="'Q' is unknown"):
        on_spark.rfm_summary(log, time_unit="Q", **NAMES)  # type: ignore[arg-type]
