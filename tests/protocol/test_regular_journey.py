"""From the log to the report where customers buy regularly: Python, commands and Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.simulate import simulate_log

END, CUT, MODEL = "2024-12-31", "2024-08-31", "mbgcnbd3"
TRUTH = {"r": 1.5, "alpha": 12.0, "a": 0.8, "b": 2.5}
NAMED = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return simulate_log(
        600, **TRUTH, p=6.0, q=4.0, v=15.0, T=(60.0, 400.0), seed=5, model=MODEL,
        observation_end=END,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(log: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, its table in weeks and a fit of it, all by commands."""
    folder = tmp_path_factory.mktemp("regular")
    log.to_parquet(folder / "log.parquet")
    table = ["summarize", str(folder / "log.parquet"), "-o", str(folder / "rfm.parquet"), *NAMED]
    assert main([*table, "--time-scaler", "7", "--margin", "0.3"]) == 0
    fit = ["fit", str(folder / "rfm.parquet"), "-o", str(folder / "fit.nc"), "--method", "laplace"]
    assert main([*fit, "--model", "mbgnbd", "--regularity", "3", "--seed", "3"]) == 0
    return folder


@pytest.mark.slow
def test_a_fit_finds_the_truth_and_says_what_it_is(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posterior = clv.load_posterior(files / "fit.nc")
    assert isinstance(posterior, clv.CLVPosterior)
    purchases = posterior.purchases
    assert isinstance(purchases, clv.ModifiedBetaGeoPosterior)
    assert (purchases.facts.name, purchases.metadata.model) == ("MBG/CNBD-3", MODEL)
    draws = purchases.draws()
    for name, value in (TRUTH | {"alpha": TRUTH["alpha"] / 7.0}).items():
        off = np.log(draws[name]) - np.log(value)
        assert abs(off.mean()) < 4.5 * off.std(), name
    again = files / "again.nc"
    command = ["fit", str(files / "rfm.parquet"), "-o", str(again), "--method", "laplace"]
    assert main([*command, "--model", MODEL, "--seed", "3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "How often customers buy, and when they leave: MBG/CNBD-3" in out
    rate = float(np.median(draws["r"] / (3.0 * draws["alpha"]))) * 365.25 / 7.0
    assert f"repeat purchases a year while active {rate:.3g}" in out
    assert clv.load_posterior(again).fingerprint() == posterior.fingerprint()
    table = clv.RfmTable.from_parquet(files / "rfm.parquet")
    python = clv.CLVModel(clv.ModifiedBetaGeoModel(regularity=3)).fit(
        table, method="laplace", random_seed=3, progressbar=False
    )
    assert python.fingerprint() == posterior.fingerprint()


@pytest.mark.slow
def test_files_are_scored_as_customers_are_predicted(files: Path) -> None:
    posterior: Any = clv.load_posterior(files / "fit.nc")
    table = clv.RfmTable.from_parquet(files / "rfm.parquet")
    given = [str(files / "rfm.parquet"), "--posterior", str(files / "fit.nc"), "--predictive"]
    assert main(["score", *given, "-o", str(files / "scores.parquet")]) == 0
    found = pd.read_parquet(files / "scores.parquet").sort_values("customer_id", ignore_index=True)
    wanted = posterior.predict(table, predictive=True).sort_values("customer_id", ignore_index=True)
    for name in ("p_alive", "p_purchase", "expected_purchases", "clv", "clv_lower", "clv_upper"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9)
    draws = posterior.purchases.draws()
    each = posterior.purchases.formulas.expected_purchases_new(365.0 / 7.0, **draws)
    new = posterior.new_customer_value("365D", discount_rate=0.0, discounting="continuous")
    spend = posterior.gamma_gamma.draws()
    amount = spend["p"] * spend["v"] / (spend["q"] - 1.0)
    worth = 0.3 * (1.0 + each.mean()) * amount.mean()
    assert new.mean == pytest.approx(worth, rel=0.02)  # draws of the two are paired at random


@pytest.mark.slow
def test_spark_scores_as_files_are_scored(files: Path, spark: Any) -> None:
    from clvmodels.spark import score as score_on_spark

    posterior: Any = clv.load_posterior(files / "fit.nc")
    table = clv.RfmTable.from_parquet(files / "rfm.parquet")
    frame = spark.createDataFrame(table.to_pandas())
    found = score_on_spark(frame, posterior, time_unit="D", time_scaler=7).toArrow().to_pandas()
    found = found.sort_values("customer_id", ignore_index=True)
    wanted = posterior.predict(table.to_pandas(), time_unit="D", time_scaler=7)
    wanted = wanted.sort_values("customer_id", ignore_index=True)
    for name in ("p_alive", "expected_purchases", "clv"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9)


@pytest.mark.slow
def test_a_backtest_and_a_report(files: Path) -> None:
    how = ["--model", "mbgnbd", "--regularity", "3", "--method", "map", "--seed", "3"]
    tested, page = files / "tested", files / "page.html"
    command = ["backtest", str(files / "log.parquet"), "-o", str(tested), *NAMED]
    assert main([*command, *how, "--train-end", CUT, "--time-scaler", "7"]) == 0
    found = clv.load_backtest(tested)
    assert found.settings["model"] == MODEL
    inside = found.tracking["actual"].between(found.tracking["lower"], found.tracking["upper"])
    assert inside.mean() > 0.75
    given = ["--rfm", str(files / "rfm.parquet"), "--posterior", str(files / "fit.nc")]
    more = ["--backtest", str(tested), "--log", str(files / "log.parquet")]
    assert main(["report", *given, *more, "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "MBG/CNBD-3" in text
    assert "Leveraging purchase regularity" in text


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (["--model", "mbgcnbd2", "--regularity", "3"], "Regularity is 2 in --model mbgcnbd2 and 3"),
        (["--regularity", "5"], "regularity=5 must be 1, 2, 3 or 4"),
        (["--regularity", "two"], "regularity='two' must be 1, 2, 3 or 4"),
    ],
)
def test_a_regularity_that_cannot_be_is_refused(
    how: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "x.parquet", "-o", "y.nc", *how]) != 0
    assert said in " ".join(capsys.readouterr().err.split())
