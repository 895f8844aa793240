"""Laws of the distributions of outcomes: whatever the customers and the draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
)
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import OUTCOMES, chunks, outcomes
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.scorable import asked_for
from clvmodels.predictive import (
    count_distribution,
    portfolio,
    simulate_future,
    value_distribution,
)
from clvmodels.scoring.scorer import Scorer
from tests.kinds import KINDS

POSTERIORS = [purchase_posterior(key) for key in KINDS]
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
NAMES = ["customer_id", "frequency", "recency", "T", "monetary_value"]


def posterior(kind=BetaGeoPosterior, *, count: int = 60, money: float = 1.0, days: float = 1.0):
    rng = np.random.default_rng(1)

    def about(value: float, sd: float) -> np.ndarray:
        return value * np.exp(sd * rng.normal(size=count))

    unit: dict[str, Any] = {"time_unit": "D", "time_scaler": days}
    draws = {"r": about(0.25, 0.1), "alpha": about(31, 0.1) / days}
    draws |= {"a": about(0.9, 0.2), "b": about(2.5, 0.2)}
    if "s" in kind.facts.parameter_names:
        draws |= {"s": about(0.9, 0.2), "beta": about(40, 0.2) / days}
    return CLVPosterior(
        kind.from_draws(**{name: draws[name] for name in kind.facts.parameter_names}, **unit),
        GammaGammaPosterior.from_draws(
            p=about(6, 0.2), q=about(3.7, 0.1), v=money * about(15, 0.3)
        ),
    )


POSTERIOR = posterior()


@st.composite
def bases(draw, least: int = 1, most: int = 10) -> pd.DataFrame:
    """RFM rows of all sorts: nobody, first-time buyers, heavy ones, T = 0, duplicates."""
    rows = []
    for _ in range(draw(st.integers(least, most))):
        T = draw(st.one_of(st.just(0.0), st.floats(0.5, 5_000)))
        x = 0 if T == 0 else draw(st.one_of(st.just(0), st.integers(1, 30), st.integers(31, 3_000)))
        x = min(x, int(3 * T))  # more would be simulated by the ten thousand
        t_x = 0.0 if x == 0 else T * draw(st.floats(0.01, 1.0))
        # Whole days would allow one purchase a day at most
        t_x -= 0.003 if x and abs(t_x - round(t_x)) < 0.001 else 0.0
        m = 0.0 if x == 0 else draw(st.floats(0.01, 1e5))
        rows.append((draw(st.integers(0, 5)), x, t_x, T, m))
    return pd.DataFrame(rows, columns=NAMES)


def crowd(n: int = 400, seed: int = 3) -> pd.DataFrame:
    """Customers of many histories, some shared."""
    rng = np.random.default_rng(seed)
    T = rng.integers(1, 60, n).astype(float)
    x = np.minimum(rng.poisson(1.5, n), T)
    t_x = np.where(x > 0, np.maximum(np.ceil(T * rng.random(n)), x), 0.0)
    money = np.where(x > 0, rng.gamma(4, 8, n).round(2), 0.0)
    return pd.DataFrame(dict(zip(NAMES, (np.arange(n), x, t_x, T, money), strict=True)))


horizons = st.one_of(st.floats(0, 1_000), st.sampled_from(["365D", "12M", "3W"]))


# --- counts ---


@pytest.mark.parametrize("kind", POSTERIORS, ids=KINDS)
@given(rfm=bases(), horizon=horizons)
@FEW
def test_counts_are_distributions_with_the_mean_of_the_expectation(kind, rfm, horizon) -> None:
    one = posterior(kind, count=20)
    found = count_distribution(one, rfm, horizon=horizon)
    expected = one.predict(rfm, horizon=horizon)
    np.testing.assert_allclose(found.mean, expected["expected_purchases"], rtol=1e-8, atol=1e-9)
    for row in range(len(found)):
        pmf = found.pmf_of(row)
        assert (pmf >= 0).all()
        assert abs(pmf.sum() - 1) < 1e-14
        assert 1 - pmf[0] == pytest.approx(expected["p_purchase"][row], rel=1e-9, abs=1e-12)
        assert found.sf(len(pmf) - 1)[row] == 0
    assert (found.variance >= -1e-9).all()


@given(bases(), horizons, st.lists(st.floats(0.001, 0.999), min_size=2, max_size=5))
@FEW
def test_count_quantiles_are_monotone_and_least(rfm, horizon, probabilities) -> None:
    found = count_distribution(POSTERIOR, rfm, horizon=horizon)
    ordered = np.sort(probabilities)
    quantiles = found.quantile(ordered)
    assert (np.diff(quantiles, axis=0) >= 0).all()
    for probability, n in zip(ordered, quantiles, strict=True):
        assert (found.cdf(n) >= probability - 1e-12).all()
        assert (found.cdf(n - 1) < probability)[n > 0].all()


@given(bases(), horizons)
@FEW
def test_purchases_come_with_time(rfm, horizon) -> None:
    short = count_distribution(POSTERIOR, rfm, horizon=POSTERIOR.scale.horizon(horizon) / 2)
    long = count_distribution(POSTERIOR, rfm, horizon=horizon)
    n = np.arange(200)[:, None]
    assert (long.sf(n) >= short.sf(n) - 1e-12).all()


def test_a_posterior_of_purchases_alone_is_enough() -> None:
    rfm = crowd(20)
    alone = count_distribution(POSTERIOR.purchases, rfm.drop(columns="monetary_value"))
    np.testing.assert_array_equal(alone.mean, count_distribution(POSTERIOR, rfm).mean)


# --- predict and score ---


@given(bases(), st.integers(0, 2**32 - 1), horizons)
@FEW
def test_order_and_identity_of_customers_do_not_matter(rfm, seed: int, horizon) -> None:
    order = np.random.default_rng(seed).permutation(len(rfm))
    whole = POSTERIOR.predict(rfm, horizon=horizon, predictive=True)[list(OUTCOMES)]
    shuffled = POSTERIOR.predict(rfm.iloc[order], horizon=horizon, predictive=True)
    pd.testing.assert_frame_equal(
        shuffled[list(OUTCOMES)], whole.iloc[order].reset_index(drop=True), check_exact=True
    )
    alone = POSTERIOR.predict(rfm.iloc[[0]], horizon=horizon, predictive=True)
    pd.testing.assert_frame_equal(alone[list(OUTCOMES)], whole.iloc[[0]], check_exact=True)


@pytest.mark.parametrize("kind", POSTERIORS, ids=KINDS)
@given(rfm=bases(), horizon=horizons, interval=st.sampled_from([0.5, 0.9, 0.99]))
@FEW
def test_intervals_are_quantiles_of_the_distributions(kind, rfm, horizon, interval) -> None:
    one = posterior(kind, count=20)
    table = one.predict(rfm, horizon=horizon, interval=interval, predictive=True)
    lower, upper = count_distribution(one, rfm, horizon=horizon).interval(interval)
    np.testing.assert_array_equal(table["purchases_lower"], lower)
    np.testing.assert_array_equal(table["purchases_upper"], upper)
    assert (table["purchases_lower"] <= table["purchases_upper"]).all()
    assert (table["value_lower"] <= table["value_upper"]).all()
    none = table["purchases_upper"] == 0
    assert (table["value_upper"][none] == 0).all()
    assert (table["value_upper"][~none] > 0).all()
    assert ((table["value_lower"] == 0) == (table["purchases_lower"] == 0)).all()


@given(bases(), horizons, st.floats(0.01, 1.0))
@FEW
def test_margin_enters_values_once(rfm, horizon, margin: float) -> None:
    known = rfm.assign(customer_id=np.arange(len(rfm)))
    whole = POSTERIOR.predict(
        RfmTable.from_pandas(known, time_unit="D"), horizon=horizon, predictive=True
    )
    part = POSTERIOR.predict(
        RfmTable.from_pandas(known, time_unit="D", margin=margin), horizon=horizon, predictive=True
    )
    for name in OUTCOMES:
        factor = margin if name.startswith("value") else 1
        np.testing.assert_allclose(part[name], factor * whole[name], rtol=1e-12)


@given(bases(), horizons, st.sampled_from([0.01, 100.0, 1e4]))
@FEW
def test_money_scales(rfm, horizon, factor: float) -> None:
    plain = POSTERIOR.predict(rfm, horizon=horizon, predictive=True)
    richer = rfm.assign(monetary_value=factor * rfm["monetary_value"])
    found = posterior(money=factor).predict(richer, horizon=horizon, predictive=True)
    for name in OUTCOMES:
        scale = factor if name.startswith("value") else 1
        np.testing.assert_allclose(found[name], scale * plain[name], rtol=1e-9)


def test_time_scales() -> None:
    """Counts exactly; values are other random numbers of the same distribution."""
    rfm = crowd(60)
    weeks = rfm.assign(recency=rfm["recency"] / 7, T=rfm["T"] / 7)
    plain = count_distribution(POSTERIOR, rfm, horizon="26W")
    found = count_distribution(posterior(days=7.0), weeks, horizon="26W")
    np.testing.assert_allclose(found.mean, plain.mean, rtol=1e-9)
    np.testing.assert_allclose(found.variance, plain.variance, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_and_threads_do_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rfm = crowd()
    columns = [rfm[name].to_numpy(dtype=float) for name in NAMES[1:]]
    terms = {"horizon": "180D", "discounting": "monthly", "interval": 0.8, "draws": 40}
    future, draws, _ = asked_for(POSTERIOR, **terms, margin=0.5)
    whole = outcomes.OutcomePredictor(draws, future, threads=1)(*columns)
    values = value_distribution(POSTERIOR, rfm, draws=40, threads=1)
    y = values.quantile(0.7)
    scores = values.crps(y)
    totals = portfolio(POSTERIOR, rfm, draws=40, paths=80, threads=1)
    paths = simulate_future(POSTERIOR, rfm, paths=7, threads=1)
    monkeypatch.setattr(chunks, "CHUNK", size)
    parts = outcomes.OutcomePredictor(draws, future, threads=3)(*columns)
    for name in OUTCOMES:
        np.testing.assert_array_equal(parts[name], whole[name])
    again = value_distribution(POSTERIOR, rfm, draws=40, threads=3)
    np.testing.assert_array_equal(again.quantile(0.7), y)
    np.testing.assert_array_equal(again.crps(y), scores)
    np.testing.assert_allclose(
        portfolio(POSTERIOR, rfm, draws=40, paths=80, threads=3).samples,
        totals.samples,
        rtol=1e-12,
    )
    pd.testing.assert_frame_equal(
        simulate_future(POSTERIOR, rfm, paths=7, threads=3).purchases, paths.purchases
    )


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_quantiles_and_scores_at_once_are_those_one_by_one(margin: float) -> None:
    rfm = crowd(60)
    values = value_distribution(POSTERIOR, rfm, draws=40, horizon="180D", margin=margin)
    y = np.where(np.arange(60) % 3 == 0, 0.0, values.quantile(0.8))
    levels = [0.01, 0.25, 0.5, 0.9, 0.999]
    quantiles, scores = values.quantile_and_crps(levels, y)
    assert (quantiles == 0.0).any()
    assert (quantiles[-1] > quantiles[2]).any()
    np.testing.assert_array_equal(quantiles, values.quantile(levels))
    np.testing.assert_array_equal(scores, values.crps(y))
    median, _ = values.quantile_and_crps(0.5, y)
    np.testing.assert_array_equal(median, quantiles[2])


def test_a_scorer_has_the_same_columns() -> None:
    rfm = crowd(50)
    batch = pa.RecordBatch.from_pandas(rfm, preserve_index=False)
    scorer = Scorer(POSTERIOR, horizon="90D", predictive=True, interval=0.8, margin=0.4)
    scores = scorer.score(batch).scores
    assert scorer.columns[-4:] == OUTCOMES
    table = POSTERIOR.predict(
        RfmTable.from_pandas(rfm, margin=0.4), horizon="90D", interval=0.8, predictive=True
    )
    found = scores.to_pandas()
    for name in OUTCOMES:
        np.testing.assert_array_equal(found[name], table[name])
        assert found[name].dtype == table[name].dtype
    assert not set(OUTCOMES) & set(Scorer(POSTERIOR).columns)


def test_without_being_asked_predict_stays_as_it_was() -> None:
    assert not set(OUTCOMES) & set(POSTERIOR.predict(crowd(3)))
    asked = POSTERIOR.predict(crowd(30), predictive=True)
    pd.testing.assert_frame_equal(asked.drop(columns=list(OUTCOMES)), POSTERIOR.predict(crowd(30)))


def test_one_draw_has_outcomes_too() -> None:
    """A single point knows no doubt of itself, but the process is random all the same."""
    table = posterior(count=1).predict(crowd(30), predictive=True)
    assert table["clv_lower"].isna().all()
    assert (table["value_upper"] > table["value_lower"]).all()
    many = posterior(count=1)
    assert value_distribution(many, crowd(3)).paths == outcomes.PATHS


def test_absurd_customers_do_not_stop_the_others() -> None:
    """Counts have intervals at any size; values where a simulation is not endless."""
    rfm = crowd(30)
    odd = rfm.iloc[:2].assign(frequency=[30_000, 10**7], recency=0.5, T=0.5, monetary_value=1.0)
    table = POSTERIOR.predict(pd.concat([rfm, odd]), predictive=True)
    pd.testing.assert_frame_equal(
        table.iloc[:30][list(OUTCOMES)],
        POSTERIOR.predict(rfm, predictive=True)[list(OUTCOMES)],
    )
    expected = table["expected_purchases"][30:]
    assert (table["purchases_lower"][30:] < expected).all()
    assert (table["purchases_upper"][30:] > expected).all()
    assert table["value_upper"][30:].isna().all()
    with pytest.raises(DomainError, match="shorter"):
        count_distribution(POSTERIOR, odd)
    with pytest.raises(DomainError, match="shorter"):
        portfolio(POSTERIOR, odd)


def test_bisected_quantiles_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = POSTERIOR.predict(crowd(40), predictive=True)
    monkeypatch.setattr(outcomes, "_MOST_STEPS", 1)
    found = POSTERIOR.predict(crowd(40), predictive=True)
    assert (found["purchases_upper"] > 1).any()
    for name in OUTCOMES:
        np.testing.assert_array_equal(found[name], plain[name])


# --- horizon 0, endless, and nonsense ---


def test_nothing_happens_at_once() -> None:
    rfm = crowd(40)
    table = POSTERIOR.predict(rfm, horizon=0, predictive=True)
    assert (table[list(OUTCOMES)] == 0).all(axis=None)
    found = count_distribution(POSTERIOR, rfm, horizon=0)
    assert (found.pmf(0) == 1).all()
    assert (found.log_score(np.zeros(40)) == 0).all()
    assert (found.crps(np.zeros(40)) == 0).all()
    assert (value_distribution(POSTERIOR, rfm, horizon=0).quantile(0.999) == 0).all()
    assert simulate_future(POSTERIOR, rfm, 0, paths=3).purchases.empty
    totals = portfolio(POSTERIOR, rfm, horizon=0).table.iloc[0]
    assert (totals[["buyers", "purchases", "value"]] == 0).all()


def test_an_endless_horizon_is_refused() -> None:
    rfm = crowd(3)
    for call in (
        lambda: POSTERIOR.predict(rfm, horizon=None, predictive=True),
        lambda: Scorer(POSTERIOR, horizon=None, predictive=True),
        lambda: count_distribution(POSTERIOR, rfm, horizon=None),
        lambda: value_distribution(POSTERIOR, rfm, horizon=None),
        lambda: simulate_future(POSTERIOR, rfm, None),
        lambda: portfolio(POSTERIOR, rfm, horizon=None),
    ):
        with pytest.raises(DomainError, match="finite horizon"):
            call()


def test_nonsense_is_refused() -> None:
    rfm = crowd(3)
    found, values = count_distribution(POSTERIOR, rfm), value_distribution(POSTERIOR, rfm)
    for probability in (0, 1, -0.1, [0.5, 2], float("nan")):
        for one in (found, values):
            with pytest.raises(DomainError, match="between 0 and 1"):
                one.quantile(probability)
    with pytest.raises(SchemaError, match="shape"):
        found.crps([1, 2])
    with pytest.raises(SchemaError, match="shape"):
        values.crps([1.0])
    with pytest.raises(DomainError, match="whole numbers"):
        found.log_score([0.5, 1, 2])
    with pytest.raises(DomainError, match=">= 0"):
        values.crps([-1.0, 1, 2])
    with pytest.raises(DomainError, match="paths"):
        simulate_future(POSTERIOR, rfm, paths=0)
    with pytest.raises(DomainError, match="fewer paths"):
        simulate_future(POSTERIOR, rfm, paths=10**8)
    with pytest.raises(DomainError, match="no customers"):
        portfolio(POSTERIOR, rfm.iloc[:0])
    with pytest.raises(SchemaError, match="RfmTable"):
        portfolio(POSTERIOR, rfm, by="channel")


def test_no_customers() -> None:
    none = crowd(3).iloc[:0]
    assert len(count_distribution(POSTERIOR, none).mean) == 0
    assert value_distribution(POSTERIOR, none).quantile([0.1, 0.9]).shape == (2, 0)
    assert POSTERIOR.predict(none, predictive=True)[list(OUTCOMES)].shape == (0, 4)
    assert simulate_future(POSTERIOR, none).purchases.empty


# --- totals ---


def test_a_portfolio_is_the_sum_of_its_customers() -> None:
    rfm = RfmTable.from_pandas(crowd(300).assign(channel=list("ab" * 150)), margin=0.3)
    found = portfolio(POSTERIOR, rfm, by="channel", interval=0.8)
    table, each = found.table, POSTERIOR.predict(rfm)
    assert table["channel"].tolist() == ["a", "b", "(whole)"]
    groups = np.array(list("ab" * 150))
    for total, name in (
        ("buyers", "p_purchase"),
        ("purchases", "expected_purchases"),
        ("value", "clv"),
    ):
        for row, who in enumerate((groups == "a", groups == "b", groups != "")):
            assert table[total][row] == pytest.approx(each[name][who].sum(), rel=1e-12)
            drawn = found.draws(total, row)
            error = drawn.std() / np.sqrt(len(drawn))
            assert abs(drawn.mean() - table[total][row]) < 5 * error
        np.testing.assert_allclose(
            found.draws(total, 0) + found.draws(total, 1), found.draws(total), rtol=1e-12
        )
    assert table["customers"].tolist() == [150, 150, 300]
    for total in ("buyers", "alive", "purchases", "value"):
        assert (table[f"{total}_lower"] <= table[total]).all()
        assert (table[total] <= table[f"{total}_upper"]).all()
        np.testing.assert_allclose(table[f"{total}_lower"][2], np.quantile(found.draws(total), 0.1))


def test_a_portfolio_does_not_depend_on_the_order_of_rows() -> None:
    rfm = crowd(200)
    order = np.random.default_rng(5).permutation(200)
    one, other = (portfolio(POSTERIOR, table, paths=60) for table in (rfm, rfm.iloc[order]))
    np.testing.assert_allclose(one.samples, other.samples, rtol=1e-10)


def test_twins_have_fates_of_their_own() -> None:
    """Same history, even the same id: their counts on a path are not the same."""
    twins = pd.concat([crowd(1).assign(customer_id=7, frequency=2, recency=2.0, T=3.0)] * 50)
    counts = simulate_future(POSTERIOR, twins, "365D", paths=200).counts
    spread = counts.var(axis=0)
    assert (spread > 0).mean() > 0.9
    given = np.corrcoef(counts)[np.triu_indices(50, 1)]
    assert given.max() < 0.9
