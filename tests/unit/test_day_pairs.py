"""Pairs of days of successive purchases: alike in all engines, kept, added to, and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels.datasets import load_cdnow
from clvmodels.errors import SchemaError, TimeUnitError
from clvmodels.rfm import without_first_month
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.day_pairs import day_pairs_of as checked
from clvmodels.rfm.histories import rfm_columns

NAMES = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
PAIRS = {**NAMES, "day_pairs": True}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True)


def day_pairs_of(rfm: clv.RfmTable) -> DayPairs:
    return checked(rfm_columns(rfm))[0]


def by_hand(log: pd.DataFrame) -> pd.DataFrame:
    """Day, next day and count, in pandas."""
    days = log.drop_duplicates(["customer_id", "date"]).sort_values(["customer_id", "date"])
    ordinal = (days["date"] - pd.Timestamp("1970-01-01")).dt.days
    pairs = pd.DataFrame({"day": ordinal.groupby(days["customer_id"]).shift(), "next_day": ordinal})
    pairs = pairs.dropna().astype("int64")
    return pairs.groupby(["day", "next_day"]).size().reset_index(name="count")


def by_age(log: pd.DataFrame) -> pd.DataFrame:
    """The same by days since the first purchase, of customers of later months."""
    first = log.groupby("customer_id")["date"].transform("min")
    later = first >= log["date"].min() + pd.Timedelta(days=31)
    since = pd.Timestamp("1970-01-01") + (log["date"] - first)
    return by_hand(log.assign(date=since)[later])


def same(found: DayPairs, want: pd.DataFrame, ages: pd.DataFrame | None = None) -> None:
    pd.testing.assert_frame_equal(found.to_arrow().to_pandas(), want, check_dtype=False)
    if ages is not None:
        assert found.ages is not None
        same(found.ages, ages)


def test_pairs_are_those_of_customers_successive_days(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **PAIRS)
    same(rfm.day_pairs, by_hand(log), by_age(log))
    assert day_pairs_of(rfm) is rfm.day_pairs
    weeks = clv.rfm_summary(log, **PAIRS, time_scaler=7)
    assert day_pairs_of(weeks) == rfm.day_pairs
    assert clv.rfm_summary(log, **NAMES).day_pairs is None


def test_engines_and_orders_of_rows_agree(
    log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want, ages, mixed = by_hand(log), by_age(log), log.sample(frac=1.0, random_state=1)
    mixed.to_parquet(tmp_path / "log.parquet")
    warehouse = ibis.duckdb.connect()
    lent = warehouse.create_table("log", pa.Table.from_pandas(mixed))
    same(clv.rfm_summary(lent, **PAIRS).day_pairs, want, ages)
    once = pq.ParquetFile(tmp_path / "log.parquet").iter_batches(1000)
    schema = pq.read_schema(tmp_path / "log.parquet")
    same(clv.rfm_summary(pa.RecordBatchReader.from_batches(schema, once), **PAIRS).day_pairs, want)
    for bytes_a_row in (64, 1_000_000):
        monkeypatch.setattr("clvmodels.log.embedded._BYTES_A_ROW", bytes_a_row)
        path = tmp_path / "rfm.parquet"
        clv.rfm_summary_to_parquet(tmp_path / "log.parquet", path, **PAIRS, memory_limit="1GB")
        table = clv.RfmTable.from_parquet(path)
        same(table.day_pairs, want, ages)
        day_pairs_of(table)
    warehouse.disconnect()


def test_refunds_that_undo_a_purchase_undo_its_pairs() -> None:
    days = pd.to_datetime(["2024-01-01", "2024-01-05", "2024-01-05", "2024-01-09"])
    small = pd.DataFrame({"customer_id": 1, "date": days, "amount": [5.0, 7.0, -7.0, 3.0]})
    rfm = clv.rfm_summary(small, **PAIRS, refunds="net")
    assert (rfm.day_pairs.next_day - rfm.day_pairs.day).tolist() == [8]
    day_pairs_of(rfm)


@pytest.mark.slow
def test_spark_agrees(log: pd.DataFrame, spark: Any) -> None:
    from clvmodels.spark import rfm_summary

    frame = spark.createDataFrame(log[["customer_id", "date", "amount"]]).repartition(3)
    same(rfm_summary(frame, **PAIRS).day_pairs, by_hand(log), by_age(log))


def test_pairs_over_the_seam_count(log: pd.DataFrame) -> None:
    cut = "1997-09-30"
    first = clv.rfm_summary(log[log["date"] <= cut], **PAIRS, observation_period_end=cut)
    both = first.update(log[log["date"] > cut])
    same(both.day_pairs, by_hand(log))
    assert both.day_pairs.ages is None  # first purchases of the later log need not be first
    day_pairs_of(both)
    split = clv.rfm_train_test_split(log, **PAIRS, train_period_end=cut)
    assert split.train.day_pairs == first.day_pairs


def test_tables_keep_theirs_in_files(log: pd.DataFrame, tmp_path: Path) -> None:
    rfm = clv.rfm_summary(log, **PAIRS)
    rfm.to_parquet(tmp_path / "rfm.parquet")
    assert clv.RfmTable.from_parquet(tmp_path / "rfm.parquet") == rfm
    plain = clv.rfm_summary(log, **NAMES)
    assert plain != rfm
    plain.to_parquet(tmp_path / "plain.parquet")
    assert clv.RfmTable.from_parquet(tmp_path / "plain.parquet").day_pairs is None


def test_one_customer_who_bought_once_has_none() -> None:
    once = pd.DataFrame({"customer_id": ["a"], "date": [pd.Timestamp("2024-02-03")]})
    rfm = clv.rfm_summary(once, customer_id_col="customer_id", datetime_col="date", day_pairs=True)
    assert len(day_pairs_of(rfm)) == 0


def test_pairs_of_others_are_refused(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **PAIRS)
    half = replace(rfm, table=rfm.table.slice(0, 900))
    with pytest.raises(SchemaError, match="its pairs of days are those of other customers"):
        day_pairs_of(half)
    moved = replace(rfm.day_pairs, next_day=rfm.day_pairs.next_day + 1)
    with pytest.raises(SchemaError, match="other customers"):
        day_pairs_of(replace(rfm, day_pairs=moved))
    with pytest.raises(SchemaError, match="does not have them"):
        day_pairs_of(clv.rfm_summary(log, **NAMES))
    online = clv.rfm_summary(
        clv.datasets.load_online_retail(),
        customer_id_col="customer_id",
        datetime_col="timestamp",
        day_pairs=True,
    )
    assert without_first_month(online).day_pairs is None


def test_days_are_needed(log: pd.DataFrame) -> None:
    with pytest.raises(TimeUnitError, match="day_pairs=True counts days"):
        clv.rfm_summary(log, **PAIRS, time_unit="W")
