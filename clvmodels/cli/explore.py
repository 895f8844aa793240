"""``clvmodels explore``: a page to look customers up in.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clvmodels.cli.files import check_input, check_output, opened, read_table
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, number, table
from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.schema import CUSTOMER_ID


def run(
    rfm: Path,
    posterior: Path,
    output: Path,
    *,
    log: Sequence[str],
    ids: Path | None,
    attribute: Sequence[str],
    basket_value: float | None,
    horizon: str,
    csv: Mapping[str, str | None],
    quiet: bool,
    **options: Any,
) -> None:
    """Write the page and print what it sums up; options are those of `clvmodels.explore`."""
    inputs = [check_input(path) for path in (rfm, posterior, ids) if path is not None]
    check_output(output, suffixes=(".html", ".htm"), inputs=[*inputs, *log])
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.explorer import explore

        asked = None if ids is None else _ids_of(ids, csv)
        given = opened({"rfm": rfm, "posterior": posterior}, basket_value, csv)
    with terminal.step("The explorer"):
        explorer = explore(
            given.posterior,
            given.base,
            log=None if not log else log[0] if len(log) == 1 else list(log),
            output=output,
            ids=asked,
            attributes=attribute or None,
            horizon=read_horizon(horizon),
            **options,
        )
    if quiet:
        return
    if given.assumed:
        terminal.say(given.assumed)
    _show(terminal, explorer.totals)
    terminal.say()
    terminal.wrote(output, f"{many(len(explorer.customers), 'customer')} to look up")


def _ids_of(path: Path, csv: Mapping[str, str | None]) -> list[Any]:
    found = read_table(path, csv, wanted=(CUSTOMER_ID,))[0]
    if CUSTOMER_ID not in found.column_names:
        raise SchemaError(
            f"{path} has no column {CUSTOMER_ID}: it has {', '.join(found.column_names)}."
        )
    return list(found[CUSTOMER_ID].to_pylist())


def _show(terminal: Terminal, totals: Any) -> None:
    name = "value" if "value" in totals else "purchases"
    parts = [totals[totals["by"] == by] for by in ("tier", "state")] + [totals.iloc[-1:]]
    rows: list[tuple[str, str, str]] = []
    for part in parts:
        each = part.to_dict("records")
        rows += [("", "", "")] if rows and each else []
        rows += [(row["group"], number(row["customers"]), number(row[name])) for row in each]
    terminal.heading("All customers")
    terminal.show(table(("\ngroup", "\ncustomers", f"expected\n{name}"), rows))
