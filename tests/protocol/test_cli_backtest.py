"""``clvmodels backtest``: tables, pictures and a verdict in lines that fit, or one clear error."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, load_backtest
from clvmodels.cli import main
from clvmodels.cli.backtest import gain
from clvmodels.datasets import load_cdnow
from clvmodels.evaluation.fitting import Fitting
from tests.readable import WIDTH, too_long

FILES = {
    "baselines.png",
    "calendar_totals.parquet",
    "calibration.parquet",
    "calibration.png",
    "coverage.parquet",
    "customers.parquet",
    "metrics.json",
    "metrics.parquet",
    "next_purchases.parquet",
    "repeats.parquet",
    "totals.parquet",
    "tracking.parquet",
    "tracking.png",
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit of the CDNOW sample, so that nothing need be fitted here."""

    def fit(self: Fitting, rfm: Any, **_: Any) -> CLVPosterior:
        rng = np.random.default_rng(7)
        scatter = rng.lognormal(0, 0.05, (4, 60))
        values = {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}
        some = {name: v * e for (name, v), e in zip(values.items(), scatter, strict=True)}
        purchases = BetaGeoPosterior.from_draws(
            **some, time_unit=rfm.time_unit, time_scaler=rfm.time_scaler
        )
        return CLVPosterior(purchases, GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.4))

    monkeypatch.setattr(Fitting, "fit", fit)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    load_cdnow(sample=True).to_parquet(path, index=False)
    return path


def arguments(log: Path, *more: str, end: str = "1997-09-30") -> list[str]:
    columns = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
    quick = ["--bootstrap", "40", "--draws", "40"]
    return ["backtest", str(log), *columns, "--train-end", end, *quick, "-o", "out", *more]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--train-end", "--test-end", "--origins", "--sensitivity"):
        assert option in said


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_it_writes_its_files_and_says_what_it_found(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(log)) == 0
    said = capsys.readouterr().out
    assert {path.name for path in Path("out").iterdir()} == FILES
    assert too_long(said) == []
    found = load_backtest("out")
    metrics = pd.read_parquet("out/metrics.parquet")
    pd.testing.assert_frame_equal(metrics, found.metrics)
    header = json.loads(Path("out/metrics.json").read_text())
    assert header["status"] == "warn"
    assert len(header["metrics"]) == len(metrics)
    assert len(pd.read_parquet("out/customers.parquet")) == 2357
    words = " ".join(said.split())
    assert "What can such forecasts be used for?" in words
    for use in found.uses:
        assert str(use) in words
    assert "Errors are model minus real" in words
    assert "WARN In a test on the past, the number of purchases came out 14 % higher than" in words
    assert "purchases were forecast, 1,882 came" in words
    assert "mean absolute error" in words
    assert "predictive interval of the total" in words


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_origins_and_sensitivity(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(log, "--origins", "2", "--sensitivity")) == 0
    said = capsys.readouterr().out
    assert "The same at other dates" in said
    assert "observation starts on" in said
    assert too_long(said) == []
    found = load_backtest("out")
    assert found.rolling is not None
    assert found.rolling["origin"].nunique() == 2
    assert found.sensitivity is not None
    assert "totals over" in said
    assert "left out" in said
    assert found.calendar_totals is not None
    assert set(found.calendar_totals["calendar_sd"]) == {0.0, 0.15}


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_the_calendar_is_an_option(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(log, "--calendar", "0.25")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "allowing for" in said
    assert "a standard deviation of 0.25" in said
    assert main(arguments(log, "--calendar", "none")) == 0
    assert "a standard deviation of" not in capsys.readouterr().out
    assert load_backtest("out").calendar_totals is None
    assert main(arguments(log, "--origins", "many")) == 2
    assert "'many' must be a whole number, or auto" in " ".join(capsys.readouterr().err.split())
    assert main(arguments(log, "--calendar", "wide")) == 2
    assert "must be auto, none, or the sd" in " ".join(capsys.readouterr().err.split())
    assert main(arguments(log, "--calendar", "learnt")) != 0
    assert "fit --clock" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_quiet_says_nothing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(log, "--quiet")) == 0
    assert capsys.readouterr().out == ""
    assert (Path("out") / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("end", "more", "message"),
    [
        ("1997-01-01", (), "leaves no repeat purchase"),
        ("1999-01-01", (), "leaves no purchase in the holdout"),
        ("1997-09-30", ("--test-end", "1999-01-01"), "after the log"),
        ("1997-09-30", ("--horizon", "9X"), "--horizon 9X is not one length of time"),
        ("soon", (), "--train-end soon is not a date"),
        ("03/12/1997", (), "--train-end 03/12/1997 is not a date"),
        ("1997-09-30", ("--test-end", "2020Q1"), "--test-end 2020Q1 is not a date"),
        ("1997-09-30", ("--customer-id", "who"), "who"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    log: Path, end: str, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(log, *more, end=end)) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    assert message in said
    assert "train_period_end" not in said
    assert not list(Path("out").glob("*"))


def test_the_output_is_a_folder(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("something")
    assert main(arguments(log)) == 2
    assert "name a folder" in capsys.readouterr().err
    assert Path("out").read_text() == "something"


@pytest.mark.parametrize(
    ("metric", "difference", "baseline", "model_is", "said"),
    [
        ("mae", -0.3, 1.0, "better", "+30 %"),
        ("mae", 0.1, 1.0, "worse", "-10 %"),
        ("mae", -0.01, 1.0, "unclear", "(+1 %)"),
        ("poisson_deviance", -math.inf, math.inf, "better", "+100 %"),
        ("bias", -0.45, 0.57, "better", "+45 pt"),
        ("top_found", -0.02, 0.4, "unclear", "(-2 pt)"),
        ("gini", -0.05, 0.7, "worse", "-0.05"),
        ("mae", 0.001, 1.0, "unclear", "(0 %)"),
        ("spearman", math.nan, math.nan, "", "-"),
    ],
)
def test_gains(metric: str, difference: float, baseline: float, model_is: str, said: str) -> None:
    row = {"metric": metric, "difference": difference, "value": baseline, "model_is": model_is}
    assert gain(row) == said
