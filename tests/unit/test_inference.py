"""Modes, Laplace weights and NUTS on densities whose answers are known."""

import ctypes
import threading
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import clvmodels as clv
from clvmodels.datasets import load_online_retail
from clvmodels.errors import ConvergenceError, DomainError
from clvmodels.fit.density import Density, compile_density
from clvmodels.fit.laplace import sample_laplace
from clvmodels.fit.mode import find_mode
from clvmodels.fit.run import Settings, infer


def gamma_model(shape: float) -> pm.Model:
    """One variable whose posterior is Gamma(shape, 1): skewed in logarithms too."""
    with pm.Model() as model:
        x = pm.Gamma("x", alpha=shape, beta=1.0)
        pm.Deterministic("double", 2.0 * x)
    return model


def test_density_counts_the_jacobian() -> None:
    with pm.Model() as model:
        pm.Exponential("x", lam=1.3)
    density = compile_density(model)
    value, gradient = density(np.array([0.7]))
    assert value == pytest.approx(stats.expon(scale=1 / 1.3).logpdf(np.exp(0.7)) + 0.7, rel=1e-12)
    assert gradient[0] == pytest.approx(1.0 - 1.3 * np.exp(0.7), rel=1e-12)
    assert density.value_function()(np.array([0.7])) == pytest.approx(value, rel=1e-14)


def test_mode_and_curvature() -> None:
    mode = find_mode(compile_density(gamma_model(9.0)))
    assert mode.location[0] == pytest.approx(np.log(9.0), abs=1e-8)
    assert mode.scale[0, 0] == pytest.approx(1 / 3.0, rel=1e-6)
    assert mode.curved


class Edge:
    """-size - c e^t - x^2 / 2: highest where e^t, a probability, is nothing at all."""

    dim = 2
    start = np.array([0.0, 3.0])
    metric = None

    def __init__(self, size: float) -> None:
        self.size = size

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        slope = 0.05 * np.exp(theta[0])
        value = -self.size - slope - 0.5 * theta[1] ** 2
        return float(value), np.array([-slope, -theta[1]])


def test_a_mode_at_the_edge_is_found_however_large_the_base_is() -> None:
    """L-BFGS stops where gains are lost in a log density of tens of thousands."""
    mode = find_mode(Edge(6e4))  # type: ignore[arg-type]
    assert mode.curved
    assert mode.decrement < 1e-4
    assert np.exp(mode.location[0]) < 1e-3
    assert mode.location[1] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", [clv.BetaGeoModel, clv.ModifiedBetaGeoModel])
def test_the_mode_of_customers_who_hardly_leave(kind: type) -> None:
    """596 of Online Retail's, where the optimiser stopped .018 sd from the mode."""
    rfm = clv.rfm_summary(
        load_online_retail(),
        customer_id_col="customer_id",
        datetime_col="timestamp",
        monetary_value_col="amount",
    )
    some = clv.RfmTable.from_pandas(rfm.to_pandas().sample(596, random_state=14))
    for table in (rfm, some):
        fitted = kind().fit(table, method="map", random_seed=1, progressbar=False)
        assert fitted.verdict.ok
        expected = fitted.expected_purchases(table, future_t="365D").to_numpy()
        assert np.isfinite(expected).all()
        assert (expected > 0).all()


def test_laplace_weights_correct_a_skewed_density() -> None:
    # The bare approximation has mean exp(log 4 + 1/8) = 4.53 and so misses by 13 %.
    density = compile_density(gamma_model(4.0))
    found = sample_laplace(
        density, find_mode(density), draws=1000, chains=4, importance_draws=1000, seed=1
    )
    x = density.constrain(found.theta.reshape(-1, 1))["x"]
    assert x.mean() == pytest.approx(4.0, abs=0.02)
    assert x.std() == pytest.approx(2.0, rel=0.02)
    assert found.khat < 0.5
    assert 700 < found.importance_ess < 1000


def test_laplace_verdict_fails_on_a_heavy_tail() -> None:
    with pm.Model() as model:
        pm.StudentT("x", nu=1.0, mu=0.0, sigma=1.0, shape=())
        pm.StudentT("y", nu=1.0, mu=0.0, sigma=1.0, shape=())
    settings = Settings(method="laplace", on_failure="raise", random_seed=2, progressbar=False)
    with pytest.raises(ConvergenceError, match="k-hat"):
        infer(model, settings, customers=10**6)


def test_auto_goes_by_size() -> None:
    settings = Settings(method="auto", random_seed=1, draws=500, chains=2, progressbar=False)
    small = infer(gamma_model(30.0), settings, customers=100)
    large = infer(gamma_model(30.0), settings, customers=10**6)
    assert (small.method, large.method) == ("nuts", "laplace")
    for result in (small, large):
        assert result.verdict.ok
        x = result.tree["posterior"]["x"].to_numpy()
        assert x.shape == (2, 500)
        assert abs(x.mean() - 30.0) < 5 * np.sqrt(30.0 / 300)
        np.testing.assert_allclose(result.tree["posterior"]["double"], 2 * x)


@pytest.mark.parametrize("method", ["nuts", "laplace"])
def test_same_seed_same_draws(method: str) -> None:
    settings = Settings(method=method, random_seed=5, draws=600, chains=2, progressbar=False)  # type: ignore[arg-type]
    one, two = (infer(gamma_model(30.0), settings, customers=10) for _ in range(2))
    np.testing.assert_array_equal(one.tree["posterior"]["x"], two.tree["posterior"]["x"])


def thread_states() -> int:
    """How many threads the interpreter keeps a state of."""
    interpreter = ctypes.pythonapi.PyInterpreterState_Get
    first, following = (
        ctypes.pythonapi.PyInterpreterState_ThreadHead,
        ctypes.pythonapi.PyThreadState_Next,
    )
    interpreter.restype = first.restype = following.restype = ctypes.c_void_p
    count, state = 0, first(ctypes.c_void_p(interpreter()))
    while state:
        count, state = count + 1, following(ctypes.c_void_p(state))
    return count


def test_a_chain_is_one_thread_to_python_which_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a new one at each step, which took longer than the step."""
    mine, steps, threads = threading.local(), [0], [0]
    whitened = Density.whitened_function

    def watched(*args: Any) -> Callable[..., Any]:
        call = whitened(*args)

        def counted(z: np.ndarray) -> tuple[float, np.ndarray]:
            steps[0] += 1
            if not hasattr(mine, "known"):
                mine.known = True
                threads[0] += 1
            return call(z)

        return counted

    monkeypatch.setattr(Density, "whitened_function", watched)
    before = thread_states()
    settings = Settings(method="nuts", random_seed=1, draws=500, chains=4, progressbar=False)
    infer(gamma_model(9.0), settings, customers=1)
    assert steps[0] > 4000
    assert threads[0] < 80  # until the first draw of a chain there is a new one at each step
    assert thread_states() <= before


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_interrupt_within_numba_is_one(interrupted: bool) -> None:
    """Numba makes a SystemError of what a signal raises while it boxes an array."""

    def call(*_: np.ndarray) -> None:
        try:
            raise KeyboardInterrupt if interrupted else ValueError
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error

    density = compile_density(gamma_model(9.0))
    density.compiled.__dict__["gradient"] = SimpleNamespace(call=call, arguments=())
    with pytest.raises(KeyboardInterrupt if interrupted else SystemError):
        density(np.zeros(1))


def test_a_failed_laplace_fit_goes_on_to_nuts_and_says_so() -> None:
    with pm.Model() as model:
        # A t with 2 degrees of freedom in 8 dimensions: most of it lies far from the mode.
        squares = sum(pm.Flat(f"x{number}") ** 2 for number in range(8))
        pm.Potential("t", -5.0 * pm.math.log1p(squares / 2.0))
    settings = Settings(method="laplace", random_seed=2, draws=6000, tune=1000, progressbar=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = infer(model, settings, customers=10**6)
    assert result.method == "nuts"
    assert "importance ESS" in result.notes[0]
    assert any("Went on to NUTS" in str(one.message) for one in caught)


def test_map_has_one_point_and_no_uncertainty() -> None:
    result = infer(gamma_model(9.0), Settings(method="map", progressbar=False), customers=5)
    assert result.tree["posterior"]["x"].shape == (1, 1)
    # The mode of the density of x itself: no jacobian, as in PyMC's find_MAP.
    assert result.tree["posterior"]["x"].item() == pytest.approx(8.0, rel=1e-8)
    assert [check.status for check in result.verdict.checks] == ["pass"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"draws": 0},
        {"draws": 2.5},
        {"chains": 0},
        {"chains": True},
        {"tune": 0},
        {"importance_draws": 20},
        {"random_seed": -1},
        {"random_seed": "a"},
        {"random_seed": 2.5},
    ],
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(DomainError, match=next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
