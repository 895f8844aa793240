"""What moves on a terminal stays out of files, pipes and notebooks' outputs."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from clvmodels import (
    BetaGeoPosterior,
    GammaGammaModel,
    rfm_summary_to_parquet,
    score,
    score_sql,
)
from clvmodels.cli.score import _watched
from clvmodels.cli.terminal import Terminal, number, percent, table
from clvmodels.progress import _Left, _shown, by_steps, part, progress


def test_the_time_left_is_by_the_share_and_begins_anew_with_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("clvmodels.progress.time.monotonic", lambda: now)
    left = _Left()
    now = 4.0
    assert str(left) == "4 s"
    left.told(0.25)
    assert str(left).split() == ["25%", "12", "s", "left"]
    now = 9.0
    assert str(left).split() == ["25%", "7", "s", "left"]  # though nothing is told
    now = 30.0
    assert str(left).split() == ["25%", "30", "s"]  # no promise that was not kept
    left.told(0.0)
    now = 150.0
    left.told(0.5)
    assert str(left).split() == ["50%", "2", "min", "left"]


def test_statements_tell_how_far_they_are(told: list[tuple[float, str]], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 400_000), "D")
    log = pd.DataFrame({"who": rng.integers(0, 50_000, 400_000), "day": days.astype(str)})
    log.to_csv(tmp_path / "log.csv", index=False)
    columns: dict[str, Any] = {"customer_id_col": "who", "datetime_col": "day"}
    with part(0.0, 1.0):
        rfm_summary_to_parquet(tmp_path / "log.csv", tmp_path / "rfm.parquet", **columns)
    shares = [share for share, _ in told]
    assert shares
    assert all(0.0 < share <= 0.9 for share in shares)


def test_sql_tells_how_far_it_is(told: list[tuple[float, str]]) -> None:
    bought = BetaGeoPosterior.from_draws(r=0.24, alpha=4.4, a=0.8, b=2.4, time_scaler=7)
    score_sql(bought, most_purchases=9, longest=100)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[:10] == pytest.approx([0.08 * n for n in range(1, 11)])
    assert shares[-1] == pytest.approx(1.0)


@pytest.fixture
def told() -> Iterator[list[tuple[float, str]]]:
    """What a bar that is shown is told."""
    found: list[tuple[float, str]] = []
    token = _shown.set(lambda share, doing="": found.append((share, doing)))
    yield found
    _shown.reset(token)


def test_nuts_says_its_share(told: list[tuple[float, str]]) -> None:
    rng = np.random.default_rng(1)
    spent = pd.DataFrame({"monetary_value": rng.gamma(5.0, 6.0, 40)}).assign(
        customer_id=range(40), frequency=3, recency=50.0, T=90.0
    )
    GammaGammaModel().fit(
        spent, method="nuts", draws=3000, chains=2, random_seed=1, on_failure="warn"
    )
    shares = [share for share, doing in told if doing == "NUTS"]
    assert shares == sorted(shares)
    assert any(0.0 < share < 1.0 for share in shares)


def test_a_score_says_its_share_within_a_block(
    tmp_path: Path, told: list[tuple[float, str]]
) -> None:
    rng = np.random.default_rng(1)
    T = rng.uniform(200.0, 400.0, 40_000)
    base = pd.DataFrame(
        {"customer_id": range(40_000), "frequency": 1, "recency": T / 2, "T": T}
    ).convert_dtypes(dtype_backend="pyarrow")
    base.to_parquet(tmp_path / "rfm.parquet")
    posterior = BetaGeoPosterior.from_draws(r=[0.25] * 4, alpha=30.0, a=0.8, b=2.4)
    score(tmp_path / "rfm.parquet", posterior, tmp_path / "scores.parquet")
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert len({*shares}) >= 3
    assert shares[-1] == 1.0


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
    assert shown[1].startswith("Backtest: reading &lt;a log&gt;: 0 s")
    assert shown[2].startswith("Backtest: fitting: 25%  0 s left")
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


def shown_at(width: int, item: Any) -> list[str]:
    terminal = Terminal()
    terminal.out = Console(file=io.StringIO(), width=width)
    terminal.show(item)
    return terminal.out.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.skipif(os.name == "nt", reason="no backslashes there")
def test_a_command_that_is_copied_is_the_same_on_any_terminal() -> None:
    words = ["clvmodels", "report", "--rfm", "my files/rfm.parquet", "--posterior", "p.nc"]
    shown = {}
    for width, watched in ((40, True), (60, True), (40, False)):
        terminal = Terminal()
        terminal.out = Console(
            file=io.StringIO(), width=width, force_terminal=watched, highlight=False
        )
        terminal.follow(shlex.join(words))
        shown[width, watched] = terminal.out.file.getvalue()  # type: ignore[attr-defined]
    for text in shown.values():
        assert shlex.split(text.removeprefix("Next: ").replace("\\\n", "")) == words
    assert all(len(line) <= 40 for line in shown[40, True].splitlines())
    assert shown[60, True].splitlines()[0].endswith(" \\")
    assert len(shown[40, False].splitlines()) == 1


def test_a_file_is_said_in_lines_that_fit_with_its_path_whole(tmp_path: Path) -> None:
    path = tmp_path / "my table.csv"
    path.write_text("x" * 1200)
    for watched in (True, False):
        terminal = Terminal()
        width = len(str(path)) + 30
        terminal.out = Console(
            file=io.StringIO(), width=width, force_terminal=watched, highlight=False
        )
        terminal.wrote(path, "how well expectations and intervals hold in the end")
        lines = terminal.out.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert len(lines) == (2 if watched else 1)
        assert lines[0].startswith(f"Wrote {path} (how well")
        assert lines[-1].endswith(", 1.2 kB).")


def test_words_of_tables_are_not_broken() -> None:
    """Figures that do not fit stand below, and no figure is lost."""
    headings = ("segment", "customers", "value", "interval", "of each")
    rows = [("Netherlands and Belgium", "9", "235,021", "232,650 to 237,112", "57,822.71")]
    wide, narrow = (shown_at(width, table(headings, rows)) for width in (100, 58))
    assert len(wide) == 3
    assert any("Netherlands" in line for line in narrow)
    assert all(len(line) <= 58 for line in narrow)
    for text in (*headings, *rows[0][1:], "Netherlands", "Belgium"):
        assert text in "\n".join(narrow), text
    long = shown_at(40, table(headings, [("x" * 90, *rows[0][1:])]))
    assert "".join("".join(long).split()).count("x") >= 90
    assert all(len(line) <= 40 for line in long)


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, "100 %"), (0.996, "100 %"), (0.994, "99 %"), (0.0123, "1.2 %")]
)
def test_percentages_have_no_powers_of_ten(share: float, said: str) -> None:
    assert percent(share, 2) == said


def test_nothing_has_no_sign() -> None:
    assert (number(-0.2), number(-0.004, 2), number(-0.6)) == ("0", "0.00", "-1")
