"""Run a command and turn what goes wrong into one line and an exit code.

0 done, 2 bad input, 3 rows that could not be scored, 4 a fit that did not converge, 5 a full
disk, 6 too little memory or a device or process that failed, 7 a forecast that did not hold,
130 interrupted, 143 terminated.
What is none of these is a bug, and keeps its traceback.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType
from typing import Any, Final, get_args, get_type_hints

import typer

from clvmodels.cli.commands import app
from clvmodels.cli.signals import ENDED, ended_text, leave
from clvmodels.cli.speech import speech
from clvmodels.cli.wording import in_options
from clvmodels.errors import (
    ClvError,
    ConvergenceError,
    SchemaError,
    explained,
    full_disk,
    one_line,
)
from clvmodels.machine import lacking_space, settle_caches

BAD_INPUT: Final = 2
NOT_CONVERGED: Final = 4
DISK_FULL: Final = 5
MACHINE_FAILED: Final = 6
STOPPED: Final = {128 + number: ended_text(number) for number in ENDED}
_FAILED: Final = (errno.ENOMEM, errno.EIO)
_OTHER: Final = "choose a folder that you may write to, and a file that you may read"
_PLACES: Final = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of the path is a file, so name a folder there",
    errno.EEXIST: "name a folder, or a file that can be replaced",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _OTHER),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    said = sys.argv[1:] if arguments is None else arguments
    speech.begin(as_json="--log-json" in said)
    if (warning := lacking_space()) is not None:
        speech.say("warning", warning)
    if (folder := settle_caches()) and not {"--quiet", "-q"} & {*said}:
        speech.say(
            "info",
            f"The usual folder is not writable: compiled code is kept in {folder} (set "
            "NUMBA_CACHE_DIR and PYTENSOR_FLAGS for other places).",
        )
    with _spoken_warnings(), _interrupts() as interrupts:
        try:
            code = _run(arguments)
            if code in STOPPED and interrupts:  # typer makes 130 of every KeyboardInterrupt
                code = 128 + interrupts[-1]
        except KeyboardInterrupt:
            code = 128 + (interrupts[-1] if interrupts else signal.SIGINT)
        except Exception as error:
            # An interrupted library may raise anything; what counts is why.
            code = 128 + interrupts[-1] if interrupts else _explained(error)
    if code in STOPPED:
        speech.say("error", STOPPED[code], prefix=False)
    speech.end(code)
    return code


# What typer says of a value that is not a number, or none of the choices
_PLAINER: Final = {
    "Input should be a valid number, unable to parse string as a number": (
        "write a number with a decimal point, such as 0.3"
    ),
    "Input should be a valid integer, unable to parse string as an integer": "write a whole number",
    r"Invalid value for '(\S+)': (?:Value error, )?'(.*)' is not one of (.*)": (
        r"\1 \2 is unknown: use one of \3"
    ),
    r"Invalid value for '(\S+)': \w+='(.*)' is unknown": r"\1 \2 is unknown",
    "Value error, ": "",
}


# Options whose text may be a number
_NUMBERS_IN_TEXT: Final = ("horizon", "max_rejects")


def _run(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    _refuse_underscores(command, sys.argv[1:] if arguments is None else arguments)
    code = command.main(
        args=None if arguments is None else list(arguments),
        prog_name="clvmodels",
        standalone_mode=False,
    )
    return int(code or 0)


def _refuse_underscores(command: Any, said: Sequence[str]) -> None:
    """Refuse 1_0 for a number: Python reads 10, and whoever typed it meant 1.0 or 1-0."""
    chosen = command.commands.get(next(iter(said), ""))
    if chosen is None:
        return
    hints = get_type_hints(chosen.callback)
    numbers = {
        option
        for one in chosen.params
        if {int, float} & {hints.get(one.name), *get_args(hints.get(one.name))}
        or one.name in _NUMBERS_IN_TEXT
        for option in one.opts
    }
    pairs = [text.split("=", 1) for text in said if "=" in text] + [*map(list, pairwise(said))]
    for option, value in pairs:
        if option in numbers and re.search(r"\d_+\d", value):
            raise SchemaError(f"{option} {value} has an underscore: write the digits alone.")


def _explained(error: Exception) -> int:
    """Say what is wrong in one line, or raise what is not a fault of the input."""
    if isinstance(error, ModuleNotFoundError):
        error = explained(error, "This command")
    if isinstance(error, ClvError):
        speech.say("error", in_options(str(error)))
        return NOT_CONVERGED if isinstance(error, ConvergenceError) else BAD_INPUT
    if hasattr(error, "format_message"):  # what typer finds wrong with the options
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "clvmodels"
        text = error.format_message().rstrip(".")
        if not text:  # no command was named, and all have been listed
            return BAD_INPUT
        for theirs, ours in _PLAINER.items():
            text = re.sub(theirs, ours, text)
        end = "" if text.endswith("?") else "."
        speech.say("error", f"{text}{end} See '{command} --help'.")
        return BAD_INPUT
    if (path := full_disk(error)) is not None:
        place = f" ({path})" if path else ""
        speech.say(
            "error",
            f"{os.strerror(errno.ENOSPC)}{place}: free some and run the command again. Files are "
            "written whole or not at all, so an older output is as it was.",
        )
        return DISK_FULL
    if isinstance(error, TypeError) and sys.flags.optimize > 1:
        speech.say(
            "error",
            "Python runs with -OO, and a library needs the docstrings that it removes "
            f"({one_line(error)}): leave out -OO, or PYTHONOPTIMIZE=2; -O is fine.",
        )
        return BAD_INPUT
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        what = _PLACES.get(error.errno or 0)
        speech.say("error", in_options(f"{error.strerror}{where}{f': {what}.' if what else ''}"))
        return MACHINE_FAILED if error.errno in _FAILED else BAD_INPUT
    if isinstance(error, MemoryError):
        said = f" ({one_line(error)})" if str(error) else ""
        speech.say("error", f"There is not enough memory{said}: run where there is more.")
        return MACHINE_FAILED
    raise error


@contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Warnings to users become one line each, said once; those to developers stay silent."""
    said: set[str] = set()

    def speak(message: Warning | str, *_: Any, **__: Any) -> None:
        if (text := in_options(str(message))) not in said:
            said.add(text)
            speech.say("warning", text)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = speak
        yield


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect the signals that end a command, each of which raises KeyboardInterrupt.

    A handler that a library or a program around us has set keeps its work: it is called, and
    only what it raises counts. A signal that a shell has silenced stays silent.
    """
    seen: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ENDED}

    def note(number: int, frame: FrameType | None) -> None:
        try:
            theirs = before[number]
            # From here on there is something to put in order, which `leave` would not do.
            own = callable(theirs) and theirs is not leave
            (theirs if own else signal.default_int_handler)(number, frame)
        except KeyboardInterrupt:
            seen.append(number)
            raise

    heard = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in heard:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number in heard:
            signal.signal(number, before[number])
