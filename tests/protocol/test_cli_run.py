"""``clvmodels run``: the files of the three commands, and no step done that was done before."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior
from clvmodels.cli import fit, main, score, summarize
from clvmodels.datasets import load_cdnow

NAMED = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
ALL = ["summarize", "fit", "score"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_cdnow().head(3000).to_csv("orders.csv", index=False)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that are done, of which the fit is a posterior made at once."""
    steps: list[str] = []

    def noted(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            steps.append(name)
            return do(*args, **options)

        return call

    def fitted(rfm: Path, output: Path, **_: Any) -> None:
        assert rfm.exists()
        CLVPosterior(
            BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
            GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
        ).save(output)

    monkeypatch.setattr(summarize, "run", noted("summarize", summarize.run))
    monkeypatch.setattr(fit, "run", noted("fit", fitted))
    monkeypatch.setattr(score, "run", noted("score", score.run))
    return steps


def run(*more: str) -> int:
    return main(["run", "orders.csv", "-o", "night", *NAMED, "--quiet", *more])


@pytest.mark.slow
def test_the_files_are_those_of_the_three_commands() -> None:
    fitted = ["--method", "map", "--seed", "1"]
    asked = ["--horizon", "90D", "--horizon", "365D", "--discount-rate", "0.2", "--draws", "50"]
    assert run("--margin", "0.5", "--time-scaler", "7", *fitted, *asked) == 0
    weeks = ["--margin", "0.5", "--time-scaler", "7", "--quiet"]
    assert main(["summarize", "orders.csv", "-o", "rfm.parquet", *NAMED, *weeks]) == 0
    assert main(["fit", "rfm.parquet", "-o", "posterior.nc", *fitted, "--quiet"]) == 0
    scored = ["score", "rfm.parquet", "--posterior", "posterior.nc", "-o", "scores.parquet"]
    assert main([*scored, *asked, "--quiet"]) == 0
    for name in ("rfm.parquet", "scores.parquet"):
        found, wanted = pq.read_table(Path("night", name)), pq.read_table(name)
        assert found.equals(wanted)
    manifest = json.loads(Path("night/scores.manifest.json").read_text())
    assert manifest["options"]["horizon"] == ["90D", "365D"]


def test_what_has_not_changed_is_not_done_again(done: list[str]) -> None:
    assert run() == 0
    assert done == ALL
    before = Path("night/scores.parquet").stat()
    done.clear()
    assert run("--threads", "1") == 0
    assert done == []
    assert Path("night/scores.parquet").stat().st_mtime_ns == before.st_mtime_ns
    assert run("--horizon", "30D") == 0
    assert done == ["score"]
    done.clear()
    assert run("--horizon", "30D", "--seed", "3") == 0
    assert done == ["fit", "score"]


@pytest.mark.parametrize("change", ["log", "record", "restart", "table"])
def test_all_is_done_again_where_its_beginning_has_changed(done: list[str], change: str) -> None:
    assert run() == 0
    done.clear()
    if change == "log":
        load_cdnow().head(3500).to_csv("orders.csv", index=False)
    elif change == "record":
        Path("night/run.json").write_text('{"steps": {')
    elif change == "table":
        os.utime("night/rfm.parquet", ns=(1, 1))
    assert run(*(["--restart"] if change == "restart" else [])) == 0
    assert done == ALL
    customers = len(pd.read_csv("orders.csv")["customer_id"].unique())
    assert pq.read_metadata("night/scores.parquet").num_rows == customers


def test_a_change_behind_a_link_is_seen(done: list[str]) -> None:
    Path("shop/year").mkdir(parents=True)
    Path("elsewhere").mkdir()
    Path("shop/more").symlink_to(Path("elsewhere").absolute())
    log = load_cdnow()
    log[:3000].to_parquet("shop/year/a.parquet")
    log[3000:3200].to_parquet("elsewhere/b.parquet")
    asked = ["run", "shop", "-o", "night", *NAMED, "--quiet"]
    assert main(asked) == 0
    assert done == ALL
    done.clear()
    Path("shop/.hidden.parquet").touch()  # which is no part of the log
    assert main(asked) == 0
    assert done == []
    log[3000:3500].to_parquet("elsewhere/b.parquet")
    assert main(asked) == 0
    assert done == ALL
    customers = log[:3500]["customer_id"].nunique()
    assert pq.read_metadata("night/scores.parquet").num_rows == customers


def test_a_run_that_was_stopped_goes_on(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def stopped(*_: Any, restart: bool, **__: Any) -> int:
        seen.append(restart)
        raise KeyboardInterrupt

    whole = score.run
    monkeypatch.setattr(score, "run", stopped)
    assert run() == run() == run("--horizon", "30D") == 130
    assert seen == [True, False, True]  # what other options have begun is begun anew
    monkeypatch.setattr(score, "run", whole)
    assert run("--horizon", "30D") == 0
    assert done == ALL


def test_a_run_says_that_nothing_has_judged_its_numbers(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "orders.csv", "-o", "night", *NAMED]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "No report is written yet" in out
    assert out.index("No report is written yet") < out.index("Next: clvmodels report")


def test_rows_that_could_not_be_scored_are_told_of_each_time(
    done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score.run
    monkeypatch.setattr(score, "run", lambda *args, **options: 3 + whole(*args, **options))
    assert [run(), run(), run("--allow-rejects")] == [3, 3, 0]
    assert done == ALL


@pytest.mark.parametrize("scores", ["rfm.parquet", "run.json", "a/b.parquet", "..", "posterior"])
def test_names_of_scores_that_would_be_another_file_are_refused(
    done: list[str], scores: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--scores", scores) == 2
    assert "give --scores a name of its own" in capsys.readouterr().err
    assert done == []


def test_two_runs_do_not_share_a_folder(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("night").mkdir()
    with FileLock("night/.run.lock"):
        assert run() == 2
    assert "Another run is writing to night" in capsys.readouterr().err
    assert done == []


def test_a_folder_that_is_read_is_not_written_to(
    done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("night").mkdir()
    load_cdnow().head(100).to_parquet("night/orders.parquet")
    assert main(["run", "night", "-o", "night", *NAMED]) == 2
    assert "lies in the folder night that is read" in capsys.readouterr().err
    assert done == []
