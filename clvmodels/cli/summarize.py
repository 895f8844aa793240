"""``clvmodels summarize``: log -> RfmTable, with its audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.cli.files import PARQUET, check_output
from clvmodels.cli.reports import BaseOutline, show_audit, show_base
from clvmodels.cli.terminal import Terminal

if TYPE_CHECKING:
    from clvmodels.rfm import RfmTable


_SILENCE: Final = '("T" - recency)'


def run(log: str, output: Path, *, quiet: bool, **options: Any) -> None:
    """Summarise a log; options are those of `clvmodels.rfm_summary_to_parquet`."""
    check_output(output, suffixes=PARQUET)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading the log"):
        from clvmodels.rfm import RfmTable, rfm_summary_to_parquet

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
    _show_continuity(terminal, table, output)
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


def _show_continuity(terminal: Terminal, table: RfmTable, path: Path) -> None:
    """Say where customers seem to have become others, counted where they lie."""
    from clvmodels.rfm.continuity import WHAT_TO_DO, continuity
    from clvmodels.rfm.periods import ordinal_of

    ages, silences = (_counts(path, length, table.time_scaler) for length in ('"T"', _SILENCE))
    if not len(ages):
        return
    silences = np.pad(silences, (0, len(ages) - len(silences)))
    found = continuity(ages.astype(float), silences.astype(float), table.scale)
    if found is not None and found.broken:
        end = table.observation_end
        note = found.note(None if end is None else ordinal_of(end, table.scale), table.scale)
        terminal.say()
        terminal.say(f"Note: {note}. {WHAT_TO_DO}")


def _counts(path: Path, length: str, scaler: float) -> Any:
    """Repeat customers by whole periods of some length of time."""
    import duckdb

    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT CAST(round({length} * ?) AS BIGINT), count(*) FROM read_parquet(?) "
            "WHERE frequency > 0 GROUP BY 1",
            [scaler, str(path)],
        ).fetchnumpy()
    lengths, counts = found.values()
    return np.bincount(lengths, counts) if len(lengths) else np.empty(0)
