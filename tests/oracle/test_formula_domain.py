"""The formulas over their whole domain, against mpmath; errors outside it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from clvmodels.errors import DomainError
from clvmodels.formulas import bgnbd, gamma_gamma, mbgnbd
from clvmodels.formulas.discounting import flow_value
from clvmodels.formulas.residual import discounted_if_alive, purchases_if_alive, residual_block

REFERENCES: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "formula_references.json").read_text(encoding="utf-8")
)
RELATIVE = 1e-11
PLAIN = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
MODELS = [bgnbd, mbgnbd]


def columns(kind: str) -> dict[str, np.ndarray]:
    """One array per name of the reference points, with R, A, B beside them."""
    points = REFERENCES[kind]
    table = {name: np.array([float(point[name]) for point in points]) for name in points[0]}
    table["R"], table["B"] = table["r"] + table["x"], table["b"] + table["x"]
    table["A"] = table["alpha"] + table["T"]
    return table


def living(table: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return table["R"], table["A"], table["a"], table["B"]


def log_uniform(rng: np.random.Generator, lo: float, hi: float, n: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(lo), math.log(hi), n))


def sampled(rng: np.random.Generator, n: int) -> tuple[dict[str, np.ndarray], np.ndarray, ...]:
    """Parameters and histories over the domain."""
    parameters = {name: log_uniform(rng, 1e-3, 1e4, n) for name in ("r", "alpha", "a", "b")}
    x = np.floor(log_uniform(rng, 1, 5001, n)) - (rng.random(n) < 0.2)
    T = np.where(rng.random(n) < 0.1, 0.0, log_uniform(rng, 1e-2, 1e4, n))
    t_x = np.where(x > 0, T * rng.choice([0.0, 0.3, 0.99, 1.0], n), 0.0)
    return parameters, x, t_x, T


class TestAgainstReferences:
    def test_undiscounted(self) -> None:
        table = columns("undiscounted")
        value = purchases_if_alive(*living(table), table["horizon"])
        np.testing.assert_allclose(value, table["value"], rtol=RELATIVE)

    def test_undiscounted_by_the_rule_for_discounted(self) -> None:
        """A rate of almost nothing, so that both quadratures are used."""
        table = columns("undiscounted")
        value = discounted_if_alive(*living(table), table["horizon"], 1e-17 / table["horizon"])
        np.testing.assert_allclose(value, table["value"], rtol=RELATIVE)

    def test_discounted(self) -> None:
        table = columns("discounted")
        value = discounted_if_alive(*living(table), table["horizon"], table["delta"])
        np.testing.assert_allclose(value, table["value"], rtol=RELATIVE)

    def test_monthly(self) -> None:
        table = columns("monthly")
        for i, month in enumerate(table["month"]):
            arguments = (column[i] for column in (*living(table), table["horizon"], table["delta"]))
            value = discounted_if_alive(*arguments, month=month)
            np.testing.assert_allclose(value, table["value"][i], rtol=RELATIVE)


def test_undiscounted_in_the_common_regime_live(rng: np.random.Generator) -> None:
    n = 40
    R, A = rng.uniform(0.1, 60, n), rng.uniform(1, 500, n)
    a, B = rng.uniform(0.05, 8, n), rng.uniform(0.2, 60, n)
    value = purchases_if_alive(R, A, a, B, 365.0)
    for i in range(n):
        with mp.workdps(60):
            first = (a[i] + B[i] - 1) / (mp.mpf(a[i]) - 1)
            hyper = mp.hyp2f1(R[i], B[i], mp.mpf(a[i]) + B[i] - 1, 365 / (A[i] + mp.mpf(365)))
            closed = first * (1 - (A[i] / (A[i] + mp.mpf(365))) ** R[i] * hyper)
        assert abs(value[i] / closed - 1) < RELATIVE


@pytest.mark.parametrize("stays", [0, 1])
def test_log_likelihood_and_p_alive(stays: int, rng: np.random.Generator) -> None:
    n = 400
    parameters, x, t_x, T = sampled(rng, n)
    model = MODELS[stays]
    likelihood = model.log_likelihood(x, t_x, T, **parameters)
    alive = model.p_alive(x, t_x, T, **parameters)
    with mp.workdps(60):
        for i in range(n):
            r, alpha, a, b = (mp.mpf(float(parameters[k][i])) for k in ("r", "alpha", "a", "b"))
            x_, t_, T_ = (mp.mpf(float(v[i])) for v in (x, t_x, T))
            rate = mp.loggamma(r + x_) - mp.loggamma(r) + r * mp.log(alpha)
            stayed = mp.log(mp.beta(a, b + x_ + stays) / mp.beta(a, b)) if x_ + stays else 0
            living_ = mp.exp(rate + stayed - (r + x_) * mp.log(alpha + T_))
            dropped = mp.mpf(0)
            if x_ + stays:
                once = mp.beta(a + 1, b + x_ + stays - 1) / mp.beta(a, b)
                dropped = once * mp.exp(rate - (r + x_) * mp.log(alpha + t_))
            assert abs(likelihood[i] - mp.log(living_ + dropped)) < 1e-8
            expected = living_ / (living_ + dropped)
            assert abs(alive[i] - expected) <= 1e-9 * expected + 1e-300


@pytest.mark.parametrize("stays", [0, 1])
def test_pmf(stays: int, rng: np.random.Generator) -> None:
    n = 300
    parameters, count, _, _ = sampled(rng, n)
    t = log_uniform(rng, 1e-3, 1e4, n)
    value = MODELS[stays].pmf_new(count, t, **parameters)
    with mp.workdps(40):
        for i in range(n):
            r, alpha, a, b = (mp.mpf(float(parameters[k][i])) for k in ("r", "alpha", "a", "b"))
            k, some = int(count[i]), t[i] / (alpha + mp.mpf(t[i]))
            counts = mp.rf(r, k) / mp.factorial(k) * (1 - some) ** r * some**k
            at_least = mp.betainc(k, r, 0, some, regularized=True) if k else mp.mpf(1)
            expected = mp.beta(a, b + k + stays) / mp.beta(a, b) * counts
            if k + stays:
                expected += mp.beta(a + 1, b + k + stays - 1) / mp.beta(a, b) * at_least
            assert abs(value[i] - expected) <= 1e-9 * expected + 1e-300


@pytest.mark.parametrize("near", [False, True])
def test_spend_likelihood(near: bool, rng: np.random.Generator) -> None:
    n = 400
    p, q, v = (log_uniform(rng, 1e-3, 1e4, n) for _ in range(3))
    x = np.floor(log_uniform(rng, 1, 5001, n))
    m_bar = p * v / q * rng.uniform(0.9, 1.1, n) if near else log_uniform(rng, 1e-3, 1e5, n)
    value = gamma_gamma.log_likelihood(x, m_bar, p=p, q=q, v=v)
    with mp.workdps(50):
        for i in range(n):
            k, m, q_, v_ = mp.mpf(p[i]) * x[i], mp.mpf(m_bar[i]), mp.mpf(q[i]), mp.mpf(v[i])
            expected = -mp.log(m) + mp.loggamma(k + q_) - mp.loggamma(k) - mp.loggamma(q_)
            expected += q_ * mp.log(v_ / (v_ + m * x[i])) + k * mp.log(m * x[i] / (v_ + m * x[i]))
            # to 1e-8, or to a few units in the last place where the logarithm is huge
            assert abs(value[i] - expected) <= max(1e-8, 1e-14 * abs(expected))


def test_expected_spend_is_infinite_where_the_mean_does_not_exist() -> None:
    values = gamma_gamma.expected_spend([0, 0, 1], [0, 0, 50.0], p=0.2, q=[0.98, 1.0, 0.9], v=10.0)
    assert np.isinf(values[:2]).all()
    assert values[2] == pytest.approx(0.2 * 60.0 / 0.1)
    assert np.isinf(gamma_gamma.population_mean(p=6.0, q=0.5, v=15.0))
    line = gamma_gamma.spend_coefficients([0, 3], p=0.1, q=0.5, v=2.0)
    assert np.isinf(line.intercept).all()
    assert (line.slope == 0).all()


CORNERS = list(itertools.product([1e-3, 1.0, 1e4], repeat=4))
HISTORIES = [(0, 0, 0), (0, 0, 1e4), (1, 0.5, 1), (5000, 1.0, 1e4), (5000, 1e4, 1e4), (3, 0, 0)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("delta", [0.0, 1e-9, 2.6e-4, 1.0])
@pytest.mark.parametrize("month", [None, 30.4375])
def test_no_nan_and_no_warning_at_the_corners(
    model: Any, delta: float, month: float | None
) -> None:
    corners = np.array(CORNERS)[:, :, None]
    parameters = dict(zip(("r", "alpha", "a", "b"), corners.transpose(1, 0, 2), strict=True))
    x, t_x, T = np.array(HISTORIES, dtype=float).T
    horizons = [0.0, 1e-3, 365.0, 1e4, math.inf]
    for horizon in horizons:
        discounted = model.discounted_purchases(
            x, t_x, T, horizon, delta, month=month, **parameters
        )
        purchases = model.expected_purchases(x, t_x, T, horizon, **parameters)
        chance = model.p_purchase(x, t_x, T, horizon, **parameters)
        assert not np.isnan(discounted).any()
        assert not np.isnan(purchases).any()
        assert (discounted <= purchases * (1 + 1e-11)).all()
        assert ((chance >= 0) & (chance <= 1)).all()
        finite = math.isfinite(horizon) or delta > 0
        assert not finite or np.isfinite(discounted).all()
    assert np.isfinite(model.log_likelihood(x, t_x, T, **parameters)).all()
    pmf = model.pmf_new([0, 1, 5000], [[0.0], [1e4], [math.inf]], r=1e4, alpha=1e-3, a=1.0, b=2.0)
    assert ((pmf >= 0) & (pmf <= 1)).all()


@pytest.mark.parametrize("a", [0.5, 1.0, 1.0 + 1e-9, 2.0, 1e4])
def test_undiscounted_whole_life(a: float) -> None:
    value = purchases_if_alive(2.3, 40.0, a, 4.4, math.inf)
    assert value == ((a + 3.4) / (a - 1) if a > 1 else math.inf)


GOOD = {"x": 2, "t_x": 5.0, "T": 9.0}
OUTSIDE = [
    {"x": -1},
    {"x": 1.5},
    {"x": math.nan},
    {"x": math.inf},
    {"x": "two"},
    {"x": 0},
    {"t_x": 10.0},
    {"t_x": -1.0},
    {"t_x": math.nan},
    {"T": -1.0, "t_x": -1.0},
    {"T": math.nan},
    {"T": math.inf},
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("wrong", OUTSIDE, ids=str)
def test_histories_outside_the_domain(model: Any, wrong: dict[str, Any]) -> None:
    history = {**GOOD, **wrong}
    functions: list[Callable[..., Any]] = [
        model.log_likelihood,
        model.p_alive,
        lambda x, t_x, T, **k: model.p_purchase(x, t_x, T, 10, **k),
        lambda x, t_x, T, **k: model.expected_purchases(x, t_x, T, 10, **k),
        lambda x, t_x, T, **k: model.discounted_purchases(x, t_x, T, 10, 0.1, **k),
    ]
    for function in functions:
        with pytest.raises(DomainError):
            function(**history, **PLAIN)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["r", "alpha", "a", "b"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_parameters_outside_the_domain(model: Any, name: str, value: float) -> None:
    parameters = {**PLAIN, name: np.array([1.0, value])}
    for call in (
        lambda: model.log_likelihood(2, 5, 9, **parameters),
        lambda: model.expected_purchases_new(3, **parameters),
        lambda: model.pmf_new(1, 3, **parameters),
        lambda: model.if_alive_block([1], [3], 10, 0.1, **parameters),
    ):
        with pytest.raises(DomainError, match=f"^{name} "):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: bgnbd.expected_purchases(2, 5, 9, -1, **PLAIN),
        lambda: bgnbd.expected_purchases(2, 5, 9, math.nan, **PLAIN),
        lambda: bgnbd.discounted_purchases(2, 5, 9, 10, -0.1, **PLAIN),
        lambda: bgnbd.discounted_purchases(2, 5, 9, 10, math.inf, **PLAIN),
        lambda: bgnbd.discounted_purchases(2, 5, 9, 10, 0.1, month=0.0, **PLAIN),
        lambda: bgnbd.pmf_new(-1, 10, **PLAIN),
        lambda: bgnbd.pmf_new(1.5, 10, **PLAIN),
        lambda: residual_block([1], [-1], 10, 0.1, extra_stays=0, **PLAIN),
        lambda: purchases_if_alive(1, 1, 0, 1, 10),
        lambda: flow_value(-1.0, 10, 0.1),
        lambda: gamma_gamma.log_likelihood(0, 10, **SPEND),
        lambda: gamma_gamma.log_likelihood(1, 0, **SPEND),
        lambda: gamma_gamma.log_likelihood(1, math.nan, **SPEND),
        lambda: gamma_gamma.expected_spend(-1, 10, **SPEND),
        lambda: gamma_gamma.expected_spend(1, -10, **SPEND),
        lambda: gamma_gamma.expected_spend(1, 10, **{**SPEND, "q": 0}),
        lambda: gamma_gamma.population_mean(**{**SPEND, "p": math.nan}),
    ],
)
def test_other_arguments_outside_the_domain(call: Callable[[], Any]) -> None:
    with pytest.raises(DomainError):
        call()


def test_the_message_names_how_many_and_the_first() -> None:
    with pytest.raises(DomainError, match=r"t_x must be <= T: 2 of 3 .* 7, 6"):
        bgnbd.p_alive([1, 1, 1], [5, 7, 9], 6, **PLAIN)


def test_a_parameter_too_many_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="gamma"):
        bgnbd.p_alive(1, 1, 2, **PLAIN, gamma=1.0)
