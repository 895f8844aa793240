"""Settings shared by every test: threads, hypothesis, seeds, and no skips in CI."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Set before NumPy loads. Two workers share the machine's cores, so that threads inside
# BLAS would only take turns; numba keeps two, for the tests that compare thread counts.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import numpy as np
import pytest

from tests.parts import part_of

ROOT = Path(__file__).parents[1]
IN_CI = bool(os.environ.get("CI"))

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if IN_CI else "local")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Return a generator seeded by the test's own name: the same in every run and order."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    """Close pyplot's figures after each test: they stay open until somebody does."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Yield a Spark session on two cores of this machine, one for each test module."""
    if not _has_java():
        pytest.skip("no Java: Spark needs Java 17 or newer (JAVA_HOME, or java on the PATH)")
    root = str(ROOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        # the workers import clvmodels too, installed or not
        patch.setenv("PYTHONPATH", root, prepend=os.pathsep)
        session = _start_spark()
        yield session
        session.stop()


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=str(Path(home, "bin")) if home else None) is not None


def _start_spark() -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        # many small jobs: compiling the JVM's code hard is not worth its time
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.driver.host": "127.0.0.1",
        # so that whoever collects the customers fails
        "spark.driver.maxResultSize": "2m",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("clvmodels tests")
    return builder.config(map=settings).getOrCreate()


# How many quick tests take the time of a slow one, roughly
_SLOW = 30


# Files and folders whose quick tests have passed in the same run of CI
_PASSED = [ROOT / name for name in os.environ.get("CLVMODELS_PASSED", "").split()]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has passed or another machine runs, and begin with what takes longest.

    A worker has a file to itself, and one that got a long one last would go on alone.
    """
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += _SLOW if item.get_closest_marker("slow") else 1
    own = part_of(weights, os.environ.get("CLVMODELS_PART") or "1/1")
    left_out = [item for item in items if item.path not in own or _is_passed(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.path in own and not _is_passed(item)]
    items.sort(key=lambda item: -weights[item.path])  # which keeps the order within a file


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is imported by then: up to a seventh of the CPU."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let what was passed over go as ever when the process ends."""
    gc.unfreeze()


def _is_passed(item: pytest.Item) -> bool:
    if item.get_closest_marker("slow"):
        return False
    return any(item.path.is_relative_to(place) for place in _PASSED)


def _skipped(config: pytest.Config) -> list[str]:
    """Names and reasons of skipped tests, known to the process that reports."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or reporter is None or hasattr(config, "workerinput"):
        return []
    reports = reporter.stats.get("skipped", [])
    return [f"{report.nodeid}: {report.longrepr[-1]}" for report in reports]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: nothing there may be missing."""
    if _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the skipped tests that made a CI run fail."""
    for line in _skipped(config):
        terminalreporter.write_line(f"SKIPPED, which CI does not allow: {line}", red=True)
