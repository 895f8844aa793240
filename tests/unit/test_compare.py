"""The simple formula beside the model: the same customers, horizon and money."""

from __future__ import annotations

import math

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
from clvmodels.datasets import load_cdnow
from clvmodels.economics import compare_with_simple, simple_clv, simple_clv_per_customer
from clvmodels.posterior import total_value

OPTIONS = {"horizon": "39W", "discount_rate": 0.1}


def posterior_of(v: float = 15.44) -> CLVPosterior:
    # Around the published fit of CDNOW, in days
    rng = np.random.default_rng(9)
    purchases = {
        name: value * rng.lognormal(0, sd, 120)
        for name, value, sd in (
            ("r", 0.2426, 0.05),
            ("alpha", 7 * 4.4136, 0.08),
            ("a", 0.7929, 0.2),
            ("b", 2.4259, 0.2),
        )
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.744 * rng.lognormal(0, 0.05, 120), v=v)
    return CLVPosterior(BetaGeoPosterior.from_draws(**purchases), spend)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return posterior_of()


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True)


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> RfmTable:
    return rfm_summary(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
        margin=0.4,
    )


@pytest.fixture(scope="module")
def actual(log: pd.DataFrame) -> pd.Series:
    days = (log["date"] - pd.Timestamp("1997-09-30")).dt.days
    value = 0.4 * log["amount"] * 1.1 ** (-days / 365.25)
    return value[days > 0].groupby(log["customer_id"]).sum()


def test_against_pandas(
    posterior: CLVPosterior, rfm: RfmTable, log: pd.DataFrame, actual: pd.Series
) -> None:
    table = compare_with_simple(posterior, rfm, log=log, actual=actual, **OPTIONS)
    simple = simple_clv(rfm, log=log, **OPTIONS)
    own = simple_clv_per_customer(rfm, log=log, **OPTIONS)
    rows = posterior.predict(rfm, **OPTIONS)[["customer_id", "clv"]]
    rows["own"] = own.set_index("customer_id")["value"].loc[rows["customer_id"]].to_numpy()
    rows["actual"] = actual.reindex(rows["customer_id"]).fillna(0.0).to_numpy()
    rows = rows.sort_values(["clv", "customer_id"], ascending=[False, True])
    parts = [rows.iloc[i] for i in np.array_split(np.arange(len(rows)), 10)]
    for i, part in enumerate([*parts, rows]):
        found = table.iloc[i]
        assert found["customers"] == len(part)
        assert found["simple"] == pytest.approx(simple.value * len(part), rel=1e-9)
        for name, column in (
            ("simple_per_customer", "own"),
            ("model", "clv"),
            ("actual", "actual"),
        ):
            assert found[name] == pytest.approx(part[column].sum(), rel=1e-9), (i, name)
        for name in ("simple", "simple_per_customer", "model"):
            off = found[name] / part["actual"].sum() - 1
            assert found[f"{name}_off"] == pytest.approx(off, rel=1e-9)
    assert table["decile"].tolist() == [*map(str, range(1, 11)), "(whole)"]
    assert (table["note"] == "").all()


def test_the_whole_is_the_base(posterior: CLVPosterior, rfm: RfmTable) -> None:
    table = compare_with_simple(posterior, rfm, **OPTIONS)
    for name in ("customers", "simple", "simple_per_customer", "model"):
        assert table[name].iloc[:-1].sum() == pytest.approx(table[name].iloc[-1], rel=1e-9)
    total = total_value(posterior, rfm, **OPTIONS)
    whole = table.iloc[-1]
    assert (whole["model"], whole["model_lower"], whole["model_upper"]) == pytest.approx(
        (total.mean, total.lower, total.upper), rel=1e-9
    )
    assert whole["simple"] == pytest.approx(simple_clv(rfm, **OPTIONS).total, rel=1e-12)
    assert table["model"].iloc[:-1].is_monotonic_decreasing
    assert (table["model_lower"] < table["model"]).all()
    assert (table["model"] < table["model_upper"]).all()
    assert "actual" not in table


def test_a_deciles_interval_is_of_its_total(posterior: CLVPosterior, rfm: RfmTable) -> None:
    table = compare_with_simple(posterior, rfm, interval=0.5, draws=80, **OPTIONS)
    scores = posterior.predict(rfm, draws=80, **OPTIONS)
    best = scores.nlargest(len(rfm) // 10 + 1, "clv")["customer_id"]
    assert table["customers"].iloc[0] == len(best)
    frame = rfm.to_pandas()
    part = RfmTable.from_pandas(frame[frame["customer_id"].isin(best)], margin=0.4)
    total = total_value(posterior, part, interval=0.5, draws=80, **OPTIONS)
    found = table.loc[0, ["model_lower", "model_upper"]].tolist()
    assert found == pytest.approx([total.lower, total.upper], rel=1e-9)


def test_the_model_ranks_better_than_one_number(
    posterior: CLVPosterior, rfm: RfmTable, log: pd.DataFrame, actual: pd.Series
) -> None:
    """On CDNOW, with parameters of the published fit, every decile is nearer to the truth."""
    table = compare_with_simple(posterior, rfm, log=log, actual=actual, **OPTIONS)
    error = {name: (table[name] - table["actual"]).abs() for name in ("simple", "model")}
    assert error["model"].iloc[-1] < error["simple"].iloc[-1]
    assert error["model"].iloc[:-1].sum() < 0.3 * error["simple"].iloc[:-1].sum()


def test_currency_unit_of_time_and_rows_do_not_matter(
    rfm: RfmTable, log: pd.DataFrame, actual: pd.Series
) -> None:
    one = compare_with_simple(posterior_of(), rfm, log=log, actual=actual, **OPTIONS)
    cents = log.assign(amount=100 * log["amount"]).sample(frac=1.0, random_state=5)
    table = rfm_summary(
        cents,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
        margin=0.4,
    )
    shuffled = (100 * actual).sample(frac=1.0, random_state=6)
    other = compare_with_simple(posterior_of(1544.0), table, log=cents, actual=shuffled, **OPTIONS)
    same = ["decile", "customers", "simple_off", "simple_per_customer_off", "model_off", "note"]
    pd.testing.assert_frame_equal(one[same], other[same], rtol=1e-9)
    money = ["simple", "simple_per_customer", "model", "model_lower", "actual"]
    pd.testing.assert_frame_equal(100 * one[money], other[money], rtol=1e-9)


def test_actual_may_be_a_mapping_and_have_strangers(
    posterior: CLVPosterior, rfm: RfmTable, actual: pd.Series
) -> None:
    one = compare_with_simple(posterior, rfm, actual=actual, **OPTIONS)
    known = {**actual.to_dict(), -1: 1e9}
    pd.testing.assert_frame_equal(one, compare_with_simple(posterior, rfm, actual=known, **OPTIONS))


def test_groups_of_other_numbers(posterior: CLVPosterior, rfm: RfmTable) -> None:
    quarters = compare_with_simple(posterior, rfm, groups=4, **OPTIONS)
    assert quarters["group"].tolist() == ["1", "2", "3", "4", "(whole)"]
    few = RfmTable.from_pandas(rfm.to_pandas().head(3))
    table = compare_with_simple(posterior, few, silence=90.0, **OPTIONS)
    assert table["customers"].tolist() == [1, 1, 1, 3]


def test_who_was_watched_for_no_time_is_named(posterior: CLVPosterior, rfm: RfmTable) -> None:
    frame = rfm.to_pandas().head(20)
    frame.loc[3, ["frequency", "recency", "T", "monetary_value"]] = [0, 0.0, 0.0, 0.0]
    table = compare_with_simple(
        posterior, RfmTable.from_pandas(frame), silence=90.0, groups=1, **OPTIONS
    )
    assert table["note"].str.startswith("1 first bought in the last period").all()
    assert table[["simple", "simple_per_customer", "model"]].notna().all(axis=None)


def test_nothing_ahead_and_nothing_really(posterior: CLVPosterior, rfm: RfmTable) -> None:
    nobody = dict.fromkeys(rfm.to_pandas()["customer_id"], 0.0)
    table = compare_with_simple(posterior, rfm, horizon=0, actual=nobody)
    assert table[["simple", "simple_per_customer", "model", "actual"]].eq(0).all(axis=None)
    assert table["model_off"].isna().all()


def test_a_single_point_has_no_interval(rfm: RfmTable) -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.24, alpha=31.0, a=0.8, b=2.4),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4),
    )
    table = compare_with_simple(point, rfm, **OPTIONS)
    assert table["model"].notna().all()
    assert table[["model_lower", "model_upper"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"groups": 0}, DomainError, "groups=0"),
        ({"groups": 2.5}, DomainError, "groups=2.5"),
        ({"silence": -1.0}, DomainError, "silence"),
        ({"actual": 5.0}, SchemaError, "mapping or Series"),
        ({"actual": {}}, SchemaError, "none of the table's customers"),
        ({"actual": {"4": 1.0}}, SchemaError, "none of the table's customers"),
        ({"actual": {4: math.nan}}, SchemaError, "not finite"),
        ({"actual": {4: "much"}}, SchemaError, "numbers"),
        ({"actual": pd.Series([1.0, 2.0], index=[4, 4])}, SchemaError, "4 twice"),
    ],
)
def test_nonsense_is_refused(
    posterior: CLVPosterior,
    rfm: RfmTable,
    options: dict[str, object],
    error: type[Exception],
    match: str,
) -> None:
    with pytest.raises(error, match=match):
        compare_with_simple(posterior, rfm, **(OPTIONS | options))


def test_tables_without_first_purchases_are_refused(posterior: CLVPosterior, rfm: RfmTable) -> None:
    frame = rfm.to_pandas()
    poor = RfmTable.from_pandas(frame.drop(columns="first_value"))
    with pytest.raises(SchemaError, match="first ones"):
        compare_with_simple(posterior, poor)
    with pytest.raises(DomainError, match="no customers"):
        compare_with_simple(posterior, RfmTable.from_pandas(frame.head(0)))
