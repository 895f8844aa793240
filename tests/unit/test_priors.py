"""Priors: what the defaults say, the peer's by name, and anybody's own."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pymc_extras.prior import Prior
from scipy import stats

from clvmodels import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel
from clvmodels.errors import DomainError, SchemaError
from clvmodels.fit.priors import resolve
from clvmodels.model_facts import GAMMA_GAMMA, LogNormalDefault
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_rfm

PURCHASES = [BetaGeoModel, ModifiedBetaGeoModel]
PURCHASE_DEFAULTS = MODELS["bgnbd"].defaults
SPEND_DEFAULTS = GAMMA_GAMMA.defaults
BASE = simulate_rfm(
    120, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(5, 400), seed=9, cents=True
)


def quantiles(default: LogNormalDefault, *at: float) -> list[float]:
    law = stats.lognorm(default.sigma, scale=default.median)
    return [float(law.ppf(q)) for q in at]


def test_every_default_has_its_reason() -> None:
    for default in (*PURCHASE_DEFAULTS.values(), *SPEND_DEFAULTS.values()):
        assert len(default.reason.split()) > 5


def test_the_reasons_figures_are_right() -> None:
    """The figures that the reasons quote, from the distributions themselves."""
    r, kappa = PURCHASE_DEFAULTS["r"], PURCHASE_DEFAULTS["kappa_dropout"]
    assert quantiles(r, 0.025, 0.975) == pytest.approx([0.06, 6.3], rel=0.06)
    assert quantiles(kappa, 0.025, 0.975) == pytest.approx([0.3, 32], rel=0.06)
    low, high = quantiles(SPEND_DEFAULTS["p"], 0.025, 0.975)
    assert [high**-0.5, low**-0.5] == pytest.approx([0.22, 1.5], rel=0.03)
    q = SPEND_DEFAULTS["q"]
    assert stats.lognorm(q.sigma, scale=q.median).sf(1.0) == pytest.approx(0.98, abs=0.005)
    alpha = PURCHASE_DEFAULTS["alpha"]
    assert r.median / alpha.median == pytest.approx(2.0)
    assert math.exp(1.96 * math.hypot(r.sigma, alpha.sigma)) == pytest.approx(40, rel=0.1)


def test_the_default_mean_spend_lies_about_the_typical_amount() -> None:
    rng = np.random.default_rng(1)
    p, q, v = (
        default.median * np.exp(default.sigma * rng.normal(size=200_000))
        for default in SPEND_DEFAULTS.values()
    )
    finite = q > 1
    low, middle, high = np.quantile((p * v / (q - 1))[finite], [0.025, 0.5, 0.975])
    assert 0.7 < middle < 1.4
    assert 15 < high < 60
    assert 15 < 1 / low < 60


def test_scaled_defaults_move_with_the_scale_and_others_do_not() -> None:
    one, seven = resolve(PURCHASE_DEFAULTS, 1.0), resolve(PURCHASE_DEFAULTS, 7.0)
    moved = {name for name in one if one[name] != seven[name]}
    assert moved == {"alpha"}
    shift = seven["alpha"].parameters["mu"] - one["alpha"].parameters["mu"]
    assert shift == pytest.approx(math.log(7), rel=1e-14)
    assert {n for n in SPEND_DEFAULTS if SPEND_DEFAULTS[n].scaled} == {"v"}


@pytest.mark.parametrize("priors", ["default", "pymc-marketing"])
@pytest.mark.parametrize("kind", PURCHASES)
def test_what_a_fit_takes_is_pymc_extras_prior_without_its_import(kind, priors) -> None:
    ours = kind(priors)._priors(5.0)
    theirs = kind(priors).resolved_priors(5.0)
    assert ours.keys() == theirs.keys()
    for name, prior in theirs.items():
        assert isinstance(prior, Prior)
        assert ours[name].to_dict() == prior.to_dict()


@pytest.mark.parametrize("kind", PURCHASES)
def test_own_priors_replace_those_they_name(kind) -> None:
    own = Prior("Gamma", alpha=2, beta=3)
    resolved = kind(priors={"r": own}).resolved_priors(5.0)
    assert resolved["r"] == own
    default = kind().resolved_priors(5.0)
    assert {n: p for n, p in resolved.items() if n != "r"} == {
        n: p for n, p in default.items() if n != "r"
    }
    free = {rv.name for rv in kind(priors={"r": own}).build(BASE).free_RVs}
    assert free == {"r", "alpha", "phi_dropout", "kappa_dropout"}


@pytest.mark.parametrize("kind", PURCHASES)
def test_a_and_b_can_have_priors_of_their_own(kind) -> None:
    """The likelihood is the same one: between points, models differ by their priors."""
    own = {name: Prior("HalfNormal", sigma=3.0) for name in ("a", "b")}
    direct = kind(priors=own).build(BASE)
    assert {rv.name for rv in direct.free_RVs} == {"r", "alpha", "a", "b"}
    through = kind().build(BASE)
    densities = [model.compile_logp(mode="FAST_COMPILE") for model in (direct, through)]
    kappa = PURCHASE_DEFAULTS["kappa_dropout"]
    law = stats.lognorm(kappa.sigma, scale=kappa.median)

    def less_priors(a: float, b: float) -> list[float]:
        rest, phi, total = {"r_log__": -0.6, "alpha_log__": 3.0}, a / (a + b), a + b
        points = [
            {"a_log__": math.log(a), "b_log__": math.log(b)},
            {"phi_dropout_logodds__": math.log(a / b), "kappa_dropout_log__": math.log(total)},
        ]
        priors = [
            sum(stats.halfnorm(scale=3).logpdf(v) + math.log(v) for v in (a, b)),
            law.logpdf(total) + math.log(total) + math.log(phi * (1 - phi)),
        ]
        return [
            float(density({**rest, **point})) - prior
            for density, point, prior in zip(densities, points, priors, strict=True)
        ]

    here, there = less_priors(0.8, 2.4), less_priors(0.3, 5.0)
    assert here[0] - there[0] == pytest.approx(here[1] - there[1], abs=1e-9)


def test_a_prior_may_have_a_prior() -> None:
    nested = Prior("Gamma", alpha=Prior("HalfNormal", sigma=2.0), beta=1.0)
    model = BetaGeoModel(priors={"r": nested}).build(BASE)
    assert {"r", "r_alpha"} <= {rv.name for rv in model.free_RVs}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BetaGeoModel(priors="flat"), "priors='flat'.*'default', 'pymc-marketing'"),
        (lambda: BetaGeoModel(priors={"q": Prior("Gamma", alpha=1, beta=1)}), "called q"),
        (lambda: GammaGammaModel(priors={"a": Prior("Gamma", alpha=1, beta=1)}), "called a"),
        (
            lambda: BetaGeoModel(priors={"a": Prior("Gamma", alpha=1, beta=1)}),
            "a whole pair, and only one",
        ),
        (
            lambda: BetaGeoModel(
                priors={n: Prior("Gamma", alpha=1, beta=1) for n in ("a", "b", "phi_dropout")}
            ),
            "a whole pair, and only one",
        ),
        (lambda: BetaGeoModel(priors={"r": 1.0}), "prior of r is 1.0: give a pymc-extras Prior"),
        (lambda: BetaGeoModel(priors=None), "priors=None must be"),
        (lambda: GammaGammaModel(priors=["p"]), "must be"),
    ],
)
def test_what_is_no_prior_is_refused(make, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        make()


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(DomainError, match="T_scale"):
        BetaGeoModel(T_scale=scale).build(BASE)
    with pytest.raises(DomainError, match="v_scale"):
        GammaGammaModel(v_scale=scale).build(BASE)


# --- the peer ---


@pytest.fixture(scope="module")
def peers() -> dict[type, object]:
    from pymc_marketing import clv

    return {
        BetaGeoModel: clv.BetaGeoModel,
        ModifiedBetaGeoModel: clv.ModifiedBetaGeoModel,
        GammaGammaModel: clv.GammaGammaModel,
    }


ALL = [*PURCHASES, GammaGammaModel]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_the_peers_priors_are_exactly_theirs(peers, kind) -> None:
    theirs = peers[kind]().default_model_config
    ours = kind("pymc-marketing").resolved_priors(123.0)
    assert ours == {name: theirs[name] for name in ours}
    covariates = {n for n in theirs if "coefficient" in n or "covariate" in n}
    assert set(theirs) - set(ours) == covariates


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_the_log_density_is_the_peers(peers, kind) -> None:
    """Theirs less ours is one constant (for spend: zero) over the parameters."""
    rfm = BASE if kind is not GammaGammaModel else BASE[BASE["frequency"] > 0]
    peer = peers[kind]()
    peer.build_model(pd.DataFrame(rfm))
    ours = kind("pymc-marketing").build(rfm)
    names = {v.name for v in ours.value_vars}
    assert names == {v.name for v in peer.model.value_vars}
    rng = np.random.default_rng(5)
    one, other = (m.compile_logp(mode="FAST_COMPILE") for m in (peer.model, ours))
    differences = []
    for _ in range(12):
        point = {name: rng.normal(scale=1.0) for name in sorted(names)}
        theirs = float(one(point))
        differences.append(float(other(point)) - theirs)
        assert math.isfinite(theirs)
    assert np.ptp(differences) < 1e-9 * abs(theirs)
