"""Models compared by leave-one-out on distinct histories, against ArviZ customer by customer."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, ModifiedBetaGeoPosterior
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.evaluation import Comparison
from clvmodels.formulas.psis import leave_one_out, tail_size
from clvmodels.posterior.leave_one_out import stacking_weights

RFM = clv.simulate.simulate_rfm(400, r=0.6, alpha=8.0, a=0.8, b=2.5, T=(20.0, 40.0), seed=3)
CENTRE = {"r": 0.6, "alpha": 8.0, "a": 0.8, "b": 2.5}


def posterior(
    kind: type = BetaGeoPosterior,
    *,
    count: int = 500,
    seed: int = 5,
    sd: float = 0.2,
    **other: float,
):
    rng = np.random.default_rng(seed)
    centre = CENTRE | other
    draws = {name: value * rng.lognormal(0, sd, count) for name, value in centre.items()}
    return kind.from_draws(**draws)


MODELS = {
    "bgnbd": posterior(),
    "mbgnbd": posterior(ModifiedBetaGeoPosterior, seed=6),
    "far": posterior(seed=7, r=2.0),
}


@pytest.fixture(scope="module")
def found() -> Comparison:
    return clv.compare(MODELS, RFM)


def arviz_tree(one: BetaGeoPosterior) -> xr.DataTree:
    """One likelihood a customer, as ArviZ wants them."""
    data = (RFM[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    draws = {name: values[:, None] for name, values in one.draws().items()}
    terms = one.formulas.log_likelihood(*data, **draws)[None]
    group = xr.Dataset({"y": (("chain", "draw", "customer"), terms)})
    sample = xr.Dataset({n: (("chain", "draw"), v[None]) for n, v in one.draws().items()})
    return xr.DataTree.from_dict({"posterior": sample, "log_likelihood": group})


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_figures_are_arvizs(found: Comparison) -> None:
    for name, one in MODELS.items():
        theirs = az.loo(arviz_tree(one), reff=1.0, pointwise=True)
        ours = found.table.loc[name]
        np.testing.assert_allclose(ours["elpd"], theirs.elpd, rtol=1e-12)
        np.testing.assert_allclose(ours["se"], theirs.se, rtol=1e-10)
        np.testing.assert_allclose(ours["p_loo"], theirs.p, rtol=1e-9)
        np.testing.assert_allclose(ours["khat"], theirs.pareto_k.max().item(), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_differences_and_weights_are_arvizs(found: Comparison) -> None:
    loos = {n: az.loo(arviz_tree(one), reff=1.0, pointwise=True) for n, one in MODELS.items()}
    theirs = az.compare(loos, method="stacking", round_to="none")
    assert list(found.table.index) == list(theirs.index)
    ours = found.table
    np.testing.assert_allclose(ours["elpd_diff"], theirs["elpd_diff"].abs(), atol=1e-8)
    unbiased = np.sqrt(400 / 399)  # in ours, as in each model's own standard error
    np.testing.assert_allclose(ours["dse"], unbiased * theirs["dse"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ours["weight"], theirs["weight"], atol=1e-3)


def test_a_shared_history_counts_for_all_who_have_it(found: Comparison) -> None:
    twice = pd.concat([RFM, RFM.assign(customer_id=lambda t: t["customer_id"] + 1_000_000)])
    double = clv.compare(MODELS, twice)
    names = ["elpd", "p_loo", "elpd_diff"]
    np.testing.assert_allclose(double.table[names], 2 * found.table[names], rtol=1e-12)
    wider = np.sqrt(2 * 399 / 400 * 800 / 799)
    np.testing.assert_allclose(double.table["se"], wider * found.table["se"], rtol=1e-12)
    assert (double.customers, double.histories) == (800, found.histories)


def test_order_of_rows_and_of_models_does_not_matter(found: Comparison) -> None:
    mixed = RFM.sample(frac=1.0, random_state=1)
    again = clv.compare(dict(reversed(MODELS.items())), mixed)
    pd.testing.assert_frame_equal(again.table, found.table, check_exact=False, rtol=1e-6)


def test_the_model_that_made_the_data_is_best(found: Comparison) -> None:
    wide = {name: posterior(sd=0.01, **c) for name, c in (("true", {}), ("far", {"r": 2.0}))}
    told = clv.compare(wide, RFM)
    assert told.best == "true"
    assert told.weights["true"] > 0.95
    assert "true describes the base best" in told.words
    assert "not tell" in clv.compare({"a": posterior(), "b": posterior(seed=9)}, RFM).words


def test_spend_has_no_part() -> None:
    valued = {name: CLVPosterior(one, 25.0) for name, one in MODELS.items()}
    pd.testing.assert_frame_equal(clv.compare(valued, RFM).table, clv.compare(MODELS, RFM).table)


def test_who_was_not_watched_says_nothing(found: Comparison) -> None:
    new = pd.DataFrame({"customer_id": [-1], "frequency": [0], "recency": [0.0], "T": [0.0]})
    more = clv.compare(MODELS, pd.concat([RFM[list(new)], new]))
    np.testing.assert_allclose(more.table["elpd"], found.table["elpd"], rtol=1e-12)
    assert more.customers == 401


def test_what_is_shown(found: Comparison) -> None:
    text = str(found)
    assert text.startswith("400 customers")
    assert "is for a log to say" in text
    assert "<table" in found._repr_html_()
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert found.draws == dict.fromkeys(MODELS, 500)


def test_what_can_not_be_compared() -> None:
    one = MODELS["bgnbd"]
    with pytest.raises(SchemaError, match="two models or more"):
        clv.compare({"bgnbd": one}, RFM)
    with pytest.raises(SchemaError, match="two models or more"):
        clv.compare([one, one], RFM)
    point = BetaGeoPosterior.from_draws(**CENTRE)
    with pytest.raises(SchemaError, match="'point' has 1 draws"):
        clv.compare({"bgnbd": one, "point": point}, RFM)
    with pytest.raises(DomainError, match="draws"):
        clv.compare(MODELS, RFM, draws=10)
    weeks = BetaGeoPosterior.from_draws(**MODELS["bgnbd"].draws(), time_unit="W")
    with pytest.raises(TimeUnitError):
        clv.compare({"bgnbd": one, "weeks": weeks}, RFM, time_unit="D")


@pytest.mark.parametrize("draws", [100, 400, 1000])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.3, 1.0, 3.0])
def test_the_compiled_smoothing_is_arvizs(draws: int, scale: float) -> None:
    from arviz_stats.base import array_stats
    from scipy.special import logsumexp

    rng = np.random.default_rng(11)
    terms = -2.0 + scale * rng.standard_t(4, size=(20, draws))
    elpd, lppd, khat = (np.empty(20) for _ in range(3))
    leave_one_out(terms, tail_size(draws), elpd, lppd, khat)
    np.testing.assert_allclose(lppd, logsumexp(terms, axis=1) - np.log(draws), rtol=1e-13)
    if scale == 0.0:
        assert (khat == -np.inf).all()
        np.testing.assert_allclose(elpd, -2.0, rtol=1e-14)
        return
    for row, ours, k in zip(terms, elpd, khat, strict=True):
        smoothed, theirs = array_stats.psislw(row)
        np.testing.assert_allclose(ours, logsumexp(smoothed + row), rtol=1e-11)
        np.testing.assert_allclose(k, theirs, rtol=1e-9, atol=1e-11)


def test_weights_of_a_mixture_are_its_own() -> None:
    """Histories drawn from a known mixture of two densities."""
    rng = np.random.default_rng(4)
    first = rng.random(40_000) < 0.3
    y = np.where(first, rng.normal(0, 1, first.size), rng.normal(3, 1, first.size))
    elpd = np.stack([-0.5 * y**2, -0.5 * (y - 3.0) ** 2])
    weights = stacking_weights(elpd, np.ones(y.size))
    assert abs(weights[0] - 0.3) < 5 * np.sqrt(0.3 * 0.7 / y.size) * 1.2
    doubled = stacking_weights(elpd[:, :20_000], np.full(20_000, 2.0))
    np.testing.assert_allclose(
        doubled, stacking_weights(elpd[:, :20_000], np.ones(20_000)), atol=1e-6
    )


def test_another_regularity_is_not_compared_without_the_gaps() -> None:
    regular = BetaGeoPosterior.from_draws(**MODELS["bgnbd"].draws(), regularity=2)
    with pytest.raises(SchemaError, match="different regularity can be compared only where"):
        clv.compare({"one": MODELS["bgnbd"], "two": regular}, RFM)
    likewise = BetaGeoPosterior.from_draws(**MODELS["mbgnbd"].draws(), regularity=2)
    assert set(clv.compare({"one": regular, "two": likewise}, RFM).table.index) == {"one", "two"}


def test_posteriors_of_another_base_are_told() -> None:
    """Leave-one-out takes away what a fit has seen: of other customers it says nothing."""
    one, other = (
        clv.simulate.simulate_rfm(n, **CENTRE, T=(20.0, 40.0), seed=n) for n in (150, 160)
    )
    how = {"method": "laplace", "random_seed": 1, "progressbar": False}
    fits = {
        "own": clv.BetaGeoModel().fit(one, **how),
        "foreign": clv.BetaGeoModel().fit(other, **how),
    }
    with pytest.warns(UserWarning, match="Fitted to other customers .* this table: foreign"):
        clv.compare(fits, one)
    order = np.random.default_rng(0).permutation(150)
    clv.compare({"a": fits["own"], "b": MODELS["far"]}, one.iloc[order])
