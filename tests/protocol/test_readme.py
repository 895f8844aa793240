"""README from top to bottom in an empty folder, each command as it is printed; and Spark's page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clvmodels

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SPARK_PAGE = ROOT / "docs" / "spark.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)

# What a session of Spark already has: the log as a table, and tables kept beside it.
SPARK = """
import clvmodels, pyspark.sql
spark = (
    pyspark.sql.SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", False)
    .config("spark.sql.shuffle.partitions", 2)
    .getOrCreate()
)
frame = clvmodels.datasets.load_cdnow(sample=True)[["customer_id", "date", "amount"]]
spark.createDataFrame(frame.head(2000)).createOrReplaceTempView("orders")
"""


def run(command: list[str] | str, folder: Path) -> str:
    """Run a command there, with the environment's programs first, and return what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "MPLBACKEND": "Agg"},
        shell=isinstance(command, str),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def commands(block: str) -> list[str]:
    """Take the commands out of a block in which they follow a prompt."""
    return [part.strip() for part in re.split(r"^\$ ", block, flags=re.M) if part.strip()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_block_runs_in_turn(tmp_path: Path) -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert kinds == ["python", "console", "console"]
    printed = []
    for kind, block in BLOCKS:
        if kind == "console":
            printed += [run(command, tmp_path) for command in commands(block)]
        else:
            printed.append(run([sys.executable, "-c", block], tmp_path))
    assert "clv_upper" in printed[0]
    assert (tmp_path / "report.html").is_file()
    made = {path.name for path in (tmp_path / "clv").iterdir()}
    assert made >= {"rfm.parquet", "posterior.nc", "scores.parquet"}
    page = SPARK_PAGE.read_text(encoding="utf-8")
    scoring, fitting = re.findall(r"^```python\n(.*?)^```$", page, re.M | re.S)
    run([sys.executable, "-c", SPARK + scoring + fitting], tmp_path / "clv")


def test_it_is_short() -> None:
    """What is longer belongs on a page of the documentation."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def test_what_it_names_is_there() -> None:
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target
    for name in re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.M):
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.M), name
    for name in re.findall(r"\bclvmodels\.([a-z_]+)\b(?!\.)", text):
        assert hasattr(clvmodels, name), name
