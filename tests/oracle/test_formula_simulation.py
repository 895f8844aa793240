"""The formulas against an exact simulation of the process they describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from clvmodels.formulas import bgnbd, gamma_gamma, mbgnbd

PARAMETERS = {"r": 0.9, "alpha": 6.0, "a": 0.9, "b": 2.2}
AGE, HORIZON, MONTH, DELTA = 20.0, 30.0, 4.345, 0.02
CUSTOMERS = 300_000
STANDARD_ERRORS = 5.0  # two-sided 6e-7; some 60 comparisons


@dataclass(frozen=True)
class Simulated:
    """One value per customer: history to AGE, and what happened in (AGE, AGE + HORIZON]."""

    x: np.ndarray
    t_x: np.ndarray
    alive: np.ndarray
    later: np.ndarray
    discounted: np.ndarray
    monthly: np.ndarray


def simulate(asked_at_once: bool, rng: np.random.Generator) -> Simulated:
    """Simulate every purchase of every customer, all rounds at once over customers."""
    n = CUSTOMERS
    rate = rng.gamma(PARAMETERS["r"], 1 / PARAMETERS["alpha"], n)
    dropout = rng.beta(PARAMETERS["a"], PARAMETERS["b"], n)
    x, t_x, later, discounted, monthly = (np.zeros(n) for _ in range(5))
    alive = np.ones(n, dtype=bool)
    left = np.arange(n)
    if asked_at_once:
        alive = rng.random(n) >= dropout
        left = left[alive]
    time = np.zeros(n)
    while left.size:
        time[left] += rng.exponential(1 / rate[left])
        left = left[time[left] <= AGE + HORIZON]
        now = time[left]
        early, late = left[now <= AGE], left[now > AGE]
        x[early] += 1
        t_x[early] = time[early]
        after = time[late] - AGE
        later[late] += 1
        discounted[late] += np.exp(-DELTA * after)
        monthly[late] += np.exp(-DELTA * MONTH * np.ceil(after / MONTH))
        dropped = rng.random(left.size) < dropout[left]
        alive[left[dropped & (now <= AGE)]] = False
        left = left[~dropped]
    return Simulated(x, t_x, alive, later, discounted, monthly)


@pytest.fixture(scope="module", params=[0, 1], ids=["BG/NBD", "MBG/NBD"])
def world(request: pytest.FixtureRequest) -> tuple[Any, Simulated]:
    rng = np.random.default_rng(20250 + request.param)
    return (bgnbd, mbgnbd)[request.param], simulate(bool(request.param), rng)


def agree(happened: np.ndarray, expected: np.ndarray) -> None:
    """Mean difference within STANDARD_ERRORS of its simulated standard error."""
    difference = happened - expected
    error = difference.std(ddof=1) / math.sqrt(difference.size)
    assert abs(difference.mean()) <= STANDARD_ERRORS * error


@pytest.mark.parametrize("group", [0, 1, 2, 3, 6])
def test_living_customers_and_their_purchases(world: tuple[Any, Simulated], group: int) -> None:
    """Groups of one x, and 6 or more; t_x differs inside a group."""
    model, seen = world
    who = (seen.x >= 6) if group == 6 else (seen.x == group)
    history = (seen.x[who], seen.t_x[who], np.full(int(who.sum()), AGE))
    values = {
        "p_alive": model.p_alive(*history, **PARAMETERS),
        "later": model.expected_purchases(*history, HORIZON, **PARAMETERS),
        "buys": model.p_purchase(*history, HORIZON, **PARAMETERS),
        "discounted": model.discounted_purchases(*history, HORIZON, DELTA, **PARAMETERS),
        "monthly": model.discounted_purchases(*history, HORIZON, DELTA, month=MONTH, **PARAMETERS),
    }
    if group == 0 and model is bgnbd:
        assert seen.alive[who].all()
        assert (values["p_alive"] == 1).all()
    else:
        agree(seen.alive[who], values["p_alive"])
    agree(seen.later[who], values["later"])
    agree(seen.later[who] > 0, values["buys"])
    agree(seen.discounted[who], values["discounted"])
    agree(seen.monthly[who], values["monthly"])


def test_new_customers(world: tuple[Any, Simulated]) -> None:
    model, seen = world
    n = np.arange(8)
    agree(seen.x, np.full(CUSTOMERS, float(model.expected_purchases_new(AGE, **PARAMETERS))))
    pmf = model.pmf_new(n, AGE, **PARAMETERS)
    for k in n:
        agree(seen.x == k, np.full(CUSTOMERS, pmf[k]))


def test_likelihood_ratio_of_recency(world: tuple[Any, Simulated]) -> None:
    """E[1 / L] over a history's density is the volume of histories: with one repeat, AGE."""
    model, seen = world
    t = seen.t_x[seen.x == 1]
    likelihood = np.exp(model.log_likelihood(1, t, AGE, **PARAMETERS))
    weight = np.zeros(CUSTOMERS)
    weight[: t.size] = 1 / likelihood
    agree(weight, np.full(CUSTOMERS, AGE))


def test_spend() -> None:
    rng = np.random.default_rng(7)
    p, q, v, x = 6.0, 3.7, 15.0, 3
    scale = 1 / rng.gamma(q, 1 / v, CUSTOMERS)
    mean = (rng.gamma(p, 1, (CUSTOMERS, x)) * scale[:, None]).mean(axis=1)
    expected = gamma_gamma.expected_spend(x, mean, p=p, q=q, v=v)
    lows = mean < 20
    for who in (lows, ~lows):
        agree(p * scale[who], expected[who])
    edges = np.linspace(0, 100, 2001)
    middle = (edges[1:] + edges[:-1]) / 2
    density = np.exp(gamma_gamma.log_likelihood(x, middle, p=p, q=q, v=v))
    below = (density * 0.05)[middle < 20].sum()
    agree(mean < 20, np.full(CUSTOMERS, below))
