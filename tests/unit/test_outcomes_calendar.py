"""Outcomes by customer under a calendar: all share it, so that their sums have its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clvmodels as clv
from clvmodels.errors import SchemaError
from tests.unit.test_forecast_total import HORIZON, POSTERIOR, RFM, S, posterior_of, table

TERMS: dict[str, Any] = {"horizon": HORIZON}
KEYS = ["bgnbd", "mbgcnbd2", "paretonbd"]


@pytest.mark.parametrize("key", KEYS)
def test_sums_of_simulated_customers_are_the_totals_to_plan_with(key: str) -> None:
    posterior = posterior_of(key)
    how: dict[str, Any] = {**TERMS, "paths": 480, "draws": S, "random_seed": 4}
    future = clv.simulate_future(posterior, RFM, calendar=0.2, **how)
    total = clv.forecast_total(posterior, RFM, calendar=0.2, **how)
    np.testing.assert_array_equal(future.counts.sum(axis=0), total.samples[0])
    np.testing.assert_allclose(future.values.sum(axis=0), total.samples[1], rtol=1e-9)
    plain = clv.simulate_future(posterior, RFM, **how)
    assert future.counts.sum(axis=0).std() > 1.4 * plain.counts.sum(axis=0).std()
    # one customer's own doubt is hardly more
    assert future.counts.std(axis=1).mean() < 1.2 * plain.counts.std(axis=1).mean()
    np.testing.assert_array_equal(future.draw, np.arange(480) % S)


def test_without_a_calendar_nothing_changes() -> None:
    how: dict[str, Any] = {**TERMS, "paths": 20, "random_seed": 4}
    for options in ({"calendar": 0.0}, {"scenario": None}):
        one = clv.simulate_future(POSTERIOR, RFM, **how)
        other = clv.simulate_future(POSTERIOR, RFM, **how, **options)
        np.testing.assert_array_equal(one.values, other.values)
        counts = clv.count_distribution(POSTERIOR, RFM, **TERMS)
        np.testing.assert_array_equal(
            counts.survival, clv.count_distribution(POSTERIOR, RFM, **TERMS, **options).survival
        )


def test_a_point_has_many_calendars_and_one_draw() -> None:
    future = clv.simulate_future(posterior_of(draws=1), RFM, calendar=0.3, paths=100, **TERMS)
    assert set(future.draw) == {0}
    assert future.counts.sum(axis=0).std() > 0.1 * future.counts.sum(axis=0).mean()


@pytest.mark.parametrize("key", KEYS)
def test_in_a_closed_month_nobody_buys(key: str) -> None:
    scenario = {"2024-08": 0.0}  # days 31 to 62 after the end of June
    how: dict[str, Any] = {**TERMS, "paths": 60}
    future = clv.simulate_future(posterior_of(key), RFM, scenario=scenario, **how)
    times = future.purchases["time"].to_numpy()
    assert ((times > 0) & (times <= 31)).any()
    assert not ((times > 31.0 + 1e-9) & (times < 62.0 - 1e-9)).any()
    assert ((times > 62) & (times <= 180)).any()
    total = clv.forecast_total(posterior_of(key), RFM, calendar="none", scenario=scenario, **TERMS)
    bought = future.counts.sum(axis=0)
    error = bought.std() / math.sqrt(60)
    assert abs(bought.mean() - total.table["mean"][0]) < 4.5 * error


@pytest.mark.parametrize("key", KEYS)
def test_counts_and_values_are_distributed_as_the_simulated_ones(key: str) -> None:
    posterior, paths = posterior_of(key), 2_000
    few = table(8)
    how: dict[str, Any] = {**TERMS, "calendar": 0.5, "scenario": {"2024-09": 3.0}}
    future = clv.simulate_future(posterior, few, paths=paths, draws=S, random_seed=2, **how)
    counts = clv.count_distribution(posterior, few, draws=S, **how)
    values = clv.value_distribution(posterior, few, draws=S, **how)
    # as many calendars as there are draws with one of their own
    error = np.sqrt(0.25 / 480)
    for n in range(3):
        share = (future.counts <= n).mean(axis=1)
        assert np.abs(counts.cdf(n) - share).max() < 4.5 * error
    np.testing.assert_allclose(values.cdf(np.zeros(8)), counts.cdf(0), rtol=1e-9)
    middle = np.median(future.values, axis=1)
    assert np.abs(values.cdf(middle) - (future.values <= middle[:, None]).mean(axis=1)).max() < (
        4.5 * error
    )
    np.testing.assert_allclose(
        counts.mean, future.counts.mean(axis=1), atol=5 * future.counts.std() / math.sqrt(480)
    )
    plain = clv.count_distribution(posterior, few, draws=S, **TERMS)
    assert (counts.mean > plain.mean).all()


def _stack() -> Any:
    parts = {key: posterior_of(key).purchases for key in ("bgnbd", "mbgcnbd2")}
    return clv.stack(parts, weights=dict.fromkeys(parts, 0.5))


@pytest.mark.parametrize("key", [*KEYS, "stack"])
def test_far_tails_are_those_of_the_calendar(key: str) -> None:
    """Where probabilities are computed by the formula, they agree with the table's."""
    posterior = _stack() if key == "stack" else posterior_of(key)
    found = clv.count_distribution(posterior, table(6), calendar=0.3, **TERMS)
    for row in range(6):
        probability = found.pmf_of(row)
        n = int(np.flatnonzero(probability > 3e-10)[-1])
        y = np.zeros(6)
        y[row] = n
        assert probability[n] < 1e-8, "near enough to the tail to be computed by the formula"
        assert found.log_score(y)[row] == pytest.approx(math.log(probability[n]), abs=1e-3)


@pytest.mark.parametrize("verb", ["simulate_future", "count_distribution", "value_distribution"])
def test_what_is_no_calendar_is_refused(verb: str) -> None:
    call: Any = getattr(clv, verb)
    with pytest.raises(SchemaError, match='calendar="learnt" needs'):
        call(POSTERIOR, RFM, calendar="learnt", **TERMS)
    with pytest.raises(SchemaError, match="A scenario needs dates"):
        call(POSTERIOR, RFM.to_pandas(), scenario={"2024-08": 0.0}, **TERMS)
    with pytest.raises(SchemaError, match="not within the horizon"):
        call(POSTERIOR, RFM, scenario={"2031-08": 0.0}, **TERMS)
