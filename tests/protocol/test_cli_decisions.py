"""Commands that say what to do with the values: what the functions find, printed and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from tests.readable import too_long
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR

GIVEN = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc", "--draws", "60"]
CHANNEL = LOG["customer_id"].map(lambda one: ("web", "=shop")[one % 2])
RFM = clv.rfm_summary(LOG.assign(channel=CHANNEL), segment_cols=["channel"], margin=0.4, **COLUMNS)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LOG.to_parquet("log.parquet", index=False)
    RFM.to_parquet("rfm.parquet")
    POSTERIOR.save("posterior.nc")


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main([command[0], *GIVEN, *command[1:]]) == 0
    out = capsys.readouterr().out
    assert too_long(out, 100) == []
    return " ".join(out.split())


def written(name: str = "found.json") -> Any:
    return json.loads(Path(name).read_text())


def same(rows: list[dict[str, Any]], wanted: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        pd.DataFrame(rows), wanted.reset_index(drop=True), check_dtype=False
    )


def test_acquisition(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--ratio", "3", "--payback", "6M", "--cac", "20", "--win", "1000")
    out = printed(capsys, "acquisition", *asked, "-o", "found.csv", "--json", "found.json")
    assert "may cost back in" in out
    assert "margin of 40 %" in out
    wanted = clv.acquisition_report(
        POSTERIOR, RFM, target_ratio=3.0, payback="6M", cac=20.0, customers=1000.0, draws=60
    )
    same(written()["rows"], wanted)
    same(pd.read_csv("found.csv").to_dict("records"), wanted)


def test_acquisition_by_segments_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    table = RFM.to_pandas()[["customer_id", "channel"]]
    table.rename(columns={"channel": "way"}).to_csv("ways.csv", index=False)
    quick = ("--log", "log.parquet", "--calendar", "none", "--paths", "60")
    asked = ("--segments", "ways.csv", "--cac", "web=20", "--win", "web=5", *quick)
    printed(capsys, "acquisition", *asked, "-o", "found.csv", "--json", "found.json")
    assert [row["way"] for row in written()["rows"]] == ["=shop", "web", "(whole)"]
    found = pd.read_csv("found.csv")
    assert found["way"].tolist() == ["'=shop", "web", "(whole)"], "no cell is a formula"
    assert found["acquired"].tolist() == [0.0, 5.0, 5.0]


def test_segments(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "segments", "--by", "channel", "--json", "found.json")
    assert "cac" not in out
    same(written()["rows"], clv.segment_report(POSTERIOR, RFM, by="channel", draws=60))
    assert "ltv:cac" in printed(capsys, "segments", "--by", "channel", "--spent", "web=900")


def test_tiers_and_who_moved(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--assign", "tiers.csv", "--plot", "tiers.svg", "--json", "found.json")
    out = printed(capsys, "tiers", *asked)
    assert "every customer's tier" in out
    assert "<svg" in Path("tiers.svg").read_text()
    same(written()["rows"], clv.tier_report(POSTERIOR, RFM, draws=60))
    again = printed(capsys, "tiers", "--before", "tiers.csv", "--json", "moved.json")
    assert "Who was in which tier before" in again
    moved = pd.DataFrame(written("moved.json")["movement"]).T
    assert moved.to_numpy().sum() == len(RFM)
    assert all(moved.loc[name, name] for name in moved.index if name != "new")


def test_actions(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "actions", "--lists", "lists", "--json", "found.json", "--top", "0.1")
    wanted = clv.action_lists(POSTERIOR, RFM, draws=60, top=0.1)
    same(written()["rows"], wanted.counts)
    assert pd.read_csv("lists/slipping.csv")["customer_id"].tolist() == (
        wanted.slipping["customer_id"].tolist()
    )
    assert len(pd.read_csv("lists/customers.csv")) == len(RFM)
    assert "Wrote lists/one_time.csv" in out


def test_concentration(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--share", "0.1", "--json", "found.json", "--plot", "found.png")
    assert "Gini coefficient" in printed(capsys, "concentration", *asked)
    found = written()
    same(found["rows"], clv.top_shares(POSTERIOR, RFM, shares=[0.1], draws=60))
    values = POSTERIOR.predict(RFM, draws=60)
    assert found["gini"]["expected value"] == pytest.approx(clv.gini(values), rel=1e-12)
    assert Path("found.png").read_bytes()[:4] == b"\x89PNG"


def test_of_purchases_alone(capsys: pytest.CaptureFixture[str]) -> None:
    POSTERIOR.purchases.save("posterior.nc")
    assert "Customers by expected purchases" in printed(capsys, "tiers")
    assert "buys buys" in printed(capsys, "actions")
    assert main(["acquisition", *GIVEN]) == 2
    assert "A value needs a posterior of purchases and of spend" in capsys.readouterr().err
    assert "40.00" not in printed(capsys, "acquisition", "--basket-value", "40")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["acquisition", "--by", "channel"], "The model does not know its new customers by"),
        (["acquisition", "--win", "many"], "--win 'many' must be a number"),
        (["acquisition", "--log", "log.parquet", "--horizon", "100D"], "must be whole months"),
        (["acquisition", "--log", "log.parquet", "--by", "channel", "--win", "9"], "how many of"),
        (["segments"], "Name what divides the customers"),
        (["tiers", "--assign", "tiers.doc"], "must end in .csv"),
        (["tiers", "--before", "none.csv"], "There is no file"),
        (["actions", "--lists", "log.parquet"], "is a file: name a folder"),
        (["concentration", "--share", "2"], "a share of customers lies in"),
    ],
)
def test_errors_are_one_line(
    command: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command[0], *GIVEN, *command[1:]]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
