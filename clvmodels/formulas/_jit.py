"""Decorators for the compiled loops: cached on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a scalar loop with numba, without the GIL and with IEEE division.

    The machine code is cached beside the source, or in the user's cache directory.
    Where neither is writable (a locked-down container) numba refuses to cache; then
    the function is compiled anew in every process, which costs seconds but works.
    A cached loop does not notice that a loop it calls from another file has changed:
    remove ``__pycache__`` after editing one.
    """
    # Said outright: numba would else hand on the options of whichever loop called first.
    return _compile(function, {"fastmath": False})


def compiled_sum[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """As :func:`compiled`, but sums may be taken in any order, so that they vectorise.

    That is all that is relaxed: numbers may still be infinite, and nothing is
    approximated. The order is fixed at compile time, so results repeat exactly.
    """
    return _compile(function, {"fastmath": {"reassoc", "contract", "nsz"}})


def _compile[**P, R](function: Callable[P, R], more: dict[str, Any]) -> Callable[P, R]:
    options = {"nogil": True, "error_model": "numpy", **more}
    try:
        jitted = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        jitted = numba.njit(**options)(function)
    return cast(Callable[P, R], jitted)
