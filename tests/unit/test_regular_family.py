"""Regular timing as the loops read it: k phases, against the formulas and the exact process.

With k = 1 it must do in every respect what BG/NBD and MBG/NBD do, path by path.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clvmodels.evaluation.tracking import expected_of_new
from clvmodels.formulas import erlang_along
from clvmodels.formulas.counts import at_least
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.erlang_along import both_along
from clvmodels.formulas.erlang_means import purchases_if_alive
from clvmodels.formulas.erlang_values import discounted_if_alive
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.predictive import count_distribution
from clvmodels.purchases import MODELS
from clvmodels.purchases.beta_geometric import bgnbd, mbgnbd
from clvmodels.purchases.cnbd import RegularFamily
from clvmodels.purchases.walks import Walks

S, H, ERRORS = 12, 40, 5.0
KS = [2, 3, 4]
EXTRA = [0, 1]
DUES = {
    "a season": Due(100.0, 1e-3),
    "by the month": Due(365.0, 3e-4, 30.4375),
    "a moment": Due(1e-3),
    "a life": Due(math.inf, 1e-3),
}


@pytest.fixture(scope="module")
def draws() -> dict[str, np.ndarray]:
    """On both sides of a = 1."""
    rng = np.random.default_rng(7)
    spread = {"r": (0.9, 0.4), "alpha": (15.0, 0.6), "a": (0.9, 0.4), "b": (2.2, 0.4)}
    return {name: m * np.exp(sd * rng.normal(size=S)) for name, (m, sd) in spread.items()}


@pytest.fixture(scope="module")
def histories() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(8)
    x = np.sort(rng.choice([0.0, 1, 2, 5, 30, 300], H))
    T = rng.integers(0, 400, H).astype(float)
    order = np.lexsort((T, x))
    x, T = x[order], T[order]
    return x, np.where(x > 0, np.floor(T * rng.random(H)), 0.0), T


def columns(histories):
    return [v[:, None] for v in histories]


def filled(weights, K: int, begin: int = 0, count: int = H) -> np.ndarray:
    out = np.full((K, count, S), np.nan)
    weights.fill(begin, out)
    return out


def chances(living, K: int) -> tuple[np.ndarray, np.ndarray]:
    buys, idle = np.full((H, K, S), np.nan), np.full((H, K, S), np.nan)
    living.buys(0, buys)
    living.idle(0, idle)
    return buys, idle


def walked(living, K: int, n: int) -> tuple[Walks, np.ndarray, np.ndarray]:
    """Paths of random keys, phases and draws, given a purchase; its chance; where bits began."""
    rng = np.random.default_rng(9)
    walks = Walks.room(n, np.full(S, 2.0))
    walks.key[:], walks.draw[:] = rng.integers(0, H, n), rng.integers(0, S, n)
    walks.phase[:] = rng.integers(0, K, n)
    given = chances(living, K)[0][walks.key, walks.phase, walks.draw]
    walks.chance[:] = rng.random(n) * given
    walks.state[:] = rng.integers(0, 2**63, n).astype(np.uint64)
    state = walks.state.copy()
    living.walk(walks)
    return walks, given, state


# --- k = 1 ---


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("due", DUES.values(), ids=DUES)
def test_with_k_of_one_it_is_the_family_without_regularity(
    histories, draws, extra: int, due: Due
) -> None:
    one, other = RegularFamily(extra, 1), (bgnbd, mbgnbd)[extra]
    assert (one.phases, one.strip(draws)) == (1, other.strip(draws))
    weights = [filled(family.weights(*histories, draws), 1) for family in (one, other)]
    np.testing.assert_allclose(*weights, rtol=1e-12, atol=1e-300)
    x, _, T = histories
    living = [family.living(x, T, draws, due) for family in (one, other)]
    for ours, theirs in zip(*(each.expect() for each in living), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for ours, theirs in zip(*(chances(each, 1) for each in living), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)
    if math.isinf(due.horizon):
        return
    tables = [each.survival(0, 1e-9, 50_000) for each in living]
    rows = min(len(table) for table, _ in tables)
    np.testing.assert_allclose(*(table[:rows] for table, _ in tables), rtol=0, atol=1e-13)
    paths = [walked(each, 1, 500)[0] for each in living]
    np.testing.assert_allclose(*(path.orders for path in paths), rtol=1e-9)
    np.testing.assert_array_equal(*(path.bought for path in paths))
    np.testing.assert_array_equal(*(path.stays for path in paths))
    np.testing.assert_array_equal(*(path.state for path in paths))
    lengths = np.array([1.0, 30.0, 400.0])
    along = [family.along(2.0, T[:5], lengths, draws) for family in (one, other)]
    np.testing.assert_allclose(*along, rtol=1e-11)


# --- k > 1, against the formulas ---


@pytest.mark.parametrize("extra", EXTRA)
@pytest.mark.parametrize("k", KS)
def test_weights(histories, draws, extra: int, k: int) -> None:
    family = RegularFamily(extra, k)
    expected = family.p_phases(*columns(histories), **draws)
    weights = family.weights(*histories, draws)
    for begin, count in ((0, H), (7, 5)):
        part = expected[:, begin : begin + count]
        found = filled(weights, k, begin, count)
        np.testing.assert_allclose(found, part, rtol=1e-10, atol=1e-300)


@pytest.mark.parametrize("due", DUES.values(), ids=DUES)
@pytest.mark.parametrize("k", KS)
def test_weights_times_what_is_expected(histories, draws, k: int, due: Due) -> None:
    family, points = RegularFamily(1, k), columns(histories)
    weights = filled(family.weights(*histories, draws), k).swapaxes(0, 1)
    living = family.living(histories[0], histories[2], draws, due)
    purchases, discounted = living.expect()
    assert purchases.shape == discounted.shape == (H, k, S)
    ending = ~family.endless(**draws) if math.isinf(due.horizon) else np.full(S, True)
    found = (weights * purchases).sum(axis=1)[:, ending]
    expected = family.expected_purchases(*points, due.horizon, **draws)[:, ending]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-300)
    month = due.month or None
    expected = family.discounted_purchases(*points, due.horizon, due.delta, month=month, **draws)
    found = (weights * discounted).sum(axis=1)
    if due.delta > 0:
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-300)
    buys, idle = chances(living, k)
    expected = family.p_purchase(*points, due.horizon, **draws)
    np.testing.assert_allclose((weights * buys).sum(axis=1), expected, rtol=1e-10, atol=1e-300)
    np.testing.assert_allclose(idle, 1.0 - buys, atol=1e-15)


@pytest.mark.parametrize("horizon", [0.01, 30.0, 300.0])
@pytest.mark.parametrize("k", KS)
def test_tables_of_counts(histories, draws, k: int, horizon: float) -> None:
    """The recursion over stages against the probability of each count."""
    x, _, T = histories
    living, begin = RegularFamily(0, k).living(x, T, draws, Due(horizon)), 0
    while begin < H:
        table, start = living.survival(begin, 1e-9, 50_000)
        assert table.shape == (start[-1], k, S)
        for i, key in enumerate(range(begin, begin + len(start) - 1)):
            rows = table[start[i] : start[i + 1]]
            assert rows[-1].mean(axis=1).max() <= 1e-9
            for n in {0, 1, len(rows) // 2, len(rows) - 1} & set(range(len(rows))):
                np.testing.assert_allclose(rows[n], living.exceeds(key, n), rtol=0, atol=1e-11)
        begin += len(start) - 1
    assert (living.exceeds(0, -1.0) == 1.0).all()


def test_a_table_that_would_be_too_long_is_left_out(draws) -> None:
    living = RegularFamily(0, 2).living(np.array([300.0]), np.array([10.0]), draws, Due(300.0))
    table, start = living.survival(0, 1e-9, 20)
    assert start.tolist() == [0, 0]
    assert len(table) == 0
    assert (living.busiest(0, 1) > 1_000).all()


@pytest.mark.parametrize("k", KS)
def test_along_many_ages_and_lengths(draws, k: int) -> None:
    family, lengths = RegularFamily(1, k), np.linspace(0.0, 400.0, 120)
    T = np.array([0.0, 3.0, 90.0, 500.0])
    for x in (0.0, 40.0):
        found = family.along(x, T, lengths, draws)
        assert found.shape == (k, S, 4, 120)
        for i in (0, 1, 17, 119):
            living = family.living(np.full(4, x), T, draws, Due(float(lengths[i])))
            expected = living.expect()[0].transpose(1, 2, 0)
            largest = found.max(axis=(2, 3), keepdims=True)[..., 0]
            assert (abs(found[..., i] - expected) <= 1e-10 * largest).all()


@pytest.mark.parametrize("due", [one for one in DUES.values() if math.isfinite(one.horizon)])
@pytest.mark.parametrize("x", [0.0, 3.0, 60.0, 1_000.0])
@pytest.mark.parametrize("k", KS)
def test_many_ages_of_one_x_are_each_by_itself(draws, k: int, x: float, due: Due) -> None:
    """Read off one curve where there are many, and right for the youngest and the oldest."""
    family, T = RegularFamily(1, k), np.concatenate([[0.0, 1.0], np.linspace(30.0, 900.0, 7)])
    month = due.month or None
    R, A, a, B = family.if_alive(0, x, T[:, None], **draws)
    bought, worth = both_along(R, A, a, B, due.horizon, due.delta, regularity=k, month=month)
    few = both_along(R, A[:2], a, B, due.horizon, due.delta, regularity=k, month=month)
    for phase in range(k):
        terms = {"regularity": k, "phase": phase}
        wanted = purchases_if_alive(R + phase, A, a, B, due.horizon, **terms)
        np.testing.assert_allclose(bought[phase], wanted, rtol=1e-10)
        np.testing.assert_allclose(few[0][phase], wanted[:2], rtol=1e-10)
        terms |= {"delta": due.delta, "month": month}
        wanted = discounted_if_alive(R + phase, A, a, B, due.horizon, **terms)
        np.testing.assert_allclose(worth[phase], wanted, rtol=1e-10)
        np.testing.assert_allclose(few[1][phase], wanted[:2], rtol=1e-10)


@pytest.mark.parametrize("R", [0.3, 40.0, 900.0])
@pytest.mark.parametrize("k", KS)
def test_points_side_by_side_are_each_by_itself(k: int, R: float) -> None:
    """In a row of one customer's horizons, with and without rates whose chances underflow."""
    w = np.concatenate([[0.0, math.inf], np.geomspace(1e-6, 9_000.0 / R, 150)])
    for phase in range(k):
        terms = {"regularity": k, "phase": phase}
        row = purchases_if_alive(R, 1.0, 1.7, 3.0, w, **terms)
        alone = [float(purchases_if_alive(R, 1.0, 1.7, 3.0, one, **terms)) for one in w]
        np.testing.assert_allclose(row, alone, rtol=1e-13)
        assert (np.diff(row[2:]) > 0).all()


def test_a_curve_that_does_not_settle_is_not_read(draws, monkeypatch: pytest.MonkeyPatch) -> None:
    family, T = RegularFamily(0, 2), np.linspace(0.0, 900.0, 8)
    R, A, a, B = family.if_alive(0, 60.0, T[:, None], **draws)
    monkeypatch.setattr(erlang_along, "_TABLES", tuple(erlang_along._cosines(4) for _ in range(5)))
    bought, worth = both_along(R, A, a, B, 365.0, 3e-4, regularity=2)
    for phase in range(2):
        terms = {"regularity": 2, "phase": phase}
        wanted = purchases_if_alive(R + phase, A, a, B, 365.0, **terms)
        np.testing.assert_allclose(bought[phase], wanted, rtol=1e-13)
        wanted = discounted_if_alive(R + phase, A, a, B, 365.0, 3e-4, **terms)
        np.testing.assert_allclose(worth[phase], wanted, rtol=1e-13)


@pytest.mark.parametrize("k", KS)
def test_the_chance_to_buy_is_right_however_small(k: int) -> None:
    """From rates next to nothing to lives that are long: no digits cancel."""
    draws = {
        n: np.array(v) for n, v in {"r": [1e-3, 0.5, 40.0], "alpha": [1e-3, 30.0, 9e4]}.items()
    }
    draws |= {"a": np.ones(3), "b": np.ones(3)}
    x, T = (v.ravel() for v in np.meshgrid([0.0, 1.0, 300.0], [0.0, 1e-4, 7.0, 900.0]))
    for horizon in (1e-8, 1e-3, 1.0, 365.0, 1e6, math.inf):
        found = np.empty((len(x), k, 3))
        RegularFamily(0, k).living(x, T, draws, Due(horizon, 1e-3)).buys(0, found)
        for phase in range(k):
            R, A, _, _ = RegularFamily(0, k).if_alive(phase, x[:, None], T[:, None], **draws)
            wanted = at_least(k - phase, R, horizon / A)
            np.testing.assert_allclose(found[:, phase], wanted, rtol=1e-10, atol=1e-300)


# --- paths ---


@pytest.mark.parametrize("k", KS)
def test_paths_are_those_of_the_process(histories, draws, k: int) -> None:
    due = DUES["by the month"]
    living = RegularFamily(0, k).living(histories[0], histories[2], draws, due)
    walks, given, _ = walked(living, k, 100_000)
    where = (walks.key, walks.phase, walks.draw)
    purchases, discounted = living.expect()
    agree(walks.bought, purchases[where] / given)
    agree(walks.orders / 2.0, discounted[where] / given)  # an order is 2 on average
    for n in (1, 4):
        above = np.array([living.exceeds(key, n) for key in range(H)])
        agree(walks.bought > n, above[where] / given)


def agree(seen: np.ndarray, expected: np.ndarray) -> None:
    difference = seen - expected
    assert abs(difference.mean()) <= ERRORS * difference.std() / math.sqrt(difference.size)


@pytest.mark.parametrize("k", KS)
def test_a_path_begins_where_its_chance_says_and_is_walked_again_alike(
    histories, draws, k: int
) -> None:
    family, due, n = RegularFamily(0, k), DUES["a season"], 200
    x, _, T = histories
    walks, _, state = walked(family.living(x, T, draws, due), k, n)
    begin, total = np.concatenate([[0], np.cumsum(walks.bought)[:-1]]), int(walks.bought.sum())
    recorded = replace(
        walks,
        state=state,
        orders=np.empty(n),
        bought=np.empty(n, dtype=np.int64),
        begin=begin,
        times=np.full(total, np.nan),
        amounts=np.full(total, np.nan),
    )
    family.living(x, T, draws, due).walk(recorded)
    np.testing.assert_array_equal(recorded.orders, walks.orders)
    np.testing.assert_array_equal(recorded.bought, walks.bought)
    for i, j in itertools.pairwise([*begin, total]):
        assert (np.diff(recorded.times[i:j]) > 0).all()
        assert recorded.times[j - 1] <= due.horizon
    for i in range(n):
        key, phase, d = walks.key[i], walks.phase[i], walks.draw[i]
        first = Due(float(recorded.times[begin[i]]))
        found = np.empty((1, k, S))
        family.living(x[key : key + 1], T[key : key + 1], draws, first).buys(0, found)
        assert found[0, phase, d] == pytest.approx(walks.chance[i], rel=1e-9)


# --- in the loops ---


@pytest.fixture(params=KS)
def regular(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model of the catalogue with regular timing."""
    key = f"regular{request.param}"
    family = RegularFamily(0, request.param)
    entry = replace(MODELS["bgnbd"], key=key, name=key, family=family, peer=None)
    monkeypatch.setitem(MODELS, key, entry)
    return key


def customers(x: float, T: np.ndarray) -> pd.DataFrame:
    """Of one x and many ages, so that what they buy is interpolated."""
    recency = np.where(x > 0, 0.8 * T, 0.0)
    ids = np.arange(len(T))
    return pd.DataFrame({"customer_id": ids, "frequency": x, "recency": recency, "T": T})


@pytest.mark.parametrize("horizon", [30.0, 730.0])
@pytest.mark.parametrize("x", [0.0, 3.0, 60.0])
def test_customers_are_predicted_by_the_formulas(
    regular: str, draws, x: float, horizon: float
) -> None:
    """Interpolated in T in a strip that is narrower for k = 3 and 4."""
    T = np.round(np.linspace(90.0, 730.0, 200))
    posterior, rfm = purchase_posterior(regular).from_draws(**draws), customers(x, T)
    found = posterior.predict(rfm, horizon=horizon)
    family = posterior.formulas
    points = [rfm[name].to_numpy()[:, None] for name in ("frequency", "recency", "T")]
    for name, expected in {
        "p_alive": family.p_alive(*points, **draws),
        "p_purchase": family.p_purchase(*points, horizon, **draws),
        "expected_purchases": family.expected_purchases(*points, horizon, **draws),
    }.items():
        np.testing.assert_allclose(found[name], expected.mean(axis=1), rtol=2e-10)
    some = rfm.iloc[::40].reset_index(drop=True)
    counts = count_distribution(posterior, some, horizon=30.0)
    n = np.arange(30)[:, None, None]
    points = [column[::40] for column in points]
    pmf = family.pmf(n, *points, 30.0, **draws).mean(axis=-1)
    np.testing.assert_allclose(counts.pmf(n[..., 0]), pmf, rtol=0, atol=2e-12)


def test_new_customers_are_expected_by_week(regular: str, draws) -> None:
    """A backtest's weeks: what is along many ages, against each age by itself."""
    family = MODELS[regular].formulas
    first, edges = np.array([0, 0, 3, 14]), np.arange(0, 71, 7)
    found = expected_of_new(family, draws, first=first / 7.0, edges=edges / 7.0)
    ages = np.maximum(edges[:, None] - first, 0) / 7.0
    each = [family.expected_purchases_new(age, **draws) for age in ages.ravel()]
    reached = np.array(each).reshape(*ages.shape, S).sum(axis=1)
    np.testing.assert_allclose(found, np.diff(reached, axis=0).T, rtol=1e-9, atol=1e-12)
