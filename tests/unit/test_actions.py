"""Lists to act on: slipping customers, one-time buyers apart, new and repeat counted apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    RfmTable,
    rfm_summary,
)
from clvmodels.datasets import load_cdnow
from clvmodels.economics import actions
from clvmodels.economics.actions import action_lists

OPTIONS = {"horizon": "52W", "draws": 60}


def posterior_of(kind: type = BetaGeoPosterior, v: float = 15.4) -> CLVPosterior:
    rng = np.random.default_rng(8)
    purchases = {
        name: value * rng.lognormal(0, 0.05, 120)
        for name, value in {"r": 0.24, "alpha": 31.0, "a": 0.8, "b": 2.4}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.2, q=3.7 * rng.lognormal(0, 0.05, 120), v=v)
    return CLVPosterior(kind.from_draws(**purchases), spend)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return posterior_of()


@pytest.fixture(scope="module")
def rfm() -> RfmTable:
    return rfm_summary(
        load_cdnow(sample=True),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-06-30",
    )


def person(x: int, t_x: float, T: float, m_bar: float = 30.0) -> dict[str, float]:
    return {"frequency": x, "recency": t_x, "T": T, "monetary_value": m_bar if x else 0.0}


def people(*rows: dict[str, float]) -> RfmTable:
    return RfmTable.from_pandas(pd.DataFrame(rows).assign(customer_id=range(len(rows))))


def test_the_states_of_customers(posterior: CLVPosterior) -> None:
    rfm = people(
        person(0, 0, 30),  # came lately
        person(0, 0, 300),  # came long ago, once
        person(10, 290, 300),  # buys, and bought just now
        person(10, 200, 300),  # usually buys every 20 days, silent for 100
        person(10, 100, 300),  # silent for 200
        person(2, 200, 300),  # the same silence, of a slow buyer
    )
    found = action_lists(posterior, rfm, **OPTIONS).customers
    assert found["state"].tolist() == [
        "new",
        "one-time",
        "active",
        "slipping",
        "probably lost",
        "active",
    ]
    drop = found["p_alive_drop"]
    assert drop[0] == drop[1] == 0
    assert drop[2] < drop[5] < drop[3] < drop[4]
    # The limits may be moved
    limits = {"slipping_from": (drop[2] + drop[5]) / 2, "lost_from": (drop[5] + drop[3]) / 2}
    strict = action_lists(posterior, rfm, new_within="10D", **limits, **OPTIONS).customers
    assert strict["state"].tolist() == ["one-time"] * 2 + [
        "active",
        *["probably lost"] * 2,
        "slipping",
    ]


def test_p_alive_then_is_that_of_the_day_of_the_last_purchase(
    posterior: CLVPosterior, rfm: RfmTable
) -> None:
    found = action_lists(posterior, rfm, **OPTIONS).customers
    frame = rfm.to_pandas()
    back = RfmTable.from_pandas(frame.assign(T=frame["recency"]))
    then = posterior.predict(back, **OPTIONS)["p_alive"]
    now = posterior.predict(rfm, **OPTIONS)
    np.testing.assert_allclose(found["p_alive_at_last"], then, rtol=1e-9)
    np.testing.assert_allclose(found["p_alive_drop"], 1 - now["p_alive"] / then, atol=1e-9)
    usual = now["clv"] * then / now["p_alive"]
    np.testing.assert_allclose(found["clv_as_usual"], usual, rtol=1e-9)
    np.testing.assert_allclose(found["clv_lost"], usual - now["clv"], atol=1e-8)
    np.testing.assert_allclose(found["p_purchase"], now["p_purchase"], rtol=1e-9)
    assert (found["p_alive"] <= found["p_alive_at_last"] * (1 + 1e-12)).all()


def test_lists_and_counts_come_from_the_rows(posterior: CLVPosterior, rfm: RfmTable) -> None:
    lists = action_lists(posterior, rfm, **OPTIONS)
    rows, counts = lists.customers, lists.counts.set_index("state")
    assert rows["customer_id"].tolist() == rfm.to_pandas()["customer_id"].tolist()
    assert rows["valuable"].sum() == round(0.2 * len(rfm))
    assert rows.loc[rows["valuable"], "clv_as_usual"].min() >= (
        rows.loc[~rows["valuable"], "clv_as_usual"].max()
    )
    wanted = rows[rows["valuable"] & (rows["state"] == "slipping")]
    assert set(lists.slipping["customer_id"]) == set(wanted["customer_id"])
    assert lists.slipping["clv_lost"].is_monotonic_decreasing
    assert (lists.slipping["frequency"] > 0).all()
    assert len(lists.slipping) > 0
    once = rows[rows["frequency"] == 0]
    assert set(lists.one_time["customer_id"]) == set(once["customer_id"])
    assert lists.one_time["p_purchase"].is_monotonic_decreasing
    assert counts["customers"].iloc[:-1].sum() == counts["customers"].iloc[-1] == len(rfm)
    assert counts.loc[["new", "one-time"], "customers"].sum() == len(once)
    for name in ("clv", "clv_lost", "valuable"):
        parts = counts[name].iloc[:-1].sum()
        assert parts == pytest.approx(counts.loc["(whole)", name], rel=1e-9)
    assert counts.loc["probably lost", "p_purchase"] < counts.loc["active", "p_purchase"]


def test_one_time_buyers_are_apart_in_every_model(rfm: RfmTable) -> None:
    for kind, falls in ((BetaGeoPosterior, False), (ModifiedBetaGeoPosterior, True)):
        found = action_lists(posterior_of(kind), rfm, **OPTIONS)
        assert found.one_time["state"].isin(["new", "one-time"]).all()
        assert (found.one_time["p_alive_drop"] > 1e-3).any() == falls


def test_new_is_within_the_time_in_days(posterior: CLVPosterior, rfm: RfmTable) -> None:
    age = rfm.to_pandas()["T"]
    once = rfm.to_pandas()["frequency"] == 0
    for text, days in (("90D", 90), ("17W", 119), (100, 100), (None, np.inf), (0, 0)):
        states = action_lists(posterior, rfm, new_within=text, **OPTIONS).customers["state"]
        assert (states == "new").sum() == (once & (age <= days)).sum(), text


def test_those_gone_beyond_all_digits(posterior: CLVPosterior) -> None:
    found = action_lists(posterior, people(person(900, 1000, 9900)), **OPTIONS)
    row = found.customers.iloc[0]
    assert (row["state"], row["p_alive_drop"]) == ("probably lost", 1.0)
    assert np.isfinite(row[["clv", "clv_as_usual", "clv_lost"]].astype(float)).all()
    assert len(found.slipping) == 0


def test_blocks_rows_and_currency_do_not_matter(
    posterior: CLVPosterior, rfm: RfmTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = action_lists(posterior, rfm, **OPTIONS)
    monkeypatch.setattr(actions, "_BLOCK_CELLS", 1000)
    frame = rfm.to_pandas().sample(frac=1.0, random_state=4)
    frame["monetary_value"] *= 100
    other = action_lists(posterior_of(v=1540.0), RfmTable.from_pandas(frame), **OPTIONS)
    same = ["customer_id", "state", "valuable", "p_alive_at_last", "p_alive_drop", "p_purchase"]
    pd.testing.assert_frame_equal(one.customers[same], other.customers[same], rtol=1e-9)
    np.testing.assert_allclose(
        other.customers["clv_lost"], 100 * one.customers["clv_lost"], rtol=1e-6, atol=1e-8
    )
    assert one.slipping["customer_id"].tolist() == other.slipping["customer_id"].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"top": 0.0},
        {"top": 1.5},
        {"slipping_from": 0.0},
        {"slipping_from": 0.9},
        {"lost_from": 1.1},
        {"slipping_from": float("nan")},
        {"new_within": -1},
    ],
)
def test_nonsense_is_refused(
    posterior: CLVPosterior, rfm: RfmTable, options: dict[str, object]
) -> None:
    with pytest.raises(DomainError):
        action_lists(posterior, rfm, **options)


def test_an_empty_base_is_refused(posterior: CLVPosterior, rfm: RfmTable) -> None:
    with pytest.raises(DomainError, match="no customers"):
        action_lists(posterior, RfmTable.from_pandas(rfm.to_pandas().head(0)))
