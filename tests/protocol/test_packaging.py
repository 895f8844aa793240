"""What goes with the package: citation, bill of materials, lowest versions, the image's recipe."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import clvmodels
from tests.parts import part_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / name))


def test_the_citation_is_of_this_version() -> None:
    said = dict(re.findall(r"^(\w+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert said["version"] == clvmodels.__version__ == PROJECT["version"]
    assert said["license"] == PROJECT["license"]


def test_the_bill_of_materials_names_all_that_is_installed() -> None:
    bill = script("sbom.py")["bill"]()
    known = {one["name"]: one["version"] for one in bill["components"]}
    assert {"clvmodels", "pyarrow", "pymc", "pytest"} <= known.keys()
    assert known["numpy"] == version("numpy")
    names = [one["name"] for one in bill["components"]]
    assert names == sorted(set(names))
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])


def test_the_lowest_versions_are_those_of_the_project() -> None:
    lines = script("lowest.py")["lowest"]()
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["spark"], *extras["mlflow"], *extras["excel"]]
    assert len(lines) == sum(">=" in one for one in wanted)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {line.split("==")[0] for line in script("lowest.py")["tools"]()}
    assert {"pytest", "hypothesis", "mpmath"} <= pinned


def test_the_image_is_made_of_files_that_are_there() -> None:
    recipe = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.+) /tmp/$", recipe, re.MULTILINE)
              for name in line.split()]  # fmt: skip
    assert copied == ["requirements-score.txt", "dist/clvmodels-*.whl", "scripts/warm_up.py"]
    assert all((ROOT / name).is_file() for name in copied if "*" not in name)
    assert "warm_up" in recipe.split("NUMBA_CACHE_DIR", 1)[1]  # compiled where it is kept


def test_the_image_is_warmed_up_by_scoring() -> None:
    script("warm_up.py")["main"]()


def test_parts_of_the_tests_leave_nothing_out_and_weigh_alike() -> None:
    weights = {file: 1 + file.stat().st_size for file in (ROOT / "tests").rglob("test_*.py")}
    parts = [part_of(weights, f"{number}/3") for number in (1, 2, 3)]
    assert set.union(*parts) == set(weights)
    assert sum(map(len, parts)) == len(weights)
    loads = [sum(weights[file] for file in part) for part in parts]
    assert max(loads) - min(loads) < max(weights.values())
    assert part_of(weights, "1/1") == set(weights)


@pytest.mark.parametrize("part", ["", "2", "0/2", "3/2", "1/2/3", "a/b"])
def test_what_is_no_part_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="is not a part of the tests"):
        part_of({"a": 1}, part)


def test_every_job_of_a_benchmark_can_be_run_by_its_name() -> None:
    from benchmarks import jobs

    written = {
        name
        for name, one in vars(jobs).items()
        if inspect.isfunction(one) and one.__module__ == jobs.__name__ and name[0] != "_"
    }
    assert written == set(jobs.JOBS)


def test_a_benchmark_that_timed_a_part_of_its_process_is_shown(tmp_path: Path) -> None:
    """Such rows have no CPU time, and ended a run of minutes before its table was there."""
    from benchmarks.measure import Measured
    from benchmarks.table import Row, report

    part = Measured([1.0], 10.0, {})
    whole = Measured([2.0], 20.0, {}, cpu=[3.0])
    rows = [Row("part", part, "<= 2 s", True, whole), Row("whole", whole, "<= 1 s", False)]
    assert not report(rows, tmp_path / "rows.json")
    kept = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["cpu_seconds"] for row in kept] == [[], [3.0]]
