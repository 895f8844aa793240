"""Every verb takes covariates of spend: no effects change nothing, each level is a model alone."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy.special import betainc

import clvmodels as clv
from clvmodels import CLVPosterior, GammaGammaPosterior, SchemaError, load_posterior
from clvmodels.posterior import PurchasePosterior, total_value
from clvmodels.posterior.effects import narrowed
from clvmodels.purchases.design import Factor
from tests.covariates import (
    LEVELS,
    S,
    base_of,
    design_of_channels,
    nothing,
    of_level,
    plain_posterior,
    something,
    spend_of_level,
    table_of,
    with_effects,
)
from tests.unit.test_covariates import SUMS, VERBS, same

FRAME = base_of()
RFM = table_of(FRAME)
DESIGN = design_of_channels(FRAME, ("spend",))
OF_MONEY = {"predict", "horizons", "life", "values", "future"}
MORE = {
    "spend": lambda p, t: p.spend.expected_customer_spend(t).to_numpy()[0].T,
    "spend likelihood": lambda p, t: likelihood(p.spend, t),
    "likelihood": lambda p, t: likelihood(p, t),
    "margins": lambda p, t: p.predict(t, horizon="90D", margin=MARGIN),
}
MARGIN = clv.ContributionMargin(share=0.4, cost_per_order=2.0, cost_per_year=1.0)
WORTH = {
    "new": lambda p, t: p.new_customer_value(horizon="90D").draws,
    "new margin": lambda p, t: p.new_customer_value(horizon="90D", margin=MARGIN).draws,
    "moments": lambda p, t: pd.Series(moments(p.new_customer_value(horizon="90D"))),
    "valuation": lambda p, t: clv.customer_valuation(p, t, horizon="90D", acquisitions=5).table,
}


def likelihood(posterior, table):
    """Of all customers, 0 of those without a term."""
    found = posterior.log_likelihood(table)
    rows = pd.Index(table.to_pandas()["customer_id"]).get_indexer(found["customer_id"])
    out = np.zeros((len(table), found.sizes["draw"]))
    out[rows] = found.to_numpy()[0].T
    return out


def moments(value):
    return {"mean": value.mean, "sd": value.sd, "lower": value.lower, "upper": value.upper}


def spend(first_order="exclude") -> GammaGammaPosterior:
    rng = np.random.default_rng(8)
    draws = {
        "p": rng.normal(6.0, 0.1, S),
        "q": rng.normal(3.7, 0.1, S),
        "v": rng.normal(15.0, 0.3, S),
    }
    return GammaGammaPosterior.from_draws(**draws, first_order=first_order)


def moved(effects, first_order="exclude") -> GammaGammaPosterior:
    return with_effects(spend(first_order), DESIGN, effects)


def purchases(effects=None, model="bgnbd") -> PurchasePosterior:
    plain = plain_posterior(model)
    return plain if effects is None else with_effects(plain, design_of_channels(FRAME), effects)


@pytest.mark.parametrize("verb", sorted(OF_MONEY | set(MORE) | set(SUMS) | set(WORTH)))
def test_no_effects_change_nothing(verb) -> None:
    call = (VERBS | SUMS | MORE | WORTH)[verb]
    plain, other = (CLVPosterior(purchases(), one) for one in (spend(), moved(nothing)))
    same(call(plain, RFM), call(other, RFM))


@pytest.mark.parametrize("bought", [None, something])
@pytest.mark.parametrize("first_order", ["exclude", "include"])
@pytest.mark.parametrize("verb", sorted((OF_MONEY | set(MORE)) - {"future"}))
def test_each_level_is_a_model_of_its_own(verb, first_order, bought) -> None:
    """With v as it is for its customers, whether or not purchases differ too."""
    call = (VERBS | MORE)[verb]
    both = CLVPosterior(purchases(bought), moved(something, first_order))
    whole = call(both, RFM)
    for level in LEVELS:
        rows = np.flatnonzero(FRAME["channel"] == level)
        own = purchases() if bought is None else of_level(both.purchases, level)
        alone = CLVPosterior(own, spend_of_level(both.spend, level))
        part = whole.iloc[rows].reset_index(drop=True) if hasattr(whole, "iloc") else whole[rows]
        same(call(alone, table_of(FRAME.iloc[rows])), part)


@pytest.mark.parametrize("first_order", ["exclude", "include"])
def test_totals_are_sums_of_the_levels(first_order) -> None:
    """By draw, and in simulations as far as chance is equal: their means."""
    both = CLVPosterior(purchases(something), moved(something, first_order))
    parts = [
        (
            CLVPosterior(of_level(both.purchases, level), spend_of_level(both.spend, level)),
            table_of(FRAME[FRAME["channel"] == level]),
        )
        for level in LEVELS
    ]
    found = clv.portfolio(both, RFM, horizon="90D").table
    wanted = sum(clv.portfolio(p, t, horizon="90D").table["value"].iloc[-1] for p, t in parts)
    assert found["value"].iloc[-1] == pytest.approx(wanted, rel=1e-9)
    sums = [total_value(p, t, horizon="90D") for p, t in parts]
    assert total_value(both, RFM, horizon="90D").mean == pytest.approx(
        sum(one.mean for one in sums)
    )
    forecast = clv.forecast_total(both, RFM, horizon="90D", calendar="none", paths=30_000).table
    value = forecast.set_index("total").loc["value"]
    assert value["mean"] == pytest.approx(wanted, rel=1e-9)
    simulated = clv.portfolio(both, RFM, horizon="90D", paths=30_000).draws("value")
    assert simulated.mean() == pytest.approx(wanted, abs=4.5 * simulated.std() / 30_000**0.5)


def test_new_customers_are_the_mix_of_the_levels() -> None:
    """Who buys more and who spends more go together: not the product of two averages."""
    both = CLVPosterior(purchases(something), moved(something))
    wanted = sum(
        np.asarray(
            CLVPosterior(of_level(both.purchases, level), spend_of_level(both.spend, level))
            .new_customer_value(horizon="90D")
            .draws
        )
        * float((FRAME["channel"] == level).mean())
        for level in LEVELS
    )
    found = both.new_customer_value(horizon="90D")
    np.testing.assert_allclose(found.draws, wanted, rtol=1e-10)
    for level in LEVELS:
        alone = CLVPosterior(of_level(both.purchases, level), spend_of_level(both.spend, level))
        one, other = both.of({"channel": level}), alone
        same(WORTH["moments"](one, RFM), WORTH["moments"](other, RFM))
        same(clv.payback_period(one, 10.0).draws, clv.payback_period(other, 10.0).draws)


def test_moments_of_a_mix_are_those_of_independent_draws() -> None:
    """The sd of a new customer's value, against all pairs of draws of both models."""
    both = CLVPosterior(purchases(something), moved(something))
    bought, spent = both.purchases.draws(), both.spend.draws()
    values = np.zeros((S, S))
    for level in LEVELS:
        alone = of_level(both.purchases, level)
        orders = 1.0 + alone.formulas.discounted_purchases(
            0, 0, 0, 90.0, np.log(1.1) / 365.25, **alone.draws()
        )
        mean = spent["p"] * spent["v"] / (spent["q"] - 1.0)
        mean = mean * np.exp(spent[f"spend[channel={level}]"])
        values += float((FRAME["channel"] == level).mean()) * orders[:, None] * mean
    assert len(bought["r"]) == S
    found = both.new_customer_value(horizon="90D")
    assert found.mean == pytest.approx(values.mean(), rel=1e-10)
    assert found.sd == pytest.approx(values.std(), rel=1e-9)


def test_expected_spend_is_the_mean_of_what_amounts_say() -> None:
    """By quadrature over nu, whose prior is Gamma(q, v) with v as the level has it."""
    posterior = moved(something)
    draws = {name: float(values[0]) for name, values in posterior.draws().items()}
    found = posterior.expected_customer_spend(RFM).to_numpy()[0, 0]
    rows = [
        int(np.flatnonzero((FRAME["channel"] == one) & (FRAME["frequency"] > 1))[0])
        for one in LEVELS
    ]
    with mpmath.workdps(30):
        for i in rows:
            x, m = int(FRAME["frequency"][i]), mpmath.mpf(float(FRAME["monetary_value"][i]))
            p, q = draws["p"], draws["q"]
            v = draws["v"] * mpmath.exp(draws[f"spend[channel={FRAME['channel'][i]}]"])

            def density(nu, x=x, m=m, p=p, q=q, v=v):
                amounts = nu ** (p * x) * mpmath.exp(-nu * x * m)
                return amounts * nu ** (q - 1) * mpmath.exp(-v * nu)

            peak = (p * x + q) / (v + x * m)
            edges = [0, peak / 4, peak, 2 * peak, 8 * peak, mpmath.inf]
            mean = mpmath.quad(lambda nu, p=p: p / nu * density(nu), edges) / mpmath.quad(
                density, edges
            )
            assert found[i] == pytest.approx(float(mean), rel=1e-10)


def test_the_table_of_effects_is_in_money() -> None:
    both = CLVPosterior(purchases(something), moved(something))
    table = both.effects()
    assert table["on"].tolist() == ["purchases"] * 4 + ["dropout"] * 4 + ["spend"] * 4
    own = table[table["on"] == "spend"].reset_index(drop=True)
    assert_frame_equal(own, both.spend.effects())
    draws = both.spend.draws()
    wanted = np.median(np.exp(draws["spend[channel=shop]"]))
    row = own[own["level"] == "shop"].iloc[0]
    assert row["times"] == pytest.approx(wanted)
    assert row["what"] == "spend an order, at the median customer"
    rng = np.random.default_rng(4)
    p, q, v = (float(np.median(draws[name])) for name in ("p", "q", "v"))
    simulated = np.median(p * v / rng.standard_gamma(q, 400_000))
    assert row["figure"] / row["times"] == pytest.approx(simulated, rel=0.02)
    alone = CLVPosterior(purchases(), moved(something))
    assert alone.effects()["on"].unique().tolist() == ["spend"]
    with pytest.raises(SchemaError, match="no covariates"):
        CLVPosterior(purchases(), spend()).effects()


def test_saved_and_loaded(tmp_path) -> None:
    both = CLVPosterior(purchases(), moved(something))
    loaded = load_posterior(both.save(tmp_path / "p.nc"))
    assert loaded.spend.metadata.design == both.spend.metadata.design
    assert loaded.fingerprint() == both.fingerprint()
    same(loaded.predict(RFM, horizon="90D"), both.predict(RFM, horizon="90D"), rtol=0)
    alone = load_posterior(moved(something).save(tmp_path / "s.nc"))
    same(alone.effects(), moved(something).effects(), rtol=0)


def test_files_of_customers_and_rows_in_any_order(tmp_path) -> None:
    both = CLVPosterior(purchases(), moved(something))
    order = np.random.default_rng(1).permutation(len(FRAME))
    channel = FRAME["channel"].mask(FRAME.index < 7, "radio")
    base = table_of(FRAME.assign(channel=channel).iloc[order])
    base.to_parquet(tmp_path / "b.parquet")
    terms = {"horizon": ["90D", "365D"], "predictive": True, "draws": S}
    how = {"posterior": both, "block_rows": 50}
    result = clv.score(tmp_path / "b.parquet", output=tmp_path / "s.parquet", **how, **terms)
    assert result.unknown_levels == 7
    found = pd.read_parquet(tmp_path / "s.parquet")
    with pytest.warns(UserWarning, match="7 of 240 customers have values of 'channel'"):
        wanted = both.predict(base, **terms)[list(found.columns)]
    assert_frame_equal(found, wanted, rtol=1e-12, check_dtype=False)
    with pytest.warns(UserWarning, match="7 of 240 customers have values of 'channel'"):
        here = both.predict(FRAME.assign(channel=channel), **terms)[list(found.columns)]
    found = found.sort_values("customer_id").reset_index(drop=True)
    assert_frame_equal(found, here, rtol=1e-10, check_dtype=False)


def test_unknown_levels_have_the_doubt_of_the_population() -> None:
    posterior = moved(something)
    new = FRAME.assign(channel="radio")
    with pytest.warns(UserWarning, match="240 of 240 customers have values of 'channel'"):
        found = posterior.expected_customer_spend(new).to_numpy()
    alone = spend_of_level(posterior, "(other)").expected_customer_spend(FRAME).to_numpy()
    np.testing.assert_allclose(found, alone, rtol=1e-12)


def test_amounts_in_another_money() -> None:
    """A hundred times the amounts and v: a hundred times the values, with the same effects."""
    draws = spend().draws()
    cents = GammaGammaPosterior.from_draws(**{**draws, "v": 100.0 * draws["v"]})
    both = CLVPosterior(purchases(), with_effects(cents, DESIGN, something))
    dear = FRAME.assign(monetary_value=100.0 * FRAME["monetary_value"])
    found = both.predict(table_of(dear), horizon="90D")
    wanted = CLVPosterior(purchases(), moved(something)).predict(RFM, horizon="90D")
    money = [name for name in wanted if name.startswith(("clv", "expected_spend"))]
    np.testing.assert_allclose(found[money], 100.0 * wanted[money], rtol=1e-9)


def test_what_does_not_go_together_is_refused() -> None:
    other = Factor("channel", ("ads", "shop"), (1, 1))
    fewer = replace(DESIGN, factors=(other,))
    with pytest.raises(SchemaError, match="cut the column 'channel' in different ways"):
        CLVPosterior(purchases(something), with_effects(spend(), fewer, nothing))
    elsewhere = replace(DESIGN, factors=(Factor("country", LEVELS, (1, 1, 1)),))
    with pytest.raises(SchemaError, match=r"fit both at once, with CLVModel\(purchases, spend\)"):
        CLVPosterior(purchases(something), with_effects(spend(), elsewhere, nothing))
    stack = clv.stack({"a": purchases(), "b": purchases(model="mbgnbd")})
    with pytest.raises(SchemaError, match="A stack of purchases does not take covariates of spend"):
        CLVPosterior(stack, moved(something))
    both = CLVPosterior(purchases(), moved(something))
    with pytest.raises(SchemaError, match="The posterior has covariates"):
        clv.score_sql(both, horizon="365D")
    with pytest.raises(SchemaError, match="no column 'channel', a covariate of the model"):
        both.predict(FRAME.drop(columns="channel"), horizon="90D")


def test_a_report_shows_who_spends_more_and_judges_what_is_left() -> None:
    both = CLVPosterior(purchases(), moved(something))
    report = clv.report(both, RFM)
    section = next(one for one in report.record.sections if one.key == "fit")
    figure = next(one for one in section.figures if one.key == "effects")
    assert [one["name"] for one in figure.data["series"]] == ["what they spend an order"]
    assert figure.caption.startswith("Amounts of orders of customers of each level")
    assert "times as much as the average" in figure.title
    table = next(one for one in section.tables if one.key == "effects")
    wanted = both.spend.effects()
    assert [row[3] for row in table.rows] == pytest.approx(wanted["times"].tolist()[:3])


def test_the_density_of_spend_is_that_of_the_levels() -> None:
    """Shares of a histogram, of all as the sum of what each level alone expects."""
    from clvmodels.diagnostics.single import part
    from clvmodels.diagnostics.spend_fit import spend_histogram

    posterior = moved(something)
    edges, actual, expected = spend_histogram(part(posterior, RFM))
    total = 0.0
    for level in LEVELS:
        rows = FRAME[(FRAME["channel"] == level) & (FRAME["frequency"] > 0)]
        draws = {n: v[:60] for n, v in spend_of_level(posterior, level).draws(60).items()}
        x = rows["frequency"].to_numpy()[:, None, None]
        at = betainc(
            draws["p"][:, None] * x,
            draws["q"][:, None],
            x * edges / (draws["v"][:, None] + x * edges),
        )
        total = total + at.sum(axis=0)
    size = int((FRAME["frequency"] > 0).sum())
    wanted = np.diff(total / size, axis=1, prepend=0.0, append=1.0)
    np.testing.assert_allclose(expected, wanted, atol=1e-12)
    assert actual.sum() == pytest.approx(1.0)


def test_a_backtest_keeps_the_columns_and_takes_the_middle_of_the_effects() -> None:
    from clvmodels.evaluation.fitting import Fitting, centre

    both = CLVPosterior(purchases(something), moved(something))
    point = centre(both)
    assert point.spend.draws_total == 1
    for level in LEVELS:
        name = f"spend[channel={level}]"
        assert point.spend.draws()[name] == pytest.approx(both.spend.draws()[name].mean())
    found = point.predict(RFM, horizon="90D")["expected_spend"]
    wanted = both.predict(RFM, horizon="90D")["expected_spend"]
    np.testing.assert_allclose(found, wanted, rtol=0.01)
    model = clv.CLVModel(
        clv.BetaGeoModel(purchase_covariates=["country"]),
        clv.GammaGammaModel(covariates=["channel", "frequency"], first_order="covariate"),
    )
    assert Fitting(model, {}).columns == ["country", "channel"]


def test_purchases_alone_ask_for_their_own_columns(tmp_path) -> None:
    """Where spend goes by a column that purchases do not, or by which they go too."""
    plain, spend = plain_posterior("mbgnbd"), moved(something)
    posterior = CLVPosterior(plain, spend)
    bare = table_of(FRAME.drop(columns="channel"))
    with pytest.raises(SchemaError, match="no column 'channel', a covariate of the model"):
        posterior.predict(bare, horizon="90D")
    wanted = plain.predict(bare, horizon="90D")
    same(posterior.purchases.predict(bare, horizon="90D"), wanted)
    same(
        clv.count_distribution(posterior, bare, horizon="90D").quantile(0.9),
        clv.count_distribution(plain, bare, horizon="90D").quantile(0.9),
    )
    bare.to_parquet(tmp_path / "b.parquet")
    clv.score(
        tmp_path / "b.parquet",
        posterior=posterior.purchases,
        output=tmp_path / "s.parquet",
        horizon="90D",
        draws=S,
    )
    found = pd.read_parquet(tmp_path / "s.parquet")
    same(found, wanted[list(found.columns)].astype(found.dtypes))
    country = Factor("country", ("here",), (len(FRAME),))
    design = replace(DESIGN, factors=(country, *DESIGN.factors))
    purchases = with_effects(plain, design_of_channels(FRAME), something)
    wider = replace(design, effects=purchases.metadata.design.effects)
    joint = replace(purchases, metadata=replace(purchases.metadata, design=wider))
    found = joint.predict(RFM, horizon="90D")  # a table without a country
    same(found, purchases.predict(RFM, horizon="90D"))
    narrow = narrowed(joint).metadata.design
    assert narrow.factors == purchases.metadata.design.factors
