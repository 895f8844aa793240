"""The commands that say what to do with the values, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clvmodels.cli.groups import (
    Ahead,
    CalendarOption,
    Costs,
    Divided,
    Fitted,
    Money,
    OwnMargins,
    Pictured,
    Results,
    Simulated,
    UnitCosts,
)
from clvmodels.cli.options import (
    BasketOfPosterior,
    Csv,
    Discounting,
    DiscountRate,
    DrawsUsed,
    Horizon,
    MaybeLogColumns,
    Quiet,
    Terms,
    declared,
)


@declared
def acquisition(
    *,
    fitted: Fitted,
    results: Results,
    division: Divided,
    log: Annotated[
        str | None,
        typer.Option(
            help="The log of the table, so that what customers of each segment brought is "
            "counted: a file, a folder of Parquet, a pattern. Without it segments are covariates "
            "of the model."
        ),
    ] = None,
    cac: Costs = [],  # noqa: B006
    target_ratio: Annotated[
        float, typer.Option("--ratio", help="LTV:CAC to be reached; at 1 acquisition just pays.")
    ] = 1.0,
    payback: Annotated[
        str | None, typer.Option(help="Time within which the cost is to be back, such as 6M.")
    ] = None,
    win: Annotated[
        list[str],
        typer.Option(
            help="How many customers are to be won, for a budget, such as 1000, or of a segment, "
            "such as web=500; may be repeated.",
            metavar="[SEGMENT=]NUMBER",
        ),
    ] = [],  # noqa: B006
    money: Money,
    own: OwnMargins,
    ahead: Ahead,
    calendar: CalendarOption = "auto",
    paths: Annotated[int, typer.Option(help="Simulated futures, with a log.")] = 500,
    random_seed: Annotated[int, typer.Option("--seed", help="Makes it repeatable.")] = 0,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Say what a new customer is worth, by segment, and what winning one may cost."""


@declared
def segments(
    *,
    fitted: Fitted,
    results: Results,
    division: Divided,
    cac: Costs = [],  # noqa: B006
    spent: Annotated[
        list[str],
        typer.Option(
            help="Instead, what was spent to win the customers of a segment; may be repeated.",
            metavar="SEGMENT=NUMBER",
        ),
    ] = [],  # noqa: B006
    against: Annotated[
        str | None,
        typer.Option(
            help="A segment that the others are held against: by how much their customers will "
            "bring more.",
            metavar="SEGMENT",
        ),
    ] = None,
    money: Money,
    own: OwnMargins,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Report who the customers of each segment are, what they are worth, and whether it paid."""


@declared
def tiers(
    *,
    fitted: Fitted,
    results: Pictured,
    assign: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file to write with everybody's tier.")
    ] = None,
    before: Annotated[
        Path | None, typer.Option(help="Such a file of an earlier day: who has moved since?")
    ] = None,
    quantile: Annotated[
        list[float],
        typer.Option(
            help="Share of customers, from the least valuable, at which a tier begins; may be "
            "repeated. By default 0.5, 0.8 and 0.95."
        ),
    ] = [],  # noqa: B006
    threshold: Annotated[
        list[float],
        typer.Option(help="Instead, a value from which on a customer is in the next tier."),
    ] = [],  # noqa: B006
    label: Annotated[
        list[str],
        typer.Option(help="Name of a tier, from the least valuable up; may be repeated."),
    ] = [],  # noqa: B006
    money: Money,
    own: OwnMargins,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Put customers into tiers by their value, and say what each tier holds."""


@declared
def actions(
    *,
    fitted: Fitted,
    results: Results,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder for the lists: customers.csv, slipping.csv, one_time.csv."),
    ] = None,
    top: Annotated[float, typer.Option(help="Share of customers who count as valuable.")] = 0.2,
    slipping_from: Annotated[
        float, typer.Option(help="Share of P(alive) lost by which a customer is slipping away.")
    ] = 0.25,
    lost_from: Annotated[float, typer.Option(help="The same of being lost.")] = 0.9,
    new_within: Annotated[
        str, typer.Option(help="Time since the only order in which a customer is new.")
    ] = "90D",
    money: Money,
    own: OwnMargins,
    horizon: Horizon = "365D",
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    draws: DrawsUsed = 500,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Sort customers by what can be done about them: who is valuable and slipping away."""


@declared
def concentration(
    *,
    fitted: Fitted,
    results: Pictured,
    share: Annotated[
        list[float], typer.Option(help="Share of customers to look at; may be repeated.")
    ] = [0.01, 0.05, 0.2],  # noqa: B006
    basket_value: Annotated[
        float | None,
        typer.Option(
            help="Value of every purchase, such as 25, for a posterior of purchases alone."
        ),
    ] = None,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Say how much of the value few customers hold."""


@declared
def valuation(
    *,
    fitted: Fitted,
    results: Results,
    acquisitions: Annotated[
        str,
        typer.Option(
            help="Customers won a month: extrapolated from the table's first orders, a number, or "
            "a CSV or Parquet file whose last column has the number of each month.",
            metavar="<extrapolated|NUMBER|FILE>",
        ),
    ] = "extrapolated",
    cac: Annotated[float, typer.Option(help="Cost of acquiring a customer.")] = 0.0,
    calendar: CalendarOption = "auto",
    money: Money,
    horizon: Horizon = "365D",
    terms: Terms,
    simulation: Simulated,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Value a firm's customers: those at hand, and those to come less what winning them costs."""


@declared
def contributions(
    *,
    fitted: Fitted,
    results: Results,
    log: Annotated[
        Path | None,
        typer.Option(help="Parquet or CSV of orders with what is left of each: --margin-col."),
    ] = None,
    columns: MaybeLogColumns,
    margin_col: Annotated[
        str | None,
        typer.Option(help="Of the log: column of what is left of each amount after its costs."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Instead, one margin for all, as a share of revenue; may be negative. By default "
            "those of the table, by customer or for all."
        ),
    ] = None,
    costs: UnitCosts,
    basket_value: BasketOfPosterior = None,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Value customers at the margins of their own orders, less costs of orders and of serving."""
