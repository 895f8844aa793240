"""``clvmodels sql``: a statement and its coefficients, for a warehouse.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import (
    CSV,
    PARQUET,
    check_input,
    check_output,
    read_posterior,
    write_aside,
    write_frame,
)
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal
from clvmodels.outputs import refuse_twice

if TYPE_CHECKING:
    from clvmodels.warehouse import ScoreSQL
    from clvmodels.warehouse.statement import Dialect

_SQL: Final = (".sql",)


def run(
    posterior: Path,
    output: Path,
    coefficients: Path,
    *,
    dialect: Dialect,
    rfm_table: str,
    coefficients_table: str,
    horizon: str,
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Write both files; options are those of `clvmodels.score_sql`."""
    check_input(posterior)
    check_output(output, suffixes=_SQL, inputs=[posterior])
    check_output(coefficients, suffixes=(*_SQL, *PARQUET, *CSV), inputs=[posterior])
    refuse_twice([output, coefficients])
    terminal = Terminal(quiet=quiet)
    with terminal.step("Choosing coefficients"):
        from clvmodels.warehouse import score_sql

        given = read_posterior(posterior, basket_value)
        found = score_sql(given, horizon=read_horizon(horizon), **options)
    text = found.statement(dialect, rfm=rfm_table, coefficients=coefficients_table)
    _write_coefficients(found, coefficients, dialect, coefficients_table)
    write_aside(output, lambda aside: aside.write_text(text, encoding="utf-8"))
    if quiet:
        return
    show(terminal, found, coefficients_table)
    terminal.wrote(coefficients, f"the table {coefficients_table}: bring it into the warehouse")
    terminal.wrote(output, "the statement")


def _write_coefficients(found: ScoreSQL, path: Path, dialect: Dialect, table: str) -> None:
    if path.name.lower().endswith(_SQL):
        text = found.creation(dialect, coefficients=table)
        write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))
    else:
        write_frame(found.coefficients, path)


def show(terminal: Terminal, found: ScoreSQL, table: str) -> None:
    """Say how large the table is, how close its numbers are, and what is not in them."""
    terminal.say()
    terminal.say(
        f"{len(found.coefficients):,} rows of coefficients score customers of up to "
        f"{found.most_purchases:,} repeat purchases and a T of up to {found.longest:g}. All others "
        "get NULL, and 'reason' says why: count them."
    )
    terminal.say(
        f"Compared with 'score' on {40 * (found.most_purchases + 1):,} histories, run in DuckDB: "
        f"the largest difference is {found.error:.0e}."
    )
    terminal.say("There are means alone: for intervals use 'score'.")
    terminal.say()
