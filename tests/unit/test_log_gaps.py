"""The sum of the logs of customers' gaps: alike in all engines, kept, added to, and dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels.datasets import load_cdnow
from clvmodels.errors import SchemaError
from clvmodels.rfm import without_first_month

NAMES = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
WEEKS = {"time_unit": "D", "time_scaler": 7}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True)


def by_hand(log: pd.DataFrame, scaler: float = 1.0) -> pd.Series:
    """By customer, in pandas."""
    days = log.drop_duplicates(["customer_id", "date"]).sort_values(["customer_id", "date"])
    gaps = days.groupby("customer_id")["date"].diff().dt.days / scaler
    return np.log(gaps).groupby(days["customer_id"]).sum()


def test_gaps_are_those_between_a_customers_days(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **NAMES, **WEEKS)
    want = by_hand(log, 7.0)
    np.testing.assert_allclose(rfm["log_gaps"], want, rtol=1e-12, atol=1e-12)
    assert rfm.log_gaps == pytest.approx(want.sum(), rel=1e-12)
    days = clv.rfm_summary(log, **NAMES)
    repeats = days["frequency"].sum()
    assert rfm.log_gaps == pytest.approx(days.log_gaps - repeats * np.log(7.0), rel=1e-12)


def test_engines_and_orders_of_rows_agree(
    log: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = clv.rfm_summary(log, **NAMES)
    mixed = log.sample(frac=1.0, random_state=1)
    mixed.to_parquet(tmp_path / "log.parquet")
    warehouse = ibis.duckdb.connect()
    found = {
        "mixed": clv.rfm_summary(mixed, **NAMES),
        "warehouse": clv.rfm_summary(
            warehouse.create_table("log", pa.Table.from_pandas(mixed)), **NAMES
        ),
    }
    for name, bytes_a_row in (("on disk", 64), ("in parts", 1_000_000)):
        monkeypatch.setattr("clvmodels.log.embedded._BYTES_A_ROW", bytes_a_row)
        path = tmp_path / "rfm.parquet"
        clv.rfm_summary_to_parquet(tmp_path / "log.parquet", path, **NAMES, memory_limit="1GB")
        found[name] = clv.RfmTable.from_parquet(path)
    warehouse.disconnect()
    for name, table in found.items():
        np.testing.assert_allclose(
            table["log_gaps"], want["log_gaps"], rtol=1e-12, atol=1e-12, err_msg=name
        )


@pytest.mark.slow
def test_spark_agrees(log: pd.DataFrame, spark: Any) -> None:
    from clvmodels.spark import rfm_summary

    frame = spark.createDataFrame(log[["customer_id", "date", "amount"]]).repartition(3)
    found = rfm_summary(frame, **NAMES, **WEEKS).table.toArrow().sort_by("customer_id")
    want = clv.rfm_summary(log, **NAMES, **WEEKS)["log_gaps"]
    np.testing.assert_allclose(found["log_gaps"], want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("unit", [{}, WEEKS, {"time_unit": "W"}, {"time_unit": "M"}])
def test_the_gap_over_the_seam_counts(log: pd.DataFrame, unit: Any) -> None:
    cut = "1997-08-31"  # ends a week and a month
    old, new = log[log["date"] <= cut], log[log["date"] > cut]
    whole = clv.rfm_summary(log, **NAMES, **unit, observation_period_end="1998-06-30")
    first = clv.rfm_summary(old, **NAMES, **unit, observation_period_end=cut)
    both = first.update(new, observation_period_end="1998-06-30")
    np.testing.assert_allclose(both["log_gaps"], whole["log_gaps"], rtol=1e-12, atol=1e-12)
    assert first.log_gaps < whole.log_gaps


def test_a_calibration_has_its_own_gaps_alone(log: pd.DataFrame) -> None:
    split = clv.rfm_train_test_split(log, **NAMES, train_period_end="1997-09-30")
    want = by_hand(log[log["date"] <= "1997-09-30"])
    assert split.train.log_gaps == pytest.approx(want.sum(), rel=1e-12)


def test_some_customers_have_theirs(log: pd.DataFrame, tmp_path: Path) -> None:
    rfm = clv.rfm_summary(log, **NAMES)
    half = replace(rfm, table=rfm.table.slice(0, 900))
    assert half.log_gaps == pytest.approx(rfm["log_gaps"][:900].sum(), rel=1e-12)
    half.to_parquet(tmp_path / "half.parquet")
    assert clv.RfmTable.from_parquet(tmp_path / "half.parquet").log_gaps == half.log_gaps
    online = clv.rfm_summary(
        clv.datasets.load_online_retail(), customer_id_col="customer_id", datetime_col="timestamp"
    )
    later = without_first_month(online)
    assert 0 < later.log_gaps < online.log_gaps


def test_frames_are_without_unless_they_are_given_them(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **NAMES)
    frame = rfm.to_pandas()
    assert "log_gaps" not in frame
    assert clv.RfmTable.from_pandas(frame).log_gaps is None
    given = clv.RfmTable.from_pandas(frame.assign(log_gaps=rfm["log_gaps"]), time_unit="D")
    assert given.log_gaps == rfm.log_gaps
    assert given.segment_cols == ()
    shuffled = frame.assign(log_gaps=rfm["log_gaps"].to_numpy()[::-1])
    with pytest.raises(SchemaError, match="log_gaps that are missing, or that purchases"):
        clv.RfmTable.from_pandas(shuffled, time_unit="D")


def test_a_table_without_stays_without(log: pd.DataFrame) -> None:
    old = clv.rfm_summary(log[log["date"] <= "1997-09-30"], **NAMES)
    before = replace(old, table=old.to_arrow())
    assert before.log_gaps is None
    assert before.update(log[log["date"] > "1997-09-30"]).log_gaps is None
