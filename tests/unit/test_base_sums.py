"""Sums over a base, in one pass for many ends, are those of the customers' own predictions."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from clvmodels.forecast import Future, Predictor
from clvmodels.forecast.base_sums import sums_of_base
from clvmodels.forecast.calendar import Calendar
from clvmodels.formulas.discounting import Due
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_rfm
from tests.unit.test_calendar import DELTA, MONTH, S, draws_of

ENDS = np.array([17.0, 90.0, 200.5, 365.0])
SPEND = {"p": np.linspace(5.0, 7.0, S), "q": np.linspace(3.0, 4.0, S), "v": np.full(S, 15.0)}


def who(customers: int = 300) -> Any:
    one = simulate_rfm(
        customers, r=0.6, alpha=20.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0, T=(5.0, 300.0), seed=3
    )
    names = ("frequency", "recency", "T", "monetary_value")
    return tuple(one[name].to_numpy(dtype=np.float64) for name in names)


def one_by_one(draws: Any, due: Due, end: float, customers: Any) -> tuple[Any, ...]:
    """Purchases by draw, value by draw, and the mean of value, from rows of customers."""
    future = Future(due._replace(horizon=float(end)), 0.9, 1.0)
    alone = Predictor(replace(draws, spend=None), future, wanted="none")(*customers)
    both = Predictor(draws, future, wanted="none")(*customers)
    money = "clv" if draws.spend is not None else "discounted_purchases"
    return alone, both, float(np.nansum(both.columns[money]))


@pytest.mark.parametrize(("delta", "month"), [(0.0, 0.0), (DELTA, 0.0), (20 * DELTA, MONTH)])
@pytest.mark.parametrize("calendar", [Calendar(), Calendar(0.2, "given")])
@pytest.mark.parametrize("key", [*MODELS, "stack"])
def test_they_are_the_sums_of_the_rows(
    key: str, calendar: Calendar, delta: float, month: float
) -> None:
    draws, customers = replace(draws_of(key), spend=SPEND), who()
    due = calendar.over(Due(float(ENDS[-1]), delta, month), 1.0, S)
    found = sums_of_base(draws, due, ENDS, customers, threads=2)
    # one by one the polynomials end where each horizon does, in place of at the last
    exact = not calendar.matters or not delta or month
    for e, end in enumerate(ENDS):
        alone, both, mean = one_by_one(draws, due, end, customers)
        rtol = 1e-10 if exact or e == len(ENDS) - 1 else 2e-6
        bought = float(alone.columns["expected_purchases"].sum())
        assert found.purchases[e].mean() == pytest.approx(bought, rel=rtol)
        np.testing.assert_allclose(found.value[e], both.by_draw, rtol=rtol)
        assert found.mean_value[e] == pytest.approx(mean, rel=rtol)
        if not delta:
            np.testing.assert_allclose(found.purchases[e], alone.by_draw, rtol=rtol)


def test_who_has_infinite_spend_adds_purchases_and_no_value() -> None:
    spend = {**SPEND, "q": np.full(S, 0.5), "p": np.full(S, 0.4)}  # p x + q <= 1 up to x = 1
    draws, customers = replace(draws_of("bgnbd"), spend=spend), who()
    found = sums_of_base(draws, Due(90.0), np.array([90.0]), customers, threads=1)
    alone, both, mean = one_by_one(draws, Due(90.0), 90.0, customers)
    assert found.purchases.mean() == pytest.approx(alone.columns["expected_purchases"].sum())
    assert np.isnan(both.columns["clv"]).any()
    assert found.mean_value[0] == pytest.approx(mean, rel=1e-12)


def test_threads_order_and_repeats_of_customers_change_nothing() -> None:
    draws, customers = replace(draws_of("mbgcnbd2"), spend=SPEND), who()
    due = Calendar(0.2, "given").over(Due(365.0, DELTA), 1.0, S)
    one, many = (sums_of_base(draws, due, ENDS, customers, threads=n) for n in (1, 3))
    for single, other in zip(one, many, strict=True):
        np.testing.assert_array_equal(single, other)
    backwards = tuple(column[::-1] for column in customers)
    twice = tuple(np.tile(column, 2) for column in customers)
    for single, turned, double in zip(
        one,
        sums_of_base(draws, due, ENDS, backwards, threads=2),
        sums_of_base(draws, due, ENDS, twice, threads=2),
        strict=True,
    ):
        np.testing.assert_allclose(turned, single, rtol=1e-12)
        np.testing.assert_allclose(double, 2.0 * single, rtol=1e-10)


def test_nobody_buys_nothing() -> None:
    nobody = tuple(np.zeros(0) for _ in range(4))
    found = sums_of_base(draws_of("bgnbd"), Due(90.0), np.array([90.0]), nobody, threads=1)
    assert not any(part.any() for part in found)
    assert math.isclose(found.purchases.size, S)
