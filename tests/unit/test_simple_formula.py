"""The simple formula by hand, and on a log against direct arithmetic."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.integrate import quad

from clvmodels import DomainError, RfmTable, SchemaError, rfm_summary
from clvmodels.datasets import load_cdnow
from clvmodels.economics import SimpleInputs, simple_clv, simple_clv_per_customer
from clvmodels.economics.simple_base import gap_quantile, mean_gap_quantile
from clvmodels.formulas.simple import (
    annual_churn,
    average_order_value,
    churn_rate,
    cost_of_goods_sold,
    customer_lifetime,
    discounted_lifetime_value,
    gross_margin,
    margin_lifetime_value,
    net_lifetime_value,
    purchase_frequency,
    retained_years,
    retention_rate,
    revenue_lifetime_value,
)

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


def test_worked_numbers() -> None:
    assert average_order_value(12_000, 240) == 50.0
    assert purchase_frequency(240, 100) == 2.4
    assert cost_of_goods_sold(180_000, 450_000, 160_000) == 470_000
    assert gross_margin(800_000, 470_000) == pytest.approx(0.4125, rel=1e-15)
    assert churn_rate(20, 100) == 0.2
    assert retention_rate(0.2) == 0.8
    assert customer_lifetime(0.2) == 5.0
    assert revenue_lifetime_value(5_000, 6) == 30_000
    assert margin_lifetime_value(order_value=50, frequency=4, margin=0.5, lifetime=3) == 300
    parts = {"purchase_price": 80, "frequency": 5, "retention_period": 3}
    assert net_lifetime_value(**parts) == 1200
    assert net_lifetime_value(**parts, margin=0.5) == 600
    costs = {"acquisition_cost": 100, "retention_cost": 60}
    assert net_lifetime_value(**parts, **costs) == 1040
    assert net_lifetime_value(**parts, margin=0.1, **costs) == -40


def test_the_discounted_form() -> None:
    series = {"retention": 0.8, "discount_rate": 0.1}
    assert round(discounted_lifetime_value(100, **series), 2) == 366.67
    assert round(discounted_lifetime_value(100, **series, first_payment="next"), 2) == 266.67
    # The first payment is all the difference
    for count in (1, 2, 7):
        terms = [100 * (0.8 / 1.1) ** k for k in range(count + 1)]
        now = discounted_lifetime_value(100, **series, payments=count)
        later = discounted_lifetime_value(100, **series, payments=count, first_payment="next")
        assert now == pytest.approx(sum(terms[:-1]), rel=1e-14)
        assert later == pytest.approx(sum(terms[1:]), rel=1e-14)


@pytest.mark.parametrize("gap", [1e-3, 1e-9, 1e-14])
def test_the_discounted_form_keeps_its_digits_where_hardly_anyone_leaves(gap: float) -> None:
    stay = 1 - gap
    value = discounted_lifetime_value(1.0, retention=stay, discount_rate=0.0, payments=1000)
    assert value == pytest.approx(math.fsum(stay**k for k in range(1000)), rel=1e-12)


def test_the_discounted_form_at_its_edges() -> None:
    def value(margin: float = 100.0, **options: Any) -> float:
        return discounted_lifetime_value(margin, **({"discount_rate": 0.0} | options))

    assert value(retention=0.0) == 100.0
    assert value(retention=0.0, first_payment="next") == 0.0
    assert value(retention=1.0) == math.inf
    assert value(-1.0, retention=1.0) == -math.inf
    assert value(0.0, retention=1.0) == 0.0
    assert value(retention=1.0, payments=3) == 300.0
    assert value(retention=0.5, payments=0) == 0.0


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
    assert gross_margin(100, 125) == -0.25
    assert net_lifetime_value(purchase_price=1, frequency=1, retention_period=math.inf) == math.inf
    assert customer_lifetime(0.0) == math.inf
    assert customer_lifetime(1.0) == 1.0
    assert (
        margin_lifetime_value(order_value=0.0, frequency=2.0, margin=1.0, lifetime=math.inf) == 0.0
    )
    # 5,000 a month for 6 months
    assert margin_lifetime_value(order_value=5000, frequency=12, margin=1.0, lifetime=0.5) == 30_000


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: average_order_value(100, 0),
        lambda: average_order_value(-1, 1),
        lambda: average_order_value(math.nan, 1),
        lambda: average_order_value("many", 1),
        lambda: average_order_value(None, 1),
        lambda: purchase_frequency(1, 0),
        lambda: purchase_frequency(math.inf, 1),
        lambda: cost_of_goods_sold(10, 20, 31),
        lambda: cost_of_goods_sold(-10, 20, 5),
        lambda: gross_margin(0, 10),
        lambda: gross_margin(10, -1),
        lambda: churn_rate(1, 0),
        lambda: churn_rate(3, 2),
        lambda: churn_rate(-1, 2),
        lambda: churn_rate("one", 2),
        lambda: retention_rate(-0.1),
        lambda: revenue_lifetime_value(-1, 2),
        lambda: revenue_lifetime_value(1, math.nan),
        lambda: margin_lifetime_value(order_value=1, frequency=1, lifetime=1, margin=-0.25),
        lambda: net_lifetime_value(
            purchase_price=1, frequency=1, retention_period=1, acquisition_cost=-1
        ),
        lambda: discounted_lifetime_value(1, retention=1.1, discount_rate=0.1),
        lambda: discounted_lifetime_value(1, retention=0.5, discount_rate=-0.1),
        lambda: discounted_lifetime_value(1, retention=0.5, discount_rate=0.1, payments=1.5),
        lambda: discounted_lifetime_value(math.inf, retention=0.5, discount_rate=0.1),
        lambda: annual_churn(1, 0, 1.0),
        lambda: annual_churn(3, 2, 1.0),
        lambda: annual_churn(-1, 2, 1.0),
        lambda: annual_churn(1, 2, 0.0),
        lambda: retained_years(1.5, horizon=1.0),
        lambda: retained_years(0.5, horizon=-1.0),
        lambda: customer_lifetime(math.nan),
        lambda: margin_lifetime_value(order_value=-1.0, frequency=1.0, margin=1.0, lifetime=1.0),
        lambda: margin_lifetime_value(order_value=1.0, frequency=1.0, margin=0.0, lifetime=1.0),
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
    numbers = asdict(found)
    assert (numbers.pop("silence_source"), numbers.pop("discounting")) == ("gaps", "continuous")
    assert numbers == pytest.approx(
        {
            "customers": 4,
            "orders": 9,
            "revenue": 270.0,
            "customer_years": watched,
            "order_value": 30.0,
            "orders_per_customer": 9 / 4,
            "orders_per_year": 9 / watched,
            "margin": 0.5,
            "silence": silence,
            "lost": 2,
            "churn": churn,
            "retention": 1 - churn,
            "horizon_years": 1.0,
            "discount_rate": 0.0,
            "retained_years": retained,
            "value": value,
            "total": 4 * value,
            "lifetime_years": 1 / churn,
            "lifetime_value": 30 * 9 / watched * 0.5 / churn,
        },
        rel=1e-12,
    )
    assert found.inputs == SimpleInputs(
        order_value=found.order_value,
        orders_per_year=found.orders_per_year,
        margin=0.5,
        churn=found.churn,
        horizon_years=1.0,
        discount_rate=0.0,
    )
    assert found.inputs.value == found.value


LOG = {**COLUMNS, "observation_period_end": "2023-12-31", "margin": 0.5}


def test_a_log_is_as_good_as_its_table() -> None:
    options = {"horizon": None, "discount_rate": 0.2, "discounting": "monthly"}
    assert simple_clv(TEN_ROWS, **LOG, **options) == simple_clv(ten_rows(), log=TEN_ROWS, **options)
    assert simple_clv(TEN_ROWS, silence=60.0, **LOG) == simple_clv(ten_rows(), silence=60.0)
    stream = pa.Table.from_pandas(TEN_ROWS).to_reader()  # can be read once only
    assert simple_clv(stream, **LOG) == simple_clv(ten_rows(), log=TEN_ROWS)
    ids = {"D": "C"}
    assert simple_clv(TEN_ROWS, id_map=ids, **LOG) == simple_clv(
        ten_rows(id_map=ids), log=TEN_ROWS, id_map=ids
    )


def test_cohorts_of_ten_rows_by_hand() -> None:
    found = simple_clv(ten_rows(), by="cohort", silence=88.0, horizon="2Y").set_index("cohort")
    assert list(found.index) == ["2023-01", "2023-10", "2023-12", "(whole)"]
    assert found["customers"].tolist() == [2, 1, 1, 4]
    assert found["orders"].tolist() == [6, 2, 1, 9]
    assert found["revenue"].tolist() == [180.0, 70.0, 20.0, 270.0]
    assert found["order_value"].tolist() == [30.0, 35.0, 20.0, 30.0]
    assert found["lost"].tolist() == [2, 0, 0, 2]
    days = [728, 91, 0, 819]
    np.testing.assert_allclose(found["customer_years"], np.divide(days, 365.25), rtol=1e-14)
    # All of the first cohort are gone, none of the second; the third was never watched
    assert found["churn"].tolist()[:2] == [1.0, 0.0]
    assert found["value"].iloc[0] == 0.0
    rate = math.log(1.1)
    annuity = -math.expm1(-2 * rate) / rate
    assert found["value"].iloc[1] == pytest.approx(70 / (91 / 365.25) * 0.5 * annuity, rel=1e-12)
    assert found["lifetime_value"].iloc[1] == math.inf
    assert found.loc["2023-12", ["churn", "value", "total", "lifetime_value"]].isna().all()
    assert found["note"].astype(bool).tolist() == [False, False, True, False]
    assert "no time" in found.loc["2023-12", "note"]
    whole = asdict(simple_clv(ten_rows(), silence=88.0, horizon="2Y"))
    assert found.loc["(whole)"].drop("note").to_dict() == whole


def test_segments_of_a_log_are_the_logs_of_the_segments() -> None:
    channels = {"A": "web", "B": "shop", "C": "web"}
    log = TEN_ROWS.assign(channel=TEN_ROWS["customer_id"].map(channels))
    found = simple_clv(log, by="channel", silence=88.0, **LOG).set_index("channel")
    assert list(found.index) == ["shop", "web", "(none)", "(whole)"]
    for name, rows in log.groupby("channel"):
        alone = simple_clv(rows, silence=88.0, **LOG)
        assert found.loc[name].drop("note").to_dict() == asdict(alone)
    two = simple_clv(log, by=["channel", "cohort"], silence=88.0, **LOG)
    assert two[["channel", "cohort"]].apply(tuple, axis=1).tolist() == [
        ("shop", "2023-01"),
        ("web", "2023-01"),
        ("web", "2023-10"),
        ("(none)", "2023-12"),
        ("(whole)", "(whole)"),
    ]


def test_each_customers_own_figures_by_hand() -> None:
    options = {"silence": 88.0, "horizon": "365.25D", "discount_rate": 0.0}
    base = simple_clv(ten_rows(), **options)
    found = simple_clv_per_customer(TEN_ROWS, **options, **LOG)
    assert found["customer_id"].tolist() == ["A", "B", "C", "D"]
    assert found["orders"].tolist() == [4, 2, 2, 1]
    assert found["order_value"].tolist() == [25.0, 40.0, 35.0, 20.0]
    assert found["silent"].tolist() == [294.0, 264.0, 61.0, 0.0]
    assert found["lost"].tolist() == [True, True, False, False]
    per_year = np.array([4 / 364, 2 / 364, 2 / 91]) * 365.25
    np.testing.assert_allclose(found["orders_per_year"][:3], per_year, rtol=1e-14)
    yearly = np.array([25.0, 40.0, 35.0]) * per_year * 0.5
    np.testing.assert_allclose(found["value"][:3], yearly * base.retained_years, rtol=1e-14)
    np.testing.assert_allclose(found["lifetime_value"][:3], yearly / base.churn, rtol=1e-14)
    # D came on the last day
    assert found.loc[3, ["orders_per_year", "value", "lifetime_value"]].isna().all()
    assert found["note"].astype(bool).tolist() == [False, False, False, True]
    # Weighted by the time watched, customers' own frequencies are the base's, but for D's order
    own = np.average(per_year, weights=[364, 364, 91])
    assert own == pytest.approx(base.orders_per_year * 8 / 9, rel=1e-14)


def test_customers_who_paid_nothing_are_worth_nothing_for_ever() -> None:
    free = ten_rows().to_pandas().assign(monetary_value=0.0, first_value=0.0)
    rfm = RfmTable.from_pandas(free)
    found = simple_clv_per_customer(rfm, silence=1000.0, horizon=None, discount_rate=0.0)
    assert found["value"].tolist()[:3] == [0.0, 0.0, 0.0]
    whole = simple_clv(rfm, silence=1000.0, horizon=None, discount_rate=0.0)
    assert (whole.churn, whole.value, whole.lifetime_value) == (0.0, 0.0, 0.0)
    paid = simple_clv(ten_rows(), silence=1000.0, horizon=None, discount_rate=0.0)
    assert (paid.retained_years, paid.value, paid.total) == (math.inf, math.inf, math.inf)


def test_silence_can_be_given_and_counts_days_in_every_unit() -> None:
    for scaler, silence, lost in ((1, 61.0, 2), (1, 60.0, 3), (7, 60.0, 3), (7, 294.0, 0)):
        found = simple_clv(ten_rows(time_scaler=scaler), silence=silence)
        assert (found.lost, found.silence, found.silence_source) == (lost, silence, "given")


def test_without_the_log_gaps_are_means() -> None:
    # A has three gaps of 70 / 3 days on average, B one of 100, C one of 30
    assert mean_gap_quantile(ten_rows()) == pytest.approx(30 + 0.8 * 70)
    found = simple_clv(ten_rows())
    assert (found.silence, found.silence_source) == (mean_gap_quantile(ten_rows()), "mean gaps")


def test_who_is_silent_for_just_as_long_is_not_lost_in_any_unit() -> None:
    for scaler in (1, 3, 7, 11):
        for silence in (294.0, 264.0, 61.0):
            longer = [days > silence for days in (294.0, 264.0, 61.0, 0.0)]
            assert simple_clv(ten_rows(time_scaler=scaler), silence=silence).lost == sum(longer)


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
    with pytest.raises(SchemaError, match="customer_id_col"):
        simple_clv(TEN_ROWS)
    with pytest.raises(SchemaError, match="monetary_value_col"):
        simple_clv(TEN_ROWS, customer_id_col="customer_id", datetime_col="date")
    with pytest.raises(SchemaError, match="no separate log="):
        simple_clv(TEN_ROWS, log=TEN_ROWS, **COLUMNS)
    with pytest.raises(SchemaError, match=r"^refunds say how a log is read"):
        simple_clv(rfm, margin=0.3, refunds="net")
    with pytest.raises(DomainError, match="margin=30 must be a share"):
        simple_clv(rfm, margin=30)
    with pytest.raises(SchemaError, match="is not a segment column"):
        simple_clv(rfm, by="colour")
    with pytest.raises(SchemaError, match="at least one"):
        simple_clv(rfm, by=[])
    with pytest.raises(SchemaError, match="observation end"):
        simple_clv(RfmTable.from_pandas(rfm.to_pandas()), by="cohort")
    with pytest.raises(SchemaError, match="rename"):
        simple_clv(TEN_ROWS.assign(churn="x"), by="churn", **LOG)
    with pytest.raises(SchemaError, match="discounting"):
        simple_clv(rfm, discounting="daily")
    with pytest.raises(DomainError, match="discount_rate"):
        simple_clv(rfm, discount_rate=-0.1)
    with pytest.raises(DomainError, match="how its log was read"):
        gap_quantile(TEN_ROWS, RfmTable.from_pandas(rfm.to_pandas()))
