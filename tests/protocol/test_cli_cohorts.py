"""``clvmodels cohorts``: what `cohorts` finds, printed, written and drawn, or one error."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from tests.readable import too_long
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR

GIVEN = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc", "--log", "log.parquet"]
QUICK = ["--months", "12", "--paths", "60", "--draws", "60", "--calendar", "none"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LOG.to_parquet("log.parquet", index=False)
    clv.rfm_summary(LOG, **COLUMNS).to_parquet("rfm.parquet")
    POSTERIOR.save("posterior.nc")


def run(*more: str) -> int:
    return main(["cohorts", *GIVEN, *QUICK, *more])


def test_table_json_and_picture(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["-o", "found.csv", "--json", "found.json", "--plot", "found.png"]
    assert run("--cac", "20", *files) == 0
    out = capsys.readouterr().out
    assert too_long(out, 100) == []
    assert "Value per customer so far, by months since the first order" in out
    assert "paid back" in out
    assert "Wrote found.png" in out
    wanted = clv.cohorts(
        clv.load_posterior("posterior.nc"), clv.RfmTable.from_parquet("rfm.parquet"),
        log="log.parquet", months=12, paths=60, draws=60, calendar="none", cac=20.0,
    )  # fmt: skip
    pd.testing.assert_frame_equal(pd.read_csv("found.csv"), wanted.table, check_dtype=False)
    assert json.loads(Path("found.json").read_text()) == json.loads(json.dumps(wanted.to_dict()))
    assert Path("found.png").read_bytes()[:4] == b"\x89PNG"


def test_segments_are_read_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    ids = clv.RfmTable.from_parquet("rfm.parquet").to_pandas()["customer_id"]
    channel = ["web" if i % 2 else "shop" for i in range(len(ids))]
    pd.DataFrame({"customer_id": ids, "channel": channel}).to_csv("channels.csv", index=False)
    more = ["--segments", "channels.csv", "--cohort", "none", "--cac", "web=20", "--cac", "shop=5"]
    assert run(*more, "-o", "found.parquet") == 0
    assert "web" in capsys.readouterr().out
    found = pd.read_parquet("found.parquet")
    assert found["channel"].unique().tolist() == ["shop", "web", "(whole)"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--cac", "cheap"], "CAC 'cheap' must be a number"),
        (["--cac", "3", "--cac", "4"], "given several times"),
        (["--by", "x", "--segments", "log.parquet"], "Give --by or --segments, not both"),
        (["--segments", "log.parquet"], "must have two columns"),
        (["--plot", "found.doc"], "must end in .png or .svg"),
        (["--by", "channel"], "is not a segment column"),
    ],
)
def test_errors_are_one_line(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*more) == 2
    assert said in " ".join(capsys.readouterr().err.split())
