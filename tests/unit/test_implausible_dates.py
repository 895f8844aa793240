"""Dates that cannot be right do not move a base in silence; nor do logs that are right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    RfmTable,
    backtest,
    rfm_summary,
    rfm_summary_to_parquet,
    rfm_train_test_split,
)
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.errors import SchemaError
from clvmodels.log import plausible
from clvmodels.log.purchases import collect_purchases
from clvmodels.rfm.summary import log_options

LOG = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
LOG_OPTIONS = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    return load_cdnow(sample=True)[["customer_id", "date", "amount"]]


def with_dates(log: pd.DataFrame, *dates: str) -> pd.DataFrame:
    """Add a row of customer 4 for each date."""
    stamps = np.array(dates, dtype="datetime64[s]")
    more = pd.DataFrame({"customer_id": 4, "date": stamps, "amount": 9.0})
    return pd.concat([log.astype({"date": "datetime64[s]"}), more], ignore_index=True)


def same(found: RfmTable, expected: RfmTable) -> None:
    """Sums of amounts may differ in their last bit: their order is another."""
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas(), rtol=1e-12, atol=1e-9)


WRONG = {
    "a mistyped century": ("2105-01-14",),
    "a mistyped year": ("1999-05-30",),
    "two of them": ("2005-06-30", "2099-12-31"),
    "six of them": tuple(f"{year}-06-30" for year in range(2003, 2009)),
    "a placeholder": ("1970-01-01",),
    "an older placeholder": ("1900-01-01", "1900-01-01"),
    "no placeholder, but far before": ("1987-03-04",),
    "at both ends": ("1900-01-01", "2105-01-14"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("unit", ["D", "W", "M", "h"])
def test_they_are_refused_with_what_they_are(cdnow: pd.DataFrame, case: str, unit: str) -> None:
    log = with_dates(cdnow, *WRONG[case])
    with pytest.raises(SchemaError, match=r"cannot be right: .* \(customer 4\), while") as error:
        rfm_summary(log, **LOG, time_unit=unit)
    said = str(error.value)
    assert unit == "W" or WRONG[case][-1][:7] in said
    assert "implausible_dates='drop'" in said
    assert ("observation_period_end" in said) is any(date > "1998-07" for date in WRONG[case])


@pytest.mark.parametrize("case", WRONG)
def test_they_can_be_left_out_or_meant(cdnow: pd.DataFrame, case: str) -> None:
    clean = rfm_summary(cdnow, **LOG)
    log = with_dates(cdnow, *WRONG[case])
    dropped = rfm_summary(log, **LOG, implausible_dates="drop")
    same(dropped, clean)
    assert dropped.observation_end == clean.observation_end
    assert dropped.audit is not None
    lines = {item.reason: (item.rows, item.amount) for item in dropped.audit.left_out}
    count = len(WRONG[case])
    assert lines["implausible date"] == (count, 9.0 * count)
    assert dropped.audit.rows_read == len(log)
    kept = rfm_summary(log, **LOG, implausible_dates="keep")
    assert max(kept.table["T"].to_pylist()) > 700
    if not any(date < "1997" for date in WRONG[case]):
        said = rfm_summary(log, **LOG, observation_period_end="1998-06-30")
        same(said, clean)


def test_a_row_that_is_not_used_moves_the_end_no_more(cdnow: pd.DataFrame) -> None:
    log = with_dates(cdnow, "2003-01-14")
    log.loc[log.index[-1], "amount"] = np.nan
    with pytest.raises(SchemaError, match="2003-01-14, while"):
        rfm_summary(log, **LOG)
    clean = rfm_summary(cdnow, **LOG)
    same(rfm_summary(log, **LOG, implausible_dates="drop"), clean)


BACK = {**LOG, "train_period_end": "1997-09-30"}
SOURCES: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "pandas": lambda log, _: log,
    "a stream": lambda log, _: __import__("pyarrow").Table.from_pandas(log).to_reader(),
    "Parquet": lambda log, folder: _written(log, folder / "log.parquet"),
    "CSV": lambda log, folder: _written(log, folder / "log.csv"),
    "a database": lambda log, folder: _in_database(log, folder),
}


def _written(log: pd.DataFrame, path: Path) -> str:
    if path.suffix == ".csv":
        log.to_csv(path, index=False)
    else:
        log.to_parquet(path, index=False)
    return str(path)


def _in_database(log: pd.DataFrame, folder: Path) -> Any:
    (folder / "shop.db").unlink(missing_ok=True)
    with duckdb.connect(str(folder / "shop.db")) as connection:
        connection.register("frame", log)
        connection.execute("CREATE TABLE log AS SELECT * FROM frame")
    return ibis.duckdb.connect(folder / "shop.db").table("log")


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_does_alike(cdnow: pd.DataFrame, tmp_path: Path, kind: str) -> None:
    log = with_dates(cdnow, "1900-01-01", "2003-01-14")

    def source() -> Any:
        return SOURCES[kind](log, tmp_path)

    for refused in (
        lambda: rfm_summary(source(), **LOG),
        lambda: rfm_summary_to_parquet(source(), tmp_path / "a.parquet", **LOG),
        *([lambda: backtest(source(), **BACK)] if kind != "a database" else []),
    ):
        with pytest.raises(SchemaError, match="1900-01-01, 2003-01-14"):
            refused()
    clean = rfm_summary(cdnow, **LOG)
    found = rfm_summary(source(), **LOG, implausible_dates="drop")
    same(found, clean)
    path = tmp_path / "a.parquet"
    audit = rfm_summary_to_parquet(source(), path, **LOG, implausible_dates="drop")
    same(RfmTable.from_parquet(path), clean)
    assert audit == found.audit


def test_commands_do_alike(
    cdnow: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with_dates(cdnow, "2105-01-14").to_parquet("log.parquet")
    command = ["summarize", "log.parquet", "-o", "rfm.parquet", *LOG_OPTIONS]
    assert main(command) == 2
    assert "Leave such rows out with --implausible-dates drop" in capsys.readouterr().err
    assert main([*command, "--implausible-dates", "drop"]) == 0
    assert "implausible date" in capsys.readouterr().out
    same(RfmTable.from_parquet("rfm.parquet"), rfm_summary(cdnow, **LOG))


@pytest.mark.slow
def of_two_shops(cdnow: pd.DataFrame) -> pd.DataFrame:
    """One shop closed half a year in; rows of the other go on for a year."""
    closed = (cdnow["date"] < "1997-07-01") & (cdnow["customer_id"] % 2 == 0)
    return cdnow.assign(shop=np.where(closed, "closed", "open"))


def without_ids(log: pd.DataFrame, rows: Any) -> pd.DataFrame:
    return log.assign(customer_id=log["customer_id"].astype("Int64").mask(rows))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("how", ["error", "drop"])
def test_rows_left_out_in_numbers_are_no_stray_dates(
    cdnow: pd.DataFrame, tmp_path: Path, kind: str, how: Any
) -> None:
    """By their last day alone they were: a year behind all that was used."""
    shops = of_two_shops(cdnow)
    guests = without_ids(shops, shops["shop"] == "open")
    options: Any = {**LOG, "implausible_dates": how}
    ends = []
    for log, where in ((shops, "shop = 'closed'"), (guests, None)):
        found = rfm_summary(SOURCES[kind](log, tmp_path), **options, where=where)
        assert len(found) == shops.loc[shops["shop"] == "closed", "customer_id"].nunique()
        assert found.audit is not None
        assert sum(one.rows for one in found.audit.left_out) == (shops["shop"] == "open").sum()
        ends.append(found.observation_end)
        target = tmp_path / "on_disk.parquet"
        rfm_summary_to_parquet(SOURCES[kind](log, tmp_path), target, **options, where=where)
        same(RfmTable.from_parquet(target), found)
    assert ends == [pd.Timestamp("1998-06-30")] * 2


@pytest.mark.parametrize("unit", ["D", "W", "M"])
@pytest.mark.parametrize("date", ["2003-01-14", "1970-01-01"])
@pytest.mark.parametrize("reason", ["not chosen by where", "no customer"])
def test_a_stray_date_of_a_row_left_out_for_another_reason_moves_no_end(
    cdnow: pd.DataFrame, tmp_path: Path, unit: Any, date: str, reason: str
) -> None:
    log = with_dates(cdnow, date, date).assign(paid="yes")
    stray = log.index >= len(cdnow)
    where = "paid = 'yes'" if reason == "not chosen by where" else None
    log = log.assign(paid=np.where(stray, "no", "yes")) if where else without_ids(log, stray)
    options: Any = {**LOG, "time_unit": unit, "where": where}
    clean = rfm_summary(cdnow, **LOG, time_unit=unit)
    if date > "1998":
        with pytest.raises(SchemaError, match="2003-01"):
            rfm_summary(log, **options)
    else:  # what lies before all customers changes nothing
        same(rfm_summary(log, **options), clean)
    found = rfm_summary(log, **options, implausible_dates="drop")
    same(found, clean)
    assert (found.observation_end, found.audit.last_period) == (
        clean.observation_end,
        clean.audit.last_period,
    )
    assert {one.reason: one.rows for one in found.audit.left_out}[reason] == 2
    target = tmp_path / "on_disk.parquet"
    log.to_parquet(tmp_path / "log.parquet")
    source = str(tmp_path / "log.parquet")
    rfm_summary_to_parquet(source, target, **options, implausible_dates="drop")
    same(RfmTable.from_parquet(target), clean)
    asked = log_options(**options, implausible_dates="drop")
    plain = log_options(**LOG, time_unit=unit)
    assert collect_purchases(log, asked).last == collect_purchases(cdnow, plain).last


def test_spark_does_alike(cdnow: pd.DataFrame, spark: Any) -> None:
    from clvmodels.spark import rfm_summary as on_spark

    log = spark.createDataFrame(with_dates(cdnow, "1900-01-01", "2003-01-14"))
    with pytest.raises(SchemaError, match="1900-01-01, 2003-01-14"):
        on_spark(log, **LOG)
    found = on_spark(log, **LOG, implausible_dates="drop")
    expected = rfm_summary(cdnow, **LOG)
    assert found.observation_end == expected.observation_end
    assert found.audit.rows_used == len(cdnow)
    rows = found.table.toArrow().sort_by("customer_id")
    assert rows["T"].to_pylist() == expected.table["T"].to_pylist()


# --- logs that are right -----------------------------------------------------------------


@pytest.mark.parametrize("unit", ["D", "W", "M", "h"])
def test_real_logs_are_taken_as_they_are(unit: str) -> None:
    rfm_summary(load_cdnow(), **LOG, time_unit=unit)
    columns = {"customer_id_col": "customer_id", "datetime_col": "timestamp"}
    rfm_summary(load_online_retail(), **columns, time_unit=unit)


SMALL = {
    "one row": ["2024-01-01"],
    "two rows, far apart": ["2014-01-01", "2024-01-01"],
    "one customer who comes back": [
        *pd.date_range("2014-01-01", periods=300).astype(str),
        "2024-01-01",
    ],
    "yearly": [f"{year}-12-24" for year in range(1994, 2024)],
}


@pytest.mark.parametrize("case", SMALL)
def test_small_logs_are_taken_as_they_are(case: str) -> None:
    log = pd.DataFrame({"customer_id": 1, "date": pd.to_datetime(SMALL[case]), "amount": 1.0})
    assert len(rfm_summary(log, **LOG)) == 1


@pytest.mark.parametrize("customers", [60, 300, 3000])
@pytest.mark.parametrize("rate", [0.02, 0.3, 3.0])
def test_simulated_logs_are_taken_as_they_are(customers: int, rate: float) -> None:
    """Sparse and dense ones, of one day of acquisition and of three years."""
    rng = np.random.default_rng(customers + round(100 * rate))
    for days, seed in ((1, 0), (1095, 1), (1095, 2)):
        start = rng.integers(0, days, customers)
        gaps = rng.exponential(30 / rate, (customers, 40)).cumsum(axis=1)
        stays = rng.exponential(400, customers)
        dates = start[:, None] + np.concatenate([np.zeros((customers, 1)), gaps], axis=1)
        there = (dates <= 1095) & (dates - start[:, None] <= np.maximum(stays, 1)[:, None])
        who, _ = np.nonzero(there)
        stamps = pd.Timestamp("2020-01-01") + pd.to_timedelta(dates[there].astype(int), unit="D")
        log = pd.DataFrame({"customer_id": who, "date": stamps, "amount": 1.0 + seed})
        rfm_summary(log, **LOG)


def test_the_future_is_refused_whatever_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = pd.DataFrame(
        {"customer_id": [1, 2], "date": pd.to_datetime(["2024-05-01", "2031-05-01"]), "amount": 1.0}
    )
    monkeypatch.setattr(plausible, "today", lambda scale: 20_000)  # 2024-10-04
    with pytest.raises(SchemaError, match=r"2031-05-01 \(customer 2\)"):
        rfm_summary(log, **LOG)
    assert len(rfm_summary(log, **LOG, observation_period_end="2031-05-01")) == 2
    monkeypatch.setattr(plausible, "today", lambda scale: 30_000)
    assert len(rfm_summary(log, **LOG)) == 2


def test_a_holdout_is_judged_too(cdnow: pd.DataFrame) -> None:
    log = with_dates(cdnow, "2004-05-30")
    with pytest.raises(SchemaError, match="cannot be right: 2004-05-30"):
        rfm_train_test_split(log, **LOG, train_period_end="1997-09-30")
    split = rfm_train_test_split(
        log, **LOG, train_period_end="1997-09-30", implausible_dates="drop"
    )
    clean = rfm_train_test_split(cdnow, **LOG, train_period_end="1997-09-30")
    pd.testing.assert_frame_equal(split.to_pandas(), clean.to_pandas())


# --- ids that are words for missing ------------------------------------------------------

WORDS = [
    "nan",
    "None",
    "NULL",
    " NA ",
    "<NA>",
    "n/a",
    "guest",
    "#N/A",
    "(None)",
    "?",
    "\tNaN\n",
    " ",
]


@pytest.mark.parametrize("word", WORDS)
def test_words_for_missing_are_named_and_can_be_left_out(cdnow: pd.DataFrame, word: str) -> None:
    log = cdnow.assign(customer_id=cdnow["customer_id"].astype(str))
    clean = rfm_summary(log[:-50], **LOG, observation_period_end="1998-06-30")
    log.loc[log.index[-50:], "customer_id"] = word
    with pytest.warns(UserWarning, match="probably stands for rows without a customer") as said:
        table = rfm_summary(log, **LOG, observation_period_end="1998-06-30")
    named = [str(one.message) for one in said if one.category is UserWarning]
    assert [one[: len(word) + 16] for one in named] == [f"The customer {word!r} "[: len(word) + 16]]
    assert table.audit is not None
    assert any(repr(word) in note for note in table.audit.notes)
    left = rfm_summary(log, **LOG, observation_period_end="1998-06-30", missing_ids=[word])
    same(left, clean)
    assert left.audit is not None
    assert left.audit.left_out[0].rows == 50


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_numbers_that_stand_for_everybody(cdnow: pd.DataFrame, number: int, kind: str) -> None:
    log = cdnow.assign(customer_id=cdnow["customer_id"].where(cdnow.index % 10 > 0, number))
    clean = rfm_summary(
        log[log["customer_id"] != number].astype({"customer_id": kind.replace("float", "int")}),
        **LOG,
        observation_period_end="1998-06-30",
    )
    log = log.astype({"customer_id": kind})
    end = {"observation_period_end": "1998-06-30"}
    with pytest.warns(UserWarning, match=rf"The customer '?{number}'? in"):
        rfm_summary(log, **LOG, **end)
    found = rfm_summary(log, **LOG, **end, missing_ids=[number])
    same(found, clean)


def test_a_customer_zero_is_a_customer(cdnow: pd.DataFrame) -> None:
    """Who buys as often as others do is not in doubt."""
    log = cdnow.assign(customer_id=cdnow["customer_id"] - cdnow["customer_id"].min())
    assert 0 in rfm_summary(log, **LOG).table["customer_id"].to_pylist()


def test_a_mistyped_refund_of_an_order_does_not_end_its_purchases(cdnow: pd.DataFrame) -> None:
    """Its purchases are dated back to the order, and would not show the date."""
    orders = cdnow.assign(order=np.arange(len(cdnow)))
    first = orders.iloc[[0]]
    refund = first.assign(amount=-first["amount"], date=pd.Timestamp("2105-01-14"))
    options = log_options(
        **LOG, refunds="net_earlier", order_id_col="order", implausible_dates="drop"
    )
    found = collect_purchases(pd.concat([orders, refund]), options)
    want = collect_purchases(orders, options)
    assert found.last == want.last
    frames = (one.table.to_pandas() for one in (found, want))
    pd.testing.assert_frame_equal(*frames, rtol=1e-12)
