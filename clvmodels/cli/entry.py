"""Run a command and turn what goes wrong into one line and an exit code.

0 done, 2 bad input, 3 rows that could not be scored, 4 a fit that did not converge, 130
interrupted. What is none of these is a bug, and keeps its traceback.
"""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

import typer

from clvmodels.cli.commands import app
from clvmodels.cli.speech import speech
from clvmodels.cli.wording import in_options
from clvmodels.errors import ClvError, ConvergenceError
from clvmodels.machine import settle_caches

BAD_INPUT: Final = 2
NOT_CONVERGED: Final = 4
INTERRUPTED: Final = 130


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
    if (folder := settle_caches()) and not {"--quiet", "-q"} & {*said}:
        speech.say(
            "info",
            f"The home directory can't be written: compiled code is kept in {folder} "
            "(NUMBA_CACHE_DIR and PYTENSOR_FLAGS choose other places).",
        )
    with _spoken_warnings(), _interrupts() as interrupts:
        try:
            code = _run(arguments)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except Exception as error:
            # An interrupted library may raise anything; what counts is why.
            code = INTERRUPTED if interrupts else _explained(error)
    if code == INTERRUPTED:
        speech.say("error", "Interrupted. Files are written whole or not at all.", prefix=False)
    speech.end(code)
    return code


def _run(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    code = command.main(
        args=None if arguments is None else list(arguments),
        prog_name="clvmodels",
        standalone_mode=False,
    )
    return int(code or 0)


def _explained(error: Exception) -> int:
    """Say what is wrong in one line, or raise what is not a fault of the input."""
    if isinstance(error, ClvError):
        speech.say("error", in_options(str(error)))
        return NOT_CONVERGED if isinstance(error, ConvergenceError) else BAD_INPUT
    if hasattr(error, "format_message"):  # what typer finds wrong with the options
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "clvmodels"
        speech.say("error", f"{error.format_message()} See '{command} --help'.")
        return BAD_INPUT
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        speech.say("error", f"{error.strerror}{where}")
        return BAD_INPUT
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
    """Collect interrupts, each of which still raises KeyboardInterrupt."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    # Where a shell or a program that embeds us wants it otherwise, it stays so.
    ours = before is signal.default_int_handler and (
        threading.current_thread() is threading.main_thread()
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
