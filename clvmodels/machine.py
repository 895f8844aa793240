"""What of the machine this process may use: cores, and memory before the engine spills."""

from __future__ import annotations

import os
import re
from typing import Final

from clvmodels.errors import SchemaError
from clvmodels.schema import check_whole, shown

_AMOUNT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?\s*")
_MOST: Final = 4 * 2**30
_LEAST: Final = 2**29


def available_cores() -> int:
    """Cores that the process may run on, at least one."""
    if hasattr(os, "sched_getaffinity"):
        return max(len(os.sched_getaffinity(0)), 1)
    return os.cpu_count() or 1


def cores_for(threads: int | None) -> int:
    """Return the cores that were asked for, or all.

    Raises
    ------
    DomainError
        It is not a whole number of at least 1.
    """
    return available_cores() if threads is None else check_whole("threads", threads)


def check_memory_limit(limit: str | None) -> str:
    """Return a limit that the engine understands.

    Parameters
    ----------
    limit : str or None
        Such as "4GB"; None is a quarter of the machine's memory, at most 4 GB.

    Raises
    ------
    SchemaError
        It is not an amount of memory.
    """
    if limit is None:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return f"{max(min(total // 4, _MOST), _LEAST) >> 20}MiB"
    if not isinstance(limit, str) or not _AMOUNT.fullmatch(limit) or not re.search(r"[1-9]", limit):
        raise SchemaError(f"memory_limit={shown(limit)} is not an amount of memory: write '4GB'.")
    text = limit.strip()
    return text if text.upper().endswith("B") else f"{text}B"


def bytes_of(limit: str) -> int:
    """Return the bytes of a limit that `check_memory_limit` let pass."""
    found = _AMOUNT.fullmatch(limit)
    if found is None:
        raise ValueError(f"{limit!r} is not an amount of memory")
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(prefix.upper() or " "))
