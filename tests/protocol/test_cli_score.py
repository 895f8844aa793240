"""``clvmodels score``: exit codes, rejects, logs, log lines, progress, resumption."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    load_posterior,
    rfm_summary,
)
from clvmodels.cli import main
from clvmodels.cli import score as command
from clvmodels.cli.terminal import Terminal
from clvmodels.datasets import load_cdnow
from clvmodels.scoring import Scorer
from tests.readable import WIDTH

LOG_OPTIONS = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
LOG = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, its summary, a summary with bad rows, and a posterior."""
    folder = tmp_path_factory.mktemp("score")
    log = load_cdnow(sample=True).query("customer_id < 10000")
    log.to_parquet(folder / "log.parquet", index=False)
    rfm = rfm_summary(log, **LOG, observation_period_end="1997-09-30")
    rfm.to_parquet(folder / "rfm.parquet")
    bad = rfm.to_pandas()
    bad.loc[[5, 9], "recency"] = -1.0
    bad.loc[[20], "customer_id"] = bad["customer_id"].iloc[21]
    bad.to_parquet(folder / "bad.parquet", index=False)
    rng = np.random.default_rng(7)
    purchases = {
        name: value * rng.lognormal(0, 0.05, 100)
        for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.05, 100), v=15.4)
    CLVPosterior(BetaGeoPosterior.from_draws(**purchases), spend).save(folder / "posterior.nc")
    return folder


def arguments(files: Path, source: str, output: str, *more: str) -> list[str]:
    posterior = str(files / "posterior.nc")
    return ["score", str(files / source), "--posterior", posterior, "-o", output, *more]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def records(text: str) -> list[dict[str, Any]]:
    """Parse every line, and check what every record has."""
    found = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "event"} <= set(record) for record in found)
    return found


# --- outputs -----------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["s.parquet", "s.csv", "s.csv.gz", "s.duckdb", "s", "s.db"])
def test_every_output_is_shown_alike(
    files: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files, "rfm.parquet", output)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    wanted = load_posterior(files / "posterior.nc").predict(
        RfmTable.from_parquet(files / "rfm.parquet")
    )
    assert f"{wanted['clv'].sum():,.0f}" in out
    share = wanted["clv"].nlargest(round(0.2 * len(wanted))).sum() / wanted["clv"].sum()
    assert f"{100 * share:.3g} %" in out
    once = wanted["frequency"] == 0
    assert re.search(rf"bought only once +{once.sum():,}$", out, re.MULTILINE)
    value = wanted.loc[once, "clv"].sum()
    assert re.search(rf"their expected value +{value:,.0f}$", out, re.MULTILINE)
    for _, best in wanted.nlargest(10, "clv").iterrows():
        assert re.search(
            rf"^{best['customer_id']:.0f} .* {best['clv']:,.0f} ", out, re.MULTILINE
        ), best
    assert f"Wrote {output} ({len(wanted):,} customers" in out
    assert names_in(Path()) == sorted([output, "s.manifest.json"])


def test_a_log_is_scored_in_one_step(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--observation-end", "1997-09-30", "--memory-limit", "500MB", "--margin", "0.3"]
    options += ["--refunds", "net", "--threads", "1", "--intervals", "all", "--draws", "40"]
    assert main(arguments(files, "log.parquet", "s.parquet", *LOG_OPTIONS, *options)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "rows of the log" in out
    assert "a margin of 30 % on revenue" in " ".join(out.split())
    table = rfm_summary(
        files / "log.parquet", **LOG, observation_period_end="1997-09-30", margin=0.3, refunds="net"
    )
    wanted = load_posterior(files / "posterior.nc").predict(table, draws=40)
    pd.testing.assert_frame_equal(pd.read_parquet("s.parquet"), wanted, rtol=1e-9)


def test_a_table_of_a_database_has_its_name(files: Path) -> None:
    assert main(arguments(files, "rfm.parquet", "crm.db", "--table", "clv", "-q")) == 0
    with duckdb.connect("crm.db", read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM clv").fetchone() == (
            len(RfmTable.from_parquet(files / "rfm.parquet")),
        )


# --- rejects -----------------------------------------------------------------------------


def test_rejects_are_exit_code_3_and_the_rest_is_scored(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files, "bad.parquet", "s.parquet", "--quiet")) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    total = len(pd.read_parquet(files / "bad.parquet"))
    assert err.startswith(f"Warning: 4 of {total:,} rows could not be scored")
    for part in ("2 recency is negative", "2 customer has more than one row"):
        assert part in err
    assert "s.rejects.parquet" in err
    assert len(pd.read_parquet("s.parquet")) == total - 4
    assert pd.read_parquet("s.rejects.parquet")["source_row"].tolist() == [5, 9, 20, 21]
    assert main(arguments(files, "bad.parquet", "s.parquet")) == 3
    assert "Wrote s.rejects.parquet (4 rows" in capsys.readouterr().out


def test_rejects_may_be_allowed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(files, "bad.parquet", "s.parquet", "--allow-rejects")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Wrote s.rejects.parquet (4 rows that could not be scored" in out


def test_nothing_but_rejects_is_told(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_parquet(files / "bad.parquet").assign(recency=-1.0)
    frame.to_parquet("bad.parquet", index=False)
    posterior = str(files / "posterior.nc")
    assert main(["score", "bad.parquet", "--posterior", posterior, "-o", "s.csv"]) == 3
    out, _ = capsys.readouterr()
    assert "most valuable" not in out
    assert "Wrote s.csv (0 customers" in out


# --- log lines ---------------------------------------------------------------------------


def test_log_lines_are_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--log-json", "--quiet", "--block-rows", "300"]
    assert main(arguments(files, "bad.parquet", "s.parquet", *options)) == 3
    out, err = capsys.readouterr()
    assert out == ""
    found = records(err)
    events = [record["event"] for record in found]
    blocks = [record for record in found if record["event"] == "block"]
    total = len(pd.read_parquet(files / "bad.parquet"))
    assert events == [
        *("start", "staged", "scoring"),
        *["block"] * len(blocks),
        *("published", "warning", "end"),
    ]
    assert [record["done"] for record in blocks][-1] == total
    assert all(record["rows_per_second"] > 0 for record in blocks)
    assert sum(record["rejected"] for record in blocks) == 4
    assert found[-1]["exit_code"] == 3
    assert found[-2]["level"] == "warning"


def test_errors_and_warnings_are_log_lines_too(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in (["--draws", "0"], ["--draws", "many"], ["--time-unit", "W"]):
        assert main(arguments(files, "rfm.parquet", "s.parquet", "--log-json", *more)) == 2
        found = records(capsys.readouterr().err)
        assert [record["event"] for record in found] == ["error", "end"]
        assert found[-1]["exit_code"] == 2
    pd.read_parquet(files / "rfm.parquet").head(0).to_parquet("none.parquet")
    none = ["score", "none.parquet", "--posterior", str(files / "posterior.nc"), "-o", "s.parquet"]
    assert main([*none, "--log-json", "-q"]) == 0
    found = records(capsys.readouterr().err)
    (warning,) = (record["message"] for record in found if record["event"] == "warning")
    assert warning.startswith("none.parquet")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "score", interrupted)
    assert main(arguments(files, "rfm.parquet", "t.parquet", "--log-json")) == 130
    found = records(capsys.readouterr().err)
    assert [record["event"] for record in found][-2:] == ["error", "end"]


def test_without_log_json_there_are_no_records(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files, "rfm.parquet", "s.parquet", "-q")) == 0
    assert capsys.readouterr() == ("", "")


# --- progress and resumption -------------------------------------------------------------


def test_a_bar_shows_rows_per_second_and_time_left() -> None:
    terminal = Terminal()
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    terminal.err = Console(file=screen, force_terminal=True, width=WIDTH)
    block = {"block": 0, "done": 4_000_000, "of": 10_000_000, "rows_per_second": 250_000}
    with command._watched(terminal, bar=True) as listen:
        listen("scoring", {"rows": 10_000_000, "done": 0})
        listen("block", block)
    for part in ("Scoring", "250,000 rows/s", "40%"):
        assert part in screen.getvalue()
    for hidden in (Terminal(quiet=True), Terminal()):
        with hidden.err.capture() as captured, command._watched(hidden, bar=True) as listen:
            listen("scoring", {"rows": 10, "done": 0})
        assert captured.get() == ""


def test_a_killed_run_goes_on(files: Path) -> None:
    code = """
import os, signal, sys
from clvmodels.cli import main
from clvmodels.scoring import Scorer
real, calls = Scorer.score, []
def counted(*arguments):
    if len(calls) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    calls.append(1)
    return real(*arguments)
Scorer.score = counted
sys.exit(main(sys.argv[1:]))
"""
    again = arguments(files, "bad.parquet", "s.parquet", "--block-rows", "150", "--allow-rejects")
    environment = {**os.environ, "PYTHONPATH": str(Path(clvmodels.__file__).parents[1])}
    killed = subprocess.run(
        [sys.executable, "-c", code, *again],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert killed.returncode == -9, killed.stderr
    assert names_in(Path()) == ["s.partial"]
    assert main([*again, "--draws", "77"]) == 2
    assert main(again) == 0
    assert names_in(Path()) == ["s.manifest.json", "s.parquet", "s.rejects.parquet"]
    whole = arguments(files, "bad.parquet", "whole.parquet", "--allow-rejects", "-q")
    assert main(whole) == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet("s.parquet"), pd.read_parquet("whole.parquet"), rtol=1e-9
    )


def test_another_half_finished_run_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("s.partial")
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "run.json").write_text('{"options": {"draws": 7}}')
    assert main(arguments(files, "rfm.parquet", "s.parquet")) == 2
    err = capsys.readouterr().err
    assert err.startswith("Error: s.partial holds a half-finished run that differs")
    assert err.count("\n") == 1
    assert names_in(folder) == ["lock", "run.json"]


def test_an_engine_that_is_not_there_is_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert main(arguments(files, "rfm.parquet", "s", "--engine", "spark")) == 2
    err = capsys.readouterr().err
    assert err.startswith("Error: ")
    assert "spark" in err.lower()
    assert err.count("\n") == 1


def test_rates_in_percent_and_horizons_of_every_kind(files: Path, capsys: Any) -> None:
    """A rate of 10 is refused; lower case, words and bare numbers are said with their unit."""
    line = arguments(files, "rfm.parquet", "units.parquet")
    assert main([*line, "--discount-rate", "10"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "--discount-rate 10.0 is 1,000 % a year: did you mean 0.10?" in error
    for given, said in (("12m", "12 months"), ("2 weeks", "2 weeks"), ("12", "12 days")):
        assert main([*line, "--horizon", given]) == 0
        assert f"over the next {said}," in " ".join(capsys.readouterr().out.split())
    assert main([*line, "--horizon", "12 moons"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "--horizon '12 moons' is not one length of time" in error
