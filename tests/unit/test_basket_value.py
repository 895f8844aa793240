"""One value of every purchase in place of a model of spend: values without any amounts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import CLVModel, CLVPosterior, GammaGammaPosterior, RfmTable, load_posterior
from clvmodels.cli.terminal import Terminal
from clvmodels.cli.tiers import show
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import BasketValue, total_value
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.simulate import simulate_log, simulate_rfm
from tests.kinds import KINDS

RNG = np.random.default_rng(8)
CENTRES = {"r": 0.6, "alpha": 30.0, "a": 1.6, "b": 2.5, "s": 1.6, "beta": 90.0}
DRAWS = {name: value * np.exp(0.1 * RNG.standard_normal(40)) for name, value in CENTRES.items()}
BARE = simulate_rfm(300, r=0.55, alpha=30, a=0.8, b=2.5, T=(0, 400), seed=4)
TABLE = RfmTable.from_frame(BARE, observation_end="2024-12-31", margin=0.3)


@pytest.fixture(params=KINDS)
def purchases(request: pytest.FixtureRequest) -> PurchasePosterior:
    kind = purchase_posterior(request.param)
    return kind.from_draws(**{name: DRAWS[name] for name in kind.facts.parameter_names})


def near(found: object, wanted: object) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-12)


def test_a_value_is_that_of_the_purchases(purchases: PurchasePosterior) -> None:
    found = CLVPosterior(purchases, 25.0, margin=0.3).predict(BARE)
    alone = purchases.predict(BARE)
    assert "monetary_value" not in found
    near(found["expected_spend"], 25.0)
    near(found["clv"], 0.3 * 25.0 * alone["discounted_purchases"])
    pd.testing.assert_frame_equal(found[list(alone)], alone)
    plain = CLVPosterior(purchases, 25.0, margin=0.3).predict(BARE, discount_rate=0.0)
    for end in ("lower", "upper"):  # undiscounted, so that value goes with purchases
        near(plain[f"clv_{end}"], 7.5 * plain[f"expected_purchases_{end}"])
        near(plain[f"expected_spend_{end}"], 25.0)


def test_amounts_of_a_table_are_not_read(purchases: PurchasePosterior) -> None:
    posterior = CLVPosterior(purchases, 25)
    odd = posterior.predict(BARE.assign(monetary_value=-3.0))
    pd.testing.assert_frame_equal(odd, posterior.predict(BARE))


def test_values_that_come_about_are_whole_baskets(purchases: PurchasePosterior) -> None:
    posterior = CLVPosterior(purchases, 25.0)
    paths = clv.simulate_future(
        posterior, BARE, "365D", discount_rate=0.0, paths=200, random_seed=3
    )
    near(paths.values, 25.0 * paths.counts)
    table = clv.portfolio(posterior, BARE, horizon="365D", discount_rate=0.0).table
    near(table["value"], 25.0 * table["purchases"])
    wide = posterior.predict(BARE, predictive=True, discount_rate=0.0)
    assert (np.mod(wide["value_upper"], 25.0) == 0).all()
    # both are quantiles of one distribution, the one of paths and the other exact
    assert (abs(wide["value_upper"] / 25.0 - wide["purchases_upper"]) <= 1).mean() > 0.97


def test_the_value_need_not_be_certain(purchases: PurchasePosterior) -> None:
    draws = 25.0 + RNG.standard_normal(40)
    posterior = CLVPosterior(purchases, BasketValue.from_draws(value=draws))
    found, alone = posterior.predict(BARE), purchases.predict(BARE)
    near(found["clv"], draws.mean() * alone["discounted_purchases"])
    assert (found["expected_spend_upper"] > 25.0).all()


def test_sums_and_new_customers(purchases: PurchasePosterior) -> None:
    posterior = CLVPosterior(purchases, 25.0)
    total = total_value(posterior, TABLE)
    near(total.mean, 0.3 * 25.0 * purchases.predict(TABLE)["discounted_purchases"].sum())
    assert (total.margin, total.without_value) == (0.3, 0)
    new = posterior.new_customer_value("365D", 0.0, margin=0.5)
    each = purchases.expected_purchases_new_customer(t="365D").mean().item()
    near(new.mean, 0.5 * 25.0 * (1.0 + each))
    assert clv.payback_period(posterior, 20.0, margin=0.5).cac == 20.0


@pytest.mark.parametrize(
    "report",
    [
        clv.tier_report,
        clv.top_shares,
        clv.action_lists,
        clv.customer_equity,
        lambda one, rfm: clv.segment_report(one, rfm, by="cohort"),
        lambda one, rfm: clv.value_distribution(one, rfm, horizon="365D"),
    ],
)
def test_tables_of_economics_need_no_amounts(purchases: PurchasePosterior, report) -> None:
    found = report(CLVPosterior(purchases, 25.0), TABLE)
    assert len(str(found))
    for table in (found, getattr(found, "customers", None)):
        if isinstance(table, pd.DataFrame):  # what is not known is not there
            assert not [name for name in table if table[name].isna().all()]


def test_tiers_without_past_revenue_are_shown_and_drawn(
    purchases: PurchasePosterior, capsys: pytest.CaptureFixture[str]
) -> None:
    found = clv.tier_report(CLVPosterior(purchases, 25.0), TABLE)
    show(Terminal(quiet=False), found, 0.9)
    out = capsys.readouterr().out
    assert "share of" in out
    assert "the past" not in out
    axes = clv.plots.plot_tiers(found)
    assert [one.get_text() for one in axes.get_legend().get_texts()] == [
        "customers",
        "expected value",
    ]


def test_the_simple_formula_still_needs_orders(purchases: PurchasePosterior) -> None:
    with pytest.raises(SchemaError, match="needs the value of every order"):
        clv.compare_with_simple(CLVPosterior(purchases, 25.0), TABLE)


def test_it_is_saved_and_told_apart(purchases: PurchasePosterior, tmp_path: Path) -> None:
    posterior = CLVPosterior(purchases, 25.0, margin=0.3)
    again = load_posterior(posterior.save(tmp_path / "one.nc"))
    assert isinstance(again, CLVPosterior)
    assert (again.margin, again.fingerprint()) == (0.3, posterior.fingerprint())
    pd.testing.assert_frame_equal(again.predict(BARE), posterior.predict(BARE))
    assert CLVPosterior(purchases, 26.0).fingerprint() != posterior.fingerprint()
    changed = dataclasses.replace(again, spend=30.0)
    near(changed.predict(BARE)["expected_spend"], 30.0)


def test_only_what_was_fitted_has_a_verdict(purchases: PurchasePosterior) -> None:
    posterior = CLVPosterior(purchases, 25.0)
    assert set(posterior.verdicts) == {purchases.model}
    assert not posterior.certain
    assert list(posterior.summary().index)[-1] == "value"
    assert "BasketValue: 25" in repr(posterior)


def test_the_report_says_the_value_of_a_basket(purchases: PurchasePosterior) -> None:
    found = clv.report(CLVPosterior(purchases, 25.0), TABLE)
    text = str(found)
    assert "every purchase counted at 25" in " ".join(text.split())
    assert "There are no values" not in text
    assert "purchases alone" not in found.json
    assert "no fit of spend to check" in found.json


@pytest.mark.parametrize("value", [0.0, -3, np.nan, np.inf])
def test_it_is_an_amount(purchases: PurchasePosterior, value: float) -> None:
    with pytest.raises(DomainError, match="positive and finite"):
        CLVPosterior(purchases, value)


@pytest.mark.parametrize("value", [True, "25", None, [25.0]])
def test_and_no_other_thing(purchases: PurchasePosterior, value: object) -> None:
    with pytest.raises(SchemaError, match=r"CLVPosterior\(purchases, 25\.0\)"):
        CLVPosterior(purchases, value)


def test_pymc_marketing_has_no_such_model(purchases: PurchasePosterior) -> None:
    with pytest.raises(SchemaError, match=r"convert posterior\.purchases"):
        clv.to_pymc_marketing(CLVPosterior(purchases, 25.0), BARE)


def test_models_of_spend_go_on_as_before(purchases: PurchasePosterior) -> None:
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44)
    posterior = CLVPosterior(purchases, spend)
    assert posterior.gamma_gamma is posterior.spend
    assert posterior.fits == (posterior.purchases, posterior.spend)
    with pytest.raises(SchemaError, match="monetary_value"):
        posterior.predict(BARE)


def test_files_are_scored_without_amounts(purchases: PurchasePosterior, tmp_path: Path) -> None:
    posterior = CLVPosterior(purchases, 25.0)
    source = tmp_path / "rfm.parquet"
    TABLE.to_parquet(source)
    report = clv.score(source, posterior.save(tmp_path / "p.nc"), tmp_path / "scores.parquet")
    found, wanted = pd.read_parquet(tmp_path / "scores.parquet"), posterior.predict(TABLE)
    assert "monetary_value" not in found
    near(found["clv"], wanted["clv"])
    near(found["clv_lower"], wanted["clv_lower"])
    near(report.clv.mean, total_value(posterior, TABLE).mean)
    assert (report.margin, set(found["margin"])) == (0.3, {0.3})


# --- fitted so --------------------------------------------------------------------------


def test_a_model_may_have_a_value_of_every_purchase(tmp_path: Path) -> None:
    model = CLVModel(spend=25.0)
    assert (model.basket_value, CLVModel().basket_value) == (25.0, None)
    fitted = model.fit(TABLE, method="map", progressbar=False)
    assert (fitted.basket_value, fitted.margin) == (25.0, 0.3)
    alone = model.purchases.fit(TABLE, method="map", progressbar=False)
    assert fitted.fingerprint() == CLVPosterior(alone, 25.0).fingerprint()
    again = load_posterior(fitted.save(tmp_path / "one.nc"))
    pd.testing.assert_frame_equal(again.predict(BARE), fitted.predict(BARE))
    assert model.replace(spend=30.0).basket_value == 30.0
    assert model.get_params()["spend"] == 25.0
    assert model.replace(purchases__T_scale=30.0).basket_value == 25.0


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_the_value_of_a_model_is_an_amount(value: float) -> None:
    with pytest.raises(DomainError, match="positive and finite"):
        CLVModel(spend=value)
    with pytest.raises(SchemaError, match=r"spend='25' must be a GammaGammaModel\(\), or the val"):
        CLVModel(spend="25")  # type: ignore[arg-type]


def backtested(amounts: bool) -> clv.Backtest:
    story = {"r": 0.55, "alpha": 30, "a": 0.8, "b": 2.5, "p": 6.0, "q": 4.0, "v": 15.0}
    log = simulate_log(300, **story, T=(100, 400), seed=6)
    return clv.backtest(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount" if amounts else None,
        origins=1,
        model=CLVModel("mbgnbd", 25.0),
        method="map",
        bootstrap=10,
        progressbar=False,
    )


def test_a_backtest_holds_the_value_against_amounts(tmp_path: Path) -> None:
    found = backtested(amounts=True)
    assert found.targets == ("purchases", "value")
    assert (found.settings["basket_value"], found.settings["model"]) == (25.0, "mbgnbd")
    kept = clv.load_backtest(found.save(tmp_path / "kept"))
    assert kept.settings["basket_value"] == 25.0
    totals = found.totals.drop_duplicates("target").set_index("target")
    assert 0.8 < totals["forecast"]["value"] / (25.0 * totals["forecast"]["purchases"]) <= 1.0


def test_a_log_without_amounts_tests_purchases_alone_and_says_so() -> None:
    found = backtested(amounts=False)
    assert found.targets == ("purchases",)
    assert any("every purchase brings 25 is not tested" in note for note in found.notes)
