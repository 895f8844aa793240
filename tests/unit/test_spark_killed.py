"""Processes of Spark that are killed: the same scores or one line, and nothing is said else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels.spark.session import spark_errors
from tests.unit.test_spark_files import POSTERIOR, assert_same, read_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="no java on the PATH"),
]
ROOT = Path(__file__).parents[2]

# Imported by the workers: the first of them to get there dies after it has written a part.
DYING = """
import os, signal
from pathlib import Path
from clvmodels.spark.task_files import WriteBlocks

class Dying(WriteBlocks):
    def write(self, block, name):
        record = super().write(block, name)
        try:
            Path("died").touch(exist_ok=False)
        except FileExistsError:
            return record
        os.kill(os.getpid(), signal.SIGKILL)
"""
DIES = """
from dying import Dying
from clvmodels.spark import files

files.WriteBlocks = Dying
"""
# Kills its own Java process while rows are scored, which takes a second.
JAVA = """
import os, signal, subprocess, threading
from clvmodels.spark import files

def kill():
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "java"], capture_output=True).stdout
    os.kill(int(found), signal.SIGKILL)

def score(self, scorer):
    threading.Timer(0.3, kill).start()
    return whole(self, scorer)

whole, files._Base.score = files._Base.score, score
"""
RUN = """
import sys
from clvmodels.cli import main

def run(name):
    options = ["--posterior", "posterior.nc", "-o", name, "--engine", "spark", "--quiet"]
    print(main(["score", "base.parquet", *options]), file=sys.stderr)

run("out")
"""


def said(folder: Path, code: str, master: str) -> list[str]:
    """Lines on standard error, of which the last is the exit code; none on standard output."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "MASTER": master, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        | {"SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    return run.stderr.splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    options = {"r": 0.5, "alpha": 10.0, "a": 0.8, "b": 2.5, "T": 50.0, "seed": 1}
    spend = {"p": 6.0, "q": 3.7, "v": 15.0}
    clv.simulate.simulate_rfm(3000, **options, **spend).to_parquet(tmp_path / "base.parquet")
    POSTERIOR.save(tmp_path / "posterior.nc")
    (tmp_path / "dying.py").write_text(DYING)
    return tmp_path


def test_a_killed_worker_ends_equal_where_spark_tries_again(folder: Path) -> None:
    assert said(folder, f"{DIES}{RUN}", "local[2,4]") == ["0"]
    assert (folder / "died").exists()
    clv.score(folder / "base.parquet", POSTERIOR, folder / "wanted.parquet")
    wanted = pq.read_table(folder / "wanted.parquet")
    assert_same(read_folder(folder / "out"), wanted, ["customer_id"])


def test_a_killed_process_is_one_line_and_the_next_run_ends(folder: Path) -> None:
    again = "files._Base.score = whole; run('out')"
    lines = said(folder, f"{JAVA}{RUN}{again}", "local[2]")
    assert [lines[1], lines[2]] == ["6", "0"]
    assert lines[0].startswith("Error: Spark's Java process ended")


@pytest.mark.parametrize("kind", ["itself", "as the schema says it", "without a reason"])
def test_a_broken_connection_is_known_behind_what_pyspark_makes_of_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from py4j.protocol import Py4JError
    from pyspark import SparkContext
    from pyspark.errors import PySparkValueError

    class Dead:
        @property
        def java(self) -> None:
            raise ConnectionRefusedError(111, "Connection refused")

    def broken() -> None:
        if kind == "without a reason":
            raise Py4JError("An error occurred while calling None.java.util.HashMap")
        try:
            Dead().java  # noqa: B018
        except ConnectionRefusedError as error:
            if kind == "itself":
                raise
            told = {"msg": str(error)}
            raise PySparkValueError(errorClass="CANNOT_PARSE_DATATYPE", messageParameters=told)  # noqa: B904 - as PySpark does

    with monkeypatch.context() as patch:
        patch.setattr(SparkContext, "_jvm", Dead())
        with pytest.raises(OSError, match="Spark's Java process ended"), spark_errors("read"):
            broken()
    with pytest.raises(Py4JError, match="another"), spark_errors("read"):
        raise Py4JError("another")


def test_a_killed_worker_is_one_line_where_spark_tries_once(folder: Path) -> None:
    line, status = said(folder, f"{DIES}{RUN}", "local[2]")
    assert status == "6"
    assert line.startswith("Error: A worker of Spark ended")
