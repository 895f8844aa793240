"""What moves on a terminal stays out of files, pipes and notebooks' outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from clvmodels.cli.score import _watched
from clvmodels.cli.terminal import Terminal
from clvmodels.inference.progress import progress


@contextmanager
def fitting() -> Iterator[Any]:
    with progress("Fitting", shown=True) as told:
        assert told is not None
        told(0.5)
        yield


@contextmanager
def scoring() -> Iterator[Any]:
    with _watched(Terminal(), bar=True) as listen:
        listen("scoring", {"rows": 10, "done": 5})
        yield


@pytest.mark.parametrize(
    "shown", [lambda: Terminal().step("Reading"), fitting, scoring], ids=["step", "fit", "score"]
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
