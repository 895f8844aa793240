"""Posteriors are ArviZ's own: summaries, plots, and leave-one-out cross-validation."""

from __future__ import annotations

import dataclasses
import math

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr

from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    ModifiedBetaGeoModel,
    datasets,
    rfm_summary,
)
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.formulas import gamma_gamma
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import MODELS
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories
from clvmodels.simulate import simulate_rfm

# Simulated tables do not know their gaps: test_compare_regular.py has tables that do
pytestmark = pytest.mark.filterwarnings("ignore:The table has no column 'log_gaps'")
RFM = simulate_rfm(
    300, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(5, 400), seed=4, cents=True
)
RNG = np.random.default_rng(5)
FEW = {n: RNG.gamma(40, m / 40, 6) for n, m in {"r": 0.6, "alpha": 30, "a": 0.8, "b": 2.5}.items()}
SPEND = {n: RNG.gamma(40, m / 40, 6) for n, m in {"p": 6.2, "q": 3.7, "v": 15.4}.items()}
PARETO = FEW | {n: RNG.gamma(40, m / 40, 6) for n, m in {"s": 0.7, "beta": 40}.items()}
GIVEN = {
    **{
        key: purchase_posterior(key).from_draws(
            **{name: PARETO[name] for name in model.parameter_names}
        )
        for key, model in MODELS.items()
    },
    "gamma_gamma": GammaGammaPosterior.from_draws(**SPEND),
}
QUIET = {"progressbar": False, "random_seed": 1}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


# --- draws of every kind ---


@pytest.fixture(scope="module")
def sampled():
    """Draws of the same posterior as chains, as importance draws and as given ones."""
    nuts = BetaGeoModel(T_scale=200.0).fit(RFM, method="nuts", **QUIET)
    laplace = BetaGeoModel(T_scale=200.0).fit(RFM, method="laplace", **QUIET)
    given = BetaGeoPosterior.from_draws(**nuts.draws())
    return {"nuts": nuts, "laplace": laplace, "given": given}


KINDS = ["nuts", "laplace", "given"]
PLOTS = [
    "plot_autocorr",
    "plot_convergence_dist",
    "plot_dist",
    "plot_ess",
    "plot_ess_evolution",
    "plot_forest",
    "plot_mcse",
    "plot_pair",
    "plot_parallel",
    "plot_ridge",
    "plot_trace",
    "plot_trace_dist",
]
OF_CHAINS = ["plot_rank", "plot_rank_dist"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_is_a_plain_datatree(sampled, kind: str) -> None:
    posterior = sampled[kind]
    assert type(posterior.tree) is xr.DataTree
    group = posterior.tree["posterior"]
    assert tuple(group.dims) == ("chain", "draw")
    for name in posterior.parameters:
        assert group[name].dims == ("chain", "draw")
        assert set(group[name].coords) == {"chain", "draw"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_summaries(sampled, kind: str) -> None:
    posterior = sampled[kind]
    names = list(posterior.parameters)
    table = az.summary(posterior.tree, var_names=names, round_to="none")
    assert list(table.index) == names
    draws = posterior.draws()
    np.testing.assert_allclose(table["mean"], [draws[n].mean() for n in names], rtol=1e-12)
    flat = az.extract(posterior.tree, var_names=names)
    assert flat.sizes["sample"] == posterior.draws_total
    np.testing.assert_array_equal(flat["r"].to_numpy(), draws["r"])
    ess, rhat = az.ess(posterior.tree), az.rhat(posterior.tree)
    for name in names:
        assert float(ess[name]) > 400
    if kind == "given":  # one row of draws: no chains to compare
        assert np.isnan(rhat["r"])
    else:
        assert float(rhat["r"]) < 1.02
        assert table["r_hat"].max() < 1.02


@pytest.mark.slow
@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("kind", KINDS)
def test_plots(sampled, kind: str, plot: str) -> None:
    drawn = getattr(az, plot)(sampled[kind].tree, backend="matplotlib", var_names=["r", "alpha"])
    figure = drawn.get_viz("figure")
    assert any(axes.has_data() for axes in figure.axes)


@pytest.mark.slow
@pytest.mark.parametrize("plot", OF_CHAINS)
@pytest.mark.parametrize("kind", ["nuts", "laplace"])
def test_plots_that_compare_chains(sampled, kind: str, plot: str) -> None:
    drawn = getattr(az, plot)(sampled[kind].tree, backend="matplotlib", var_names=["r"])
    assert any(axes.has_data() for axes in drawn.get_viz("figure").axes)


@pytest.mark.slow
def test_plot_of_energies(sampled) -> None:
    drawn = az.plot_energy(sampled["nuts"].tree, backend="matplotlib")
    assert any(axes.has_data() for axes in drawn.get_viz("figure").axes)


# --- pointwise log-likelihood ---


def fused(name: str, table: pd.DataFrame, point: dict[str, float]) -> float:
    if name == "gamma_gamma":
        h = spend_histories(table)
        found = gamma_gamma.fused(h.x, h.total, h.count)
    else:
        h = purchase_histories(table)
        found = MODELS[name].formulas.fused(h.x, h.t_x, h.T, h.count)
    return float(found(*point.values())[0])


@pytest.mark.parametrize("name", GIVEN)
def test_the_sum_over_customers_is_the_fused_value(name: str) -> None:
    posterior = GIVEN[name]
    found = posterior.log_likelihood(RFM)
    assert found.dims == ("chain", "draw", "customer_id")
    draws = posterior.draws()
    for draw in range(posterior.draws_total):
        point = {parameter: float(values[draw]) for parameter, values in draws.items()}
        total = float(found.isel(chain=0, draw=draw).sum())
        assert total == pytest.approx(fused(name, RFM, point), rel=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_each_customer_has_the_formulas_term(name: str, rng) -> None:
    """In the table's order, whatever that is, and whoever shares a history."""
    posterior = GIVEN[name]
    table = pd.concat([RFM, RFM.head(40)]).sample(frac=1, random_state=3)
    table["customer_id"] = rng.permutation(len(table)) + 10_000
    found = posterior.log_likelihood(table)
    assert found["customer_id"].to_numpy().tolist() == table["customer_id"].tolist()
    x, t_x, T = (table[n].to_numpy(float) for n in ("frequency", "recency", "T"))
    point = {n: float(v[2]) for n, v in posterior.draws().items()}
    expected = posterior.formulas.log_likelihood(x, t_x, T, **point)
    np.testing.assert_allclose(found.isel(chain=0, draw=2), expected, rtol=1e-13)
    assert found.attrs == {
        "customers": 340,
        "customers_of_base": 340,
        "without_term": 0,
        "random_seed": 0,
    }


def test_many_draws_go_block_by_block(monkeypatch) -> None:
    whole = GIVEN["bgnbd"].log_likelihood(RFM)
    monkeypatch.setattr("clvmodels.posterior.pointwise._BLOCK", 50)
    xr.testing.assert_identical(GIVEN["bgnbd"].log_likelihood(RFM), whole)


def test_spend_leaves_out_who_says_nothing_of_it() -> None:
    table = RFM.copy()
    zero = table.index[table["frequency"] > 0][:2]
    table.loc[zero, "monetary_value"] = 0.0
    found = GIVEN["gamma_gamma"].log_likelihood(table)
    used = table[(table["frequency"] > 0) & (table["monetary_value"] > 0)]
    assert found["customer_id"].to_numpy().tolist() == used["customer_id"].tolist()
    assert found.attrs["without_term"] == len(table) - len(used)
    assert found.attrs["customers"] == len(used) == spend_histories(table).customers
    point = {n: float(v[0]) for n, v in SPEND.items()}
    expected = gamma_gamma.log_likelihood(used["frequency"], used["monetary_value"], **point)
    np.testing.assert_allclose(found.isel(chain=0, draw=0), expected, rtol=1e-13)


@pytest.mark.parametrize("name", MODELS)
def test_who_was_watched_for_no_time_has_no_term(name: str) -> None:
    """Their term is 0 in every draw, of which ArviZ can make nothing."""
    table = RFM.copy()
    table.loc[table.index[:3], ["frequency", "recency", "T"]] = 0
    found = GIVEN[name].log_likelihood(table)
    assert found.attrs["without_term"] == 3
    point = {n: float(v[0]) for n, v in GIVEN[name].draws().items()}
    assert float(found.isel(chain=0, draw=0).sum()) == pytest.approx(
        fused(name, table, point), rel=1e-10
    )


def test_a_larger_base_is_sampled_and_says_so() -> None:
    posterior = GIVEN["bgnbd"]
    whole = posterior.log_likelihood(RFM)
    found = posterior.log_likelihood(RFM, customers=50, random_seed=3)
    assert (found.attrs["customers"], found.attrs["customers_of_base"]) == (50, 300)
    ids = found["customer_id"].to_numpy()
    assert len(set(ids)) == 50  # without replacement
    xr.testing.assert_equal(found, whole.sel(customer_id=ids))
    again = posterior.log_likelihood(RFM, customers=50, random_seed=3)
    xr.testing.assert_identical(again, found)
    other = posterior.log_likelihood(RFM, customers=50, random_seed=4)
    assert set(other["customer_id"].to_numpy()) != set(ids)
    same = GIVEN["mbgnbd"].log_likelihood(RFM, customers=50, random_seed=3)
    assert same["customer_id"].to_numpy().tolist() == ids.tolist()
    assert posterior.log_likelihood(RFM, customers=300).attrs["customers"] == 300


def test_every_customer_is_as_likely_to_be_taken() -> None:
    """A fifth of the base, 200 times: counts within five standard deviations."""
    point = BetaGeoPosterior.from_draws(r=0.5, alpha=30, a=0.8, b=2.5)
    taken = pd.Series(0, index=RFM["customer_id"])
    for seed in range(200):
        sample = point.log_likelihood(RFM, customers=60, random_seed=seed)
        taken[sample["customer_id"].to_numpy()] += 1
    assert taken.sum() == 200 * 60
    assert (taken - 40).abs().max() < 5 * math.sqrt(200 * 0.2 * 0.8)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"customers": 0}, DomainError, "customers=0"),
        ({"customers": 2.5}, DomainError, "customers=2.5"),
        ({"random_seed": -1}, DomainError, "random_seed=-1"),
    ],
)
def test_options_without_a_meaning(options, error, says: str) -> None:
    with pytest.raises(error, match=says):
        GIVEN["bgnbd"].log_likelihood(RFM, **options)


def test_tables_that_do_not_fit() -> None:
    log = datasets.load_cdnow(sample=True)
    weeks = rfm_summary(log, customer_id_col="customer_id", datetime_col="date", time_scaler=7)
    with pytest.raises(TimeUnitError, match="7 x D"):
        GIVEN["bgnbd"].log_likelihood(weeks)
    with pytest.raises(SchemaError, match="monetary_value"):
        GIVEN["gamma_gamma"].log_likelihood(RFM.drop(columns="monetary_value"))
    once = RFM[RFM["frequency"] == 0]
    with pytest.raises(DomainError, match="learns nothing from any customer of this table"):
        GIVEN["gamma_gamma"].log_likelihood(once)
    many = BetaGeoPosterior.from_draws(**{n: np.full(1_000_000, v[0]) for n, v in FEW.items()})
    with pytest.raises(DomainError, match="cells"):
        many.log_likelihood(RFM)


# --- the tree with it, and leave-one-out ---


# --- both models together ---

TOGETHER = CLVPosterior(GIVEN["bgnbd"], GIVEN["gamma_gamma"])


def test_draws_of_both_are_side_by_side() -> None:
    found = TOGETHER.draws()
    assert list(found) == ["r", "alpha", "a", "b", "p", "q", "v"]
    for name, values in {**FEW, **SPEND}.items():
        np.testing.assert_array_equal(found[name], values)
    assert {len(values) for values in TOGETHER.draws(3).values()} == {3}
    point = GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4)
    with_point = CLVPosterior(GIVEN["bgnbd"], point).draws()
    np.testing.assert_array_equal(with_point["q"], np.full(6, 3.7))
    basket = CLVPosterior(GIVEN["bgnbd"], 25.0).draws(2)
    assert list(basket) == ["r", "alpha", "a", "b", "value"]
    np.testing.assert_array_equal(basket["value"], [25.0, 25.0])


@pytest.mark.parametrize("table", [RFM, pl.from_pandas(RFM)], ids=["pandas", "polars"])
def test_likelihoods_of_both_add_up_customer_by_customer(table) -> None:
    found = TOGETHER.log_likelihood(table)
    bought = GIVEN["bgnbd"].log_likelihood(table)
    spent = GIVEN["gamma_gamma"].log_likelihood(table)
    wanted = bought + spent.reindex(customer_id=bought["customer_id"], fill_value=0.0)
    xr.testing.assert_allclose(found, wanted.rename("log_likelihood"), rtol=1e-12)
    assert found.attrs == bought.attrs
    assert len(spent["customer_id"]) < len(bought["customer_id"])
    few = TOGETHER.log_likelihood(table, customers=50, random_seed=3)
    same = GIVEN["bgnbd"].log_likelihood(table, customers=50, random_seed=3)
    np.testing.assert_array_equal(few["customer_id"], same["customer_id"])
    xr.testing.assert_allclose(few, found.sel(customer_id=few["customer_id"]), rtol=1e-12)
    alone = CLVPosterior(GIVEN["bgnbd"], 25.0).log_likelihood(table)
    xr.testing.assert_allclose(alone, bought, rtol=1e-12)


def test_likelihoods_of_both_are_in_the_unit_of_the_purchases() -> None:
    weeks = RFM.assign(recency=RFM["recency"] / 7, T=RFM["T"] / 7)
    draws = FEW | {"alpha": FEW["alpha"] / 7}
    bought = BetaGeoPosterior.from_draws(**draws, time_scaler=7)
    found = CLVPosterior(bought, GIVEN["gamma_gamma"]).log_likelihood(weeks)
    mean = float(found.mean() - bought.log_likelihood(weeks).mean())
    wanted = GIVEN["gamma_gamma"].log_likelihood(RFM).mean("draw").sum() / len(found["customer_id"])
    assert mean == pytest.approx(float(wanted))


def test_the_tree_of_both_holds_both() -> None:
    tree = TOGETHER.to_datatree()
    assert list(tree.children) == ["posterior", "bgnbd", "gamma_gamma"]
    assert list(tree["posterior"].data_vars) == ["r", "alpha", "a", "b", "p", "q", "v"]
    for name in ("bgnbd", "gamma_gamma"):
        found, wanted = tree[name]["posterior"], GIVEN[name].tree["posterior"]
        xr.testing.assert_identical(found.to_dataset(), wanted.to_dataset())
    tree = TOGETHER.to_datatree(RFM, customers=40)
    (variable,) = tree["log_likelihood"].data_vars
    wanted = TOGETHER.log_likelihood(RFM, customers=40)
    np.testing.assert_array_equal(tree["log_likelihood"][variable], wanted)
    assert tree["log_likelihood"].attrs["customers"] == 40


def test_chains_stay_chains_where_both_have_them() -> None:
    def chained(posterior, chains: int):
        data = xr.Dataset(
            {
                name: (("chain", "draw"), np.resize(values, (chains, 30)))
                for name, values in posterior.draws().items()
            },
            coords={"chain": np.arange(chains), "draw": np.arange(30)},
        )
        return dataclasses.replace(posterior, tree=xr.DataTree.from_dict({"posterior": data}))

    two, three = chained(GIVEN["bgnbd"], 2), chained(GIVEN["gamma_gamma"], 3)
    both = CLVPosterior(two, chained(GIVEN["gamma_gamma"], 2))
    assert both.log_likelihood(RFM).shape[:2] == (2, 30)
    assert dict(both.to_datatree()["posterior"].sizes) == {"chain": 2, "draw": 30}
    assert CLVPosterior(two, 25.0).log_likelihood(RFM).shape[:2] == (2, 30)
    assert CLVPosterior(two, three).log_likelihood(RFM).shape[:2] == (1, 60)


def test_whole_models_are_compared() -> None:
    rng = np.random.default_rng(3)
    truth = {"r": 0.55, "alpha": 30.0, "a": 0.8, "b": 2.5, "p": 6.2, "q": 3.7, "v": 15.4}
    drawn = {name: mean * rng.lognormal(0, 0.02, 200) for name, mean in truth.items()}
    many, spend = ({n: drawn[n] for n in names} for names in (FEW, SPEND))
    good = CLVPosterior(
        BetaGeoPosterior.from_draws(**many), GammaGammaPosterior.from_draws(**spend)
    )
    off = dataclasses.replace(
        good, spend=GammaGammaPosterior.from_draws(**(spend | {"v": 3 * spend["v"]}))
    )
    table = az.compare({"good": good.to_datatree(RFM), "off": off.to_datatree(RFM)})
    assert list(table.index) == ["good", "off"]


@pytest.mark.parametrize("name", GIVEN)
def test_to_datatree(name: str, tmp_path) -> None:
    posterior = GIVEN[name]
    plain = posterior.to_datatree()
    assert list(plain.children) == list(posterior.tree.children)
    tree = posterior.to_datatree(RFM, customers=40, random_seed=2)
    assert list(tree.children) == [*posterior.tree.children, "log_likelihood"]
    assert "log_likelihood" not in posterior.tree.children
    (variable,) = tree["log_likelihood"].data_vars
    assert variable == posterior.observed
    assert tree["log_likelihood"].attrs["customers"] == 40
    expected = posterior.log_likelihood(RFM, customers=40, random_seed=2)
    np.testing.assert_array_equal(tree["log_likelihood"][variable], expected)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_loo_of_every_kind(sampled, kind: str) -> None:
    """The same posterior by three roads: elpd agrees to a Monte Carlo error, p is about 4."""
    found = az.loo(sampled[kind].to_datatree(RFM), pointwise=True)
    assert found.n_data_points == 300
    assert not found.warning
    assert found.pareto_k.max() < 0.7
    assert 2.0 < found.p < 6.0
    reference = az.loo(sampled["nuts"].to_datatree(RFM))
    assert found.elpd == pytest.approx(reference.elpd, abs=0.5)


@pytest.mark.slow
def test_a_sample_scales_up_as_documented(sampled) -> None:
    posterior = sampled["nuts"]
    whole = az.loo(posterior.to_datatree(RFM))
    tree = posterior.to_datatree(RFM, customers=100, random_seed=6)
    part, known = az.loo(tree), tree["log_likelihood"].attrs
    n, N = known["customers"], known["customers_of_base"]
    sampling = N / n * part.se * math.sqrt(1 - n / N)
    assert abs(N / n * part.elpd - whole.elpd) < 4.5 * sampling
    # The se of a sum over customers grows with the root of their number.
    assert math.sqrt(N / n) * part.se == pytest.approx(whole.se, rel=0.35)
    assert N / n * part.p == pytest.approx(whole.p, rel=0.6)


# --- CDNOW ---

LOG = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
# Fader, Hardie & Lee (2005), table 2: the NBD on this sample, nobody ever dropping out.
NBD = {"r": 0.385, "alpha": 12.072}
NBD_LOG_LIKELIHOOD = -9763.7
BGNBD_LOG_LIKELIHOOD = -9582.429207
SPEND_LOG_LIKELIHOOD = -4055.917695


@pytest.fixture(scope="module")
def cdnow():
    log = datasets.load_cdnow(sample=True)
    return rfm_summary(log, **LOG, time_scaler=7, observation_period_end="1997-09-30")


@pytest.fixture(scope="module")
def trees(cdnow):
    kinds = {"BG/NBD": BetaGeoModel, "MBG/NBD": ModifiedBetaGeoModel, "spend": GammaGammaModel}
    fits = {name: kind().fit(cdnow, method="nuts", **QUIET) for name, kind in kinds.items()}
    return {name: fit.to_datatree(cdnow) for name, fit in fits.items()}


def nbd(count: int = 400) -> BetaGeoPosterior:
    """Draws around the published NBD fit, with a dropout that never happens."""
    rng = np.random.default_rng(8)
    draws = {name: value * np.exp(0.03 * rng.normal(size=count)) for name, value in NBD.items()}
    return BetaGeoPosterior.from_draws(**draws, a=1e-9, b=1.0, time_scaler=7)


def test_the_limit_without_dropout_is_the_published_nbd(cdnow) -> None:
    point = BetaGeoPosterior.from_draws(**NBD, a=1e-9, b=1.0, time_scaler=7)
    total = float(point.log_likelihood(cdnow).sum())
    assert total == pytest.approx(NBD_LOG_LIKELIHOOD, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most", "parameters"),
    [("BG/NBD", BGNBD_LOG_LIKELIHOOD, 4), ("spend", SPEND_LOG_LIKELIHOOD, 3)],
)
def test_elpd_is_the_published_maximum_less_the_parameters(
    trees, name: str, most: float, parameters: int
) -> None:
    found = az.loo(trees[name], pointwise=True)
    assert found.p == pytest.approx(parameters, abs=1.5)
    assert found.elpd == pytest.approx(most - parameters, abs=2.0)
    assert found.elpd < most
    assert found.pareto_k.max() < 0.7
    az.plot_khat(found, backend="matplotlib")


@pytest.mark.slow
def test_comparing_models_on_cdnow(trees, cdnow) -> None:
    """BG/NBD and MBG/NBD fit this sample alike; a model without dropout is far behind."""
    compared = {name: trees[name] for name in ("BG/NBD", "MBG/NBD")}
    compared["NBD"] = nbd().to_datatree(cdnow)
    table = az.compare(compared, round_to="none")
    assert table.index[-1] == "NBD"
    gap = {name: float(table.loc[name, "elpd_diff"]) for name in table.index}
    error = {name: float(table.loc[name, "dse"]) for name in table.index}
    assert abs(gap["BG/NBD"]) + abs(gap["MBG/NBD"]) < 2 * max(error["BG/NBD"], error["MBG/NBD"])
    assert abs(gap["NBD"]) > 5 * error["NBD"]
    assert abs(gap["NBD"]) == pytest.approx(BGNBD_LOG_LIKELIHOOD - NBD_LOG_LIKELIHOOD, abs=6.0)
    assert table.loc["NBD", "weight"] < 0.1
    az.plot_compare(table, backend="matplotlib")


def test_the_maximum_itself(cdnow) -> None:
    best = {"r": 0.24259454, "alpha": 4.41360188, "a": 0.79291991, "b": 2.42588806}
    found = BetaGeoPosterior.from_draws(**best, time_scaler=7).log_likelihood(cdnow)
    assert float(found.sum()) == pytest.approx(BGNBD_LOG_LIKELIHOOD, abs=1e-6)
