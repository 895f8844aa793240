"""A progress bar for the steps of a fit that the sampler does not show itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str, *, shown: bool) -> Iterator[Callable[[float], None] | None]:
    """Yield a function that is told the share done, or None where nothing is shown.

    Parameters
    ----------
    title : str
        What is being done.
    shown : bool
        Whether the user wants to see it; it goes to stderr, and only to a terminal
        or a notebook.
    """
    if not shown:
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Notebooks force colours on in the commands that they run, where no cursor can move
    watched = console.is_jupyter or (console.is_terminal and console.file.isatty())
    with Progress(console=console, transient=True, disable=not watched) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda share: bar.update(task, completed=share)
