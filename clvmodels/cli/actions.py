"""``clvmodels actions``: customers by what can be done about them, and the lists to do it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import (
    check_folder,
    check_results,
    finish,
    opened,
    write_people,
    write_results,
)
from clvmodels.cli.groups import with_costs
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, number, share_text, table
from clvmodels.display import many
from clvmodels.outputs import refuse_inputs, refuse_twice
from clvmodels.path_checks import named_paths

if TYPE_CHECKING:
    from clvmodels.economics import ActionLists

FILES: Final = ("customers", "slipping", "one_time")
_DO: Final = {
    "new": "welcome",
    "one-time": "bring back",
    "active": "keep",
    "slipping": "win back",
    "probably lost": "let go",
}


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    lists: Path | None,
    horizon: str,
    new_within: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """List, print and write; options are those of `clvmodels.action_lists`."""
    check_results(results, fitted.values())
    if lists is not None:
        paths = [check_folder(lists) / f"{name}.csv" for name in FILES]
        refuse_inputs(paths, named_paths([*fitted.values()]))
        refuse_twice((*paths, *results.values()))
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.economics import action_lists
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
    options = with_costs(options)
    options |= {"horizon": read_horizon(horizon), "new_within": read_horizon(new_within)}
    with terminal.step(f"Sorting {many(len(given.base), 'customer')}", loops=True):
        found = action_lists(given.posterior, given.base, **options)
    write_results(results, found.counts, {"rows": plain_rows(found.counts)})
    if lists is not None:
        lists.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            write_people(getattr(found, name), lists / f"{name}.csv")
    finish(terminal, given, lambda: show(terminal, found), results)
    if lists is not None and not quiet:
        for name in FILES:
            whom = "valuable customer" if name == "slipping" else "customer"
            terminal.wrote(lists / f"{name}.csv", many(len(getattr(found, name)), whom))


def show(terminal: Terminal, found: ActionLists) -> None:
    """Print how many customers are in which state, and what is at stake."""
    money = "clv" in found.counts
    worth, best = ("clv", "valuable") if money else ("expected_purchases", "top_buyer")
    terminal.heading("Customers by what can be done about them")
    rows = [
        (
            str(row["state"]),
            number(row["customers"]),
            number(row[best]),
            share_text(row["p_purchase"]),
            number(row[worth]),
            number(row[f"{worth}_lost"]),
            _DO.get(str(row["state"]), ""),
        )
        for row in found.counts.to_dict("records")
    ]
    heads = ["\nstate", "\ncustomers", "of them\nvaluable", "chance\nto buy"]
    heads += ["value\nahead", "value\nlost"] if money else ["buys\nahead", "buys\nlost"]
    terminal.show(table((*heads, "\nwhat to do"), rows))
    terminal.say()
    terminal.say(
        "Lost is what went since the last purchase, as silence grew. The valuable are the first "
        "by what they would bring had it not."
    )
    terminal.say()
