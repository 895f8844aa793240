"""What of the machine this process may use: cores, memory, and where compiled code is kept.

A container may have less than its machine: what its control group allows counts.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from clvmodels.errors import SchemaError
from clvmodels.schema import check_whole, shown

_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*")
_NAMED: Final = re.compile(r"(?:^|,)\s*base_compiledir=([^,]*)")
_MOST: Final = 4 * 2**30
_LEAST: Final = 2**28
_ARENA_MAX: Final = -8  # as malloc.h names it
# What a cold `score` or `fit` on one core needs at most, of which it uses some 500 MiB
_RESERVED: Final = 2**30
_GROUPS: Final = Path("/sys/fs/cgroup")
_MINE: Final = Path("/proc/self/cgroup")


def available_cores() -> int:
    """Cores that the process may run on, at least one.

    A container's share of processor time counts as the cores that it amounts to.
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(min([seen or 1, *(math.ceil(share) for share in _shares())]), 1)


def cores_for(threads: int | None) -> int:
    """Return the cores that were asked for, or all.

    Raises
    ------
    DomainError
        It is not a whole number of at least 1.
    """
    return available_cores() if threads is None else check_whole("threads", threads)


def available_memory() -> int:
    """Bytes of the machine, or of its container or `ulimit -v` where those allow less."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    names = ("memory.max", "memory.limit_in_bytes")
    allowed = [int(text) for text in _limits("memory", names) if text.isdigit()]
    return min([whole, *allowed, address_space() or whole])


def address_space() -> int | None:
    """Bytes that the process may reserve (`ulimit -v`), or None where there is no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def reserve_little() -> None:
    """Let libraries reserve little more address space than they use where `ulimit -v` is set.

    Arrow's usual allocator reserves a gigabyte at once, and that of the C library 64 MiB for
    every thread that asks it for memory. To be called before Arrow is imported; what the
    environment says already stays.
    """
    if address_space() is None:
        return
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(AttributeError, OSError):  # another C library than GNU's
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def lacking_space() -> str | None:
    """Say that `ulimit -v` allows too little, where it does: libraries abort without a word."""
    if (most := address_space()) is None or most >= _RESERVED:
        return None
    return (
        f"`ulimit -v` allows {most >> 20} MiB of address space, and libraries reserve up to "
        f"{_RESERVED >> 20} MiB, so that they may abort: raise it, or limit memory by a container "
        "or control group, which counts only what is used."
    )


def _shares() -> Iterator[float]:
    """Processor time that the container may use, in cores."""
    for text in _limits("cpu", ("cpu.max",)):
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            yield int(quota) / int(period)
    quotas = _limits("cpu", ("cpu.cfs_quota_us",))
    for quota, period in zip(quotas, _limits("cpu", ("cpu.cfs_period_us",)), strict=False):
        if quota.isdigit() and period.isdigit() and int(period):  # -1: as much as there is
            yield int(quota) / int(period)


def _limits(controller: str, names: tuple[str, ...]) -> Iterator[str]:
    """Yield what the control groups of this process say, from its own up to the root.

    Both versions of control groups: one tree for all controllers, or one each.
    """
    try:
        lines = _MINE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # another system than Linux
    for line in lines:
        _, known, path = line.split(":", 2)
        if known and controller not in known.split(","):
            continue
        root = _GROUPS / known if known else _GROUPS
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            for name in names:
                try:
                    yield (place / name).read_text(encoding="utf-8").strip()
                except OSError:
                    continue
            if place == root:
                break


def own_folder(base: str | None = None) -> Path | None:
    """Return a folder for compiled code where the usual ones can't be written.

    Parameters
    ----------
    base : str, optional
        Where it lies; by default where temporary files do.

    Returns
    -------
    Path or None
        Readable and writable for this user alone, since code that lies there is run; None
        where that can't be had.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(base or tempfile.gettempdir()) / f"clvmodels-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == user
    private = not stat.S_IMODE(found.st_mode) & 0o077
    return folder if ours and private and os.access(folder, os.W_OK | os.X_OK) else None


def settle_caches() -> Path | None:
    """Let PyTensor and Matplotlib keep their files where they can be written.

    They would stop, or complain, when they are imported. What the environment says already
    (`PYTENSOR_FLAGS`, `MPLCONFIGDIR`) stays, unless nothing can be kept there.

    Returns
    -------
    Path or None
        The folder that is used in place of the usual ones; None where those will do.
    """
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user whom the system does not know
        home = None
    homeless = home is None or not (home.is_dir() and _writable(home))
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    named = _NAMED.findall(flags)
    compiled = Path(named[-1]).expanduser() if named else home and home / ".pytensor"
    takes = compiled is not None and _takes(compiled / "numba")
    if (takes and not homeless) or (folder := own_folder()) is None:
        return None
    if not takes:
        ours = f"base_compiledir={folder / 'pytensor'}"  # of two, the second counts
        os.environ["PYTENSOR_FLAGS"] = f"{flags},{ours}" if flags else ours
    if homeless:
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    return folder


def _takes(folder: Path) -> bool:
    """Whether a folder is there or can be made."""
    there = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), Path("/"))
    return folder.is_dir() if there == folder else _writable(there)


def _writable(folder: Path) -> bool:
    """Whether a file fits: not on a full disk, nor on one that is only to be read."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
    except OSError:
        return False
    return True


def check_memory_limit(limit: str | None) -> str:
    """Return a limit that the engine understands.

    Parameters
    ----------
    limit : str or None
        Such as "4GB"; None is a quarter of the memory that there is, at most 4 GB.

    Raises
    ------
    SchemaError
        It is not an amount of memory.
    """
    if limit is None:
        return f"{max(min(available_memory() // 4, _MOST), _LEAST) >> 20}MiB"
    if not isinstance(limit, str) or not _AMOUNT.fullmatch(limit) or not re.search(r"[1-9]", limit):
        raise SchemaError(
            f"memory_limit={shown(limit)} is not an amount of memory: write a number and a unit, "
            "such as '4GB'."
        )
    text = limit.strip()
    return text if text.upper().endswith("B") else f"{text}B"


def bytes_of(limit: str) -> int:
    """Return the bytes of a limit that `check_memory_limit` let pass."""
    found = _AMOUNT.fullmatch(limit)
    if found is None:
        raise ValueError(f"{limit!r} is not an amount of memory")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))
