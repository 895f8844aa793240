"""``clvmodels summarize``: log -> RfmTable, with its audit.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import PARQUET, check_output
from clvmodels.cli.reports import BaseOutline, show_audit, show_base
from clvmodels.cli.terminal import Terminal
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    from clvmodels.rfm import RfmTable


def run(
    log: str,
    output: Path,
    *,
    margin_col: str | None = None,
    quiet: bool,
    alone: bool = True,
    **options: Any,
) -> None:
    """Summarise a log; options are those of `clvmodels.rfm_summary_to_parquet`."""
    check_output(output, suffixes=PARQUET)
    _check_margins(margin_col, options)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading the log", loops=True):
        from clvmodels.rfm import RfmTable, rfm_summary_to_parquet
        from clvmodels.rfm.continuity import WHAT_TO_DO, is_broken

        audit = rfm_summary_to_parquet(log, output, **options)
    if margin_col is not None:
        with terminal.step("Reading margins"):
            _join_margins(log, output, margin_col, options)
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
    terminal.wrote(output, many(outline.customers, "customer"))
    if alone:
        terminal.follow(f"clvmodels fit {quote(str(output))} -o posterior.nc")


def _check_margins(margin_col: str | None, options: Mapping[str, Any]) -> None:
    """Refuse what margins cannot be read with."""
    if margin_col is None:
        return
    if options["monetary_value_col"] is None:
        raise SchemaError("Margins are shares of amounts: name their column with --amount.")
    if options["margin"] is not None:
        raise SchemaError("Give --margin-col or --margin, not both: the base's is in the column.")
    for name, option in (("where", "--where"), ("currency_col", "--currency-col")):
        if options[name]:
            raise SchemaError(
                f"Margins are read from all rows of the log, in one currency: leave {option} out, "
                "and summarise a log of the rows that count."
            )


def _join_margins(log: str, output: Path, margin_col: str, options: Mapping[str, Any]) -> None:
    """Add everybody's margin to the table that was written."""
    from clvmodels.cli.contributions import margins_of
    from clvmodels.log.local_files import files_of
    from clvmodels.rfm import RfmTable

    names = ("customer_id_col", "datetime_col", "monetary_value_col")
    columns = {name: options[name] for name in names} | {"margin_col": margin_col}
    csv = {name: options[name] for name in ("decimal", "delimiter", "encoding")}
    files = [Path(one) for one in files_of(log)]
    margins = margins_of(files, columns, csv, options["date_format"])
    margins.join(RfmTable.from_parquet(output)).to_parquet(output)


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
