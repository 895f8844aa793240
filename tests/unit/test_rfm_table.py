"""RfmTable as a record: files, frames of users, updates, policies, display."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import value_tiers
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.log.audit import Audit, Reason
from clvmodels.rfm import RfmTable, rfm_summary
from clvmodels.schema import TimeScale

NAMES = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}


def log(*rows: tuple[Any, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["who", "when", "paid"])
    return frame.assign(when=pd.to_datetime(frame["when"]), shop="x")


OLD = log(("a", "2020-01-01", 5.0), ("b", "2020-01-03", 2.0), ("a", "2020-01-04", 7.0))
NEW = log(("a", "2020-01-09", 1.0), ("c", "2020-01-06", 3.0), ("b", "2020-01-02", 9.0))


def left_out(table: RfmTable) -> dict[str, int]:
    assert table.audit is not None
    return {item.reason: item.rows for item in table.audit.left_out if item.rows}


@pytest.fixture(scope="module")
def table() -> RfmTable:
    return rfm_summary(
        OLD, time_unit="W", time_scaler=2, margin=0.4, segment_cols=["shop"], **NAMES
    )


# --- policies ----------------------------------------------------------------------------


def test_refunds() -> None:
    rows = log(
        ("a", "2020-01-01", 5.0),
        ("a", "2020-01-01", -2.0),
        ("a", "2020-01-02", -3.0),
        ("a", "2020-01-02", 3.0),
        ("a", "2020-01-05", 0.0),
        ("b", "2020-01-01", -1.0),
    )
    drop = rfm_summary(rows, **NAMES)
    assert drop.to_pandas().to_numpy().tolist() == [["a", 2, 4.0, 4.0, 1.5, 5.0]]
    assert left_out(drop) == {"refund": 3}
    net = rfm_summary(rows, refunds="net", **NAMES)
    assert net.to_pandas().to_numpy().tolist() == [["a", 0, 0.0, 4.0, 0.0, 3.0]]
    assert left_out(net) == {"refund": 4}
    assert net.audit is not None
    assert (net.audit.netted_rows, net.audit.netted_amount) == (1, -2.0)
    assert "1 negative rows netted" in str(net.audit)


def test_a_netted_total_that_is_rounding_is_no_purchase() -> None:
    rows = [("a", "2020-01-02", paid) for paid in (1.1, 2.2, -3.3)]  # 4e-16 in any order
    got = rfm_summary(log(("a", "2020-01-01", 0.001), *rows), refunds="net", **NAMES)
    assert got.to_pandas()["frequency"].tolist() == [0]
    assert left_out(got) == {"refund": 3}


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
def test_each_row_has_the_first_reason_that_applies() -> None:
    rows = pd.DataFrame(
        [
            (None, "never", np.nan),
            ("a", "", np.nan),
            ("a", "never", np.nan),
            ("a", "2020-02-01", np.inf),
            ("a", "2020-02-01", 0.0),
            ("a", "2020-01-01", 0.0),
            ("a", "2020-01-01", 0.0),
            ("a", "2020-01-01", -1.0),
            ("a", "2020-01-01", -1.0),
            ("a", "2020-01-01", 4.0),
            ("a", "2020-01-01", 4.0),
        ],
        columns=["who", "when", "paid"],
    )
    table = rfm_summary(
        rows,
        observation_period_end="2020-01-31",
        zero_amounts="drop",
        duplicates="drop",
        **NAMES,
    )
    assert table.audit is not None
    assert [(item.reason, item.rows, item.amount) for item in table.audit.left_out] == [
        ("no customer", 1, 0.0),
        ("no date", 1, 0.0),
        ("unreadable date", 1, 0.0),
        ("non-finite amount", 1, 0.0),
        ("after the observation end", 1, 0.0),
        ("zero amount", 2, 0.0),
        ("duplicate", 2, 3.0),
        ("refund", 1, -1.0),
    ]
    assert (table.audit.rows_used, table.audit.amount_used) == (1, 4.0)
    assert table.audit.amount_read == 6.0


def test_sums_are_compensated() -> None:
    dimes = pd.DataFrame({"who": 1, "when": pd.Timestamp("2020-01-01"), "paid": [0.1] * 100_000})
    got = rfm_summary(dimes, **NAMES).to_pandas()["first_value"][0]
    assert got == 10_000.0
    plain = 0.0
    for dime in dimes["paid"]:
        plain += dime
    assert plain != got


# --- files -------------------------------------------------------------------------------


def test_parquet_keeps_everything(table: RfmTable, tmp_path: Path) -> None:
    path = tmp_path / "rfm.parquet"
    table.to_parquet(path)
    back = RfmTable.from_parquet(path)
    assert back == table
    for field in dataclasses.fields(RfmTable):
        assert getattr(back, field.name) == getattr(table, field.name), field.name
    assert (back.time_unit, back.time_scaler, back.margin) == ("W", 2.0, 0.4)
    assert back.observation_end == pd.Timestamp("2019-12-30")
    assert back.update(NEW) == table.update(NEW)
    plain = pd.read_parquet(path)  # an ordinary Parquet file for everybody else
    pd.testing.assert_frame_equal(plain.drop(columns="log_gaps"), table.to_pandas())


def test_a_table_from_a_frame_goes_through_parquet(tmp_path: Path) -> None:
    table = RfmTable.from_pandas(GOOD, time_scaler=7, observation_end="2020-03-01", margin=0.5)
    table.to_parquet(tmp_path / "rfm.parquet")
    assert RfmTable.from_parquet(tmp_path / "rfm.parquet") == table


def rewrite(path: Path, **changes: Any) -> None:
    data = pq.read_table(path)
    header = json.loads(data.schema.metadata[b"clvmodels.rfm"])
    metadata = {b"clvmodels.rfm": json.dumps({**header, **changes}).encode()}
    pq.write_table(data.replace_schema_metadata(metadata), path)


def test_foreign_damaged_and_newer_files(table: RfmTable, tmp_path: Path) -> None:
    path = tmp_path / "rfm.parquet"
    with pytest.raises(SchemaError, match=r"rfm\.parquet' does not exist"):
        RfmTable.from_parquet(path)
    table.to_pandas().to_parquet(path)
    with pytest.raises(SchemaError, match=r"does not say its time unit.*from_pandas"):
        RfmTable.from_parquet(path)
    table.to_parquet(path)
    rewrite(path, format_version=99)
    with pytest.raises(SchemaError, match="newer"):
        RfmTable.from_parquet(path)
    rewrite(path, format_version=1, policies={"colour": "red"})
    with pytest.raises(SchemaError, match="damaged"):
        RfmTable.from_parquet(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SchemaError, match="cannot be read as Parquet"):
        RfmTable.from_parquet(path)


# --- frames ------------------------------------------------------------------------------

GOOD = pd.DataFrame(
    {
        "customer_id": ["b", "a", "c"],
        "T": [9, 8, 7],
        "frequency": [0.0, 2.0, 1.0],
        "recency": [0, 5, 7],
        "monetary_value": [np.nan, 3.5, 0.0],
        "plan": ["x", "y", "x"],
    }
)


def test_from_pandas() -> None:
    before = GOOD.copy()
    table = RfmTable.from_pandas(GOOD, time_unit="D", time_scaler=7, margin=0.5)
    kinds = {field.name: str(field.type) for field in table.to_arrow().schema}
    assert kinds == {
        "customer_id": "string",
        "frequency": "int64",
        "recency": "double",
        "T": "double",
        "monetary_value": "double",
        "plan": "string",
    }
    frame = table.to_pandas()
    assert frame["customer_id"].tolist() == ["a", "b", "c"]
    assert frame["monetary_value"].tolist() == [3.5, 0.0, 0.0]
    assert table.scale == TimeScale("D", 7)
    assert (table.segment_cols, table.has_money, table.audit) == (("plan",), True, None)
    assert table.observation_end is None
    pd.testing.assert_frame_equal(GOOD, before)
    without = RfmTable.from_pandas(GOOD.drop(columns=["monetary_value", "plan"]))
    assert not without.has_money


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"customer_id": ["b", None, "c"]}, "1 rows have no customer_id; the first is row 1"),
        ({"customer_id": ["b", "a", "b"]}, "1 rows repeat a customer_id.*row 2.*'b'"),
        ({"frequency": [0, -1, 1]}, "1 rows have a frequency that is negative or not a whole"),
        ({"frequency": [0, 1.5, 1]}, "negative or not a whole number; the first is row 1"),
        ({"frequency": [0, np.nan, 1]}, "a frequency that is missing or not finite"),
        ({"frequency": ["x", "y", "z"]}, "'frequency' that holds text, not numbers"),
        ({"recency": [1, 5, 7]}, "recency above 0 at frequency 0; the first is row 0"),
        ({"recency": [0, -1, -2]}, "2 rows have a negative recency; the first is row 1"),
        ({"recency": [0, 9, 7]}, "recency longer than T; the first is row 1.*'a'.*recency=9, T=8"),
        ({"T": [np.inf, 8, 7]}, "a T that is missing or not finite"),
        ({"monetary_value": [0, np.nan, 0]}, "a monetary_value that is missing.*row 1"),
        ({"monetary_value": [0, 1, -1]}, "a negative monetary_value; the first is row 2"),
    ],
)
def test_from_pandas_refuses_what_is_no_history(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        RfmTable.from_pandas(GOOD.assign(**changes))


def test_from_pandas_refuses_missing_columns_and_units() -> None:
    with pytest.raises(SchemaError, match="Column 'recency' is missing; found 'customer_id'"):
        RfmTable.from_pandas(GOOD.drop(columns="recency"))
    with pytest.raises(TimeUnitError):
        RfmTable.from_pandas(GOOD, time_unit="Q")  # type: ignore[arg-type]
    with pytest.raises(DomainError):
        RfmTable.from_pandas(GOOD, margin=1.5)
    with pytest.raises(SchemaError, match="Only a table made by rfm_summary can be updated"):
        RfmTable.from_pandas(GOOD, observation_end="2020-01-01").update(NEW)


# --- updates -----------------------------------------------------------------------------


def test_update_counts_rows_of_closed_periods() -> None:
    table = rfm_summary(OLD, **NAMES).update(NEW)
    assert table.to_pandas().to_numpy().tolist() == [
        ["a", 2, 8.0, 8.0, 4.0, 5.0],
        ["b", 0, 0.0, 6.0, 0.0, 2.0],
        ["c", 0, 0.0, 3.0, 0.0, 3.0],
    ]
    assert table.observation_end == pd.Timestamp("2020-01-09")
    assert left_out(table) == {"already observed": 1}
    assert table.audit is not None
    assert table.audit.left_out[-1].reason == Reason.ALREADY_OBSERVED.text
    assert (table.audit.rows_read, table.audit.rows_used) == (6, 5)


def test_update_may_move_the_end_only_forward() -> None:
    table = rfm_summary(OLD, **NAMES)
    later = table.update(NEW, observation_period_end="2020-01-07")
    assert later.to_pandas()["T"].tolist() == [6.0, 4.0, 1.0]
    assert left_out(later) == {"already observed": 1, "after the observation end": 1}
    with pytest.raises(SchemaError, match="before the table's observation end 2020-01-04"):
        table.update(NEW, observation_period_end="2020-01-03")
    quiet = table.update(OLD, observation_period_end="2020-02-01")
    assert quiet.to_pandas()["frequency"].tolist() == [1, 0]
    assert quiet.to_pandas()["T"].tolist() == [31.0, 29.0]


def test_update_with_ids_of_another_type() -> None:
    with pytest.raises(SchemaError, match="customer ids are int64, the table's are string"):
        rfm_summary(OLD, **NAMES).update(log((5, "2020-01-09", 1.0)))


def test_update_with_an_id_map() -> None:
    table = rfm_summary(OLD, **NAMES)
    renamed = table.update(NEW, id_map={"a": "z", "c": "b"})
    assert renamed.to_pandas().to_numpy().tolist() == [
        ["b", 1, 3.0, 6.0, 3.0, 2.0],
        ["z", 2, 8.0, 8.0, 4.0, 5.0],
    ]
    assert renamed.has_id_map
    with pytest.raises(SchemaError, match="made with an id_map"):
        renamed.update(NEW)
    with pytest.raises(SchemaError, match=r"makes one customer, 'b', of .* cannot be merged"):
        table.update(NEW, id_map={"a": "b"})


@pytest.mark.parametrize(
    "id_map",
    [
        {1: 9, 2: 9},
        pd.DataFrame({"account": [1, 2], "person": [9, 9]}),
        pa.table({"account": [1, 2], "person": [9, 9]}),
        {1: "nine", 2: "nine"},
    ],
)
def test_id_map_joins_accounts(id_map: Any) -> None:
    rows = log((1, "2020-01-01", 1.0), (2, "2020-01-03", 2.0), (3, "2020-01-03", 4.0))
    got = rfm_summary(rows, id_map=id_map, **NAMES)
    text = isinstance(id_map, dict) and id_map[1] == "nine"
    want = [[9, 1, 2.0, 2.0, 2.0, 1.0], [3, 0, 0.0, 0.0, 0.0, 4.0]]
    if text:
        want = [["nine", *want[0][1:]], ["3", *want[1][1:]]]
    assert sorted(got.to_pandas().to_numpy().tolist()) == sorted(want)


@pytest.mark.parametrize(
    ("id_map", "match"),
    [
        (pd.DataFrame({"a": [1], "b": [2], "c": [3]}), "id_map has 3 columns"),
        (pd.DataFrame({"a": [1, 1], "b": [2, 3]}), "gives 1 ids several customers, first"),
        ({1: 2, 2: 3}, "sends ids to 2, which is itself sent to 3"),
        ({1: None}, "missing values"),
    ],
)
def test_id_maps_that_make_no_sense(id_map: Any, match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        rfm_summary(log((1, "2020-01-01", 1.0)), id_map=id_map, **NAMES)


# --- record and display ------------------------------------------------------------------


def test_a_record(table: RfmTable) -> None:
    assert len(table) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.margin = 1.0  # type: ignore[misc]
    copy = table.to_pandas()
    copy.loc[0, "T"] = -1.0
    assert table.to_pandas()["T"].min() >= 0
    assert repr(table) == (
        "RfmTable(2 customers, unit 2 x W, observed to 2019-12-30/2020-01-05, margin 0.4)"
    )
    html = table._repr_html_()
    assert "<table" in html
    assert "3 rows read" in html
    bare = rfm_summary(OLD, customer_id_col="who", datetime_col="when")
    assert "no amounts" in repr(bare)
    assert bare.to_pandas().columns.tolist() == ["customer_id", "frequency", "recency", "T"]


def test_audit_as_record(table: RfmTable) -> None:
    audit = rfm_summary(OLD, refunds="net", **NAMES).audit
    assert audit is not None
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    with pytest.raises(SchemaError, match="not an audit"):
        Audit.from_dict({"rows_read": 1})
    frame = audit.to_pandas()
    assert frame.index[0] == "read"
    assert frame.loc["read", "rows"] == frame.drop("read")["rows"].sum() == 3
    assert frame.loc["read", "amount"] == frame.drop("read")["amount"].sum() == 14.0
    bare = rfm_summary(OLD, customer_id_col="who", datetime_col="when").audit
    assert bare is not None
    assert bare.to_pandas().columns.tolist() == ["rows"]
    assert str(bare).splitlines()[0].split() == ["3", "rows", "read"]


@pytest.mark.parametrize("dtype", ["int64", "uint32", "Int64"])
def test_ids_in_messages_are_written_as_python_writes_them(dtype: str) -> None:
    """customer_id=7, and not np.int64(7)."""
    ids = pd.array([7, 7], dtype=dtype)
    frame = pd.DataFrame({"customer_id": ids, "frequency": 0, "recency": 0.0, "T": 9.0})
    with pytest.raises(SchemaError, match=r"customer_id=7 \("):
        RfmTable.from_pandas(frame)
    scores = pd.DataFrame({"customer_id": ids, "clv": [1.0, 2.0]})
    with pytest.raises(SchemaError, match="customer_id=7 twice"):
        value_tiers(scores)
    log = pd.DataFrame({"id": ids, "day": pd.to_datetime(["2024-01-01", "2024-01-05"])})
    twice = pd.DataFrame({"id": ids, "customer": pd.array([1, 2], dtype=dtype)})
    with pytest.raises(SchemaError, match="first 7: keep"):
        rfm_summary(log, customer_id_col="id", datetime_col="day", id_map=twice)
