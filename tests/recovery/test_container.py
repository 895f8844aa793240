"""The nightly recipe of the README in a locked-down container.

No home directory (nor can one be made), an installation that cannot be written, one core and
little memory; and the same where what was compiled is damaged, or its disk is full. Where this
process may not mount, the installation stays writable.
"""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
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
# $0 becomes read-only, or a full disk; the rest is the command.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
FULL = (
    'mount -t tmpfs -o size=64k none "$0" && { head -c 65536 /dev/zero > "$0/all" || true; } '
    '&& exec "$@"'
)


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
        self.more: dict[str, str] = {}

    def start(self, said: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "clvmodels.cli", *said, "--quiet"]
        return subprocess.Popen(
            [*self.around, *command] if may_mount() else command,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LANG": "C", "HOME": "/dev/null/none"}
            | {"TMPDIR": str(self.temporary), "PYTHONPATH": str(INSTALLED)}
            | self.more,
            preexec_fn=little_machine,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *commands: Sequence[str]) -> None:
        for said in commands:
            job = self.start(said)
            assert job.stderr is not None
            with job.stderr as stream:
                error = stream.read()
            assert (job.wait(), error) == (0, "")

    @property
    def compiled(self) -> list[Path]:
        """Files of the loops of prediction and scoring, and of the fit's."""
        return [*self.temporary.glob("clvmodels-*/**/*.nb[ic]")]


def little_machine() -> None:
    """One core, and as little address space as memory, which is more than a container asks.

    The largest resident memory of a child is no measure: it begins with that of its parent.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Container:
    """A container in which a log was summarised, fitted and scored, from cold."""
    container = Container(tmp_path_factory.mktemp("night"))
    load_cdnow(sample=True).to_csv(container.folder / "orders.csv", index=False)
    container.run(SUMMARIZE, FIT, [*SCORE, "scores.parquet"])
    return container


def assert_same_scores(night: Container, name: str) -> None:
    folder = night.folder
    assert pq.read_table(folder / name).equals(pq.read_table(folder / "scores.parquet"))


def test_the_recipe_runs_and_keeps_what_it_compiled(night: Container) -> None:
    assert pq.read_metadata(night.folder / "scores.parquet").num_rows == 2357
    assert {"pytensor"} < {part for path in night.compiled for part in path.parts}
    kept = {path.suffix for path in night.temporary.rglob("*") if path.is_file()}
    assert not {".so", ".cpp"} & kept  # which would abort a fit where they are damaged


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    bit = int(rng.integers(8 * len(content)))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    flip,
    lambda _content, _rng: b"",
    lambda content, _rng: content[:100],
    lambda content, rng: content[: int(rng.integers(len(content)))],
    lambda content, rng: rng.bytes(len(content)),
)


def test_damaged_caches_do_not_stop_a_run(night: Container) -> None:
    rng = np.random.default_rng(20)
    files = sorted(path for path in night.temporary.glob("clvmodels-*/**/*") if path.is_file())
    assert len(files) > 100
    for path, damage in zip(files, itertools.cycle(DAMAGES), strict=False):
        path.write_bytes(damage(path.read_bytes() or b"0", rng))
    night.run(FIT, [*SCORE, "again.parquet"])
    assert_same_scores(night, "again.parquet")


@pytest.mark.skipif(not may_mount(), reason="a full disk must be mounted")
def test_full_caches_do_not_stop_a_run(night: Container) -> None:
    full = night.folder / "full"
    full.mkdir()
    container = Container(night.folder)
    container.around = ["unshare", "-m", "sh", "-c", FULL, str(full)]
    container.more = {"HOME": str(full), "NUMBA_CACHE_DIR": str(full / "loops")}
    container.run(FIT, [*SCORE, "again.parquet"])
    assert_same_scores(night, "again.parquet")
