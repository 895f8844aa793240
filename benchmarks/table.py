"""The table of a benchmark run, on screen and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured


@dataclass(frozen=True)
class Row:
    """One line: what was measured, what it must be, whether it is, and the peer's time."""

    work: str
    ours: Measured
    must: str
    met: bool
    peer: Measured | None = None


def report(rows: Iterable[Row], path: Path) -> bool:
    """Print the rows as they come, write them to JSON, and say whether all were met."""
    console, done = Console(), []
    for row in rows:
        console.print(
            f"{row.work}: {_seconds(row.ours.median)} s", style=None if row.met else "red"
        )
        done.append(row)
    console.print(_table(done))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"machine": _machine(), "rows": [_record(r) for r in done]}, indent=1)
    )
    console.print(f"written to {path}")
    return all(row.met for row in done)


def _table(rows: list[Row]) -> Table:
    table = Table()
    numbers = ("seconds", "CPU s", "peak MB", "ratio")
    for name in ("work", "seconds", "CPU s", "peak MB", "peer s", "ratio", "must", "met"):
        table.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        peer = row.peer.median if row.peer else None
        table.add_row(
            row.work,
            _seconds(row.ours.median),
            _seconds(row.ours.median_cpu) if row.ours.cpu else "",  # of a part of a process alone
            f"{row.ours.peak_mb:,.0f}",
            "" if peer is None else _seconds(peer),
            "" if peer is None else f"{peer / row.ours.median:.3g}",
            row.must,
            "yes" if row.met else "NO",
        )
    return table


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def _record(row: Row) -> dict[str, object]:
    return {
        "work": row.work,
        "must": row.must,
        "met": row.met,
        "seconds": row.ours.seconds,
        "cpu_seconds": row.ours.cpu,
        "peak_mb": row.ours.peak_mb,
        "found": row.ours.found,
        "peer_seconds": row.peer.seconds if row.peer else None,
        "peer_peak_mb": row.peer.peak_mb if row.peer else None,
    }


def _machine() -> dict[str, object]:
    packages = ("clvmodels", "pymc", "pymc-marketing", "nutpie", "numba", "numpy")
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        **{name: version(name) for name in packages},
    }
