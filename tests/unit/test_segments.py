"""Per segment: sums that add up, arithmetic by hand, and what is missing says why."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    rfm_summary,
)
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.economics.labels import segments_of
from clvmodels.economics.segments import segment_report
from clvmodels.posterior import total_value

# A teaching log, probably simulated: purchases and returns through four channels.
RETAIL = Path(__file__).parents[1] / "data" / "retail_channels.parquet"
OPTIONS = {"horizon": "52W", "draws": 60}
ADD_UP = ("customers", "one_time_buyers", "clv", "past_margin", "acquisition_spend")
INTERVALS = ("clv", "clv_per_customer", "ltv", "ltv_to_cac")


def posterior_of(**spend: object) -> CLVPosterior:
    rng = np.random.default_rng(5)
    purchases = {
        name: value * rng.lognormal(0, 0.08, 120)
        for name, value in {"r": 0.3, "alpha": 40.0, "a": 0.8, "b": 2.5}.items()
    }
    spend = {"p": 6.2, "q": 3.7 * rng.lognormal(0, 0.05, 120), "v": 15.4} | spend
    return CLVPosterior(
        BetaGeoPosterior.from_draws(**purchases), GammaGammaPosterior.from_draws(**spend)
    )


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return posterior_of()


@pytest.fixture(scope="module")
def retail() -> RfmTable:
    return rfm_summary(
        pd.read_parquet(RETAIL),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        segment_cols=["channel"],
        margin=0.3,
    )


@pytest.fixture(scope="module")
def cdnow() -> RfmTable:
    return rfm_summary(
        load_cdnow(sample=True),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
        margin=0.4,
    )


def small(**columns: object) -> RfmTable:
    frame = pd.DataFrame(
        {
            "customer_id": [1, 2, 3, 4],
            "frequency": [0, 2, 0, 5],
            "recency": [0.0, 30.0, 0.0, 80.0],
            "T": [10.0, 60.0, 90.0, 100.0],
            "monetary_value": [0.0, 20.0, 0.0, 10.0],
            "first_value": [5.0, 30.0, 8.0, 12.0],
            "shop": ["b", "a", None, "a"],
        }
    )
    return RfmTable.from_pandas(frame.assign(**columns), margin=0.5, observation_end="2020-04-10")


def assert_adds_up(report: pd.DataFrame) -> None:
    parts, whole = report.iloc[:-1], report.iloc[-1]
    for name in ADD_UP:
        assert parts[name].sum() == pytest.approx(whole[name], rel=1e-9), name
    chance = (parts["p_purchase"] * parts["customers"]).sum() / whole["customers"]
    assert chance == pytest.approx(whole["p_purchase"], rel=1e-9)


@pytest.mark.parametrize("by", ["channel", "cohort", ["cohort", "channel"]])
def test_channels_add_up_to_the_whole(
    posterior: CLVPosterior, retail: RfmTable, by: str | list[str]
) -> None:
    report = segment_report(posterior, retail, by=by, cac=120.0, **OPTIONS)
    assert_adds_up(report)
    # ... which is the base, valued on its own
    total = total_value(posterior, retail, **OPTIONS)
    whole = report.iloc[-1]
    assert (whole["clv"], whole["clv_lower"], whole["clv_upper"]) == pytest.approx(
        (total.mean, total.lower, total.upper), rel=1e-9
    )
    assert whole["customers"] == len(retail) == total.customers


def test_countries_add_up_to_the_whole(posterior: CLVPosterior) -> None:
    rfm = rfm_summary(
        load_online_retail(),
        customer_id_col="customer_id",
        datetime_col="timestamp",
        monetary_value_col="amount",
        segment_cols=["country"],
        refunds="net",
    )
    report = segment_report(posterior, rfm, by="country", cac=20.0, **OPTIONS)
    assert_adds_up(report)
    assert len(report) == 1 + rfm.to_pandas()["country"].nunique()
    total = total_value(posterior, rfm, **OPTIONS)
    assert report["clv"].iloc[-1] == pytest.approx(total.mean, rel=1e-9)


def test_against_pandas(posterior: CLVPosterior, retail: RfmTable) -> None:
    frame = retail.to_pandas()
    scores = posterior.predict(retail, **OPTIONS).assign(channel=frame["channel"])
    scores["past"] = 0.3 * (frame["first_value"] + frame["frequency"] * frame["monetary_value"])
    spend = {"MBR": 5e4, "TeleShop": 2e4, "e-Shop": 1e5, "Flagship store": 3e4}
    report = segment_report(
        posterior, retail, by="channel", acquisition_spend=spend, **OPTIONS
    ).set_index("channel")
    grouped = scores.groupby("channel")
    expected = pd.DataFrame(
        {
            "customers": grouped.size(),
            "one_time_buyers": grouped["frequency"].agg(lambda x: (x == 0).sum()),
            "one_time_share": grouped["frequency"].agg(lambda x: (x == 0).mean()),
            "p_purchase": grouped["p_purchase"].mean(),
            "clv": grouped["clv"].sum(),
            "clv_per_customer": grouped["clv"].mean(),
            "past_margin": grouped["past"].sum(),
            "ltv": (grouped["past"].sum() + grouped["clv"].sum()) / grouped.size(),
            "acquisition_spend": pd.Series(spend),
            "cac": pd.Series(spend) / grouped.size(),
        }
    )
    expected["ltv_to_cac"] = expected["ltv"] / expected["cac"]
    found = report.loc[expected.index, list(expected)]
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_dtype=False, rtol=1e-9)
    for channel in spend:
        rows = RfmTable.from_pandas(frame[frame["channel"] == channel], margin=0.3)
        total = total_value(posterior, rows, **OPTIONS)
        assert report.loc[channel, "clv_lower"] == pytest.approx(total.lower, rel=1e-9)
        ratio = (report.loc[channel, "past_margin"] + total.upper) / spend[channel]
        assert report.loc[channel, "ltv_to_cac_upper"] == pytest.approx(ratio, rel=1e-9)


def test_intervals_hold_their_figure_and_the_wholes_is_narrower_than_the_sum(
    posterior: CLVPosterior, cdnow: RfmTable
) -> None:
    report = segment_report(posterior, cdnow, by="cohort", cac=15.0, **OPTIONS)
    for name in INTERVALS:
        assert (report[f"{name}_lower"] < report[name]).all()
        assert (report[name] < report[f"{name}_upper"]).all()
    width = report["clv_upper"] - report["clv_lower"]
    # Customers share the parameters: widths nearly add up, and never exceed the sum
    assert width.iloc[-1] <= width.iloc[:-1].sum() * (1 + 1e-12)
    assert width.iloc[-1] > 0.9 * width.iloc[:-1].sum()


def test_cohorts_are_months_of_first_purchases(cdnow: RfmTable) -> None:
    log = load_cdnow(sample=True)
    first = log.groupby("customer_id")["date"].min().dt.strftime("%Y-%m")
    segments = segments_of(cdnow, "cohort")
    found = [segments.labels[i][0] for i in segments.group]
    assert found == first.loc[cdnow.to_pandas()["customer_id"]].tolist()
    assert segments.labels == (("1997-01",), ("1997-02",), ("1997-03",))


@pytest.mark.parametrize(
    ("unit", "first"), [({"time_scaler": 7}, "1997-01"), ({"time_unit": "W"}, "1996-12")]
)
def test_cohorts_in_other_units(unit: dict[str, object], first: str) -> None:
    # The calendar week of 1 January 1997 began on 30 December
    rfm = rfm_summary(
        load_cdnow(sample=True), customer_id_col="customer_id", datetime_col="date", **unit
    )
    assert segments_of(rfm, "cohort").labels[0] == (first,)


def test_a_segment_column_called_cohort_comes_first() -> None:
    rfm = small(cohort=["x", "x", "y", "y"])
    assert segments_of(rfm, "cohort").labels == (("x",), ("y",))


@pytest.mark.parametrize("missing", [None, "", "  ", "(none)", math.nan])
def test_customers_without_a_value_are_a_segment(posterior: CLVPosterior, missing: object) -> None:
    rfm = small(shop=["b", "a", missing, "a"])
    report = segment_report(posterior, rfm, by="shop", cac={"a": 4, "b": 2, None: 1.0}, **OPTIONS)
    assert report["shop"].tolist() == ["a", "b", "(none)", "(whole)"]
    assert report["customers"].tolist() == [2, 1, 1, 4]
    assert report["one_time_buyers"].tolist() == [0, 1, 1, 2]
    assert report["past_margin"].tolist() == [0.5 * (30 + 40 + 12 + 50), 2.5, 4.0, 72.5]
    assert report["acquisition_spend"].tolist() == [8.0, 2.0, 1.0, 11.0]
    assert report["cac"].tolist() == [4.0, 2.0, 1.0, 2.75]
    assert (report["note"] == "").all()


def test_numbers_are_segments_in_their_order(posterior: CLVPosterior) -> None:
    rfm = small(shop=[10, 9, 10, 2])
    report = segment_report(
        posterior, rfm, by="shop", acquisition_spend={2: 1, "9": 2, np.int64(10): 3}, **OPTIONS
    )
    assert report["shop"].tolist() == ["2", "9", "10", "(whole)"]
    assert report["acquisition_spend"].tolist() == [1, 2, 3, 6]


def test_combinations_take_tuples(posterior: CLVPosterior) -> None:
    rfm = small(size=["s", "s", "m", "m"])
    spend = {("a", "m"): 1.0, ("a", "s"): 2.0, ("b", "s"): 3.0, (None, "m"): 4.0}
    report = segment_report(posterior, rfm, by=["shop", "size"], acquisition_spend=spend)
    assert report["acquisition_spend"].tolist() == [1.0, 2.0, 3.0, 4.0, 10.0]
    assert report["shop"].tolist() == ["a", "a", "b", "(none)", "(whole)"]


def test_a_missing_cost_is_not_available_and_says_so(posterior: CLVPosterior) -> None:
    spend = {"a": 0.0, "b": None}
    report = segment_report(posterior, small(), by="shop", acquisition_spend=spend, **OPTIONS)
    assert report["cac"].iloc[0] == 0
    assert report["ltv_to_cac"].iloc[0] == math.inf
    assert report["ltv_to_cac"].iloc[1:].isna().all()
    assert report["ltv"].notna().all()
    assert report["note"].tolist() == [
        "acquired at no cost",
        "no acquisition cost given",
        "no acquisition cost given",
        "no acquisition cost given for b, (none)",
    ]


def test_without_any_cost_or_first_purchases(posterior: CLVPosterior) -> None:
    rfm = RfmTable.from_pandas(small().to_pandas().drop(columns="first_value"))
    report = segment_report(posterior, rfm, by="shop", **OPTIONS)
    assert report["clv"].notna().all()
    assert not report.isna().any(axis=None), "what is not known has no column"
    assert not {"ltv", "past_margin", "cac", "ltv_to_cac"} & {*report.columns}
    assert report["note"].tolist()[:-1] == [""] * 3, "and is said once"
    assert "first purchases not known" in report["note"].iloc[-1]
    costs = segment_report(posterior, rfm, by="shop", cac=4.0, **OPTIONS)
    assert costs["cac"].tolist() == [4.0] * 4
    assert "ltv_to_cac" not in costs
    known = segment_report(posterior, small(), by="shop", **OPTIONS)
    assert "ltv" in known
    assert not {"cac", "acquisition_spend", "ltv_to_cac_upper"} & {*known.columns}


def test_neither_cost_nor_value(posterior: CLVPosterior) -> None:
    rfm = small(first_value=0.0, monetary_value=0.0)
    report = segment_report(posterior, rfm, by="shop", cac=0.0, horizon=0)
    assert report["clv"].tolist() == [0.0] * 4
    assert report["ltv_to_cac"].isna().all()
    assert (report["note"] == "neither cost nor value").all()


def test_a_single_point_has_no_intervals(retail: RfmTable) -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.3, alpha=40.0, a=0.8, b=2.5),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4),
    )
    report = segment_report(point, retail, by="channel", cac=5.0)
    assert_adds_up(report)
    for name in INTERVALS:
        assert report[[f"{name}_lower", f"{name}_upper"]].isna().all(axis=None)


def test_money_scales_and_rows_may_be_in_any_order(retail: RfmTable) -> None:
    frame = retail.to_pandas()
    money = ["monetary_value", "first_value"]
    cents = frame.assign(**{name: 100 * frame[name] for name in money})
    shuffled = cents.sample(frac=1.0, random_state=3)
    one = segment_report(posterior_of(), retail, by="channel", cac=80.0, **OPTIONS)
    rfm = RfmTable.from_pandas(shuffled, margin=0.3)
    other = segment_report(posterior_of(v=1540.0), rfm, by="channel", cac=8000.0, **OPTIONS)
    same = ["channel", "customers", "one_time_share", "p_purchase", "ltv_to_cac", "note"]
    pd.testing.assert_frame_equal(one[same], other[same], rtol=1e-9)
    scaled = ["clv", "clv_upper", "clv_per_customer_lower", "past_margin", "ltv", "cac"]
    pd.testing.assert_frame_equal(100 * one[scaled], other[scaled], rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"by": "city"}, SchemaError, "'shop', 'cohort'"),
        ({"by": []}, SchemaError, "empty"),
        ({"acquisition_spend": {"c": 1.0}}, SchemaError, "'c', which is not a segment"),
        ({"acquisition_spend": 5.0}, SchemaError, "mapping"),
        ({"acquisition_spend": {"a": -1.0}}, DomainError, "'a' is -1"),
        ({"acquisition_spend": {"a": math.inf}}, DomainError, "'a' is inf"),
        ({"cac": -0.5}, DomainError, "cac is -0.5"),
        ({"cac": 1.0, "acquisition_spend": {"a": 1.0}}, DomainError, "not both"),
        ({"interval": 90}, DomainError, "interval"),
    ],
)
def test_nonsense_is_refused(
    posterior: CLVPosterior, options: dict[str, object], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        segment_report(posterior, small(), **({"by": "shop"} | options))


def test_unfit_tables_are_refused(posterior: CLVPosterior) -> None:
    frame = small().to_pandas()
    with pytest.raises(SchemaError, match="RfmTable"):
        segment_report(posterior, frame, by="shop")
    poor = RfmTable.from_pandas(frame.drop(columns=["monetary_value", "first_value"]))
    with pytest.raises(SchemaError, match="monetary_value"):
        segment_report(posterior, poor, by="shop")
    with pytest.raises(DomainError, match="no customers"):
        segment_report(posterior, RfmTable.from_pandas(frame.head(0)), by="shop")
    with pytest.raises(SchemaError, match="observation end"):
        segment_report(posterior, RfmTable.from_pandas(frame), by="cohort")
    with pytest.raises(SchemaError, match="rename"):
        segment_report(posterior, small(clv=["x", "y", "x", "y"]), by="clv")
    with pytest.raises(SchemaError, match="rename"):
        segment_report(posterior, small(shop="(whole)"), by="shop")
