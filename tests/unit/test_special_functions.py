"""Special functions for compiled loops against SciPy, NumPy and mpmath."""

import mpmath
import numpy as np
import pytest
from scipy.special import digamma as scipy_digamma

from clvmodels.formulas.special import (
    digamma,
    exp_negative,
    growth_logs,
    log1p_unit,
    log_sums,
    one_less_exp,
)
from clvmodels.purchases import MODELS

ULP = 2.0**-52


def exponents() -> np.ndarray:
    rng = np.random.default_rng(7)
    return -np.concatenate(
        [[0.0, 707.9], rng.uniform(0, 700, 4000), 10 ** rng.uniform(-15, 1, 4000)]
    )


def test_exp_negative_is_right_to_a_few_ulp() -> None:
    y = exponents()
    found = np.array([exp_negative(one) for one in y])
    assert np.max(np.abs(found / np.exp(y) - 1)) <= 4 * ULP


def test_one_less_exp_is_right_to_a_few_ulp() -> None:
    y = np.concatenate([exponents()[1:], -(10 ** np.random.default_rng(8).uniform(-300, 1, 4000))])
    found = np.array([one_less_exp(one) for one in y])
    assert np.max(np.abs(found / -np.expm1(y) - 1)) <= 4 * ULP
    assert one_less_exp(0.0) == 0.0
    assert one_less_exp(-np.inf) == 1.0


@pytest.mark.parametrize("y", [-708.0, -1e4, -np.inf])
def test_exp_negative_ends_in_nothing(y: float) -> None:
    assert 0 <= exp_negative(y) < 1e-307


def test_log1p_unit_is_right_to_a_few_ulp() -> None:
    e = np.exp(exponents())
    found = np.array([log1p_unit(one) for one in e])
    assert np.max(np.abs(found / np.log1p(e) - 1)) <= 4 * ULP
    assert log1p_unit(0.0) == 0.0
    assert log1p_unit(1.0) == pytest.approx(np.log(2), rel=1e-15)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.3, 1.0, 1.4616321449683622, 7.99, 8.0, 50.0, 1e8])
def test_digamma_against_mpmath(x: float) -> None:
    wanted = float(mpmath.digamma(mpmath.mpf(x)))
    assert digamma(x) == pytest.approx(wanted, rel=1e-13, abs=2e-15)


def test_digamma_against_scipy() -> None:
    x = 10 ** np.random.default_rng(3).uniform(-3, 6, 2000)
    found = np.array([digamma(one) for one in x])
    np.testing.assert_allclose(found, scipy_digamma(x), rtol=1e-12, atol=1e-14)


def test_logs_of_sums_are_right_below_one_too() -> None:
    rng = np.random.default_rng(9)
    alpha, t = 10 ** rng.uniform(-300, 3, 400), np.append(rng.uniform(0, 900, 40), 0.0)
    right = np.log(alpha.astype(np.longdouble) + t[:, None])
    error = np.abs(log_sums(t, alpha) - right)
    assert np.max(error / np.maximum(np.abs(right), 1.0)) <= 4 * ULP


def test_logs_of_growth_are_right_for_short_and_endless_horizons() -> None:
    rng = np.random.default_rng(12)
    length, alpha = 10 ** rng.uniform(-20, 6, 400), 10 ** rng.uniform(-3, 3, 400)
    t = np.append(rng.uniform(0, 900, 40), 0.0)
    right = np.log1p((length / (alpha + t[:, None])).astype(np.longdouble))
    np.testing.assert_allclose(growth_logs(length, t, alpha), right, rtol=4 * ULP)
    assert (growth_logs(np.full(400, np.inf), t, alpha) == np.inf).all()
    assert (growth_logs(np.zeros(400), t, alpha) == 0.0).all()


@pytest.mark.parametrize("model", ["bgnbd", "mbgnbd", "mbgcnbd3"])
def test_weights_are_the_same_whether_times_repeat_or_not(model: str) -> None:
    """Resumed runs group histories otherwise, and are to end equal to the last bit."""
    rng, family = np.random.default_rng(10), MODELS[model].formulas
    draws = {n: v * np.exp(0.1 * rng.normal(size=37)) for n, v in (("r", 0.6), ("alpha", 9.0))}
    draws |= {"a": rng.uniform(0.5, 1, 37), "b": rng.uniform(2, 3, 37)}
    T = rng.uniform(50, 400, 40)
    x, t_x = rng.integers(1, 9, 40).astype(float), T * rng.uniform(size=40)
    found = []
    for times in (1, 3):  # all different, so without a table; and each three times, with one
        repeated = [np.tile(v, times) for v in (x, t_x, T)]
        out = np.empty((family.phases, 40 * times, 37))
        family.weights(*repeated, draws).fill(0, out)
        found.append(out)
    np.testing.assert_array_equal(np.tile(found[0], (1, 3, 1)), found[1])
