"""The whole machine: what happens ranks uniformly in what was predicted.

First with a given posterior and given histories: parameters are drawn from the posterior,
futures from the story; each customer's outcome and the total must then rank uniformly,
and intervals hold as often as they say. Then with bases told from the very beginning,
fitted, and predicted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    ModifiedBetaGeoModel,
    ModifiedBetaGeoPosterior,
)
from clvmodels.predictive import count_distribution, portfolio, value_distribution

# simulated times are of no calendar
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:T has fractions:UserWarning")]

HORIZON, RATE, DRAWS = 180.0, 0.5, 100
LEVELS = (0.5, 0.8, 0.9, 0.95)
# About 200 looks: one false alarm in ten thousand runs.
LEAST_P, MOST_Z = 1e-6, 5.0
TOTALS = ("buyers", "purchases", "value")


class Outcome(NamedTuple):
    """What customers did within the horizon, each of shape (N,)."""

    counts: np.ndarray
    values: np.ndarray


def uniform(ranks: np.ndarray) -> None:
    assert ((ranks >= 0) & (ranks <= 1)).all()
    assert stats.kstest(ranks, "uniform").pvalue > LEAST_P


def rank(drawn: np.ndarray, happened: float, rng: np.random.Generator) -> float:
    """Share of draws below what happened, ties broken at random."""
    below, equal = (drawn < happened).sum(), (drawn == happened).sum()
    return float((below + rng.random() * (equal + 1)) / (len(drawn) + 1))


# --- a given posterior, given histories ---


REPEATS, CUSTOMERS = 400, 30


def given_posterior(kind: Any) -> CLVPosterior:
    """Uncertain enough for parameters to count in the total as much as the process."""
    rng = np.random.default_rng(77)

    def about(value: float, sd: float) -> np.ndarray:
        return value * np.exp(sd * rng.normal(size=DRAWS))

    return CLVPosterior(
        kind.from_draws(
            r=about(0.7, 0.3), alpha=about(25, 0.3), a=about(0.8, 0.3), b=about(2, 0.3)
        ),
        GammaGammaPosterior.from_draws(p=about(5, 0.2), q=about(4, 0.1), v=about(20, 0.2)),
    )


def given_customers() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.choice([0, 0, 1, 2, 4, 9], CUSTOMERS)
    T = rng.uniform(30, 400, CUSTOMERS)
    return pd.DataFrame(
        {
            "customer_id": np.arange(CUSTOMERS),
            "frequency": x,
            "recency": np.where(x > 0, T * rng.uniform(0.3, 1, CUSTOMERS), 0.0),
            "T": T,
            "monetary_value": np.where(x > 0, rng.gamma(3, 12, CUSTOMERS), 0.0),
        }
    )


def told(one: CLVPosterior, stays: int, rfm: pd.DataFrame, rng: np.random.Generator) -> Outcome:
    """One future of all customers, under parameters drawn from the posterior."""
    d = rng.integers(DRAWS)
    truth = {k: v[d] for k, v in one.purchases.draws().items()}
    p, q, v = (values[rng.integers(DRAWS)] for values in one.spend.draws().values())
    x, t_x, T, m = (
        rfm[k].to_numpy(dtype=float) for k in ("frequency", "recency", "T", "monetary_value")
    )
    n = len(rfm)
    alive = rng.random(n) < one.purchases.formulas.p_alive(x, t_x, T, **truth)
    rate = rng.gamma(truth["r"] + x) / (truth["alpha"] + T)
    total = np.where(alive, rng.poisson(rate * HORIZON), 0)
    leaves = rng.geometric(rng.beta(truth["a"], truth["b"] + x + stays))
    count, nu = np.minimum(total, leaves), rng.gamma(q + p * x) / (v + x * m)
    values = np.zeros(n)
    for i in np.flatnonzero(count):
        when = np.sort(rng.random(total[i]) * HORIZON)[: count[i]]
        worth = np.exp(-one.scale.delta(RATE) * when)
        values[i] = (worth * rng.gamma(p, 1 / nu[i], count[i])).sum()
    return Outcome(count, values)


class Given(NamedTuple):
    """Customers, the posterior, and futures of shape (REPEATS, CUSTOMERS)."""

    posterior: CLVPosterior
    rfm: pd.DataFrame
    counts: np.ndarray
    values: np.ndarray


@pytest.fixture(scope="module", params=[0, 1], ids=["BG/NBD", "MBG/NBD"])
def world(request: pytest.FixtureRequest) -> Given:
    one = given_posterior((BetaGeoPosterior, ModifiedBetaGeoPosterior)[request.param])
    rng, rfm = np.random.default_rng(900 + request.param), given_customers()
    futures = [told(one, request.param, rfm, rng) for _ in range(REPEATS)]
    counts, values = (np.array(part) for part in zip(*futures, strict=True))
    return Given(one, rfm, counts, values)


def test_totals_rank_uniformly(world: Given, rng: np.random.Generator) -> None:
    found = portfolio(world.posterior, world.rfm, horizon=HORIZON, discount_rate=RATE, paths=10_000)
    happened = {
        "buyers": (world.counts > 0).sum(axis=1),
        "purchases": world.counts.sum(axis=1),
        "value": world.values.sum(axis=1),
    }
    for total in TOTALS:
        drawn = found.draws(total)
        uniform(np.array([rank(drawn, each, rng) for each in happened[total]]))
        for level in LEVELS:
            low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
            inside = (happened[total] >= low) & (happened[total] <= high)
            held = ((drawn >= low) & (drawn <= high)).mean()
            assert abs(inside.sum() - REPEATS * held) < MOST_Z * np.sqrt(
                REPEATS * held * (1 - held)
            )


def test_customers_rank_uniformly(world: Given) -> None:
    again = pd.concat([world.rfm] * REPEATS)  # rows of one history share their paths
    counts = count_distribution(world.posterior, again, horizon=HORIZON)
    values = value_distribution(
        world.posterior, again, horizon=HORIZON, discount_rate=RATE, paths=4_000
    )
    shape = (REPEATS, CUSTOMERS)
    of_counts = counts.pit(world.counts.ravel(), random_seed=1).reshape(shape)
    of_values = values.pit(world.values.ravel(), random_seed=2).reshape(shape)
    for i in range(CUSTOMERS):
        uniform(of_counts[:, i])
        uniform(of_values[:, i])


def test_intervals_of_customers_hold(world: Given) -> None:
    """Futures of one repeat share their parameters, so repeats are what is counted."""
    counts = count_distribution(world.posterior, world.rfm, horizon=HORIZON)
    values = value_distribution(
        world.posterior, world.rfm, horizon=HORIZON, discount_rate=RATE, paths=20_000
    )
    for level in LEVELS:
        table = world.posterior.predict(
            world.rfm, horizon=HORIZON, discount_rate=RATE, interval=level, predictive=True
        )
        low, high = (table[f"purchases_{end}"].to_numpy() for end in ("lower", "upper"))
        held = counts.cdf(high) - counts.cdf(low - 1)
        assert (held >= level - 1e-12).all()
        close(((world.counts >= low) & (world.counts <= high)).mean(axis=1), held.mean())
        low, high = (table[f"value_{end}"].to_numpy() for end in ("lower", "upper"))
        # Above a lower end of 0 lies the whole chance of no value too.
        held = values.cdf(high) - np.where(low > 0, values.cdf(low), 0.0)
        assert (held > level - 0.05).all()
        close(((world.values >= low) & (world.values <= high)).mean(axis=1), held.mean())


def close(shares: np.ndarray, expected: float) -> None:
    error = shares.std(ddof=1) / np.sqrt(len(shares))
    assert abs(shares.mean() - expected) < MOST_Z * error


# --- from the first purchase on, with a fit in between ---


BASES, SIZE = 12, 1_200
TRUTH = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 2.5, "p": 6.0, "q": 5.0, "v": 20.0}


def lived(stays: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Outcome]:
    """Customers told from their first purchase to the end of the horizon, round by round."""
    n = SIZE
    T = rng.uniform(30, 500, n)
    rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], n)
    dropout, nu = rng.beta(TRUTH["a"], TRUTH["b"], n), rng.gamma(TRUTH["q"], 1 / TRUTH["v"], n)
    x, t_x, spent, count, value, when = np.zeros((6, n))
    left = np.arange(n)
    if stays:
        left = left[rng.random(n) >= dropout]
    while left.size:
        when[left] += rng.exponential(1 / rate[left])
        left = left[when[left] <= T[left] + HORIZON]
        amount = rng.gamma(TRUTH["p"], 1 / nu[left])
        early = when[left] <= T[left]
        then, later = left[early], left[~early]
        x[then] += 1
        t_x[then] = when[then]
        spent[then] += amount[early]
        count[later] += 1
        delta = np.log1p(RATE) / 365.25
        value[later] += amount[~early] * np.exp(-delta * (when[later] - T[later]))
        left = left[rng.random(left.size) >= dropout[left]]
    mean = np.where(x > 0, spent / np.maximum(x, 1), 0.0)
    columns = {"frequency": x, "recency": t_x, "T": T, "monetary_value": mean}
    rfm = pd.DataFrame({"customer_id": np.arange(n), **columns})
    return rfm, Outcome(count, value)


@pytest.mark.parametrize("stays", [0, 1], ids=["BG/NBD", "MBG/NBD"])
def test_fitted_predictions_hold(stays: int, rng: np.random.Generator) -> None:
    kind = (BetaGeoModel, ModifiedBetaGeoModel)[stays]
    model = CLVModel(kind(T_scale=265.0), GammaGammaModel(v_scale=20.0))
    ranks: dict[str, list[float]] = {total: [] for total in TOTALS}
    gaps = []
    for seed in range(BASES):
        rfm, seen = lived(stays, rng)
        one = model.fit(rfm, method="laplace", random_seed=seed, progressbar=False)
        options: dict[str, Any] = {"horizon": HORIZON, "discount_rate": RATE, "draws": 200}
        totals = portfolio(one, rfm, paths=200, **options)
        happened = {
            "buyers": (seen.counts > 0).sum(),
            "purchases": seen.counts.sum(),
            "value": seen.values.sum(),
        }
        for total in TOTALS:
            ranks[total].append(rank(totals.draws(total), happened[total], rng))
        table = one.predict(rfm, predictive=True, **options)
        counts = count_distribution(one, rfm, horizon=HORIZON, draws=200)
        low, high = table["purchases_lower"], table["purchases_upper"]
        held = counts.cdf(high) - counts.cdf(low - 1)
        values = value_distribution(one, rfm, paths=2_000, **options)
        upper = table["value_upper"].to_numpy()
        gaps.append(
            [
                ((seen.counts >= low) & (seen.counts <= high)).mean() - held.mean(),
                (seen.values <= upper).mean() - values.cdf(upper).mean(),
            ]
        )
    for total in TOTALS:
        uniform(np.array(ranks[total]))
    for gap in np.array(gaps).T:  # customers of a base have the error of its fit in common
        close(gap, 0.0)
