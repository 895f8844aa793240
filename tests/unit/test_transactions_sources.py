"""A log may come in any form and of any type, and gives the same summary or a clear error."""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from clvmodels.errors import SchemaError
from clvmodels.log.audit import Reason
from clvmodels.rfm import LogOptions, RfmTable, audit_expr, rfm_summary, rfm_train_test_split
from clvmodels.rfm import summary_expr as summary_expression
from clvmodels.schema import TimeScale

NAMES = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}
LOG = pd.DataFrame(
    {
        "who": [7, 3, 7, 3, 7, 11],
        "when": pd.to_datetime(
            ["2020-01-05", "2020-01-01", "2020-01-01", "2020-01-01", "2020-02-01", "2020-01-31"]
        ),
        "paid": [10.0, 1.5, 20.0, 2.5, 30.0, 7.0],
        "shop": ["b", "a", "a", "c", "c", None],
    }
)
WANT = pd.DataFrame(
    {
        "customer_id": [3, 7, 11],
        "frequency": [0, 2, 0],
        "recency": [0.0, 31.0, 0.0],
        "T": [31.0, 31.0, 1.0],
        "monetary_value": [0.0, 20.0, 0.0],
        "first_value": [4.0, 20.0, 7.0],
    }
)


def check(source: Any, **options: Any) -> RfmTable:
    table = rfm_summary(source, **{**NAMES, **options})
    got = table.to_pandas()[list(WANT.columns)]
    pd.testing.assert_frame_equal(got, WANT)
    assert table.audit is not None
    assert table.audit.rows_read == len(LOG)
    return table


def with_column(name: str, values: Any) -> pd.DataFrame:
    return LOG.assign(**{name: values})


ARROW = pa.Table.from_pandas(LOG, preserve_index=False)


def amounts_of(kind: pa.DataType) -> pa.Table:
    exact = pa.array([decimal.Decimal(str(paid)) for paid in LOG["paid"]], pa.decimal128(12, 1))
    column = exact.cast(kind) if pa.types.is_decimal(kind) else ARROW["paid"].cast(kind)
    return ARROW.set_column(2, "paid", column)


@pytest.mark.parametrize(
    "kind", [pa.float16(), pa.decimal32(9, 1), pa.decimal64(12, 1), pa.decimal256(60, 1)], ids=str
)
def test_amounts_of_any_width(kind: pa.DataType, tmp_path: Path) -> None:
    check(amounts_of(kind))
    pq.write_table(amounts_of(kind), tmp_path / "log.parquet")
    check(tmp_path / "log.parquet")


def test_decimals_of_too_many_digits_are_refused() -> None:
    many = pa.array([decimal.Decimal(10) ** 40] * len(LOG), pa.decimal256(60, 1))
    with pytest.raises(SchemaError, match="'paid' holds decimals of more than 38 digits: convert"):
        rfm_summary(ARROW.set_column(2, "paid", many), **NAMES)


@pytest.mark.parametrize("line", ['"who,when,paid"', "who^when^paid"])
def test_lines_that_are_one_column_are_no_name_of_it(line: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"{line}\n{line}\n")
    with pytest.raises(SchemaError, match=r"single column.*such as delimiter='\|'") as raised:
        rfm_summary(tmp_path / "log.csv", **NAMES)
    assert "Did you mean" not in str(raised.value)


def in_ibis(data: pa.Table) -> ibis.Table:
    """Show a table in a backend of its own."""
    con = ibis.duckdb.connect()
    con.con.register("sales", data)
    con.raw_sql("CREATE TABLE log AS SELECT * FROM sales")
    return con.table("log")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: LOG, id="pandas"),
        pytest.param(lambda: pl.from_pandas(LOG), id="polars"),
        pytest.param(lambda: pl.from_pandas(LOG).lazy(), id="polars lazy"),
        pytest.param(lambda: ARROW, id="arrow"),
        pytest.param(lambda: ARROW.to_batches()[0], id="batch"),
        pytest.param(lambda: ARROW.to_reader(max_chunksize=2), id="stream"),
        pytest.param(lambda: ds.dataset(ARROW), id="dataset"),
        pytest.param(lambda: ARROW.to_pydict(), id="dict"),
        pytest.param(lambda: in_ibis(ARROW), id="ibis"),
    ],
)
@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_frames(make: Any, duplicates: str) -> None:
    how = {"segment_cols": ["shop"], "duplicates": duplicates}
    for kept, wanted in (("first", ["a", "a"]), ("last", ["a", "c"])):
        table = check(make(), **how, varying_segments=kept)
        shops = table.to_pandas()["shop"]
        assert list(shops[:2]) == wanted  # of two at one moment the smallest
        assert pd.isna(shops[2])
        assert table.audit is not None
        assert [note[:33] for note in table.audit.notes[-2:]] == [
            "'shop' varies within 2 customers:",
            "'shop' is missing for 1 customer",
        ]
    with pytest.raises(SchemaError, match="'shop' varies within 2 customers: pass varying_seg"):
        check(make(), **how, varying_segments="error")


def test_segments_that_do_not_vary_are_not_refused() -> None:
    same = LOG.assign(shop=LOG["who"].astype(str).where(LOG.index > 0))
    table = check(same, segment_cols=["shop"], varying_segments="error")
    assert list(table.to_pandas()["shop"]) == ["3", "7", "11"]
    assert table.audit is not None
    assert table.audit.notes == ()
    later = same.assign(when=same["when"] + pd.Timedelta(days=90))
    assert table.update(later).audit.notes == ()
    moved = later.assign(shop=later["shop"].replace("3", "4"))
    for kept, value in (("first", "3"), ("last", "4")):
        updated = check(same, segment_cols=["shop"], varying_segments=kept).update(moved)
        assert updated.to_pandas()["shop"][0] == value
        (note,) = updated.audit.notes
        assert note.startswith("'shop' varies within 1 customer of a later log, or from what it")
    with pytest.raises(SchemaError, match="varies within 1 customer of a later log, or from what"):
        table.update(moved)


def test_files(tmp_path: Path) -> None:
    pq.write_table(ARROW.slice(0, 2), tmp_path / "a.parquet")
    pq.write_table(ARROW.slice(2), tmp_path / "b.parquet")
    check(tmp_path)
    LOG[:4].to_csv(tmp_path / "a.csv", index=False)
    LOG[4:].to_csv(tmp_path / "b.csv", index=False)
    LOG.to_csv(tmp_path / "all.csv.gz", index=False)
    check(str(tmp_path / "*.parquet"))
    check(tmp_path / "?.parquet", duplicates="drop", segment_cols=["shop"])
    check([tmp_path / "a.parquet", str(tmp_path / "b.parquet")])
    check(tmp_path / "?.csv", segment_cols=["shop"])
    check(tmp_path / "all.csv.gz", duplicates="drop")
    with pytest.raises(SchemaError, match="No file is found"):
        check(tmp_path / "c.parquet")
    with pytest.raises(SchemaError, match="mix"):
        check([tmp_path / "a.parquet", tmp_path / "a.csv"])
    (tmp_path / "log.xlsx").write_text("")
    with pytest.raises(SchemaError, match="neither Parquet nor CSV"):
        check(tmp_path / "log.xlsx")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(SchemaError, match="cannot be read"):
        check(tmp_path / "broken.parquet")


def csv(path: Path, text: str) -> RfmTable:
    path.write_text(text)
    return rfm_summary(path, **NAMES)


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
def test_csv_counts_what_it_cannot_read(tmp_path: Path) -> None:
    table = csv(
        tmp_path / "log.csv",
        "who,when,paid\n1,2020-01-01,5\n1,01/02/2020,6\n,2020-01-01,7\n2,2020-01-03,many\n2,,1\n"
        + 9 * "1,2020-01-01,5\n",
    )
    assert table.audit is not None
    left = {item.reason: item.rows for item in table.audit.left_out if item.rows}
    assert left == {"no customer": 1, "no date": 1, "unreadable date": 1, "unreadable amount": 1}
    assert list(table.to_pandas()["customer_id"]) == [1]


@pytest.mark.parametrize(
    ("ids", "want"),
    [
        (["10", "9", "10"], [9, 10]),
        (["10.0", "9.0", "10.0"], [9, 10]),
        (["010", "9", "10"], ["010", "10", "9"]),
        (["A1", "9", "A1"], ["9", "A1"]),
    ],
)
def test_csv_ids_are_numbers_only_if_nothing_is_lost(
    tmp_path: Path, ids: list[str], want: list[Any]
) -> None:
    rows = "".join(f"{who},2020-01-01,1\n" for who in ids)
    table = csv(tmp_path / "log.csv", "who,when,paid\n" + rows)
    assert list(table.to_pandas()["customer_id"]) == want


def test_csv_ids_written_in_two_ways_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{who},2020-01-01,1\n" for who in ("10", "9", "10.0"))
    with pytest.warns(UserWarning, match=r"1 customer .* such as '10' and '10\.0'"):
        table = csv(tmp_path / "log.csv", "who,when,paid\n" + rows)
    assert list(table.to_pandas()["customer_id"]) == ["10", "10.0", "9"]


@pytest.mark.parametrize(
    "dates",
    [
        pytest.param(LOG["when"].dt.date, id="date objects"),
        pytest.param(LOG["when"].dt.strftime("%Y-%m-%d"), id="text"),
        pytest.param(LOG["when"].dt.strftime("%Y%m%d"), id="compact text"),
        pytest.param(LOG["when"].dt.strftime(" %Y-%m-%dT23:30:00+05:00"), id="text with offset"),
        pytest.param(LOG["when"].dt.strftime("%Y-%m-%d 00:30:00.123Z"), id="text in UTC"),
        pytest.param(LOG["when"].dt.strftime("%Y-%m-%d 08:26"), id="text to the minute"),
        pytest.param(LOG["when"].astype("datetime64[ns]"), id="ns"),
        pytest.param(LOG["when"].astype("datetime64[s]"), id="s"),
        pytest.param(
            (LOG["when"] + pd.Timedelta("23:59:59")).dt.tz_localize("America/New_York"),
            id="zone behind",
        ),
        pytest.param(
            (LOG["when"] + pd.Timedelta("1min")).dt.tz_localize("Asia/Tokyo"), id="zone ahead"
        ),
        pytest.param((LOG["when"] + pd.Timedelta("1min")).dt.tz_localize("UTC"), id="UTC"),
        pytest.param(
            (LOG["when"] + pd.Timedelta("1min")).dt.tz_localize("+09:00"), id="fixed offset"
        ),
    ],
)
def test_types_of_dates(dates: pd.Series, tmp_path: Path) -> None:  # type: ignore[type-arg]
    frame = with_column("when", dates)
    check(frame)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    check(ds.dataset(arrow))
    pq.write_table(arrow, tmp_path / "log.parquet")
    check(tmp_path / "log.parquet")
    check(pl.from_arrow(arrow))


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_the_last_moment_before_1970_is_in_1969(unit: str) -> None:
    moments = np.array([-1, 0], dtype="int64").astype(f"datetime64[{unit}]")
    log = pa.table({"who": [1, 2], "when": moments})
    table = rfm_summary(log, customer_id_col="who", datetime_col="when")
    assert list(table.to_pandas()["T"]) == [1.0, 0.0]
    assert not table.has_money


def test_whole_floats_are_integers_and_the_audit_says_so() -> None:
    frame = LOG.assign(who=LOG["who"].astype(float))
    table = check(frame)
    assert table.audit is not None
    assert "whole floats" in str(table.audit)
    extra = pd.concat([frame, frame[:2].assign(who=np.nan)])
    assert rfm_summary(extra, **NAMES).audit.rows_left_out(Reason.NO_CUSTOMER) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", [7.5, np.inf, -np.inf, 2.0**60])
def test_other_floats_are_no_ids(bad: float) -> None:
    frame = LOG.assign(who=[7.0, bad, 7.0, bad, 7.0, 11.0])
    with pytest.raises(SchemaError, match="'who' holds floats, and 2 rows"):
        rfm_summary(frame, **NAMES)


def test_uuids_are_text() -> None:
    keys = {who: uuid.UUID(int=who) for who in (3, 7, 11)}
    objects = LOG["who"].map(keys)
    table = rfm_summary(with_column("who", objects), **NAMES).to_pandas()
    assert list(table["customer_id"]) == [str(keys[who]) for who in (3, 7, 11)]
    binary = pa.array([key.bytes for key in objects], pa.uuid())
    arrow = ARROW.set_column(0, "who", binary)
    pd.testing.assert_frame_equal(rfm_summary(arrow, **NAMES).to_pandas(), table)


@pytest.mark.parametrize("kind", ["str", "category", "object", "string[python]"])
def test_text_ids_and_empty_ones(kind: str) -> None:
    ids = pd.Series(["b", "a", "b", "", None, "a"]).astype(kind)
    table = rfm_summary(with_column("who", ids), **NAMES)
    assert list(table.to_pandas()["customer_id"]) == ["a", "b"]
    assert table.audit is not None
    assert table.audit.rows_left_out(Reason.NO_CUSTOMER) == 2


@pytest.mark.parametrize("kind", ["int32", "Int64", "uint64", "int8"])
def test_types_of_integers(kind: str) -> None:
    table = rfm_summary(with_column("who", LOG["who"].astype(kind)), **NAMES)
    assert list(table.to_pandas()["customer_id"]) == [3, 7, 11]


@pytest.mark.parametrize("kind", ["float32", "Float64", "decimal", "int"])
def test_types_of_amounts(kind: str) -> None:
    paid = LOG["paid"].map(lambda x: decimal.Decimal(str(x))) if kind == "decimal" else LOG["paid"]
    if kind == "int":
        check(with_column("paid", (2 * paid).astype("int64")).assign(paid=lambda d: d["paid"] / 2))
        return
    check(with_column("paid", paid if kind == "decimal" else paid.astype(kind)))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"customer_id_col": "Who"}, r"customer_id_col='Who' is not a column.*'who'"),
        ({"monetary_value_col": "pay"}, r"monetary_value_col='pay'.*Did you mean 'paid'"),
        ({"segment_cols": ["shops"]}, r"segment_cols\[0\]='shops'.*Did you mean 'shop'"),
        ({"datetime_col": "paid"}, r"datetime_col='paid' holds float64.*numbers from 1.5 to 30"),
        ({"datetime_col": "who"}, r"datetime_col='who' holds int64"),
        ({"customer_id_col": "when"}, r"customer_id_col='when' holds timestamp"),
        (
            {"monetary_value_col": "shop"},
            r"5 of 6 rows have text in 'shop'.*such as 'b'",
        ),
        ({"segment_cols": "shop"}, r"segment_cols='shop' must be a list"),
        (
            {"refunds": "dorp"},
            r"refunds='dorp' is unknown: use one of 'drop', 'net', 'net_earlier', 'error'",
        ),
        ({"observation_period_end": "1999-01-01"}, r"No purchase remains.*6 after the obser"),
        ({"observation_period_end": "soon"}, r"observation_period_end='soon' is not a date"),
        ({"observation_period_end": 1999}, r"observation_period_end=1999 is not a date"),
    ],
)
def test_errors_say_what_was_found_and_what_to_do(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(SchemaError, match=match):
        rfm_summary(LOG, **{**NAMES, **changes})


def test_errors_about_whole_logs() -> None:
    with pytest.raises(SchemaError, match="No purchase remains in the log: 0 rows read"):
        rfm_summary(LOG[:0], **NAMES)
    with pytest.raises(SchemaError, match="6 no date"):
        rfm_summary(with_column("when", None), **NAMES)
    with pytest.raises(SchemaError, match="6 no customer"):
        rfm_summary(with_column("who", None), **NAMES)
    with pytest.raises(SchemaError, match="6 non-finite amount"):
        rfm_summary(with_column("paid", None), **NAMES)
    with pytest.raises(SchemaError, match=r"6 of 6 rows have text.*as a date.*ISO 8601"):
        rfm_summary(with_column("when", "May 2020"), **NAMES)
    with pytest.raises(SchemaError, match="'who' holds values of several types"):
        rfm_summary(with_column("who", [1, "a", 2, 3, 4, 5]), **NAMES)
    with pytest.raises(SchemaError, match="A log cannot be of type int"):
        rfm_summary(5, **NAMES)
    twice = pd.concat([LOG, LOG[["shop"]]], axis=1)
    with pytest.raises(SchemaError, match="two columns named 'shop'"):
        rfm_summary(twice, **NAMES)
    with pytest.raises(SchemaError, match="2 rows have a negative 'paid'"):
        rfm_summary(with_column("paid", [1, -1, -2, 3, 4, 5.0]), refunds="error", **NAMES)


@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
def test_one_row_and_an_unused_row_that_sets_the_end() -> None:
    one = rfm_summary(LOG[:1], **NAMES).to_pandas()
    assert one[["frequency", "recency", "T"]].to_numpy().tolist() == [[0, 0, 0]]
    unused = pd.concat([LOG[:1], LOG[1:2].assign(paid=np.nan, when=pd.Timestamp("2020-01-15"))])
    assert list(rfm_summary(unused, **NAMES).to_pandas()["T"]) == [10.0]


def test_columns_named_like_internals() -> None:
    names = ["reason", "period", "rows", "copies", "first", "segment_1"]
    frame = pd.DataFrame(
        {
            "customer": LOG["who"],
            "period": LOG["when"],
            "total": LOG["paid"],
            **{name: LOG["shop"] for name in names if name != "period"},
        }
    )
    table = rfm_summary(
        frame,
        customer_id_col="customer",
        datetime_col="period",
        monetary_value_col="total",
        segment_cols=["reason", "first", "segment_1", "rows", "copies"],
        duplicates="drop",
    )
    got = table.to_pandas()
    pd.testing.assert_frame_equal(got[list(WANT.columns)], WANT)
    assert list(got["first"][:2]) == ["a", "a"]
    later = frame.assign(period=frame["period"] + pd.Timedelta(days=90))
    assert list(table.update(later).to_pandas()["first"][:2]) == ["a", "a"]


def test_a_split_of_a_stream_reads_it_once() -> None:
    split = rfm_train_test_split(
        ARROW.to_reader(max_chunksize=2), train_period_end="2020-01-04", **NAMES
    )
    assert list(split.test["test_frequency"]) == [0, 2]
    assert list(split.test["test_monetary_value"]) == [0.0, 20.0]
    assert split.new_customers == 1
    with pytest.raises(SchemaError, match="is not after"):
        rfm_train_test_split(
            LOG, train_period_end="2020-01-04", test_period_end="2020-01-01", **NAMES
        )
    with pytest.raises(SchemaError, match="No purchase lies after"):
        rfm_train_test_split(LOG, train_period_end="2020-02-01", **NAMES)


def test_an_evening_belongs_to_its_day_in_a_split() -> None:
    evening = LOG.assign(when=LOG["when"] + pd.Timedelta(hours=20))
    split = rfm_train_test_split(evening, train_period_end="2020-01-31", **NAMES)
    assert list(split.train.to_pandas()["customer_id"]) == [3, 7, 11]


def test_expressions_are_those_that_rfm_summary_runs() -> None:
    options = LogOptions(**NAMES, segment_cols=("shop",))
    log = in_ibis(ARROW)
    got = summary_expression(log, options).order_by("customer_id").to_pyarrow().to_pandas()
    pd.testing.assert_frame_equal(got[list(WANT.columns)], WANT)
    audit = audit_expr(log, options).to_pyarrow().to_pandas()
    assert audit[["reason", "rows", "customers"]].to_numpy().tolist() == [[0, 6, 3]]
    assert audit["amount"].sum() == LOG["paid"].sum()


@pytest.mark.parametrize("backend", ["postgres", "bigquery", "snowflake", "databricks", "trino"])
@pytest.mark.parametrize("unit", ["h", "D", "W", "M"])
def test_expressions_compile_for_other_backends(backend: str, unit: Any) -> None:
    log = ibis.table(
        {"who": "int64", "when": "string", "paid": "decimal(12, 2)", "shop": "string"}, name="log"
    )
    options = LogOptions(
        **NAMES,
        scale=TimeScale(unit),
        refunds="net",
        zero_amounts="drop",
        duplicates="drop",
        segment_cols=("shop",),
        end=20_000,
        after=10_000,
    )
    for expr in (summary_expression(log, options), audit_expr(log, options)):
        sql = ibis.to_sql(expr, dialect=backend)
        assert "fsum" not in sql.lower()
        assert "arg_min" not in sql.lower()


def test_importing_needs_no_engine_and_a_summary_no_polars() -> None:
    code = (
        "import sys, clvmodels.rfm\n"
        "print([m for m in ('ibis', 'duckdb', 'polars') if m in sys.modules])\n"
        "t = clvmodels.rfm.rfm_summary({'c': [1], 'd': ['2020-01-01']}, customer_id_col='c',"
        " datetime_col='d')\n"
        "print(len(t), 'polars' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.split("\n")[:2] == ["[]", "1 False"]


def test_days_of_an_ibis_table_are_the_backends() -> None:
    instants = [dt.datetime(2020, 1, 1, 23, 30), dt.datetime(2020, 1, 2, 0, 30)]
    log = in_ibis(pa.table({"who": [1, 1], "when": pa.array(instants, pa.timestamp("us", "UTC"))}))
    table = rfm_summary(log, customer_id_col="who", datetime_col="when")
    assert list(table.to_pandas()["frequency"]) == [1]


@pytest.mark.filterwarnings("ignore:1 of 4 rows:UserWarning")
@pytest.mark.parametrize("column", ["customer_id", "amount"])
def test_nan_in_parquet_counts_as_in_memory(column: str, tmp_path: Path) -> None:
    """Statistics of a file leave NaN out, and an engine that trusts them sees none."""
    log = pd.DataFrame(
        {
            "customer_id": [1.0, 1.0, 2.0, 3.0],
            "date": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-05", "2024-01-07"]),
            "amount": [5.0, 6.0, 7.0, 8.0],
        }
    )
    log.loc[1, column] = np.nan
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({name: log[name].to_numpy() for name in log}), path)  # NaN, not null
    options = dict(zip(NAMES, log, strict=True))
    there, here = (rfm_summary(one, **options) for one in (path, log))
    assert there.table.equals(here.table)
    assert there.audit is not None
    assert here.audit is not None
    assert str(there.audit) == str(here.audit)
    assert there.audit.rows_used == 3


@pytest.mark.parametrize("kind", ["not compressed", "cut"])
def test_a_file_that_is_no_gzip_is_refused(kind: str, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "log.csv.gz"
    text = LOG.to_csv(index=False).encode()
    path.write_bytes(text if kind == "not compressed" else gzip.compress(text)[:40])
    with pytest.raises(SchemaError, match=r"log.csv.gz cannot be unpacked .*: copy it again"):
        rfm_summary(path, **NAMES)


def test_a_message_shows_no_statement_of_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_text("who,when,paid\n")
    with pytest.raises(SchemaError, match="cannot be read") as error:
        rfm_summary(path, **NAMES)
    assert "LINE 1" not in str(error.value)
