"""Decorators for the compiled loops: cached on disk where that is possible."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import numba
from numba.core import dispatcher
from numba.core.caching import FunctionCache, IndexDataCacheFile

from clvmodels.machine import own_folder

_DIGEST: Final = 32


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a scalar loop with numba, without the GIL and with IEEE division.

    The machine code is cached beside the source, or in the user's cache directory, or,
    where neither is writable (a locked-down container), in a folder of this user among the
    temporary files; `NUMBA_CACHE_DIR` names another. Where there is no place at all the
    function is compiled anew in every process, which costs seconds but works.
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
    jitted = numba.njit(nogil=True, error_model="numpy", **more)(function)
    if (cache := _cache_of(function)) is not None:
        jitted._cache = cache  # as Dispatcher.enable_caching does
    return cast(Callable[P, R], jitted)


def _cache_of(function: Callable[..., Any]) -> FunctionCache | None:
    """Return where the code of a function is kept, or None where nowhere is writable."""
    try:
        return _Cache(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
    if "NUMBA_CACHE_DIR" in os.environ or (folder := own_folder()) is None:
        return None
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        return _Cache(function)
    except RuntimeError:
        return None
    finally:
        numba.config.CACHE_DIR = before


class _Cache(FunctionCache):  # type: ignore[misc]
    """A cache that never stops a run: what is damaged, or does not fit, is compiled anew."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever numba makes of a file that fits no more
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk, or one that became read-only
            super().save_overload(sig, data)


class _Files(IndexDataCacheFile):  # type: ignore[misc]
    """Files that end in a digest: damaged machine code would abort the process.

    Numba reads such files as its own, since it stops where the content does; and what it
    has written itself, without a digest, is compiled anew.
    """

    def _load_index(self) -> dict[Any, str]:
        try:
            _sound(self._index_path)
            return dict(super()._load_index())
        except Exception:  # none, or damaged: begin another one
            return {}

    def _load_data(self, name: str) -> Any:
        _sound(self._data_path(name))
        return super()._load_data(name)

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[io.BytesIO]:
        content = io.BytesIO()
        yield content
        with super()._open_for_write(filepath) as file:
            file.write(content.getvalue())
            file.write(hashlib.sha256(content.getvalue()).digest())


def _sound(path: str) -> None:
    """Raise OSError where a file does not end in the digest of the rest."""
    with open(path, "rb") as file:
        content = file.read()
    if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
        raise OSError(f"{path} is damaged")


@contextlib.contextmanager
def sound_caches() -> Iterator[None]:
    """Keep what others compile with numba meanwhile, as PyTensor does, in such files too."""
    module = cast(Any, dispatcher)
    module.FunctionCache = _Cache
    try:
        yield
    finally:
        module.FunctionCache = FunctionCache
