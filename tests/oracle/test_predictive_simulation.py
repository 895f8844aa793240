"""The compiled simulation against closed forms, and against the story told in NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    RfmTable,
)
from clvmodels.formulas import gamma_gamma
from clvmodels.formulas import random as streams
from clvmodels.posterior.predicting import draws_of
from clvmodels.predictive import (
    FuturePaths,
    count_distribution,
    portfolio,
    simulate_future,
    value_distribution,
)

pytestmark = [
    pytest.mark.slow,  # both worlds together are simulated for some ten seconds
    # simulated times are of no calendar
    pytest.mark.filterwarnings("ignore:T has fractions:UserWarning"),
]

PATHS, HORIZON, MONTH = 40_000, 400.0, 30.4375
RATE = 0.95  # a year: a discount that would show uniforms in the place of order statistics
STANDARD_ERRORS = 5.0  # two-sided 6e-7; some 150 comparisons
DRAWS = 4


@dataclass(frozen=True)
class World:
    """A posterior of a few draws, customers, their simulated futures, and the plain ones."""

    posterior: CLVPosterior
    stays: int
    rfm: pd.DataFrame
    paths: FuturePaths
    monthly: FuturePaths
    plain_counts: np.ndarray
    plain_values: np.ndarray
    plain_monthly: np.ndarray

    @property
    def delta(self) -> float:
        return self.posterior.scale.delta(RATE)

    def history(self, i: int) -> tuple[float, float, float, float]:
        row = self.rfm.iloc[i]
        return tuple(row[["frequency", "recency", "T", "monetary_value"]])


def people() -> pd.DataFrame:
    rows = [(0, 0.0, 0.0, 0.0), (0, 0.0, 90.0, 0.0), (1, 60.0, 200.0, 12.0)]
    rows += [(4, 150.0, 220.0, 30.0), (15, 250.0, 300.5, 55.0)]
    names = ["frequency", "recency", "T", "monetary_value"]
    return pd.DataFrame(rows, columns=names).assign(customer_id=[f"c{i}" for i in range(5)])


def told(world: Any, i: int, d: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Tell the story of one customer n times, by draw d; return counts and both values."""
    posterior, stays, rfm = world
    x, t_x, T, m = rfm.iloc[i][["frequency", "recency", "T", "monetary_value"]]
    r, alpha, a, b = (posterior.purchases.draws()[k][d] for k in ("r", "alpha", "a", "b"))
    paired = draws_of(posterior.purchases, posterior.spend, DRAWS).spend
    p, q, v = (paired[k][d] for k in ("p", "q", "v"))
    formulas = posterior.purchases.formulas
    alive = rng.random(n) < formulas.p_alive(x, t_x, T, r=r, alpha=alpha, a=a, b=b)
    rate = rng.gamma(r + x, 1 / (alpha + T), n)
    dropout = rng.beta(a, b + x + stays, n)
    total = np.where(alive, rng.poisson(rate * HORIZON), 0)
    count = np.where(alive, np.minimum(total, rng.geometric(dropout)), 0)
    nu = rng.gamma(q + p * x, 1 / (v + x * m), n)
    delta, values, monthly = posterior.scale.delta(RATE), np.zeros(n), np.zeros(n)
    for k in np.flatnonzero(count):
        when = np.sort(rng.random(total[k]) * HORIZON)[: count[k]]
        amounts = rng.gamma(p, 1 / nu[k], count[k])
        values[k] = (np.exp(-delta * when) * amounts).sum()
        monthly[k] = (np.exp(-delta * MONTH * np.ceil(when / MONTH)) * amounts).sum()
    return count, values, monthly


@pytest.fixture(scope="module", params=[0, 1], ids=["BG/NBD", "MBG/NBD"])
def world(request: pytest.FixtureRequest) -> World:
    kind = (BetaGeoPosterior, ModifiedBetaGeoPosterior)[request.param]
    posterior = CLVPosterior(
        kind.from_draws(
            r=[0.5, 0.6, 0.9, 0.4],
            alpha=[30.0, 40.0, 35.0, 28.0],
            a=[0.8, 0.5, 1.2, 0.9],
            b=[2.5, 2.0, 3.0, 2.2],
        ),
        GammaGammaPosterior.from_draws(
            p=[6.0, 3.0, 0.7, 7.0], q=[5.5, 6.0, 7.0, 5.2], v=[15.0, 30.0, 90.0, 12.0]
        ),
    )
    rng = np.random.default_rng(31 + request.param)
    rfm, n = people(), PATHS // DRAWS
    each = [
        [np.concatenate(part) for part in zip(*parts, strict=True)]
        for parts in (
            [told((posterior, request.param, rfm), i, d, n, rng) for d in range(DRAWS)]
            for i in range(len(rfm))
        )
    ]
    counts, values, monthly = (np.array(part) for part in zip(*each, strict=True))
    options = {"paths": PATHS, "discount_rate": RATE}
    return World(
        posterior,
        request.param,
        rfm,
        simulate_future(posterior, rfm, HORIZON, **options),
        simulate_future(posterior, rfm, HORIZON, discounting="monthly", random_seed=1, **options),
        counts,
        values,
        monthly,
    )


def agree(one: np.ndarray, other: np.ndarray | float) -> None:
    """Means over the last axis, of a simulation against another one or against a number."""
    error = one.var(axis=-1, ddof=1) / one.shape[-1]
    if isinstance(other, np.ndarray) and other.shape == one.shape:
        error = error + other.var(axis=-1, ddof=1) / other.shape[-1]
        other = other.mean(axis=-1)
    assert (np.abs(one.mean(axis=-1) - other) <= STANDARD_ERRORS * np.sqrt(error)).all()


def by_draw(world: World, what: str, **more: Any) -> np.ndarray:
    """A formula's values, draws by customers."""
    draws = {k: v[:, None] for k, v in world.posterior.purchases.draws().items()}
    rfm = world.rfm
    history = (rfm["frequency"].to_numpy(), rfm["recency"].to_numpy(), rfm["T"].to_numpy())
    formulas = world.posterior.purchases.formulas
    return np.asarray(getattr(formulas, what)(*history, HORIZON, *more.values(), **draws))


# --- counts ---


def test_counts_have_the_closed_form(world: World) -> None:
    found = count_distribution(world.posterior, world.rfm, horizon=HORIZON)
    for n in range(12):
        probability = found.pmf(n)
        error = np.sqrt(probability * (1 - probability) / PATHS)
        for counts in (world.paths.counts, world.monthly.counts, world.plain_counts):
            gap = np.abs((counts == n).mean(axis=1) - probability)
            assert (gap <= STANDARD_ERRORS * error).all()
    agree(world.paths.counts.astype(float), found.mean)
    agree(world.plain_counts.astype(float), found.mean)
    np.testing.assert_allclose(found.mean, by_draw(world, "expected_purchases").mean(axis=0))


# --- times ---


def discounts(world: World, monthly: bool) -> np.ndarray:
    """Discounted number of purchases, customers by paths."""
    paths = world.monthly if monthly else world.paths
    time = paths.purchases["time"].to_numpy()
    when = MONTH * np.ceil(time / MONTH) if monthly else time
    code = pd.Index(world.rfm["customer_id"]).get_indexer(paths.purchases["customer_id"])
    place = code * PATHS + paths.purchases["path"].to_numpy()
    total = np.bincount(place, np.exp(-world.delta * when), minlength=len(world.rfm) * PATHS)
    return total.reshape(len(world.rfm), PATHS)


@pytest.mark.parametrize("monthly", [False, True])
def test_times_are_the_first_order_statistics(world: World, monthly: bool) -> None:
    """Discounting tells them from as many uniforms: purchases cease as customers leave."""
    found = discounts(world, monthly)
    month = MONTH if monthly else None
    draws = {k: v[:, None] for k, v in world.posterior.purchases.draws().items()}
    history = [world.rfm[name].to_numpy() for name in ("frequency", "recency", "T")]
    formulas = world.posterior.purchases.formulas
    expected = formulas.discounted_purchases(*history, HORIZON, world.delta, month=month, **draws)
    agree(found, expected.mean(axis=0))
    # The check would notice: uniform times would have the mean discount of the horizon.
    grid = (np.arange(100_000) + 0.5) / 100_000 * HORIZON
    uniform = np.exp(-world.delta * (MONTH * np.ceil(grid / MONTH) if monthly else grid)).mean()
    more = found - uniform * (world.monthly if monthly else world.paths).counts
    assert (more.mean(axis=1) > 2 * STANDARD_ERRORS * more.std(axis=1) / math.sqrt(PATHS)).all()


def test_paths_are_in_order_and_within_the_horizon(world: World) -> None:
    table = world.paths.purchases
    assert table["time"].between(0, HORIZON).all()
    assert (table["amount"] > 0).all()
    same = (table["path"].diff() == 0) & (table["customer_id"] == table["customer_id"].shift())
    assert (table["time"].diff()[same] > 0).all()
    counted = table.groupby(["customer_id", "path"]).size()
    assert len(counted) == (world.paths.counts > 0).sum()
    assert counted.sum() == world.paths.counts.sum()


# --- values ---


def test_values_have_the_mean_of_the_formula(world: World) -> None:
    """In each draw discounted purchases times expected spend, as both are independent."""
    spend = draws_of(world.posterior.purchases, world.posterior.spend, DRAWS).spend
    for paths, month in ((world.paths, None), (world.monthly, MONTH)):
        for i in range(len(world.rfm)):
            x, t_x, T, m = world.history(i)
            draws = world.posterior.purchases.draws()
            later = world.posterior.purchases.formulas.discounted_purchases(
                x, t_x, T, HORIZON, world.delta, month=month, **draws
            )
            worth = gamma_gamma.expected_spend(x, m, **spend)
            for d in range(DRAWS):
                agree(paths.values[i, paths.draw == d], float(later[d] * worth[d]))


def test_values_are_distributed_as_the_story_has_them(world: World) -> None:
    for seen, plain in (
        (world.paths.values, world.plain_values),
        (world.monthly.values, world.plain_monthly),
    ):
        for i in range(len(world.rfm)):
            for level in np.quantile(plain[i], [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99]):
                agree((seen[i] <= level).astype(float), (plain[i] <= level).astype(float))


def test_orders_of_a_customer_hang_together(world: World) -> None:
    """They share nu: the mean of the products of the first two is that of 1 / nu^2."""
    table = world.paths.purchases
    place = table.groupby(["customer_id", "path"]).cumcount()
    first, second = (table[place == k].set_index(["customer_id", "path"])["amount"] for k in (0, 1))
    both = (first.loc[second.index] * second).rename("product").reset_index()
    spend = draws_of(world.posterior.purchases, world.posterior.spend, DRAWS).spend
    for i in range(len(world.rfm)):
        x, _, _, m = world.history(i)
        p, q, v = spend["p"], spend["q"] + spend["p"] * x, spend["v"] + x * m
        expected = p**2 * v**2 / ((q - 1) * (q - 2))
        mine = both[both["customer_id"] == f"c{i}"]
        for d in range(DRAWS):
            agree(mine["product"].to_numpy()[mine["path"] % DRAWS == d], float(expected[d]))


# --- value_distribution: weighted paths, given a purchase ---


@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_value_distribution(world: World, discounting: str) -> None:
    found = value_distribution(
        world.posterior,
        world.rfm,
        horizon=HORIZON,
        discount_rate=RATE,
        discounting=discounting,
        paths=PATHS,
    )
    once = discounting == "continuous"
    plain = world.plain_values if once else world.plain_monthly
    paths = world.paths if once else world.monthly
    for probability in (0.1, 0.5, 0.8, 0.9, 0.95, 0.99):
        level = found.quantile(probability)
        below = found.cdf(level)
        assert (below >= probability - 1e-12).all()
        agree((plain <= level[:, None]) * 1.0, (paths.values <= level[:, None]) * 1.0)
        # Both simulations have an error; twice the one of the plain one covers them.
        error = 2 * np.sqrt(below * (1 - below) / PATHS)
        gap = np.abs((plain <= level[:, None]).mean(axis=1) - below)
        assert (gap <= STANDARD_ERRORS * error).all()


def test_the_share_without_value_is_exact(world: World) -> None:
    found = value_distribution(world.posterior, world.rfm, horizon=HORIZON, paths=100)
    none = 1 - by_draw(world, "p_purchase").mean(axis=0)
    np.testing.assert_allclose(found.cdf(np.zeros(5)), none, atol=1e-12)
    assert (found.quantile(0.999 * none.min()) == 0).all()
    just = found.quantile(np.append(none - 1e-9, none + 1e-9))
    assert (np.diag(just[:5]) == 0).all()
    assert (np.diag(just[5:]) > 0).all()


def test_value_scores(world: World) -> None:
    options: dict[str, Any] = {"horizon": HORIZON, "discount_rate": RATE, "paths": PATHS}
    found = value_distribution(world.posterior, world.rfm, **options)
    y = np.array([0.0, 25.0, 0.0, 90.0, 2000.0])
    scores = found.crps(y)
    # E|V - y| - E|V - V'| / 2 of the plain simulation, with the error of that difference.
    half = PATHS // 2
    order = np.random.default_rng(2).permutation(PATHS)
    plain = world.plain_values[:, order]
    one, other = plain[:, :half], plain[:, half:]
    each = (np.abs(one - y[:, None]) + np.abs(other - y[:, None]) - np.abs(one - other)) / 2
    error = each.std(axis=1, ddof=1) / math.sqrt(half)
    assert (np.abs(each.mean(axis=1) - scores) <= 1.5 * STANDARD_ERRORS * error).all()
    pit = found.pit(y, random_seed=5)
    below = (plain < y[:, None]).mean(axis=1)
    upto = (plain <= y[:, None]).mean(axis=1)
    assert ((pit >= below - 0.02) & (pit <= upto + 0.02)).all()
    assert (pit[[0, 2]] < upto[[0, 2]]).all()


# --- totals ---


def test_portfolio_adds_up_the_same_futures(world: World) -> None:
    paths = simulate_future(world.posterior, world.rfm, HORIZON, paths=1000, random_seed=3)
    totals = portfolio(
        world.posterior, world.rfm, horizon=HORIZON, paths=1000, draws=DRAWS, random_seed=3
    )
    expected = paths.totals()
    for name in ("buyers", "purchases", "value"):
        np.testing.assert_allclose(totals.draws(name), expected[name], rtol=1e-12)


def test_portfolio_means_and_spread(world: World) -> None:
    rfm = RfmTable.from_pandas(pd.concat([world.rfm] * 6).assign(customer_id=np.arange(30)))
    options: dict[str, Any] = {"horizon": HORIZON, "discount_rate": RATE}
    found = portfolio(world.posterior, rfm, paths=PATHS, **options)
    each = world.posterior.predict(rfm, **options)
    row = found.table.iloc[-1]
    for total, name in (("buyers", "p_purchase"), ("purchases", "expected_purchases")):
        assert row[total] == pytest.approx(each[name].sum(), rel=1e-12)
        agree(found.draws(total), each[name].sum())
    assert row["value"] == pytest.approx(each["clv"].sum(), rel=1e-12)
    # Given the draw customers are independent: means and variances of their counts add up.
    mean, variance = np.zeros(DRAWS), np.zeros(DRAWS)
    for d in range(DRAWS):
        one = {k: v[d] for k, v in world.posterior.purchases.draws().items()}
        counts = count_distribution(
            type(world.posterior.purchases).from_draws(**one), rfm, horizon=HORIZON
        )
        mean[d], variance[d] = counts.mean.sum(), counts.variance.sum()
    expected = variance.mean() + mean.var()
    drawn = found.draws("purchases")
    squares = (drawn - mean.mean()) ** 2
    agree(squares, expected)


def test_alive_at_the_end(world: World) -> None:
    """Those alive at T who survive all their questions: (1 + p h / A)^-R, p ~ Beta(a, B)."""
    found = portfolio(world.posterior, world.rfm, horizon=HORIZON, paths=PATHS)
    rng, expected = np.random.default_rng(8), 0.0
    for i in range(len(world.rfm)):
        x, t_x, T, _ = world.history(i)
        draws = world.posterior.purchases.draws()
        alive = world.posterior.purchases.formulas.p_alive(x, t_x, T, **draws)
        dropout = rng.beta(draws["a"], draws["b"] + x + world.stays, (100_000, DRAWS))
        survives = (1 + dropout * HORIZON / (draws["alpha"] + T)) ** -(draws["r"] + x)
        expected += (alive * survives.mean(axis=0)).mean()
    agree(found.draws("alive"), expected)


# --- random numbers ---


@numba.njit
def _first_gammas(shape: float, n: int, seed: int) -> np.ndarray:
    """The first number of each of n streams, as the simulation uses them."""
    out = np.empty(n)
    for k in range(n):
        out[k], _ = streams.gamma(shape, streams.hashed(np.uint64(seed), np.uint64(k)))
    return out


@numba.njit
def _uniforms(n: int, seed: int, apart: bool) -> np.ndarray:
    out, state = np.empty(n), np.uint64(seed)
    for k in range(n):
        if apart:
            state = streams.hashed(np.uint64(seed), np.uint64(k))
        out[k], state = streams.uniform(state)
    return out


@numba.njit
def _many(normal: bool, n: int, seed: int) -> np.ndarray:
    out, state = np.empty(n), np.uint64(seed)
    for k in range(n):
        out[k], state = streams.normal(state) if normal else streams.exponential(state)
    return out


@pytest.mark.parametrize("shape", [0.05, 0.5, 1.0, 6.25, 4000.0])
def test_gammas(shape: float) -> None:
    assert stats.kstest(_first_gammas(shape, 100_000, 7), stats.gamma(shape).cdf).pvalue > 1e-5


@pytest.mark.parametrize("normal", [True, False], ids=["normal", "exponential"])
def test_ziggurats_and_their_tails(normal: bool) -> None:
    numbers, law = _many(normal, 4_000_000, 5), stats.norm if normal else stats.expon
    # in 4,000 classes, of which the layers and the tail are made of
    ends = law.ppf(np.linspace(0, 1, 4001))
    counts, _ = np.histogram(numbers, ends)
    assert stats.chisquare(counts).pvalue > 1e-5
    beyond = numbers[numbers > (3.7 if normal else 8.0)]  # all of them from the tail
    share = law.sf(3.7 if normal else 8.0)
    assert abs(len(beyond) - 4e6 * share) < STANDARD_ERRORS * math.sqrt(4e6 * share)
    assert stats.kstest(law.sf(beyond) / share, "uniform").pvalue > 1e-5
    for lag in (1, 2):
        assert abs(np.corrcoef(numbers[lag:], numbers[:-lag])[0, 1]) < STANDARD_ERRORS / 2000


@pytest.mark.parametrize("apart", [True, False], ids=["first of streams", "one stream"])
def test_uniforms(apart: bool) -> None:
    u = _uniforms(200_000, 11, apart)
    assert (u > 0).all()
    assert (u < 1).all()
    assert stats.kstest(u, "uniform").pvalue > 1e-5
    for lag in (1, 2, 500):
        r = np.corrcoef(u[lag:], u[:-lag])[0, 1]
        assert abs(r) < STANDARD_ERRORS / math.sqrt(len(u))


def test_neighbouring_seeds_share_nothing() -> None:
    one, other = _uniforms(100_000, 1, True), _uniforms(100_000, 2, True)
    assert abs(np.corrcoef(one, other)[0, 1]) < STANDARD_ERRORS / math.sqrt(len(one))
