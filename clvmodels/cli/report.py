"""``clvmodels report``: the diagnostic report as a page, as JSON and, in short, as text.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_input, read_posterior, read_rfm
from clvmodels.cli.score import read_horizon
from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal
from clvmodels.cli.wording import spoken
from clvmodels.errors import SchemaError
from clvmodels.outputs import refuse_inputs
from clvmodels.path_checks import path_of

if TYPE_CHECKING:
    from clvmodels.posterior.scorable import Scorable


def run(
    rfm: Path,
    posterior: Path,
    output: Path,
    *,
    json: Path | None,
    log: Sequence[str],
    backtest: Path | None,
    csv: Mapping[str, str | None],
    full: bool,
    quiet: bool,
    basket_value: float | None,
    horizon: str,
    **options: Any,
) -> None:
    """Report, print and write; options are those of `clvmodels.report`."""
    _check_inputs(rfm, posterior, backtest)
    refuse_inputs((path for path in (output, json) if path is not None), [rfm, posterior])
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.posterior.scorable import open_scorable, purchases_of
        from clvmodels.reporting import RenderedReport, render_text, report

        fitted = open_scorable(read_posterior(posterior, basket_value))[0]
        known = purchases_of(fitted).metadata
        base, assumed = read_rfm(rfm, known.scale, csv=csv, whole=known.whole)
    with terminal.step("The report"):
        rendered: RenderedReport = report(
            fitted,
            base,
            log=None if not log else log[0] if len(log) == 1 else list(log),
            backtest=backtest,
            output=output,
            json=json,
            horizon=read_horizon(horizon),
            date=datetime.now().astimezone().date().isoformat(),
            **options,
        )
    _warn_of_unused(fitted, options)
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    record = spoken(rendered.record)
    terminal.judge(render_text(record, width=terminal.out.width, whole=full))
    if record.brief is not None:
        terminal.say(record.brief.answer)
        terminal.say()
    terminal.wrote(output, "the report")
    if json is not None:
        terminal.wrote(json, "the same numbers")
    if not full:
        terminal.say("All checks and sections are in the page; --full prints them.")
    if any(use.status != "fail" for use in rendered.record.verdict.uses):
        files = f"--rfm {quote(str(rfm))} --posterior {quote(str(posterior))}"
        terminal.follow(f"clvmodels customers {files} -o customers.csv")


def _warn_of_unused(fitted: Scorable, options: Mapping[str, Any]) -> None:
    """Say that there is no money for a margin or a cost to be held against."""
    from clvmodels.posterior import CLVPosterior

    asked = [f"--{name}" for name in ("margin", "cac") if options[name] is not None]
    if asked and not isinstance(fitted, CLVPosterior):
        changes = "changes" if len(asked) == 1 else "change"
        speech.say(
            "warning",
            f"{' and '.join(asked)} {changes} nothing, since the fit knows no amounts: pass "
            "--basket-value, such as 25, or fit a table with amounts.",
        )


def _check_inputs(rfm: Path, posterior: Path, backtest: Path | None) -> None:
    for path in (rfm, posterior):
        check_input(path)
    if backtest is not None and not path_of("The backtest", backtest).is_dir():
        raise SchemaError(
            f"There is no folder {backtest}: name the folder that 'clvmodels backtest' wrote."
        )
