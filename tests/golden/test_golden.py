"""Nothing that is rebuilt changes a number: all that matter, kept up to 1e-12 of themselves.

The values, and all that they are computed from, are files beside this one. Where a number
was wrong, or is meant to be another one, write those of its case anew, and say the reason in
the commit's body:

    CLVMODELS_WRITE_GOLDEN=1 python -m pytest tests/golden -k predict

Without it the test names the first number that deviates. Sums over threads differ in their
last bits, other processors in the last two.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden import values
from tests.golden.cases import CASES, SPARK_CASES
from tests.golden.values import Flat, deviation, flat

# margins that differ, rows that are rejected: other tests are about what is said of them
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def check(name: str, found: Flat) -> None:
    """Compare a case's record with the one that was kept, or keep it."""
    if os.environ.get("CLVMODELS_WRITE_GOLDEN"):
        values.write(name, found)
    message = deviation(found, values.read(name))
    assert not message, message


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_that_were_kept(name: str, tmp_path: Path) -> None:
    check(name, CASES[name](tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", SPARK_CASES)
def test_numbers_of_spark_are_those_that_were_kept(name: str, spark: Any, tmp_path: Path) -> None:
    check(name, SPARK_CASES[name](tmp_path, spark))


def test_every_file_of_values_has_a_case() -> None:
    kept = {path.name for path in values.VALUES.iterdir()}
    assert kept == {values.path_of(name).name for name in (*CASES, *SPARK_CASES)}


def test_a_deviation_is_named_with_its_value_and_its_size() -> None:
    kept = flat(a={"one": [1.0, 2.0, np.nan], "two": 3}, b=["x", "y"], c=np.inf)
    assert not deviation(
        flat(a={"one": [1.0, 2.0, np.nan], "two": 3}, b=["x", "y"], c=np.inf), kept
    )
    changed = {**kept, "a.one": np.array([1.0 + 1e-13, 2.0 * (1 + 1e-10), np.nan])}
    assert deviation(changed, kept).startswith(
        "a.one[1]: was np.float64(2.0), is np.float64(2.0000000002), relative error 1.0e-10; "
        "1 of 3 deviate"
    )
    for key, wrong in (
        ("a.one", [1.0, 2.0, 3.0]),
        ("a.one", [1.0, 2.0]),
        ("a.two", 4),
        ("a.two", 3.0),
        ("b", ["x", "z"]),
        ("c", 1e300),
    ):
        assert deviation(kept | {key: flat(it=wrong)["it"]}, kept).startswith(key)
    assert not deviation(kept | flat(d=0.0), kept)
    assert deviation({key: kept[key] for key in kept if key != "b"}, kept).startswith("b: is kept")


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    kept = flat(a=[[1.5, np.nan], [np.inf, -0.0]], b=7, c=["x", "é"], d=[], e=[None, 2.0])
    values.write("some/case", kept, tmp_path)
    found = values.read("some/case", tmp_path)
    assert not deviation(found, kept)
    assert not deviation(kept, found)
    assert {key: one.dtype.kind for key, one in found.items()} == dict(
        zip("abcde", "fiUff", strict=True)
    )
