"""Rows that cannot be used: said even when quiet, and a job fails where they are too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    rfm_summary,
    rfm_summary_to_parquet,
    score,
)
from clvmodels.cli import main
from clvmodels.errors import SchemaError
from clvmodels.rejects import RejectLimit

LOG = {"customer_id_col": "customer", "datetime_col": "date", "monetary_value_col": "amount"}
LOG_OPTIONS = ["--customer-id", "customer", "--timestamp", "date", "--amount", "amount"]
ROWS = 400


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """Return a folder with a good base, one of bad rows, logs, and a posterior."""
    monkeypatch.chdir(tmp_path)
    days = pd.date_range("2024-01-01", periods=ROWS, freq="D")
    log = pd.DataFrame({"customer": np.arange(ROWS) % 80, "date": days, "amount": 10.0})
    log.to_parquet("log.parquet", index=False)
    log.assign(amount=log["amount"].where(log.index % 50 > 0)).to_parquet("holes.parquet")
    rfm_summary(log, **LOG).to_parquet("rfm.parquet")
    frame = RfmTable.from_parquet("rfm.parquet").to_pandas()
    frame.assign(recency=frame["recency"].where(frame.index >= 8, -1)).to_parquet("some.parquet")
    frame.assign(recency=-1.0).to_parquet("all.parquet")
    spread = rng.lognormal(0, 0.05, 50)
    purchases = BetaGeoPosterior.from_draws(r=0.24 * spread, alpha=31.0, a=0.79, b=2.43)
    spend = GammaGammaPosterior.from_draws(p=6.2, q=3.7 * spread, v=15.4)
    CLVPosterior(purchases, spend).save("posterior.nc")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("given", "rejected", "allowed"),
    [
        (0, 0, True),
        (0, 1, False),
        ("0", 1, False),
        (5, 5, True),
        (5, 6, False),
        (1, 1, True),
        (1, 2, False),
        (0.01, 10, True),
        (0.01, 11, False),
        ("1%", 10, True),
        ("1 %", 11, False),
        ("0.01", 11, False),
        ("100%", 1000, True),
        ("0%", 1, False),
    ],
)
def test_a_limit_is_a_share_or_a_number(given: Any, rejected: int, allowed: bool) -> None:
    limit = RejectLimit.read(given)
    assert limit is not None
    assert limit.allows(rejected, 1000) is allowed


@pytest.mark.parametrize("given", [-1, 1.5, "1.5", "a few", "-1%", "101%", "nan", True, "inf", ""])
def test_what_is_no_limit_is_refused(given: Any) -> None:
    with pytest.raises(SchemaError, match="must be a share of the rows"):
        RejectLimit.read(given)


OUTPUTS = ("scores.parquet", "scores.csv", "scores.duckdb", "scores")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("limit", ["5%", "7", "0", 0.099])
def test_too_many_rejects_leave_last_nights_output(place: Path, output: str, limit: Any) -> None:
    score("rfm.parquet", "posterior.nc", output, draws=20)
    before = contents(place)
    with pytest.raises(SchemaError, match=r"8 of 80 rows \(10.0 %\) cannot be used .*left as it"):
        score("some.parquet", "posterior.nc", output, draws=20, max_rejects=limit)
    assert contents(place) == before
    report = score("some.parquet", "posterior.nc", output, draws=20, max_rejects="10%", **QUIET)
    assert (report.scored, report.rejected) == (72, 8)


QUIET = {"allow_rejects": True}


@pytest.mark.parametrize("output", OUTPUTS)
def test_nothing_replaces_a_good_output(place: Path, output: str) -> None:
    """Where every row is rejected, the rejects can be had under another name."""
    score("rfm.parquet", "posterior.nc", output, draws=20)
    before = contents(place)
    with pytest.raises(SchemaError, match=r"all of them: .* written by an earlier run, is left"):
        score("all.parquet", "posterior.nc", output, draws=20, **QUIET)
    assert contents(place) == before
    report = score("all.parquet", "posterior.nc", "other.parquet", draws=20, **QUIET)
    assert (report.scored, report.rejected) == (0, 80)
    assert len(pd.read_parquet("other.rejects.parquet")) == 80


def test_a_log_that_cannot_be_read_is_said_even_when_quiet(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two percent of the amounts are missing."""
    fitted = ["--posterior", "posterior.nc", "--draws", "20"]
    for command in (
        ["summarize", "holes.parquet", "-o", "a.parquet", "--quiet", *LOG_OPTIONS],
        ["score", "holes.parquet", "-o", "b.parquet", "--quiet", *fitted, *LOG_OPTIONS],
    ):
        assert main(command) == 0
        said = capsys.readouterr()
        assert not said.out
        assert "Warning: 8 of 400 rows (2.0 %) cannot be used (8 non-finite amount)" in said.err
        assert "to be given by --date-format and --decimal." in said.err
    with pytest.warns(UserWarning, match="8 of 400 rows"):
        rfm_summary(pd.read_parquet("holes.parquet"), **LOG)


@pytest.mark.parametrize("limit", ["1%", "7"])
def test_an_unreadable_log_fails_before_anything_is_written(
    place: Path, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = ["--posterior", "posterior.nc", "--draws", "20"]
    assert main(["summarize", "log.parquet", "-o", "a.parquet", *LOG_OPTIONS]) == 0
    assert main(["score", "log.parquet", "-o", "b.parquet", *fitted, *LOG_OPTIONS]) == 0
    before = contents(place)
    capsys.readouterr()
    for command in (
        ["summarize", "holes.parquet", "-o", "a.parquet", *LOG_OPTIONS],
        ["score", "holes.parquet", "-o", "b.parquet", *fitted, *LOG_OPTIONS],
    ):
        assert main([*command, "--max-rejects", limit]) == 2
        assert f"more than --max-rejects {limit} allows" in capsys.readouterr().err
        assert contents(place) == before


@pytest.mark.slow
def test_spark_fails_alike(place: Path, spark: Any) -> None:
    from clvmodels.spark import score_files

    score_files("rfm.parquet", "posterior.nc", "scores", draws=20)
    before = contents(place)
    refused = "8 of 80 rows .* more than max_rejects=5% allows"
    with pytest.raises(SchemaError, match=refused):
        score_files("some.parquet", "posterior.nc", "scores", draws=20, max_rejects="5%")
    with pytest.raises(SchemaError, match="all of them"):
        score_files("all.parquet", "posterior.nc", "scores", draws=20, allow_rejects=True)
    with pytest.raises(SchemaError, match=r"8 of 400 rows .* more than max_rejects=7 allows"):
        score_files("holes.parquet", "posterior.nc", "scores", draws=20, max_rejects=7, **LOG)
    assert contents(place) == before


def test_a_log_of_few_holes_is_no_news(place: Path, recwarn: pytest.WarningsRecorder) -> None:
    log = pd.read_parquet("log.parquet")
    log.loc[:3, "amount"] = np.nan
    log.to_parquet("few.parquet")
    rfm_summary_to_parquet("few.parquet", "a.parquet", **LOG, max_rejects="1%")
    assert not [found for found in recwarn.list if found.category is UserWarning]
