"""What reading a German CSV costs against a plain one: ``python -m benchmarks.local_csv [ROWS]``.

Both files hold the same log; one has ISO dates and points, the other days first, decimal commas
and euro signs, and nobody says so. Each is summarised in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.bases import cache_dir
from benchmarks.logs import log_parquet

ROWS: Final = 10_000_000
WAYS: Final = {
    "iso": ("strftime(ordered_at, '%Y-%m-%d')", "CAST(amount AS VARCHAR)", ","),
    "german": (
        "strftime(ordered_at, '%d.%m.%Y')",
        "replace(printf('%.2f', amount), '.', ',') || ' €'",
        ";",
    ),
}


def log_csv(rows: int, way: str) -> Path:
    """Write the log of the benchmarks as CSV, once."""
    path = cache_dir() / f"log_{rows}_{way}.csv"
    if not path.exists():
        import duckdb

        date, amount, sign = WAYS[way]
        aside = path.with_suffix(".tmp")
        duckdb.execute(
            f"COPY (SELECT customer_id, {date} AS day, {amount} AS amount "
            f"FROM '{log_parquet(rows)}') TO '{aside}' (FORMAT csv, HEADER, DELIMITER '{sign}')"
        )
        aside.rename(path)
    return path


def measure(path: str) -> dict[str, Any]:
    """Summarise a file: seconds of this process's CPU, and its most memory in MB."""
    from clvmodels import rfm_summary_to_parquet

    start, begun = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        audit = rfm_summary_to_parquet(
            path,
            Path(folder) / "rfm.parquet",
            customer_id_col="customer_id",
            datetime_col="day",
            monetary_value_col="amount",
        )
    return {
        "cpu_seconds": round(time.process_time() - start, 2),
        "seconds": round(time.perf_counter() - begun, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "rows_used": audit.rows_used,
        "notes": list(audit.notes),
    }


def main(rows: int) -> None:
    """Measure both and print their ratio."""
    found = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.local_csv", str(log_csv(rows, way))]
        found[way] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(way, found[way], flush=True)
    for name in ("cpu_seconds", "seconds", "peak_mb"):
        print(f"{name}: german is {found['german'][name] / found['iso'][name]:.2f} times iso")


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else str(ROWS)
    if given.isdigit():
        main(int(given))
    else:
        print(json.dumps(measure(given)))
