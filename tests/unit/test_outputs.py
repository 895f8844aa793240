"""Files come whole or not at all, and what killed processes left goes with the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clvmodels.outputs import aside, folder_beside


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def aged(folder: Path, seconds: float = 3600.0) -> None:
    before = time.time() - seconds
    os.utime(folder, (before, before))


def test_a_file_is_replaced_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.txt"
    with aside(target) as written:
        assert (written.name, written.parent.parent) == ("x.txt", target.parent)
        written.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"

    def fail() -> None:
        with aside(target) as written:
            written.write_text("second")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_text() == "first"
    assert names(target.parent) == ["x.txt"]


def test_a_folder_left_over_goes_with_the_next_run(tmp_path: Path) -> None:
    left = tmp_path / ".clvmodels-abc123"
    (left / "spill").mkdir(parents=True)
    (left / "spill" / "big").write_bytes(b"x" * 1000)
    aged(left)
    with aside(tmp_path / "x") as written:
        written.write_text("")
    assert names(tmp_path) == ["x"]


def test_a_folder_that_is_at_work_or_young_stays(tmp_path: Path) -> None:
    young = tmp_path / ".clvmodels-young"
    young.mkdir()
    code = (
        "import sys, time; from pathlib import Path; from clvmodels.outputs import folder_beside\n"
        "with folder_beside(Path(sys.argv[1])) as f: print(f, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "y")], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        held = Path(child.stdout.readline().strip())
        aged(held)
        with folder_beside(tmp_path / "x"):
            pass
        assert names(tmp_path) == sorted([held.name, young.name])
        child.send_signal(signal.SIGKILL)
    assert held.is_dir()
    aged(held)
    with folder_beside(tmp_path / "x"):
        pass
    assert names(tmp_path) == [young.name]
