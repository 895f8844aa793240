"""No command writes over what it reads, and a URL is never taken for a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    load_posterior,
    rfm_summary,
    rfm_summary_to_parquet,
    score,
)
from clvmodels.cli import main
from clvmodels.cli.commands import app
from clvmodels.errors import SchemaError
from clvmodels.outputs import refuse_inputs

LOG = {"customer_id_col": "customer", "datetime_col": "date", "monetary_value_col": "amount"}
LOG_OPTIONS = ["--customer-id", "customer", "--timestamp", "date", "--amount", "amount"]


@pytest.fixture
def posterior(rng: np.random.Generator) -> CLVPosterior:
    spread = rng.lognormal(0, 0.05, 50)
    purchases = BetaGeoPosterior.from_draws(r=0.24 * spread, alpha=31.0, a=0.79, b=2.43)
    return CLVPosterior(purchases, GammaGammaPosterior.from_draws(p=6.2, q=3.7 * spread, v=15.4))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posterior: CLVPosterior) -> Path:
    """Return a folder with a log, more of it in a folder, a table and a posterior."""
    monkeypatch.chdir(tmp_path)
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    log = pd.DataFrame({"customer": np.arange(60) % 20, "date": days, "amount": 10.0})
    (tmp_path / "logs" / "2024").mkdir(parents=True)
    for name in ("log.parquet", "logs/a.parquet", "logs/2024/b.parquet"):
        log.to_parquet(tmp_path / name, index=False)
    log.to_csv(tmp_path / "log.csv", index=False)
    rfm_summary(log, **LOG).to_parquet(tmp_path / "rfm.parquet")
    (tmp_path / "tables").mkdir()
    rfm_summary(log, **LOG).to_parquet(tmp_path / "tables" / "rfm.parquet")
    posterior.save(tmp_path / "posterior.nc")
    (tmp_path / "link.parquet").symlink_to("log.parquet")
    (tmp_path / "link.nc").symlink_to("rfm.parquet")
    (tmp_path / "door").symlink_to("logs")
    os.link(tmp_path / "log.parquet", tmp_path / "twin.parquet")
    # what an older version would write under any name
    for name in ("p.parquet", "p.csv", "p.xlsx", "p.json", "p.html"):
        (tmp_path / name).write_bytes((tmp_path / "posterior.nc").read_bytes())
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


SUMMARIZE = {
    "itself": ["log.parquet", "-o", "log.parquet"],
    "by another spelling": ["log.parquet", "-o", "logs/../log.parquet"],
    "through a link": ["log.parquet", "-o", "link.parquet"],
    "by a hard link": ["log.parquet", "-o", "twin.parquet"],
    "a link is read": ["link.parquet", "-o", "log.parquet"],
    "in the folder": ["logs", "-o", "logs/rfm.parquet"],
    "deep in the folder": ["logs", "-o", "logs/2025/rfm.parquet"],
    "in the folder through a link": ["logs", "-o", "door/rfm.parquet"],
    "the folder is a link": ["door", "-o", "logs/rfm.parquet"],
    "found by the pattern": ["logs/*.parquet", "-o", "logs/rfm.parquet"],
    "found by the pattern at any depth": ["logs/**/*.parquet", "-o", "logs/2026/rfm.parquet"],
    "found by the pattern through a link": ["door/*.parquet", "-o", "logs/rfm.parquet"],
}


@pytest.mark.parametrize("case", SUMMARIZE)
def test_a_summary_never_replaces_its_log(
    place: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(place)
    assert main(["summarize", *SUMMARIZE[case], *LOG_OPTIONS]) == 2
    assert contents(place) == before
    assert "The output" in (said := capsys.readouterr().err)
    assert "another" in said


def test_a_summary_beside_its_log_is_written(place: Path) -> None:
    """What is refused is what would be read, and no more."""
    assert main(["summarize", "logs/*.parquet", "-o", "logs/sub/rfm.parquet", *LOG_OPTIONS]) == 0
    assert main(["summarize", "log.parquet", "-o", "log2.parquet", *LOG_OPTIONS]) == 0
    assert len(RfmTable.from_parquet("log2.parquet")) == 20
    with pytest.raises(SchemaError, match="is an input"):
        rfm_summary_to_parquet(["logs/a.parquet", "log.parquet"], "log.parquet", **LOG)


FITTED = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc"]
COMMANDS = {
    "fit over its table": ["fit", "rfm.parquet", "-o", "rfm.parquet"],
    "fit over its start": ["fit", "rfm.parquet", "-o", "posterior.nc", "--update", "posterior.nc"],
    "fit through a link": ["fit", "rfm.parquet", "-o", "link.nc"],
    "fit over a log": ["fit", "rfm.parquet", "-o", "log.csv"],
    "score over its posterior": [
        *["score", "rfm.parquet", "--posterior", "p.parquet", "-o", "p.parquet"]
    ],
    "score over its table": [
        *["score", "rfm.parquet", "--posterior", "posterior.nc", "-o", "rfm.parquet"]
    ],
    "score into its folder": [
        *["score", "tables", "--posterior", "posterior.nc", "-o", "tables/scores.parquet"]
    ],
    "score among a pattern's files": [
        *["score", "tables/*.parquet", "--posterior", "posterior.nc", "-o", "tables/x.csv"]
    ],
    "score over its folder": [
        *["score", "tables/rfm.parquet", "--posterior", "posterior.nc", "-o", "tables"]
    ],
    "score over its log": [
        *["score", "log.parquet", "--posterior", "posterior.nc", "-o", "log.parquet", *LOG_OPTIONS]
    ],
    "compare over what came": [
        *["compare", "--rfm", "rfm.parquet", "--posterior", "posterior.nc", "-o", "."],
        *["--actual", "comparison.csv"],
    ],
    "report over a backtest": [
        *["report", "--rfm", "rfm.parquet", "--posterior", "posterior.nc", "-o", "report.html"],
        *["--backtest", "bt", "--json", "bt/metrics.json"],
    ],
    "backtest into its log": ["backtest", "logs", "-o", "logs/bt", *LOG_OPTIONS],
    "run into its log": ["run", "logs", "-o", "logs/night", *LOG_OPTIONS],
    "run among a pattern's files": ["run", "tables/*.parquet", "-o", "tables", *LOG_OPTIONS],
    "run over its log": ["run", "tables/rfm.parquet", "-o", "tables", *LOG_OPTIONS],
    "a page over its posterior": [
        *["explore", "--rfm", "rfm.parquet", "--posterior", "p.html", "-o", "p.html"]
    ],
    "a page into the log of its orders": [
        *["explore", *FITTED, "--log", "logs", "-o", "logs/e.html"]
    ],
    "a page over the ids that it shows": [
        *["explore", *FITTED, "--ids", "segments.html", "-o", "segments.html"]
    ],
    "customers over their table": ["customers", *FITTED, "-o", "rfm.parquet"],
    "customers over their posterior": [
        *["customers", "--rfm", "rfm.parquet", "--posterior", "p.xlsx", "-o", "p.xlsx"]
    ],
    "total over its table": ["forecast-total", *FITTED, "-o", "rfm.parquet"],
    "total over its posterior": [
        *["forecast-total", "--rfm", "rfm.parquet", "--posterior", "p.csv", "-o", "p.csv"]
    ],
    "numbers of a total over its posterior": [
        *["forecast-total", "--rfm", "rfm.parquet", "--posterior", "p.json", "--json", "p.json"]
    ],
    "cohorts over their log": ["cohorts", *FITTED, "--log", "log.csv", "-o", "log.csv"],
    "cohorts into their log": ["cohorts", *FITTED, "--log", "logs", "-o", "logs/cohorts.csv"],
    "a picture into the log": ["cohorts", *FITTED, "--log", "logs", "--plot", "logs/c.png"],
    "cohorts over their segments": [
        *["cohorts", *FITTED, "--log", "log.csv", "--segments", "segments.csv"],
        *["-o", "segments.csv"],
    ],
    "segments over what divides them": [
        *["segments", *FITTED, "--segments", "segments.csv", "-o", "segments.csv"]
    ],
    "new customers over their log": ["acquisition", *FITTED, "--log", "log.csv", "-o", "log.csv"],
    "new customers into their log": ["acquisition", *FITTED, "--log", "logs", "-o", "logs/a.csv"],
    "tiers over the earlier ones": [
        *["tiers", *FITTED, "--before", "segments.csv", "--assign", "segments.csv"]
    ],
    "two results in one file": ["tiers", *FITTED, "-o", "new.csv", "--assign", "./new.csv"],
    "lists over their table": [
        *["actions", "--rfm", "lists/customers.csv", "--posterior", "posterior.nc"],
        *["--lists", "lists"],
    ],
    "lists over the table of them": ["actions", *FITTED, "--lists", ".", "-o", "slipping.csv"],
    "months over the plan": [
        *["valuation", *FITTED, "--acquisitions", "segments.csv", "-o", "segments.csv"]
    ],
    "contributions over their log": [
        *["contributions", *FITTED, "--log", "log.csv", "-o", "log.csv"]
    ],
    "shares over their table": ["concentration", *FITTED, "-o", "rfm.parquet"],
    "models over their posterior": [
        *["compare-models", "rfm.parquet", "--posterior", "posterior.nc"],
        *["--posterior", "p.json", "--json", "p.json"],
    ],
    "a ledger over its table": ["track", "rfm.parquet", *FITTED],
    "a ledger into its log": ["track", "logs/l.parquet", "--log", "logs", *LOG_OPTIONS],
    "what was judged over its ledger": [
        *["track", "rfm.parquet", "--log", "log.csv", "-o", "rfm.parquet", *LOG_OPTIONS]
    ],
    "coefficients over their posterior": [
        *["sql", "--posterior", "p.parquet", "-o", "s.sql", "--coefficients", "p.parquet"]
    ],
    "models into their log": ["compare-models", "logs", "--json", "logs/m.json", *LOG_OPTIONS],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_no_command_replaces_what_it_reads(
    place: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "comparison.csv").write_text("customer_id,actual\n1,2\n")
    (place / "segments.csv").write_text("customer_id,segment\n1,a\n")
    (place / "segments.html").write_text("customer_id\n1\n")
    (place / "lists").mkdir()
    RfmTable.from_parquet("rfm.parquet").to_pandas().to_csv("lists/customers.csv", index=False)
    (place / "bt").mkdir()
    (place / "bt" / "metrics.json").write_text("{}")
    before = contents(place)
    assert main(COMMANDS[case]) == 2
    assert contents(place) == before
    assert capsys.readouterr().err.startswith("Error: The ")


def test_every_command_is_tried() -> None:
    tried = {"summarize", *(words[0] for words in COMMANDS.values())}
    assert tried == {*get_command(app).commands} - {"demo"}  # which reads nothing


URLS = ("s3://bucket/x{}", "gs://bucket/x{}", "https://example.org/x{}", "file:///tmp/x{}")


@pytest.mark.parametrize("url", URLS)
def test_urls_are_refused_wherever_a_path_is_asked_for(
    place: Path, url: str, posterior: CLVPosterior, capsys: pytest.CaptureFixture[str]
) -> None:
    table, rfm = url.format(".parquet"), RfmTable.from_parquet("rfm.parquet")
    before = contents(place)
    calls: list[Callable[[], Any]] = [
        lambda: posterior.save(url.format(".nc")),
        lambda: load_posterior(url.format(".nc")),
        lambda: rfm.to_parquet(table),
        lambda: RfmTable.from_parquet(table),
        lambda: rfm_summary(table, **LOG),
        lambda: rfm_summary_to_parquet(table, "a.parquet", **LOG),
        lambda: rfm_summary_to_parquet("log.parquet", table, **LOG),
        lambda: score(table, posterior, "a.parquet"),
        lambda: score("rfm.parquet", table, "a.parquet"),
        lambda: score("rfm.parquet", posterior, table),
        lambda: clvmodels.report(posterior, rfm, output=url.format(".html")),
        lambda: clvmodels.load_backtest(url.format("")),
        lambda: clvmodels.backtest(table, **LOG),
        lambda: clvmodels.compare(["bgnbd", "mbgnbd"], table, **LOG),
        lambda: clvmodels.cohorts(posterior, rfm, log=table),
    ]
    for call in calls:
        with pytest.raises(SchemaError, match="is a URL"):
            call()
    fitted = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc"]
    commands = [
        ["summarize", table, "-o", "a.parquet", *LOG_OPTIONS],
        ["summarize", "log.parquet", "-o", table, *LOG_OPTIONS],
        ["fit", "rfm.parquet", "-o", url.format(".nc")],
        ["fit", table, "-o", "a.nc"],
        ["score", "rfm.parquet", "--posterior", "posterior.nc", "-o", table],
        ["score", "rfm.parquet", "--posterior", url.format(".nc"), "-o", "a.parquet"],
        ["report", *fitted, "-o", url.format(".html")],
        ["report", *fitted, "-o", "r.html", "--json", url.format(".json")],
        ["report", *fitted, "-o", "r.html", "--log", table],
        ["report", *fitted, "-o", "r.html", "--backtest", url.format("")],
        ["compare", *fitted, "-o", url.format("")],
        ["compare", *fitted, "-o", "c", "--actual", table],
        ["backtest", "log.parquet", "-o", url.format(""), *LOG_OPTIONS],
        ["backtest", table, "-o", "b", *LOG_OPTIONS],
        ["demo", "--out", url.format("")],
        ["run", table, "-o", "night", *LOG_OPTIONS],
        ["run", "log.parquet", "-o", url.format(""), *LOG_OPTIONS],
        ["customers", *fitted, "-o", url.format(".csv")],
        ["customers", "--rfm", table, "--posterior", "posterior.nc", "-o", "c.csv"],
        ["forecast-total", *fitted, "-o", url.format(".csv")],
        ["forecast-total", *fitted, "--json", url.format(".json")],
        ["forecast-total", "--rfm", "rfm.parquet", "--posterior", url.format(".nc")],
        ["segments", *fitted, "--by", "T", "-o", url.format(".csv")],
        ["segments", *fitted, "--segments", url.format(".csv")],
        ["acquisition", *fitted, "--log", table],
        ["tiers", *fitted, "--assign", url.format(".csv")],
        ["tiers", *fitted, "--before", url.format(".csv")],
        ["actions", *fitted, "--lists", url.format("")],
        ["actions", *fitted, "--json", url.format(".json")],
        ["concentration", *fitted, "--plot", url.format(".png")],
        ["cohorts", *fitted, "--log", table],
        ["cohorts", *fitted, "--log", "log.csv", "--segments", url.format(".csv")],
        ["cohorts", *fitted, "--log", "log.csv", "-o", url.format(".csv")],
        ["cohorts", *fitted, "--log", "log.csv", "--plot", url.format(".png")],
        ["track", table, *fitted],
        ["track", "l.parquet", "--rfm", table, "--posterior", "posterior.nc"],
        ["track", "l.parquet", *fitted, "--log", table, *LOG_OPTIONS],
        ["sql", "--posterior", "posterior.nc", "-o", url.format(".sql"), "--coefficients", "c.csv"],
        ["sql", "--posterior", "posterior.nc", "-o", "s.sql", "--coefficients", table],
        ["sql", "--posterior", url.format(".nc"), "-o", "s.sql", "--coefficients", "c.csv"],
        ["compare-models", table, *LOG_OPTIONS],
        ["compare-models", "log.parquet", *LOG_OPTIONS, "--json", url.format(".json")],
        [
            *["compare-models", "rfm.parquet", "--posterior", "posterior.nc"],
            *["--posterior", url.format(".nc")],
        ],
    ]
    for command in commands:
        assert main(command) == 2, command
        assert "is a URL" in capsys.readouterr().err, command
    assert contents(place) == before


def test_a_posterior_has_a_name_of_its_own_kind(place: Path, posterior: CLVPosterior) -> None:
    for name in ("rfm.parquet", "log.csv", "posterior"):
        with pytest.raises(SchemaError, match=r"must end in .nc"):
            posterior.save(name)
    assert posterior.save("again.nc").is_file()


def test_patterns_find_what_they_would_find(tmp_path: Path) -> None:
    """Against glob itself, on names that are there."""
    import glob

    names = ["a.parquet", "x/a.parquet", "x/y/a.parquet", "x/y/b.csv", "x/y/z/a.parquet"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = ["*.parquet", "x/*", "x/*/*.parquet", "**/*.parquet", "x/**/a.*", "x/?/[ab].*"]
    for pattern in patterns:
        found = set(glob.glob(str(tmp_path / pattern), recursive=True))
        for name in names:
            path = tmp_path / name
            path.unlink()  # an output that is not there yet
            if str(path) in found:
                with pytest.raises(SchemaError, match="input"):
                    refuse_inputs([path], [tmp_path / pattern])
            else:
                refuse_inputs([path], [tmp_path / pattern])
            path.touch()
