"""The fast rule against the robust one, the other model's peers, and where they compile."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clvmodels.formulas import _robust, _series, mbgnbd
from clvmodels.formulas.along import purchases_along
from clvmodels.formulas.residual import purchases_if_alive


def log_uniform(rng: np.random.Generator, lo: float, hi: float, n: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(lo), math.log(hi), n))


REGIMES = {  # r and x, alpha and T, a, b, horizon: lowest and highest
    "common": ((0.05, 5), (0, 60), (5, 500), (0.05, 5), (0.2, 10), (30, 4000)),
    "moderate": ((0.01, 10), (0, 5000), (1, 1000), (0.01, 12), (0.01, 12), (1e-3, 1e4)),
    "tiny": ((1e-3, 10), (0, 500), (1e-3, 1), (1e-3, 12), (1e-3, 12), (1e-3, 1)),
    "regular": ((8, 400), (0, 60), (5000, 1e5), (1e-3, 5), (0.2, 200), (10, 4000)),
    "loyal": ((0.3, 20), (0, 200), (50, 5000), (1e-3, 300), (20, 5000), (10, 1000)),
    "domain": ((1e-3, 1e4), (0, 5000), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4)),
}


@pytest.mark.parametrize("month", [0.0, 30.4375])
@pytest.mark.parametrize(
    ("regime", "least"),
    [
        ("common", 0.9),
        ("moderate", 0.7),
        ("tiny", 0.7),
        ("regular", 0.9),
        ("loyal", 0.6),
        ("domain", 0.4),
    ],
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


CALL = "from clvmodels.formulas.residual import purchases_if_alive as f; " + (
    "print(float(f(2.243, 43.274, 0.793, 4.426, 3.0)))"
)


def called_with_cache(folder: Path, program: str = CALL) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nbc", "nbi"])
def test_a_damaged_cache_is_compiled_anew(kind: str, tmp_path: Path) -> None:
    """A changed bit in machine code would abort the process, or change a number."""
    right = called_with_cache(tmp_path)
    files = [*tmp_path.rglob(f"*.{kind}")]
    sound = {file: file.read_bytes() for file in files}
    assert sound
    for cut in (False, True):
        for file, content in sound.items():
            half = len(content) // 2
            flipped = content[:half] + bytes([content[half] ^ 0xFF]) + content[half + 1 :]
            file.write_bytes(content[:half] if cut else flipped)
        assert called_with_cache(tmp_path) == right
        # and whole again, but for the order in which a pickle has its parts
        assert {f: len(f.read_bytes()) for f in files} == {f: len(c) for f, c in sound.items()}


@pytest.mark.slow
def test_a_cache_on_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    full = (
        "import errno, numba.core.caching as c\n"
        "def save(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "c.IndexDataCacheFile.save = save\n"
    )
    assert called_with_cache(tmp_path, full + CALL) == called_with_cache(tmp_path / "other")
    assert not [*tmp_path.glob("*/*.nbc")]


def test_importing_formulas_loads_no_frames_and_no_pymc() -> None:
    program = (
        "import sys, clvmodels.formulas.beta_geometric;"
        "import clvmodels.formulas.gamma_gamma, clvmodels.formulas.discounting;"
        "print({'pymc', 'pytensor', 'pandas', 'xarray', 'pyarrow'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


# --- many lengths of one curve -----------------------------------------------------------

ALONG = {  # R, A, a, B, horizon: lowest and highest
    "common": ((0.05, 60), (5, 500), (0.05, 5), (0.2, 60), (30, 4000)),
    "moderate": ((0.01, 5000), (1, 1000), (0.01, 12), (0.01, 5000), (1e-3, 1e4)),
    "nobody leaves": ((0.5, 50), (20, 1000), (1e-3, 0.05), (0.1, 5000), (1, 1000)),
    "a and b run off": ((0.5, 50), (20, 1000), (20, 5000), (20, 5000), (1, 1000)),
    "domain": ((1e-3, 5000), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4), (1e-3, 1e4)),
}


@pytest.mark.parametrize("regime", ALONG)
def test_lengths_of_one_curve_are_what_each_is_alone(regime: str, rng: np.random.Generator) -> None:
    S, K = 60, 240
    R, A, a, B = (log_uniform(rng, *ends, S) for ends in ALONG[regime][:4])
    horizon, T = log_uniform(rng, *ALONG[regime][4], K), rng.integers(0, 700, K)
    w = np.append(horizon / (A[:, None] + T), np.zeros((S, 1)), axis=1)
    along = purchases_along(R, a, B, w)
    alone = purchases_if_alive(R[:, None], 1.0, a[:, None], B[:, None], w)
    error = np.abs(along - alone).max(axis=1) / alone.max(axis=1)
    assert error.max() < 1e-10
    assert (along[:, -1] == 0.0).all()


def test_a_curve_asked_at_one_length_only_is_a_point(rng: np.random.Generator) -> None:
    one = np.full((1, 100), 0.7)
    along = purchases_along(np.ones(1), np.ones(1), np.full(1, 2.0), one)
    np.testing.assert_allclose(along, purchases_if_alive(1.0, 1.0, 1.0, 2.0, 0.7), rtol=1e-12)


def test_a_rule_that_serves_many_lengths_is_as_good_as_its_own(rng: np.random.Generator) -> None:
    """Rows in falling order share the rule of the longest; one by one each has its own."""
    w = np.sort(log_uniform(rng, 1e-4, 1e4, 200))[::-1]
    for R, a, B in ((0.3, 1e-3, 500.0), (40.0, 300.0, 2000.0), (5.0, 0.7, 0.2)):
        columns = [np.full(w.size, value) for value in (R, 1.0, a, B)]
        shared, own = np.empty(w.size), np.empty(w.size)
        _robust.undiscounted_loop(*columns, w, shared)
        for i in range(w.size):
            _robust.undiscounted_loop(*(c[i : i + 1] for c in columns), w[i : i + 1], own[i:])
        np.testing.assert_allclose(shared, own, rtol=1e-12)
