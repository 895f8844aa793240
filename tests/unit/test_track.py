"""Forecasts in a ledger: what is recorded, and what is judged when it is due."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.evaluation import judge_forecasts, read_ledger, record_forecast
from tests.readable import too_long

LOG = clv.datasets.load_cdnow(sample=True)
COLUMNS: Any = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
PAGE = Path(__file__).parents[2] / "docs" / "in_service.md"
FEW: Any = {"draws": 40, "paths": 100}


def posterior(faster: float = 1.0, dearer: float = 1.0, draws: int = 40) -> Any:
    """About what a fit of CDNOW says, with a rate and a spend that may be wrong."""
    noise = np.exp(0.05 * np.random.default_rng(4).standard_normal((7, draws)))
    bought = clv.BetaGeoPosterior.from_draws(
        r=0.24 * noise[0], alpha=31.0 * noise[1] / faster, a=0.8 * noise[2], b=2.4 * noise[3]
    )
    spent = clv.GammaGammaPosterior.from_draws(
        p=6.2 * noise[4], q=3.7 * noise[5], v=15.4 * dearer * noise[6]
    )
    return clv.CLVPosterior(bought, spent)


def table(end: str, **options: Any) -> clv.RfmTable:
    log = LOG[LOG["date"] <= end]
    return clv.rfm_summary(log, observation_period_end=end, **{**COLUMNS, **options})


def test_what_came_is_what_a_split_of_the_log_counts(tmp_path: Path) -> None:
    ledger, rfm = tmp_path / "ledger.parquet", table("1997-09-30")
    made = record_forecast(posterior(), rfm, ledger, horizon=["30D", "12W"], margin=0.3, **FEW)
    assert set(made["horizon"]) == {"30D", "12W"}
    assert made.groupby("group")["customers"].first().to_dict() == {
        **{str(i): 472 if i in (1, 3) else 471 for i in range(1, 6)},
        "(whole)": 2357,
    }
    found = judge_forecasts(ledger, LOG, **COLUMNS)
    split = clv.rfm_train_test_split(
        LOG, train_period_end="1997-09-30", test_period_end="1997-12-23", **COLUMNS
    )
    test = split.test
    rows = found.table[found.table["horizon"] == "12W"].set_index(["total", "group"])["actual"]
    money = (test["test_frequency"] * test["test_monetary_value"]).sum()
    assert rows["purchases", "(whole)"] == test["test_frequency"].sum()
    assert rows["value", "(whole)"] == pytest.approx(0.3 * money)
    groups = [str(i) for i in range(1, 6)]
    assert rows["purchases"][groups].sum() == rows["purchases", "(whole)"]
    scores = posterior().predict(rfm, horizon="12W", discount_rate=0.0)
    best = scores.nlargest(472, "clv")["customer_id"]
    mine = test[test["customer_id"].isin(best)]
    assert rows["purchases", "1"] == mine["test_frequency"].sum()
    assert found.pending == 0
    assert not found.notes


def test_forecasts_are_those_of_totals_to_plan_with(tmp_path: Path) -> None:
    rfm = table("1997-09-30")
    made = record_forecast(posterior(), rfm, tmp_path / "l.parquet", horizon="90D", **FEW)
    wanted = clv.forecast_total(posterior(), rfm, horizon="90D", discount_rate=0.0, **FEW).table
    whole = made[made["group"] == "(whole)"].set_index("total")
    for row in wanted.to_dict("records"):
        assert whole.loc[row["total"], "mean"] == pytest.approx(row["mean"], rel=1e-12)
        assert whole.loc[row["total"], "lower"] == pytest.approx(row["lower"], rel=0.05)


def test_a_vintage_is_replaced_and_others_stay(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.parquet"
    for end, faster in (("1997-09-30", 1.0), ("1997-12-31", 1.0), ("1997-12-31", 1.5)):
        record_forecast(posterior(faster), table(end), ledger, horizon="30D", **FEW)
    rows = len(read_ledger(ledger))
    record_forecast(posterior(), table("1997-12-31"), ledger, horizon="30D", **FEW)
    assert len(read_ledger(ledger)) == rows == 36
    found = judge_forecasts(ledger, LOG, **COLUMNS)
    assert len(found.table.drop_duplicates(["as_of", "fingerprint"])) == 3


def test_a_wrong_model_raises_both_alarms(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.parquet"
    wrong = posterior(dearer=20.0)
    record_forecast(wrong, table("1997-09-30"), ledger, horizon=["30D", "365D"], **FEW)
    found = judge_forecasts(ledger, LOG, **COLUMNS)
    assert found.pending == 1
    assert any("outside the forecast" in line for line in found.alarms)
    assert any("groups by forecast value" in line for line in found.alarms)
    whole = found.table[found.table["group"] == "(whole)"].set_index("total")
    assert not whole.loc["value", "inside"]
    record_forecast(posterior(), table("1997-12-31"), ledger, horizon="30D", **FEW)
    later = judge_forecasts(ledger, LOG, **COLUMNS)
    assert not later.alarms  # the latest vintage is a good one
    assert later.by_horizon["vintages"].tolist() == [2, 2]
    assert json.loads(json.dumps(later.to_dict()))["rows"][0]["as_of"] == "1997-09-30"


def test_weeks_no_amounts_and_other_customers(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.parquet"
    weekly = clv.BetaGeoPosterior.from_draws(
        r=[0.24, 0.25], alpha=[4.4, 4.5], a=[0.8, 0.8], b=[2.4, 2.5], time_scaler=7
    )
    rfm = table("1997-09-30", time_scaler=7, monetary_value_col=None)
    record_forecast(weekly, rfm, ledger, horizon=["4W", 12.0], **FEW)
    columns = {**COLUMNS, "monetary_value_col": None}
    found = judge_forecasts(ledger, LOG, **columns)
    assert set(found.table["horizon"]) == {"4W", "12"}
    assert set(found.table["total"]) == {"purchases"}
    some = LOG[LOG["customer_id"] % 2 == 0]
    fewer = judge_forecasts(ledger, some, **columns)
    assert "were of 2,357 customers" in fewer.notes[0]
    assert set(fewer.table["group"]) == {"(whole)"}
    half = clv.rfm_summary(
        some[some["date"] <= "1997-09-30"],
        observation_period_end="1997-09-30",
        time_scaler=7,
        **columns,
    )
    other = tmp_path / "half.parquet"
    record_forecast(weekly, half, other, horizon="4W", **FEW)
    assert judge_forecasts(other, LOG, **columns).notes
    only = judge_forecasts(other, LOG, rfm=half, **columns)
    assert not only.notes
    assert len(only.table) == 6


def test_nobody_may_have_bought(tmp_path: Path) -> None:
    ledger, early = tmp_path / "l.parquet", LOG[LOG["date"] <= "1997-09-30"]
    record_forecast(posterior(), table("1997-09-30"), ledger, horizon="30D", **FEW)
    stranger = pd.DataFrame({"customer_id": [10**6], "date": ["1998-01-01"], "amount": [5.0]})
    stranger["date"] = pd.to_datetime(stranger["date"])
    log = pd.concat([early, stranger])
    found = judge_forecasts(ledger, log, implausible_dates="keep", **COLUMNS)
    assert (found.table["actual"] == 0).all()
    assert found.alarms


def test_what_is_no_ledger_or_has_no_date_is_refused(tmp_path: Path) -> None:
    ledger, rfm = tmp_path / "l.parquet", table("1997-09-30")
    undated = clv.RfmTable.from_frame(rfm.to_pandas())
    with pytest.raises(clv.SchemaError, match="does not know when its observation ended"):
        record_forecast(posterior(), undated, ledger)
    with pytest.raises(clv.SchemaError, match="There is no ledger"):
        judge_forecasts(ledger, LOG, **COLUMNS)
    rfm.to_parquet(ledger)
    before = ledger.read_bytes()
    with pytest.raises(clv.SchemaError, match="is not a ledger"):
        record_forecast(posterior(), rfm, ledger, horizon="30D", **FEW)
    assert ledger.read_bytes() == before
    ledger.write_text("no Parquet")
    with pytest.raises(clv.SchemaError, match="cannot be read as a ledger"):
        judge_forecasts(ledger, LOG, **COLUMNS)


def test_a_ledger_that_could_not_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, rfm = tmp_path / "l.parquet", table("1997-09-30")
    record_forecast(posterior(), rfm, ledger, horizon="30D", **FEW)
    before = ledger.read_bytes()

    def torn(self: Any, path: Any, **options: Any) -> None:
        Path(path).write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", torn)
    with pytest.raises(KeyboardInterrupt):
        record_forecast(posterior(1.2), rfm, ledger, horizon="30D", **FEW)
    assert ledger.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["l.parquet"]


def test_the_command_records_judges_and_raises_the_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    LOG.to_csv("orders.csv", index=False)
    table("1997-09-30").to_parquet("rfm.parquet")
    posterior(dearer=20.0).save("wrong.nc")
    made = ["--rfm", "rfm.parquet", "--posterior", "wrong.nc", "--draws", "40", "--paths", "100"]
    log = ["--log", "orders.csv", "--customer-id", "customer_id", "--timestamp", "date"]
    log += ["--amount", "amount"]
    both = ["track", "ledger.parquet", *made, "--horizon", "30D", *log]
    assert main(both) == 0  # on the first night nothing is due
    capsys.readouterr()
    assert main([*both, "--json", "judged.json", "-o", "judged.csv", "--only-these"]) == 7
    said = capsys.readouterr()
    assert "1997-09-30 30D" in " ".join(said.out.replace("\n", " ").split())
    assert too_long(said.out, 100) == []
    assert "value within 30D of 1997-09-30" in said.err
    assert json.loads(Path("judged.json").read_text())["alarms"]
    assert len(pd.read_csv("judged.csv")) == 12
    for wrong, words in (
        (["track", "ledger.parquet"], "nothing to do"),
        (["track", "ledger.parquet", *made[:2]], "give both"),
        (["track", "ledger.parquet", "--log", "orders.csv"], "--customer-id"),
        (["track", "ledger.parquet", *log, "--only-these"], "--only-these"),
        (["track", "ledger.parquet", *made, "--json", "j.json"], "give --log"),
        (["track", "ledger.csv", *log], "must end in"),
        (["track", "rfm.parquet", *made], "rfm.parquet"),
        (["track", "https://example.com/l.parquet", *log], "https"),
    ):
        assert main(wrong) == 2
        assert words in " ".join(capsys.readouterr().err.split()), wrong


def _ended(clvmodels: Any) -> int | None:
    try:
        return int(clvmodels("track", "ledger.parquet"))
    except RuntimeError:
        return None


class Anything:
    """Stands for whatever a scheduler has: called, decorated with, shifted."""

    def __call__(self, *given: Any, **options: Any) -> Any:
        if not given or not callable(given[0]) or isinstance(given[0], Anything):
            return self

        def decorated(*more: Any) -> Any:
            ended = given[0](*more)
            return self if ended is None else ended

        return decorated

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace if name == "AssetCheckResult" else self

    def __rshift__(self, other: Any) -> Any:
        return other


@pytest.mark.parametrize("scheduler", ["airflow", "dagster"])
def test_schedulers_run_the_commands_of_the_page(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if scheduler in one]
    for name in ("airflow", "airflow.decorators", "pendulum", "dagster"):
        monkeypatch.setitem(sys.modules, name, Anything())
    called: list[list[str]] = []
    code = 0

    def run(command: list[str], **options: Any) -> Any:
        called.append(command)
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr(subprocess, "run", run)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(block, "page", "exec"), names)
    if scheduler == "airflow":
        assert sorted(one[1] for one in called) == ["run", "track"]
    else:
        names["scores"]()
        assert names["forecasts_hold"]().passed
    for code in (7, 2):
        assert (code == 7) == (_ended(names["clvmodels"]) == 7)
    for command in called:
        options = {one for one in command if one.startswith("--")}
        help_of = importlib.import_module("typer.testing").CliRunner()
        from clvmodels.cli.commands import app

        shown = help_of.invoke(app, [command[1], "--help"], env={"COLUMNS": "200"}).output
        assert all(one in shown for one in options), command
