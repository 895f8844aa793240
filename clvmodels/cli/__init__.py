"""The command line, which `clvmodels --help` describes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from clvmodels.cli.signals import whole_process


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, as `clvmodels.cli.entry.main` does.

    It is imported here, since what it needs takes a third of a second, in which a process
    must already answer to signals.
    """
    from clvmodels.machine import reserve_little

    reserve_little()  # Arrow asks for its allocator when it is imported
    from clvmodels.cli.entry import main

    return main(arguments)


def command() -> None:
    """Be the process ``clvmodels``: run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # cp1252 on Windows lacks letters of ids and rules
            stream.reconfigure(errors="replace")
    with whole_process():
        code = main()
    sys.exit(code)


__all__ = ["command", "main"]
