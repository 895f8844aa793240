"""``clvmodels summarize``: log -> RfmTable, with its audit.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import PARQUET, check_output
from clvmodels.cli.reports import BaseOutline, show_audit, show_base
from clvmodels.cli.terminal import Terminal

if TYPE_CHECKING:
    from clvmodels.rfm import RfmTable


def run(log: str, output: Path, *, quiet: bool, **options: Any) -> None:
    """Summarise a log; options are those of `clvmodels.rfm_summary_to_parquet`."""
    check_output(output, suffixes=PARQUET)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading the log"):
        from clvmodels.rfm import RfmTable, rfm_summary_to_parquet
        from clvmodels.rfm.continuity import WHAT_TO_DO, is_broken

        audit = rfm_summary_to_parquet(log, output, **options)
    if quiet:
        return
    terminal.heading("What became of the rows")
    show_audit(terminal, audit, options["time_unit"])
    terminal.heading("The customers")
    table = RfmTable.outline(output)
    assert table is not None  # as we have just written it
    outline = _outline(table, output)
    show_base(terminal, outline)
    if is_broken(audit):
        terminal.say()
        terminal.say(WHAT_TO_DO)
    terminal.say()
    terminal.wrote(output, f"{outline.customers:,} customers")


def _outline(table: RfmTable, path: Path) -> BaseOutline:
    """Count the customers where they lie: they may be more than memory holds."""
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(
            'SELECT count(*), count(*) FILTER (frequency = 0), avg(frequency), max("T") '
            "FROM read_parquet(?)",
            [str(path)],
        ).fetchall()[0]
    customers, once, mean_frequency, longest = found
    return BaseOutline(
        customers=customers,
        once=once,
        mean_frequency=mean_frequency,
        longest=longest,
        observation_end=table.observation_end,
        scale=table.scale,
        margin=table.margin,
    )
