"""Bad rows, columns and options of `score`, generated: an error or a reason, nothing lost.

What was scored and what was rejected is compared with the input by DuckDB and Arrow, which
share no code with the package. Warnings of a division or an overflow fail a test, as does
any exception that is neither a ClvError nor an OSError.
"""

from __future__ import annotations

import datetime
import decimal
import math
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import CLVPosterior
from clvmodels.cli import main
from clvmodels.scoring import ScoreReport
from tests.protocol.score_fuzz_cases import (
    COLUMNS,
    ID,
    LOG,
    NUMBERS,
    TX,
    M,
    T,
    X,
    assert_clear,
    attempt,
    fine_log,
    fine_rows,
    ids_of,
    parquet,
    rng_of,
)
from tests.recovery.scoring_cases import make_posterior

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return make_posterior(5)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- rows --------------------------------------------------------------------------------

# The rules in SQL: they share no code with the package.
REASON_SQL: Final = f"""
    SELECT CASE
        WHEN {ID} IS NULL OR CAST({ID} AS VARCHAR) = ''
            OR (typeof({ID}) = 'DOUBLE' AND CAST({ID} AS VARCHAR) = 'nan') THEN 'no customer id'
        WHEN count(*) OVER (PARTITION BY {ID}) > 1 THEN 'customer has more than one row'
        WHEN {X} IS NULL OR NOT isfinite({X}) THEN 'frequency is missing or not finite'
        WHEN {X} < 0 THEN 'frequency is negative'
        WHEN {X} <> floor({X}) THEN 'frequency is not a whole number'
        WHEN {X} > 9007199254740992 THEN 'frequency is too large to be a count'
        WHEN {TX} IS NULL OR NOT isfinite({TX}) THEN 'recency is missing or not finite'
        WHEN {T} IS NULL OR NOT isfinite({T}) THEN 'T is missing or not finite'
        WHEN {TX} < 0 THEN 'recency is negative'
        WHEN {TX} > {T} THEN 'recency is greater than T'
        WHEN {X} = 0 AND {TX} > 0 THEN 'recency above 0 at frequency 0'
        WHEN abs({TX} - round({TX})) <= 1e-6 * greatest(1, {TX}) AND {X} > round({TX})
            THEN 'frequency exceeds the periods in recency'
        WHEN {X} > 0 AND ({M} IS NULL OR NOT isfinite({M}))
            THEN 'monetary_value is missing or not finite at frequency above 0'
        WHEN {X} > 0 AND {M} < 0 THEN 'monetary_value is negative at frequency above 0'
        WHEN {X} > 0 AND {M} > 1e100 THEN 'monetary_value is too large to be an amount'
    END AS reason FROM read_parquet('rows.parquet', file_row_number = true)
    ORDER BY file_row_number
"""


def bad_rows(kind: str, rng: np.random.Generator, rows: int = 40) -> pa.Table:
    """Rows of which most are wrong in some column, by chance in several."""
    x = rng.poisson(1.5, rows).astype(float)
    total = rng.integers(1, 700, rows).astype(float)
    columns = {
        X: x,
        TX: np.where(x > 0, np.floor(total * rng.random(rows)), 0.0),
        T: total,
        M: np.round(rng.gamma(3, 9, rows), 2),
    }
    table = {ID: ids_of(kind, rows, rng)}
    for name, values in columns.items():
        given: list[Any] = values.tolist()
        for i in np.flatnonzero(rng.random(rows) < 0.25):
            given[i] = NUMBERS[rng.integers(len(NUMBERS))]
        table[name] = pa.array(given, pa.float64())
    return pa.table(table)


@pytest.mark.parametrize("kind", ["text", "integers", "floats", "decimals"])
def test_every_bad_row_is_rejected_for_its_reason(posterior: CLVPosterior, kind: str) -> None:
    for seed in range(6):
        table = bad_rows(kind, rng_of(kind, seed))
        pq.write_table(table, "rows.parquet", row_group_size=16)
        report = attempt("rows.parquet", posterior, f"out-{seed}.parquet")
        assert isinstance(report, ScoreReport), report
        with duckdb.connect() as connection:
            wanted = [reason for (reason,) in connection.execute(REASON_SQL).fetchall()]
        rejects = pq.read_table(report.rejects)
        found = dict(
            zip(rejects["source_row"].to_pylist(), rejects["reason"].to_pylist(), strict=True)
        )
        assert found == {i: reason for i, reason in enumerate(wanted) if reason is not None}
        kept = pa.array([i for i, reason in enumerate(wanted) if reason is None], pa.int64())
        assert pq.read_table(report.output)[ID].to_pylist() == table.take(kept)[ID].to_pylist()
        given = table.take(rejects["source_row"])
        assert_same_values(rejects.select(COLUMNS), given)


def assert_same_values(found: pa.Table, given: pa.Table) -> None:
    for name in given.column_names:
        for one, other in zip(found[name].to_pylist(), given[name].to_pylist(), strict=True):
            assert one == other or (one != one and other != other), name


# --- types of columns --------------------------------------------------------------------


def odd_columns() -> dict[str, pa.Array]:
    """Six values of each type of Arrow that a Parquet file holds."""
    day = datetime.date(2024, 1, 1)
    texts, whole = ["1", "2", "3", "4", "5", "x"], [1, 2, 3, 4, 5, 6]
    found = {
        str(kind): pa.array(whole, kind)
        for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.int64(), pa.uint64())
    }
    found |= {str(kind): pa.array(texts, kind) for kind in (pa.string(), pa.large_string())}
    found |= {
        "uint64 beyond int64": pa.array([*whole[:5], 2**64 - 1], pa.uint64()),
        "float32": pa.array([1, 2, math.nan, math.inf, None, 6], pa.float32()),
        "float16": pa.array(np.array([1, 2, 3, 4, 5, np.nan], np.float16)),
        "decimal": pa.array([decimal.Decimal(i) for i in whole], pa.decimal128(20, 4)),
        "huge decimal": pa.array([decimal.Decimal(10) ** 60] * 6, pa.decimal256(70, 2)),
        "null": pa.nulls(6),
        "booleans": pa.array([True, False, None] * 2),
        "binary": pa.array([b"\xff\xfe", b"", b"a", b"b", b"c", None]),
        "fixed binary": pa.array([b"0123456789abcdef"] * 6, pa.binary(16)),
        "dates": pa.array([day] * 6),
        "times": pa.array([pd.Timestamp("2024-01-01", tz="UTC")] * 6),
        "durations": pa.array([datetime.timedelta(1)] * 6),
        "clock": pa.array([datetime.time(1)] * 6),
        "lists": pa.array([[1], [], None, [2, 3], [4], [5]]),
        "structs": pa.array([{"a": 1, "b": None}] * 6),
        "maps": pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())),
        "categories": pa.array(texts).dictionary_encode(),
        "categories of numbers": pa.array(whole).dictionary_encode(),
        "text views": pa.array(texts, pa.string_view()),
        "nested lists": pa.array([[[1]]] * 6),
    }
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "together"),
    [(name, False) for name in (*COLUMNS, "first_value", "note")]
    + [(name, True) for name in (ID, TX, "note")],
)
def test_columns_of_any_type(posterior: CLVPosterior, column: str, together: bool) -> None:
    """Of one file, or of the second of two whose first is fine."""
    fine = fine_rows(6)
    pq.write_table(fine.append_column("first_value", pa.array([1.0] * 6)), "a.parquet")
    for number, (name, values) in enumerate(odd_columns().items()):
        table = fine.set_column(0, ID, pa.array(range(100, 106)))
        if column in table.column_names:
            table = table.drop_columns(column)
        pq.write_table(table.append_column(column, values), "b.parquet")
        source = ["a.parquet", "b.parquet"] if together else "b.parquet"
        found = attempt(source, posterior, f"o{number}/s.parquet")
        if isinstance(found, ScoreReport):
            assert found.rows == (12 if together else 6), name
            assert column != ID or "list" not in name
        else:
            assert column != "note", f"{name}: {found}"


# --- options -----------------------------------------------------------------------------


class Strange:
    def __repr__(self) -> str:
        return "Strange(\n)"


NONSENSE: Final[tuple[Any, ...]] = (
    "", " ", "x", "\0", "ü" * 300, "365", "-5D", "12Q", "nan", "x'; DROP TABLE t; --", 'a"b',
    "2024-13-45", "0.000001B", "999999999TB", "5 parsecs", b"x", -1, 0, 2.5, math.nan, math.inf,
    -math.inf, 10**400, 1e308, -1e308, True, [], ["x"], {}, {"a": 1}, (), {1, 2}, object(),
    Strange(), np.float32(0.3), pd.NaT, pd.Timestamp("2020-01-01"), datetime.timedelta(3), 1 + 2j,
)  # fmt: skip
# What of these, as it is written, has a meaning as which option.
FOLDERS: Final = (
    "' '", "'x'", "'365'", "'-5D'", "'12Q'", "'nan'", '"x\'; DROP TABLE t; --"', "'a\"b'",
    "'2024-13-45'", "'999999999TB'", "'5 parsecs'",
)  # fmt: skip
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "horizon": ("0", "2.5", "inf", "1e+308", "np.float32(0.3)", "datetime.timedelta(days=3)"),
    "discount_rate": ("0", "np.float32(0.3)"),
    "discounting": (),
    "interval": ("np.float32(0.3)",),
    "draws": ("1e+308",),
    "intervals": (),
    "predictive": ("True",),
    "customer_id_col": (),
    "datetime_col": (),
    "monetary_value_col": (),
    "observation_period_end": ("Timestamp('2020-01-01 00:00:00')",),
    "refunds": (),
    "zero_amounts": (),
    "duplicates": (),
    "time_unit": (),
    "time_scaler": (),
    "margin": ("np.float32(0.3)",),
    "table": ("'x'", "'nan'"),
    "allow_rejects": ("True",),
    "memory_limit": (),
    "threads": (),
    "block_rows": ("1e+308",),
    "progress": (),
    "posterior": (),
    "output": FOLDERS,
    "source": (),
}
OF_LOGS: Final = {*LOG, "observation_period_end", "refunds", "zero_amounts", "duplicates"}


@pytest.mark.parametrize("option", OPTIONS)
def test_nonsense_as_an_option(posterior: CLVPosterior, option: str) -> None:
    parquet("base.parquet")
    parquet("log.parquet", fine_log())
    accepted = set()
    for number, value in enumerate(NONSENSE):
        suffix = "duckdb" if option == "table" else "parquet"
        call: dict[str, Any] = {"fitted": posterior, "output": f"o{number}/s.{suffix}"}
        call |= (
            {"source": "log.parquet", **LOG} if option in OF_LOGS else {"source": "base.parquet"}
        )
        call[{"posterior": "fitted"}.get(option, option)] = value
        if not isinstance(attempt(**call), str):
            accepted.add(repr(value))
    assert accepted == set(OPTIONS[option])


# --- the command line --------------------------------------------------------------------

WORDS: Final = ("", " ", "x", "-1", "0", "nan", "inf", "1e400", "2024-13-45", "'; --", "ü", "5 GB!")
COMMAND: Final = (
    "horizon", "discount-rate", "discounting", "interval", "intervals", "draws", "customer-id",
    "timestamp", "amount", "observation-end", "refunds", "zero-amounts", "duplicates", "time-unit",
    "time-scaler", "margin", "table", "memory-limit", "threads", "block-rows", "engine",
    "posterior", "output", "nonsense",
)  # fmt: skip


@pytest.mark.parametrize("option", COMMAND)
def test_nonsense_on_the_command_line(
    posterior: CLVPosterior, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with one line, or a whole output."""
    parquet("base.parquet")
    posterior.save("posterior.nc")
    for number, word in enumerate(WORDS):
        options = {"posterior": "posterior.nc", "output": f"o{number}.parquet", "draws": "8"}
        options |= {"time-unit": "D", "margin": "0.5", option: word}
        code = main(
            ["score", "base.parquet", *(f"--{k}={v}" for k, v in options.items()), "--quiet"]
        )
        said = capsys.readouterr().err
        assert code in (0, 2), (word, said)
        if code == 2:
            assert said.startswith("Error: "), said
            assert said.count("\n") == 1, said
            assert_clear(said.strip())
        elif option != "output":
            assert pq.read_metadata(f"o{number}.parquet").num_rows == 6
        assert not list(Path().glob("*.partial"))
