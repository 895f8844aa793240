"""The SQL that warehouses get: snapshots, and a log that is counted in another DuckDB.

A change of the expressions, of Ibis or of sqlglot shows here. Where it is wanted, write the
snapshots anew and read the difference before committing it:

    CLVMODELS_WRITE_SQL=1 python -m pytest tests/unit/test_warehouse_sql.py
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels.rfm import LogOptions, audit_expr, summary_expr
from clvmodels.schema import TimeScale

SNAPSHOTS = Path(__file__).parents[1] / "data" / "sql"
DIALECTS = ("bigquery", "snowflake", "postgres")
# Characters that editors and line endings would eat
VISIBLE = {ord(char): repr(char)[1:-1] for char in "\t\r\v\f"}
NAMES = {"customer_id_col": "customer", "datetime_col": "moment", "monetary_value_col": "paid"}


def log_of(moment: str, paid: str = "float64") -> ibis.Table:
    columns = {"customer": "string", "moment": moment, "paid": paid, "shop": "string"}
    return ibis.table({**columns, "basket": "int64"}, name="orders")


def plain() -> ibis.Table:
    """Days of a log of timestamps with zone, at the defaults."""
    return summary_expr(log_of("timestamp('UTC')", "decimal(12, 2)"), LogOptions(**NAMES))


def everything() -> ibis.Table:
    """Netted weeks without duplicates, with segments and an id_map."""
    options = LogOptions(
        **NAMES,
        scale=TimeScale("W", 2),
        refunds="net",
        zero_amounts="drop",
        duplicates="drop",
        segment_cols=("shop",),
        end=2_600,
    )
    persons = ibis.table({"id": "string", "customer": "string"}, name="persons")
    return summary_expr(log_of("timestamp"), options, persons)


def net_earlier() -> ibis.Table:
    """Refunds taken off the order that they name, then off the latest earlier purchases."""
    options = LogOptions(**NAMES, refunds="net_earlier", order_id_col="basket")
    return summary_expr(log_of("timestamp"), options)


def audit() -> ibis.Table:
    """What became of the rows of a log whose dates are text, by month."""
    return audit_expr(log_of("string"), LogOptions(**NAMES, scale=TimeScale("M")))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("case", [plain, everything, net_earlier, audit])
def test_sql(case: Any, dialect: str) -> None:
    found = str(ibis.to_sql(case(), dialect=dialect)).translate(VISIBLE) + "\n"
    path = SNAPSHOTS / f"{case.__name__}.{dialect}.sql"
    if os.environ.get("CLVMODELS_WRITE_SQL"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert path.exists(), f"write it with CLVMODELS_WRITE_SQL=1: {path.name}"
    assert found == path.read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    cases = {case.__name__ for case in (plain, everything, net_earlier, audit)}
    expected = {f"{case}.{dialect}.sql" for case in cases for dialect in DIALECTS}
    assert {path.name for path in SNAPSHOTS.iterdir()} == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_log_is_read_once(dialect: str) -> None:
    for case in (plain, everything, net_earlier, audit):
        sql = str(ibis.to_sql(case(), dialect=dialect))
        assert sql.replace('"', "`").count("FROM `orders`") == 1


# --- a warehouse that is there: DuckDB, and not our own ----------------------------------


@pytest.fixture
def orders() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    moment = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 10**7, 900), unit="s")
    frame = pd.DataFrame({"customer": rng.integers(0, 90, 900).astype(str), "moment": moment})
    frame["paid"] = rng.integers(-300, 4_000, 900) / 100
    frame["basket"] = rng.integers(0, 300, 900)
    return frame.assign(shop=rng.choice(["x", "y"], 900))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"refunds": "net", "segment_cols": ["shop"], "id_map": {"1": "2"}, "time_unit": "W"},
        {"refunds": "net_earlier", "segment_cols": ["shop"], "id_map": {"1": "2"}},
        {"refunds": "net_earlier", "order_id_col": "basket", "duplicates": "drop"},
    ],
)
def test_a_log_in_a_warehouse(orders: pd.DataFrame, tmp_path: Path, options: Any) -> None:
    warehouse = ibis.duckdb.connect(tmp_path / "warehouse.duckdb")
    table = warehouse.create_table("orders", pa.Table.from_pandas(orders))
    got = clv.rfm_summary(table, **NAMES, **options)
    want = clv.rfm_summary(orders, **NAMES, **options)
    warehouse.disconnect()
    pd.testing.assert_frame_equal(got.to_pandas(), want.to_pandas(), rtol=1e-12)
    assert got.audit is not None
    assert want.audit is not None
    assert got.audit.rows_used == want.audit.rows_used
    assert got.audit.amount_used == pytest.approx(want.audit.amount_used, rel=1e-12)


def test_sqlglot_can_drop_what_ibis_made(orders: pd.DataFrame) -> None:
    """From sqlglot 30.18 on the name is missing from DROP TABLE; pyproject stays below."""
    warehouse = ibis.duckdb.connect()
    warehouse.create_table("orders", pa.Table.from_pandas(orders), overwrite=True)
    cached = warehouse.table("orders").cache()
    del cached
    gc.collect()  # drops the cached table; an error there would be a warning, and so fail
    warehouse.drop_table("orders")
    left = warehouse.con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert left == []
    warehouse.disconnect()
