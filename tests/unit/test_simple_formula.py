"""The simple formula by hand, and on a log against direct arithmetic."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd
import pytest
from scipy.integrate import quad

from clvmodels import DomainError, RfmTable, SchemaError, rfm_summary
from clvmodels.datasets import load_cdnow
from clvmodels.economics import simple_clv
from clvmodels.formulas.simple import (
    annual_churn,
    lifetime_years,
    retained_years,
    simple_value,
)
from clvmodels.gaps import gap_quantile, mean_gap_quantile

COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}

# Ten rows, nine purchases: A buys twice on one day. Gaps in days: A 10 20 40, B 100, C 30.
TEN_ROWS = pd.DataFrame(
    [
        ("A", "2023-01-01", 10.0),
        ("A", "2023-01-11", 20.0),
        ("A", "2023-01-11", 10.0),
        ("A", "2023-01-31", 40.0),
        ("A", "2023-03-12", 20.0),
        ("B", "2023-01-01", 50.0),
        ("B", "2023-04-11", 30.0),
        ("C", "2023-10-01", 60.0),
        ("C", "2023-10-31", 10.0),
        ("D", "2023-12-31", 20.0),
    ],
    columns=["customer_id", "date", "amount"],
)


def ten_rows(**options: object) -> RfmTable:
    return rfm_summary(
        TEN_ROWS, **COLUMNS, observation_period_end="2023-12-31", margin=0.5, **options
    )


@pytest.mark.parametrize(
    ("lost", "start", "years", "churn"),
    [(0, 10, 1.0, 0.0), (10, 10, 3.0, 1.0), (3, 10, 1.0, 0.3), (19, 100, 2.0, 0.1)],
)
def test_annual_churn(lost: int, start: int, years: float, churn: float) -> None:
    assert annual_churn(lost, start, years) == pytest.approx(churn, rel=1e-14)


@pytest.mark.parametrize("churn", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("delta", [0.0, math.log(1.1)])
def test_retained_years_is_the_integral_of_retention(churn: float, delta: float) -> None:
    expected, _ = quad(lambda t: (1 - churn) ** t * math.exp(-delta * t), 0, 2.5)
    assert retained_years(churn, horizon=2.5, delta=delta) == pytest.approx(expected, rel=1e-12)


def test_monthly_discounting_takes_each_month_at_its_end() -> None:
    month, delta = 30.4375 / 365.25, math.log(1.1)
    expected = sum(
        quad(lambda t: 0.8**t, k * month, (k + 1) * month)[0] * math.exp(-delta * (k + 1) * month)
        for k in range(24)
    )
    found = retained_years(0.2, horizon=24 * month * (1 + 1e-12), delta=delta, monthly=True)
    assert found == pytest.approx(expected, rel=1e-10)


def test_monthly_discounting_for_ever_is_the_limit() -> None:
    options = {"delta": math.log(1.1), "monthly": True}
    for_ever = retained_years(0.2, horizon=math.inf, **options)
    assert for_ever == pytest.approx(retained_years(0.2, horizon=200.0, **options), rel=1e-12)


def test_the_edges_have_values() -> None:
    assert retained_years(1.0, horizon=math.inf) == 0.0
    assert retained_years(0.0, horizon=math.inf) == math.inf
    assert retained_years(0.0, horizon=3.0) == 3.0
    assert retained_years(0.5, horizon=0.0) == 0.0
    assert lifetime_years(0.0) == math.inf
    assert lifetime_years(1.0) == 1.0
    assert simple_value(order_value=0.0, orders_per_year=2.0, margin=1.0, years=math.inf) == 0.0
    # 5,000 a month for 6 months
    assert simple_value(order_value=5000, orders_per_year=12, margin=1.0, years=0.5) == 30_000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: annual_churn(1, 0, 1.0),
        lambda: annual_churn(3, 2, 1.0),
        lambda: annual_churn(-1, 2, 1.0),
        lambda: annual_churn(1, 2, 0.0),
        lambda: retained_years(1.5, horizon=1.0),
        lambda: retained_years(0.5, horizon=-1.0),
        lambda: lifetime_years(math.nan),
        lambda: simple_value(order_value=-1.0, orders_per_year=1.0, margin=1.0, years=1.0),
        lambda: simple_value(order_value=1.0, orders_per_year=1.0, margin=0.0, years=1.0),
    ],
)
def test_nonsense_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(DomainError):
        wrong()


def test_ten_rows_by_hand() -> None:
    found = simple_clv(ten_rows(), log=TEN_ROWS, horizon="365.25D", discount_rate=0.0)
    watched = (364 + 364 + 91 + 0) / 365.25
    silence = 40 + 0.8 * (100 - 40)  # 95 % of the way along 10 20 30 40 100
    # Silent: A 294 and B 264 days; C 61 and D 0
    churn = 1 - (1 - 2 / 4) ** (4 / watched)
    retained = -churn / math.log1p(-churn)
    value = (270 / 9) * (9 / watched) * 0.5 * retained
    assert asdict(found) == pytest.approx(
        {
            "customers": 4,
            "orders": 9,
            "revenue": 270.0,
            "customer_years": watched,
            "order_value": 30.0,
            "orders_per_year": 9 / watched,
            "margin": 0.5,
            "silence": silence,
            "lost": 2,
            "churn": churn,
            "horizon_years": 1.0,
            "retained_years": retained,
            "value": value,
            "total": 4 * value,
            "lifetime_years": 1 / churn,
            "lifetime_value": 30 * 9 / watched * 0.5 / churn,
        },
        rel=1e-12,
    )


def test_silence_can_be_given_and_counts_days_in_every_unit() -> None:
    for scaler, silence, lost in ((1, 61.0, 2), (1, 60.0, 3), (7, 60.0, 3), (7, 294.0, 0)):
        found = simple_clv(ten_rows(time_scaler=scaler), silence=silence)
        assert (found.lost, found.silence) == (lost, silence)


def test_without_the_log_gaps_are_means() -> None:
    # A has three gaps of 70 / 3 days on average, B one of 100, C one of 30
    assert mean_gap_quantile(ten_rows()) == pytest.approx(30 + 0.8 * 70)
    assert simple_clv(ten_rows()).silence == mean_gap_quantile(ten_rows())


def test_cdnow_gaps_are_those_of_pandas() -> None:
    log = load_cdnow(sample=True)
    end = pd.Timestamp("1997-09-30")
    days = log.loc[log["date"] <= end, ["customer_id", "date"]].drop_duplicates()
    gaps = days.sort_values("date").groupby("customer_id")["date"].diff().dropna().dt.days
    for unit in ({}, {"time_scaler": 7}):
        rfm = rfm_summary(log, **COLUMNS, observation_period_end=end, **unit)
        for share in (0.0, 0.5, 0.95, 1.0):
            assert gap_quantile(log, rfm, share) == pytest.approx(gaps.quantile(share), rel=1e-12)


def test_units_of_time_and_money_do_not_matter() -> None:
    log = load_cdnow(sample=True)
    days = rfm_summary(log, **COLUMNS)
    weeks = rfm_summary(
        log.assign(amount=100 * log["amount"]), **COLUMNS, time_scaler=7, margin=0.01
    )
    one, other = simple_clv(days, horizon="1Y"), simple_clv(weeks, horizon="1Y")
    for name in ("silence", "churn", "lost", "value", "total", "lifetime_value"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-10), name


def test_what_cannot_be_computed_says_why() -> None:
    rfm = ten_rows()
    with pytest.raises(DomainError, match="Nobody bought twice"):
        simple_clv(RfmTable.from_pandas(rfm.to_pandas().query("frequency == 0").assign(T=9.0)))
    with pytest.raises(DomainError, match="longer log"):
        simple_clv(RfmTable.from_pandas(rfm.to_pandas().query("T == 0")), silence=10.0)
    with pytest.raises(DomainError, match="no customers"):
        simple_clv(RfmTable.from_pandas(rfm.to_pandas().head(0)))
    with pytest.raises(DomainError, match="silence"):
        simple_clv(rfm, silence=-1.0)
    with pytest.raises(SchemaError, match="first ones"):
        simple_clv(RfmTable.from_pandas(rfm.to_pandas().drop(columns="first_value")))
    with pytest.raises(DomainError, match="how its log was read"):
        gap_quantile(TEN_ROWS, RfmTable.from_pandas(rfm.to_pandas()))
