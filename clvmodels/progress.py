"""What moves while work is done: a bar on terminals, a line in notebooks, nothing elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Told(Protocol):
    """Is told how far the work is."""

    def __call__(self, share: float, doing: str = "") -> None:
        """Say the share done and, where it changes, what is being done now."""


@contextmanager
def progress(title: str, *, shown: bool) -> Iterator[Told | None]:
    """Yield a function that is told the share done, or None where nothing is shown.

    Parameters
    ----------
    title : str
        What is being done.
    shown : bool
        Whether the user wants to see it; it goes to stderr, and only to a terminal
        or a notebook, and is gone when the work is done.
    """
    if not shown:
        yield None
    elif in_notebook():
        with _line(title) as told:
            yield told
    else:
        with _bar(title) as told:
            yield told


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"


@contextmanager
def _bar(title: str) -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    # Notebooks force colours on in the commands that they run, where no cursor can move
    watched = console.is_terminal and console.file.isatty()
    columns = (
        SpinnerColumn("line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not watched) as bar:
        task = bar.add_task(title, total=1.0)

        def told(share: float, doing: str = "") -> None:
            bar.update(task, completed=share, description=_said(title, doing))

        yield told


@contextmanager
def _line(title: str) -> Iterator[Told]:
    """As the bar, by what every notebook has: rich wants ipywidgets there."""
    from IPython import display

    show: Any = display.display
    started = time.monotonic()
    handle: Any = show(_shown(title), raw=True, display_id=True)

    def told(share: float, doing: str = "") -> None:
        text = f"{_said(title, doing)}: {share:.0%} after {time.monotonic() - started:.0f} s"
        handle.update(_shown(text), raw=True)

    try:
        yield told
    finally:
        handle.update(_shown(""), raw=True)


def _said(title: str, doing: str) -> str:
    return f"{title}: {doing}" if doing else title


def _shown(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": html.escape(text)}


def by_steps(told: Told | None, total: int) -> Callable[[str], None]:
    """Return a function that is told what begins, where so many steps make up the whole."""
    done = 0

    def begin(doing: str) -> None:
        nonlocal done
        if told is not None:
            told(min(done / total, 1.0), doing)
        done += 1

    return begin
