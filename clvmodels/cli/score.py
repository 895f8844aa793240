"""``clvmodels score``: RfmTable and posterior -> one row of predictions per customer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clvmodels.cli.files import check_output, kind_of, read_rfm, write_frame
from clvmodels.cli.reports import show_top, show_value
from clvmodels.cli.terminal import Terminal
from clvmodels.errors import SchemaError
from clvmodels.schema import Horizon


def run(
    rfm: Path, posterior: Path, output: Path, *, quiet: bool, horizon: str, **options: Any
) -> None:
    """Score customers; options are those of `CLVPosterior.predict`."""
    kind_of(check_output(output))
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.posterior import CLVPosterior, load_posterior, total_value

        fitted = load_posterior(posterior)
        if not isinstance(fitted, CLVPosterior):
            raise SchemaError(
                f"{posterior} knows purchases or spend alone, and value needs both: fit a table "
                "with amounts."
            )
        base, assumed = read_rfm(rfm, fitted.scale)
    with terminal.step(f"Scoring {len(base):,} customers"):
        scores = fitted.predict(base, **options)
        write_frame(scores, output)
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    with terminal.step("Adding up"):
        total = total_value(fitted, base, **options)
    terminal.heading(f"What {len(base):,} customers are worth")
    show_value(terminal, scores, total, fitted, base, options)
    terminal.heading("The ten most valuable")
    show_top(terminal, scores.nlargest(10, "clv"), fitted, base, options["interval"])
    terminal.say()
    terminal.wrote(output, f"{len(scores):,} customers")


def read_horizon(text: str) -> Horizon:
    """Read an option: a length, a number in the table's unit, or "none"."""
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        return text
