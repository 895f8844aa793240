"""What this process may use: its container's limits, and where compiled code is kept."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clvmodels import machine

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
GIB = 2**30


def container(
    monkeypatch: pytest.MonkeyPatch, root: Path, mine: str, files: dict[str, str]
) -> None:
    """Lay out control groups as a kernel does."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    (root / "self").write_text(mine)
    monkeypatch.setattr(machine, "_GROUPS", root)
    monkeypatch.setattr(machine, "_MINE", root / "self")


MEMORY = {
    "second version": ("0::/\n", {"memory.max": str(GIB)}, GIB),
    "second version, no limit": ("0::/\n", {"memory.max": "max"}, MACHINE),
    "a limit further up": (
        "0::/pod/job\n",
        {"pod/memory.max": str(2 * GIB), "pod/job/memory.max": "max"},
        2 * GIB,
    ),
    "the least of several": (
        "0::/pod/job\n",
        {"pod/memory.max": str(GIB), "pod/job/memory.max": str(2 * GIB)},
        GIB,
    ),
    "first version": (
        "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n",
        {"memory/docker/1/memory.limit_in_bytes": str(GIB)},
        GIB,
    ),
    "first version, seen from inside": (
        "4:memory:/docker/1\n",
        {"memory/memory.limit_in_bytes": str(GIB)},
        GIB,
    ),
    "first version, no limit": (
        "4:memory:/\n",
        {"memory/memory.limit_in_bytes": "9223372036854771712"},
        MACHINE,
    ),
    "another system": ("", {}, MACHINE),
}


@pytest.mark.parametrize("case", MEMORY)
def test_memory_is_the_containers(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, files, bytes_ = MEMORY[case]
    container(monkeypatch, tmp_path, mine, files)
    assert machine.available_memory() == bytes_
    whole = min(bytes_ // 4, 4 * GIB)
    assert machine.check_memory_limit(None) == f"{whole >> 20}MiB"


def test_without_control_groups_memory_is_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_MINE", tmp_path / "not there")
    assert machine.available_memory() == MACHINE


def under(limit: int, code: str) -> str:
    """What Python says where `ulimit -v` is so many bytes."""
    limits = (resource.RLIMIT_AS, (limit, limit))
    run = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(*limits),
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_memory_is_no_more_than_ulimit_allows() -> None:
    code = "from clvmodels import machine; print(machine.available_memory())"
    assert under(GIB, code) == str(min(GIB, MACHINE))


def test_address_space_is_used_sparingly_where_it_is_limited() -> None:
    code = """
import contextlib, io
from clvmodels import cli, machine
with contextlib.redirect_stdout(io.StringIO()):
    cli.main(["--help"])
import pyarrow as pa
pa.array([1])
print(pa.default_memory_pool().backend_name, machine.lacking_space())
"""
    assert under(2 * GIB, code) == "system None"
    assert under(GIB - 1, code).startswith("system `ulimit -v` allows 1023 MiB of address space")


CORES = {
    "half a core": ("0::/\n", {"cpu.max": "50000 100000"}, 1),
    "one core and a half": ("0::/\n", {"cpu.max": "150000 100000"}, 2),
    "no limit": ("0::/\n", {"cpu.max": "max 100000"}, 64),
    "first version": (
        "3:cpu,cpuacct:/a\n",
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "100000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
        1,
    ),
    "first version, no limit": (
        "3:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
        64,
    ),
}


@pytest.mark.parametrize("case", CORES)
def test_cores_are_the_containers(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, files, cores = CORES[case]
    container(monkeypatch, tmp_path, mine, files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert machine.available_cores() == cores


def test_the_folder_is_this_users_alone(tmp_path: Path) -> None:
    folder = machine.own_folder(str(tmp_path))
    assert folder is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert machine.own_folder(str(tmp_path)) == folder


def test_a_folder_that_others_may_have_made_is_not_used(tmp_path: Path) -> None:
    """Code that lies there is run, so nobody else may have put it there."""
    folder = machine.own_folder(str(tmp_path))
    assert folder is not None
    folder.chmod(0o770)
    assert machine.own_folder(str(tmp_path)) is None
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert machine.own_folder(str(tmp_path)) is None
    assert machine.own_folder(str(tmp_path / "not there")) is None


def settled(home: str, **environment: str) -> list[str]:
    code = (
        "import os; from clvmodels.machine import settle_caches; print(settle_caches());"
        "print(os.environ.get('PYTENSOR_FLAGS')); print(os.environ.get('MPLCONFIGDIR'))"
    )
    kept = {"PATH": os.environ["PATH"], "HOME": home, **environment}
    run = subprocess.run(
        [sys.executable, "-c", code], env=kept, capture_output=True, text=True, check=True
    )
    return run.stdout.splitlines()


def test_a_home_that_can_be_written_is_left_alone(tmp_path: Path) -> None:
    assert settled(str(tmp_path)) == ["None", "None", "None"]


def test_without_a_home_libraries_write_to_the_folder(tmp_path: Path) -> None:
    folder, flags, figures = settled("/dev/null/x", TMPDIR=str(tmp_path))
    assert Path(folder).parent == tmp_path
    assert flags == f"base_compiledir={folder}/pytensor"
    assert figures == f"{folder}/matplotlib"


def test_what_the_environment_says_stays(tmp_path: Path) -> None:
    flags = f"floatX=float64,base_compiledir={tmp_path}/x"
    said = {"PYTENSOR_FLAGS": flags, "MPLCONFIGDIR": "/y"}
    _, flags, figures = settled("/dev/null/x", TMPDIR=str(tmp_path), **said)
    assert (flags, figures) == (said["PYTENSOR_FLAGS"], said["MPLCONFIGDIR"])
    said = {"PYTENSOR_FLAGS": "floatX=float64"}
    folder, flags, _ = settled("/dev/null/x", TMPDIR=str(tmp_path), **said)
    assert flags == f"floatX=float64,base_compiledir={folder}/pytensor"


def test_what_cannot_be_written_is_replaced_whoever_named_it(tmp_path: Path) -> None:
    said = {"PYTENSOR_FLAGS": "base_compiledir=/dev/null/x", "MPLCONFIGDIR": "/y"}
    folder, flags, figures = settled(str(tmp_path), TMPDIR=str(tmp_path), **said)
    assert flags == f"base_compiledir=/dev/null/x,base_compiledir={folder}/pytensor"
    assert figures == "/y"
    (tmp_path / ".pytensor").write_text("a file where the folder should be")
    folder, flags, _ = settled(str(tmp_path), TMPDIR=str(tmp_path))
    assert flags == f"base_compiledir={folder}/pytensor"


@pytest.mark.slow
def test_the_commands_run_without_a_home(tmp_path: Path) -> None:
    import clvmodels as clv

    options = {"r": 0.5, "alpha": 10.0, "a": 0.8, "b": 2.5, "T": 50.0, "seed": 1}
    clv.simulate.simulate_rfm(200, **options).to_parquet(tmp_path / "rfm.parquet")
    kept = {"PATH": os.environ["PATH"], "HOME": "/dev/null/x", "TMPDIR": str(tmp_path)}
    for command in (
        ["fit", "rfm.parquet", "--method", "laplace", "--seed", "1", "-o", "p.nc"],
        ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "scores.parquet"],
    ):
        run = subprocess.run(
            [sys.executable, "-m", "clvmodels.cli", *command],
            env=kept,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert f"compiled code is kept in {tmp_path}/clvmodels-" in run.stderr
        assert "atplotlib" not in run.stderr
    assert (tmp_path / "scores.parquet").exists()
