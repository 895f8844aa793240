"""What moves on a terminal stays out of files, pipes and notebooks' outputs."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clvmodels.cli.score import _watched
from clvmodels.cli.terminal import Terminal
from clvmodels.progress import by_steps, progress


@contextmanager
def fitting() -> Iterator[Any]:
    with progress("Fitting", shown=True) as told:
        assert told is not None
        told(0.5)
        yield


@contextmanager
def stepping() -> Iterator[Any]:
    with progress("Backtest", shown=True) as told:
        begin = by_steps(told, 2)
        begin("reading the log")
        begin("fitting")
        yield


@contextmanager
def scoring() -> Iterator[Any]:
    with _watched(Terminal(), bar=True) as listen:
        listen("scoring", {"rows": 10, "done": 5})
        yield


@pytest.mark.parametrize(
    "shown",
    [lambda: Terminal().step("Reading"), fitting, stepping, scoring],
    ids=["step", "fit", "backtest", "score"],
)
def test_nothing_moves_where_colours_are_forced_but_nobody_watches(
    shown: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in commands that a notebook runs: Jupyter sets FORCE_COLOR, and reads a pipe."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-color")
    with shown():
        pass
    assert "\x1b" not in capsys.readouterr().err


class Screen(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_what_is_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm-color")
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("Backtest", shown=True) as told:
        begin = by_steps(told, 2)
        begin("reading the log [in brackets]")
        time.sleep(0.25)  # rich draws ten times a second
    assert "Backtest: reading the log [in brackets]" in screen.getvalue()


def test_a_notebook_is_told_without_widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich needs ipywidgets there, and warns where they are missing."""
    import IPython
    from IPython import display

    class ZMQInteractiveShell:
        pass

    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            shown.append(data["text/html"])

    def displayed(data: dict[str, str], **options: Any) -> Handle:
        shown.append(data["text/html"])
        return Handle()

    monkeypatch.setattr(IPython, "get_ipython", ZMQInteractiveShell)
    monkeypatch.setattr(display, "display", displayed)
    with progress("Backtest", shown=True) as told:
        begin = by_steps(told, 4)
        begin("reading <a log>")
        begin("fitting")
    assert shown[0] == "Backtest"
    assert shown[1].startswith("Backtest: reading &lt;a log&gt;: 0% after")
    assert shown[2].startswith("Backtest: fitting: 25% after")
    assert shown[-1] == ""
