"""What generated inputs are made of, and what must be true of each attempt to score one."""

from __future__ import annotations

import decimal
import math
import warnings
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import ClvError, score
from clvmodels.scoring import ScoreReport
from clvmodels.scoring.row_checks import REASONS

ID, X, TX, T, M = "customer_id", "frequency", "recency", "T", "monetary_value"
COLUMNS: Final = (ID, X, TX, T, M)
HEADER: Final = ",".join(COLUMNS)
QUICK: Final[dict[str, Any]] = {
    "horizon": "30D",
    "draws": 8,
    "block_rows": 9,
    "threads": 1,
    "time_unit": "D",
    "margin": 0.5,
    "memory_limit": "200MB",
    "allow_rejects": True,
}
LOG: Final[dict[str, Any]] = {
    "customer_id_col": "customer",
    "datetime_col": "day",
    "monetary_value_col": "amount",
}
LONGEST: Final = 1_000


def rng_of(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def attempt(source: Any, fitted: Any, output: Any = "out/s.parquet", **options: Any) -> Any:
    """Score; return the report, or the line that refuses."""
    refused = ""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # of age, and of no rows
        try:
            report = score(source, fitted, output, **{**QUICK, **options})
        except (ClvError, OSError) as error:
            refused = str(getattr(error, "strerror", None) or error)
    if refused:
        assert_clear(refused)
        assert not list(Path().rglob("*.partial")), f"left behind: {refused}"
        return refused
    assert_balanced(report)
    return report


def assert_clear(message: str) -> None:
    """One line, in words."""
    assert "\n" not in message, message
    assert 15 <= len(message) <= LONGEST, message
    assert " " in message, message
    assert "Traceback" not in message, message


def assert_balanced(report: ScoreReport) -> None:
    """Scores, rejects and manifest say of as many rows as there are; scores are finite."""
    assert report.rows == report.scored + report.rejected
    if report.output.suffix != ".parquet":
        return
    scores = pq.read_table(report.output)
    assert scores.num_rows == report.scored
    rejected = 0 if report.rejects is None else pq.read_metadata(report.rejects).num_rows
    assert rejected == report.rejected == sum(report.reasons.values())
    assert set(report.reasons) <= set(REASONS)
    for name in ("p_alive", "p_purchase", "clv"):
        assert np.isfinite(scores[name].to_numpy()).all(), name


# --- rows and files ----------------------------------------------------------------------

NUMBERS: Final = (
    None, math.nan, math.inf, -math.inf, -1.0, -0.0, 0.5, 1e9, 2.0**53, 2.0**54, 1e19, 1e99,
    1e101, 1e308, -1e308, 5e-324, 1.0000000001, 3.0, 40.0,
)  # fmt: skip
TEXTS: Final = (
    None, "", " ", "a", "A", "ä", "a\u0308", "\U0001f600", "\0", "a\0b", "x" * 20_000, "NULL",
    "0", "00", "1e3", "nan", "NaN", '"', "'; --", "a,b", "a\nb", "\ufeff", "\u202e",
)  # fmt: skip


def ids_of(kind: str, rows: int, rng: np.random.Generator) -> pa.Array:
    pools: dict[str, tuple[tuple[Any, ...], pa.DataType]] = {
        "text": ((*TEXTS, *map(str, range(30))), pa.string()),
        "integers": ((None, -(2**63), -1, 0, 2**53, 2**53 + 1, *range(5, 60)), pa.int64()),
        "floats": ((None, math.nan, 1e308, 0.5, *map(float, range(60))), pa.float64()),
        "decimals": (tuple(decimal.Decimal(i) / 8 for i in range(50)), pa.decimal128(12, 3)),
    }
    some, dtype = pools[kind]
    return pa.array([some[i] for i in rng.integers(0, len(some), rows)], dtype)


def fine_rows(count: int) -> pa.Table:
    x = [i % 3 for i in range(count)]
    return pa.table(
        {
            ID: list(range(count)),
            X: x,
            TX: [5.0 * i for i in x],
            T: [40.0 + i for i in range(count)],
            M: [2.5] * count,
        }
    )


def fine_log() -> pa.Table:
    days = ["2019-01-01", "2019-03-01", "2019-02-01", "2019-05-01", "2019-05-02"]
    return pa.table({"customer": [1, 1, 2, 3, 3], "day": days, "amount": [1.5, 2.5, 3.5, 4.5, 5.5]})


def mangled(rng: np.random.Generator, data: bytes) -> bytes:
    """Bytes cut, flipped, doubled or replaced somewhere."""
    found = bytearray(data)
    at, how = int(rng.integers(len(data))), int(rng.integers(5))
    if how == 0:
        return bytes(found[:at])
    if how == 1:
        found[at] ^= 1 << int(rng.integers(8))
    elif how == 2:
        del found[at : at + int(rng.integers(1, 50))]
    elif how == 3:
        found[at:at] = found[at : at + 20]
    else:
        found[at : at + 8] = rng.integers(0, 256, 8, dtype=np.uint8).tobytes()
    return bytes(found)


def parquet(name: str, table: pa.Table | None = None) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(fine_rows(6) if table is None else table, name)
