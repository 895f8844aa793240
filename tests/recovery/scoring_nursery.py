"""Children that score in a process of their own, which may be killed or find the disk full.

`Nursery` starts one interpreter that imports everything, warms the caches, and then forks a
child for each command: a child costs some tenths of a second, an interpreter many. Run as
a script, this file is that interpreter.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[2]
# Seconds in which a child has ended, or hangs.
PATIENCE: Final = 120
# As in failing_disk.c.
MODES: Final = ("count", "kill", "tear", "once", "full", "names")
_EVENTS: Final = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
_FULL: Final = ("audit-once", "audit-full")


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes
    ----------
    killed : bool
        By SIGKILL.
    code : int
        Exit code of the command line; 0 where `clvmodels.score` returned.
    error : str
        Name of the exception that `clvmodels.score` raised, or "".
    text : str
        Its message, or what the command line said on standard error.
    trace : str
        Traceback of the exception.
    changes : int
        How many times the child changed the folder; 0 where it was killed.
    bases : tuple of str
        Classes of the exception.
    """

    killed: bool
    code: int = 0
    error: str = ""
    text: str = ""
    trace: str = ""
    changes: int = 0
    bases: tuple[str, ...] = field(default=())


class Nursery:
    """Start children and wait for them.

    Parameters
    ----------
    folder : Path
        Below which changes are counted, and may fail.
    warm_up : list of mapping
        Calls of `clvmodels.score` made once, so that all is imported and compiled.
    preload : Path, optional
        Library made of failing_disk.c.
    """

    def __init__(
        self, folder: Path, warm_up: list[dict[str, Any]], preload: Path | None = None
    ) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # jemalloc keeps a thread
        }
        if preload is not None:
            environment["LD_PRELOAD"] = str(preload)
        command = [sys.executable, __file__, str(folder), str(preload or "")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        try:
            self._ask(warm_up)
        except BaseException:
            self.close()
            raise

    def run(self, call: Mapping[str, Any], fault: str = "count", at: float = 0) -> Outcome:
        """Score in a child.

        Parameters
        ----------
        call : mapping
            Arguments of `clvmodels.score`, or ``{"cli": [argument, ...]}``.
        fault : str
            "time" kills after some seconds; "audit" kills before a change that Python makes,
            "audit-once" and "audit-full" let it fail; the others are of failing_disk.c.
        at : float
            At which change, or after how many seconds.
        """
        found = self._ask({"call": dict(call), "fault": fault, "at": at})
        return Outcome(**found | {"bases": tuple(found.get("bases", ()))})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the interpreter."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)

    def _ask(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the interpreter that starts children has died"
        return json.loads(line)


def c_compiler() -> str | None:
    """Find a C compiler, where libraries can be preloaded."""
    if sys.platform != "linux":
        return None
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compile_failing_disk(folder: Path) -> Path:
    """Compile failing_disk.c, and return the library."""
    compiler = c_compiler()
    assert compiler is not None
    library = folder / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


# --- in the interpreter that forks --------------------------------------------------------


def serve(folder: str, library: str) -> None:
    """Answer each line on standard input with one on standard output."""
    warm_up = json.loads(sys.stdin.buffer.readline())
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever is printed is no answer
    for call in warm_up:
        _score(call)
    gc.freeze()  # so that children share what is there
    gc.disable()
    _tell(answers, {})
    for line in sys.stdin.buffer:
        question = json.loads(line)
        _tell(answers, _in_child(question, folder, library))
    os._exit(0)


def _tell(descriptor: int, answer: Any) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


def _in_child(question: dict[str, Any], folder: str, library: str) -> dict[str, Any]:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside threads
        child = os.fork()
    if child == 0:
        os.close(reader)
        _live(question, folder, library, writer)
    os.close(writer)
    if question["fault"] == "time":
        time.sleep(question["at"])
        os.kill(child, signal.SIGKILL)
    with open(reader, "rb") as stream:
        if not select.select([stream], [], [], PATIENCE)[0]:
            os.kill(child, signal.SIGABRT)
        said = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"killed": True}
    assert said, f"a child ended with status {status}"
    return {"killed": False, **json.loads(said)}


def _live(question: dict[str, Any], folder: str, library: str, writer: int) -> None:
    """Do what a child does, and exit."""
    found: dict[str, Any] = {}
    try:
        count = _arm(question["fault"], question["at"], folder, library)
        call = question["call"]
        found = _command_line(call["cli"]) if "cli" in call else _call(call)
        found["changes"] = count()
    except BaseException:
        found = {"error": "of the test itself", "text": traceback.format_exc()}
    finally:
        with contextlib.suppress(BaseException):
            os.write(writer, json.dumps(found).encode())
        os._exit(0)


def _arm(fault: str, at: float, folder: str, library: str) -> Callable[[], int]:
    if library:
        import ctypes

        disk = ctypes.CDLL(library)
        disk.failing_disk_calls.restype = ctypes.c_long
        if fault in MODES:
            path = os.path.realpath(folder).encode()
            disk.failing_disk_arm(path, ctypes.c_long(int(at)), MODES.index(fault))
            return lambda: int(disk.failing_disk_calls())
    return _watch(folder, fault, at)


def _watch(folder: str, fault: str, at: float) -> Callable[[], int]:
    """Count the changes that Python makes below a folder; die, or fail, before one of them."""
    seen = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not _is_change(event, arguments, folder):
            return
        freeing = event in ("os.remove", "os.rmdir")
        seen[0] += 0 if freeing and fault in _FULL else 1
        if fault == "audit" and seen[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        failing = seen[0] == at if fault == "audit-once" else seen[0] >= at > 0
        if fault in _FULL and failing and not freeing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

    sys.addaudithook(hook)
    return lambda: seen[0]


def _is_change(event: str, arguments: tuple[Any, ...], folder: str) -> bool:
    if not str(arguments[0]).startswith(folder + os.sep):
        return False
    if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return True
    return os.path.isdir(arguments[0])  # opened to be synced


def _score(call: Mapping[str, Any]) -> None:
    from clvmodels.scoring import score

    arguments = dict(call)
    posterior = _posterior(arguments.pop("posterior"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("error", kind)
        score(arguments.pop("source"), posterior, arguments.pop("output"), **arguments)


@cache
def _posterior(path: str) -> Any:
    """Posterior of a file; what was read before the fork need not be read again."""
    from clvmodels import load_posterior

    return load_posterior(path)


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    try:
        _score(call)
    except Exception as error:
        return {
            "code": 1,
            "error": type(error).__name__,
            "text": str(error),
            "trace": traceback.format_exc(),
            "bases": [kind.__name__ for kind in type(error).__mro__],
        }
    return {"code": 0}


def _command_line(arguments: list[str]) -> dict[str, Any]:
    from clvmodels.cli import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(arguments)
    return {"code": code, "text": said.getvalue()}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
