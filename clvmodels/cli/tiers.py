"""``clvmodels tiers``: what each value tier holds, who is in it, and who moved since."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import (
    check_input,
    check_output,
    check_results,
    finish,
    opened,
    read_table,
    write_people,
    write_results,
)
from clvmodels.cli.groups import with_costs
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, share_text, table
from clvmodels.display import many
from clvmodels.outputs import refuse_twice
from clvmodels.schema import CUSTOMER_ID

if TYPE_CHECKING:
    import pandas as pd


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    assign: Path | None,
    before: Path | None,
    quantile: Sequence[float],
    threshold: Sequence[float],
    label: Sequence[str],
    horizon: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Report, print and write; options are those of `clvmodels.tier_report`."""
    inputs = [*fitted.values(), *([] if before is None else [check_input(before)])]
    check_results(results, inputs)
    if assign is not None:
        check_output(assign, suffixes=(".csv", ".csv.gz", ".parquet"), inputs=inputs)
        refuse_twice((assign, *results.values()))
    cuts: dict[str, Any] = {"quantiles": quantile, "thresholds": threshold, "labels": label}
    cuts = {name: list(given) or None for name, given in cuts.items()}
    options = {**with_costs(options), "horizon": read_horizon(horizon)}
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.economics import tier_movement, tier_report, value_tiers
        from clvmodels.economics.outlook import scores_of
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
        old = None if before is None else read_table(before, csv, wanted=(CUSTOMER_ID,))[0]
    with terminal.step(f"Valuing {many(len(given.base), 'customer')}", loops=True):
        found = tier_report(given.posterior, given.base, **cuts, **options)
        tiers = None
        if assign is not None or old is not None:
            tiers = value_tiers(scores_of(given.posterior, given.base, **options), **cuts)
        moved = None if old is None else tier_movement(old.to_pandas(), tiers)
    record = {"interval": options["interval"], "rows": plain_rows(found)}
    if moved is not None:
        record["movement"] = {str(name): row.to_dict() for name, row in moved.iterrows()}
    draw = None if "clv" not in found else lambda aside: _draw(found, aside)
    write_results(results, found, record, draw)
    if assign is not None and tiers is not None:
        write_people(tiers, assign)

    def shown() -> None:
        show(terminal, found, options["interval"])
        if moved is not None:
            _show_moved(terminal, moved)

    finish(terminal, given, shown, results)
    if assign is not None and not quiet:
        terminal.wrote(assign, "every customer's tier")


def show(terminal: Terminal, found: pd.DataFrame, interval: float) -> None:
    """Print what each tier holds."""
    worth = "clv" if "clv" in found else "expected_purchases"
    share = "value_share" if worth == "clv" else "purchase_share"
    what = "value" if worth == "clv" else "purchases"
    terminal.heading(f"Customers by expected {what}")
    past = "past_share" in found
    shared = found[worth].iloc[-1] > 0.0  # of a loss there are no shares
    ends = found[[f"{share}_lower", f"{share}_upper"]] * 100
    ends = ends.where(found["tier"] != "(whole)") if shared else ends * math.nan
    rows = [
        (
            str(row["tier"]),
            number(row["customers"]),
            number(row[worth]),
            share_text(row[share]) if shared else "-",
            between(lower, upper, 1),
            *((share_text(row["past_share"]),) if past else ()),
        )
        for row, (lower, upper) in zip(found.to_dict("records"), ends.to_numpy(), strict=True)
    ]
    heads = ("\ntier", "\ncustomers", f"\n{what}", f"share of\n{what}")
    level = f"{percent(interval)}\ninterval, %"
    terminal.show(table((*heads, level, *(("share of\nthe past",) if past else ())), rows))
    terminal.say()


def _show_moved(terminal: Terminal, moved: pd.DataFrame) -> None:
    terminal.heading("Who was in which tier before (rows), and is now (columns)")
    rows = [(str(name), *(number(one) for one in row)) for name, row in moved.iterrows()]
    terminal.show(table(("before", *map(str, moved.columns)), rows))
    terminal.say()


def _draw(found: pd.DataFrame, path: Path) -> None:
    from clvmodels import plots

    figure, (axes,) = plots.new_figure(1, 1, "What each tier holds")
    plots.plot_tiers(found, ax=axes)
    plots.save_figure(figure, path)
