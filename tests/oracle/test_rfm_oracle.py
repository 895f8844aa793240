"""Summaries of the two embedded logs against published facts and pymc-marketing."""

from __future__ import annotations

import pandas as pd
import pytest

from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.log.audit import Reason
from clvmodels.rfm import rfm_summary, rfm_train_test_split

CDNOW = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
RETAIL = {
    "customer_id_col": "customer_id",
    "datetime_col": "timestamp",
    "monetary_value_col": "amount",
}


def test_rules_of_counting() -> None:
    log = pd.DataFrame(
        {
            "customer_id": [3, 1, 3, 2, 1, 3, 3],
            "date": pd.to_datetime(
                [
                    "2015-01-05",
                    "2015-02-06",
                    "2015-01-01",
                    "2015-01-01",
                    "2015-02-01",
                    "2015-01-02",
                    "2015-01-02 18:00",
                ],
                format="ISO8601",
            ),
            "amount": [30.0, 20.0, 999.0, 5.0, 10.0, 1.0, 2.0],
        }
    )
    got = rfm_summary(log, observation_period_end="2015-02-07", **CDNOW).to_pandas()
    want = pd.DataFrame(
        {
            "customer_id": [1, 2, 3],
            "frequency": [1, 0, 2],
            "recency": [5.0, 0.0, 4.0],
            "T": [6.0, 37.0, 37.0],
            "monetary_value": [20.0, 0.0, 16.5],
            "first_value": [10.0, 5.0, 999.0],
        }
    )
    pd.testing.assert_frame_equal(got, want)


def test_facts_of_cdnow() -> None:
    table = rfm_summary(load_cdnow(), **CDNOW)
    assert len(table) == 23_570
    assert table.observation_end == pd.Timestamp("1998-06-30")
    assert table.audit is not None
    assert (table.audit.rows_read, table.audit.rows_used) == (69_659, 69_659)
    assert table.audit.periods == 67_591


def test_facts_of_the_cdnow_sample_and_its_usual_split() -> None:
    split = rfm_train_test_split(
        load_cdnow(sample=True), train_period_end="1997-09-30", time_scaler=7, **CDNOW
    )
    train, both = split.train.to_pandas(), split.to_pandas()
    assert len(train) == 2_357
    assert (train["frequency"] == 0).sum() == 1_411
    assert (train["frequency"] + 1).sum() == 4_814
    assert both["test_frequency"].sum() == 1_882
    assert set(both["test_T"]) == {39.0}
    assert train["T"].max() == pytest.approx(272 / 7)
    assert split.new_customers == 0
    assert split.test_audit.rows_used + split.train.audit.rows_used == 6_919  # type: ignore[union-attr]


def test_audit_of_online_retail() -> None:
    audit = rfm_summary(load_online_retail(), zero_amounts="drop", **RETAIL).audit
    assert audit is not None
    assert audit.rows_read == 541_909
    assert audit.rows_left_out(Reason.NO_CUSTOMER) == 135_080
    assert audit.rows_left_out(Reason.ZERO_AMOUNT) == 40
    assert audit.rows_left_out(Reason.REFUND) == 8_905
    assert audit.rows_used == 397_884
    assert audit.rows_read == audit.rows_used + sum(item.rows for item in audit.left_out)
    log = load_online_retail()
    assert round(audit.amount_read or 0, 2) == round(log["amount"].sum(), 2)
    used = log[log["customer_id"].notna() & (log["amount"] > 0)]
    assert round(audit.amount_used or 0, 2) == round(used["amount"].sum(), 2)
    assert audit.customers == used["customer_id"].nunique() == 4_338


def test_first_country_of_online_retail() -> None:
    log = load_online_retail()
    table = rfm_summary(log, zero_amounts="drop", segment_cols=["country"], **RETAIL)
    used = log[log["customer_id"].notna() & (log["amount"] > 0)]
    first = used.sort_values(["timestamp", "country"]).groupby("customer_id")["country"].first()
    assert list(table.to_pandas()["country"]) == list(first.sort_index())


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["D", "W", "M", "h"])
def test_equal_to_pymc_marketing_row_by_row(unit: str) -> None:
    from pymc_marketing.clv import rfm_summary as peer

    log = load_cdnow()
    if unit == "h":  # whole days on an hour grid would test little
        log["date"] += pd.to_timedelta(log.index % 24, unit="h")
    want = peer(log, "customer_id", "date", "amount", time_unit=unit, time_scaler=3)
    got = rfm_summary(log, time_unit=unit, time_scaler=3, **CDNOW).to_pandas()
    exact = ["customer_id", "frequency", "recency", "T"]
    pd.testing.assert_frame_equal(got[exact], want[exact], check_exact=True, check_dtype=False)
    pd.testing.assert_series_equal(got["monetary_value"], want["monetary_value"], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("end", [None, "1998-03-31"])
def test_split_equal_to_pymc_marketing(end: str | None) -> None:
    from pymc_marketing.clv import rfm_train_test_split as peer

    log = load_cdnow()
    want = peer(log, "customer_id", "date", "1997-02-28", end, monetary_value_col="amount")
    split = rfm_train_test_split(log, train_period_end="1997-02-28", test_period_end=end, **CDNOW)
    got = split.to_pandas()
    assert list(got.columns) == list(want.columns)
    pd.testing.assert_frame_equal(got, want, check_dtype=False, rtol=1e-13)
    # of the customers seen later, 1997-03 brought all that are not in the calibration
    bought = log[(log["date"] > "1997-02-28") & (log["date"] <= (end or "1998-06-30"))]
    known = set(log.loc[log["date"] <= "1997-02-28", "customer_id"])
    assert split.new_customers == len(set(bought["customer_id"]) - known)
