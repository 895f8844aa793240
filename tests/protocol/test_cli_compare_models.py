"""``clvmodels compare-models``: both halves from a log, one from a table, or one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, ModifiedBetaGeoPosterior
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.evaluation.fitting import Fitting
from clvmodels.purchases import MODELS
from tests.readable import WIDTH, too_long

NAMED = ["--customer-id", "customer_id", "--timestamp", "date"]
KINDS = {"bgnbd": BetaGeoPosterior, "mbgnbd": ModifiedBetaGeoPosterior}
TWO = ["--model", "bgnbd", "--model", "mbgnbd"]


def drawn(kind: Any) -> Any:
    scatter = np.random.default_rng(7).lognormal(0, 0.05, (4, 120))
    values = {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}
    return kind.from_draws(**{k: v * e for (k, v), e in zip(values.items(), scatter, strict=True)})


@pytest.fixture(autouse=True)
def _at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Fitting, "purchases", lambda self, rfm: drawn(KINDS[self.model]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, log = tmp_path_factory.mktemp("models"), load_cdnow(sample=True)
    log.to_parquet(folder / "log.parquet", index=False)
    rfm = clv.rfm_summary(log, customer_id_col="customer_id", datetime_col="date")
    rfm.to_parquet(folder / "rfm.parquet")
    for name, kind in KINDS.items():
        drawn(kind).save(folder / f"{name}.nc")
    return folder


def test_a_log_has_both_halves(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(files / "log.parquet")
    more = ["--origins", "2", "--draws", "120", "--json", "found.json"]
    assert main(["compare-models", log, *NAMED, *TWO, *more]) == 0
    out = capsys.readouterr().out
    assert too_long(out) == []
    for text in ("Forecasts for 2,357 customers at 2 dates", "total", "Wrote found.json"):
        assert text in out
    record = json.loads(Path("found.json").read_text())
    again = clv.compare(
        ["bgnbd", "mbgnbd"], log, customer_id_col="customer_id", datetime_col="date",
        origins=2, draws=120,
    )  # fmt: skip
    assert record == json.loads(json.dumps(again.to_dict(), default=str))
    assert again.words in " ".join(out.split())


def test_a_table_has_the_half_that_posteriors_can_have(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(files / "rfm.parquet")
    which = [one for name in KINDS for one in ("--posterior", str(files / f"{name}.nc"))]
    assert main(["compare-models", table, *which, "--draws", "120"]) == 0
    out = capsys.readouterr().out
    assert "Forecasts for" not in out
    assert "bgnbd" in out
    assert "'clvmodels compare-models LOG" in " ".join(out.split())


def test_all_models_by_default(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(Fitting, "purchases", lambda self, rfm: drawn(BetaGeoPosterior))
        log = str(files / "log.parquet")
        assert main(["compare-models", log, *NAMED, "--origins", "1", "--draws", "100"]) == 0
    out = capsys.readouterr().out
    assert {line.split()[0] for line in out.splitlines() if line.strip()} >= {
        key for key, one in MODELS.items() if one.regularity <= 2
    }
    assert too_long(out) == []


def test_quiet_prints_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = str(files / "log.parquet")
    more = ["--origins", "1", "--draws", "100", "--quiet", "--json", "found.json"]
    assert main(["compare-models", log, *NAMED, *TWO, *more]) == 0
    assert capsys.readouterr().out == ""
    assert Path("found.json").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "two --posterior or more"),
        (["--posterior", "bgnbd.nc"], "two --posterior or more"),
        (["--posterior", "bgnbd.nc", "--posterior", "bgnbd.nc"], "given twice"),
        ([*NAMED, "--posterior", "bgnbd.nc"], "A --posterior is for a table"),
        (["--customer-id", "customer_id", *TWO], "--timestamp is missing"),
        ([*NAMED, "--model", "bgnbd"], "--model bgnbd is one: name another"),
        ([*NAMED, "--model", "no"], "use one of"),
        ([*NAMED, "--json", "found.txt"], "found.txt"),
        ([*NAMED, *TWO, "--origins", "500"], "--origins"),
        (
            ["--posterior", "bgnbd.nc", "--posterior", "mbgnbd.nc", "--origins", "3"],
            "--origins 3 is of a log",
        ),
    ],
)
def test_one_line_says_what_is_wrong(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(files)
    source = "log.parquet" if "--timestamp" in more else "rfm.parquet"
    assert main(["compare-models", source, *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1
