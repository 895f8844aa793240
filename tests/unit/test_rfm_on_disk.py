"""A log summarised from files to a file is the table that `rfm_summary` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from clvmodels import RfmTable, rfm_summary, rfm_summary_to_parquet
from clvmodels.datasets import load_cdnow
from clvmodels.errors import SchemaError
from clvmodels.log import left_out_expr
from clvmodels.log.audit import Reason
from clvmodels.log.embedded import Resources
from clvmodels.machine import bytes_of, check_memory_limit

COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    frame = load_cdnow(sample=True)[["customer_id", "date", "amount"]].copy()
    frame["shop"] = np.where((frame["customer_id"] + frame.index) % 3 == 0, "a", "b")
    frame.loc[frame.index[::50], "amount"] = -1.0
    frame.loc[frame.index[::71], "amount"] = np.nan
    return frame


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"time_unit": "W", "observation_period_end": "1997-12-31", "margin": 0.3},
        {"refunds": "net", "zero_amounts": "drop", "duplicates": "drop", "time_scaler": 7},
        {"segment_cols": ["shop"]},
        {"segment_cols": ["shop"], "varying_segments": "last", "refunds": "net", "time_scaler": 7},
    ],
    ids=["default", "weeks", "net", "segments", "last"],
)
def test_it_is_the_table_of_memory(
    log: pd.DataFrame, tmp_path: Path, suffix: str, options: dict[str, Any]
) -> None:
    path = tmp_path / f"log{suffix}"
    log.to_csv(path, index=False) if suffix == ".csv" else log.to_parquet(path)
    out = tmp_path / "new folder" / "rfm.parquet"
    audit = rfm_summary_to_parquet(path, out, **COLUMNS, **options, memory_limit="500MB", threads=1)
    wanted = rfm_summary(path, **COLUMNS, **options)
    found = RfmTable.from_parquet(out)
    # Sums of amounts are exact to the last bit or so: threads add in another order.
    pd.testing.assert_frame_equal(found.to_pandas(), wanted.to_pandas(), rtol=1e-13, atol=0.0)
    assert found._header() == wanted._header()
    assert audit == wanted.audit
    assert [file.name for file in out.parent.iterdir()] == ["rfm.parquet"]


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
@pytest.mark.parametrize("ids", ["numbers", "text"])
def test_customers_in_parts_are_the_same_customers(
    log: pd.DataFrame, tmp_path: Path, ids: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log.copy()
    log["customer_id"] = log["customer_id"].astype("Int64" if ids == "numbers" else "str")
    log.loc[log.index[::97], "customer_id"] = None
    path, whole, parted = (tmp_path / f"{name}.parquet" for name in ("log", "whole", "parted"))
    log.to_parquet(path)
    rfm_summary_to_parquet(path, whole, **COLUMNS, memory_limit="500MB", threads=1)
    monkeypatch.setattr("clvmodels.log.embedded._BYTES_A_ROW", 1_000_000)
    assert Resources("500MB").parts(len(log)) == 14
    audit = rfm_summary_to_parquet(path, parted, **COLUMNS, memory_limit="500MB", threads=1)
    assert RfmTable.from_parquet(parted) == RfmTable.from_parquet(whole)
    assert audit.rows_left_out(Reason.NO_CUSTOMER) == log["customer_id"].isna().sum() > 0
    assert audit.rows_read == len(log)


@pytest.mark.parametrize("change", ["grown", "another"])
def test_a_log_that_changes_while_it_is_read_is_refused(
    log: pd.DataFrame, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "log", tmp_path / "rfm.parquet"
    folder.mkdir()
    log.to_parquet(folder / "1.parquet")

    def meddled(*args: Any) -> Any:
        longer = pd.concat([log, log]) if change == "grown" else log
        longer.to_parquet(folder / ("1.parquet" if change == "grown" else "2.parquet"))
        return left_out_expr(*args)

    monkeypatch.setattr("clvmodels.rfm.on_disk.left_out_expr", meddled)
    with pytest.raises(SchemaError, match="changed while it was read"):
        rfm_summary_to_parquet(folder, out, **COLUMNS)
    assert not out.exists()


def test_a_log_without_purchases_leaves_the_old_file(log: pd.DataFrame, tmp_path: Path) -> None:
    path, out = tmp_path / "log.parquet", tmp_path / "rfm.parquet"
    log.assign(amount=-1.0).to_parquet(path)
    out.write_text("old")
    with pytest.raises(SchemaError, match="6,919 refund"):
        rfm_summary_to_parquet(path, out, **COLUMNS)
    assert out.read_text() == "old"
    assert {file.name for file in tmp_path.iterdir()} == {"log.parquet", "rfm.parquet"}


@pytest.mark.slow
def test_little_memory_is_enough(tmp_path: Path) -> None:
    """Three million rows in a hundred megabytes: the engine has to spill."""
    rng, rows = np.random.default_rng(1), 3_000_000
    path, out = tmp_path / "log.parquet", tmp_path / "rfm.parquet"
    days = rng.integers(0, 700, rows).astype("timedelta64[D]")
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 1_000_000, rows),
            "date": np.datetime64("2023-01-01") + days,
            "amount": rng.integers(1, 10_000, rows) / 100,
        }
    )
    frame.to_parquet(path)
    audit = rfm_summary_to_parquet(path, out, **COLUMNS, memory_limit="150MB")
    found = pq.read_table(out, columns=["frequency", "monetary_value", "first_value"]).to_pandas()
    assert audit.rows_read == rows
    assert len(found) == frame["customer_id"].nunique() == audit.customers
    spent = (found["frequency"] * found["monetary_value"] + found["first_value"]).sum()
    assert spent == pytest.approx(frame["amount"].sum(), rel=1e-9)


@pytest.mark.parametrize("limit", ["", "many", "-1GB", "0GB", "4 G B", 4])
def test_a_limit_that_is_none(limit: Any) -> None:
    with pytest.raises(SchemaError, match="such as '4GB'"):
        check_memory_limit(limit)


def test_limits_are_understood() -> None:
    assert check_memory_limit(" 2G ") == "2GB"
    assert check_memory_limit("1.5GiB") == "1.5GiB"
    assert check_memory_limit(None).endswith("MiB")


@pytest.mark.parametrize(
    ("limit", "size"),
    [("2GB", 2e9), ("1.5GiB", 1.5 * 2**30), ("300MiB", 300 * 2**20), ("7 kB", 7e3), ("9B", 9)],
)
def test_limits_are_bytes(limit: str, size: float) -> None:
    assert bytes_of(check_memory_limit(limit)) == size
