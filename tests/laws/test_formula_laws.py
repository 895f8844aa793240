"""Laws that the formulas obey whatever the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels.formulas import bgnbd, gamma_gamma, mbgnbd
from clvmodels.formulas.discounting import flow_value
from clvmodels.formulas.residual import discounted_if_alive, purchases_if_alive, residual_block
from clvmodels.model_facts import BetaDefault
from clvmodels.purchases import MODELS, PurchaseModel
from clvmodels.purchases.family import Family
from tests.toy_family import TOY

SLACK = 1e-10


class Own:
    """What `Family` asks of a model, which takes of parameters by name those that are its own."""

    def __init__(self, model: PurchaseModel) -> None:
        self.model, self.others = model, NAMES - set(model.parameter_names)

    def __repr__(self) -> str:
        return self.model.name

    def __getattr__(self, verb: str) -> Any:
        if not hasattr(Family, verb):  # nor what else a tool may look for, such as IPython's
            raise AttributeError(verb)
        found = getattr(self.model.formulas, verb)

        def call(*values: Any, **options: Any) -> Any:
            return found(*values, **{k: v for k, v in options.items() if k not in self.others})

        return call


# Those of the catalogue, and one that shares no code with them
FOUND = (*MODELS.values(), TOY)
NAMES = {name for model in FOUND for name in model.parameter_names}
TIMES = {one.name for model in FOUND for one in model.parameters if one.carries}
SHARES = {
    name
    for model in FOUND
    for name in model.parameter_names
    if isinstance(model.defaults.get(name), BetaDefault)
}
EVERY = [Own(model) for model in FOUND]
FAMILIES = st.sampled_from(EVERY)
# A unit of time is in the parameters of those that say in which ones
TIMED = st.sampled_from([one for one in EVERY if TIMES & set(one.model.parameter_names)])


def powers(lo: float, hi: float) -> st.SearchStrategy[float]:
    return st.floats(lo, hi).map(lambda exponent: 10.0**exponent)


PARAMETERS = st.fixed_dictionaries(
    {name: st.floats(1e-3, 0.999) if name in SHARES else powers(-3, 4) for name in sorted(NAMES)}
)
BETA_GEOMETRIC = st.fixed_dictionaries({name: powers(-3, 4) for name in ("r", "alpha", "a", "b")})
LENGTHS = st.one_of(powers(-3, 4), st.just(1.0))
RATES = powers(-7, -1)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, float, float]:
    x = draw(st.one_of(st.just(0), st.integers(1, 50), st.integers(1, 5000)))
    T = draw(st.one_of(st.just(0.0), powers(-2, 4)))
    return x, (T * draw(st.floats(0, 1)) if x else 0.0), T


def near(value: Any, other: Any, rtol: float = SLACK) -> None:
    np.testing.assert_allclose(value, other, rtol=rtol, atol=1e-300)


@given(FAMILIES, histories(), PARAMETERS, LENGTHS, RATES)
def test_horizon_zero_gives_zero(
    model: Any, history: Any, parameters: Any, month: float, delta: float
) -> None:
    assert model.expected_purchases(*history, 0, **parameters) == 0
    assert model.p_purchase(*history, 0, **parameters) == 0
    assert model.discounted_purchases(*history, 0, delta, **parameters) == 0
    assert model.discounted_purchases(*history, 0, delta, month=month, **parameters) == 0


@given(FAMILIES, histories(), PARAMETERS, LENGTHS, st.floats(0, 3), RATES)
def test_monotone_in_the_horizon(
    model: Any, history: Any, parameters: Any, horizon: float, more: float, delta: float
) -> None:
    lengths = np.array([horizon, horizon * (1 + more), math.inf])
    for value in (
        model.expected_purchases(*history, lengths, **parameters),
        model.discounted_purchases(*history, lengths, delta, **parameters),
        model.p_purchase(*history, lengths, **parameters),
    ):
        assert (value[1:] >= value[:-1] * (1 - SLACK)).all()


@given(FAMILIES, histories(), PARAMETERS, LENGTHS, RATES, st.integers(1, 30))
def test_months_add_up(
    model: Any, history: Any, parameters: Any, horizon: float, delta: float, months: int
) -> None:
    month = horizon / months
    ends = month * np.arange(months + 1)
    each = np.diff(model.expected_purchases(*history, ends, **parameters))
    total = (np.exp(-delta * ends[1:]) * each).sum()
    value = model.discounted_purchases(*history, ends[-1], delta, month=month, **parameters)
    near(value, total, 1e-9)


@given(histories(), BETA_GEOMETRIC, LENGTHS, RATES, st.floats(1e-3, 3))
def test_monthly_discounting_brackets_continuous(
    history: Any, parameters: Any, horizon: float, delta: float, share: float
) -> None:
    """A purchase is discounted by at most one month too much; so months -> 0 converges."""
    month = horizon * share
    continuous = bgnbd.discounted_purchases(*history, horizon, delta, **parameters)
    monthly = bgnbd.discounted_purchases(*history, horizon, delta, month=month, **parameters)
    assert monthly <= continuous * (1 + SLACK)
    if delta * month < 600:  # beyond, all that is bought in the first month is worth nothing
        assert continuous <= monthly * math.exp(delta * month) * (1 + SLACK) + 1e-300


@given(FAMILIES, histories(), PARAMETERS, LENGTHS, st.one_of(st.none(), LENGTHS))
def test_no_discounting_is_undiscounted(
    model: Any, history: Any, parameters: Any, horizon: float, month: float | None
) -> None:
    plain = model.expected_purchases(*history, horizon, **parameters)
    near(model.discounted_purchases(*history, horizon, 0.0, month=month, **parameters), plain)
    # and nearly so at a rate of nearly nothing, which takes another route
    tiny = 1e-16 / max(horizon, month or 0.0)
    near(model.discounted_purchases(*history, horizon, tiny, month=month, **parameters), plain)


@given(TIMED, histories(), PARAMETERS, LENGTHS, RATES, st.sampled_from([1 / 7, 7.0, 365.25]))
def test_scaling_time(
    model: Any, history: Any, parameters: Any, horizon: float, delta: float, k: float
) -> None:
    x, t_x, T = history
    scaled = {name: k * one if name in TIMES else one for name, one in parameters.items()}
    later = (x, k * t_x, k * T)
    for month in (None, horizon / 3.5):
        near(
            model.discounted_purchases(*history, horizon, delta, month=month, **parameters),
            model.discounted_purchases(
                *later, k * horizon, delta / k, month=month and k * month, **scaled
            ),
            1e-9,
        )
    near(
        model.expected_purchases(*history, horizon, **parameters),
        model.expected_purchases(*later, k * horizon, **scaled),
        1e-9,
    )
    # a density of x times in days is one in weeks times 7^x, and of stages of which only the
    # last has a time, for each of them
    shift = model.model.regularity * x * math.log(k)
    likelihood = model.log_likelihood(*history, **parameters)
    assert abs(model.log_likelihood(*later, **scaled) + shift - likelihood) < 1e-8


@given(FAMILIES, histories(), PARAMETERS, LENGTHS)
def test_probabilities(model: Any, history: Any, parameters: Any, horizon: float) -> None:
    alive = model.p_alive(*history, **parameters)
    buys = model.p_purchase(*history, horizon, **parameters)
    assert 0 <= buys <= alive <= 1
    # Markov's inequality
    assert buys <= model.expected_purchases(*history, horizon, **parameters) * (1 + SLACK)


@given(histories(), BETA_GEOMETRIC)
def test_p_alive_of_the_two_models(history: Any, parameters: Any) -> None:
    """One more question to survive: MBG/NBD's odds of having dropped out are smaller."""
    x = history[0]
    if x == 0:
        assert bgnbd.p_alive(*history, **parameters) == 1
    else:
        assert mbgnbd.p_alive(*history, **parameters) >= bgnbd.p_alive(*history, **parameters)
    # b larger by one is one more stay
    longer = {**parameters, "b": parameters["b"] + 1}
    if x > 0:
        near(mbgnbd.p_alive(*history, **parameters), bgnbd.p_alive(*history, **longer))


@given(BETA_GEOMETRIC, LENGTHS, RATES)
def test_a_new_customer_of_bgnbd_is_one_who_bought_once_just_now(
    parameters: Any, horizon: float, delta: float
) -> None:
    near(
        bgnbd.expected_purchases_new(horizon, **parameters),
        bgnbd.expected_purchases(0, 0, 0, horizon, **parameters),
    )
    near(
        mbgnbd.discounted_purchases_new(horizon, delta, **parameters),
        mbgnbd.discounted_purchases(0, 0, 0, horizon, delta, **parameters),
    )


MODERATE = st.fixed_dictionaries(
    {name: st.floats(0.05, 0.95) if name in SHARES else powers(-2, 0) for name in sorted(NAMES)}
    | {
        "r": powers(-1, 0.7),
        "alpha": powers(0, 2),
        "a": powers(-2, 1),
        "b": powers(-2, 1),
        "s": powers(-2, 1),
        "beta": powers(0, 2),
    }
)


@given(FAMILIES, MODERATE, st.floats(0.05, 4))
def test_pmf_sums_to_one_and_has_the_mean(model: Any, parameters: Any, ages: float) -> None:
    t = ages * parameters["alpha"]  # P(X > n) < (4/5)^n n^r: nothing beyond 600
    n = np.arange(600)
    pmf = model.pmf(n, 0, 0, 0, t, **parameters)
    near(pmf.sum(), 1.0)
    near((n * pmf).sum(), model.expected_purchases(0, 0, 0, t, **parameters), 1e-9)
    near(1 - pmf[0], model.p_purchase(0, 0, 0, t, **parameters), 1e-7)


@given(powers(-2, 3), powers(-2, 3), powers(-3, 3), powers(-3, 3), LENGTHS, RATES)
def test_a_living_customer_buys_less_than_one_who_cannot_drop_out(
    R: float, A: float, a: float, B: float, horizon: float, delta: float
) -> None:
    for month in (None, horizon / 4.4):
        value = discounted_if_alive(R, A, a, B, horizon, delta, month=month)
        annuity = R / A * flow_value(0.0, horizon, delta, month=month)
        assert value <= annuity * (1 + SLACK)
        # m(s) >= (R/A) (1 - (R+1) E[p] s/A), Bernoulli's inequality: here all but 1e-7
        rarely = 1e-7 * B * A / ((R + 1) * horizon)
        loyal = discounted_if_alive(R, A, rarely, B, horizon, delta, month=month)
        assert annuity * (1 - 1e-7 - SLACK) <= loyal <= annuity * (1 + SLACK)


@given(powers(-6, 2), powers(-6, 2), LENGTHS)
def test_flow_value_by_hand(decay: float, delta: float, horizon: float) -> None:
    near(flow_value(decay, math.inf, delta), 1 / (decay + delta))
    near(flow_value(decay, horizon, 0.0), -math.expm1(-decay * horizon) / decay)
    month = horizon / 2.5
    starts, lengths = month * np.arange(3), month * np.array([1, 1, 0.5])
    flows = np.exp(-decay * starts) * -np.expm1(-decay * lengths) / decay
    expected = (flows * np.exp(-delta * month * np.arange(1, 4))).sum()
    near(flow_value(decay, horizon, delta, month=month), expected)


@pytest.mark.parametrize("horizon", [30.0, 365.0, math.inf])
@pytest.mark.parametrize("month", [None, 30.4375])
@pytest.mark.parametrize("stays", [0, 1])
def test_a_block_equals_its_cells(
    horizon: float, month: float | None, stays: int, rng: np.random.Generator
) -> None:
    """Draws by histories, in any order, with draws inside and outside the fast regime."""
    draws = {
        "r": np.array([0.24, 3.0, 1e3]),
        "alpha": np.array([30.0, 1e-2, 5.0]),
        "a": np.array([0.8, 1.0, 60.0]),
        "b": np.array([2.4, 1e-2, 1e3]),
    }
    x, T = rng.integers(0, 40, 60).astype(float), rng.integers(0, 300, 60).astype(float)
    delta = math.log(1.1) / 365.25
    block = residual_block(x, T, horizon, delta, month=month, extra_stays=stays, **draws)
    r, alpha, a, b = (draw[:, None] for draw in draws.values())
    cells = (r + x, alpha + T, a, b + x + stays)
    near(block.discounted, discounted_if_alive(*cells, horizon, delta, month=month), 1e-11)
    near(block.purchases, purchases_if_alive(*cells, horizon), 1e-11)
    order = rng.permutation(60)
    permuted = residual_block(
        x[order], T[order], horizon, delta, month=month, extra_stays=stays, **draws
    )
    near(permuted.discounted, block.discounted[:, order], 1e-12)
    one = residual_block(3, 40.0, horizon, delta, extra_stays=stays, r=1, alpha=2, a=1, b=2)
    assert one.purchases.shape == (1, 1)


def test_shapes_broadcast() -> None:
    parameters = {name: np.full((4, 1), 0.7) for name in NAMES}
    one = {name: 0.7 if name in SHARES else 1 for name in NAMES}
    x, t_x, T = np.array([0, 2, 3]), np.array([0, 1.0, 2.0]), np.array([4.0, 4.0, 5.0])
    for model in EVERY:
        values = (
            model.log_likelihood(x, t_x, T, **parameters),
            model.p_alive(x, t_x, T, **parameters),
            model.p_purchase(x, t_x, T, 1.0, **parameters),
            model.expected_purchases(x, t_x, T, [1.0, 2.0, 3.0], **parameters),
            model.discounted_purchases(x, t_x, T, 1.0, 0.1, **parameters),
            model.pmf(x, 0, 0, 0, 2.0, **parameters),
        )
        assert [value.shape for value in values] == [(4, 3)] * 6
        assert all(value.dtype == np.float64 for value in values)
        assert model.expected_purchases(2, 1, 4, 1, **one).shape == ()


@given(
    st.integers(1, 5000), powers(-2, 4), powers(-3, 4), powers(-3, 4), powers(-3, 4), powers(-2, 2)
)
@settings(max_examples=200)
def test_scaling_money(x: int, m_bar: float, p: float, q: float, v: float, k: float) -> None:
    cents = {"p": p, "q": q, "v": k * v}
    spend = gamma_gamma.expected_spend(x, m_bar, p=p, q=q, v=v)
    near(gamma_gamma.expected_spend(x, k * m_bar, **cents), k * spend)
    near(gamma_gamma.population_mean(**cents), k * gamma_gamma.population_mean(p=p, q=q, v=v))
    one = gamma_gamma.log_likelihood(x, m_bar, p=p, q=q, v=v)
    other = gamma_gamma.log_likelihood(x, k * m_bar, **cents) + math.log(k)
    assert abs(one - other) <= max(1e-8, 1e-12 * abs(float(one)))


@given(st.integers(0, 5000), powers(-2, 4), powers(-3, 4), powers(-3, 4), powers(-3, 4))
def test_expected_spend_is_the_line(x: int, m_bar: float, p: float, q: float, v: float) -> None:
    line = gamma_gamma.spend_coefficients(x, p=p, q=q, v=v)
    spend = gamma_gamma.expected_spend(x, m_bar, p=p, q=q, v=v)
    assert spend == line.intercept + line.slope * m_bar
    assert spend > 0
    if q > 1:  # between the customer's own mean and the population's
        population = float(gamma_gamma.population_mean(p=p, q=q, v=v))
        own = m_bar if x else population
        assert min(own, population) * (1 - 1e-9) <= spend <= max(own, population) * (1 + 1e-9)


def test_spend_density_integrates_to_one() -> None:
    u = np.linspace(-30, 40, 20_001)  # ln m_bar
    for x, q in ((1, 3.7), (4, 0.8), (60, 3.7)):
        density = np.exp(gamma_gamma.log_likelihood(x, np.exp(u), p=6.0, q=q, v=15.0) + u)
        near(density.sum() * (u[1] - u[0]), 1.0, 1e-9)
