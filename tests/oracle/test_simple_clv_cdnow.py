"""The simple formula on CDNOW's log against direct pandas arithmetic."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from clvmodels.datasets import load_cdnow
from clvmodels.economics import simple_clv, simple_clv_per_customer

COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
END = pd.Timestamp("1997-09-30")
YEAR = 365.25
MARGIN = 0.3


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True)


@pytest.fixture(scope="module")
def days(log: pd.DataFrame) -> pd.DataFrame:
    """One row per customer and day with a purchase, up to the end, in order of time."""
    used = log[log["date"] <= END]
    return used.groupby(["customer_id", "date"], as_index=False)["amount"].sum()


def by_hand(days: pd.DataFrame, silence: float, *, rate: float = 0.1) -> dict[str, float]:
    """The formula on customer-days, from its definition."""
    customers = days["customer_id"].nunique()
    ends = days.groupby("customer_id")["date"].agg(["min", "max"])
    years = (END - ends["min"]).dt.days.sum() / YEAR
    lost = int(((END - ends["max"]).dt.days > silence).sum())
    churn = 1 - (1 - lost / customers) ** (customers / years)
    # An hour at a time, in its middle: what is left of customers and of money
    t = (np.arange(365 * 24) + 0.5) / 24 / YEAR
    retained = float(((1 - churn) ** t * (1 + rate) ** -t).sum()) / 24 / YEAR
    per_year = days["amount"].mean() * len(days) / years * MARGIN
    return {
        "customers": customers,
        "orders": len(days),
        "revenue": days["amount"].sum(),
        "customer_years": years,
        "order_value": days["amount"].sum() / len(days),
        "orders_per_customer": len(days) / customers,
        "orders_per_year": len(days) / years,
        "lost": lost,
        "churn": churn,
        "retention": 1 - churn,
        "retained_years": retained,
        "value": per_year * retained,
        "total": per_year * retained * customers,
        "lifetime_years": 1 / churn,
        "lifetime_value": per_year / churn,
    }


def assert_same(found: dict[str, object], expected: dict[str, float]) -> None:
    # The middle of an hour stands for it up to (rate per hour)^2 / 24, below 1e-8 here
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-8), name


def test_the_base(log: pd.DataFrame, days: pd.DataFrame) -> None:
    gaps = days.groupby("customer_id")["date"].diff().dt.days.dropna()
    silence = float(gaps.quantile(0.95))
    found = simple_clv(log, **COLUMNS, observation_period_end=END, margin=MARGIN)
    assert found.silence == pytest.approx(silence, rel=1e-14)
    assert found.orders == 4814  # customer-days of the calibration
    assert_same(asdict(found), by_hand(days, silence))


def test_cohorts(log: pd.DataFrame, days: pd.DataFrame) -> None:
    found = simple_clv(
        log, by="cohort", silence=100.0, **COLUMNS, observation_period_end=END, margin=MARGIN
    ).set_index("cohort")
    first = days.groupby("customer_id")["date"].transform("min").dt.strftime("%Y-%m")
    assert list(found.index) == ["1997-01", "1997-02", "1997-03", "(whole)"]
    for month, rows in days.groupby(first):
        assert_same(found.loc[month].to_dict(), by_hand(rows, 100.0))
    assert_same(found.loc["(whole)"].to_dict(), by_hand(days, 100.0))
    for name in ("customers", "orders", "revenue", "customer_years", "lost"):
        parts = math.fsum(found[name][:-1])
        assert parts == pytest.approx(found[name].iloc[-1], rel=1e-12), name


def test_each_customer(log: pd.DataFrame, days: pd.DataFrame) -> None:
    options = {**COLUMNS, "observation_period_end": END, "margin": MARGIN}
    found = simple_clv_per_customer(log, **options)
    base = simple_clv(log, **options)
    own = days.groupby("customer_id").agg(
        orders=("amount", "size"), revenue=("amount", "sum"), first=("date", "min")
    )
    years = (END - own["first"]).dt.days / YEAR
    yearly = (own["revenue"] / own["orders"] * own["orders"] / years * MARGIN).to_numpy()
    assert found["customer_id"].tolist() == own.index.tolist()
    np.testing.assert_allclose(found["value"], yearly * base.retained_years, rtol=1e-12)
    np.testing.assert_allclose(found["lifetime_value"], yearly / base.churn, rtol=1e-12)
