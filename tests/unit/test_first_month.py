"""Logs that begin in the middle of business: seen, said, and set apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.errors import SchemaError
from clvmodels.rfm import label_first_month, without_first_month
from clvmodels.rfm.first_month import first_month
from clvmodels.simulate import simulate_log

COLUMNS: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
TRUTH = {"r": 1.0, "alpha": 5.0, "a": 0.5, "b": 5.0}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return simulate_log(3000, **TRUTH, T=(1.0, 1000.0), seed=1)[["customer_id", "date"]]


@pytest.fixture(scope="module")
def begun(log: pd.DataFrame) -> clv.RfmTable:
    start = log["date"].min() + pd.Timedelta(days=400)
    return clv.rfm_summary(log[log["date"] >= start], **COLUMNS)


def test_a_log_from_the_first_day_has_no_such_month(log: pd.DataFrame) -> None:
    found = first_month(clv.rfm_summary(log, **COLUMNS))
    assert found is not None
    assert not found.differs
    assert found.crowd == pytest.approx(1.0, abs=0.35)


def test_a_log_that_was_cut_has(begun: clv.RfmTable) -> None:
    found = first_month(begun)
    assert found is not None
    assert found.differs
    assert found.crowd > 3
    table = begun.to_pandas()
    early = table["T"].max() - table["T"] < 30.4375
    after = (table["T"].max() - table["T"] < 4 * 30.4375) & ~early
    assert found.customers == early.sum()
    rates = [table[who]["frequency"].sum() / table[who]["T"].sum() for who in (early, after)]
    assert found.rate == pytest.approx(rates[0] / rates[1])
    assert found.share == pytest.approx(early.mean())


def test_real_logs() -> None:
    assert first_month(clv.rfm_summary(load_cdnow(), **COLUMNS)) is None  # one quarter's customers
    columns = COLUMNS | {"datetime_col": "timestamp", "monetary_value_col": "amount"}
    found = first_month(clv.rfm_summary(load_online_retail(), **columns))
    assert found is not None
    assert found.differs
    assert (found.customers, round(found.rate, 2), round(found.crowd, 2)) == (885, 1.97, 2.1)


def test_they_are_set_apart(begun: clv.RfmTable) -> None:
    labelled = label_first_month(begun)
    assert labelled.segment_cols == ("first_month",)
    first = labelled.to_pandas()["first_month"] == "first month"
    rest = without_first_month(begun)
    assert first.sum() + len(rest) == len(begun)
    expected = begun.to_pandas()["customer_id"][~first.to_numpy()]
    assert np.array_equal(rest.to_pandas()["customer_id"], expected)
    with pytest.raises(SchemaError, match="a column 'first_month' already"):
        label_first_month(labelled)
    with pytest.raises(SchemaError, match="All customers came within the first month"):
        without_first_month(clv.rfm_summary(begun_at_once(), **COLUMNS))


def begun_at_once() -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [1, 2], "date": ["2024-01-01", "2024-01-05"]})


def test_the_report_says_so(begun: clv.RfmTable) -> None:
    posterior = clv.BetaGeoPosterior.from_draws(**{k: [v, v * 1.01] for k, v in TRUTH.items()})
    checks = clv.report(posterior, begun).record.checks
    (check,) = [c for c in checks if c.name.startswith("purchase rate of the first month")]
    assert check.status == "warn"
    assert check.bears_on == ("totals", "customers")
    assert "label_first_month" in check.advice


def test_a_backtest_leaves_them_out_of_calibration_and_holdout(log: pd.DataFrame) -> None:
    start = log["date"].min() + pd.Timedelta(days=400)
    paid = log[log["date"] >= start].assign(status="paid")
    unpaid = paid.head(50).assign(status="open", customer_id=-7)
    options: dict[str, Any] = {
        **COLUMNS,
        "train_period_end": start + pd.Timedelta(days=350),
        "where": "status = 'paid'",
        "method": "map",
        "bootstrap": 20,
        "draws": 20,
        "progressbar": False,
    }
    both = pd.concat([paid, unpaid])
    found = clv.backtest(both, **options, without_first_month=True, sensitivity=True)
    split = clv.rfm_train_test_split(
        paid, **COLUMNS, train_period_end=options["train_period_end"]
    ).to_pandas()
    later = split[split["T"].max() - split["T"] >= 30.4375]
    customers = found.customers.sort_values("customer_id", ignore_index=True)
    assert customers["customer_id"].tolist() == sorted(later["customer_id"])
    assert found.settings["without_first_month"] is True
    assert found.settings["customers_back"] == (later["test_frequency"] > 0).sum()
    left_out = len(split) - len(later)
    assert f"{left_out:,} customers of the log's first month are left out" in found.notes
    assert found.sensitivity is not None
    assert not clv.backtest(both, **options).settings["without_first_month"]


def test_the_command_line_leaves_them_out(
    begun: clv.RfmTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rfm.parquet"
    begun.to_parquet(path)
    fit = ["fit", str(path), "-o", str(tmp_path / "found.nc"), "--method", "map", "--seed", "1"]
    assert main([*fit, "--without-first-month"]) == 0
    left_out = len(begun) - len(without_first_month(begun))
    said = " ".join(capsys.readouterr().out.split())
    assert f"{left_out:,} customers were left out of the fit: of the log's first month" in said
    want = clv.BetaGeoModel().fit(
        without_first_month(begun), method="map", random_seed=1, progressbar=False
    )
    found = clv.load_posterior(tmp_path / "found.nc")
    pd.testing.assert_frame_equal(found.summary(), want.summary())


def test_what_warns_of_them_names_the_ways_out(begun: clv.RfmTable) -> None:
    posterior = clv.BetaGeoModel().fit(begun, method="map", progressbar=False)
    check = next(
        one
        for one in clv.report(posterior, begun).record.checks
        if one.name.startswith("purchase rate of the first month")
    )
    assert check.status == "warn"
    assert "--without-first-month" in check.advice
    assert "label_first_month" in check.advice
