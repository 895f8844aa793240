"""The compiled loop of predictions against plain NumPy over draws x rows."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels.forecast import (
    Draws,
    Future,
    Predictor,
    Whole,
    grouping,
    kernel,
    pair,
    rows,
)
from clvmodels.forecast.curves import Curved, Curves
from clvmodels.forecast.tails import tail_of, tail_quantile
from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.discounting import Due
from clvmodels.purchases.beta_geometric import BetaGeometricFamily, bgnbd, mbgnbd

DELTA = np.log(1.1) / 365.25
YEAR = Future(Due(365.0, DELTA), interval=0.9, margin=0.4)


def some_draws(
    formulas: BetaGeometricFamily = bgnbd, *, spread: float = 0.2, count: int = 83
) -> Draws:
    rng = np.random.default_rng(7)

    def around(value: float) -> np.ndarray:
        return value * np.exp(spread * rng.standard_normal(count))

    purchases = {"r": around(0.5), "alpha": around(12.0), "a": around(0.9), "b": around(2.5)}
    return pair(purchases, {"p": around(6.0), "q": around(8.0), "v": around(15.0)}, formulas)


def many_customers(rng: np.random.Generator, size: int = 1500) -> tuple[np.ndarray, ...]:
    """Return enough different T for each of a few x that they are interpolated."""
    x = rng.choice([0.0, 1.0, 2.0, 9.0, 250.0], size=size, p=[0.3, 0.3, 0.2, 0.195, 0.005])
    T = rng.integers(0, 500, size=size) + np.where(x > 0, 1.0, 0.0)
    t_x = np.where(x > 0, np.floor(T * rng.uniform(0.1, 1.0, size=size)), 0.0)
    return x, t_x, T, np.where(x > 0, rng.gamma(6.0, 5.0, size=size).round(2), 0.0)


def product_moments(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd over draws, shape (S, ...), of the product of two independent quantities."""
    mean_1, mean_2 = one.mean(axis=0), other.mean(axis=0)
    var_1, var_2 = one.var(axis=0), other.var(axis=0)
    variance = var_1 * mean_2**2 + var_2 * mean_1**2 + var_1 * var_2
    return mean_1 * mean_2, np.sqrt(variance)


def plainly(draws: Draws, x, t_x, T, m_bar, future: Future) -> dict[str, np.ndarray]:
    """Every column by the formulas, for draws by rows."""
    by_draw = {name: values[:, None] for name, values in draws.purchases.items()}
    f, ends = draws.formulas, ((1 - future.interval) / 2, (1 + future.interval) / 2)
    alive = f.p_alive(x, t_x, T, **by_draw)
    found = f.if_alive_block(x, T, future.due.horizon, future.due.delta, **draws.purchases)
    spend_by_draw = {name: values[:, None] for name, values in draws.spend.items()}
    spend = gamma_gamma.expected_spend(x, m_bar, **spend_by_draw)
    later = alive * found.discounted
    value, sd = product_moments(later, spend)
    cells = {
        "p_alive": alive,
        "expected_purchases": alive * found.purchases,
        "expected_spend": spend,
        "clv": future.margin * later * spend,
    }
    columns = {name: cell.mean(axis=0) for name, cell in cells.items()}
    for name, cell in cells.items():
        columns[f"{name}_lower"], columns[f"{name}_upper"] = np.quantile(cell, ends, axis=0)
    return columns | {
        "p_purchase": f.p_purchase(x, t_x, T, future.due.horizon, **by_draw).mean(axis=0),
        "discounted_purchases": later.mean(axis=0),
        "clv": future.margin * value,
        "clv_sd": future.margin * sd,
        "by_draw": cells["clv"].sum(axis=1),
    }


@pytest.mark.parametrize("formulas", [bgnbd, mbgnbd], ids=["bgnbd", "mbgnbd"])
@pytest.mark.parametrize("interval", [0.5, 0.9, 0.999])
def test_every_column_is_that_of_the_formulas(
    formulas: BetaGeometricFamily, interval: float
) -> None:
    draws, future = some_draws(formulas), replace(YEAR, interval=interval)
    customers = many_customers(np.random.default_rng(1))
    found, plain = Predictor(draws, future)(*customers), plainly(draws, *customers, future)
    assert set(found.columns) | {"by_draw"} == set(plain)
    for name, values in found.columns.items():
        np.testing.assert_allclose(values, plain[name], rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(found.by_draw, plain["by_draw"], rtol=1e-11)


def test_these_customers_are_interpolated_and_looked_up() -> None:
    x, t_x, T, _ = many_customers(np.random.default_rng(1))
    living = Curves(some_draws(), YEAR.due, (T.min(), T.max()))
    curved = rows.curved_of(grouping.group_rows(x, t_x, T), living)
    assert curved.x.tolist() == [0.0, 1.0, 2.0, 9.0]
    assert curved.least.tolist() == [T[x == one].min() for one in curved.x]
    assert curved.kept.all()


@pytest.mark.parametrize("nodes", [3, 8, 16, 25, 27])
@pytest.mark.parametrize("draws", [1, 30, 83, 500])
def test_sums_of_two_do_not_depend_on_which_is_first(nodes: int, draws: int) -> None:
    """Who stands beside whom differs where blocks do, and numbers must not to the last bit."""
    rng = np.random.default_rng(nodes)
    weights, others, values = (rng.normal(size=n) for n in (nodes, nodes, (nodes, draws)))
    one, other, again = np.empty(draws), np.empty(draws), np.empty((2, draws))
    kernel._blend(weights, others, values, one, other)
    kernel._blend(others, weights, values, again[0], again[1])
    np.testing.assert_array_equal([one, other], again[::-1])
    kernel._blend(weights, weights, values, again[0], again[1])
    np.testing.assert_array_equal([one, one], again)
    np.testing.assert_allclose(one, weights @ values, atol=1e-13)


def test_many_batches_interpolate_what_one_alone_would_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of them at the same nodes, which are evaluated once."""
    customers = many_customers(np.random.default_rng(6), 3000)
    x, _, T, _ = customers
    seen: list[tuple[float, int]] = []
    at_nodes = Curves._at_nodes

    def noted(self: Curves, piece: list[tuple[float, int]]) -> object:
        seen.extend(piece)
        return at_nodes(self, piece)

    monkeypatch.setattr(Curves, "_at_nodes", noted)
    counts = np.unique(x)
    youngest = np.array([T[x == one].min() for one in counts])
    batches = [
        tuple(one[begin : begin + 300] for one in customers) for begin in range(0, 3000, 300)
    ]
    plain = [Predictor(some_draws(), YEAR)(*batch) for batch in batches]
    assert 250.0 not in {x for x, _ in seen}, "of whom a batch has two or three"
    seen.clear()
    predict = Predictor(some_draws(), YEAR, whole=Whole((T.min(), T.max()), 30, counts, youngest))
    for batch, wanted in zip(batches, plain, strict=True):
        found = predict(*batch)
        for name, values in wanted.columns.items():
            np.testing.assert_allclose(found.columns[name], values, rtol=1e-11, err_msg=name)
    assert sorted(x for x, _ in seen) == counts.tolist()


@pytest.mark.parametrize("wanted", ["none", "clv"])
def test_fewer_intervals_leave_the_rest_as_it_is(wanted: rows.Wanted) -> None:
    customers = many_customers(np.random.default_rng(2), 300)
    whole = Predictor(some_draws(), YEAR)(*customers)
    part = Predictor(some_draws(), YEAR, wanted=wanted)(*customers)
    assert len(part.columns) == {"none": 7, "clv": 9}[wanted]
    for name, values in part.columns.items():
        np.testing.assert_array_equal(values, whole.columns[name], err_msg=name)


def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK", 50)
    customers = many_customers(np.random.default_rng(3))
    one = Predictor(some_draws(), YEAR, threads=1)(*customers)
    many = Predictor(some_draws(), YEAR, threads=5)(*customers)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, many.columns[name], err_msg=name)
    np.testing.assert_array_equal(one.by_draw, many.by_draw)


def test_batches_of_one_predictor_agree_with_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from clvmodels.forecast import curves

    monkeypatch.setattr(curves, "_MOST_BYTES", 16 * 83 * 25)  # so that nodes are also forgotten
    customers = many_customers(np.random.default_rng(4))
    whole = Predictor(some_draws(), YEAR)(*customers)
    T = customers[2]
    predict = Predictor(some_draws(), YEAR, whole=Whole((T.min(), T.max() - 100.0)))
    parts = [predict(*(column[s : s + 400] for column in customers)) for s in range(0, 1500, 400)]
    for name, values in whole.columns.items():
        together = np.concatenate([part.columns[name] for part in parts])
        np.testing.assert_allclose(together, values, rtol=1e-11, err_msg=name)
    total = sum(part.by_draw for part in parts)
    np.testing.assert_allclose(total, whole.by_draw, rtol=1e-12)


def test_no_customers_and_one_draw() -> None:
    empty = Predictor(some_draws(), YEAR)(*(np.empty(0) for _ in range(4)))
    assert {len(values) for values in empty.columns.values()} == {0}
    assert not empty.by_draw.any()
    one = Predictor(some_draws(count=1), YEAR)(*many_customers(np.random.default_rng(5), 40))
    assert "clv_lower" not in one.columns
    assert np.isfinite(one.columns["clv"]).all()
    np.testing.assert_array_equal(one.columns["clv_sd"], 0.0)


@pytest.mark.parametrize("x", [0.0, 1.0, 12.0, 400.0])
@pytest.mark.parametrize("spread", [0.02, 0.5])
@pytest.mark.parametrize(
    ("horizon", "month"), [(7.0, None), (365.0, None), (365.0, 30.4375), (np.inf, None)]
)
def test_interpolation_is_exact(
    x: float, spread: float, horizon: float, month: float | None
) -> None:
    draws = some_draws(spread=spread, count=20)
    living = Curves(draws, Due(horizon, DELTA, month or 0.0), (0.0, 730.0))
    counts = []
    for least in (600.0, 100.0, 3.0, 0.0):  # each needs nodes further down than the one before
        living.prepare(Curved(np.array([x]), np.array([least]), np.array([True])), map)
        T, nodes = np.linspace(least, 730.0, 57), living.nodes(x)
        counts.append(len(nodes.angles))
        assert counts[-1] == living.enough(np.array([x]), np.array([least]))[0]
        for known, exact in zip(
            living.at_nodes([x])[0], living.exactly(np.full(57, x), T), strict=True
        ):
            finite = np.isfinite(exact).all(axis=0)  # without end some draws have no number
            blended = nodes.blend(T) @ known[:, finite]
            np.testing.assert_allclose(blended, exact[:, finite], rtol=1e-10)
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    # others that reach further are known by now
    living.prepare(Curved(np.array([x]), np.array([600.0]), np.array([True])), map)
    assert len(living.nodes(x).angles) == counts[0]


def test_numbers_do_not_depend_on_who_came_before() -> None:
    """A run that is resumed begins in the middle, and must end the same to the last bit."""
    customers = many_customers(np.random.default_rng(4))
    T = customers[2]
    young, old = (np.flatnonzero(part)[:600] for part in (T < 200.0, T > 400.0))
    whole = Whole((float(T.min()), float(T.max())), batches=2)
    predict = Predictor(some_draws(), YEAR, whole=whole)
    predict(*(column[young] for column in customers))
    after = predict(*(column[old] for column in customers))
    alone = Predictor(some_draws(), YEAR, whole=whole)(*(column[old] for column in customers))
    for name, values in alone.columns.items():
        np.testing.assert_array_equal(after.columns[name], values, err_msg=name)


numbers = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=2, max_size=60)


@given(numbers, st.floats(0.0, 0.999), st.floats(-1e6, 1e6))
@settings(max_examples=300, deadline=None)
def test_quantiles_are_numpys_whatever_the_guess(
    values: list[float], probability: float, guess: float
) -> None:
    array, tail = np.array(values), tail_of(probability, len(values))
    work = np.empty(len(values))
    found, _ = tail_quantile(array, 1.0, tail.rank, tail.share, guess, work)
    scale = 1e-12 * np.abs(array).max()
    assert abs(found - np.quantile(array, probability)) <= scale
    found, _ = tail_quantile(array, -1.0, tail.rank, tail.share, guess, work)
    assert abs(-found - np.quantile(array, 1.0 - probability)) <= scale
    assert array.tolist() == values


@pytest.mark.parametrize("count", [31, 128, 129, 500, 4_000])
@pytest.mark.parametrize("distinct", [1, 7, 10**9])
def test_quantiles_of_draws_are_numpys_to_the_last_bit(count: int, distinct: int) -> None:
    """With few candidates and many, whichever way they are told apart; with ties, and none."""
    rng = np.random.default_rng(count)
    array = rng.integers(0, distinct, count).astype(float)
    work = np.empty(count)
    for probability, sure in itertools.product((0.0, 0.05, 0.4), (0.0, 0.02, 0.3, 2.0)):
        tail = tail_of(probability, count)
        ordered = np.sort(array)
        lower, upper = ordered[tail.rank], ordered[tail.rank + 1]
        guess = np.quantile(array, min(probability + sure, 1.0)) - (sure > 1.0) * 1e10
        found, at = tail_quantile(array, 1.0, tail.rank, tail.share, guess, work)
        assert (found, at) == (lower + tail.share * (upper - lower), upper)


@pytest.mark.parametrize("most", [2**62, 10])
def test_histories_are_those_of_pandas(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_MOST_CODES", most)
    rng = np.random.default_rng(6)
    x, T = rng.integers(0, 4, 500).astype(float), rng.integers(1, 9, 500) / 3.0
    t_x = np.where(x > 0, T - rng.integers(0, 2, 500) / 3.0, -0.0)
    groups = grouping.group_rows(x, t_x, T)
    frame = pd.DataFrame({"x": x, "T": T, "t_x": t_x + 0.0})
    expected = frame.groupby(["x", "T", "t_x"]).indices
    assert len(groups.x) == len(expected)
    for h, (key, members) in enumerate(sorted(expected.items())):
        assert (groups.x[h], groups.T[h], groups.t_x[h]) == key
        found = groups.rows[groups.start[h] : groups.start[h + 1]]
        np.testing.assert_array_equal(found, members)
