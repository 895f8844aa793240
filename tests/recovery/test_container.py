"""The nightly recipe of the README in a locked-down container.

No home directory (nor can one be made), an installation that cannot be written, one core and
little memory; and scoring where the cache of loops is damaged. Where this process may not
mount, the installation stays writable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import clvmodels
from clvmodels.datasets import load_cdnow

pytestmark = pytest.mark.slow
INSTALLED = Path(clvmodels.__file__).parents[1]
MEMORY = 2 * 2**30
NAMED = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
SUMMARIZE = ["summarize", "orders.csv", *NAMED, "-o", "rfm.parquet"]
FIT = ["fit", "rfm.parquet", "-o", "posterior.nc", "--method", "laplace", "--seed", "1"]
SCORE = ["score", "rfm.parquet", "--posterior", "posterior.nc", "--horizon", "365D", "-o"]
# $0 becomes read-only; the rest is the command.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def may_mount() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-m", "sh", "-c", READ_ONLY, str(INSTALLED), "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


class Container:
    """Runs commands in a folder with one core, no HOME, and a folder for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.around = ["unshare", "-m", "sh", "-c", READ_ONLY, str(INSTALLED)]

    def start(self, said: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "clvmodels.cli", *said, "--quiet"]
        return subprocess.Popen(
            [*self.around, *command] if may_mount() else command,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C", "HOME": "/dev/null/none"}
            | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(INSTALLED)},
            preexec_fn=one_core,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *commands: Sequence[str]) -> None:
        for said in commands:
            job = self.start(said)
            assert job.stderr is not None
            with job.stderr as stream:
                error = stream.read()
            _, status, used = os.wait4(job.pid, 0)
            job.returncode = os.waitstatus_to_exitcode(status)
            assert (job.returncode, error) == (0, "")
            assert used.ru_maxrss * 1024 < MEMORY

    @property
    def compiled(self) -> list[Path]:
        """Files of the loops of prediction and scoring."""
        return [*self.temporary.glob("clvmodels-*/**/*.nb[ic]")]


def one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A container in which a log was summarised, fitted and scored, from cold."""
    container = Container(tmp_path_factory.mktemp("night"))
    load_cdnow(sample=True).to_csv(container.folder / "orders.csv", index=False)
    container.run(SUMMARIZE, FIT, [*SCORE, "scores.parquet"])
    return container


def assert_same_scores(night: Container, folder: Path, name: str) -> None:
    assert pq.read_table(folder / name).equals(pq.read_table(night.folder / "scores.parquet"))


def test_the_recipe_runs_and_keeps_what_it_compiled(night: Container) -> None:
    assert pq.read_metadata(night.folder / "scores.parquet").num_rows == 2357
    assert night.compiled


@pytest.mark.parametrize("kept", [0, 100], ids=["emptied", "cut"])
def test_damaged_caches_do_not_stop_a_run(night: Container, kept: int) -> None:
    for path in night.compiled:
        os.truncate(path, min(kept, path.stat().st_size))
    night.run([*SCORE, "again.parquet"])
    assert_same_scores(night, night.folder, "again.parquet")
