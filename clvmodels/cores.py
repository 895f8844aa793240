"""How many cores this process may use."""

from __future__ import annotations

import os

from clvmodels.schema import check_whole


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
