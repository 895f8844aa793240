"""Fits go to pymc-marketing and come from there: same numbers, same model, same verdict."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytensor
import pytest
import xarray as xr
from pymc_extras.prior import Prior

import clvmodels
from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    ModifiedBetaGeoModel,
    ModifiedBetaGeoPosterior,
    ParetoNBDModel,
    ParetoNBDPosterior,
    RfmTable,
    datasets,
    from_pymc_marketing,
    load_posterior,
    rfm_summary,
    to_pymc_marketing,
)
from clvmodels.errors import ConvergenceError, DomainError, SchemaError, TimeUnitError
from clvmodels.fit.priors import as_dict
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories
from clvmodels.verdict import nuts_verdict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what other packages say while they are imported
    from pymc_marketing import clv
    from pymc_marketing.clv import plotting

LOG = datasets.load_cdnow(sample=True)
COLUMNS = {"customer_id_col": "customer_id", "datetime_col": "date"}
TABLE = rfm_summary(
    LOG,
    **COLUMNS,
    monetary_value_col="amount",
    time_scaler=7,
    observation_period_end="1997-09-30",
)
FRAME = TABLE.to_pandas()
REPEAT = FRAME[(FRAME["frequency"] > 0) & (FRAME["monetary_value"] > 0)]
WEEKS = {"time_unit": "D", "time_scaler": 7}
QUIET = {"progressbar": False, "random_seed": 1}

# Around the published fits of this sample, a on both sides of 1 and never near it.
RNG = np.random.default_rng(6)
COUNT = 40


def around(centre: dict[str, float], spread: float = 0.08) -> dict[str, np.ndarray]:
    return {n: value * np.exp(spread * RNG.normal(size=COUNT)) for n, value in centre.items()}


BOUGHT = around({"r": 0.243, "alpha": 4.414, "b": 2.426}) | {
    "a": np.r_[RNG.uniform(0.6, 0.95, COUNT - 6), RNG.uniform(1.05, 1.4, 6)]
}
SPENT = around({"p": 6.25, "q": 3.74, "v": 15.44})
LEFT_ANY_TIME = around({"r": 0.5533, "alpha": 10.578, "s": 0.6060, "beta": 11.664})
KINDS = {
    "bgnbd": (BetaGeoPosterior, clv.BetaGeoModel, BetaGeoModel),
    "mbgnbd": (ModifiedBetaGeoPosterior, clv.ModifiedBetaGeoModel, ModifiedBetaGeoModel),
    "paretonbd": (ParetoNBDPosterior, clv.ParetoNBDModel, ParetoNBDModel),
}
DRAWS = {"bgnbd": BOUGHT, "mbgnbd": BOUGHT, "paretonbd": LEFT_ANY_TIME}
LEAVES = {"bgnbd": "a", "mbgnbd": "a", "paretonbd": "s"}
GIVEN = {name: kind[0].from_draws(**DRAWS[name], **WEEKS) for name, kind in KINDS.items()}
SPEND = GammaGammaPosterior.from_draws(**SPENT)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def agree(found: xr.DataArray, expected: xr.DataArray, rtol: float) -> None:
    """Draw for draw and customer for customer, joined by name."""
    expected = expected.transpose(*found.dims)
    assert found.sizes == expected.sizes
    for name in found.dims:
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=rtol, atol=1e-14)


# --- to pymc-marketing: its numbers are ours ---


@pytest.fixture(scope="module", params=KINDS)
def pair(request) -> tuple[Any, Any]:
    """A posterior of ours, and the model that it makes."""
    posterior = GIVEN[request.param]
    return posterior, to_pymc_marketing(posterior, TABLE)


def test_the_models_are_of_its_classes() -> None:
    for name, (_, peer, _) in KINDS.items():
        assert type(to_pymc_marketing(GIVEN[name], TABLE)) is peer
    both = to_pymc_marketing(CLVPosterior(GIVEN["mbgnbd"], SPEND), TABLE)
    assert type(both.purchases) is clv.ModifiedBetaGeoModel
    assert type(both.spend) is clv.GammaGammaModel
    assert both == (both.purchases, both.spend)
    assert type(both).__name__ == "PymcMarketingModels"


@pytest.mark.parametrize("weeks", [0.5, 10, 39, 500])
def test_expected_purchases(pair, weeks: float) -> None:
    posterior, model = pair
    found = model.expected_purchases(future_t=weeks)
    agree(found, posterior.expected_purchases(TABLE, future_t=weeks), 1e-8)


def test_expected_probability_alive(pair) -> None:
    posterior, model = pair
    found = model.expected_probability_alive()
    agree(found, posterior.expected_probability_alive(TABLE), 1e-12)


def test_expected_purchases_of_a_new_customer(pair) -> None:
    posterior, model = pair
    times = [1.0, 32.0, 78.0]
    frame = pd.DataFrame({"customer_id": range(3), "t": times})
    found = model.expected_purchases_new_customer(frame)
    expected = posterior.expected_purchases_new_customer(t=times)
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-9)


def test_other_customers_than_the_model_was_made_with(pair) -> None:
    posterior, model = pair
    others = FRAME.head(7).assign(customer_id=list("gfedcba"), T=90.0)
    found = model.expected_purchases(others, future_t=10)
    agree(found, posterior.expected_purchases(others, future_t=10), 1e-8)


def test_expected_spend() -> None:
    model = to_pymc_marketing(SPEND, TABLE)
    assert model.data["customer_id"].tolist() == REPEAT["customer_id"].tolist()
    for frame in (model.data, FRAME):  # without a repeat purchase too
        found = model.expected_customer_spend(frame)
        agree(found, SPEND.expected_customer_spend(frame), 1e-13)
    p, q, v = SPENT.values()
    new = model.expected_new_customer_spend().to_numpy().ravel()
    np.testing.assert_allclose(new, p * v / (q - 1), rtol=1e-13)


@pytest.mark.parametrize("name", KINDS)
def test_lifetime_value(name: str) -> None:
    """Discounted by the month the means agree; its draws go without spend's uncertainty."""
    both = CLVPosterior(GIVEN[name], SPEND)
    some = FRAME.iloc[::40]
    model = to_pymc_marketing(both, TABLE)
    monthly = 0.01
    found = model.spend.expected_customer_lifetime_value(
        model.purchases, some, future_t=12, discount_rate=monthly, time_unit="W"
    )
    options = {"discount_rate": (1 + monthly) ** 12 - 1, "discounting": "monthly"}
    expected = both.predict(some, horizon="12M", draws=COUNT, **options)
    means = found.mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(means, expected["clv"], rtol=1e-8)
    sds = found.std(("chain", "draw")).to_numpy()
    assert (expected["clv_sd"] > sds).all()
    once = (some["frequency"] == 0).to_numpy()
    assert (expected["clv_sd"] / sds)[once].min() > 1.3


# --- where it differs from us, and why ---


def test_pinned_no_purchase_of_those_who_bought_once() -> None:
    """Its P(no purchase) leaves out the x > 0 of eq. 34: .927 where the closed form has .855.

    Who bought once is alive for certain in BG/NBD, so that the probability of no purchase
    in t weeks is ((alpha + T) / (alpha + T + t))^r.
    """
    posterior = GIVEN["bgnbd"]
    model = to_pymc_marketing(posterior, TABLE)
    found = model.expected_probability_no_purchase(t=39)
    ours = 1.0 - posterior.probability_of_purchase(TABLE, future_t=39)
    once = FRAME["frequency"].to_numpy() == 0
    agree(found[..., ~once], ours[..., ~once], 1e-9)
    assert float((found - ours)[..., once].min()) > 0.02
    draws = {name: values[:, None] for name, values in posterior.draws().items()}
    weeks = FRAME.loc[once, "T"].to_numpy()
    closed = ((draws["alpha"] + weeks) / (draws["alpha"] + weeks + 39)) ** draws["r"]
    np.testing.assert_allclose(ours[0, :, once], closed, rtol=1e-12)


def test_pinned_no_purchase_of_mbgnbd_is_not_there() -> None:
    model = to_pymc_marketing(GIVEN["mbgnbd"], TABLE)
    with pytest.raises(NotImplementedError):
        model.expected_probability_no_purchase(t=39)


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", KINDS)
def test_pinned_expected_purchases_near_a_shape_of_1(name: str) -> None:
    """It divides by a - 1, or s - 1: nothing at 1, and the digits are lost near it."""
    point = {parameter: values[0] for parameter, values in DRAWS[name].items()}
    near = {LEAVES[name]: [1.0, 1.0 + 1e-12, 1.0 + 1e-3]}
    posterior = KINDS[name][0].from_draws(**(point | near), **WEEKS)
    found = to_pymc_marketing(posterior, TABLE).expected_purchases(future_t=39)
    ours = posterior.expected_purchases(TABLE, future_t=39)
    off = abs(found / ours - 1).max("customer_id").to_numpy()[0]
    assert not np.isfinite(off[0])
    assert off[1] > 1e-6
    assert off[2] < 1e-8
    assert np.isfinite(ours).all()


def test_pinned_ids_are_sorted_where_rows_are_not() -> None:
    """Its draws of customers' mean spend carry sorted ids on unsorted rows."""
    posterior = GammaGammaPosterior.from_draws(p=2e4, q=3.0, v=15.44)  # hardly any noise
    model = to_pymc_marketing(posterior, TABLE)
    some = model.data.tail(4)[::-1]
    drawn = model.distribution_customer_spend(some, random_seed=1)
    assert drawn["customer_id"].to_numpy().tolist() == sorted(some["customer_id"])
    expected = posterior.expected_customer_spend(some)
    assert expected["customer_id"].to_numpy().tolist() == some["customer_id"].tolist()
    np.testing.assert_allclose(drawn.to_numpy().ravel(), expected.to_numpy().ravel(), rtol=0.05)
    by_name = drawn.sel(customer_id=expected["customer_id"])
    assert abs(by_name.to_numpy() / expected.to_numpy() - 1).max() > 0.1


# --- to pymc-marketing: what goes along ---


def with_priors(posterior, specification, scale: float = 30.0):
    """A posterior that was fitted under these priors, as far as can be seen."""
    priors = as_dict(specification.resolved_priors(scale))
    return replace(posterior, metadata=replace(posterior.metadata, priors=priors))


OWN = {
    "dropout": {"phi_dropout": Prior("Beta", alpha=2.0, beta=3.0), "r": Prior("Exponential")},
    "a and b": {
        "a": Prior("HalfNormal", sigma=2.0),
        "b": Prior("Gamma", alpha=2.0, beta=Prior("HalfNormal")),
    },
}
FIXED = ("default", "pymc-marketing")
PRIORS = [
    *((name, priors) for name in ("bgnbd", "mbgnbd") for priors in (*FIXED, *OWN.values())),
    *(("paretonbd", priors) for priors in (*FIXED, {"s": Prior("Exponential")})),
]


@pytest.mark.parametrize(("name", "priors"), PRIORS, ids=str)
def test_the_priors_go_along(name: str, priors) -> None:
    specification = KINDS[name][2](priors=priors)
    posterior = with_priors(GIVEN[name], specification)
    model = to_pymc_marketing(posterior, TABLE)
    for parameter, prior in specification.resolved_priors(30.0).items():
        assert model.model_config[parameter] == prior
    free = {one.name for one in model.model.free_RVs}
    sampled = set(specification.resolved_priors(30.0))
    hyper = {"b_beta"} if "b" in sampled else set()
    assert free - hyper == sampled
    assert sampled <= {str(one) for one in model.idata["posterior"].data_vars}


def test_the_priors_of_spend_go_along() -> None:
    specification = GammaGammaModel(priors={"q": Prior("LogNormal", mu=1.2, sigma=0.3)})
    posterior = with_priors(SPEND, specification, 20.0)
    model = to_pymc_marketing(posterior, TABLE)
    assert {n: model.model_config[n] for n in "pqv"} == specification.resolved_priors(20.0)


def test_given_draws_stand_beside_its_own_priors(pair) -> None:
    posterior, model = pair
    defaults = type(model)().model_config
    assert {n: model.model_config[n] for n in defaults} == defaults
    draws = model.fit_result
    assert {*posterior.facts.parameter_names, *posterior.facts.defaults} <= set(draws)
    if "a" in draws:
        np.testing.assert_allclose(draws["a"], draws["phi_dropout"] * draws["kappa_dropout"])
        np.testing.assert_allclose(draws["b"], (1 - draws["phi_dropout"]) * draws["kappa_dropout"])


def test_the_groups_of_a_fit(pair) -> None:
    posterior, model = pair
    tree = model.idata
    assert set(tree.children) == {"posterior", "fit_data", "observed_data"}
    assert {"id", "model_type", "version", "sampler_config", "model_config"} <= set(tree.attrs)
    assert tree.attrs["id"] == model.id
    assert model.is_fitted_
    wanted = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(model.data, FRAME[wanted])
    observed = tree["observed_data"]["recency_frequency"]
    np.testing.assert_array_equal(observed.sel(obs_var="frequency"), FRAME["frequency"])
    np.testing.assert_array_equal(observed.sel(obs_var="recency"), FRAME["recency"])
    known = tree["posterior"].attrs
    assert (known["method"], known["time_unit"], known["time_scaler"]) == ("given", "D", 7.0)
    assert "phi_dropout" not in posterior.tree["posterior"]  # ours is left as it was
    assert list(posterior.tree.children) == ["posterior"]


def test_frames_of_any_kind_do_too(pair) -> None:
    posterior, model = pair
    for table in (FRAME, TABLE.to_arrow(), pl.from_arrow(TABLE.to_arrow())):
        other = to_pymc_marketing(posterior, table)
        pd.testing.assert_frame_equal(other.data, model.data)
    without = to_pymc_marketing(posterior, FRAME.drop(columns="monetary_value"))
    assert "monetary_value" not in without.data


@pytest.mark.parametrize("ids", ["numbers", "text"])
def test_save_and_load(pair, ids: str, tmp_path) -> None:
    posterior, _ = pair
    frame = FRAME.head(60)
    if ids == "text":
        frame = frame.assign(customer_id="c" + frame["customer_id"].astype(str))
    model = to_pymc_marketing(posterior, frame)
    model.save(str(tmp_path / "model.nc"))
    back = type(model).load(str(tmp_path / "model.nc"))
    assert back.id == model.id
    assert back.data["customer_id"].tolist() == frame["customer_id"].tolist()
    xr.testing.assert_allclose(
        back.expected_purchases(future_t=9), model.expected_purchases(future_t=9), rtol=1e-14
    )
    ours = from_pymc_marketing(back)
    assert ours.fingerprint() == posterior.fingerprint()
    assert ours.scale == posterior.scale


def test_spend_is_saved_and_loaded_too(tmp_path) -> None:
    model = to_pymc_marketing(with_priors(SPEND, GammaGammaModel(), 20.0), TABLE)
    model.save(str(tmp_path / "model.nc"))
    back = clv.GammaGammaModel.load(str(tmp_path / "model.nc"))
    assert back.id == model.id
    assert from_pymc_marketing(back).fingerprint() == SPEND.fingerprint()


def test_summaries_thinning_and_names(pair) -> None:
    posterior, model = pair
    summary, facts = model.fit_summary(), posterior.facts
    assert {*facts.parameter_names, *facts.defaults} <= set(summary.index)
    thinned = model.thin_fit_result(4)
    assert thinned.fit_result.sizes["draw"] == COUNT // 4
    assert "recency_frequency" in repr(model)
    first = {name: values[0] for name, values in posterior.draws().items()}
    values = to_pymc_marketing(type(posterior).from_draws(**first, **WEEKS), TABLE).fit_summary()
    assert values.name == "value"  # of a single point, as of its own modes
    assert values["r"] == pytest.approx(first["r"])


PLOTS = {
    "frequency and recency": lambda model: plotting.plot_frequency_recency_matrix(model),
    "alive": lambda model: plotting.plot_probability_alive_matrix(model),
    "over time": lambda model: plotting.plot_expected_purchases_over_time(
        model=model, purchase_history=LOG, **COLUMNS, t=60, time_unit="W"
    ),
    "exposure": lambda model: plotting.plot_customer_exposure(model.data.head(40)),
}


@pytest.mark.slow
@pytest.mark.parametrize("plot", PLOTS)
def test_its_plots(pair, plot: str) -> None:
    _, model = pair
    axes = PLOTS[plot](model)
    assert axes.has_data()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
@pytest.mark.parametrize("check", ["prior", "posterior"])
def test_its_predictive_check(check: str) -> None:
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    axes = plotting.plot_expected_purchases_ppc(model, ppc=check, samples=20)
    drawn, observed = ([bar.get_height() for bar in bars] for bars in axes.containers)
    assert observed[0] == pytest.approx((FRAME["frequency"] == 0).mean(), abs=1e-9)
    if check == "posterior":
        assert drawn[0] == pytest.approx(observed[0], abs=0.08)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Numba will use object mode:UserWarning")
def test_its_simulations() -> None:
    model = to_pymc_marketing(CLVPosterior(GIVEN["bgnbd"], SPEND), TABLE)
    some = model.purchases.data.head(5)
    drawn = model.purchases.distribution_new_customer(some, random_seed=1)
    assert set(drawn.data_vars) == {"dropout", "purchase_rate", "recency_frequency"}
    assert drawn.sizes["customer_id"] == 5
    spend = model.spend.distribution_new_customer_spend(n=200, random_seed=1)
    p, q, v = SPENT.values()
    assert float(spend.mean()) == pytest.approx(float((p * v / (q - 1)).mean()), rel=0.1)


# --- to pymc-marketing: what cannot be ---


def test_tables_that_do_not_fit() -> None:
    days = rfm_summary(LOG, **COLUMNS, observation_period_end="1997-09-30")
    with pytest.raises(TimeUnitError, match="posterior in 7 x D"):
        to_pymc_marketing(GIVEN["bgnbd"], days)
    with pytest.raises(SchemaError, match="monetary_value"):
        to_pymc_marketing(SPEND, FRAME.drop(columns="monetary_value"))
    with pytest.raises(SchemaError, match=r"3 rows repeat a customer_id.*one row per customer"):
        to_pymc_marketing(GIVEN["bgnbd"], pd.concat([FRAME, FRAME.head(3)]))


@pytest.mark.parametrize("name", [*KINDS, "gamma_gamma"])
def test_another_base_than_the_fitted_one_is_said(name: str) -> None:
    posterior = SPEND if name == "gamma_gamma" else GIVEN[name]
    histories = spend_histories(FRAME) if name == "gamma_gamma" else purchase_histories(FRAME)
    known = replace(posterior.metadata, fingerprint=histories.fingerprint())
    posterior = replace(posterior, metadata=known)
    to_pymc_marketing(posterior, FRAME.sample(frac=1, random_state=1))  # in any order
    with pytest.warns(UserWarning, match="not the base that was fitted"):
        to_pymc_marketing(posterior, FRAME.head(100))


def test_customers_watched_for_no_time_are_kept(pair) -> None:
    """With its own warning: they do no harm, and nobody is lost."""
    posterior, _ = pair
    table = FRAME.head(20).copy()
    table.loc[:2, ["frequency", "recency", "T"]] = 0
    with pytest.warns(UserWarning, match="T=0 is uninformative"):
        model = to_pymc_marketing(posterior, table)
    found = model.expected_purchases(future_t=10)
    agree(found, posterior.expected_purchases(table, future_t=10), 1e-8)


def test_without_pymc_marketing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pymc_marketing", None)
    with pytest.raises(SchemaError, match="pip install pymc-marketing"):
        to_pymc_marketing(SPEND, TABLE)
    with pytest.raises(SchemaError, match="pip install pymc-marketing"):
        from_pymc_marketing(object())


def test_predicting_imports_none_of_it() -> None:
    code = """
import sys
from clvmodels import BetaGeoPosterior
posterior = BetaGeoPosterior.from_draws(r=1, alpha=1, a=1, b=1)
posterior.expected_purchases_new_customer(t=3)
assert not hasattr(posterior, 'to_pymc_marketing')
print([name for name in ("pymc", "pymc_marketing", "clvmodels.interop") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- from pymc-marketing: what can be seen without fitting ---


def refitted(model, draws: dict[str, np.ndarray], stats: dict[str, Any] | None = None):
    """The model with other draws, shape (chains, draws), as if it had been fitted anew."""
    dims = ("chain", "draw")
    groups = {"posterior": xr.Dataset({n: (dims, v) for n, v in draws.items()})}
    if stats is not None:
        groups["sample_stats"] = xr.Dataset({n: (dims, v) for n, v in stats.items()})
    model.idata = xr.DataTree.from_dict(groups)
    return model


def chains(posterior, rng, *, shape=(4, 500), drift: float = 0.0) -> dict[str, np.ndarray]:
    """Independent draws, the chains of which drift apart by so many sd."""
    values = {n: rng.choice(v, shape) for n, v in posterior.draws().items()}
    apart = drift * np.arange(shape[0])[:, None]
    found = {n: v * np.exp(0.01 * rng.normal(size=shape)) for n, v in values.items()}
    found = {n: v + apart * v.std() for n, v in found.items()}
    if "a" in found:
        total = found["a"] + found["b"]
        found |= {"phi_dropout": found["a"] / total, "kappa_dropout": total}
    return found


@pytest.mark.parametrize("name", [*KINDS, "gamma_gamma"])
def test_there_and_back(name: str, tmp_path) -> None:
    posterior = SPEND if name == "gamma_gamma" else GIVEN[name]
    back = from_pymc_marketing(to_pymc_marketing(posterior, TABLE))
    assert type(back) is type(posterior)
    assert back.fingerprint() == posterior.fingerprint()
    for parameter, values in posterior.draws().items():
        np.testing.assert_array_equal(back.draws()[parameter], values)
    assert (back.metadata.model, back.metadata.method) == (posterior.metadata.model, "given")
    assert back.verdict == posterior.verdict
    assert back.scale == posterior.scale
    saved = load_posterior(back.save(tmp_path / "p.nc"))
    assert saved.metadata == back.metadata


def test_what_is_known_of_its_base() -> None:
    model = to_pymc_marketing(CLVPosterior(GIVEN["bgnbd"], SPEND), TABLE)
    back = from_pymc_marketing(model.purchases, model.spend, observation_end="1997-09-30")
    bought, spent = back.purchases.metadata, back.spend.metadata
    assert bought.fingerprint == purchase_histories(FRAME).fingerprint()
    assert spent.fingerprint == spend_histories(FRAME).fingerprint()
    assert (bought.base["customers"], bought.base["repeat_customers"]) == (2357, 946)
    assert spent.base["customers"] == 946
    assert bought.observation_end == spent.observation_end == "1997-09-30"
    assert bought.versions["pymc-marketing"] == clv_version()
    assert bought.versions["clvmodels"] == clvmodels.__version__
    assert "BetaGeoModel" in bought.notes[0]
    assert bought.priors["r"] == Prior("Weibull", alpha=2, beta=1).to_dict()
    assert set(bought.priors) == {"r", "alpha", "phi_dropout", "kappa_dropout"}
    assert set(spent.priors) == {"p", "q", "v"}


def clv_version() -> str:
    from importlib.metadata import version

    return version("pymc-marketing")


def test_chains_are_judged_by_our_rules(rng) -> None:
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    draws = chains(GIVEN["bgnbd"], rng)
    quiet = np.zeros((4, 500), dtype=bool)
    found = from_pymc_marketing(refitted(model, draws, {"diverging": quiet}), **WEEKS)
    assert found.metadata.method == "nuts"
    assert found.verdict == nuts_verdict(draws, quiet)
    assert found.verdict.status == "pass"
    assert dict(found.tree["posterior"].sizes) == {"chain": 4, "draw": 500}
    some = quiet.copy()
    some[0, :300] = True
    with pytest.raises(ConvergenceError, match=r"divergent.*To take the draws all the same"):
        from_pymc_marketing(refitted(model, draws, {"diverging": some}), **WEEKS)


def test_chains_that_disagree_are_never_taken_in_silence(rng, tmp_path) -> None:
    draws = chains(GIVEN["bgnbd"], rng, drift=1.0)
    quiet = {"diverging": np.zeros((4, 500), dtype=bool)}
    model = refitted(to_pymc_marketing(GIVEN["bgnbd"], TABLE), draws, quiet)
    with pytest.raises(ConvergenceError, match="largest R-hat"):
        from_pymc_marketing(model, **WEEKS)
    with pytest.warns(UserWarning, match="did not converge"):
        found = from_pymc_marketing(model, **WEEKS, on_failure="warn")
    assert found.verdict.status == "fail"
    assert load_posterior(found.save(tmp_path / "p.nc")).verdict.status == "fail"
    spend = to_pymc_marketing(SPEND, TABLE)
    with pytest.raises(ConvergenceError, match="largest R-hat"):
        from_pymc_marketing(model, spend, **WEEKS)


def test_samplers_without_divergences_are_judged_too(rng) -> None:
    """DEMetropolisZ leaves acceptances, and a file may have lost its statistics."""
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    draws = chains(GIVEN["bgnbd"], rng)
    accepted = {"accepted": np.ones((4, 500), dtype=bool), "scaling": np.ones((4, 500))}
    for stats in (accepted, None):
        found = from_pymc_marketing(refitted(model, draws, stats), **WEEKS)
        assert (found.metadata.method, found.verdict.method) == ("given", "given")
        names = [check.name for check in found.verdict.checks]
        assert names == ["largest R-hat", "smallest bulk ESS", "smallest tail ESS"]
        assert found.verdict.status == "pass"
    one = {name: values[:1] for name, values in draws.items()}
    single = refitted(model, one, {"accepted": np.ones((1, 500), dtype=bool)})
    assert len(from_pymc_marketing(single, **WEEKS).verdict.checks) == 3
    apart = chains(GIVEN["bgnbd"], rng, drift=1.0)
    with pytest.raises(ConvergenceError, match="The fit did not converge"):
        from_pymc_marketing(refitted(model, apart, accepted), **WEEKS)


def test_statistics_of_nutpie_and_of_pymc_have_one_name(rng) -> None:
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    draws, shape = chains(GIVEN["bgnbd"], rng), (4, 500)
    theirs = {
        "diverging": np.zeros(shape, dtype=bool),
        "logp": rng.normal(size=shape),
        "depth": np.ones(shape, dtype=np.uint64),
        "mean_tree_accept": rng.uniform(size=shape),
        "divergence_message": np.full(shape, None, dtype=object),
        "fisher_distance": rng.normal(size=shape),
    }
    stats = from_pymc_marketing(refitted(model, draws, theirs), **WEEKS).tree["sample_stats"]
    assert set(stats.data_vars) == {"diverging", "lp", "tree_depth", "acceptance_rate"}
    np.testing.assert_array_equal(stats["lp"], theirs["logp"])


def test_units_of_time(rng) -> None:
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    assert str(from_pymc_marketing(model).scale) == "7 x D"
    assert str(from_pymc_marketing(model, **WEEKS).scale) == "7 x D"
    with pytest.raises(TimeUnitError, match="from a posterior in 7 x D, not in W"):
        from_pymc_marketing(model, time_unit="W")
    quiet = {"diverging": np.zeros((4, 500), dtype=bool)}
    foreign = refitted(model, chains(GIVEN["bgnbd"], rng), quiet)
    assert str(from_pymc_marketing(foreign).scale) == "D"
    assert str(from_pymc_marketing(foreign, time_unit="W").scale) == "W"
    assert str(from_pymc_marketing(foreign, time_scaler=7).scale) == "7 x D"
    with pytest.raises(TimeUnitError, match="time_unit='Q'"):
        from_pymc_marketing(foreign, time_unit="Q")


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("1997-09-30", "1997-09-30"),
        (pd.Timestamp("1997-09-30"), "1997-09-30"),
        (pd.Timestamp("1997-09-30 18:00"), "1997-09-30T18:00:00"),
        (pd.Timestamp("1997-09-30").date(), "1997-09-30"),
        (None, None),
    ],
)
def test_observation_end(given, written) -> None:
    found = from_pymc_marketing(to_pymc_marketing(SPEND, TABLE), observation_end=given)
    assert found.metadata.observation_end == written


def test_what_is_no_fitted_model() -> None:
    with pytest.raises(SchemaError, match=r"BetaGeoModel has not been fitted.*model\.fit"):
        from_pymc_marketing(clv.BetaGeoModel())
    with pytest.raises(SchemaError, match=r"A BetaGeoBetaBinomModel cannot.*from_draws"):
        from_pymc_marketing(clv.BetaGeoBetaBinomModel())
    with pytest.raises(SchemaError, match="A GammaGammaModelIndividual cannot"):
        from_pymc_marketing(clv.GammaGammaModelIndividual())
    with pytest.raises(SchemaError, match="A DataTree cannot be converted"):
        from_pymc_marketing(xr.DataTree())
    spend = to_pymc_marketing(SPEND, TABLE)
    bought = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    with pytest.raises(SchemaError, match="purchases must be a PurchasePosterior"):
        from_pymc_marketing(spend, bought)
    with pytest.raises(SchemaError, match="on_failure='ignore'"):
        from_pymc_marketing(spend, on_failure="ignore")
    with pytest.raises(SchemaError, match="observation_end='someday' is not a date"):
        from_pymc_marketing(spend, observation_end="someday")


def test_covariates_are_refused() -> None:
    config = {"purchase_covariate_cols": ["vip"], "dropout_covariate_cols": []}
    model = clv.BetaGeoModel(model_config=config)
    model.idata = xr.DataTree.from_dict({"posterior": xr.Dataset()})
    with pytest.raises(DomainError, match=r"covariates \(vip\).*fit without them"):
        from_pymc_marketing(model)


def test_draws_that_cannot_be(rng) -> None:
    model = to_pymc_marketing(GIVEN["bgnbd"], TABLE)
    draws = chains(GIVEN["bgnbd"], rng)
    with pytest.raises(SchemaError, match="no draws of alpha"):
        from_pymc_marketing(refitted(model, {n: v for n, v in draws.items() if n != "alpha"}))
    for bad in (0.0, -1.0, np.nan, np.inf):
        wrong = draws["r"].copy()
        wrong[1, 3] = bad
        with pytest.raises(DomainError, match="Draws of r must be positive and finite"):
            from_pymc_marketing(refitted(model, draws | {"r": wrong}))


def test_a_model_that_lost_its_data(rng) -> None:
    quiet = {"diverging": np.zeros((4, 500), dtype=bool)}
    model = refitted(clv.BetaGeoModel(), chains(GIVEN["bgnbd"], rng), quiet)
    found = from_pymc_marketing(model)
    assert found.metadata.fingerprint is None
    assert found.metadata.base == {}
    assert "lost its data" in found.metadata.notes[1]
    point = {n: v[:1, :1] for n, v in chains(GIVEN["bgnbd"], rng).items()}
    mode = from_pymc_marketing(refitted(clv.BetaGeoModel(), point))
    assert (mode.metadata.method, mode.verdict.status) == ("map", "unavailable")
    one = {n: v[:1] for n, v in chains(GIVEN["bgnbd"], rng).items()}
    assert from_pymc_marketing(refitted(clv.BetaGeoModel(), one)).verdict.status == "unavailable"


# --- from pymc-marketing: its own fits of CDNOW ---


@pytest.fixture(scope="module")
def sampled() -> tuple[Any, Any]:
    """Its Markov chains, with its own priors."""
    bought, spent = clv.BetaGeoModel(), clv.GammaGammaModel()
    options = {"chains": 2, "progressbar": False, "random_seed": 4}
    bought.fit(FRAME, draws=700, tune=500, **options)
    spent.fit(REPEAT, draws=1000, tune=500, **options)
    return bought, spent


@pytest.fixture(scope="module")
def taken(sampled) -> CLVPosterior:
    return from_pymc_marketing(*sampled, **WEEKS, observation_end="1997-09-30")


@pytest.mark.slow
def test_its_chains_give_its_numbers(sampled, taken) -> None:
    bought, spent = sampled
    for theirs, ours in ((bought, taken.purchases), (spent, taken.spend)):
        for name in ours.parameters:
            np.testing.assert_array_equal(ours.tree["posterior"][name], theirs.fit_result[name])
    found = taken.purchases.expected_purchases(TABLE, future_t=39)
    agree(bought.expected_purchases(future_t=39), found, 1e-8)
    alive = taken.purchases.expected_probability_alive(TABLE)
    agree(bought.expected_probability_alive(), alive, 1e-12)
    agree(spent.expected_customer_spend(FRAME), taken.spend.expected_customer_spend(FRAME), 1e-12)
    table = taken.predict(TABLE, horizon=39, draws=10_000)
    means = found.mean(("chain", "draw"))
    np.testing.assert_allclose(table["expected_purchases"], means, rtol=0.02)


@pytest.mark.slow
def test_its_chains_are_what_is_said_of_them(sampled, taken) -> None:
    for theirs, ours in zip(sampled, (taken.purchases, taken.spend), strict=True):
        known = ours.metadata
        assert known.method == "nuts"
        assert known.verdict.status in ("pass", "warn")
        assert known.versions["pymc-marketing"] == clv_version()
        assert len(known.versions) == 3  # and of the sampler
        assert "Fitted by pymc-marketing" in known.notes[0]
        draws = {n: v.to_numpy() for n, v in theirs.fit_result.data_vars.items()}
        diverging = theirs.idata["sample_stats"]["diverging"].to_numpy()
        assert known.verdict == nuts_verdict(draws, diverging)


@pytest.mark.slow
def test_its_chains_sit_where_ours_do(taken) -> None:
    """Other samplers, the same priors, base and model: means within Monte Carlo error."""
    both = CLVModel(BetaGeoModel("pymc-marketing"), GammaGammaModel("pymc-marketing"))
    ours = both.fit(TABLE, method="nuts", draws=2000, **QUIET)
    for mine, theirs in ((ours.purchases, taken.purchases), (ours.spend, taken.spend)):
        assert mine.metadata.priors == theirs.metadata.priors
        assert mine.metadata.fingerprint == theirs.metadata.fingerprint
        one, two = mine.summary(), theirs.summary()
        error = np.hypot(one["mcse_mean"], two["mcse_mean"])
        assert ((one["mean"] - two["mean"]).abs() < 4.5 * error).all()


@pytest.mark.slow
def test_its_chains_go_all_the_way(taken, tmp_path) -> None:
    """Saved, loaded, predicted, scored and reported like any other posterior."""
    back = load_posterior(taken.save(tmp_path / "p.nc"))
    assert back.purchases.metadata == taken.purchases.metadata
    table = taken.predict(TABLE)
    pd.testing.assert_frame_equal(back.predict(TABLE), table, check_exact=True)
    TABLE.to_parquet(tmp_path / "rfm.parquet")
    clvmodels.score(tmp_path / "rfm.parquet", tmp_path / "p.nc", tmp_path / "scores.parquet")
    scores = pd.read_parquet(tmp_path / "scores.parquet").set_index("customer_id")
    np.testing.assert_allclose(scores.loc[table["customer_id"], "clv"], table["clv"], rtol=1e-9)
    rendered = clvmodels.report(taken, TABLE)
    assert "Fitted by pymc-marketing" in rendered.html
    record = rendered.record.to_dict()
    assert record["provenance"]["models"]["purchases"]["priors"]["r"].startswith("Weibull")
    statuses = {check.name: check.status for check in rendered.record.section("priors").checks}
    for model in ("BG/NBD", "Gamma-Gamma"):  # its priors and its sampler's density are known
        assert statuses[f"{model}: largest sensitivity to the prior"] in ("pass", "warn")


@pytest.fixture(scope="module")
def modes() -> dict[str, Any]:
    """Its modes, with its own priors."""
    models = {name: peer() for name, (_, peer, _) in KINDS.items()}
    models["gamma_gamma"] = clv.GammaGammaModel()
    for name, model in models.items():
        data = REPEAT if name == "gamma_gamma" else FRAME
        # A few hundred evaluations are not worth compiling, unless they go step by step
        mode = "NUMBA" if name == "paretonbd" else "FAST_COMPILE"
        with pytensor.config.change_flags(mode=mode):
            model.fit(data, method="map", progressbar=False)
    return models


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS, "gamma_gamma"])
def test_its_modes(modes, name: str, tmp_path) -> None:
    model = modes[name]
    found = from_pymc_marketing(model, **WEEKS)
    assert found.metadata.method == found.verdict.method == "map"
    assert found.certain
    assert found.verdict.ok
    (distance,) = found.verdict.checks
    assert 0 <= distance.value < 1e-3
    for parameter, (value,) in found.draws().items():
        assert value == model.fit_result[parameter].item()
    if name in KINDS:
        theirs = model.expected_purchases(future_t=39)
        agree(theirs, found.expected_purchases(TABLE, future_t=39), 1e-8)
        kind = KINDS[name][2]
    else:
        kind = GammaGammaModel
    ours = kind("pymc-marketing").fit(TABLE, method="map", **QUIET)
    for parameter, (value,) in found.draws().items():
        assert value == pytest.approx(ours.draws()[parameter][0], rel=2e-4)
    assert load_posterior(found.save(tmp_path / "p.nc")).metadata == found.metadata


@pytest.mark.slow
def test_its_modes_predict_and_are_reported_without_intervals(modes) -> None:
    both = from_pymc_marketing(modes["bgnbd"], modes["gamma_gamma"], **WEEKS)
    table = both.predict(TABLE)
    assert table["clv"].notna().all()
    assert table[["clv_sd", "clv_lower", "clv_upper"]].isna().all(axis=None)
    assert "map" in clvmodels.report(both, TABLE).html


@pytest.mark.slow
def test_a_point_that_is_no_mode_is_refused(modes) -> None:
    model = clv.BetaGeoModel()
    model.build_model(FRAME)
    found = {n: v.to_numpy().copy() for n, v in modes["bgnbd"].fit_result.data_vars.items()}
    found["r"] = found["r"] * 1.01  # a fifth of a posterior standard deviation
    with pytest.raises(ConvergenceError, match=r"distance from the mode.*optimiser stopped early"):
        from_pymc_marketing(refitted(model, found), **WEEKS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*(kind for *_, kind in KINDS.values()), GammaGammaModel])
@pytest.mark.parametrize("priors", FIXED)
def test_its_model_has_its_mode_where_ours_is(kind, priors: str) -> None:
    """So both are the same density: priors, likelihood and data."""
    ours = kind(priors).fit(TABLE, method="map", **QUIET)
    model = to_pymc_marketing(ours, TABLE)
    back = from_pymc_marketing(model)
    assert back.metadata.method == "map"
    # In posterior sd. Its sums are of another order, whose rounding is the processor's: 1.4e-6
    # on one, below 1e-6 on another; another density would be some 1e-1 away.
    assert back.verdict.checks[0].value < 1e-5
    assert back.metadata.priors == ours.metadata.priors
    assert back.metadata.fingerprint == ours.metadata.fingerprint
    assert back.metadata.observation_end == "1997-09-30"
    assert back.metadata.seed == ours.metadata.seed
    assert "Fitted by clvmodels" in back.metadata.notes[0]


@pytest.mark.slow
def test_own_priors_of_a_and_b_are_the_same_model() -> None:
    ours = BetaGeoModel(priors=OWN["a and b"]).fit(TABLE, method="map", **QUIET)
    model = to_pymc_marketing(ours, TABLE)
    assert {one.name for one in model.model.free_RVs} == {"r", "alpha", "a", "b", "b_beta"}
    back = from_pymc_marketing(model)
    assert back.verdict.checks[0].value < 1e-6
    assert back.metadata.priors == ours.metadata.priors


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "laplace"])
def test_our_draws_there_and_back(method: str, tmp_path) -> None:
    """The verdict is the one that was given here, computed again over there."""
    ours = CLVModel().fit(TABLE, method=method, draws=1000, **QUIET)
    models = to_pymc_marketing(ours, TABLE)
    agree(
        models.purchases.expected_purchases(TABLE.to_pandas().head(50), future_t=39),
        ours.purchases.expected_purchases(FRAME.head(50), future_t=39),
        1e-8,
    )
    models.purchases.save(str(tmp_path / "purchases.nc"))
    loaded = clv.BetaGeoModel.load(str(tmp_path / "purchases.nc"))
    back = from_pymc_marketing(loaded, models.spend)
    assert back.fingerprint() == ours.fingerprint()
    for mine, theirs in ((ours.purchases, back.purchases), (ours.spend, back.spend)):
        assert theirs.verdict == mine.verdict
        assert theirs.metadata.method == method
        assert theirs.metadata.priors == mine.metadata.priors
        assert set(theirs.tree["sample_stats"].data_vars) == set(
            mine.tree["sample_stats"].data_vars
        )
    summary = models.purchases.fit_summary()
    assert {"r", "alpha", "a", "b"} <= set(summary.index)
    # It fits the model again, from what it was handed.
    models.spend.fit(method="map", progressbar=False)
    again = from_pymc_marketing(models.spend, **WEEKS)
    assert again.metadata.method == "map"
    assert again.metadata.priors == ours.spend.metadata.priors


@pytest.mark.slow
def test_a_variational_fit_is_weighed_against_the_model() -> None:
    """A mean-field fit has no check of its own; importance weights show that it is off."""
    model = clv.GammaGammaModel()
    # Its own warning that it stopped early is not the point.
    model.fit(REPEAT, method="advi", n=6000, progressbar=False, random_seed=2)
    with pytest.raises(ConvergenceError, match=r"Pareto k-hat.*fit with method='mcmc'"):
        from_pymc_marketing(model, **WEEKS)
    with pytest.warns(UserWarning, match="importance ESS"):
        found = from_pymc_marketing(model, **WEEKS, on_failure="warn")
    assert (found.metadata.method, found.verdict.status) == ("given", "fail")


@pytest.mark.slow
def test_independent_draws_of_the_posterior_pass(sampled) -> None:
    """Without statistics and in one row, they are held against the model as such a fit is."""
    theirs = sampled[1]
    draws = {n: v.to_numpy().reshape(1, -1) for n, v in theirs.fit_result.data_vars.items()}
    model = clv.GammaGammaModel()
    model.build_model(REPEAT)
    found = from_pymc_marketing(refitted(model, draws), **WEEKS)
    assert found.metadata.method == "given"
    assert [check.status for check in found.verdict.checks] == ["pass", "pass"]


@pytest.mark.slow
def test_its_metropolis_chains() -> None:
    model = clv.GammaGammaModel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the chains are short
        model.fit(REPEAT, method="demz", draws=300, tune=300, chains=2, **QUIET)
    with pytest.raises(ConvergenceError, match="ESS"):
        from_pymc_marketing(model, **WEEKS)
    with pytest.warns(UserWarning, match="did not converge"):
        found = from_pymc_marketing(model, **WEEKS, on_failure="warn")
    assert found.metadata.method == "given"
    assert set(found.tree["sample_stats"].data_vars) == {"accept", "accepted"}


def test_a_table_is_needed_in_the_same_unit_afterwards(tmp_path) -> None:
    found = from_pymc_marketing(to_pymc_marketing(GIVEN["bgnbd"], TABLE))
    frame = FRAME[["customer_id", "frequency", "recency", "T"]]
    hours = RfmTable.from_pandas(frame, time_unit="h", time_scaler=24)
    with pytest.raises(TimeUnitError):
        found.expected_probability_alive(hours)


@pytest.mark.parametrize("posterior", [GIVEN["bgnbd"], SPEND, CLVPosterior(GIVEN["bgnbd"], SPEND)])
def test_the_method_that_it_was_names_the_function(posterior: Any) -> None:
    with pytest.raises(AttributeError, match=r"clvmodels\.to_pymc_marketing\(posterior, rfm\)"):
        posterior.to_pymc_marketing(TABLE)
    assert "to_pymc_marketing" not in dir(posterior)
    with pytest.raises(AttributeError, match=r"'\w+Posterior' object has no attribute 'predikt'"):
        getattr(posterior, "predikt")  # noqa: B009


def test_a_table_in_place_of_the_posterior_goes_nowhere() -> None:
    with pytest.raises(SchemaError, match="takes posterior first and rfm second"):
        to_pymc_marketing(FRAME, GIVEN["bgnbd"])
    with pytest.raises(SchemaError, match="A DataFrame has no counterpart in pymc-marketing"):
        to_pymc_marketing(FRAME, FRAME)
