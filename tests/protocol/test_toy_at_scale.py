"""A model of the catalogue alone on Spark, compared and stacked with others, and in economics."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.fit.purchases import purchase_specification
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import MODELS
from clvmodels.purchases.alive_in_sql import AliveInSql, exp_in_sql
from clvmodels.simulate import simulate_rfm
from tests.toy_family import TOY, TRUTH, ToyFamily, add_to_catalogue

COLUMNS = ("p_alive", "p_purchase", "expected_purchases", "clv", "clv_lower", "clv_upper")
QUIET: dict[str, Any] = {"random_seed": 3, "progressbar": False, "time_unit": "D"}


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_catalogue(monkeypatch)


def purchases(draws: int = 40) -> Any:
    rng = np.random.default_rng(1)
    lam, p = (value * np.exp(0.1 * rng.standard_normal(draws)) for value in TRUTH.values())
    return purchase_posterior("toy").from_draws(lam=lam, p_leave=p)


def base(rows: int = 60) -> pd.DataFrame:
    found = simulate_rfm(rows, parameters=TRUTH, T=(10.0, 300.0), seed=8, period=1.0, model="toy")
    return found.assign(monetary_value=20.0)


def alike(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found, expected = (
        one.sort_values("customer_id", ignore_index=True) for one in (found, expected)
    )
    for name in COLUMNS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, err_msg=name)


# --- Spark: its workers know the catalogue of the package, without this model ---


@pytest.mark.slow
def test_spark_scores_a_frame_as_one_machine_predicts_it(spark: Any) -> None:
    whole, rfm = clv.CLVPosterior(purchases(), 20.0), base()
    options = {"horizon": "90D", "time_unit": "D", "margin": 0.5}
    found = clv.spark.score(spark.createDataFrame(rfm), whole, **options)
    alike(found.toArrow().to_pandas(), whole.predict(rfm, **options))


@pytest.mark.slow
def test_spark_scores_files_with_a_saved_posterior(spark: Any, tmp_path: Path) -> None:
    file = clv.CLVPosterior(purchases(), 20.0).save(tmp_path / "toy.nc")
    rfm = base()
    rfm.to_parquet(tmp_path / "rfm.parquet")
    options = {"margin": 0.5, "intervals": "all", "predictive": True}
    report = clv.spark.score_files(tmp_path / "rfm.parquet", file, tmp_path / "scores", **options)
    assert report.scored == len(rfm)
    other = clv.score(tmp_path / "rfm.parquet", file, tmp_path / "local.parquet", **options)
    found = pd.read_parquet(report.output)
    alike(found, pd.read_parquet(other.output))
    assert report.clv.mean == pytest.approx(other.clv.mean, rel=1e-9)
    assert report.clv.mean == pytest.approx(found["clv"].sum(), rel=1e-9)


# --- with other models ---


def fitted(key: str, rfm: pd.DataFrame) -> Any:
    return purchase_specification(key).fit(rfm, method="laplace", draws=400, **QUIET)


def test_it_is_compared_with_others_and_wins_where_it_is_true() -> None:
    """Its elpd is that of the point: two well known parameters cost little."""
    rfm = simulate_rfm(900, parameters=TRUTH, T=(10.0, 300.0), seed=5, period=None, model="toy")
    found = clv.compare({key: fitted(key, rfm) for key in ("toy", "bgnbd")}, rfm)
    assert found.best == "toy"
    assert found.weights["toy"] > 0.5
    rows = ToyFamily().log_likelihood(rfm["frequency"], rfm["recency"], rfm["T"], **TRUTH)
    elpd = found.table.loc["toy", "elpd"]
    assert elpd == pytest.approx(rows.sum(), abs=6.0)


@pytest.mark.slow
def test_a_stack_with_another_predicts_is_saved_and_goes_to_spark(
    spark: Any, tmp_path: Path
) -> None:
    other = clv.BetaGeoPosterior.from_draws(r=0.3, alpha=30.0, a=0.9, b=2.0)
    rfm, weights = base(), {"toy": 0.75, "bgnbd": 0.25}
    one = purchase_posterior("toy").from_draws(**TRUTH)
    stack = clv.stack({"toy": one, "bgnbd": other}, weights=weights)
    found = stack.predict(rfm, horizon="90D", time_unit="D")
    parts = [part.predict(rfm, horizon="90D", time_unit="D") for part in (one, other)]
    for name in ("p_alive", "expected_purchases"):
        mixed = sum(w * part[name] for w, part in zip(weights.values(), parts, strict=True))
        np.testing.assert_allclose(found[name], mixed, rtol=1e-12)
    loaded = clv.load_posterior(stack.save(tmp_path / "stack.nc"))
    assert loaded.members["toy"].facts is TOY
    pd.testing.assert_frame_equal(loaded.predict(rfm, horizon="90D", time_unit="D"), found)
    whole = clv.CLVPosterior(loaded, 20.0)
    scored = clv.spark.score(spark.createDataFrame(rfm), whole, time_unit="D")
    alike(scored.toArrow().to_pandas(), whole.predict(rfm, time_unit="D"))


def test_the_command_line_compares_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rfm = simulate_rfm(600, parameters=TRUTH, T=(10.0, 300.0), seed=5, period=None, model="toy")
    rfm.to_parquet(tmp_path / "rfm.parquet")
    files = [fitted(key, rfm).save(tmp_path / f"{key}.nc") for key in ("toy", "bgnbd")]
    command = ["compare-models", str(tmp_path / "rfm.parquet")]
    assert main([*command, *(part for file in files for part in ("--posterior", str(file)))]) == 0
    assert "toy" in capsys.readouterr().out


# --- in a warehouse ---


@dataclass(frozen=True)
class ToldFamily(ToyFamily):
    """The same, of whom a warehouse knows; what living customers do is the same at any T."""

    def strip(self, draws: Any) -> tuple[float, float]:
        return 1.0, math.pi

    def in_sql(self) -> AliveInSql:
        def columns(x: float, draws: Any) -> dict[str, Any]:
            odds = np.log(draws["p_leave"]) - np.log1p(-draws["p_leave"])
            return {"log_odds": odds if x else np.full_like(odds, -300.0), "rate": draws["lam"]}

        left = exp_in_sql("{log_odds} + {rate} * (age - t_x)")
        return AliveInSql(f"1.0 / (1.0 + {left})", columns)


def test_sql_is_refused_by_the_family_that_has_none() -> None:
    with pytest.raises(clv.SchemaError, match=r"how Toy/NBD tells who is alive: score with"):
        clv.score_sql(purchases(), longest=300)


def test_a_family_that_tells_it_is_scored_in_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, TOY.key, replace(TOY, family=ToldFamily()))
    whole, rfm = clv.CLVPosterior(purchases(), 20.0), base()
    found = clv.score_sql(whole, most_purchases=40, longest=300, margin=0.5)
    assert found.error < 1e-6
    with duckdb.connect() as connection:
        connection.register("rfm", rfm)
        connection.register("clv_coefficients", found.coefficients)
        scores = connection.execute(found.statement()).df().set_index("customer_id")
    expected = whole.predict(rfm, margin=0.5).set_index("customer_id")
    assert scores["reason"].isna().all()
    for name in ("p_alive", "p_purchase", "expected_purchases", "clv"):
        np.testing.assert_allclose(scores.loc[expected.index, name], expected[name], rtol=1e-6)


# --- economics ---


def table() -> clv.RfmTable:
    rfm = base().assign(first_value=20.0, kind=["a", "b"] * 30)
    return clv.RfmTable.from_frame(rfm, time_unit="D", margin=0.5)


def test_lists_of_customers_follow_the_equations() -> None:
    """Right after a repeat purchase customers stay with 1 - p."""
    whole, rfm = clv.CLVPosterior(purchases(), 20.0), table()
    found = clv.action_lists(whole, rfm).customers
    assert len(found) == len(rfm)
    came_back = found[found["frequency"] > 0]
    stays = 1.0 - whole.purchases.draws()["p_leave"].mean()
    np.testing.assert_allclose(came_back["p_alive_at_last"], stays, rtol=1e-12)
    drop = 1.0 - came_back["p_alive"] / stays
    np.testing.assert_allclose(came_back["p_alive_drop"], drop, atol=1e-12)


def test_tiers_and_segments_hold_the_value_of_the_base() -> None:
    whole, rfm = clv.CLVPosterior(purchases(), 20.0), table()
    total = whole.predict(rfm)["clv"].sum()
    for found in (clv.tier_report(whole, rfm), clv.segment_report(whole, rfm, by="kind")):
        assert found["clv"].iloc[-1] == pytest.approx(total, rel=1e-9)


def test_a_new_customer_pays_back_when_the_closed_form_says_so() -> None:
    """10 (1 + (1 - e^(-lam p t)) / p) = cost."""
    one = purchase_posterior("toy").from_draws(**TRUTH)
    lam, p = TRUTH.values()
    found = clv.payback_period(clv.CLVPosterior(one, 20.0), 35.0, margin=0.5)
    assert found.days == pytest.approx(-np.log1p(-p * 2.5) / (lam * p), rel=1e-6)
