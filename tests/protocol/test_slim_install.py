"""An environment that only scores: it is enough, it is small, and it says what it lacks."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clvmodels as clv
from clvmodels.datasets import load_cdnow
from clvmodels.errors import BEYOND_SCORING, MissingPackageError, explained
from clvmodels.keywords import named

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}


def pinned() -> set[str]:
    lines = (ROOT / "requirements-score.txt").read_text().splitlines()
    names = [re.split(r"[=<>; \[]", line)[0] for line in lines if not line.startswith("#")]
    return {canonicalize_name(name) for name in names}


@pytest.mark.slow
def test_the_list_is_what_scoring_imports() -> None:
    script: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "score_requirements.py"))
    said = "run scripts/score_requirements.py"
    assert (ROOT / "requirements-score.txt").read_text() == script["text"](), said


def test_what_is_left_out_is_known_by_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    left_out = ours - pinned()
    by_import = {"pil": "pillow", "pytensor": "pymc"}
    names = {canonicalize_name(one) for one in BEYOND_SCORING}
    assert {by_import.get(name, name) for name in names} == left_out
    assert {"pymc", "nutpie", "matplotlib"} <= left_out


def test_a_verb_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    @named
    def draw(*, width: int = 3) -> None:
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.pyplot")

    with pytest.raises(MissingPackageError, match=r"draw needs Matplotlib, which is not installed"):
        draw()
    other = ModuleNotFoundError("No module named 'polars'", name="polars")
    assert explained(other, "draw") is other


def run(env: Path, *arguments: object, at: Path) -> subprocess.CompletedProcess[str]:
    told = [str(env / "bin" / str(arguments[0])), *map(str, arguments[1:])]
    return subprocess.run(told, capture_output=True, text=True, check=False, cwd=at)


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment with the list alone; by way of a registry."""
    folder = tmp_path_factory.mktemp("slim")
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("clvmodels-*.whl")
    install = [str(ROOT / "scripts" / "install-into"), str(folder / "env")]
    for what in (["-r", str(ROOT / "requirements-score.txt")], ["--no-deps", str(wheel)]):
        subprocess.run([*install, *what], check=True, capture_output=True)
    return folder / "env"


SCORE = """
import sys
import clvmodels as clv

assert not sys.modules.keys() & {"pymc", "matplotlib", "arviz", "nutpie"}
clv.score("rfm.parquet", "posterior.nc", "api.parquet", predictive=True)
posterior, rfm = clv.load_posterior("posterior.nc"), clv.RfmTable.from_parquet("rfm.parquet")
assert len(posterior.predict(rfm)) and len(posterior.summary())
for call in (
    lambda: clv.CLVModel,
    lambda: clv.report(posterior),
):
    try:
        call()
    except clv.MissingPackageError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)  # packages come from a registry
def test_scoring_needs_no_more_than_the_list(slim: Path, tmp_path: Path) -> None:
    log = load_cdnow(sample=True)
    log.to_csv(tmp_path / "log.csv", index=False)
    rfm = clv.rfm_summary(log, **COLUMNS)
    rfm.to_parquet(tmp_path / "rfm.parquet")
    fitted = clv.CLVModel().fit(rfm, method="laplace", random_seed=1, progressbar=False)
    fitted.save(tmp_path / "posterior.nc")
    clv.score(tmp_path / "rfm.parquet", fitted, tmp_path / "here.parquet", predictive=True)

    done = run(slim, "python", "-c", SCORE, at=tmp_path)
    assert done.returncode == 0, done.stderr
    here, there = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("here", "api"))
    pd.testing.assert_frame_equal(there, here, rtol=1e-12)
    assert done.stdout.splitlines() == [
        f"{what}, which is not installed here (scoring does without it): "
        "`pip install clvmodels` brings it."
        for what in ("CLVModel needs PyMC", "report needs Jinja")
    ]

    told = ("score", "log.csv", "--customer-id", "customer_id", "--timestamp", "date")
    told = (*told, "--amount", "amount", "--posterior", "posterior.nc", "-o", "cli.csv")
    done = run(slim, "clvmodels", *told, at=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "cli.csv")) == len(here)

    done = run(slim, "clvmodels", "fit", "rfm.parquet", "-o", "new.nc", at=tmp_path)
    assert done.returncode == 2
    assert "needs PyMC, which is not installed here" in " ".join(done.stderr.split())
    assert "pip install clvmodels" in " ".join(done.stderr.split())
    assert not (tmp_path / "new.nc").exists()
