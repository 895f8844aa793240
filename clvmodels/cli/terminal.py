"""What is shown while work is done, and how results are laid out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clvmodels.cli.speech import harmless
from clvmodels.display import wrapped
from clvmodels.progress import Told, bar, part
from clvmodels.verdict import figure_text

MAX_WIDTH: Final = 100
_ANY_WIDTH: Final = 1_000
_LONGEST_WORD: Final = 24  # of a first column; ids may be longer, and are folded
_HELD: Final = "\N{NO-BREAK SPACE}"
_WHOLE: Final = re.compile(r"'[^']*'|(?<= )--?[\w-]+ (?=[^-])")  # of a command
_NOTHING: Final = re.compile(r"^-(0(?:\.0*)?)$")
# Words of verdicts, where they stand for one
_INKS: Final = {
    r"(?m)^ok:|\bok(?= +\S)|(?<=^Verdict: )pass": "green",
    r"\bWARN\b|(?<=^Verdict: )warn": "yellow",
    r"\bFAIL\b|(?<=^Verdict: )fail": "bold red",
}
_RESULTS: Final = {"output": "the table", "json": "the same numbers", "plot": "the picture"}


class _Patient(Console):
    """Goes silent where nobody reads on, as after `| head`: what a command does is not over."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self.file.fileno())


class Terminal:
    """Results go to standard output, progress to standard error.

    Parameters
    ----------
    quiet : bool
        Show neither; warnings and errors take another way.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        # Ids and file names may look like markup, and are shown as they are.
        plain = {"markup": False, "highlight": False, "emoji": False}
        self.out = _Patient(quiet=quiet, **plain)  # type: ignore[arg-type]
        self.out.width = min(self.out.width, MAX_WIDTH)
        self.err = Console(stderr=True, quiet=quiet, **plain)  # type: ignore[arg-type]
        self.quiet = quiet

    @property
    def watched(self) -> bool:
        """Whether somebody may watch something move."""
        # Notebooks have colours forced on where nothing can move the cursor
        moves = self.err.is_terminal and not self.err.is_dumb_terminal
        return not self.quiet and moves and self.err.file.isatty()

    @contextmanager
    def step(self, text: str, *, loops: bool = False) -> Iterator[Told | None]:
        """Show a bar where somebody may be watching; work that tells how far it is moves it.

        `loops` says that it is few loops over the base, each of which may move the bar by itself.
        """
        if not self.watched:
            yield None
            return
        with bar(text, self.err) as told, part(0.0, 1.0) if loops else nullcontext():
            yield told

    def say(self, text: str = "") -> None:
        """Print a paragraph, wrapped to the terminal."""
        # Not rich's own wrapping: it leaves blanks at the ends of lines, and breaks at hyphens.
        lines = wrapped(harmless(text), self.out.width, break_long_words=False)
        self.out.print("\n".join(lines), soft_wrap=True)

    def judge(self, text: str) -> None:
        """Print what has verdicts in it, as it is, with their words in colour."""
        shown = Text(harmless(text))
        for pattern, style in _INKS.items():
            shown.highlight_regex(pattern, style)
        self.out.print(shown, soft_wrap=True)

    def follow(self, command: str) -> None:
        """Say which command comes next, as a shell takes it when it is copied."""
        self.out.print("\n".join(self._shell_lines(f"Next: {command}")), soft_wrap=True)

    def _shell_lines(self, command: str) -> list[str]:
        """A command too long for a terminal goes on in lines of its own; a file has it whole."""
        if len(command) <= self.out.width or not self.out.is_terminal or os.name == "nt":
            return [command]
        held = _WHOLE.sub(lambda found: found[0].replace(" ", _HELD), command)
        room = {"break_long_words": False, "indent": " " * 6}
        *most, last = wrapped(held, self.out.width - 2, **room)  # type: ignore[arg-type]
        return [line.replace(_HELD, " ") for line in (*(f"{one} \\" for one in most), last)]

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.out.print()
        self.out.print(text, style="bold")
        self.out.print()

    def wrote(self, path: Path, what: str) -> None:
        """Say that a file was written; its path stays in one piece."""
        name, size = (text.replace(" ", _HELD) for text in (str(path), f"{_size(path)})."))
        lines = [f"Wrote {name} ({what}, {size}"]
        if self.out.is_terminal:  # which breaks words; a file is read by programs too
            lines = wrapped(lines[0], self.out.width, break_long_words=False)
        self.out.print("\n".join(lines).replace(_HELD, " "), soft_wrap=True)

    def wrote_all(self, results: Mapping[str, Path | None]) -> None:
        """Say which of the results that a command may write it wrote."""
        for what, path in results.items():
            if path is not None:
                self.wrote(path, _RESULTS[what])

    def show(self, item: RenderableType, *, indent: int = 2) -> None:
        """Print a table; where its words would be broken, in parts, one below the other."""
        room = self.out.width - indent
        for place, one in enumerate(self._parts(item, room) if isinstance(item, Table) else [item]):
            if place:
                self.out.print()
            self.out.print(Padding(one, (0, 0, 0, indent), expand=False))

    def _parts(self, whole: Table, room: int) -> list[Table]:
        figures = range(1, len(whole.columns))
        for most in reversed(figures):
            first = _columns(whole, figures[:most])
            if most == 1 or self._least(first) <= room:
                rest = _columns(whole, figures[most:])
                return [first, *(self._parts(rest, room) if most < len(figures) else [])]
        return [whole]

    def _least(self, laid: Table) -> int:
        """Columns that a table takes with its first column folded between words."""
        wide = self.out.options.update(width=_ANY_WIDTH)
        texts = list(map(str, laid.columns[0].cells))
        full = max(map(len, "\n".join(texts).split("\n")))
        word = max(map(len, " ".join(texts).split()), default=0)
        whole = Measurement.get(self.out, wide, laid).maximum
        return whole - full + min(word, full, _LONGEST_WORD)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, ruled: bool = True) -> Table:
    """Lay out rows of text: the first column is words, the others are figures.

    Where the terminal is too narrow, only the first column is folded, between its words.
    """
    laid_out = Table(
        box=box.SIMPLE_HEAD if ruled else None,
        show_header=any(headings),
        pad_edge=False,
        header_style="",
        show_edge=False,
    )
    for position, name in enumerate(headings):
        if position == 0:
            laid_out.add_column(name, vertical="bottom", overflow="fold")
        else:
            laid_out.add_column(name, justify="right", vertical="bottom", no_wrap=True)
    for row in rows:
        laid_out.add_row(*map(harmless, row))
    return laid_out


def _columns(whole: Table, figures: Sequence[int]) -> Table:
    """The first column of a table, and some of the others."""
    chosen = [whole.columns[place] for place in (0, *figures)]
    rows = zip(*(list(column.cells) for column in chosen), strict=True)
    headings = [str(column.header) for column in chosen]
    return table(headings, [list(map(str, row)) for row in rows], ruled=whole.box is not None)


def number(value: float, digits: int = 0) -> str:
    """Print a number with thousands separators; what is missing is a dash."""
    return "-" if value != value else _NOTHING.sub(r"\1", f"{value:,.{digits}f}")


def between(lower: float, upper: float, digits: int = 0) -> str:
    """Print an interval in words, which minus signs do not confuse."""
    return "-" if lower != lower else f"{number(lower, digits)} to {number(upper, digits)}"


def percent(share: float, digits: int = 3) -> str:
    """Print a share as a percentage."""
    if share != share:
        return "-"
    text = f"{100 * share:.{digits}g}"
    return f"{100 * share:,.0f} %" if "e+" in text else f"{text} %"


def share_text(share: float) -> str:
    """Print a share in a column of others: one decimal for all, so that they line up."""
    return "-" if share != share else f"{_NOTHING.sub(r'\1', f'{100 * share:.1f}')} %"


def signed(share: float) -> str:
    """Print a share as a percentage with its sign."""
    return "-" if share != share else figure_text(share, "share", signed=True)


def significant(value: float, digits: int = 4) -> str:
    """Print a parameter with some significant digits."""
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:#.{digits}g}"


def _size(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else (path,)
    size = float(sum(file.stat().st_size for file in files))
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
