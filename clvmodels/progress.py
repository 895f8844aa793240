"""What moves while work is done: a bar on terminals, a line in notebooks, nothing elsewhere."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Told(Protocol):
    """Is told how far the work is."""

    def __call__(self, share: float, doing: str = "") -> None:
        """Say the share done and, where it changes, what is being done now."""


# Work that asks nobody how far it is to be shown, tells the bar that is there
_shown: ContextVar[Told | None] = ContextVar("shown", default=None)
_part: ContextVar[Told | None] = ContextVar("part", default=None)


@contextmanager
def progress(title: str, *, shown: bool) -> Iterator[Told | None]:
    """Yield a function that is told the share done, or None where nothing is shown.

    Parameters
    ----------
    title : str
        What is being done.
    shown : bool
        Whether the user wants to see it; it goes to stderr, and only to a terminal
        or a notebook, and is gone when the work is done. Where a bar is there
        already, it is that one which moves.
    """
    whole = _shown.get()
    if not shown:
        yield None
    elif whole is not None:
        yield lambda share, doing="": whole(share, _said(title, doing))
    elif in_notebook():
        with _line(title) as told:
            yield told
    else:
        with bar(title) as told:
            yield told


def telling() -> Told:
    """Return what the bar that is shown is told by, which does nothing where there is none."""
    return _shown.get() or _ignore


def telling_part() -> Told:
    """Return what is told how far a `part` is; outside of one it does nothing."""
    return _part.get() or _ignore


def is_told() -> bool:
    """Whether anybody is shown how far a `part` is."""
    return _part.get() is not None and _shown.get() is not None


@contextmanager
def part(begin: float, end: float) -> Iterator[None]:
    """What tells how far it is, here is so much of the whole: from one share to another."""
    whole = telling()
    token = _part.set(lambda share, doing="": whole(begin + share * (end - begin), doing))
    try:
        yield
    finally:
        _part.reset(token)


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return running is not None and type(running).__name__ == "ZMQInteractiveShell"


@contextmanager
def bar(title: str, console: Console | None = None) -> Iterator[Told]:
    """Show a bar on a terminal that somebody may watch; before it is told a share, it pulses.

    Parameters
    ----------
    title : str
        What is being done.
    console : Console, optional
        By default standard error.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
    from rich.table import Column

    console = Console(stderr=True) if console is None else console
    # Notebooks force colours on in the commands that they run, where no cursor can move
    watched = console.is_terminal and console.file.isatty() and not console.is_dumb_terminal
    columns = (
        SpinnerColumn("line"),
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console, transient=True, disable=not watched) as live:
        left = _Left()
        task = live.add_task(title, total=None, left=left)

        def told(share: float, doing: str = "") -> None:
            left.told(share)
            named = _said(title, doing) if doing else None
            live.update(task, total=1.0, completed=share, description=named)

        token = _shown.set(told)
        try:
            yield told
        finally:
            _shown.reset(token)


class _Left:
    """The share done and the time left, by the time that the share has taken."""

    def __init__(self) -> None:
        self.share, self.started = 0.0, time.monotonic()
        self.at = self.started

    def told(self, share: float) -> None:
        now = time.monotonic()
        if share < self.share:  # another piece of work begins
            self.started = now
        if share != self.share:
            self.share, self.at = share, now

    def __str__(self) -> str:
        now = time.monotonic()
        if not self.share:
            return f"{now - self.started:.0f} s"
        left = self.started + (self.at - self.started) / self.share - now
        if left < 0.0 and self.share < 1.0:  # it takes longer than what came before let expect
            return f"{self.share:4.0%}  {time_said(now - self.started)}"
        return f"{self.share:4.0%}  {time_said(max(left, 0.0))} left"


def time_said(seconds: float) -> str:
    """Seconds, or minutes where they are many."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@contextmanager
def _line(title: str) -> Iterator[Told]:
    """As the bar, by what every notebook has: rich wants ipywidgets there."""
    from IPython import display

    show: Any = display.display
    left, said = _Left(), title
    handle: Any = show(_both(title), raw=True, display_id=True)

    def told(share: float, doing: str = "") -> None:
        nonlocal said
        left.told(share)
        said = _said(title, doing) if doing else said
        handle.update(_both(f"{said}: {str(left).strip()}"), raw=True)

    try:
        yield told
    finally:
        handle.update(_both(""), raw=True)


def _said(title: str, doing: str) -> str:
    return f"{title}: {doing}" if doing else title


def _both(text: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": html.escape(text)}


def _ignore(share: float, doing: str = "") -> None:
    """Nobody watches."""


def by_steps(told: Told | None, total: int) -> Callable[[str], None]:
    """Return a function that is told what begins, where so many steps make up the whole."""
    done = 0

    def begin(doing: str) -> None:
        nonlocal done
        if told is not None:
            told(min(done / total, 1.0), doing)
        done += 1

    return begin
