"""Pareto/NBD as the loops read it, against its formulas and the exact process.

Tables, tiles and paths are computed by other routes than the formulas' own: weights from two
tables, chances by differences, counts by a recursion, first purchases by Newton's method.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from clvmodels.formulas import pareto_counts
from clvmodels.formulas.discounting import Due
from clvmodels.purchases.pareto_nbd import paretonbd
from clvmodels.purchases.walks import Walks

S, H, ERRORS = 12, 40, 5.0
DUES = {
    "a season": Due(100.0, 1e-3),
    "by the month": Due(365.0, 3e-4, 30.4375),
    "a moment": Due(1e-3),
    "a life": Due(math.inf, 1e-3),
}


@pytest.fixture(scope="module")
def draws() -> dict[str, np.ndarray]:
    """On both sides of alpha = beta, and of s = 1."""
    rng = np.random.default_rng(7)
    spread = {"r": (0.6, 0.5), "alpha": (20.0, 0.8), "s": (0.9, 0.7), "beta": (20.0, 0.8)}
    return {name: m * np.exp(sd * rng.normal(size=S)) for name, (m, sd) in spread.items()}


@pytest.fixture(scope="module")
def histories() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(8)
    x = np.sort(rng.choice([0.0, 1, 2, 5, 30, 300], H))
    T = rng.integers(1, 400, H).astype(float)
    order = np.lexsort((T, x))
    x, T = x[order], T[order]
    return x, np.where(x > 0, np.floor(T * rng.random(H)), 0.0), T


def keys(histories: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Of customers with a repeat purchase at T, who are alive for sure."""
    x, _, T = histories
    return np.maximum(x, 1.0), T


def at_points(histories, draws):
    """The formulas' arguments: histories in rows, draws in columns."""
    return [v[:, None] for v in histories], draws


def test_weights(histories, draws) -> None:
    points, theta = at_points(histories, draws)
    expected = paretonbd.p_alive(*points, **theta)
    weights = paretonbd.weights(*histories, draws)
    for begin, count in ((0, H), (7, 5)):
        out = np.empty((1, count, S))
        weights.fill(begin, out)
        part = expected[begin : begin + count]
        np.testing.assert_allclose(out[0], part, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("due", DUES.values(), ids=DUES)
def test_what_is_expected_of_the_living(histories, draws, due: Due) -> None:
    x, T = keys(histories)
    points, theta = at_points((x, T, T), draws)
    purchases, discounted = paretonbd.living(x, T, draws, due).expect()
    assert purchases.shape == discounted.shape == (H, 1, S)
    expected = paretonbd.expected_purchases(*points, due.horizon, **theta)
    np.testing.assert_allclose(purchases[:, 0], expected, rtol=1e-11)
    expected = paretonbd.discounted_purchases(
        *points, due.horizon, due.delta, month=due.month or None, **theta
    )
    np.testing.assert_allclose(discounted[:, 0], expected, rtol=1e-11)


@pytest.mark.parametrize("due", DUES.values(), ids=DUES)
def test_chances_of_the_living(histories, draws, due: Due) -> None:
    x, T = keys(histories)
    points, theta = at_points((x, T, T), draws)
    living = paretonbd.living(x, T, draws, due)
    buys, idle = np.empty((H, 1, S)), np.empty((H, 1, S))
    living.buys(0, buys)
    living.idle(0, idle)
    expected = paretonbd.p_purchase(*points, due.horizon, **theta)
    np.testing.assert_allclose(buys[:, 0], expected, rtol=1e-10)
    A, B = theta["alpha"] + T[:, None], theta["beta"] + T[:, None]
    expected = (A / (A + due.horizon)) ** (theta["r"] + x[:, None])
    expected *= (B / (B + due.horizon)) ** theta["s"]
    np.testing.assert_allclose(idle[:, 0], expected, rtol=1e-9, atol=1e-300)
    part = np.empty((3, 1, S))
    living.buys(20, part)
    np.testing.assert_allclose(part, buys[20:23], rtol=1e-14)


@pytest.mark.parametrize("horizon", [0.01, 30.0, 300.0])
def test_tables_of_counts(histories, draws, horizon: float) -> None:
    """The recursion over nodes against the integral of each count, also far in the tails."""
    x, _, T = histories
    living, begin = paretonbd.living(x, T, draws, Due(horizon)), 0
    while begin < H:
        table, start = living.survival(begin, 1e-9, 50_000)
        for i, key in enumerate(range(begin, begin + len(start) - 1)):
            rows = table[start[i] : start[i + 1]]
            assert rows[-1].mean() <= 1e-9
            for n in {0, 1, len(rows) // 2, len(rows) - 1} & set(range(len(rows))):
                np.testing.assert_allclose(rows[n], living.exceeds(key, n), atol=1e-11)
        begin += len(start) - 1


@pytest.mark.parametrize(
    ("alpha", "beta"), [(30.0, 60.0), (10.6, 11.7), (20.0, 380.0), (31.0, 29.0), (44.0, 30.0)]
)
@pytest.mark.parametrize("s", [0.1, 1.0, 12.0])
@pytest.mark.parametrize("x", [0.0, 3.0, 60.0])
def test_a_recurrence_gives_the_tables(x: float, s: float, alpha: float, beta: float) -> None:
    """As long, and the same numbers, as mixed over the time of death: for most customers."""
    R, A, B = (np.array([0.9, 1.0, 1.3]) * one for one in (0.6 + x, alpha, beta))
    died, horizon = np.full(3, s), np.array([0.0, 30.0, 400.0])
    for least, fewest in ((0.05, 0), (1e-9, 0), (1e-9, 90)):
        asked = (R, A, died, B, horizon, least, 5_000, fewest, np.empty((1, 3)))
        table, rows = pareto_counts._recursion(*asked, 0)
        expected, count = pareto_counts._mixture(*asked, 0)
        assert rows == count > fewest - 1
        np.testing.assert_allclose(table[:rows], expected[:rows], rtol=0, atol=1e-12)
        assert (np.diff(table[:rows], axis=0) <= 1e-13).all()
    too_few = (*asked[:6], 5, 0, np.empty((1, 3)))
    assert pareto_counts._recursion(*too_few, 0)[1] == 0


def test_where_the_recurrence_is_not_stable_it_is_not_used() -> None:
    three = np.ones(3)
    for R, A, B in ((0.6, 90.0, 30.0), (0.6, 1.0, 100.0), (900.0, 30.0, 30.0)):
        asked = (R * three, A * three, three, B * three, 400.0 * three)
        assert pareto_counts._recursion(*asked, 0.05, 5_000, 0, np.empty((1, 3)), 0)[1] == -1


def test_a_table_that_would_be_too_long_is_left_out(draws) -> None:
    living = paretonbd.living(np.array([300.0]), np.array([10.0]), draws, Due(300.0))
    table, start = living.survival(0, 1e-9, 20)
    assert start.tolist() == [0, 0]
    assert len(table) == 0
    assert (living.busiest(0, 1) > 1_000).all()
    assert (living.exceeds(0, -1.0) == 1.0).all()


def walked(histories, draws, due: Due, n: int) -> tuple[Walks, np.ndarray, np.ndarray]:
    """Paths of random keys and draws, given a purchase; the chance of one; where bits began."""
    x, _, T = histories
    rng = np.random.default_rng(9)
    living = paretonbd.living(x, T, draws, due)
    walks = Walks.room(n, np.full(S, 2.0))
    walks.key[:], walks.draw[:] = rng.integers(0, H, n), rng.integers(0, S, n)
    walks.phase[:] = 0
    buys = np.empty((H, 1, S))
    living.buys(0, buys)
    given = buys[walks.key, 0, walks.draw]
    walks.chance[:] = rng.random(n) * given
    walks.state[:] = rng.integers(0, 2**63, n).astype(np.uint64)
    state = walks.state.copy()
    living.walk(walks)
    return walks, given, state


def agree(seen: np.ndarray, expected: np.ndarray) -> None:
    difference = seen - expected
    assert abs(difference.mean()) <= ERRORS * difference.std() / math.sqrt(difference.size)


def test_paths_are_those_of_the_process(histories, draws) -> None:
    due = DUES["by the month"]
    x, _, T = histories
    living = paretonbd.living(x, T, draws, due)
    walks, given, _ = walked(histories, draws, due, 200_000)
    where = (walks.key, 0, walks.draw)
    purchases, discounted = living.expect()
    agree(walks.bought, purchases[where] / given)
    agree(walks.orders / 2.0, discounted[where] / given)  # an order is 2 on average
    idle = np.empty((H, 1, S))
    living.idle(0, idle)
    B = draws["beta"][walks.draw] + T[walks.key]
    lives = (B / (B + due.horizon)) ** draws["s"][walks.draw]
    agree(walks.stays, (lives - idle[where]) / given)
    for n in (1, 4):
        above = np.array([living.exceeds(key, n)[0] for key in range(H)])
        agree(walks.bought > n, above[walks.key, walks.draw] / given)


def test_a_path_begins_where_its_chance_says_and_is_walked_again_alike(histories, draws) -> None:
    due = DUES["a season"]
    walks, _, state = walked(histories, draws, due, 300)
    begin, total = np.concatenate([[0], np.cumsum(walks.bought)[:-1]]), int(walks.bought.sum())
    recorded = replace(
        walks,
        state=state,
        orders=np.empty(300),
        bought=np.empty(300, dtype=np.int64),
        begin=begin,
        times=np.full(total, np.nan),
        amounts=np.full(total, np.nan),
    )
    x, _, T = histories
    paretonbd.living(x, T, draws, due).walk(recorded)
    np.testing.assert_array_equal(recorded.orders, walks.orders)
    np.testing.assert_array_equal(recorded.bought, walks.bought)
    ends = np.append(begin, len(recorded.times))
    assert all(
        (np.diff(recorded.times[i:j]) > 0).all() and recorded.times[j - 1] <= due.horizon
        for i, j in itertools.pairwise(ends)
    )
    for n in range(300):
        k, theta = walks.key[n], {name: v[walks.draw[n]] for name, v in draws.items()}
        R, A, B = theta["r"] + x[k], theta["alpha"] + T[k], theta["beta"] + T[k]
        living = {"r": R, "alpha": A, "s": theta["s"], "beta": B}
        found = paretonbd.p_purchase(0, 0, 0, recorded.times[begin[n]], **living)
        assert found == pytest.approx(walks.chance[n], rel=1e-9)


def test_what_the_living_buy_is_analytic_in_the_logarithm(draws) -> None:
    """T occurs as alpha + T and beta + T, so the least of them is the shift."""
    assert paretonbd.strip(draws) == (min(draws["alpha"].min(), draws["beta"].min()), math.pi)
