"""``clvmodels forecast-total``: forecast_total's numbers, printed and written, or one error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from tests.readable import too_long
from tests.unit.test_forecast_total import posterior_of, table


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    posterior_of().save("posterior.nc")
    table(120).to_parquet("rfm.parquet")


def run(*more: str) -> int:
    given = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc"]
    return main(["forecast-total", *given, *more])


def said(**options: Any) -> Any:
    rfm = clv.RfmTable.from_parquet("rfm.parquet")
    return clv.forecast_total(clv.load_posterior("posterior.nc"), rfm, **options)


def test_horizons_go_into_a_csv_file_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["-o", "found.csv", "--json", "found.json"]
    assert run("--horizon", "30D", "--horizon", "90D", "--by", "channel", *files) == 0
    out = capsys.readouterr().out
    wanted = said(horizon=["30D", "90D"], by=["channel"])
    found = pd.read_csv("found.csv")
    pd.testing.assert_frame_equal(found, wanted.table, check_dtype=False)
    record = json.loads(Path("found.json").read_text())
    assert record == json.loads(json.dumps(wanted.to_dict()))
    assert record["calendar"] == {"sd": 0.15, "source": "assumed"}
    assert [row["total"] for row in record["rows"]] == found["total"].tolist()
    assert "An assumption, not a result" in " ".join(out.split())
    assert "purchases web 30 days" in " ".join(out.split())
    assert too_long(out, 100) == []


def test_months_have_their_whole_and_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--path", "M", "--horizon", "90D", "--scenario", "2024-07=1.5", "--calendar", "0.2"]
    assert run(*options, "--json", "found.json", "--seed", "3", "--paths", "60") == 0
    out = " ".join(capsys.readouterr().out.split())
    how: dict[str, Any] = {"calendar": 0.2, "scenario": {"2024-07": 1.5}, "paths": 60}
    wanted = said(horizon="90D", path="M", random_seed=3, **how)
    record = json.loads(Path("found.json").read_text())
    assert record["edges"] == list(wanted.edges)
    assert record["whole"][0]["mean"] == wanted.whole.table["mean"][0]
    assert "Scenario: 2024-07 x 1.5." in out
    assert "month purchases plan with value plan with" in out
    assert "2024-07 " in out
    assert "90 days expected plan with" in out
    assert "the standard deviation of 20 % that was asked for" in out


def test_quiet_writes_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--horizon", "30D", "--paths", "60", "-o", "found.parquet", "--quiet") == 0
    assert capsys.readouterr().out == ""
    assert len(pd.read_parquet("found.parquet")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenario", "2024-07"], "must be a period and its factor, such as 2024-12=1.2"),
        (["--scenario", "2024-07=1", "--scenario", "2024-07=2"], "names 2024-07 twice"),
        (["--scenario", "2031-07=1"], "not within the horizon"),
        (["--horizon", "none"], "need a finite horizon"),
        (["--horizon", "30D", "--horizon", "60D", "--path", "M"], "goes to one horizon"),
        (["--by", "shop"], "is not a segment column"),
        (["--calendar", "much"], "must be auto, none, or the sd"),
        (["--calendar", "3"], "--calendar 3.0 must lie between 0 and 1"),
        (["-o", "found.txt"], "found.txt"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
