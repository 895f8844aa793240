"""Run a job in a fresh process and measure it: seconds and peak memory, imports included."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What runs of one job took.

    Attributes
    ----------
    seconds : list of float
        Wall time of each run, process start to end.
    peak_mb : float
        Largest resident memory over the runs.
    found : dict
        What the last run printed.
    """

    seconds: list[float]
    peak_mb: float
    found: dict[str, Any]

    @property
    def median(self) -> float:
        """Median wall time."""
        return statistics.median(self.seconds)


def run(job: str, *, repeats: int = 1, **options: Any) -> Measured:
    """Measure a job of ``benchmarks.jobs``."""
    seconds, peak, found = [], 0.0, {}
    for _ in range(repeats):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.jobs", job, json.dumps(options)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds.append(time.perf_counter() - started)
        if status != 0:
            raise RuntimeError(f"{job} {options} failed with status {status}")
        peak = max(peak, usage.ru_maxrss / 1024.0)
        found = json.loads(output.strip().splitlines()[-1])
    return Measured(seconds, peak, found)
