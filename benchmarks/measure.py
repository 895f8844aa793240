"""Run a job in a fresh process and measure it: seconds and peak memory, imports included."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
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
    inside : list of float
        Wall time of the work alone in each run, where the job timed it.
    cpu : list of float
        CPU time of each run on all cores, which other processes hardly change.
    """

    seconds: list[float]
    peak_mb: float
    found: dict[str, Any]
    inside: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall time."""
        return statistics.median(self.seconds)

    @property
    def median_cpu(self) -> float:
        """Median CPU time."""
        return statistics.median(self.cpu)


def run(job: str, *, repeats: int = 1, **options: Any) -> Measured:
    """Measure a job of ``benchmarks.jobs``."""
    return _together([_once(job, options) for _ in range(repeats)])


def run_in_turns(*jobs: tuple[str, dict[str, Any]], repeats: int) -> list[Measured]:
    """Measure jobs one after the other, again and again, so that noise falls on all."""
    runs = [[_once(job, options) for job, options in jobs] for _ in range(repeats)]
    return [_together(list(own)) for own in zip(*runs, strict=True)]


def work_alone(measured: Measured) -> Measured:
    """Take the times of the work alone, without imports."""
    return replace(measured, seconds=measured.inside)


def _together(runs: list[Measured]) -> Measured:
    seconds = [one.seconds[0] for one in runs]
    inside = [one.inside[0] for one in runs if one.inside]
    cpu = [one.cpu[0] for one in runs]
    return Measured(seconds, max(one.peak_mb for one in runs), runs[-1].found, inside, cpu)


def _once(job: str, options: dict[str, Any]) -> Measured:
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.jobs", job, json.dumps(options)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0:
        raise RuntimeError(f"{job} {options} failed with status {status}")
    found = json.loads(output.splitlines()[-1])
    inside = [found.pop("seconds")] if "seconds" in found else []
    cpu = [usage.ru_utime + usage.ru_stime]
    return Measured([seconds], usage.ru_maxrss / 1024.0, found, inside, cpu)
