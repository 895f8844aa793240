"""The fast rule against the robust one, the other model's peers, and where they compile."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from clvmodels.formulas import _robust, _series, mbgnbd


def log_uniform(rng: np.random.Generator, lo: float, hi: float, n: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(lo), math.log(hi), n))


REGIMES = {  # r and x, alpha and T, a, b, horizon: lowest and highest
    "common": ((0.05, 5), (0, 60), (5, 500), (0.05, 5), (0.2, 10), (30, 4000)),
    "moderate": ((0.01, 10), (0, 5000), (1, 1000), (0.01, 12), (0.01, 12), (1e-3, 1e4)),
    "tiny": ((1e-3, 10), (0, 500), (1e-3, 1), (1e-3, 12), (1e-3, 12), (1e-3, 1)),
    "domain": ((1e-3, 1e4), (0, 5000), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4)),
}


@pytest.mark.parametrize("month", [0.0, 30.4375])
@pytest.mark.parametrize(
    ("regime", "least"), [("common", 0.9), ("moderate", 0.7), ("tiny", 0.7), ("domain", 0.1)]
)
def test_the_fast_rule_is_right_wherever_it_answers(
    regime: str, least: float, month: float, rng: np.random.Generator
) -> None:
    n = 2000
    r, x, alpha, a, b, horizon = REGIMES[regime]
    count = np.floor(log_uniform(rng, 1, x[1] + 1, n)) - 1
    R, A = log_uniform(rng, *r, n) + count, log_uniform(rng, *alpha, n)
    a_, B = log_uniform(rng, *a, n), log_uniform(rng, *b, n) + count
    h, delta = log_uniform(rng, *horizon, n), log_uniform(rng, 1e-7, 1e-2, n)
    fast, fast_discounted = np.empty(n), np.empty(n)
    _series.series_loop(R, A, a_, B, h, delta, month, fast, fast_discounted)
    done = ~np.isnan(fast)
    assert (np.isnan(fast_discounted) == ~done).all()
    assert done.mean() >= least
    subset = tuple(v[done] for v in (R, A, a_, B, h))
    value, value_discounted = np.empty(done.sum()), np.empty(done.sum())
    _robust.undiscounted_loop(*subset, value)
    _robust.discounted_loop(*subset, delta[done], month, value_discounted)
    np.testing.assert_allclose(fast[done], value, rtol=3e-12)
    np.testing.assert_allclose(fast_discounted[done], value_discounted, rtol=3e-12)


def test_too_many_nodes_are_never_cut_in_silence() -> None:
    p, weight = np.empty(20), np.empty(20)
    n = _robust.beta_rule(1e-3, 1e-3, 1e8, p, weight)
    assert np.isnan(weight[:n]).all()


@pytest.mark.slow
def test_mbgnbd_likelihood_equals_pymc_marketing(rng: np.random.Generator) -> None:
    from pymc_marketing.clv.distributions import ModifiedBetaGeoNBD

    n = 50
    x = rng.integers(0, 30, n).astype(float)
    T = rng.uniform(1, 60, n)
    t_x = np.where(x > 0, T * rng.random(n), 0.0)
    parameters = {"r": 0.53, "alpha": 6.2, "a": 0.9, "b": 1.6}
    import pymc as pm

    distribution = ModifiedBetaGeoNBD.dist(**parameters, T=T)
    theirs = pm.logp(distribution, np.column_stack([t_x, x])).eval()
    np.testing.assert_allclose(mbgnbd.log_likelihood(x, t_x, T, **parameters), theirs, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cache",
    [
        {"NUMBA_CACHE_DIR": os.devnull + "/nowhere"},
        {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"},
    ],
    ids=["directory cannot be made", "no place at all"],
)
def test_works_where_nothing_can_be_cached(cache: dict[str, str]) -> None:
    program = (
        "from clvmodels.formulas.residual import purchases_if_alive as f;"
        "print(float(f(2.243, 43.274, 0.793, 4.426, 0.0)))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | cache,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "0.0", run.stderr


def test_importing_formulas_loads_no_frames_and_no_pymc() -> None:
    program = (
        "import sys, clvmodels.formulas.bgnbd, clvmodels.formulas.mbgnbd;"
        "import clvmodels.formulas.gamma_gamma, clvmodels.formulas.discounting;"
        "print({'pymc', 'pytensor', 'pandas', 'xarray', 'pyarrow'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"
