"""Value tiers, concentration, customer equity, and movement between tiers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    rfm_summary,
)
from clvmodels.datasets import load_cdnow
from clvmodels.economics.concentration import customer_equity, gini, lorenz_curve, top_shares
from clvmodels.economics.tiers import tier_movement, tier_report, value_tiers
from clvmodels.posterior import total_value

OPTIONS = {"horizon": "52W", "draws": 60}
amounts = st.lists(st.integers(0, 1000).map(float), min_size=1, max_size=40).filter(any)


def posterior_of(**spend: object) -> CLVPosterior:
    rng = np.random.default_rng(6)
    purchases = {
        name: value * rng.lognormal(0, 0.08, 120)
        for name, value in {"r": 0.24, "alpha": 31.0, "a": 0.8, "b": 2.4}.items()
    }
    spend = {"p": 6.2, "q": 3.7 * rng.lognormal(0, 0.05, 120), "v": 15.4} | spend
    return CLVPosterior(
        BetaGeoPosterior.from_draws(**purchases), GammaGammaPosterior.from_draws(**spend)
    )


def cdnow_until(end: str) -> RfmTable:
    return rfm_summary(
        load_cdnow(sample=True),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end=end,
        margin=0.4,
    )


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return posterior_of()


@pytest.fixture(scope="module")
def rfm() -> RfmTable:
    return cdnow_until("1997-09-30")


def scores_of(values: list[float], **columns: object) -> pd.DataFrame:
    ids = [f"c{i:03d}" for i in range(len(values))]
    return pd.DataFrame({"customer_id": ids, "clv": values} | columns)


# --- who is in which tier -------------------------------------------------------------


def test_quantiles_make_tiers_of_their_size() -> None:
    tiers = value_tiers(scores_of([float(v) for v in range(100)]))
    assert tiers["tier"].value_counts().to_dict() == {
        "tier 1": 5,
        "tier 2": 15,
        "tier 3": 30,
        "tier 4": 50,
    }
    assert tiers["clv"][tiers["tier"] == "tier 1"].min() == 95
    assert tiers["clv"][tiers["tier"] == "tier 2"].min() == 80
    assert (tiers["tier"] > "tier 2").sum() == 5  # ordered: the most valuable is the largest


def test_without_ties_quantiles_are_those_of_pandas(rng: np.random.Generator) -> None:
    scores = scores_of(list(rng.lognormal(0, 1, 400)))
    found = value_tiers(scores, quantiles=(0.25, 0.5, 0.75), labels=list("dcba"))["tier"]
    expected = pd.qcut(scores["clv"], 4, labels=list("dcba"))
    assert (found.astype(str) == expected.astype(str)).all()


def test_thresholds_take_equals_together() -> None:
    tiers = value_tiers(
        scores_of([0, 10, 10, 10.5, 50, 9.999]), thresholds=(10, 50), labels=["low", "mid", "high"]
    )
    assert tiers["tier"].tolist() == ["low", "mid", "mid", "mid", "high", "low"]


@given(values=st.lists(st.integers(0, 4), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_the_order_of_rows_does_not_matter(values: list[int], seed: int) -> None:
    scores = scores_of([float(value) for value in values])
    shuffled = scores.sample(frac=1.0, random_state=seed)
    for options in ({}, {"quantiles": [0.3]}, {"thresholds": [1, 3]}):
        one, other = value_tiers(scores, **options), value_tiers(shuffled, **options)
        assert other.index.tolist() == shuffled.index.tolist()
        pd.testing.assert_frame_equal(one, other.loc[scores.index])
        down = one.sort_values("clv", kind="stable")["tier"].cat.codes
        assert down.max() < len(one["tier"].cat.categories)
        assert one.groupby("tier", observed=True)["clv"].min().is_monotonic_increasing


def test_tiers_may_be_empty_and_ids_of_any_type() -> None:
    tiers = value_tiers(pd.DataFrame({"customer_id": [3, "x"], "clv": [1.0, 1.0]}))
    assert tiers["tier"].tolist() in (["tier 3", "tier 4"], ["tier 4", "tier 3"])
    swapped = value_tiers(pd.DataFrame({"customer_id": ["x", 3], "clv": [1.0, 1.0]}))
    assert swapped["tier"].tolist() == tiers["tier"].tolist()[::-1]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"quantiles": (0.8, 0.5)}, DomainError, "increasing"),
        ({"quantiles": ()}, DomainError, "at least one"),
        ({"quantiles": (0.5, 1.0)}, DomainError, "between 0 and 1"),
        ({"quantiles": (math.nan,)}, DomainError, "increasing"),
        ({"thresholds": (5, 5)}, DomainError, "increasing"),
        ({"quantiles": (0.5,), "thresholds": (5,)}, DomainError, "Give quantiles or thresholds"),
        ({"labels": ["a", "b"]}, SchemaError, "4 different names"),
        ({"thresholds": (5,), "labels": ["a", "a"]}, SchemaError, "2 different names"),
    ],
)
def test_nonsense_is_refused(
    options: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        value_tiers(scores_of([1.0, 2.0]), **options)


def test_unfit_scores_are_refused() -> None:
    with pytest.raises(SchemaError, match="'clv'"):
        value_tiers(scores_of([1.0]).drop(columns="clv"))
    with pytest.raises(SchemaError, match="'a' twice"):
        value_tiers(scores_of([1.0, 2.0], customer_id="a"))
    with pytest.raises(SchemaError, match=r"1 customers have a clv.*'c001'"):
        value_tiers(scores_of([1.0, math.nan]))


# --- what tiers hold ------------------------------------------------------------------


def test_the_report_against_pandas(posterior: CLVPosterior, rfm: RfmTable) -> None:
    report = tier_report(posterior, rfm, **OPTIONS).set_index("tier")
    tiers = value_tiers(posterior.predict(rfm, **OPTIONS))
    frame = rfm.to_pandas()
    tiers["past"] = frame["first_value"] + frame["frequency"] * frame["monetary_value"]
    grouped = tiers.groupby("tier", observed=True)
    expected = pd.DataFrame(
        {
            "customers": grouped.size(),
            "customer_share": grouped.size() / len(tiers),
            "clv": grouped["clv"].sum(),
            "clv_per_customer": grouped["clv"].mean(),
            "value_share": grouped["clv"].sum() / tiers["clv"].sum(),
            "past_revenue": grouped["past"].sum(),
            "past_share": grouped["past"].sum() / tiers["past"].sum(),
        }
    )
    assert list(report.index) == ["tier 1", "tier 2", "tier 3", "tier 4", "(whole)"]
    found = report.iloc[:-1].loc[list(expected.index.astype(str)), list(expected)]
    np.testing.assert_allclose(found.to_numpy(dtype=float), expected.to_numpy(), rtol=1e-9)
    for name in ("customers", "clv", "past_revenue", "value_share", "past_share"):
        assert report[name].iloc[:-1].sum() == pytest.approx(report[name].iloc[-1], rel=1e-9)
    assert report["past_revenue"].iloc[-1] == pytest.approx(tiers["past"].sum(), rel=1e-12)


def test_intervals_are_of_totals_by_draw(posterior: CLVPosterior, rfm: RfmTable) -> None:
    report = tier_report(posterior, rfm, interval=0.8, **OPTIONS).set_index("tier")
    best = value_tiers(posterior.predict(rfm, **OPTIONS))["tier"] == "tier 1"
    top = total_value(
        posterior, RfmTable.from_pandas(rfm.to_pandas()[best.to_numpy()], margin=0.4), **OPTIONS
    )
    whole = total_value(posterior, rfm, **OPTIONS)
    for name, draws in (("clv", top.draws), ("value_share", top.draws / whole.draws)):
        found = report.loc["tier 1", [f"{name}_lower", f"{name}_upper"]].to_numpy(dtype=float)
        np.testing.assert_allclose(found, np.quantile(draws, [0.1, 0.9]), rtol=1e-9)
    assert report.loc["(whole)", ["value_share", "value_share_lower"]].tolist() == [1.0, 1.0]


def test_nothing_to_share_is_not_available(posterior: CLVPosterior, rfm: RfmTable) -> None:
    report = tier_report(posterior, rfm, horizon=0)
    assert report["clv"].eq(0).all()
    assert report["value_share"].isna().all()
    few = rfm.to_pandas().head(3).drop(columns="first_value")
    report = tier_report(posterior, RfmTable.from_pandas(few))
    assert report["customers"].tolist() == [0, 1, 1, 1, 3]
    assert math.isnan(report["clv_per_customer"].iloc[0])
    assert not {"past_revenue", "past_share"} & set(report)  # not known, and so not there


def test_a_single_point_has_no_intervals(rfm: RfmTable) -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.24, alpha=31.0, a=0.8, b=2.4),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4),
    )
    for report in (tier_report(point, rfm), top_shares(point, rfm)):
        ends = [name for name in report if name.endswith(("_lower", "_upper"))]
        assert report[ends].isna().all(axis=None)
        assert report["value_share"].notna().all()


def test_top_shares_against_numpy(posterior: CLVPosterior, rfm: RfmTable) -> None:
    found = top_shares(posterior, rfm, **OPTIONS)
    frame = rfm.to_pandas()
    clv = posterior.predict(rfm, **OPTIONS)["clv"].to_numpy()
    past = (frame["first_value"] + frame["frequency"] * frame["monetary_value"]).to_numpy()
    for row, count in zip(found.to_dict("records"), (118, 471), strict=True):
        assert row["customers"] == count
        best = np.argsort(-clv)[:count]
        assert row["value_share"] == pytest.approx(clv[best].sum() / clv.sum(), rel=1e-9)
        assert row["past_share"] == pytest.approx(past[best].sum() / past.sum(), rel=1e-9)
        most = np.sort(past)[::-1][:count].sum() / past.sum()
        assert row["past_top_share"] == pytest.approx(most, rel=1e-9)
        assert row["value_share_lower"] < row["value_share"] < row["value_share_upper"]
    everybody = top_shares(posterior, rfm, shares=[1.0], **OPTIONS).iloc[0]
    assert everybody[["value_share", "value_share_lower", "past_share"]].tolist() == [1.0] * 3


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_top_shares_are_shares(posterior: CLVPosterior, rfm: RfmTable, share: float) -> None:
    with pytest.raises(DomainError, match="shares"):
        top_shares(posterior, rfm, shares=[share])


def test_customer_equity_is_the_sum_of_clv(posterior: CLVPosterior, rfm: RfmTable) -> None:
    equity = customer_equity(posterior, rfm, **OPTIONS)
    rows = posterior.predict(rfm, **OPTIONS)
    assert equity.mean == pytest.approx(rows["clv"].sum(), rel=1e-9)
    assert rows["clv_lower"].sum() < equity.lower < equity.mean
    assert equity.mean < equity.upper < rows["clv_upper"].sum()
    with pytest.raises(DomainError, match="no customers"):
        customer_equity(posterior, RfmTable.from_pandas(rfm.to_pandas().head(0)))


def test_shares_do_not_depend_on_the_currency(rfm: RfmTable) -> None:
    frame = rfm.to_pandas()
    for name in ("monetary_value", "first_value"):
        frame[name] *= 100
    cents = RfmTable.from_pandas(frame.sample(frac=1.0, random_state=1), margin=0.4)
    one, other = posterior_of(), posterior_of(v=1540.0)
    pd.testing.assert_frame_equal(
        top_shares(one, rfm, **OPTIONS), top_shares(other, cents, **OPTIONS), rtol=1e-9
    )
    left, right = tier_report(one, rfm, **OPTIONS), tier_report(other, cents, **OPTIONS)
    np.testing.assert_allclose(right["clv"], 100 * left["clv"], rtol=1e-9)
    np.testing.assert_allclose(right["value_share_lower"], left["value_share_lower"], rtol=1e-9)


# --- Lorenz and Gini ------------------------------------------------------------------


@given(amounts)
def test_gini_is_half_the_relative_mean_difference(values: list[float]) -> None:
    v = np.array(values)
    expected = np.abs(v[:, None] - v[None, :]).mean() / (2 * v.mean())
    assert gini(values) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert -1e-12 <= gini(values) <= 1 - 1 / len(v) + 1e-12


@given(amounts)
def test_gini_is_twice_the_area_above_the_curve(values: list[float]) -> None:
    customers, value = lorenz_curve(values)
    assert gini(values) == pytest.approx(1 - 2 * np.trapezoid(value, customers), abs=1e-12)
    assert (value <= customers + 1e-12).all()
    assert (np.diff(value) >= 0).all()
    assert (customers[0], customers[-1], value[0], value[-1]) == (0, 1, 0, 1)


@given(amounts, st.sampled_from([0.01, 3.0, 1e6]))
def test_gini_knows_no_currency_and_no_order(values: list[float], scale: float) -> None:
    assert gini([scale * v for v in reversed(values)]) == pytest.approx(gini(values), abs=1e-12)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_table_of_values_is_judged_by_its_values(library: str) -> None:
    """And not by its ids and purchases, all taken for values."""
    table = pd.DataFrame({"customer_id": [900, 901], "frequency": [5, 0], "clv": [1.0, 3.0]})
    made = {
        "pandas": lambda: table,
        "polars": lambda: pl.from_pandas(table),
        "pyarrow": lambda: pa.Table.from_pandas(table),
    }[library]()
    assert gini(made) == 0.25
    assert lorenz_curve(made)[1].tolist() == [0.0, 0.25, 1.0]


def test_customers_without_value_are_not_in_the_concentration() -> None:
    table = pd.DataFrame({"clv": [1.0, math.nan, 3.0], "reason": [None, "infinite", None]})
    with pytest.warns(UserWarning, match="1 of 3 customers have no expected value"):
        assert gini(table) == 0.25
    with pytest.raises(DomainError, match="finite and >= 0"):
        gini(table.assign(reason=None))


def test_what_is_not_one_value_a_customer_is_refused() -> None:
    with pytest.raises(DomainError, match="must have a column 'clv'"):
        gini(pd.DataFrame({"customer_id": [1, 2], "frequency": [1, 2]}))
    with pytest.raises(DomainError, match="one number per customer, found an array of shape"):
        lorenz_curve(np.ones((3, 2)))


def test_gini_by_hand() -> None:
    assert gini([7.0, 7.0, 7.0]) == 0
    assert gini([0.0, 0.0, 0.0, 9.0]) == 0.75
    assert gini([1.0, 2.0, 3.0, 4.0]) == 0.25


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [1.0, -1.0], [1.0, math.nan], [math.inf]])
def test_nothing_to_compare_is_refused(values: list[float]) -> None:
    for function in (gini, lorenz_curve):
        with pytest.raises(DomainError):
            function(values)


# --- movement -------------------------------------------------------------------------


def test_movement_by_hand() -> None:
    names = {"thresholds": [10.0], "labels": ["low", "high"]}
    before = value_tiers(scores_of([1.0, 20.0, 30.0, 5.0]), **names)  # c000 .. c003
    after = value_tiers(scores_of([15.0, 25.0, 2.0, 4.0, 50.0, 3.0, 4.0]), **names)
    after = after[after["customer_id"] != "c003"]
    moved = tier_movement(before, after)
    assert moved.index.tolist() == ["high", "low", "new"]
    assert moved.columns.tolist() == ["high", "low", "gone"]
    assert moved.to_numpy().tolist() == [[1, 1, 0], [1, 0, 1], [1, 2, 0]]
    assert moved.to_numpy().sum() == 7


def test_movement_on_cdnow(posterior: CLVPosterior) -> None:
    tiers = [
        value_tiers(posterior.predict(cdnow_until(end), **OPTIONS))
        for end in ("1997-02-28", "1997-09-30")
    ]
    moved = tier_movement(*tiers)
    joined = tiers[0].merge(tiers[1], on="customer_id", how="outer")
    assert moved.to_numpy().sum() == len(joined) == 2357
    assert moved["gone"].sum() == 0
    assert moved.loc["new"].sum() == joined["tier_x"].isna().sum() > 0
    stayed = (joined["tier_x"].astype(str) == joined["tier_y"].astype(str)).sum()
    assert np.trace(moved.iloc[:4, :4].to_numpy()) == stayed
    shuffled = tier_movement(tiers[0].sample(frac=1.0, random_state=2), tiers[1])
    pd.testing.assert_frame_equal(shuffled, moved)
    assert (tier_movement(tiers[1], tiers[1]).iloc[:4, :4].to_numpy() > 0).sum() == 4


def test_movement_keeps_the_order_of_plain_tiers() -> None:
    plain = pd.DataFrame({"customer_id": [1, 2], "tier": ["b", "a"]})
    assert tier_movement(plain, plain).to_numpy().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_unfit_tiers_are_refused() -> None:
    fine = pd.DataFrame({"customer_id": [1, 2], "tier": ["a", "b"]})
    with pytest.raises(SchemaError, match="before lacks 'tier'"):
        tier_movement(fine[["customer_id"]], fine)
    with pytest.raises(SchemaError, match="after has a customer twice"):
        tier_movement(fine, fine.assign(customer_id=1))
    with pytest.raises(SchemaError, match="'new' or 'gone'"):
        tier_movement(fine, fine.assign(tier="gone"))
