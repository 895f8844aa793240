"""``clvmodels valuation``: what a firm's customers are worth, at hand and to come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_results, finish, opened, read_table, write_results
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.predictive import CustomerValuation


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    acquisitions: str,
    horizon: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Value, print and write; options are those of `clvmodels.customer_valuation`."""
    plan = Path(acquisitions)
    check_results(results, [*fitted.values(), plan if plan.is_file() else None])
    counts = read_acquisitions(acquisitions, csv)
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.posterior.scorable import value_posterior
        from clvmodels.predictive import customer_valuation

        given = opened(fitted, basket_value, csv)
        whose = value_posterior(given.posterior)
    with terminal.step(
        f"Following {many(len(given.base), 'customer')}, and those to come", loops=True
    ):
        found = customer_valuation(whose, given.base, acquisitions=counts, **options)
    write_results(results, found.months, found.to_dict())
    finish(terminal, given, lambda: show(terminal, found), results)


def read_acquisitions(said: str, csv: Mapping[str, str | None]) -> Any:
    """Read a number a month, "extrapolated", or a file whose last column has a number a month.

    Raises
    ------
    SchemaError
        It is something else.
    """
    if said == "extrapolated":
        return said
    try:
        return float(said)
    except ValueError:
        pass
    path = Path(said)
    if not path.is_file():
        raise SchemaError(
            f"acquisitions={said!r} must be 'extrapolated', a number a month, or a CSV or Parquet "
            "file whose last column has the number of each month."
        )
    import pandas as pd

    found = read_table(path, csv)[0].to_pandas()
    return pd.to_numeric(found[found.columns[-1]], errors="coerce").tolist()


def show(terminal: Terminal, found: CustomerValuation) -> None:
    """Print the parts, and what they rest on."""
    from clvmodels.diagnostics.planned import calendar_said
    from clvmodels.predictive.base import margin_said

    terminal.heading(f"What the firm's customers are worth over {found.horizon}")
    rows = [
        (
            str(row["part"]),
            number(row["customers"]),
            number(row["mean"]),
            between(row["lower"], row["upper"]) if row["lower"] < row["upper"] else "-",
        )
        for row in found.table.to_dict("records")
    ]
    ends = f"{percent(found.interval)} interval"
    terminal.show(table(("", "customers", "expected", ends), rows))
    terminal.say()
    first, last = (found.months.iloc[place] for place in (0, -1))
    how = "go on as first orders did" if found.acquisitions == "extrapolated" else "given"
    terminal.say(
        f"Customers to come ({how}): {_won(first)} in the first month and {_won(last)} in month "
        f"{number(last['month'])}. One who is won at once brings {number(first['value_each'], 2)}."
    )
    terminal.say()
    terminal.say(calendar_said(found.calendar))
    terminal.say(f"Value is discounted{margin_said(found.margin, found.margin_from)}.")
    if found.without_value:
        terminal.say(f"{many(found.without_value, 'customer', 'have')} no value: {found.reason}")
    terminal.say()


def _won(month: pd.Series[Any]) -> str:
    """How many customers are won in a month, with the interval where there is doubt."""
    lower, upper = month["acquired_lower"], month["acquired_upper"]
    won = number(month["acquired"])
    return f"{won} ({between(lower, upper)})" if lower < upper else won
