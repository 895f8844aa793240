"""Weeks and months go beyond the date given: that is said, and whole ones are offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.log import audit_expr, summary_expr
from clvmodels.rfm.summary import log_options

NAMES: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
}
# To Thursday, 1997-10-16: neither its week nor its month is over.
DAYS = pd.date_range("1997-01-01", "1997-10-16 12:00", freq="6h")
LOG = pd.DataFrame({"who": np.arange(len(DAYS)) * 7 % 41, "when": DAYS, "paid": 10.0})
GIVEN = "1997-09-03"
WHOLE = "last whole period"


def rows_until(day: str) -> int:
    return int((LOG["when"] < pd.Timestamp(day) + pd.Timedelta(days=1)).sum())


@pytest.mark.parametrize(
    ("unit", "last", "before", "called"),
    [
        ("M", "1997-09-30", "1997-08-31", "calendar month 1997-09-01 to 1997-09-30"),
        ("W", "1997-09-07", "1997-08-31", "calendar week 1997-09-01 to 1997-09-07"),
    ],
)
def test_the_audit_says_how_far_the_last_period_goes(
    unit: Any, last: str, before: str, called: str
) -> None:
    audit = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=GIVEN).audit
    assert audit.rows_used == rows_until(last)
    said = audit.last_period
    assert said.startswith(f"the end given, {GIVEN}, lies within the {called}, all of whose rows")
    assert said.endswith(f"for whole periods only, pass {before} as the end")
    assert said in str(audit)
    whole = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=before).audit
    assert whole.rows_used == rows_until(before)
    assert whole.last_period is None


@pytest.mark.parametrize("unit", ["h", "D"])
def test_days_and_hours_need_no_word(unit: Any) -> None:
    for end in (None, WHOLE):
        found = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=end)
        assert found.audit.last_period is None
        assert found.audit.rows_used == len(LOG)


@pytest.mark.parametrize(("unit", "last"), [("M", "1997-09-30"), ("W", "1997-10-12")])
def test_the_last_whole_period(unit: Any, last: str) -> None:
    begun = clv.rfm_summary(LOG, **NAMES, time_unit=unit)
    assert "the log ends on 1997-10-16, within the calendar" in begun.audit.last_period
    whole = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=WHOLE)
    assert whole.audit.last_period is None
    assert whole == clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=last)
    # of a log that ends with a period it is that period
    until = LOG[LOG["when"] < pd.Timestamp(last) + pd.Timedelta(days=1)]
    again = clv.rfm_summary(until, **NAMES, time_unit=unit, observation_period_end=WHOLE)
    assert again.table.equals(whole.table)
    assert clv.rfm_summary(until, **NAMES, time_unit=unit).audit.last_period is None


@pytest.mark.parametrize("unit", ["M", "W"])
@pytest.mark.parametrize("end", [None, GIVEN, WHOLE])
def test_it_is_the_same_in_every_engine(unit: Any, end: Any, tmp_path: Path) -> None:
    options = {**NAMES, "time_unit": unit, "observation_period_end": end, "segment_cols": ["shop"]}
    log = LOG.assign(shop=LOG["who"].astype(str), when=LOG["when"].astype("datetime64[us]"))
    mine = clv.rfm_summary(log, **options)
    for kind in ("parquet", "csv"):
        source = tmp_path / f"log.{kind}"
        log.to_parquet(source) if kind == "parquet" else log.to_csv(source, index=False)
        clv.rfm_summary_to_parquet(source, tmp_path / "rfm.parquet", **options)
        found = clv.RfmTable.from_parquet(tmp_path / "rfm.parquet")
        assert found.to_pandas().equals(mine.to_pandas())
        assert (found.audit, found.observation_end) == (mine.audit, mine.observation_end)
    stream = pa.Table.from_pandas(log).to_reader()
    assert clv.rfm_summary(stream, **options) == mine
    table = ibis.duckdb.connect().create_table("log", pa.Table.from_pandas(log))
    assert clv.rfm_summary(table, **options) == mine
    asked = {name: one for name, one in options.items() if name != "time_unit"}
    read = log_options(time_unit=unit, **asked)
    found = summary_expr(table, read).order_by("customer_id").to_pyarrow()
    assert found.to_pylist() == mine.table.to_pylist()
    rows = {one["reason"]: one["rows"] for one in audit_expr(table, read).to_pyarrow().to_pylist()}
    assert rows[0] == mine.audit.rows_used


@pytest.mark.parametrize("unit", ["M", "W"])
def test_a_date_that_cannot_be_right_does_not_say_where_the_log_ends(
    unit: Any, tmp_path: Path
) -> None:
    typo = pd.DataFrame({"who": [1], "when": [pd.Timestamp("2105-01-14")], "paid": [10.0]})
    log = pd.concat([LOG, typo], ignore_index=True)
    options = {**NAMES, "time_unit": unit, "implausible_dates": "drop"}
    whole = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=WHOLE)
    found = clv.rfm_summary(log, **options, observation_period_end=WHOLE)
    assert found.table.equals(whole.table)
    assert found.observation_end == whole.observation_end
    assert "the log ends on 1997-10-16" in clv.rfm_summary(log, **options).audit.last_period
    clv.rfm_summary_to_parquet(
        log, tmp_path / "rfm.parquet", **options, observation_period_end=WHOLE
    )
    written = clv.RfmTable.from_parquet(tmp_path / "rfm.parquet").to_pandas()
    assert written.equals(whole.to_pandas())


@pytest.mark.parametrize("order", [None, "order"])
def test_refunds_that_are_dated_back_do_not_say_where_the_log_ends(order: Any) -> None:
    refund = pd.DataFrame({"who": [0], "when": [pd.Timestamp("1997-11-20")], "paid": [-4.0]})
    log = pd.concat([LOG, refund], ignore_index=True)
    log["order"] = [*range(len(LOG)), 0]  # of the first purchase of all
    options = {**NAMES, "time_unit": "M", "refunds": "net_earlier", "order_id_col": order}
    begun = clv.rfm_summary(log, **options)
    assert "the log ends on 1997-11-20" in begun.audit.last_period
    whole = clv.rfm_summary(log, **options, observation_period_end=WHOLE)
    assert whole == clv.rfm_summary(log, **options, observation_period_end="1997-10-31")


@pytest.mark.parametrize("unit", ["M", "W"])
def test_update_ends_with_a_whole_period(unit: Any) -> None:
    old = clv.rfm_summary(
        LOG[LOG["when"] < "1997-06-01"], **NAMES, time_unit=unit, observation_period_end=WHOLE
    )
    whole = clv.rfm_summary(LOG, **NAMES, time_unit=unit, observation_period_end=WHOLE)
    updated = old.update(LOG, observation_period_end=WHOLE)
    assert updated.table.equals(whole.table)
    assert updated.observation_end == whole.observation_end
    assert updated.audit.last_period is None
    begun = old.update(LOG)
    assert "the log ends on 1997-10-16" in begun.audit.last_period
    assert begun.update(LOG[:5]).audit.last_period == begun.audit.last_period


@pytest.mark.parametrize("unit", ["M", "W"])
def test_no_holdout_has_what_training_saw(unit: Any) -> None:
    split = clv.rfm_train_test_split(LOG, **NAMES, time_unit=unit, train_period_end=GIVEN)
    last = {"M": "1997-09-30", "W": "1997-09-07"}[unit]
    assert split.train.audit.rows_used == rows_until(last)
    assert split.test_audit.rows_used == len(LOG) - rows_until(last)
    assert "lies within the calendar" in split.train.audit.last_period
    assert "the log ends on 1997-10-16" in split.test_audit.last_period
    whole = clv.rfm_train_test_split(
        LOG, **NAMES, time_unit=unit, train_period_end="1997-07-31", test_period_end=WHOLE
    )
    last = {"M": "1997-09-30", "W": "1997-10-12"}[unit]
    assert whole.train.audit.rows_used + whole.test_audit.rows_used == rows_until(last)
    assert whole.test_audit.last_period is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_backtest_says_so_and_takes_whole_periods() -> None:
    rng = np.random.default_rng(3)
    log = LOG.assign(who=rng.geometric(0.02, len(LOG)))
    options = {
        **NAMES,
        "monetary_value_col": None,
        "time_unit": "W",
        "method": "map",
        "on_failure": "warn",
        "bootstrap": 20,
    }
    options |= {"progressbar": False, "train_period_end": GIVEN}
    found = clv.backtest(log, **options)
    whole = clv.backtest(log, **options, test_period_end=WHOLE)
    assert (found.train_end, found.test_end) == ("1997-09-07", "1997-10-19")
    assert any(note.startswith(f"Calibration: the end given, {GIVEN}") for note in found.notes)
    assert any(note.startswith("Holdout: the log ends on 1997-10-16") for note in found.notes)
    assert whole.test_end == "1997-10-12"
    assert not any(note.startswith("Holdout") for note in whole.notes)


def test_the_command_line_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    source, target = tmp_path / "log.csv", tmp_path / "rfm.parquet"
    LOG.to_csv(source, index=False)
    command = ["summarize", str(source), "-o", str(target), "--customer-id", "who"]
    command += ["--timestamp", "when", "--amount", "paid", "--time-unit", "M"]
    assert main([*command, "--observation-end", GIVEN]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"the end given, {GIVEN}, lies within the calendar month" in said
    assert "observed until 1997-09-30" in said
    assert main([*command, "--observation-end", WHOLE]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "lies within" not in said
    assert "observed until 1997-09-30" in said
    assert clv.RfmTable.from_parquet(target).audit.rows_used == rows_until("1997-09-30")
