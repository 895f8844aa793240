"""Verbs of a posterior of purchases alone: what can be said without money, and no money."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clvmodels as clv
from clvmodels import CLVPosterior, GammaGammaPosterior, RfmTable
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import total_value
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.simulate import simulate_rfm
from tests.kinds import KINDS

RNG = np.random.default_rng(18)
CENTRES = {"r": 0.6, "alpha": 30.0, "a": 1.6, "b": 2.5, "s": 1.6, "beta": 90.0}
DRAWS = {name: value * np.exp(0.1 * RNG.standard_normal(40)) for name, value in CENTRES.items()}
BARE = simulate_rfm(250, r=0.55, alpha=30, a=0.8, b=2.5, T=(0, 400), seed=5)
FRAME = BARE.assign(shop=np.where(np.arange(len(BARE)) % 3 == 0, "north", "south"))
TABLE = RfmTable.from_frame(FRAME, observation_end="2024-12-31")


@pytest.fixture(params=KINDS)
def purchases(request: pytest.FixtureRequest) -> PurchasePosterior:
    kind = purchase_posterior(request.param)
    return kind.from_draws(**{name: DRAWS[name] for name in kind.facts.parameter_names})


# --- totals -----------------------------------------------------------------------------


def test_totals_are_those_of_any_basket_without_its_value(purchases: PurchasePosterior) -> None:
    terms: Any = {"horizon": "180D", "by": "shop", "random_seed": 3}
    found = clv.portfolio(purchases, TABLE, **terms)
    valued = clv.portfolio(CLVPosterior(purchases, 25.0), TABLE, **terms)
    of_money = [name for name in valued.table if name.startswith("value")]
    wanted = valued.table.drop(columns=[*of_money, "margin"])
    pd.testing.assert_frame_equal(found.table, wanted)
    assert found.samples.shape[1] == 3
    np.testing.assert_array_equal(found.draws("purchases", 0), valued.draws("purchases", 0))
    alone = purchases.predict(TABLE, horizon="180D")
    assert found.table["purchases"].iloc[-1] == pytest.approx(alone["expected_purchases"].sum())
    assert (found.margin, found.margin_from, found.without_value) == (None, None, 0)
    assert repr(found).startswith("<Portfolio, 90 % intervals>")
    with pytest.raises(SchemaError, match=r"total=.*buyers"):
        found.draws("value")


def test_futures_have_purchases_and_no_amounts(purchases: PurchasePosterior) -> None:
    terms: Any = {"horizon": "180D", "paths": 30, "random_seed": 4}
    found = clv.simulate_future(purchases, BARE, **terms)
    valued = clv.simulate_future(CLVPosterior(purchases, 25.0), BARE, **terms)
    pd.testing.assert_frame_equal(found.purchases, valued.purchases.drop(columns="amount"))
    np.testing.assert_array_equal(found.counts, valued.counts)
    assert found.values is found.margin is found.margin_from is None
    totals = found.totals()
    assert list(totals) == ["path", "buyers", "purchases"]
    pd.testing.assert_frame_equal(totals, valued.totals()[list(totals)])
    assert repr(found).endswith(f"{len(found.purchases):,} purchases>")


def test_frames_come_back_as_they_are(purchases: PurchasePosterior) -> None:
    frame = pl.from_pandas(BARE)
    assert isinstance(clv.portfolio(purchases, frame, horizon="90D").table, pl.DataFrame)
    paths = clv.simulate_future(purchases, frame, "90D", paths=3)
    assert paths.purchases.columns == ["path", "customer_id", "time"]
    assert isinstance(paths.totals(), pl.DataFrame)


def test_amounts_of_a_table_change_nothing(purchases: PurchasePosterior) -> None:
    odd = BARE.assign(monetary_value=-3.0)
    found, wanted = (clv.portfolio(purchases, one, horizon="90D").table for one in (odd, BARE))
    pd.testing.assert_frame_equal(found, wanted)


@pytest.mark.parametrize("verb", [clv.portfolio, clv.simulate_future])
def test_a_margin_is_of_nothing(purchases: PurchasePosterior, verb: Any) -> None:
    with pytest.raises(SchemaError, match=r"margin=0\.3 is a share .*CLVPosterior\(purch"):
        verb(purchases, TABLE, horizon="90D", margin=0.3)


@pytest.mark.parametrize("verb", [clv.portfolio, clv.simulate_future])
def test_the_other_order_is_understood(purchases: PurchasePosterior, verb: Any) -> None:
    with pytest.warns(FutureWarning, match=r"\(posterior, rfm\)"):
        verb(TABLE, purchases, horizon="90D")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verb(purchases, TABLE, horizon="90D")


@pytest.mark.parametrize("verb", [clv.portfolio, clv.simulate_future, clv.count_distribution])
def test_spend_alone_says_nothing_of_purchases(verb: Any) -> None:
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44)
    with pytest.raises(SchemaError, match="need a posterior of purchases, alone or with spend"):
        verb(spend, TABLE, horizon="90D")


# --- what needs values ------------------------------------------------------------------


@pytest.mark.parametrize(
    "verb",
    [
        total_value,
        clv.value_distribution,
        clv.customer_equity,
        clv.top_shares,
        clv.compare_with_simple,
        lambda one, rfm: clv.segment_report(one, rfm, by="shop"),
        lambda one, rfm: clv.payback_period(one, 20.0),
    ],
)
def test_values_name_the_way_out(purchases: PurchasePosterior, verb: Any) -> None:
    with pytest.raises(SchemaError, match=r"CLVPosterior\(purchases, 25\.0\)"):
        verb(purchases, TABLE)


def test_an_endless_horizon_has_no_totals(purchases: PurchasePosterior) -> None:
    with pytest.raises(DomainError, match="finite horizon"):
        clv.portfolio(purchases, TABLE, horizon=None)


# --- tiers and lists --------------------------------------------------------------------


def test_tiers_are_by_expected_purchases(purchases: PurchasePosterior) -> None:
    scores = purchases.predict(TABLE)
    found = clv.value_tiers(scores, quantiles=[0.5, 0.9])
    assert list(found) == ["customer_id", "expected_purchases", "tier"]
    order = scores["expected_purchases"].to_numpy().argsort()[::-1]
    assert set(found["tier"].iloc[order[:25]]) == {"tier 1"}
    assert set(found["tier"].iloc[order[125:]]) == {"tier 3"}
    arrow = clv.value_tiers(pl.from_pandas(scores), thresholds=[1.0])
    assert arrow.columns == ["customer_id", "expected_purchases", "tier"]
    moved = clv.tier_movement(found, clv.value_tiers(purchases.predict(TABLE, horizon="30D")))
    assert moved.to_numpy().sum() == len(TABLE)


def test_a_report_of_tiers_holds_purchases(purchases: PurchasePosterior) -> None:
    found = clv.tier_report(purchases, TABLE, horizon="180D")
    ahead = purchases.predict(TABLE, horizon="180D")["expected_purchases"]
    whole = found.iloc[-1]
    assert whole["expected_purchases"] == pytest.approx(ahead.sum(), rel=1e-12)
    assert whole["past_purchases"] == TABLE.table["frequency"].to_numpy().sum() + len(TABLE)
    assert found["expected_purchases"].iloc[:-1].is_monotonic_decreasing or len(found) == 2
    assert (found["expected_purchases_lower"] < found["expected_purchases"]).all()
    assert found["purchase_share"].iloc[:-1].sum() == pytest.approx(1.0)
    assert found["past_share"].iloc[:-1].sum() == pytest.approx(1.0)
    # the intervals are those of values of one unit each, undiscounted
    valued = clv.tier_report(CLVPosterior(purchases, 1.0), TABLE, horizon="180D", discount_rate=0.0)
    for end in ("", "_lower", "_upper"):
        wanted = valued[f"clv{end}"].to_numpy()
        np.testing.assert_allclose(found[f"expected_purchases{end}"], wanted, rtol=1e-9)
    of_money = ("clv", "value", "margin", "revenue")
    assert not [name for name in found if any(word in name for word in of_money)]


def test_lists_say_what_they_rank_by(purchases: PurchasePosterior) -> None:
    found = clv.action_lists(purchases, TABLE, top=0.1)
    of_purchases = [
        *("customer_id", "state", "top_buyer", "frequency", "silence", "p_alive"),
        *("p_alive_at_last", "p_alive_drop", "p_purchase", "expected_purchases"),
        *("expected_purchases_as_usual", "expected_purchases_lost"),
    ]
    assert list(found.customers) == of_purchases
    assert list(found.slipping) == list(found.one_time) == of_purchases
    assert list(found.counts) == [
        *("state", "customers", "top_buyer", "p_purchase"),
        *("expected_purchases", "expected_purchases_lost"),
    ]
    assert found.counts["top_buyer"].iloc[-1] == round(0.1 * len(TABLE))
    valued = clv.action_lists(CLVPosterior(purchases, 1.0), TABLE, top=0.1, discount_rate=0.0)
    for name, wanted in {
        "state": "state",
        "top_buyer": "valuable",
        "p_alive_drop": "p_alive_drop",
        "expected_purchases_lost": "clv_lost",
    }.items():
        one, other = found.customers[name].to_numpy(), valued.customers[wanted].to_numpy()
        if name.endswith("lost"):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(one, other)
    ahead = purchases.predict(TABLE)["expected_purchases"].sum()
    assert found.counts["expected_purchases"].iloc[-1] == pytest.approx(ahead)


def test_expected_purchases_of_an_endless_life_rank_nobody(purchases: PurchasePosterior) -> None:
    point = {"r": 0.6, "alpha": 30.0, "a": [0.9, 1.5], "b": 2.5, "s": [0.9, 1.5], "beta": 90.0}
    own = {name: point[name] for name in purchases.facts.parameter_names}
    endless = type(purchases).from_draws(**own)
    with pytest.raises(SchemaError, match=r"lifetime .*horizon='365D'"):
        clv.value_tiers(endless.predict(TABLE, horizon=None))
    with pytest.raises(SchemaError, match=r"lifetime .*horizon='365D'"):
        clv.tier_report(endless, TABLE, horizon=None)


@pytest.mark.parametrize("verb", [clv.tier_report, clv.action_lists])
def test_lists_and_tiers_have_no_margin(purchases: PurchasePosterior, verb: Any) -> None:
    with pytest.raises(SchemaError, match=r"margin=0\.3 is a share"):
        verb(purchases, TABLE, margin=0.3)
    with pytest.raises(SchemaError, match="Expectations need a posterior of purchases"):
        verb(TABLE, TABLE)
