"""``clvmodels customers``: the list that people work from, as CSV, Parquet or XLSX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_input, check_output, read_posterior, read_rfm, write_aside
from clvmodels.cli.groups import with_costs
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, number, table
from clvmodels.display import many

if TYPE_CHECKING:
    import pandas as pd


def run(
    rfm: Path,
    posterior: Path,
    output: Path,
    *,
    attribute: Sequence[str],
    new_within: str,
    slow: float,
    late: float,
    lost_below: float,
    basket_value: float | None,
    csv: Mapping[str, str | None],
    quiet: bool,
    horizon: str,
    **options: Any,
) -> None:
    """Write the list and print how many customers are in which state."""
    from clvmodels.posterior.scorable import open_scorable, purchases_of
    from clvmodels.predictive.customer_files import SUFFIXES, write_list
    from clvmodels.predictive.customer_list import Limits, customer_parts, meanings_of

    inputs = [check_input(path) for path in (rfm, posterior)]
    check_output(output, suffixes=SUFFIXES, inputs=inputs)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        given, _ = open_scorable(read_posterior(posterior, basket_value))
        whole = purchases_of(given).metadata.whole
        base, assumed = read_rfm(rfm, given.scale, csv=csv, whole=whole)
    terms = {**with_costs(options), "horizon": read_horizon(horizon)}
    limits = Limits(new_within, slow, late, lost_below)
    seen = _Seen()
    with terminal.step(f"Listing {many(len(base), 'customer')}", loops=True):
        parts = customer_parts(given, base, attribute or None, limits, **terms)
        first, parts = _peeked(parts)
        meanings = meanings_of(given, [*map(str, first)], limits, **terms)
        write_aside(output, lambda aside: write_list(seen.of(parts), aside, meanings))
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    _show(terminal, seen)
    terminal.say()
    terminal.wrote(output, many(sum(seen.customers.values()), "customer"))


def _peeked(parts: Iterator[pd.DataFrame]) -> tuple[pd.DataFrame, Iterator[pd.DataFrame]]:
    from itertools import chain

    first = next(parts)
    return first, chain([first], parts)


class _Seen:
    """What went by: customers, and their value or purchases, by state."""

    def __init__(self) -> None:
        self.customers: Counter[str] = Counter()
        self.worth: Counter[str] = Counter()
        self.of_what = "value"

    def of(self, parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for part in parts:
            self.of_what = "value" if "value" in part else "purchases"
            for state, rows in part.groupby("state"):
                self.customers[str(state)] += len(rows)
                self.worth[str(state)] += float(rows[self.of_what].sum())  # type: ignore[assignment]
            yield part


def _show(terminal: Terminal, seen: _Seen) -> None:
    from clvmodels.predictive.customer_list import ACTIONS, STATES

    terminal.heading("Customers by state")
    rows = [
        (state, number(seen.customers[state]), number(seen.worth[state]), *ACTIONS[state])
        for state in STATES
        if seen.customers[state]
    ]
    headings = ("\nstate", "\ncustomers", f"expected\n{seen.of_what}", "top tier:\naction")
    terminal.show(table((*headings, "others:\naction"), rows))
