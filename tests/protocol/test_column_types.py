"""Columns of every dtype of pandas, polars and Arrow, in every entrance for customers.

A column is read as what it says, or refused by name; and what one entrance reads or
refuses all others do too.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import (
    BetaGeoPosterior,
    ClvError,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    rfm_summary,
    score,
)
from clvmodels.rfm.histories import rfm_columns
from clvmodels.scoring import Scorer

POSTERIOR: Final = CLVPosterior(
    BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
    GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
)
BASE: Final = pd.DataFrame(
    {
        "customer_id": [11, 12, 13],
        "frequency": [2, 0, 1],
        "recency": [14.0, 0.0, 7.0],
        "T": [28.0, 21.0, 7.0],
        "monetary_value": [5.0, 0.0, 3.0],
    }
)
COLUMNS: Final = tuple(BASE.columns[1:])
TIMES: Final = ("recency", "T")

# How whole numbers are written in each dtype.
Make = Callable[[list[int]], Any]


def _days(values: list[int]) -> pd.Series:
    return pd.Series(pd.to_timedelta(values, unit="D"))


def _dates(values: list[int]) -> pd.Series:
    return pd.Series(pd.Timestamp("1970-01-01") + pd.to_timedelta(values, unit="D"))


def _objects(make: Callable[[int], Any]) -> Make:
    return lambda values: pd.Series([make(v) for v in values], dtype=object)


PANDAS: Final[dict[str, Make]] = {
    **{
        kind: lambda v, kind=kind: pd.Series(v).astype(kind)
        for kind in (
            *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
            *("float16", "float32", "float64", "longdouble", ">f8", ">i4"),
            *("complex64", "complex128", "bool", "object", "category"),
            *("Int8", "Int64", "UInt64", "Float32", "Float64", "str", "string", "bytes"),
            *("Sparse[int]", "Sparse[float]", "int64[pyarrow]", "double[pyarrow]"),
        )
    },
    "boolean": lambda v: pd.Series([i > 0 for i in v], dtype="boolean"),
    "string[python]": lambda v: pd.Series([str(i) for i in v], dtype="string[python]"),
    "decimal[pyarrow]": lambda v: pd.Series(
        [Decimal(i) for i in v], dtype=pd.ArrowDtype(pa.decimal128(20, 2))
    ),
    "duration[pyarrow]": lambda v: pd.Series(
        [dt.timedelta(i) for i in v], dtype=pd.ArrowDtype(pa.duration("ms"))
    ),
    "date[pyarrow]": lambda v: pd.Series(
        [dt.date(1970, 1, 1) + dt.timedelta(i) for i in v], dtype=pd.ArrowDtype(pa.date32())
    ),
    "category of text": lambda v: pd.Series([str(i) for i in v]).astype("category"),
    "category of intervals": lambda v: pd.cut(pd.Series(v, dtype=float), 2),
    **{
        f"timedelta64[{unit}]": lambda v, unit=unit: _days(v).astype(f"timedelta64[{unit}]")
        for unit in ("s", "ms", "us", "ns")
    },
    "timedelta objects": _objects(dt.timedelta),
    "Timedelta objects": _objects(lambda i: pd.Timedelta(i, "D")),
    "datetime64": _dates,
    "datetime64[ns, tz]": lambda v: _dates(v).dt.tz_localize("Europe/Paris"),
    "dates": _objects(lambda i: dt.date(1970, 1, 1) + dt.timedelta(i)),
    "times": _objects(lambda i: dt.time(i % 24)),
    "period": lambda v: pd.Series(pd.PeriodIndex(_dates(v), freq="D")),
    "interval": lambda v: pd.Series(pd.IntervalIndex.from_arrays(v, [i + 1 for i in v])),
    "offsets": _objects(lambda i: pd.DateOffset(days=i)),
    "Decimal objects": _objects(Decimal),
    "float objects": _objects(float),
    "numpy objects": _objects(np.int32),
    "uuid": _objects(lambda i: uuid.UUID(int=i)),
    "large integers": _objects(lambda i: 2**70 + i),
    "mixed text": lambda v: pd.Series([*v[:-1], "x"], dtype=object),
    "mixed bool": lambda v: pd.Series([*v[:-1], True], dtype=object),
    "bytes objects": _objects(lambda i: bytes([i])),
    "tuples": _objects(lambda i: (i, i)),
    "lists": _objects(lambda i: [i]),
    "dicts": _objects(lambda i: {"a": i}),
    "sets": _objects(lambda i: {i}),
    "instances": _objects(lambda _: object()),
    "missing": lambda v: pd.Series([None] * len(v), dtype=object),
}
POLARS: Final[dict[str, Make]] = {
    **{
        str(kind): lambda v, kind=kind: pl.Series(v).cast(kind)
        for kind in (
            *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128),
            *(pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64),
            *(pl.Boolean, pl.String, pl.Decimal(20, 3), pl.Date),
        )
    },
    **{
        f"Duration({unit})": lambda v, unit=unit: pl.Series([dt.timedelta(i) for i in v]).cast(
            pl.Duration(unit)
        )
        for unit in ("ms", "us", "ns")
    },
    "Datetime": lambda v: pl.Series(_dates(v)),
    "Time": lambda v: pl.Series(v).cast(pl.Time),
    "Categorical": lambda v: pl.Series([str(i) for i in v]).cast(pl.Categorical),
    "Enum": lambda v: pl.Series([str(i) for i in v]).cast(pl.Enum(sorted({str(i) for i in v}))),
    "Binary": lambda v: pl.Series([bytes([i]) for i in v]),
    "List": lambda v: pl.Series([[i] for i in v]),
    "Array": lambda v: pl.Series([[i] for i in v], dtype=pl.Array(pl.Int64, 1)),
    "Struct": lambda v: pl.Series([{"a": i} for i in v]),
    "Object": lambda v: pl.Series([object() for _ in v], dtype=pl.Object),
    "Null": lambda v: pl.Series([None] * len(v)),
}
ARROW: Final[dict[str, Make]] = {
    **{
        str(kind): lambda v, kind=kind: pa.array(v, pa.int64()).cast(kind)
        for kind in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()),
            *(pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string()),
            *(pa.large_string(), pa.decimal128(22, 3), pa.decimal256(40, 3)),
        )
    },
    **{
        f"duration[{unit}]": lambda v, unit=unit: pa.array(
            [dt.timedelta(i) for i in v], pa.duration(unit)
        )
        for unit in ("s", "ms", "us", "ns")
    },
    "date32": lambda v: pa.array(v, pa.int32()).cast(pa.date32()),
    "date64": lambda v: pa.array([i * 86_400_000 for i in v], pa.int64()).cast(pa.date64()),
    "timestamp": lambda v: pa.array(v, pa.int64()).cast(pa.timestamp("us")),
    "time64": lambda v: pa.array(v, pa.int64()).cast(pa.time64("us")),
    "string_view": lambda v: pa.array([str(i) for i in v], pa.string_view()),
    "binary": lambda v: pa.array([bytes([i]) for i in v], pa.binary()),
    "fixed binary": lambda v: pa.array([bytes([i]) for i in v], pa.binary(1)),
    "uuid": lambda v: pa.array([uuid.UUID(int=i).bytes for i in v], pa.uuid()),
    "dictionary": lambda v: pa.array(v).dictionary_encode(),
    "dictionary of text": lambda v: pa.array([str(i) for i in v]).dictionary_encode(),
    "interval": lambda v: pa.array([(0, i, 0) for i in v], pa.month_day_nano_interval()),
    "list": lambda v: pa.array([[i] for i in v]),
    "struct": lambda v: pa.array([{"a": i} for i in v]),
    "map": lambda v: pa.array([[("a", i)] for i in v], pa.map_(pa.string(), pa.int64())),
    "null": lambda v: pa.nulls(len(v)),
}
KINDS: Final = {
    **{f"pandas {name}": ("pandas", make) for name, make in PANDAS.items()},
    **{f"polars {name}": ("polars", make) for name, make in POLARS.items()},
    **{f"arrow {name}": ("arrow", make) for name, make in ARROW.items()},
}


def with_column(library: str, name: str, make: Make, values: list[int]) -> Any:
    """The base in a library's form, with one column in another dtype, or added."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        column = make(values)
    if library == "pandas":
        return BASE.assign(**{name: column})
    if library == "polars":
        return pl.from_pandas(BASE).with_columns(column.alias(name))
    table = pa.Table.from_pandas(BASE, preserve_index=False)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


# --- entrances: the numbers that each read, or its refusal -------------------------------


def _numbers(frame: pd.DataFrame) -> Any:
    return [frame[name].astype(float).tolist() for name in COLUMNS]


def _by_table(given: Any) -> Any:
    return _numbers(RfmTable.from_frame(given).to_pandas())


def _by_fit(given: Any) -> Any:
    found = rfm_columns(given)  # what fit begins with
    return [one.tolist() for one in (found.x, found.t_x, found.T, found.m_bar)]


def _by_predict(given: Any) -> Any:
    scores = POSTERIOR.predict(given, draws=1)
    return _numbers(scores if isinstance(scores, pd.DataFrame) else as_pandas(scores))


def as_pandas(frame: Any) -> pd.DataFrame:
    if isinstance(frame, pl.DataFrame):
        frame = frame.to_arrow()
    return frame.select(list(COLUMNS)).to_pandas()


def _as_arrow(given: Any) -> pa.Table | None:
    """The frame as its library writes it to Parquet; None if it does not."""
    try:
        if isinstance(given, pl.DataFrame):
            return None if pl.Object in given.dtypes else given.to_arrow()
        return given if isinstance(given, pa.Table) else pa.Table.from_pandas(given)
    except (pa.ArrowException, pl.exceptions.PolarsError, OverflowError, TypeError):
        return None


def _by_batch(given: Any) -> Any:
    """What Spark's workers and the blocks of a file run."""
    table = _as_arrow(given)
    if table is None:
        raise SchemaError("no Arrow")
    batch = table.combine_chunks().to_batches()[0]
    found = Scorer(POSTERIOR, draws=1).score(batch)
    if len(found.rejects):
        raise SchemaError("rejects")
    return _numbers(found.scores.select(list(COLUMNS)).to_pandas())


def _by_file(given: Any) -> Any:
    table = _as_arrow(given)
    if table is None:
        raise SchemaError("no Arrow")
    try:
        pq.write_table(table, "in.parquet")
    except (pa.ArrowException, pl.exceptions.PolarsError):
        raise SchemaError("no Parquet") from None
    report = score("in.parquet", POSTERIOR, "out.parquet", draws=1, allow_rejects=True)
    if report.rejected:
        raise SchemaError("rejects")
    return _numbers(pq.read_table("out.parquet").to_pandas())


ENTRANCES: Final = {
    "table": _by_table,
    "fit": _by_fit,
    "predict": _by_predict,
    "batch": _by_batch,
    "file": _by_file,
}


def outcome(entrance: Callable[[Any], Any], given: Any) -> Any:
    """Numbers, or None where they are refused; any other error is a defect."""
    try:
        return entrance(given)
    except SchemaError:
        return None


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


TRUTH: Final = [BASE[name].astype(float).tolist() for name in COLUMNS]
# Not numbers, whatever else they are.
NO_NUMBERS: Final = re.compile(
    r"bool|complex|str|text|enum|date|time|binary|bytes|list|struct|uuid|period|interval"
    r"|mixed|large int|offsets|dicts|sets|tuples|instances|null|missing|array|map|int128"
    r"|polars object|polars categorical",
    re.IGNORECASE,
)
LENGTHS: Final = re.compile(r"duration|timedelta", re.IGNORECASE)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_dtype_are_read_or_refused_alike(kind: str) -> None:
    library, make = KINDS[kind]
    for name, values in zip(COLUMNS, TRUTH, strict=True):
        given = with_column(library, name, make, [int(v) for v in values])
        found = {key: outcome(one, given) for key, one in ENTRANCES.items()}
        wanted = None if NO_NUMBERS.search(kind) else TRUTH
        if LENGTHS.search(kind):
            wanted = TRUTH if name in TIMES else None
        if name == "monetary_value" and kind.endswith(("null", "Null", "missing")):
            found["fit"] = None  # purchases can be fitted all the same
        if _as_arrow(given) is None:  # which libraries do not write to Parquet
            found |= dict.fromkeys(("batch", "file"), wanted)
        assert found == dict.fromkeys(ENTRANCES, wanted), (kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_every_dtype_are_taken_or_refused_alike(kind: str) -> None:
    library, make = KINDS[kind]
    given = with_column(library, "customer_id", make, [11, 12, 13])
    found = {key: outcome(one, given) is not None for key, one in ENTRANCES.items()}
    if kind == "pandas category of intervals":
        return  # two bins for three customers
    own = ("uuid", "Object", "period", "interval")
    if _as_arrow(given) is None or kind.endswith(own):
        # what libraries do not write to Parquet, or as types of their own
        found = {key: found[key] for key in ("table", "fit", "predict")}
    assert len(set(found.values())) == 1 or "missing" in kind or "ull" in kind, (kind, found)


@pytest.mark.parametrize("kind", KINDS)
def test_further_columns_of_every_dtype_become_segments_or_are_refused(kind: str) -> None:
    library, make = KINDS[kind]
    given = with_column(library, "more", make, [1, 2, 3])
    table = outcome(lambda one: RfmTable.from_frame(one).segment_cols, given)
    assert table in (("more",), None)
    assert _by_predict(given) == TRUTH  # which does not read them
    assert _by_fit(given) == TRUTH


@pytest.mark.parametrize("column", ["id", "date", "amount", "more"])
@pytest.mark.parametrize("kind", KINDS)
def test_logs_of_every_dtype_are_summarised_or_refused(kind: str, column: str) -> None:
    library, make = KINDS[kind]
    log = pd.DataFrame(
        {
            "id": [1, 2, 1],
            "date": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-05"]),
            "amount": [3.0, 4.0, 5.0],
            "more": ["a", "b", "c"],
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = make([1, 2, 3])
    if library == "pandas":
        given: Any = log.assign(**{column: values})
    elif library == "polars":
        given = pl.from_pandas(log).with_columns(values.alias(column))
    else:
        given = pa.Table.from_pandas(log, preserve_index=False)
        given = given.set_column(given.column_names.index(column), column, values)
    try:
        found = rfm_summary(  # or a ClvError, and no other
            given,
            customer_id_col="id",
            datetime_col="date",
            monetary_value_col="amount",
            segment_cols=["more"],
        )
    except ClvError:
        return
    assert 1 <= len(found) <= 3
