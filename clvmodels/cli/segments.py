"""``clvmodels segments``: who the customers of each segment are, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.cohorts import name_of, read_costs
from clvmodels.cli.files import check_results, finish, opened, read_by, write_results
from clvmodels.cli.groups import with_costs
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    by: Sequence[str],
    segments: Path | None,
    cac: Sequence[str],
    spent: Sequence[str],
    against: str | None,
    horizon: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Report, print and write; options are those of `clvmodels.segment_report`."""
    check_results(results, [segments, *fitted.values()])
    costs, total = read_costs(cac), read_costs(spent, "--spent", "web=5000")
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.economics import segment_report
        from clvmodels.posterior.scorable import value_posterior
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
        divided = read_by(by, segments, csv)
        if divided is None:
            raise SchemaError("Name what divides the customers: --by COLUMN, or --segments FILE.")
    options = with_costs(options)
    options |= {"horizon": read_horizon(horizon), "cac": costs, "acquisition_spend": total}
    options["against"] = against
    with terminal.step(f"Valuing {many(len(given.base), 'customer')}", loops=True):
        found = segment_report(value_posterior(given.posterior), given.base, by=divided, **options)
    write_results(results, found, {"interval": options["interval"], "rows": plain_rows(found)})
    finish(terminal, given, lambda: show(terminal, found, options["interval"], against), results)


def show(
    terminal: Terminal, found: pd.DataFrame, interval: float, against: str | None = None
) -> None:
    """Print who the customers of each segment are, and what they are worth."""
    names = [*found.columns[: list(found.columns).index("customers")]]
    wanted = {
        "ltv": ("ltv per\ncustomer", 2),
        "cac": ("\ncac", 2),
        "ltv_to_cac": ("\nltv:cac", 2),
    }
    more = {name: how for name, how in wanted.items() if name in found}
    terminal.heading("What the customers of each segment are worth")
    rows = [
        (
            name_of([row[name] for name in names]),
            number(row["customers"]),
            *(() if len(more) > 1 else (percent(row["one_time_share"], 2),)),
            number(row["clv"]),
            between(row["clv_lower"], row["clv_upper"]),
            *(number(row[name], digits) for name, (_, digits) in more.items()),
        )
        for row in found.to_dict("records")
    ]
    once = [] if len(more) > 1 else ["bought\nonce"]
    heads = ("\nsegment", "\ncustomers", *once, "value\nahead")
    ends = f"{percent(interval)}\ninterval"
    terminal.show(table((*heads, ends, *(head for head, _ in more.values())), rows))
    terminal.say()
    if "more" in found:
        _show_difference(terminal, found, names, against, interval)
    notes = dict.fromkeys(note for note in found["note"] if note)
    if notes:
        terminal.say(f"{'; '.join(notes).capitalize()}.")
        terminal.say()


def _show_difference(
    terminal: Terminal,
    found: pd.DataFrame,
    names: Sequence[str],
    against: str | None,
    interval: float,
) -> None:
    """Print by how much customers of each segment are worth more than those of one."""
    terminal.heading(f"How much more a customer will bring than one of {against}")
    rows = [
        (
            name_of([row[name] for name in names]),
            number(row["more"], 2),
            between(row["more_lower"], row["more_upper"], 2),
            percent(row["chance_of_more"]),
        )
        for row in found.to_dict("records")
        if row["chance_of_more"] == row["chance_of_more"]
    ]
    heads = ("segment", "more", f"{percent(interval)} interval", "chance that it is more")
    terminal.show(table(heads, rows))
    terminal.say()
