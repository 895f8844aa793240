"""Derivatives of log-likelihoods by recency and age: against differences, and by homogeneity."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from clvmodels.purchases import MODELS
from tests.toy_family import ToyFamily

WARPED = [key for key in MODELS if key != "paretonbd"]
THETA = {
    "usual": {"r": 0.7, "alpha": 9.0, "a": 0.8, "b": 2.5},
    "nobody leaves": {"r": 1.3, "alpha": 4.0, "a": 1e-5, "b": 8.0},
    "a ridge": {"r": 4e3, "alpha": 9e4, "a": 30.0, "b": 1e-3},
}


def base(size: int = 40) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(20)
    x = rng.integers(0, 6, size).astype(float)
    T = rng.uniform(1.0, 80.0, size)
    t_x = np.where(x > 0, T * rng.uniform(0.05, 1.0, size), 0.0)
    t_x[x > 0] = np.where(rng.random((x > 0).sum()) < 0.1, T[x > 0], t_x[x > 0])
    x[0], t_x[0], T[0] = 0.0, 0.0, 0.0
    return x, t_x, T, rng.integers(1, 9, size).astype(float)


@pytest.mark.parametrize("key", WARPED)
@pytest.mark.parametrize("theta", THETA.values(), ids=THETA)
def test_values_and_slopes_by_parameters_are_those_of_a_fit(
    key: str, theta: dict[str, float]
) -> None:
    family, (x, t_x, T, count) = MODELS[key].formulas, base()
    stratum = (np.arange(len(x)) % 3 == 0).astype(int)
    both = {name: np.array([value, 1.1 * value]) for name, value in theta.items()}
    found = family.in_time(x, count, stratum=stratum)(t_x, T, **both)
    want = family.fused(x, t_x, T, count, stratum=stratum)(*both.values())
    assert found.value == pytest.approx(want[0], rel=1e-12)
    np.testing.assert_allclose(found.by_parameter.ravel(), want[1:], rtol=1e-10, atol=1e-9)
    each = family.log_likelihood(x, t_x, T, **theta)
    alone = family.in_time(x, count)(t_x, T, **theta)
    assert alone.value == pytest.approx(count @ each, rel=1e-11)


@pytest.mark.parametrize("key", WARPED)
@pytest.mark.parametrize("theta", THETA.values(), ids=THETA)
def test_slopes_by_times_are_differences(key: str, theta: dict[str, float]) -> None:
    """Of the likelihood as it is written in its papers, in 50 digits."""
    model, (x, t_x, T, count) = MODELS[key], base()
    found = model.formulas.in_time(x, count)(t_x, T, **theta)
    extra = int(key.startswith("m"))

    def value(i: int, at: mpmath.mpf, age: mpmath.mpf) -> mpmath.mpf:
        r, alpha, a, b = (mpmath.mpf(one) for one in theta.values())
        n, k = int(x[i]), model.regularity
        R, asked = r + k * n, n + extra
        alive = sum(
            mpmath.rf(R, j) / mpmath.factorial(j) * (age - at) ** j / (alpha + age) ** (R + j)
            for j in range(k)
        ) * mpmath.beta(a, b + asked)
        gone = mpmath.beta(a + 1, b + asked - 1) / (alpha + at) ** R if asked else 0
        return mpmath.log(alive + gone)

    with mpmath.workdps(50):
        h = mpmath.mpf(10) ** -12
        for i in range(len(x)):
            at, age = mpmath.mpf(t_x[i]), mpmath.mpf(T[i])
            by_T = (value(i, at, age + h) - value(i, at, age - h)) / (2 * h)
            by_t_x = (value(i, at + h, age) - value(i, at - h, age)) / (2 * h)
            assert found.by_age[i] == pytest.approx(count[i] * float(by_T), rel=1e-9, abs=1e-11)
            assert found.by_recency[i] == pytest.approx(
                count[i] * float(by_t_x), rel=1e-9, abs=1e-11
            )


@pytest.mark.parametrize("key", WARPED)
def test_a_change_of_units_costs_the_density_of_the_purchases(key: str) -> None:
    """Euler: alpha d/dalpha + sum (t_x d/dt_x + T d/dT) = -k sum x."""
    model, (x, t_x, T, count) = MODELS[key], base()
    theta = THETA["usual"]
    found = model.formulas.in_time(x, count)(t_x, T, **theta)
    total = theta["alpha"] * found.by_parameter[1, 0] + t_x @ found.by_recency + T @ found.by_age
    assert total == pytest.approx(-model.regularity * (count @ x), rel=1e-12)


def test_outside_of_the_domain_there_is_no_likelihood() -> None:
    x, t_x, T, count = base()
    family = MODELS["bgcnbd2"].formulas
    assert family.in_time(x, count)(t_x, T, **{**THETA["usual"], "a": 0.0}).value == -np.inf


def test_families_that_no_clock_fits_say_so() -> None:
    x, _, _, count = base()
    assert MODELS["paretonbd"].formulas.in_time(x, count) is None
    assert ToyFamily().in_time(x, count) is None
