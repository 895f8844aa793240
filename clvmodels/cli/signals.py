"""Signals that end a command: what is said of them, and who answers before and after it runs.

Imported before everything else of the command line, so it needs nothing but Python.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDED: Final = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


def ended_text(number: int) -> str:
    """Return the line for a signal that has ended a command."""
    return f"{ENDED[signal.Signals(number)]}. Files are written whole or not at all."


@contextmanager
def whole_process() -> Iterator[None]:
    """Answer signals while the command line is all that this process is for.

    Within, a signal ends the process at once, with its line and exit code, wherever there is
    nothing to put in order: while modules load, an exception may get lost, or become a
    traceback. Afterwards signals come too late and are silenced, since Python would otherwise
    be killed by them while it clears up.
    """
    answered = [one for one in ENDED if signal.getsignal(one) is not signal.SIG_IGN]
    for one in answered:
        signal.signal(one, leave)
    yield
    for one in answered:
        signal.signal(one, signal.SIG_IGN)


def leave(number: int, _: FrameType | None) -> None:
    """End the process for a signal, in one line."""
    os.write(2, f"{ended_text(number)}\n".encode())
    os._exit(128 + number)
