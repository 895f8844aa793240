"""Logs that begin in the middle of business: seen, said, and set apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
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
