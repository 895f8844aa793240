"""``clvmodels report``: a page, a record and a verdict, or one clear line of what is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    RfmTable,
    load_posterior,
    progress,
    rfm_summary,
)
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.diagnostics import diagnose
from clvmodels.reporting import from_json, render_page, render_text
from tests.readable import WIDTH, too_long


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    log = load_cdnow(sample=True)
    log.to_parquet(folder / "log.parquet", index=False)
    rfm = rfm_summary(
        log, customer_id_col="customer_id", datetime_col="date", monetary_value_col="amount"
    )
    rfm.to_parquet(folder / "rfm.parquet")
    rfm.to_pandas().to_csv(folder / "rfm.csv", index=False)
    rng = np.random.default_rng(7)
    point = {"r": 0.25, "alpha": 38.0, "a": 0.62, "b": 2.75}
    draws = {name: value * rng.lognormal(0, 0.05, 100) for name, value in point.items()}
    spend = GammaGammaPosterior.from_draws(p=4.8, q=4.2 * rng.lognormal(0, 0.05, 100), v=24.6)
    purchases = BetaGeoPosterior.from_draws(**draws)
    CLVPosterior(purchases, spend).save(folder / "posterior.nc")
    CLVPosterior(BetaGeoPosterior.from_draws(**point), spend).save(folder / "point.nc")
    purchases.save(folder / "purchases.nc")
    spend.save(folder / "spend.nc")
    (folder / "empty").mkdir()
    return folder


def arguments(files: Path, *more: str) -> list[str]:
    named = ["--rfm", str(files / "rfm.parquet"), "--posterior", str(files / "posterior.nc")]
    return ["report", *named, "-o", "report.html", "--draws", "60", *more]


class Quiet(NamedTuple):
    """What the command made of the base, asked to be quiet, and what it said."""

    page: Path
    record: Path
    code: int
    said: str


@pytest.fixture(scope="module")
def quiet(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Quiet:
    folder, said = tmp_path_factory.mktemp("quiet"), io.StringIO()
    page, record = folder / "report.html", folder / "report.json"
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(arguments(files, "-o", str(page), "--json", str(record), "--quiet"))
    return Quiet(page, record, code, said.getvalue())


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--help"]) == 0
    assert "clvmodels report" in capsys.readouterr().out


@pytest.mark.slow
def test_page_record_and_terminal_say_the_same(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(files / "log.parquet")
    options = ("--json", "report.json", "--log", log, "--currency", "$", "--horizon", "39W")
    assert main(arguments(files, *options)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    expected = diagnose(
        load_posterior(files / "posterior.nc"),
        RfmTable.from_parquet(files / "rfm.parquet"),
        log=log,
        horizon="39W",
        draws=60,
        currency="$",
        date=str(datetime.now().astimezone().date()),
    )
    text = Path("report.json").read_text(encoding="utf-8")
    assert from_json(text) == from_json(json.dumps(expected.to_dict()))
    page = Path("report.html").read_text(encoding="utf-8")
    assert page == render_page(expected)
    assert page.startswith("<!doctype html>")
    assert len(page) < 5_000_000
    assert out.startswith(render_text(expected, width=WIDTH, whole=False))
    assert too_long(out) == []
    assert len(re.findall("^Wrote report.(?:html|json) ", out, re.MULTILINE)) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["report.html", "report.json"]


@pytest.mark.slow
def test_the_librarys_report_is_the_commands(files: Path, quiet: Quiet) -> None:
    rendered = clvmodels.report(
        load_posterior(files / "posterior.nc"),
        RfmTable.from_parquet(files / "rfm.parquet"),
        draws=60,
        date=str(datetime.now().astimezone().date()),  # which the command says by itself
        output="own/report.html",
        json="own/report.json",
    )
    assert Path("own/report.html").read_bytes() == quiet.page.read_bytes()
    assert Path("own/report.json").read_text() == rendered.json
    assert quiet.page.read_text(encoding="utf-8") == rendered.html


@pytest.mark.slow
def test_full_prints_the_sections_too(
    files: Path, quiet: Quiet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files, "--full")) == 0
    out = capsys.readouterr().out
    for section in from_json(quiet.record.read_text()).sections:
        assert section.title in out


@pytest.mark.slow
@pytest.mark.parametrize("posterior", ["point.nc", "purchases.nc"])
def test_what_a_posterior_does_not_know_is_said(
    files: Path, posterior: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [part.replace("posterior.nc", posterior) for part in arguments(files)]
    assert main([*named, "--margin", "0.3", "--cac", "30"]) == 0
    out, err = capsys.readouterr()
    assert "not available" in out
    assert ("--margin and --cac change nothing" in err) == (posterior == "purchases.nc")
    assert Path("report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_the_terminal_answers_what_a_customer_may_cost(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[float] = []
    watching = progress._shown.set(lambda share, doing="": told.append(share))
    assert main(arguments(files, "--cac", "30", "--margin", "0.3", "--json", "report.json")) == 0
    progress._shown.reset(watching)
    assert told == sorted(told)  # what is shown of it moves, and never back
    assert len(set(told)) > 20
    assert max(np.diff(told)) < 0.3
    brief = from_json(Path("report.json").read_text()).brief
    assert brief is not None
    assert brief.answer.startswith("May a new customer cost 30.00? ")
    assert brief.answer in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_purchases_alone_are_reported_at_a_value_that_is_given(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [part.replace("posterior.nc", "purchases.nc") for part in arguments(files)]
    assert main([*named, "--basket-value", "25", "--full"]) == 0
    assert "every purchase counted at 25" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_a_plain_csv_says_what_is_assumed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = [part.replace("rfm.parquet", "rfm.csv") for part in arguments(files)]
    assert main(named) == 0
    assert "does not say its unit of time" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_quiet_prints_nothing(quiet: Quiet) -> None:
    assert (quiet.code, quiet.said) == (0, "")


def hard_base(name: str) -> tuple[object, RfmTable]:
    """Return a fit and a base that a report has little to say of."""
    rng = np.random.default_rng(5)
    n = 1 if name == "one customer" else 60
    T = rng.integers(40, 400, n).astype(float)
    x = np.zeros(n) if name == "nobody came back" else rng.poisson(3, n).astype(float)
    recency = np.where(x > 0, np.floor(T * rng.uniform(0.3, 1, n)), 0.0)
    frame = pd.DataFrame({"customer_id": np.arange(n), "frequency": x, "recency": recency, "T": T})
    frame["monetary_value"] = np.where(x > 0, rng.uniform(5, 50, n), 0.0)
    means = {"r": 0.25, "alpha": 38.0, "a": 0.62, "b": 2.75}
    draws = {key: mean * rng.lognormal(0, 0.05, 100) for key, mean in means.items()}
    kind = ModifiedBetaGeoPosterior if name == "another model" else BetaGeoPosterior
    q = 0.8 if name == "infinite spend" else 4.2
    spend = GammaGammaPosterior.from_draws(p=4.8, q=q * rng.lognormal(0, 0.05, 100), v=24.6)
    return CLVPosterior(kind.from_draws(**draws), spend), RfmTable.from_pandas(frame, time_unit="D")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["nobody came back", "one customer", "infinite spend", "another model"]
)
def test_what_cannot_be_used_is_reported_all_the_same(name: str) -> None:
    rendered = clvmodels.report(*hard_base(name), output="report.html")
    assert rendered.record.verdict.status in ("warn", "fail")
    assert rendered.record.verdict.headline in rendered.html
    assert render_text(rendered.record).startswith(rendered.record.title)
    assert from_json(rendered.json) == rendered.record


WRONG = {
    "no such table": (["--rfm", "no.parquet"], "no.parquet"),
    "no such posterior": (["--posterior", "no.nc"], "no.nc"),
    "spend alone": (["--posterior", "{}/spend.nc"], "purchases"),
    "no such log": (["--log", "no.parquet"], "no.parquet"),
    "no such backtest": (["--backtest", "no"], "no folder no"),
    "no backtest in there": (["--backtest", "{}/empty"], "empty"),
    "another suffix": (["-o", "report.pdf"], ".html"),
    "another suffix of the record": (["--json", "report.txt"], ".json"),
    "horizon": (["--horizon", "soon"], "--horizon"),
    "interval": (["--interval", "90"], "--interval"),
    "rate": (["--discount-rate", "-1"], "--discount-rate"),
    "draws": (["--draws", "0"], "--draws"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line(
    files: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, named = WRONG[case]
    before = sorted(path.name for path in files.iterdir())
    assert main(arguments(files, *(part.format(files) for part in changes))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert list(Path().iterdir()) == []
    assert sorted(path.name for path in files.iterdir()) == before
