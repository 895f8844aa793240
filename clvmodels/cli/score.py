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
from clvmodels.errors import SchemaError
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
    basket_value: float | None,
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
        score, given = _engine(engine), read_posterior(posterior, basket_value)
        report = score(source, given, output, allow_rejects=True, progress=progress, **options)
    if not quiet:
        from clvmodels.cli.scored import show_scored

        show_scored(terminal, report, given, options)
    return _judge(report, allow_rejects)


def read_posterior(path: Path, basket_value: float | None) -> Any:
    """Return the posterior of a file with the value of a purchase; the file if none is given.

    Raises
    ------
    SchemaError
        A value is given of a posterior that knows what purchases bring.
    """
    if basket_value is None:
        return path
    from clvmodels.posterior import CLVPosterior, load_posterior
    from clvmodels.posterior.scorable import scorable

    found = scorable(load_posterior(path))
    if isinstance(found, CLVPosterior):
        raise SchemaError(
            f"{path} already has a model of spend or a basket value: leave --basket-value out, or "
            "fit purchases alone, to a table without amounts."
        )
    return CLVPosterior(found, basket_value)


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
    from clvmodels.scoring.report import rejects_text

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
