"""``clvmodels score``: a base of any size and a posterior -> a row of predictions each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal
from clvmodels.schema import Horizon, plain_horizon

if TYPE_CHECKING:
    from clvmodels.scoring import ScoreReport

REJECTED: Final = 3


def run(
    source: str,
    posterior: Path,
    output: str,
    *,
    quiet: bool,
    log_json: bool,
    engine: str,
    allow_rejects: bool,
    horizon: str,
    **options: Any,
) -> int:
    """Score customers; options are those of `clvmodels.score`.

    Returns
    -------
    int
        The exit code: 3 where rows could not be scored.
    """
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with _watched(terminal, bar=not log_json) as progress:
        score = _engine(engine)
        report = score(source, posterior, output, allow_rejects=True, progress=progress, **options)
    if not quiet:
        from clvmodels.cli.scored import show_scored

        show_scored(terminal, report, posterior, options)
    return _judge(report, allow_rejects)


def read_horizon(text: str) -> Horizon:
    """Read an option: a length, a number in the table's unit, or "none"."""
    if text.strip().lower() == "none":
        return None
    try:
        return plain_horizon(float(text))
    except ValueError:
        return plain_horizon(text)


def _engine(name: str) -> Any:
    if name == "local":
        from clvmodels.scoring import score

        return score
    return import_module("clvmodels.spark").score_files


def _judge(report: ScoreReport, allow_rejects: bool) -> int:
    from clvmodels.scoring.run import rejects_text

    if not report.rejected:
        return 0
    if allow_rejects:
        speech.log("rejects", "info", {"rejected": report.rejected, "file": str(report.rejects)})
        return 0
    speech.say("warning", f"{rejects_text(report)} All others are in {report.output}.")
    return REJECTED


@contextmanager
def _watched(terminal: Terminal, *, bar: bool) -> Iterator[Any]:
    """Yield a listener that logs every event, and moves a bar where somebody may watch."""
    shown = bar and terminal.watched
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=terminal.err, transient=True, disable=not shown) as progress:
        task = progress.add_task("Reading", total=None, rate="")

        def listen(event: str, fields: Mapping[str, Any]) -> None:
            if event == "warning":
                return  # which is also raised as one, and said as such
            speech.log(event, "info", fields)
            if event == "scoring":
                total, done = fields["rows"], fields["done"]
                progress.update(task, description="Scoring", total=total, completed=done)
            elif event == "block":
                rate = f"{fields['rows_per_second']:,} rows/s"
                progress.update(task, completed=fields["done"], rate=rate)
                if fields["done"] == fields["of"]:
                    progress.update(task, description="Writing", total=None)

        yield listen
