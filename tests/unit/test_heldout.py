"""Models compared by what customers bought later: scores, paired errors, and words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    DomainError,
    ModifiedBetaGeoPosterior,
    SchemaError,
)
from clvmodels.evaluation import Comparison, heldout
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.pairs import SAMPLES, Paired, PairedRanks
from clvmodels.evaluation.strengths import strengths
from clvmodels.predictive import portfolio
from clvmodels.rfm.histories import rfm_columns
from clvmodels.simulate import simulate_log

COLUMNS: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
TRUTH = {"r": 0.8, "alpha": 20.0, "a": 0.8, "b": 2.5}


def drawn(kind: type = BetaGeoPosterior, *, count: int = 120, sd: float = 0.03, **other: float):
    rng = np.random.default_rng(8)
    return kind.from_draws(
        **{name: v * rng.lognormal(0, sd, count) for name, v in (TRUTH | other).items()}
    )


@pytest.fixture(scope="module", autouse=True)
def _no_fits() -> Iterator[None]:
    """Fits are known, so that all is about the rest; the name says which."""

    def purchases(self: Fitting, rfm: Any) -> Any:
        if isinstance(self.model, CLVModel):
            return drawn(r=4.0)
        kinds = {"bgnbd": BetaGeoPosterior, "mbgnbd": ModifiedBetaGeoPosterior}
        return drawn(kinds[self.model])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "purchases", purchases)
        yield


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    found = simulate_log(600, **TRUTH, T=(200.0, 300.0), seed=11)
    return found[["customer_id", "date"]]


MODELS = {"true": "bgnbd", "mbgnbd": "mbgnbd", "far": BetaGeoModel()}


@pytest.fixture(scope="module")
def found(log: pd.DataFrame) -> Comparison:
    return clv.compare(MODELS, log, **COLUMNS, origins=3, draws=120)


def split_of(log: pd.DataFrame, row: Any) -> Any:
    ends = {"train_period_end": row["train_end"], "test_period_end": row["test_end"]}
    return clv.rfm_train_test_split(log, **COLUMNS, **ends)


def test_scores_are_those_of_count_distributions(found: Comparison, log: pd.DataFrame) -> None:
    assert found.heldout is not None
    origins = found.heldout.origins
    for _, row in origins[origins["model"] == "true"].iterrows():
        split = split_of(log, row)
        y = split.test["test_frequency"].to_numpy(float)
        horizon = float(split.test["test_T"].iloc[0])
        counts = clv.count_distribution(drawn(), split.train, horizon=horizon, draws=120)
        lower, upper = counts.interval(0.9)
        total = y.sum()
        expected = {
            "customers": len(y),
            "purchases": total,
            "forecast": counts.mean.sum(),
            "log_score": counts.log_score(y).mean(),
            "crps": counts.crps(y).mean(),
            "coverage": ((y >= lower) & (y <= upper)).mean(),
            "relative_error": np.abs(counts.mean - y).sum() / total,
            "total_error": abs(counts.mean.sum() / total - 1.0),
            "total_bias": counts.mean.sum() / total - 1.0,
            "interval_score": np.mean(
                upper - lower + 20 * np.maximum(lower - y, 0) + 20 * np.maximum(y - upper, 0)
            ),
        }
        np.testing.assert_allclose([row[name] for name in expected], [*expected.values()])


def test_means_over_dates_weigh_customers_and_totals_dates(found: Comparison) -> None:
    assert found.heldout is not None
    origins, table = found.heldout.origins, found.heldout.table
    for name, rows in origins.groupby("model"):
        weights = {
            "log_score": rows["customers"],
            "crps": rows["customers"],
            "relative_error": rows["purchases"],
            "total_error": rows["customers"] * 0 + 1,
            "gini": rows["customers"] * 0 + 1,
            "total_interval_score": rows["customers"] * 0 + 1,
        }
        for score, weight in weights.items():
            expected = np.average(rows[score], weights=weight)
            np.testing.assert_allclose(table.loc[name, score], expected, rtol=1e-12)
    assert found.heldout.dates == 3


def test_intervals_of_totals_are_those_of_simulated_futures() -> None:
    """A normal mixture by draw against exact simulation; tolerance in standard errors."""
    rfm = clv.simulate.simulate_rfm(800, **TRUTH, T=(100.0, 300.0), seed=2)
    one = drawn(count=200, sd=0.05)
    columns, y = rfm_columns(rfm), np.zeros(800)
    mine = heldout.scored(one, columns, y, 90.0, 200, 0.9)
    paths = 8_000
    draws = portfolio(one, rfm, horizon=90.0, draws=200, paths=paths, random_seed=4).draws(
        "purchases"
    )
    for end, share in ((mine.total_lower, 0.05), (mine.total_upper, 0.95)):
        below = np.mean(draws <= end)
        error = math.sqrt(share * (1 - share) / paths)
        # a path has one draw of 200: the ends of the mixture are those of these draws
        assert abs(below - share) < 4 * error + 0.003
    assert mine.total == pytest.approx(draws.mean(), abs=5 * draws.std() / math.sqrt(paths))


def test_blocks_of_customers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rfm = clv.simulate.simulate_rfm(500, **TRUTH, T=(100.0, 300.0), seed=2)
    y = np.random.default_rng(1).poisson(1.0, 500).astype(float)
    whole = heldout.scored(drawn(), rfm_columns(rfm), y, 90.0, 120, 0.9)
    monkeypatch.setattr(heldout, "_ROWS", 64)
    parts = heldout.scored(drawn(), rfm_columns(rfm), y, 90.0, 120, 0.9)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_large_bases_are_scored_by_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    rfm = clv.simulate.simulate_rfm(500, **TRUTH, T=(100.0, 300.0), seed=2)
    who, y = rfm_columns(rfm), np.random.default_rng(1).poisson(1.0, 500).astype(float)
    one = drawn(count=1_000, sd=0.01)
    whole, fifth = (heldout.scored(one, who, y, 90.0, count, 0.9) for count in (800, 160))
    monkeypatch.setattr(heldout, "_MANY", 499)
    few = heldout.scored(one, who, y, 90.0, 800, 0.9)
    np.testing.assert_array_equal(few.mean, fifth.mean)
    assert abs(few.log_score.mean() - whole.log_score.mean()) < 0.001
    assert abs(few.total / whole.total - 1.0) < 0.002
    assert heldout.scored(one, who, y, 90.0, 50, 0.9).total > 0.0


def test_differences_of_one_date_are_paired_over_customers() -> None:
    rng = np.random.default_rng(5)
    scores, weight = rng.normal(size=(2, 50)), rng.poisson(2.0, 50) + 1.0
    sums = Paired.of(2)
    sums.add(scores, weight, rng.permutation(50))
    difference, se = sums.difference(0, 1)
    apart = scores[0] - scores[1]
    assert difference == pytest.approx(apart.sum() / weight.sum())
    rest = apart - difference * weight
    assert se == pytest.approx(math.sqrt(50 / 49 * (rest**2).sum()) / weight.sum())


def test_a_season_that_moves_everybody_is_in_the_error() -> None:
    """Customers alone would be certain of a difference that changes its sign by the date."""
    rng = np.random.default_rng(5)
    calm, moved = Paired.of(2), Paired.of(2)
    for shift in (0.5, -0.4, 0.45, -0.5):
        noise = 0.01 * rng.normal(size=200)
        for sums, common in ((calm, 0.0), (moved, shift)):
            scores = np.stack([noise + common, np.zeros(200)])
            sums.add(scores, np.ones(200), np.arange(200))
    assert calm.difference(0, 1)[1] < 0.005
    assert 0.2 < moved.difference(0, 1)[1] < 0.4


def test_customers_of_several_dates_are_one_cluster() -> None:
    rng = np.random.default_rng(6)
    apart = rng.normal(size=300)
    once, again = Paired.of(2), Paired.of(2)
    once.add(np.stack([apart, np.zeros(300)]), np.ones(300), np.arange(300))
    for _ in range(4):
        again.add(np.stack([apart, np.zeros(300)]), np.ones(300), np.arange(300))
    assert again.difference(0, 1) == pytest.approx(once.difference(0, 1))


def test_errors_of_ranks_are_those_of_a_bootstrap() -> None:
    rng = np.random.default_rng(7)
    good = rng.gamma(0.5, size=1_000)
    y = rng.poisson(good).astype(float)
    forecasts = np.stack([good, good * rng.lognormal(0, 1.0, 1_000)])
    ranks = PairedRanks(3)
    ranks.add(y, forecasts, np.arange(1_000), np.arange(1_000), 0.1)
    difference, se = ranks.difference("gini", 0, 1)

    def gini(rows: Any) -> float:
        again = PairedRanks(3)
        again.add(y[rows], forecasts[:, rows], np.arange(1_000), np.arange(1_000), 0.1)
        values = again.values("gini")
        return float(values[0] - values[1])

    assert difference == pytest.approx(gini(np.arange(1_000)))
    boots = [gini(rng.integers(1_000, size=1_000)) for _ in range(100)]
    # both are standard deviations, of SAMPLES and of 100 samples
    assert abs(math.log(se / np.std(boots))) < 4 * math.sqrt(0.5 / SAMPLES + 0.5 / 100)


def test_the_true_model_is_ahead_where_another_is_far_off(found: Comparison) -> None:
    assert found.heldout is not None
    by_aspect = {one.aspect: one for one in found.strengths}
    assert by_aspect["totals"].behind[-1] == "far"
    assert "far" in by_aspect["counts of single customers"].behind
    assert "far" in by_aspect["timings"].behind
    assert "best or tied in all" in found.words
    assert "Totals: " in found.words


def made_up(totals: float, score: float, elpd: float) -> tuple[pd.DataFrame, heldout.HeldOut]:
    """Two models: "a" lacks elpd and is ahead in totals and counts by so much."""
    timing = pd.DataFrame({"elpd_diff": [0.0, elpd], "dse": [0.0, 1.0]}, index=["b", "a"])
    names = {"total_error": totals, "gini": 0.0, "log_score": score, "interval_score": 0.0}
    table = pd.DataFrame({name: [1.0, 1.0] for name in names}, index=["a", "b"])
    table = table.assign(totals_inside=0.0, verdict="pass")
    rows = [
        {"score": name, "model": model, "best": "a", "difference": value, "se": 0.001}
        for name, apart in names.items()
        for model, value in (("a", 0.0), ("b", apart))
    ]
    origins = pd.DataFrame({"origin": [1, 1]})
    return timing, heldout.HeldOut(table, pd.DataFrame(rows), origins, 0.9)


def test_who_is_better_at_what_is_said_where_halves_disagree() -> None:
    timing, out = made_up(totals=0.05, score=0.15, elpd=804.0)
    found = strengths(timing, out)
    assert [one.leaders for one in found] == [("b",), ("a",), ("a", "b"), ("a",), ("a", "b")]
    record = Comparison(timing.assign(verdict="pass", doubtful=0, elpd=0.0), 2, 2, {}, heldout=out)
    assert "Timings: b is best (elpd 804 above that of a; standard error" in record.words
    assert "take b for timings, a for totals and counts of single customers" in record.words
    assert "No clear difference in ranking and intervals of single customers." in record.words
    assert "outside every model's 90 % interval at the date" in record.words


def test_what_is_certain_but_does_not_matter_is_a_tie() -> None:
    timing, out = made_up(totals=0.009, score=0.009, elpd=3.0)
    assert all(not one.behind for one in strengths(timing, out))


def test_a_record_for_machines(found: Comparison) -> None:
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert {row["model"] for row in record["heldout"]["scores"]} == set(MODELS)
    assert len(record["heldout"]["origins"]) == 9
    assert record["words"] == list(found.sentences)
    assert record["strengths"][1]["aspect"] == "totals"
    assert (
        clv.compare(
            {"a": drawn(), "b": drawn(alpha=40.0)},
            clv.simulate.simulate_rfm(50, **TRUTH, T=90.0, seed=4),
        ).to_dict()["heldout"]
        is None
    )


def test_what_is_shown(found: Comparison) -> None:
    text = str(found)
    assert "total off by" in text
    assert "Forecasts for 600 customers at 3 dates, " in text
    html = found._repr_html_()
    assert html.count("<table") == 2
    assert "<p>Forecasts for " in html


def test_one_date_and_a_log_that_is_cut(log: pd.DataFrame) -> None:
    first, last = log["date"].min(), log["date"].max()
    date = str((first + 0.6 * (last - first)).date())
    keys = ["bgnbd", "mbgnbd"]
    once = clv.compare(keys, log, **COLUMNS, train_period_end=date, horizon="8W", draws=120)
    assert once.heldout is not None
    assert set(once.heldout.origins["train_end"]) == {date}
    totals = once.heldout.differences.query("score == 'total_interval_score'")
    assert totals["se"].isna().all()
    more = clv.compare(
        keys, log, **COLUMNS, train_period_end=date, horizon="8W", origins=2, draws=120
    )
    assert more.heldout is not None
    assert more.heldout.dates == 3


def test_models_are_fitted_to_a_table_too() -> None:
    rfm = clv.simulate.simulate_rfm(100, **TRUTH, T=90.0, seed=4)
    found = clv.compare({"bgnbd": "bgnbd", "other": drawn(alpha=40.0)}, rfm, draws=120)
    assert set(found.table.index) == {"bgnbd", "other"}
    assert found.heldout is None


def test_what_can_not_be_compared(log: pd.DataFrame) -> None:
    keys = ["bgnbd", "mbgnbd"]
    with pytest.raises(SchemaError, match="is a posterior, and models are fitted"):
        clv.compare({"a": drawn(), "b": "bgnbd"}, log, **COLUMNS)
    with pytest.raises(SchemaError, match="datetime_col is missing"):
        clv.compare(keys, log, customer_id_col="customer_id")
    with pytest.raises(SchemaError, match=r"looks like a log .* name its columns"):
        clv.compare(keys, log)
    rfm = clv.simulate.simulate_rfm(50, **TRUTH, T=90.0, seed=4)
    with pytest.raises(SchemaError, match="origins=4 is of a log"):
        clv.compare(keys, rfm, origins=4)
    with pytest.raises(SchemaError, match="must be a CLVModel or the name of a model"):
        clv.compare({"a": 3, "b": "bgnbd"}, log, **COLUMNS)
    with pytest.raises(SchemaError, match="two models or more"):
        clv.compare(["bgnbd"], log, **COLUMNS)
    with pytest.raises(DomainError, match="interval"):
        clv.compare(keys, log, **COLUMNS, interval=2.0)
