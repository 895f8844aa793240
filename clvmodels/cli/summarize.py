"""``clvmodels summarize``: log -> RfmTable, with its audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clvmodels.cli.files import PARQUET, check_output, write_aside
from clvmodels.cli.reports import show_audit, show_base
from clvmodels.cli.terminal import Terminal


def run(log: str, output: Path, *, quiet: bool, **options: Any) -> None:
    """Summarise a log; options are those of `clvmodels.rfm_summary`."""
    check_output(output, suffixes=PARQUET)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading the log"):
        from clvmodels.rfm import rfm_summary

        rfm = rfm_summary(log, **options)
    write_aside(output, rfm.to_parquet)
    if quiet or rfm.audit is None:
        return
    terminal.heading("What became of the rows")
    show_audit(terminal, rfm.audit, rfm.time_unit)
    terminal.heading("The customers")
    show_base(terminal, rfm)
    terminal.say()
    terminal.wrote(output, f"{len(rfm):,} customers")
