"""What moves on a terminal stays out of files, pipes and notebooks' outputs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

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


def test_verdicts_are_in_colour_unless_none_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the words of a verdict, and nowhere else."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    terminal.out = Console(force_terminal=True, color_system="standard", width=80)
    with terminal.out.capture() as said:
        terminal.judge("WARN: the prior. Verdict: warned.")
    assert said.get() == "\x1b[33mWARN\x1b[0m: the prior. Verdict: warned.\n"
    terminal.out = Console(force_terminal=True, no_color=True, width=80)
    with terminal.out.capture() as said:
        terminal.judge("WARN: the prior.")
    assert "\x1b[33m" not in said.get()


def test_letters_that_the_terminal_lacks_are_no_error(tmp_path: Path) -> None:
    """As on Windows, where standard output is cp1252."""
    (tmp_path / "log.csv").write_text("who,day\n\u010d,2024-01-01\n\u010d,2024-02-01\n", "utf-8")
    command = [
        sys.executable,
        "-m",
        "clvmodels.cli",
        "summarize",
        "log.csv",
        "-o",
        "\u03b1.parquet",
    ]
    done = subprocess.run(
        [*command, "--customer-id", "who", "--timestamp", "day"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Next: clvmodels fit" in done.stdout
