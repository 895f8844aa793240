"""``clvmodels contributions``: value at customers' own margins, less what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_results, finish, opened, read_table, write_results
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.economics import Contributions, CustomerMargins


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    log: Path | None,
    customer_id_col: str | None,
    datetime_col: str | None,
    monetary_value_col: str | None,
    margin_col: str | None,
    margin: float | None,
    horizon: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Value, print and write; options are those of `clvmodels.contributions`."""
    check_results(results, [log, *fitted.values()])
    columns = {
        "customer_id_col": customer_id_col,
        "datetime_col": datetime_col,
        "monetary_value_col": monetary_value_col,
        "margin_col": margin_col,
    }
    if log is not None and (margin is not None or None in columns.values()):
        raise SchemaError(
            "Margins are of a log's orders or one for all: give --log with --customer-id, "
            "--timestamp, --amount and --margin-col, or --margin alone."
        )
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.economics import contributions
        from clvmodels.posterior.scorable import value_posterior
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
        whose = value_posterior(given.posterior)
        margins: Any = margin
        if log is not None:
            margins = margins_of([log], columns, csv)
    with terminal.step(f"Valuing {many(len(given.base), 'customer')}", loops=True):
        found = contributions(whose, given.base, margins=margins, **options)
    one, new = found.total, found.new_customer
    figures = [
        {"of": of, **{n: getattr(each, n) for n in ("mean", "lower", "upper")}}
        for of, each in (("all customers", one), ("a new customer", new))
    ]
    import pandas as pd

    sums = plain_rows(pd.DataFrame(figures))
    write_results(results, found.customers, {"interval": options["interval"], "rows": sums})
    finish(terminal, given, lambda: show(terminal, found, options["interval"]), results)


def margins_of(
    log: Sequence[Path],
    columns: Mapping[str, str | None],
    csv: Mapping[str, str | None],
    date_format: str | None = None,
) -> CustomerMargins:
    """Margins of customers by a log, whose columns are those of `clvmodels.customer_margins`."""
    import pandas as pd

    from clvmodels.economics import customer_margins

    when = str(columns["datetime_col"])
    parts = [read_table(one, csv, wanted=(when,))[0].to_pandas() for one in log]
    rows, money = pd.concat(parts), [str(columns[n]) for n in ("monetary_value_col", "margin_col")]
    if date_format is not None and when in rows and rows[when].dtype.kind not in "M":
        rows[when] = pd.to_datetime(rows[when], format=date_format)
    named: Any = columns
    return customer_margins(_as_numbers(rows, money, csv["decimal"]), **named)


def _as_numbers(rows: pd.DataFrame, names: list[str], decimal: str | None) -> pd.DataFrame:
    """Columns of CSV that hold numbers, as numbers; what is none is missing."""
    import pandas as pd

    for name in (one for one in names if one in rows and not is_number(rows[one])):
        text = rows[name].astype(str)
        text = text.str.replace(".", "").str.replace(",", ".") if decimal == "," else text
        rows[name] = pd.to_numeric(text, errors="coerce")
    return rows


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a column needs no reading."""
    return column.dtype.kind in "iuf"


def show(terminal: Terminal, found: Contributions, interval: float) -> None:
    """Print what customers contribute together, and what a new one does."""
    terminal.heading("What customers contribute, after their margins and costs")
    customers, one, new = found.customers, found.total, found.new_customer
    rows = [
        ("revenue", number(customers["revenue"].sum()), ""),
        ("costs of orders", number(-customers["order_costs"].sum()), ""),
        ("costs of serving", number(-customers["serving_costs"].sum()), ""),
        ("contribution", number(one.mean), between(one.lower, one.upper)),
        ("of a new customer", number(new.mean, 2), between(new.lower, new.upper, 2)),
    ]
    terminal.show(table(("", "expected", f"{percent(interval)} interval"), rows))
    terminal.say()
    low, middle, high = customers["margin"].quantile([0.05, 0.5, 0.95])
    margins = (
        f"Margins go from {percent(low)} to {percent(high)} for nine customers in ten, half are "
        f"above {percent(middle)}."
        if low < high
        else f"The margin of nine customers in ten is {percent(middle)}."
    )
    losing = many(found.losing, "customer", "are")
    terminal.say(f"{margins} {losing} expected to cost more than revenue covers.")
    terminal.say()
