"""The embedded logs are complete and typed."""

from __future__ import annotations

import pandas as pd

from clvmodels.datasets import load_cdnow, load_online_retail


def test_cdnow() -> None:
    log = load_cdnow()
    assert list(log.columns) == ["customer_id", "date", "amount", "quantity", "sample_id"]
    assert len(log) == 69_659
    assert log["customer_id"].nunique() == 23_570
    assert (log["date"].min(), log["date"].max()) == (
        pd.Timestamp("1997-01-01"),
        pd.Timestamp("1998-06-30"),
    )
    assert (log["amount"] == 0).sum() == 80
    assert log.drop(columns="sample_id").duplicated().sum() == 255


def test_cdnow_sample() -> None:
    sample = load_cdnow(sample=True)
    assert len(sample) == 6_919
    assert sample["customer_id"].nunique() == sample["sample_id"].nunique() == 2_357
    assert sample["sample_id"].notna().all()


def test_online_retail() -> None:
    log = load_online_retail()
    assert list(log.columns) == ["customer_id", "timestamp", "amount", "invoice", "country"]
    assert len(log) == 541_909
    assert log["customer_id"].nunique() == 4_372
    assert log["customer_id"].isna().sum() == 135_080
    assert log["invoice"].str.startswith("C").sum() == 9_288
    assert (log["amount"].min(), log["amount"].max()) == (-168_469.6, 168_469.6)
