"""What only one thread of a process may do at a time, whichever asks: the others wait.

PyTensor's functions share what they work with, and are compiled while modules are patched: of
fits of three bases in three threads one in five failed, and now and then one had the numbers of
another base. Chains and weights use all cores by themselves, so that little is lost by waiting.
matplotlib has one set of styles a process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Final, Literal, get_args

Shared = Literal["pytensor", "matplotlib"]

_locks: Final[dict[Shared, threading.RLock]] = {}


def one_at_a_time[**P, R](shared: Shared) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function wait until no other thread is in one that shares the same with it."""

    def waiting(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with _locks[shared]:
                return function(*args, **kwargs)

        return call

    return waiting


def _anew() -> None:
    """Make all locks: in a child of a process that forked during a fit nobody would let go."""
    _locks.update({one: threading.RLock() for one in get_args(Shared)})


_anew()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_anew)
