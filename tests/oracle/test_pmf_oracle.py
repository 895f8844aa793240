"""The distribution of counts: against mpmath, simulation, and slow sums over draws."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from clvmodels import BetaGeoPosterior, ModifiedBetaGeoPosterior
from clvmodels.formulas import bgnbd, mbgnbd
from clvmodels.formulas.counts import (
    count_pmf_if_alive,
    count_sf_if_alive,
    log_negative_binomial,
)
from clvmodels.formulas.discounting import Due
from clvmodels.predictive import CountDistribution, count_distribution
from clvmodels.purchases import purchase_model

MODELS = [bgnbd, mbgnbd]
POSTERIORS = [BetaGeoPosterior, ModifiedBetaGeoPosterior]
PARAMETERS = {"r": 0.9, "alpha": 6.0, "a": 0.9, "b": 2.2}
STANDARD_ERRORS = 5.0  # two-sided 6e-7


def log_uniform(rng: np.random.Generator, lo: float, hi: float, n: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(lo), math.log(hi), n))


def living_pmf(n: int, R: Any, A: Any, a: Any, B: Any, horizon: Any) -> Any:
    """Probability as it is derived, from gamma functions and an incomplete beta function."""
    some = horizon / (A + horizon)
    count = mp.rf(R, n) / mp.factorial(n) * (1 - some) ** R * some**n
    value = mp.beta(a, B + n) / mp.beta(a, B) * count
    if n:
        at_least = mp.betainc(n, R, 0, some, regularized=True)
        value += mp.beta(a + 1, B + n - 1) / mp.beta(a, B) * at_least
    return value


# --- formulas ---


@pytest.mark.parametrize("stays", [0, 1])
def test_pmf_against_mpmath(stays: int, rng: np.random.Generator) -> None:
    size = 300
    parameters = {name: log_uniform(rng, 1e-3, 1e4, size) for name in ("r", "alpha", "a", "b")}
    x = np.floor(log_uniform(rng, 1, 5001, size)) - 1
    T = log_uniform(rng, 1e-2, 1e4, size)
    t_x = np.where(x > 0, T * rng.random(size), 0.0)
    horizon = log_uniform(rng, 1e-3, 1e4, size)
    n = np.floor(log_uniform(rng, 1, 5001, size)) - 1
    value = MODELS[stays].pmf(n, x, t_x, T, horizon, **parameters)
    alive = MODELS[stays].p_alive(x, t_x, T, **parameters)
    with mp.workdps(60):
        for i in range(size):
            r, alpha, a, b = (mp.mpf(float(parameters[k][i])) for k in ("r", "alpha", "a", "b"))
            R, A, B = r + mp.mpf(x[i]), alpha + mp.mpf(T[i]), b + mp.mpf(x[i]) + stays
            living = living_pmf(int(n[i]), R, A, a, B, mp.mpf(horizon[i]))
            # P(alive) is compared elsewhere; here it is taken as it is.
            expected = mp.mpf(alive[i]) * living + (1 - mp.mpf(alive[i])) * (n[i] == 0)
            assert abs(value[i] - expected) <= 1e-9 * expected + 1e-300


def test_negative_binomial_against_mpmath(rng: np.random.Generator) -> None:
    """Near the mode too, where gamma functions of 1e8 nearly cancel."""
    R, ratio = log_uniform(rng, 1e-3, 1e4, 400), log_uniform(rng, 1e-4, 1e4, 400)
    near = np.abs(rng.normal(R * ratio, np.sqrt(R * ratio * (1 + ratio))))
    n = np.where(rng.random(400) < 0.5, np.rint(near), np.floor(log_uniform(rng, 1, 2e4, 400)) - 1)
    with mp.workdps(50):
        for each in zip(n, R, ratio, strict=True):
            k, shape, odds = map(mp.mpf, each)
            gammas = mp.loggamma(shape + k) - mp.loggamma(shape) - mp.loggamma(k + 1)
            expected = gammas + k * mp.log(odds) - (shape + k) * mp.log1p(odds)
            found = log_negative_binomial(*each)
            assert abs(found - expected) <= 1e-12 * max(abs(expected), 1)


@pytest.mark.parametrize("model", MODELS, ids=["BG/NBD", "MBG/NBD"])
def test_an_endless_horizon_leaves_the_dropout(model: Any) -> None:
    n = np.arange(200_000)
    pmf = model.pmf(n, 3, 10.0, 20.0, math.inf, r=0.5, alpha=9.0, a=3.0, b=2.0)
    expected = model.expected_purchases(3, 10.0, 20.0, math.inf, r=0.5, alpha=9.0, a=3.0, b=2.0)
    assert pmf.sum() == pytest.approx(1, abs=1e-12)
    assert (n * pmf).sum() == pytest.approx(float(expected), rel=1e-6)  # the tail is n^-3


@pytest.mark.parametrize("model", MODELS, ids=["BG/NBD", "MBG/NBD"])
def test_sums_to_one_and_has_the_mean(model: Any, rng: np.random.Generator) -> None:
    for _ in range(40):
        parameters = {name: log_uniform(rng, 0.05, 20, 1)[0] for name in PARAMETERS}
        x = float(rng.integers(0, 400))
        T = rng.uniform(1, 800) if x else rng.uniform(0, 800)
        history = (x, T * rng.random() if x else 0.0, T)
        horizon = T * rng.uniform(0, 3)
        n = np.arange(20_000)
        pmf = model.pmf(n, *history, horizon, **parameters)
        expected = float(model.expected_purchases(*history, horizon, **parameters))
        assert (pmf >= 0).all()
        assert pmf.sum() == pytest.approx(1, abs=1e-10)
        assert (n * pmf).sum() == pytest.approx(expected, rel=1e-9)
        chance = float(model.p_purchase(*history, horizon, **parameters))
        assert 1 - pmf[0] == pytest.approx(chance, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("asked_at_once", [False, True], ids=["BG/NBD", "MBG/NBD"])
@pytest.mark.parametrize("x", [0, 1, 4])
def test_pmf_against_simulation(asked_at_once: bool, x: int, rng: np.random.Generator) -> None:
    """The living: rate and dropout drawn given the history, then counts as they fall."""
    size, T, horizon = 400_000, 20.0, 30.0
    rate = rng.gamma(PARAMETERS["r"] + x, 1 / (PARAMETERS["alpha"] + T), size)
    dropout = rng.beta(PARAMETERS["a"], PARAMETERS["b"] + x + asked_at_once, size)
    count = np.minimum(rng.poisson(rate * horizon), rng.geometric(dropout))
    R, A = PARAMETERS["r"] + x, PARAMETERS["alpha"] + T
    B = PARAMETERS["b"] + x + asked_at_once
    pmf = count_pmf_if_alive(np.arange(12), R, A, PARAMETERS["a"], B, horizon)
    for n, probability in enumerate(pmf):
        error = math.sqrt(probability * (1 - probability) / size)
        assert abs((count == n).mean() - probability) <= STANDARD_ERRORS * error


# --- the recursion over draws ---


@pytest.mark.parametrize("heavy", [False, True])
def test_recursion_against_the_formula(heavy: bool, rng: np.random.Generator) -> None:
    """Heavy customers' probability of no purchase underflows in some draws, or in all."""
    S = 12
    R = log_uniform(rng, 500, 5000, S) if heavy else log_uniform(rng, 1e-3, 200, S)
    ratio = log_uniform(rng, 0.05, 3, S)
    a, B = log_uniform(rng, 1e-3, 5, S), log_uniform(rng, 0.01, 5000, S)
    draws = {"r": R, "alpha": 1.0 / ratio, "a": a, "b": B}
    living = purchase_model("bgnbd").formulas.living(np.zeros(1), np.zeros(1), draws, Due(1.0))
    table, (_, rows) = living.survival(0, 1e-12, 50_000)
    table = table[:, 0]
    assert table[rows - 1].mean() <= 1e-12 < table[rows - 2].mean()
    n = np.arange(rows + 1)[:, None]
    survival = np.vstack([np.ones(S), table[:rows]])
    assert (np.diff(survival, axis=0) <= 0).all()
    pmf = count_pmf_if_alive(n, R, 1.0, a, B, ratio)
    np.testing.assert_allclose(-np.diff(survival, axis=0), pmf[:-1], rtol=0, atol=2e-12)
    above = count_sf_if_alive(n[:-1], R, 1.0, a, B, ratio)
    np.testing.assert_allclose(survival[1:], above, rtol=0, atol=2e-12)
    exactly = [living.exceeds(0, float(k))[0] for k in (-1, 0, rows - 1)]
    np.testing.assert_allclose(exactly, [np.ones(S), above[0], above[rows - 1]], rtol=1e-12)


def test_too_long_a_table_says_so() -> None:
    draws = {"r": np.full(1, 100.0), **{name: np.ones(1) for name in ("alpha", "a", "b")}}
    keys = np.array([0.0, 0.0]), np.array([0.0, 1e9])
    living = purchase_model("bgnbd").formulas.living(*keys, draws, Due(1.0))
    _, start = living.survival(0, 1e-12, 50)
    assert start[1] == 0 < start[2]


# --- mixtures over draws ---


def base() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": list("abcdef"),
            "frequency": [0, 1, 5, 30, 1200, 0],
            "recency": [0.0, 50.0, 200.0, 300.0, 4990.0, 0.0],
            "T": [0.0, 100.0, 220.0, 300.5, 5000.0, 730.0],
        }
    )


@pytest.fixture(scope="module", params=POSTERIORS, ids=["BG/NBD", "MBG/NBD"])
def mixture(request: pytest.FixtureRequest) -> tuple[CountDistribution, np.ndarray]:
    """A distribution, and its probabilities as means of the formula over draws."""
    rng = np.random.default_rng(5)
    draws = {
        name: value * np.exp(0.15 * rng.normal(size=40))
        for name, value in {"r": 0.25, "alpha": 31.0, "a": 0.9, "b": 2.5}.items()
    }
    posterior = request.param.from_draws(**draws)
    rfm = base()
    columns = {name: values[:, None, None] for name, values in draws.items()}
    history = (rfm["frequency"].to_numpy(), rfm["recency"].to_numpy(), rfm["T"].to_numpy())
    pmf = posterior.formulas.pmf(np.arange(1500)[:, None], *history, 400.0, **columns)
    return count_distribution(posterior, rfm, horizon=400.0), pmf.mean(axis=0)


Mixture = tuple[CountDistribution, np.ndarray]


def test_probabilities(mixture: Mixture) -> None:
    found, pmf = mixture
    n = np.arange(len(pmf))[:, None]
    np.testing.assert_allclose(found.pmf(n), pmf, rtol=0, atol=2e-12)
    np.testing.assert_allclose(found.cdf(n), pmf.cumsum(axis=0), rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.sf(n), 1 - pmf.cumsum(axis=0), rtol=0, atol=1e-11)
    assert (found.pmf(0.5) == 0).all()
    assert (found.pmf(-1) == 0).all()
    assert (found.cdf(1.5) == found.cdf(1)).all()
    for row in range(len(found)):
        one = found.pmf_of(row)
        np.testing.assert_allclose(one, pmf[: len(one), row], rtol=0, atol=2e-12)
    np.testing.assert_allclose(found.expected_customers(9), pmf[:10].sum(axis=1), atol=1e-11)


def test_moments(mixture: Mixture) -> None:
    found, pmf = mixture
    n = np.arange(len(pmf))[:, None]
    mean = (n * pmf).sum(axis=0)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(found.variance, ((n - mean) ** 2 * pmf).sum(axis=0), rtol=1e-7)


def test_quantiles(mixture: Mixture) -> None:
    found, pmf = mixture
    cdf = pmf.cumsum(axis=0)
    for probability in (1e-6, 0.05, 0.5, 0.9, 0.95, 0.999):
        expected = (cdf >= probability).argmax(axis=0)
        np.testing.assert_array_equal(found.quantile(probability), expected)
    lower, upper = found.interval(0.9)
    np.testing.assert_array_equal(np.array([lower, upper]), found.quantile([0.05, 0.95]))
    held = np.array([cdf[int(u), i] for i, u in enumerate(upper)]) - np.array(
        [cdf[int(v) - 1, i] if v else 0.0 for i, v in enumerate(lower)]
    )
    assert (held >= 0.9).all()


def test_scores(mixture: Mixture) -> None:
    found, pmf = mixture
    y = np.array([0, 3, 40, 12, 110, 1])
    n = np.arange(len(pmf))[:, None]
    likelihood = pmf[y, np.arange(len(y))]
    np.testing.assert_allclose(found.log_score(y), np.log(likelihood), rtol=1e-8)
    # E|X - y| - E|X - X'| / 2 is the same score by another road.
    distance = np.abs(np.arange(len(pmf))[:, None] - np.arange(len(pmf)))
    spread = np.einsum("ni,nm,mi->i", pmf, distance, pmf)
    expected = (np.abs(n - y) * pmf).sum(axis=0) - spread / 2
    np.testing.assert_allclose(found.crps(y), expected, rtol=1e-7, atol=1e-10)
    cdf = pmf.cumsum(axis=0)[y, np.arange(len(y))]
    pit = found.pit(y, random_seed=3)
    assert (pit <= cdf + 1e-11).all()
    assert (pit >= cdf - likelihood - 1e-11).all()


def test_log_score_beyond_the_cut(mixture: Mixture) -> None:
    found, _ = mixture
    y = np.full(6, 1400)
    assert (found.pmf(y)[[0, 1, 2, 3, 5]] == 0).all()
    draws = {name: values[:, None] for name, values in found._draws.items()}
    rfm = base()
    history = (rfm["frequency"].to_numpy(), rfm["recency"].to_numpy(), rfm["T"].to_numpy())
    expected = found._formulas.pmf(y, *history, 400.0, **draws).mean(axis=0)
    assert np.isfinite(found.log_score(y)[0])
    np.testing.assert_allclose(np.exp(found.log_score(y)), expected, rtol=1e-10)
