"""Likelihoods with covariates are those of pymc-marketing's models, at any point, and fits too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.covariate_fits import COLUMNS, PATH, apparel, coefficients, ours, recovered
from benchmarks.covariate_fits import standardised as by_sd
from clvmodels import BetaGeoPosterior, ParetoNBDPosterior
from clvmodels.diagnostics.power_scaling import log_prior_and_likelihood, priors_of
from tests.covariates import base_of, design_of_channels, with_effects

peer = pytest.importorskip("pymc_marketing").clv
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FRAME = base_of(80).assign(ads=lambda f: (f["channel"] == "ads").astype(float))
POINTS = {
    "r": [0.4, 0.9],
    "alpha": [20.0, 35.0],
    "a": [0.8, 1.5],
    "b": [2.5, 1.9],
    "s": [0.6, 1.2],
    "beta": [30.0, 50.0],
    "buys": [0.7, -0.4],
    "leaves": [-0.5, 0.9],
}


@pytest.mark.parametrize(
    ("name", "kind", "leaving"),
    [("BetaGeoModel", BetaGeoPosterior, False), ("ParetoNBDModel", ParetoNBDPosterior, True)],
)
def test_likelihood_at_points(name, kind, leaving) -> None:
    """Effects of one level, with those of the others 0, are its coefficients of a dummy."""
    model = getattr(peer, name)(
        model_config={
            "purchase_covariate_cols": ["ads"],
            "dropout_covariate_cols": ["ads"] if leaving else [],
        }
    )
    model.build_model(FRAME)
    theirs = model.model.compile_logp(
        vars=model.model.observed_RVs, jacobian=False, mode="FAST_COMPILE"
    )
    names = kind.parameters
    found, wanted = [], []
    for i in range(2):
        at = {one: POINTS[one][i] for one in names}
        buys, leaves = POINTS["buys"][i], POINTS["leaves"][i] if leaving else 0.0
        design = design_of_channels(FRAME)
        effects = np.zeros(len(design.drawn))
        effects[design.drawn.index("purchases[channel=ads]")] = buys
        effects[design.drawn.index("dropout[channel=ads]")] = leaves
        ours = with_effects(kind.from_draws(**at), design, lambda _, s, e=effects: e[None])
        found.append(float(ours.log_likelihood(FRAME).sum()))
        wanted.append(float(theirs(unconstrained(model, at, [buys], [leaves]))))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


NAMES = {"bgnbd": "BetaGeoModel", "paretonbd": "ParetoNBDModel"}


def unconstrained(model, at, buys, leaves):
    """The same point in its coordinates: logarithms, and the dropout's mean and size."""
    values = {f"{one}_log__": np.log(at[one]) for one in ("r", "s") if one in at}
    values["alpha_scale_log__"] = np.log(at["alpha"])
    if "beta" in at:
        values["beta_scale_log__"] = np.log(at["beta"])
        values["purchase_coefficient"] = np.array(buys)
        values["dropout_coefficient"] = np.array(leaves)
    else:
        phi, kappa = at["a"] / (at["a"] + at["b"]), at["a"] + at["b"]
        values["phi_dropout_interval__"] = np.log(phi / (1.0 - phi))
        values["kappa_dropout_interval__"] = np.log(kappa - 1.0)
        values["purchase_coefficient_alpha"] = np.array(buys)
    start = model.model.initial_point()
    assert set(values) == set(start)
    return {name: np.asarray(values[name], dtype=start[name].dtype) for name in start}


@pytest.mark.parametrize("kind", ["bgnbd", "paretonbd"])
def test_posteriors_are_one(kind: str) -> None:
    """At draws of a fit, both logarithmic posteriors differ by a constant: so would the fits.

    Weights that make draws of one posterior into draws of the other are then all equal, which
    two samplers could only show up to their Monte Carlo errors. With two columns, one of whose
    effects is a slope in standard deviations, and on both sides of Pareto/NBD.
    """
    frame = apparel(200)
    fitted = ours(kind, frame, priors="pymc-marketing", method="laplace", draws=10, chains=1)
    prior, likelihood = log_prior_and_likelihood(fitted, priors_of(fitted))
    both = ["purchase", "dropout"] if kind == "paretonbd" else ["purchase"]
    config = {f"{side}_covariate_cols": list(COLUMNS) for side in both}
    model = getattr(peer, NAMES[kind])(model_config=config)
    model.build_model(by_sd(fitted, frame))
    theirs = model.model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    draws = coefficients(fitted, kind)
    gaps = []
    for i in range(10):
        at = {name: draws[name][0, i] for name in fitted.parameters}
        moved = [
            [draws[f"{s} {c}"][0, i] for c in COLUMNS]
            for s in ("purchases", "dropout")[: len(both)]
        ]
        wanted = float(theirs(unconstrained(model, at, *moved, *[None] * (2 - len(both)))))
        gaps.append(float(prior[0, i] + likelihood[0, i]) - wanted)
    assert np.std(likelihood) > 0.5
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-6)


def test_fits_kept_on_file_agree() -> None:
    """To so many Monte Carlo errors of the difference; `python -m benchmarks.covariate_fits`."""
    table = pd.read_csv(PATH)
    mine = table[table["base"] == "bgnbd"]
    assert len(mine) == 6
    assert mine["apart"].abs().max() < 4.0


def test_published_effects_are_given_back() -> None:
    """Of customers simulated with the parameters that CLVTools publishes of its apparel log."""
    found = recovered(4_000)
    off = (found["ours"] - found["truth"]) / found["sd"]
    assert off.abs().max() < 3.5
    kept = pd.read_csv(PATH)
    kept = kept[kept["base"] == "apparel"]
    assert ((kept["lower"] < kept["truth"]) & (kept["truth"] < kept["upper"])).all()
