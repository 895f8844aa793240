"""Bases that break fits: a sound posterior or a clear error, never a silent bad fit.

The reference is adaptive importance sampling, from the prior towards the posterior. It
knows no mode, no Hessian, no transform and no chain of the package's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats
from scipy import stats

from clvmodels import BetaGeoModel, CLVModel, GammaGammaModel
from clvmodels.errors import ConvergenceError, DomainError
from clvmodels.fit.purchases import purchase_specification
from clvmodels.formulas import gamma_gamma
from clvmodels.model_facts import GAMMA_GAMMA
from clvmodels.purchases import MODELS
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories
from clvmodels.simulate import simulate_rfm
from tests.kinds import KINDS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # simulated times are of no calendar
    pytest.mark.filterwarnings("ignore:T has fractions:UserWarning"),
]

Array = np.ndarray
ROUNDS = [3_000] * 8 + [40_000]
SPECIFICATIONS = {key: purchase_specification(key) for key in KINDS}
SPECIFICATIONS |= {"gamma_gamma": GammaGammaModel()}
SCALE = dict.fromkeys(KINDS, "T_scale") | {"gamma_gamma": "v_scale"}
# Given, so that every base meets the same priors.
GIVEN = dict.fromkeys(KINDS, 300.0) | {"gamma_gamma": 20.0}


def frame(x, t_x, T, m_bar=20.0) -> pd.DataFrame:
    x = np.asarray(x)
    columns = {"customer_id": np.arange(len(x)), "frequency": x, "recency": t_x, "T": T}
    return pd.DataFrame(columns).assign(monetary_value=np.where(x > 0, m_bar, 0.0))


def bases() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(6)
    amounts = {"p": 6.25, "q": 3.74, "v": 15.44}
    truth = {"r": 0.55, "alpha": 30, "a": 0.8, "b": 2.5, **amounts}
    usual = simulate_rfm(60, **truth, T=(1, 730), seed=1, cents=True)
    n, T = 60, rng.integers(30, 500, size=60).astype(float)
    heavy = rng.integers(1_000, 4_000, size=25)
    watched = rng.uniform(300, 900, size=25)
    return {
        "usual": usual,
        "bought once": frame(np.zeros(n, int), np.zeros(n), T),
        "bought twice": frame(
            np.ones(n, int), np.round(T * rng.uniform(size=n)), T, rng.gamma(6.0, 5.0, size=n)
        ),
        "five customers": usual.head(5).assign(
            frequency=[0, 2, 1, 0, 5], recency=[0, 9, 3, 0, 50], T=[40.0, 60.0, 90.0, 20.0, 80.0]
        ),
        "one customer": frame([3], [50.0], [60.0]),
        "one customer, once": frame([0], [0.0], [60.0]),
        "x in thousands": frame(
            heavy, watched * rng.beta(9, 1, size=25), watched, rng.gamma(6.0, 5.0, size=25)
        ),
        "T = 0 among others": pd.concat([usual, frame([0] * 20, [0.0] * 20, [0.0] * 20)]),
        "T = 0 throughout": frame([0] * 20, [0.0] * 20, [0.0] * 20),
        "all T equal": simulate_rfm(60, **truth, T=200, seed=3),
        "one amount": usual.assign(monetary_value=np.where(usual["frequency"] > 0, 9.99, 0.0)),
        "nobody drops out": simulate_rfm(
            60, **(truth | {"a": 1e-3, "b": 50.0}), T=(100, 400), seed=4, period=None
        ),
        "everybody drops out at once": simulate_rfm(
            60, **(truth | {"a": 50.0, "b": 1e-2}), T=(300, 700), seed=5, period=None
        ),
    }


BASES = bases()
SPENDING = [
    "usual",
    "bought twice",
    "five customers",
    "one customer",
    "x in thousands",
    "nobody drops out",
]
CASES = [(kind, base) for kind in KINDS for base in BASES]
CASES += [("gamma_gamma", base) for base in SPENDING]


def log_likelihood(kind: str, base: str) -> Callable[[Array], Array]:
    """Of points (n, parameters)."""
    if kind == "gamma_gamma":
        h = spend_histories(BASES[base])
        fused = gamma_gamma.fused(h.x, h.total, h.count)
    else:
        h = purchase_histories(BASES[base])
        fused = MODELS[kind].formulas.fused(h.x, h.t_x, h.T, h.count)
    return lambda points: np.array([fused(*point, gradient=False)[0] for point in points])


def parameters(kind: str, u: Array) -> dict[str, Array]:
    """The default prior's parameters from standard normal numbers (n, dim)."""

    def log_normal(default, column: Array) -> Array:
        scale = GIVEN[kind] if default.scaled else 1.0
        return scale * default.median * np.exp(default.sigma * column)

    if kind == "gamma_gamma":
        return {n: log_normal(d, u[:, i]) for i, (n, d) in enumerate(GAMMA_GAMMA.defaults.items())}
    d = MODELS[kind].defaults
    if MODELS[kind].joint is None:
        return {name: log_normal(one, u[:, i]) for i, (name, one) in enumerate(d.items())}
    r, alpha, kappa = (
        log_normal(d[n], u[:, i]) for i, n in enumerate(["r", "alpha", "kappa_dropout"])
    )
    assert (d["phi_dropout"].alpha, d["phi_dropout"].beta) == (1.0, 1.0)  # uniform
    return {
        "r": r,
        "alpha": alpha,
        "a": stats.norm.cdf(u[:, 3]) * kappa,
        "b": stats.norm.sf(u[:, 3]) * kappa,
    }


def tempered(log_weight: Array, least: float) -> Array:
    """Normalised weights, flattened until at least this many draws count."""
    for power in 0.8 ** np.arange(60):
        weight = np.exp(power * (log_weight - log_weight.max()))
        weight /= weight.sum()
        if 1 / np.sum(weight**2) >= least:
            return weight
    raise AssertionError("the proposal never met the posterior")


@cache
def reference(kind: str, base: str) -> dict[str, tuple[float, float, float]]:
    """Mean, sd and effective sample size of each parameter's logarithm."""
    rng, dim = np.random.default_rng(8), 3 if kind == "gamma_gamma" else 4
    likelihood, prior = log_likelihood(kind, base), stats.multivariate_normal(np.zeros(dim))
    centre, spread = np.zeros(dim), np.eye(dim)
    for count in ROUNDS:
        near = stats.multivariate_t(centre, spread, df=4)
        far = rng.uniform(size=count) < 0.1
        u = np.where(far[:, None], prior.rvs(count, rng), near.rvs(count, rng))
        # Eight prior sds hold all but 1e-15 of the prior, whatever the data say of it.
        u = u[np.abs(u).max(axis=1) < 8.0]
        proposed = np.logaddexp(np.log(0.1) + prior.logpdf(u), np.log(0.9) + near.logpdf(u))
        values = parameters(kind, u)
        log_weight = likelihood(np.column_stack(list(values.values())))
        log_weight += prior.logpdf(u) - proposed
        flat = tempered(log_weight, 200)
        centre = flat @ u
        spread = (u - centre).T @ ((u - centre) * flat[:, None]) * 1.3 + 1e-8 * np.eye(dim)
    weight = tempered(log_weight, 1)
    result = {}
    for name, column in values.items():
        log = np.log(column)
        mean = float(weight @ log)
        squares = (log - mean) ** 2
        sd = float(np.sqrt(weight @ squares))
        error = float(np.sqrt(weight**2 @ squares))  # of the mean, by the delta method
        result[name] = (mean, sd, (sd / error) ** 2)
    return result


def effective(posterior, log: np.ndarray) -> float:
    if posterior.metadata.method == "laplace":
        return float(posterior.tree["sample_stats"]["importance_ess"])
    return float(array_stats.ess(log, method="bulk"))


def assert_right(posterior, kind: str, base: str) -> None:
    """Means within 4.5 Monte Carlo errors of both sides; sds likewise."""
    group = posterior.tree["posterior"]
    for name, (mean, sd, size) in reference(kind, base).items():
        log = np.log(group[name].to_numpy())
        assert np.isfinite(log).all()
        error = sd * np.sqrt(1 / size + 1 / effective(posterior, log))
        assert abs(log.mean() - mean) < 4.5 * error, (name, log.mean(), mean, error)


@pytest.mark.parametrize("method", ["nuts", "laplace"])
@pytest.mark.parametrize(("kind", "base"), CASES)
def test_right_or_refused(kind: str, base: str, method: str) -> None:
    specification = SPECIFICATIONS[kind].replace(**{SCALE[kind]: GIVEN[kind]})
    options = {"random_seed": 3, "progressbar": False, "on_failure": "raise"}
    try:
        posterior = specification.fit(BASES[base], method=method, **options)
    except ConvergenceError as error:
        assert method == "laplace", error  # noqa: PT017
        return
    assert posterior.verdict.ok
    assert_right(posterior, kind, base)


def test_the_reference_is_good_enough() -> None:
    """It can only judge where enough of its draws carry weight."""
    sizes = {
        (kind, base): min(size for *_, size in reference(kind, base).values())
        for kind, base in CASES
    }
    assert min(sizes.values()) > 1_000, sizes


@pytest.mark.parametrize("base", ["bought once", "T = 0 throughout", "one customer, once"])
def test_no_repeat_purchase_no_spend_model(base: str) -> None:
    """Purchases fit; spend says why it does not."""
    with pytest.raises(DomainError, match="the spend model has nothing to learn from"):
        GammaGammaModel().fit(BASES[base], progressbar=False)
    with pytest.raises(DomainError, match="the spend model has nothing to learn from"):
        CLVModel().fit(BASES[base], progressbar=False)


def test_one_amount_for_all_is_refused_with_the_way_out() -> None:
    with pytest.raises(DomainError, match=r"9\.99 per purchase.*multiply"):
        GammaGammaModel().fit(BASES["one amount"], progressbar=False)


@pytest.mark.parametrize("base", list(BASES))
def test_by_default_a_fit_or_a_clear_error(base: str) -> None:
    """Scales taken from the data, T = 0 throughout included; then everybody is scored."""
    posterior = BetaGeoModel().fit(BASES[base], random_seed=4, progressbar=False)
    assert posterior.verdict.ok
    alive = posterior.expected_probability_alive(BASES[base])
    bought = posterior.expected_purchases(BASES[base], future_t="365D")
    assert np.isfinite(alive).all()
    assert np.isfinite(bought).all()
