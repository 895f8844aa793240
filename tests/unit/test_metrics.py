"""Metrics by hand on tiny arrays, against SciPy, and their bootstrap intervals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvmodels.economics import gini
from clvmodels.evaluation import losses, metrics
from clvmodels.evaluation.evaluated import beyond_chance
from clvmodels.evaluation.metrics import (
    Replicates,
    Target,
    bounds,
    calibration_groups,
    calibration_rows,
    coverage_rows,
    metric_rows,
    replicate,
    weights,
)
from clvmodels.evaluation.ranking import Ranking
from clvmodels.schema import FloatArray


def test_losses_by_hand() -> None:
    f, y = np.array([1.0, 0.5, 2.0, 0.0]), np.array([0.0, 0.5, 4.0, 0.0])
    assert losses.absolute_error(f, y).tolist() == [1.0, 0.0, 2.0, 0.0]
    assert losses.squared_error(f, y).tolist() == [1.0, 0.0, 4.0, 0.0]
    by_hand = [2.0, 0.0, 2 * (4 * np.log(2.0) - 2.0), 0.0]
    np.testing.assert_allclose(losses.poisson_deviance(f, y), by_hand, rtol=1e-14)
    assert losses.poisson_deviance(0.0, 3.0) == np.inf
    lower, upper = np.array([0.0, 1.0, 4.0, 0.0]), np.array([1.0, 2.0, 4.0, 0.0])
    assert losses.covered(y, lower, upper).tolist() == [1.0, 0.0, 1.0, 1.0]


def test_deviance_is_twice_the_log_likelihood_ratio(rng: np.random.Generator) -> None:
    y = rng.poisson(2.0, 200).astype(float)
    f = rng.gamma(2.0, size=200)
    saturated = stats.poisson.logpmf(y, np.where(y > 0, y, 1e-300))
    expected = 2.0 * (saturated - stats.poisson.logpmf(y, f))
    np.testing.assert_allclose(losses.poisson_deviance(f, y), expected, rtol=1e-10, atol=1e-12)


def ranked(
    forecast: FloatArray, actual: FloatArray, w: FloatArray, share: float = 0.1
) -> tuple[float, float, float]:
    ranking = Ranking(actual, [forecast], [np.zeros(len(actual), dtype=np.int64)], share)
    rho, concentration, found = ranking.under(w[None]).metrics[0, :, 0]
    return float(rho), float(concentration), float(found)


def test_spearman_is_scipys_with_ties(rng: np.random.Generator) -> None:
    for _ in range(20):
        f, y = rng.integers(0, 6, 50).astype(float), rng.poisson(1.0, 50).astype(float)
        expected = stats.spearmanr(f, y).statistic
        assert ranked(f, y, np.ones(50))[0] == pytest.approx(expected, abs=1e-12)


def test_weights_count_copies(rng: np.random.Generator) -> None:
    f, y = rng.normal(size=40).round(1), rng.poisson(1.0, 40).astype(float)
    w = rng.integers(0, 4, 40)
    f_copies, y_copies = np.repeat(f, w), np.repeat(y, w)
    once = ranked(f_copies, y_copies, np.ones(len(f_copies)), 0.2)
    assert ranked(f, y, w.astype(float), 0.2) == pytest.approx(once, abs=1e-12)
    assert once[0] == pytest.approx(stats.spearmanr(f_copies, y_copies).statistic, abs=1e-12)


def test_ranks_do_not_depend_on_cores(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    y = rng.poisson(1.0, 80).astype(float)
    ranking = Ranking(y, [y + rng.normal(size=80), np.ones(80)], [np.arange(80) // 8] * 2, 0.1)
    w = rng.integers(0, 4, (11, 80)).astype(float)
    found = []
    for cores in (1, 4):
        monkeypatch.setattr("clvmodels.evaluation.ranking.available_cores", lambda n=cores: n)
        found.append(ranking.under(w))
    np.testing.assert_array_equal(found[0].metrics, found[1].metrics)
    np.testing.assert_array_equal(found[0].group_means, found[1].group_means)
    assert found[0].metrics.shape == (2, 3, 11)
    assert found[0].group_means.shape == (2, 11, 10)


def test_gini_is_the_ratio_of_concentrations(rng: np.random.Generator) -> None:
    y = rng.gamma(0.5, size=60)
    f = y + rng.normal(size=60)
    ordered = y[np.argsort(f)]
    i = np.arange(1, 61)
    of_forecast = float(((2 * i - 61) * ordered).sum() / (60 * y.sum()))
    assert ranked(f, y, np.ones(60))[1] == pytest.approx(of_forecast / gini(y), rel=1e-12)
    assert ranked(y, y, np.ones(60))[1] == pytest.approx(1.0)
    assert ranked(-y, y, np.ones(60))[1] == pytest.approx(-1.0)


def test_top_share_averages_over_ties() -> None:
    y, f = np.array([3.0, 1.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0, 1.0])

    def of_order(values: FloatArray, tie: tuple[int, ...]) -> set[int]:
        return set(sorted(range(4), key=lambda k: (-values[k], tie[k]))[:2])

    ties = list(itertools.permutations(range(4)))
    found = [len(of_order(y, a) & of_order(f, b)) / 2 for a in ties for b in ties]
    assert ranked(f, y, np.ones(4), 0.5)[2] == pytest.approx(np.mean(found), abs=1e-12)


def test_a_forecast_for_everybody_ranks_like_chance() -> None:
    y = np.array([5.0, 0.0, 1.0, 0.0, 2.0])
    rho, concentration, found = ranked(np.ones(5), y, np.ones(5), 0.4)
    assert np.isnan(rho)
    assert concentration == pytest.approx(0.0, abs=1e-15)
    assert found == pytest.approx(0.4)


def a_target(rng: np.random.Generator, n: int = 400) -> Target:
    rate = rng.gamma(0.8, size=n)
    y = rng.poisson(rate).astype(float)
    forecasts = {"model": rate, "simple": np.full(n, rate.mean()), "last_period": y[::-1].copy()}
    return Target(
        "purchases",
        y,
        forecasts,
        crps=np.abs(rate - y) / 2,
        log_score=stats.poisson.logpmf(y, rate),
        lower={0.9: stats.poisson.ppf(0.05, rate)},
        upper={0.9: stats.poisson.ppf(0.95, rate)},
    )


def test_metrics_of_all_customers(rng: np.random.Generator) -> None:
    target = a_target(rng)
    found = replicate(target, samples=20, seed=1)
    f, y = target.forecasts["model"], target.actual
    first = {name: found.metric["model", name][0] for name in ("bias", "mae", "rmse", "log_score")}
    assert first["bias"] == pytest.approx(f.sum() / y.sum() - 1)
    assert first["mae"] == pytest.approx(np.abs(f - y).mean())
    assert first["rmse"] == pytest.approx(np.sqrt(((f - y) ** 2).mean()))
    assert first["log_score"] == pytest.approx(stats.poisson.logpmf(y, f).mean())
    assert found.metric["simple", "crps"][0] == found.metric["simple", "mae"][0]
    assert np.isnan(found.metric["simple", "log_score"]).all()
    # nothing was forecast for some who came
    assert found.metric["last_period", "poisson_deviance"][0] == np.inf
    inside = (y >= target.lower[0.9]) & (y <= target.upper[0.9])
    assert found.coverage[0.9][0] == pytest.approx(inside.mean())
    assert all(len(values) == 21 for values in found.metric.values())


def test_bootstrap_is_scipys(rng: np.random.Generator) -> None:
    target = a_target(rng, 200)
    found = replicate(target, samples=4000, seed=2)
    error = np.abs(target.forecasts["model"] - target.actual)
    theirs = stats.bootstrap(
        (error,), np.mean, confidence_level=0.9, n_resamples=4000, method="percentile", rng=3
    )
    ours = bounds(found.metric["model", "mae"], 0.9)
    # an end is known to about sd x sqrt(.05 x .95) / (density x sqrt(4000)) = .033 sd, twice
    sd = error.std() / np.sqrt(200)
    assert np.abs(np.subtract(ours, theirs.confidence_interval)).max() < 4.5 * 0.047 * sd


def test_rank_metrics_of_a_sample_are_those_of_its_copies(rng: np.random.Generator) -> None:
    target = a_target(rng, 50)
    (block,) = weights(np.arange(50), 3, seed=5)
    found = replicate(target, samples=3, seed=5)
    for row in range(1, 4):
        copies = np.repeat(np.arange(50), block[row].astype(int))
        f, y = target.forecasts["model"][copies], target.actual[copies]
        expected = stats.spearmanr(f, y).statistic
        assert found.metric["model", "spearman"][row] == pytest.approx(expected, abs=1e-12)
        assert found.metric["model", "mae"][row] == pytest.approx(np.abs(f - y).mean())


def test_samples_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    (together,) = weights(np.arange(30), 7, seed=1)
    monkeypatch.setattr("clvmodels.evaluation.metrics._BLOCK_CELLS", 90)
    apart = list(weights(np.arange(30), 7, seed=1))
    assert [len(block) for block in apart] == [3, 3, 2]
    np.testing.assert_array_equal(np.concatenate(apart), together)
    assert (together.sum(axis=1) == 30).all()
    assert (together[0] == 1).all()


def test_samples_do_not_depend_on_kinds() -> None:
    (each,) = weights(np.arange(30), 7, seed=1)
    (pairs,) = weights(np.arange(30) // 2, 7, seed=1)
    np.testing.assert_array_equal(pairs, each[:, ::2] + each[:, 1::2])


def test_customers_who_are_the_same_are_counted_once(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = a_target(rng, 60)
    again = np.repeat(np.arange(60), 4)
    alike = Target(
        "purchases",
        target.actual[again],
        {name: forecast[again] for name, forecast in target.forecasts.items()},
        crps=target.crps[again],  # type: ignore[index]
        log_score=target.log_score[again],  # type: ignore[index]
        lower={0.9: target.lower[0.9][again]},
        upper={0.9: target.upper[0.9][again]},
    )
    seen, ranking = [], metrics.Ranking

    def counted(actual: FloatArray, *rest: Any) -> Ranking:
        seen.append(len(actual))
        return ranking(actual, *rest)

    monkeypatch.setattr(metrics, "Ranking", counted)
    together = replicate(alike, samples=9, seed=4)
    assert seen[0] <= 2 * 60  # some of those who are alike fall into two groups
    monkeypatch.setattr(metrics, "_kinds", lambda *_: (np.arange(240), np.arange(240)))
    apart = replicate(alike, samples=9, seed=4)
    assert seen[-1] == 240
    for key, values in apart.metric.items():
        np.testing.assert_allclose(together.metric[key], values, rtol=1e-10, err_msg=str(key))
    for name, means in apart.group_means.items():
        np.testing.assert_allclose(together.group_means[name], means, rtol=1e-10)


def test_bounds_pass_infinity_through_and_refuse_what_is_not_defined() -> None:
    assert bounds(np.array([0.0, 1.0, 2.0, np.inf]), 0.9) == (1.0, np.inf)
    assert np.isnan(bounds(np.array([0.0, 1.0, np.nan]), 0.9)).all()
    assert np.isnan(bounds(np.array([0.0]), 0.9)).all()


def test_rows_say_where_the_model_is_better_or_worse(rng: np.random.Generator) -> None:
    target = a_target(rng)
    worse = Target(
        "purchases", target.actual, {"model": target.forecasts["simple"], **target.forecasts}
    )
    good = _by_forecast(metric_rows(target, replicate(target, samples=200, seed=0), 0.9), "mae")
    assert good["simple"]["model_is"] == "better"
    assert good["simple"]["difference"] == pytest.approx(
        good["model"]["value"] - good["simple"]["value"]
    )
    assert good["simple"]["difference_upper"] < 0
    assert good["model"]["model_is"] == ""
    swapped = {"model": target.forecasts["simple"], "point": target.forecasts["model"]}
    worse = Target("purchases", target.actual, swapped)
    rows = metric_rows(worse, replicate(worse, samples=200, seed=0), 0.9)
    assert _by_forecast(rows, "mae")["point"]["model_is"] == "worse"
    assert _by_forecast(rows, "gini")["point"]["model_is"] == "worse"
    # the bias is compared by its size, whatever its sign
    low, high = target.actual * 0.9, target.actual * 1.1
    two = Target("purchases", target.actual, {"model": low, "point": high})
    bias = _by_forecast(metric_rows(two, replicate(two, samples=50, seed=0), 0.9), "bias")
    assert bias["point"]["difference"] == pytest.approx(0.0, abs=1e-12)


def _by_forecast(rows: list[dict[str, object]], metric: str) -> dict[str, dict[str, float]]:
    return {str(row["forecast"]): row for row in rows if row["metric"] == metric}  # type: ignore[misc]


def test_many_comparisons_are_judged_together(rng: np.random.Generator) -> None:
    """Of forty that differ by chance alone none is told apart, and what is far apart stays."""

    def table(differences: np.ndarray) -> pd.DataFrame:
        lower, upper = differences - 1.645, differences + 1.645
        told = np.where(upper < 0, "better", np.where(lower > 0, "worse", "unclear"))
        ends = {"difference_lower": lower, "difference_upper": upper}
        return pd.DataFrame({"difference": differences, **ends, "model_is": told})

    alone = together = 0
    for _ in range(200):
        found = table(rng.normal(size=40))
        alone += bool((found["model_is"] != "unclear").any())
        together += bool((beyond_chance(found, 0.9)["model_is"] != "unclear").any())
    assert alone > 190
    assert together <= 20 + 4 * np.sqrt(200 * 0.1 * 0.9)  # of 200, at a chance of a tenth
    rows = table(np.array([-8.0, 8.0, 1.7, 0.0, -np.inf, 2.9]))
    rows = pd.concat([rows, table(np.full(1, np.nan)).assign(model_is="")])
    found = beyond_chance(rows, 0.9)["model_is"].tolist()
    assert found == ["better", "worse", "unclear", "unclear", "better", "worse", ""]


def test_calibration_groups() -> None:
    group = calibration_groups(np.array([5.0, 1.0, 2.0, 3.0, 4.0, 6.0]), 3)
    assert group.tolist() == [2, 0, 0, 1, 1, 2]
    assert calibration_groups(np.array([2.0, 1.0, 2.0]), 10).tolist() == [1, 0, 1]


def test_calibration_and_coverage_rows(rng: np.random.Generator) -> None:
    target = a_target(rng)
    found: Replicates = replicate(target, samples=100, seed=0)
    rows = [r for r in calibration_rows(target, found, 0.9) if r["forecast"] == "model"]
    order = np.argsort(target.forecasts["model"], kind="stable")
    for row, part in zip(rows, np.array_split(order, 10), strict=True):
        assert row["customers"] == 40
        assert row["expected"] == pytest.approx(target.forecasts["model"][part].mean())
        assert row["actual"] == pytest.approx(target.actual[part].mean())
        assert float(row["actual_lower"]) <= float(row["actual_upper"])  # type: ignore[arg-type]
    (covered,) = coverage_rows(target, found, 0.9)
    assert covered["level"] == 0.9
    assert covered["width"] == pytest.approx((target.upper[0.9] - target.lower[0.9]).mean())
    assert float(covered["lower"]) <= float(covered["coverage"])  # type: ignore[arg-type]
