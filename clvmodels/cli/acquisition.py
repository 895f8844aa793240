"""``clvmodels acquisition``: what a new customer is worth, and what winning one may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.cohorts import name_of, read_costs
from clvmodels.cli.files import check_results, opened, read_by, write_results
from clvmodels.cli.groups import with_costs
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.margin import ContributionMargin, MarginLike
from clvmodels.schema import Horizon

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.rfm import RfmTable

_ENOUGH: Final = 30  # customers of a segment, for others like them to be as they are on average


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    log: str | None,
    by: Sequence[str],
    segments: Path | None,
    cac: Sequence[str],
    win: Sequence[str],
    horizon: str,
    payback: str | None,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Report, print and write; options are those of `clvmodels.acquisition_report`."""
    check_results(results, [log, segments, *fitted.values()])
    options = with_costs(options)
    options |= {"cac": read_costs(cac), "customers": read_costs(win, "--win", "web=500")}
    options["horizon"] = read_horizon(horizon)
    options["payback"] = None if payback is None else read_horizon(payback)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.posterior.scorable import value_posterior
        from clvmodels.predictive import acquisition_report
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
        whose = value_posterior(given.posterior)
        divided = read_by(by, segments, csv)
    with terminal.step("Valuing new customers", loops=True):
        found = acquisition_report(whose, given.base, by=divided, log=log, **options)
    write_results(results, found, {"interval": options["interval"], "rows": plain_rows(found)})
    if quiet:
        return
    if given.assumed:
        terminal.say(given.assumed)
    show(terminal, found, given.base, options)
    terminal.wrote_all(results)


def show(
    terminal: Terminal, found: pd.DataFrame, base: RfmTable, options: Mapping[str, Any]
) -> None:
    """Print what new customers are worth, and each of the limits that was asked for."""
    names = [*found.columns[: list(found.columns).index("customers")]]
    span, ratio = _words(base, options["horizon"]), options["target_ratio"]
    terminal.heading(f"What a new customer is worth in {span}, and may cost")
    columns = {"value": "\nvalue", "highest_cac": f"may cost\nat {ratio:g}:1"}
    if "payback_cac" in found:
        columns["payback_cac"] = f"back in\n{_words(base, options['payback'])}"
    digits = 0 if found["value"].iloc[-1] >= 1000 else 2
    ends = f"{percent(options['interval'])}\ninterval"
    rows = [
        (
            name_of([row[name] for name in names]),
            number(row["customers"]),
            number(row["value"], digits),
            between(row["value_lower"], row["value_upper"], digits),
            *(number(row[name], digits) for name in columns if name != "value"),
        )
        for row in found.to_dict("records")
    ]
    heads = [head for name, head in columns.items() if name != "value"]
    terminal.show(table(("\nsegment", "customers\nnow", "\nvalue", ends, *heads), rows))
    ends = f"{percent(options['interval'])} interval"
    _show_costs(terminal, found, names, ends)
    _show_budget(terminal, found, names, ends)
    terminal.say()
    terminal.say(_meaning(found, options["margin"]))
    terminal.say()


def _show_costs(terminal: Terminal, found: pd.DataFrame, names: Sequence[str], ends: str) -> None:
    if "cac" not in found:
        return
    terminal.heading("What winning them costs today")
    rows = [
        (
            name_of([row[name] for name in names]),
            number(row["cac"], 2),
            number(row["ltv_to_cac"], 2),
            between(row["ltv_to_cac_lower"], row["ltv_to_cac_upper"], 2),
            _month(row["payback_months"]),
        )
        for row in found.to_dict("records")
    ]
    terminal.show(table(("segment", "cac", "ltv:cac", ends, "months to pay back"), rows))


def _show_budget(terminal: Terminal, found: pd.DataFrame, names: Sequence[str], ends: str) -> None:
    if "budget" not in found:
        return
    terminal.heading("The most that winning so many may cost together")
    rows = [
        (
            name_of([row[name] for name in names]),
            number(row["acquired"]),
            number(row["budget"]),
            between(row["budget_lower"], row["budget_upper"]),
        )
        for row in found.to_dict("records")
    ]
    terminal.show(table(("segment", "to win", "budget", ends), rows))


def _meaning(found: pd.DataFrame, asked: MarginLike) -> str:
    margin = found["margin"].iloc[0]
    what = (
        "Value is revenue: no margin was given"
        if margin == 1
        else f"Value is profit, at a margin of {percent(margin)}"
    )
    if isinstance(asked, ContributionMargin):
        what = f"Value is what is left: {asked}"
    if "known" not in found:
        return f"{what}; the first order is in it. The interval is of the expected value."
    return (
        f"{what}; the first order is in it. It is what customers bring after their own first "
        f"orders: these are a horizon ago for {100 * found['known'].iloc[-1]:.0f} % of them, and "
        "for the others the rest is forecast. The interval is of what they bring on average, "
        "chance and calendar included, not of how far others like them would differ." + _few(found)
    )


def _few(found: pd.DataFrame) -> str:
    """Say of how many segments there are too few customers to go by."""
    few = int((found["customers"].iloc[:-1] < _ENOUGH).sum())
    if not few:
        return ""
    have = "one segment has" if few == 1 else f"{few} segments have"
    return (
        f" That is much where there are few: {have} fewer than {_ENOUGH} customers. A fit with the "
        "column as --purchase-covariate learns from the other segments too."
    )


def _words(base: RfmTable, horizon: Horizon) -> str:
    return "a lifetime" if horizon is None else base.scale.horizon_words(horizon)


def _month(month: float) -> str:
    if month == 0.0:
        return "first order"
    return "-" if math.isnan(month) else "later" if math.isinf(month) else f"{month:.1f}"
