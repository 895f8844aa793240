"""Acquisition cost, LTV:CAC, payback and budgets: by hand, and against the posterior."""

from __future__ import annotations

import math
from typing import Any

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
    SchemaError,
)
from clvmodels.economics import (
    Estimate,
    acquired_customer_value,
    acquisition_budget,
    acquisition_funnel,
    customer_acquisition_cost,
    highest_cac,
    ltv_to_cac,
    payback_period,
)
from clvmodels.posterior import total_value
from clvmodels.posterior.predicting import draws_of

POINT = CLVPosterior(
    BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
    GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
)
SPEND = 6.25 * 15.44 / 2.74


def make_posterior(draws: int = 200) -> CLVPosterior:
    rng = np.random.default_rng(5)
    return CLVPosterior(
        BetaGeoPosterior.from_draws(
            r=0.24 * rng.lognormal(0, 0.05, draws),
            alpha=31 * rng.lognormal(0, 0.08, draws),
            a=0.8 * rng.lognormal(0, 0.2, draws),
            b=2.4 * rng.lognormal(0, 0.2, draws),
        ),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7 * rng.lognormal(0, 0.05, draws), v=15.4),
    )


POSTERIOR = make_posterior()
RFM = RfmTable.from_pandas(
    pd.DataFrame(
        {
            "customer_id": [1, 2, 3],
            "frequency": [0, 2, 5],
            "recency": [0.0, 100.0, 250.0],
            "T": [200.0, 272.0, 260.0],
            "monetary_value": [0.0, 30.0, 20.0],
            "first_value": [15.0, 25.0, 40.0],
        }
    ),
    margin=0.4,
)
# First purchases 80, repeat purchases 60 and 100
PAST_MARGIN = 0.4 * (80 + 60 + 100)


# --- acquisition ---


def test_acquisition_cost() -> None:
    assert customer_acquisition_cost(5_000, 200) == 25.0
    assert customer_acquisition_cost(0, 200) == 0.0
    assert customer_acquisition_cost(5_000, 0) == math.inf
    with pytest.raises(DomainError, match="nobody"):
        customer_acquisition_cost(0, 0)


@pytest.mark.parametrize("wrong", [(-1, 5), (1, -5), (math.nan, 5), (1, math.inf), (None, 1)])
def test_acquisition_cost_of_nonsense(wrong: tuple[Any, Any]) -> None:
    with pytest.raises(DomainError):
        customer_acquisition_cost(*wrong)


def test_funnel() -> None:
    funnel = acquisition_funnel(impressions=100_000, clicks=2_000, conversions=50, spend=1_000)
    assert funnel.click_through_rate == 0.02
    assert funnel.cost_per_click == 0.5
    assert funnel.conversion_rate == 0.025
    assert funnel.cac == 20.0 == customer_acquisition_cost(1_000, 50)
    assert funnel.notes == ()


def test_a_funnel_that_runs_dry() -> None:
    one = acquisition_funnel(impressions=10, clicks=2, conversions=0, spend=5)
    assert (one.cost_per_click, one.conversion_rate, one.cac) == (2.5, 0.0, math.inf)
    assert one.notes == ("no conversions",)
    two = acquisition_funnel(impressions=10, clicks=0, conversions=0, spend=5)
    assert (two.click_through_rate, two.cost_per_click, two.cac) == (0.0, math.inf, math.inf)
    assert math.isnan(two.conversion_rate)
    none = acquisition_funnel(impressions=0, clicks=0, conversions=0, spend=0)
    rates = (none.click_through_rate, none.cost_per_click, none.conversion_rate, none.cac)
    assert all(math.isnan(rate) for rate in rates)
    assert none.notes == ("no impressions", "no clicks", "no conversions")


@pytest.mark.parametrize(
    "wrong",
    [
        {"clicks": 11},
        {"conversions": 3},
        {"spend": -1},
        {"impressions": math.nan},
        {"clicks": "two"},
    ],
)
def test_a_funnel_narrows(wrong: dict[str, Any]) -> None:
    right = {"impressions": 10, "clicks": 2, "conversions": 1, "spend": 5}
    with pytest.raises(DomainError):
        acquisition_funnel(**(right | wrong))


# --- value against cost ---


def test_value_of_acquired_customers_has_their_past() -> None:
    options = {"horizon": "52W", "discount_rate": 0.2, "interval": 0.8, "draws": 100}
    value = acquired_customer_value(POSTERIOR, RFM, **options)
    total = total_value(POSTERIOR, RFM, **options)
    assert value.mean == pytest.approx((PAST_MARGIN + total.mean) / 3, rel=1e-14)
    assert value.sd == pytest.approx(total.sd / 3, rel=1e-14)
    assert value.lower == pytest.approx((PAST_MARGIN + total.lower) / 3, rel=1e-14)
    assert value.upper == pytest.approx((PAST_MARGIN + total.upper) / 3, rel=1e-14)
    np.testing.assert_allclose(value.draws, (PAST_MARGIN + total.draws) / 3, rtol=1e-14)
    assert value.interval == 0.8
    # It is the sum of what predict says customers are worth in all
    rows = POSTERIOR.predict(RFM, horizon="52W", discount_rate=0.2, draws=100)
    assert value.mean == pytest.approx(rows["total_value"].mean(), rel=1e-12)


@pytest.mark.parametrize("kind", ["acquired", "future"])
def test_ratio_and_its_interval(kind: str) -> None:
    value: Any = (
        acquired_customer_value(POSTERIOR, RFM)
        if kind == "acquired"
        else POSTERIOR.new_customer_value(margin=0.4)
    )
    ratio = ltv_to_cac(value, 8.0)
    for name in ("mean", "sd", "lower", "upper"):
        assert getattr(ratio, name) == pytest.approx(getattr(value, name) / 8.0, rel=1e-14), name
    np.testing.assert_allclose(ratio.draws, value.draws / 8.0, rtol=1e-14)
    assert (ratio.interval, ratio.note) == (0.9, "")
    tails = np.quantile(ratio.draws, [0.05, 0.95])
    assert (ratio.lower, ratio.upper) == pytest.approx(tuple(tails), rel=1e-12)
    assert ratio.lower < ratio.mean < ratio.upper


def test_draws_of_a_new_customers_value() -> None:
    value = POSTERIOR.new_customer_value("26W", 0.1, margin=0.4)
    assert value.draws.shape == (200,)
    # Pairs of draws scatter around the product of means
    assert abs(value.draws.mean() - value.mean) < 4.5 * value.sd / math.sqrt(200)
    alone = POINT.new_customer_value("26W", 0.1, margin=0.4)
    assert alone.draws == pytest.approx([alone.mean], rel=1e-14)


def test_costs_at_their_edges() -> None:
    value = POSTERIOR.new_customer_value()
    free = ltv_to_cac(value, 0.0)
    assert (free.mean, free.lower, free.upper) == (math.inf, math.inf, math.inf)
    assert free.note == "acquired at no cost"
    assert math.isnan(free.sd)
    for missing in (None, math.nan):
        unknown = ltv_to_cac(value, missing)
        assert math.isnan(unknown.mean)
        assert np.isnan(unknown.draws).all()
        assert unknown.note == "no acquisition cost given"
    nobody = ltv_to_cac(value, math.inf)
    assert (nobody.mean, nobody.lower) == (0.0, 0.0)
    assert "nobody" in nobody.note
    neither = ltv_to_cac(0.0, 0.0)
    assert math.isnan(neither.mean)
    assert neither.note == "neither cost nor value"
    assert ltv_to_cac(-5.0, 0.0).mean == -math.inf
    assert ltv_to_cac(-5.0, 2.0).mean == -2.5
    endless = ltv_to_cac(math.inf, 10.0)
    assert (endless.mean, endless.note) == (math.inf, "the value is infinite")
    assert math.isnan(ltv_to_cac(math.inf, math.inf).mean)


def test_a_number_has_no_interval() -> None:
    ratio = ltv_to_cac(75.0, 25.0)
    assert ratio.mean == 3.0
    assert all(math.isnan(end) for end in (ratio.sd, ratio.lower, ratio.upper, ratio.interval))
    point = ltv_to_cac(POINT.new_customer_value(), 10.0)
    assert point.mean > 0
    assert all(math.isnan(end) for end in (point.sd, point.lower, point.upper))


def test_the_residual_alone_is_refused() -> None:
    residual: Any = total_value(POSTERIOR, RFM)
    for function in (lambda value: ltv_to_cac(value, 1.0), highest_cac):
        with pytest.raises(SchemaError, match="acquired_customer_value"):
            function(residual)
    with pytest.raises(SchemaError, match="first_value"):
        acquired_customer_value(
            POSTERIOR, RfmTable.from_pandas(RFM.to_pandas().drop(columns="first_value"))
        )
    with pytest.raises(DomainError, match="no customers"):
        acquired_customer_value(POSTERIOR, RfmTable.from_pandas(RFM.to_pandas().head(0)))
    with pytest.raises(SchemaError, match="RfmTable"):
        acquired_customer_value(POSTERIOR, RFM.to_pandas())


def test_highest_cost_and_budget() -> None:
    value = POSTERIOR.new_customer_value(margin=0.4)
    most = highest_cac(value)
    assert (most.mean, most.lower, most.upper) == (value.mean, value.lower, value.upper)
    # At that cost acquisition just pays
    assert ltv_to_cac(value, most.mean).mean == pytest.approx(1.0, rel=1e-14)
    third = highest_cac(value, target_ratio=3.0)
    assert ltv_to_cac(value, third.mean).mean == pytest.approx(3.0, rel=1e-14)
    budget = acquisition_budget(value, customers=1000, target_ratio=3.0)
    for name in ("mean", "sd", "lower", "upper"):
        expected = 1000 * getattr(value, name) / 3
        assert getattr(budget, name) == pytest.approx(expected, rel=1e-14), name
    np.testing.assert_allclose(budget.draws, 1000 * value.draws / 3, rtol=1e-14)
    nobody = acquisition_budget(value, customers=0)
    assert (nobody.mean, nobody.lower, nobody.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ltv_to_cac(50.0, -1.0),
        lambda: ltv_to_cac(50.0, "much"),  # type: ignore[arg-type]
        lambda: ltv_to_cac(math.nan, 1.0),
        lambda: ltv_to_cac("much", 1.0),  # type: ignore[arg-type]
        lambda: highest_cac(50.0, target_ratio=0.0),
        lambda: highest_cac(50.0, target_ratio=math.inf),
        lambda: acquisition_budget(50.0, customers=-1),
        lambda: acquisition_budget(50.0, customers=math.inf),
        lambda: acquisition_budget(math.inf, customers=0),
        lambda: payback_period(POINT, -1.0),
        lambda: payback_period(POINT, 1.0, margin=-0.2),
        lambda: payback_period(POINT, 1.0, within=None),
        lambda: payback_period(POINT, 1.0, interval=1.0),
    ],
)
def test_nonsense_is_refused(wrong: Any) -> None:
    with pytest.raises(DomainError):
        wrong()


def test_records_compare_by_their_figures() -> None:
    figures = {"mean": 1.0, "sd": 0.1, "lower": 0.9, "upper": 1.1, "interval": 0.9}
    one, other = (Estimate(**figures, draws=draws) for draws in (np.ones(3), np.zeros(3)))
    assert one == other
    assert "draws" not in repr(one)


# --- payback ---


@pytest.mark.parametrize("discount_rate", [0.0, 0.15])
@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_by_the_payback_the_cost_is_earned(discount_rate: float, discounting: Any) -> None:
    options = {"discount_rate": discount_rate, "discounting": discounting}
    found = payback_period(POINT, 20.0, margin=0.4, **options)
    for days, sign in ((found.days * (1 - 1e-9), -1), (found.days * (1 + 1e-9), 1)):
        value = POINT.new_customer_value(days, discount_rate, discounting=discounting, margin=0.4)
        assert sign * (value.mean - 20.0) > 0
    assert math.isnan(found.lower)
    assert (found.never, found.note, found.within) == (0.0, "", 5 * 365.25)


def test_payback_is_the_inverse_of_the_expected_purchases() -> None:
    grid = np.arange(0.0, 800.0, 1.0)
    orders = POINT.purchases.expected_purchases_new_customer(t=grid).to_numpy().ravel()
    earned = 0.4 * SPEND * (1 + orders)
    for cost in (15.0, 22.0, 28.0):
        found = payback_period(POINT, cost, margin=0.4)
        at = int(np.argmax(earned >= cost))
        assert grid[at - 1] < found.days <= grid[at]


def test_each_draw_has_its_payback() -> None:
    found = payback_period(POSTERIOR, 18.0, margin=0.4, interval=0.8, draws=5)
    paired = draws_of(POSTERIOR.purchases, POSTERIOR.spend, 5)
    for i, days in enumerate(found.draws):
        one = CLVPosterior(
            BetaGeoPosterior.from_draws(**{n: v[i] for n, v in paired.purchases.items()}),
            GammaGammaPosterior.from_draws(**{n: v[i] for n, v in paired.spend.items()}),
        )
        assert payback_period(one, 18.0, margin=0.4).days == pytest.approx(days, rel=1e-9)
    assert (found.lower, found.upper) == (found.draws.min(), found.draws.max())
    assert found.draws.min() < found.days < found.draws.max()


def test_payback_knows_units() -> None:
    weeks = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.243, alpha=30.9 / 7, a=0.793, b=2.426, time_scaler=7),
        POINT.spend,
    )
    found = payback_period(weeks, 20.0, margin=0.4)
    assert found.days == pytest.approx(payback_period(POINT, 20.0, margin=0.4).days, rel=1e-9)
    assert found.within == pytest.approx(5 * 365.25)


def test_payback_of_the_other_model() -> None:
    posterior = CLVPosterior(
        ModifiedBetaGeoPosterior.from_draws(r=0.525, alpha=43.3, a=0.891, b=1.614), POINT.spend
    )
    found = payback_period(posterior, 20.0, margin=0.4, discount_rate=0.1)
    value = posterior.new_customer_value(found.days, 0.1, margin=0.4)
    assert value.mean == pytest.approx(20.0, rel=1e-9)


def test_the_first_purchase_may_pay_and_nothing_may() -> None:
    first = 0.4 * SPEND
    assert payback_period(POINT, 0.0, margin=0.4).days == 0.0
    assert payback_period(POINT, first * (1 - 1e-12), margin=0.4).days == 0.0
    assert payback_period(POINT, first * (1 + 1e-6), margin=0.4).days > 0.0
    for cost in (1e6, math.inf):
        never = payback_period(POSTERIOR, cost, margin=0.4, within="1Y")
        assert (never.days, never.lower, never.upper) == (math.inf, math.inf, math.inf)
        assert (never.never, never.note) == (1.0, "not within 365.25 days")
    for missing in (None, math.nan):
        unknown = payback_period(POSTERIOR, missing)
        assert all(math.isnan(v) for v in (unknown.days, unknown.lower, unknown.never))
        assert unknown.note == "no acquisition cost given"


def test_some_draws_may_never_pay_back() -> None:
    value = POSTERIOR.new_customer_value("1Y", 0.0, margin=0.4)
    found = payback_period(POSTERIOR, value.mean, margin=0.4, within="1Y", interval=0.9)
    assert found.days == pytest.approx(365.25, rel=1e-6)
    assert found.never == pytest.approx(np.mean(value.draws < value.mean), abs=1e-12)
    assert found.lower < 365.25
    assert found.upper == math.inf


def test_infinite_spend_is_refused() -> None:
    posterior = CLVPosterior(
        POINT.purchases, GammaGammaPosterior.from_draws(p=6.25, q=0.98, v=15.44)
    )
    with pytest.raises(DomainError, match="infinite"):
        payback_period(posterior, 20.0)
