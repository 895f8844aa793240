"""Covariates of spend are learnt, and what should make no difference to them makes none."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import (
    BetaGeoModel,
    CLVModel,
    Covariate,
    DomainError,
    GammaGammaModel,
    Pooled,
    SchemaError,
)
from clvmodels.fit.clv import asked_of, joint_of, plain_of
from clvmodels.formulas import gamma_gamma
from clvmodels.rfm.histories import rfm_columns
from tests.covariates import base_of, table_of

TIMES = {"ads": -0.4, "shop": 0.3, "web": 0.1}
SLOPE = 0.25
P, Q, V = 6.0, 4.0, 15.0
QUICK = {"method": "laplace", "random_seed": 1, "progressbar": False, "draws": 250}


@cache
def simulated(customers: int = 4000, seed: int = 2) -> pd.DataFrame:
    """Customers whose spend goes by their channel, and by the amount of their first order."""
    rng = np.random.default_rng(seed)
    frame = base_of(customers, seed)
    eta = frame["channel"].map(TIMES).to_numpy() - np.mean(list(TIMES.values()))
    first = np.exp(rng.normal(3.0, 0.8, customers))
    eta = eta + SLOPE * (np.log(first) - 3.0) / 0.8
    nu = rng.gamma(Q, 1.0, customers) / (V * np.exp(eta))
    x = frame["frequency"].to_numpy()
    mean = rng.gamma(P * np.maximum(x, 1), 1.0) / np.maximum(x, 1) / nu
    return frame.assign(
        monetary_value=np.where(x > 0, mean, 0.0),
        first_value=np.round(first, 2),
        constant="all",
    )


MODEL = GammaGammaModel(covariates=["channel"], first_order="covariate")


@pytest.fixture(scope="module")
def fitted():
    return MODEL.fit(table_of(simulated()), **QUICK)


@pytest.mark.slow
def test_effects_come_back(fitted) -> None:
    assert fitted.verdict.status == "pass"
    assert fitted.metadata.first_order == "covariate"
    draws, design = fitted.draws(), fitted.metadata.design
    level = np.mean(list(TIMES.values()))
    wanted = {f"spend[channel={name}]": value - level for name, value in TIMES.items()}
    (first,) = (one for one in design.factors if one.name == "first_value")
    assert len(first.levels) == 20
    wanted[f"spend[first_value={first.levels[-1]}]"] = SLOPE * first.numbers[-1]
    wanted |= {"p": P, "q": Q, "v": V}
    for name, value in wanted.items():
        assert abs(draws[name].mean() - value) < 4.5 * draws[name].std(), name


@pytest.mark.slow
def test_one_time_buyers_are_told_apart_by_their_first_order(fitted) -> None:
    frame = simulated()
    once = frame[frame["frequency"] == 0]
    spend = fitted.expected_customer_spend(once).mean(("chain", "draw")).to_numpy()
    low, high = np.quantile(once["first_value"], [0.1, 0.9])
    few, many = (spend[once["first_value"].to_numpy() <= low], spend[once["first_value"] >= high])
    assert many.mean() > 1.5 * few.mean()


def test_rows_in_another_order_and_money_in_another_unit() -> None:
    """The same statistic, and the same likelihood for v in the other money, but for its unit."""
    frame, cents = simulated(), 100.0
    dear = frame.assign(
        monetary_value=cents * frame["monetary_value"], first_value=cents * frame["first_value"]
    )
    order = np.random.default_rng(5).permutation(len(frame))
    fused, designs, histories = [], [], []
    for one in (frame, dear.iloc[order]):
        columns, design = MODEL._designed(rfm_columns(table_of(one)))
        statistics, _ = MODEL._prepare(columns)
        histories.append(statistics)
        designs.append(design)
        fused.append(MODEL._fused(statistics))
    np.testing.assert_array_equal(histories[0].stratum, histories[1].stratum)
    np.testing.assert_allclose(designs[1].factors[1].numbers, designs[0].factors[1].numbers)
    assert designs[0].mix == designs[1].mix
    strata = len(histories[0].strata)
    p, q = np.full(strata, P), np.full(strata, Q)
    v = V * np.exp(np.random.default_rng(6).normal(0.0, 0.5, strata))
    one, other = fused[0](p, q, v), fused[1](p, q, cents * v)
    customers = histories[0].customers
    assert other[0] == pytest.approx(one[0] - customers * np.log(cents), rel=1e-10)
    np.testing.assert_allclose(other[1 + 2 * strata :] * cents, one[1 + 2 * strata :], atol=1e-7)


def test_the_likelihood_is_the_sum_of_the_strata() -> None:
    columns, _ = MODEL._designed(rfm_columns(table_of(simulated())))
    h, _ = MODEL._prepare(columns)
    v = V * np.exp(np.random.default_rng(6).normal(0.0, 0.5, len(h.strata)))
    own = v[np.searchsorted(h.strata, h.stratum)]
    wanted = h.count @ gamma_gamma.log_likelihood(h.x, h.total / h.x, p=P, q=Q, v=own)
    shape = np.ones(len(v))
    found = MODEL._fused(h)(P * shape, Q * shape, v)
    assert found[0] == pytest.approx(wanted, rel=1e-11)
    step = 1e-5
    for at in (0, 7, len(v) - 1):
        there = np.where(np.arange(len(v)) == at, step, 0.0)
        up, down = (MODEL._fused(h)(P * shape, Q * shape, v + d)[0] for d in (there, -there))
        assert found[1 + 2 * len(v) + at] == pytest.approx((up - down) / (2 * step), abs=1e-4)


def test_a_column_of_one_value_changes_nothing() -> None:
    """One stratum and no effects: the same density at any point."""
    base = table_of(simulated())
    logp = [
        model.build(base).compile_logp(mode="FAST_COMPILE")
        for model in (GammaGammaModel(), GammaGammaModel(covariates=["constant"]))
    ]
    rng = np.random.default_rng(3)
    for _ in range(5):
        point = {f"{name}_log__": rng.normal(1.0, 0.4) for name in ("p", "q", "v")}
        values = [float(one(point)) for one in logp]
        assert values[1] == pytest.approx(values[0], rel=1e-12)


@pytest.mark.slow
def test_both_are_fitted_with_columns_of_their_own(tmp_path) -> None:
    """Purchases by one column, spend by another: strata of both, and their mix."""
    frame = simulated().assign(country=np.where(np.arange(4000) % 3, "far", "near"))
    base = table_of(frame)
    model = CLVModel(BetaGeoModel(purchase_covariates=["country"]), MODEL)
    point = QUICK | {"method": "map"}
    both = model.fit(base, **point)
    design = both.purchases.metadata.design
    assert design.columns == both.spend.metadata.design.columns
    assert set(design.columns) == {"country", "channel", "first_value"}
    assert sum(n for _, n in design.mix) == len(frame)
    assert [one.factor for one in design.effects] == ["country"]
    spend = MODEL.fit(base, **point)
    for name, values in spend.draws().items():
        np.testing.assert_array_equal(both.spend.draws()[name], values)
    found = both.predict(base, horizon="90D")
    wanted = both.spend.expected_customer_spend(base).mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(found["expected_spend"], wanted, rtol=1e-9)
    with pytest.raises(SchemaError, match=r"fit both at once, with CLVModel\(purchases, spend\)"):
        clv.CLVPosterior(model.purchases.fit(base, **point), spend)
    loaded = clv.load_posterior(both.save(tmp_path / "p.nc"))
    pd.testing.assert_frame_equal(loaded.predict(base, horizon="90D"), found)


@pytest.mark.slow
def test_spend_that_goes_by_frequency_has_a_cure() -> None:
    """Frequent buyers spend more: found as a fault, and gone with frequency as a covariate."""
    rng = np.random.default_rng(7)
    frame = simulated()
    x = frame["frequency"].to_numpy()
    nu = rng.gamma(Q, 1.0, len(x)) / (V * np.maximum(x, 1) ** 0.5)
    mean = rng.gamma(P * np.maximum(x, 1), 1.0) / np.maximum(x, 1) / nu
    base = table_of(frame.assign(monetary_value=np.where(x > 0, mean, 0.0)))
    from clvmodels.diagnostics.single import part
    from clvmodels.diagnostics.spend_fit import correlation

    plain = GammaGammaModel().fit(base, **QUICK)
    cured = GammaGammaModel(covariates=[Pooled("frequency", ordered=True)]).fit(
        base, **QUICK | {"method": "nuts", "tune": 500, "draws": 1_500, "chains": 2}
    )
    assert correlation(part(plain, base))[0] > 0.25
    assert abs(correlation(part(cured, base))[0]) < 0.05
    draws = cured.draws()
    rise = draws["spend[frequency=4]"] - draws["spend[frequency=1]"]
    assert abs(rise.mean() - 0.5 * np.log(4.0)) < 4.5 * rise.std()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"covariates": "channel"}, "covariates='channel' must be a list"),
        ({"covariates": ["monetary_value"]}, "monetary_value cannot be a covariate"),
        ({"covariates": ["channel", "channel"]}, "names 'channel' twice"),
        (
            {"covariates": ["first_value"], "first_order": "covariate"},
            "first_order='covariate' has the column first_value",
        ),
    ],
)
def test_what_is_refused(model, said) -> None:
    with pytest.raises(SchemaError, match=said):
        GammaGammaModel(**model)


def test_what_is_refused_of_both() -> None:
    columns = rfm_columns(table_of(base_of()))
    with pytest.raises(SchemaError, match="frequency cannot be a covariate"):
        BetaGeoModel(purchase_covariates=["frequency"])
    with pytest.raises(SchemaError, match="'auto' may stack several"):
        joint_of(CLVModel("auto", GammaGammaModel(covariates=["channel"])), columns)
    few = Covariate("first_value", bins=4)
    model = CLVModel(
        BetaGeoModel(purchase_covariates=[few]), GammaGammaModel(first_order="covariate")
    )
    with pytest.raises(SchemaError, match="cut the column 'first_value' in different ways"):
        joint_of(model, columns)
    with pytest.raises(SchemaError, match="The table has no column 'colour'"):
        joint_of(CLVModel(spend=GammaGammaModel(covariates=["colour"])), columns)
    with pytest.raises(SchemaError, match="Histories that were counted know nothing of customers"):
        MODEL.fit(clv.count_histories(table_of(base_of())))
    with pytest.raises(DomainError, match="not positive, and so no logarithm"):
        GammaGammaModel(covariates=[Covariate("frequency", log=True)])._designed(columns)


def test_first_orders_that_were_free_stand_with_the_least() -> None:
    frame = base_of().assign(first_value=lambda f: np.where(f.index < 30, 0.0, f["first_value"]))
    columns, design = MODEL._designed(rfm_columns(table_of(frame)))
    (first,) = (one for one in design.factors if one.name == "first_value")
    assert np.isfinite(first.numbers).all()
    assert (np.diff(first.numbers) > 0).all()
    assert len(columns.stratum) == len(frame)


def test_the_same_model_without_covariates() -> None:
    model = CLVModel(BetaGeoModel(purchase_covariates=["channel"]), MODEL)
    assert [one.column for one in asked_of(model)] == ["channel", "channel", "first_value"]
    assert plain_of(model) == CLVModel()
    include = CLVModel(spend=GammaGammaModel(first_order="include", covariates=["channel"]))
    assert plain_of(include) == CLVModel(spend=GammaGammaModel(first_order="include"))
