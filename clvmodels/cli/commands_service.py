"""The commands of a model in service, sql and track, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels.cli.groups import CalendarOption, Money, Results, Simulated
from clvmodels.cli.options import (
    BasketOfPosterior,
    Csv,
    Discounting,
    DiscountRate,
    DrawsUsed,
    Horizon,
    Horizons,
    Interval,
    Margin,
    MaybeLogColumns,
    PosteriorFile,
    Quiet,
    Rows,
    Where,
    declared,
)


@declared
def sql(
    *,
    posterior: PosteriorFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="SQL file to write, with the statement.")
    ],
    coefficients: Annotated[
        Path,
        typer.Option(
            help="File for the table that the statement reads: Parquet or CSV to load, or SQL that "
            "creates and fills it."
        ),
    ],
    dialect: Annotated[
        Literal["duckdb", "bigquery", "snowflake", "postgres"], typer.Option(help="Whose SQL.")
    ] = "duckdb",
    rfm_table: Annotated[
        str, typer.Option(help="Name of the table of customers in the warehouse.")
    ] = "rfm",
    coefficients_table: Annotated[
        str, typer.Option(help="Name there of the table of coefficients.")
    ] = "clv_coefficients",
    horizon: Horizon = "365D",
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    margin: Margin = None,
    basket_value: BasketOfPosterior = None,
    draws: DrawsUsed = 500,
    most_purchases: Annotated[
        int | None,
        typer.Option(
            help="Repeat purchases up to which customers are scored; by default 100, or as many as "
            "the longest T has room for."
        ),
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(
            help="T up to which they are, in the posterior's unit; by default one and a half times "
            "the longest of the base that was fitted."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write SQL that scores customers in a warehouse, where their table lies.

    A statement and a small table of coefficients: the means of 'score', to 1e-6, but no
    intervals. Who is beyond the table gets NULL and a reason.
    """


@declared
def track(
    *,
    ledger: Annotated[
        Path, typer.Argument(help="Parquet file of forecasts; it is made where there is none.")
    ],
    rfm: Annotated[
        Path | None, typer.Option(help="Record a forecast: file of 'summarize', as of tonight.")
    ] = None,
    posterior: Annotated[
        Path | None, typer.Option(help="Record a forecast: file of 'fit'.")
    ] = None,
    log: Annotated[
        str | None,
        typer.Option(help="Judge what is due: the log up to today; read as the tables were."),
    ] = None,
    columns: MaybeLogColumns,
    only_these: Annotated[
        bool,
        typer.Option(
            "--only-these",
            help="Judge by the customers in --rfm alone, where it leaves out some of the log's.",
        ),
    ] = False,
    horizon: Horizons = ["30D", "90D", "365D"],  # noqa: B006
    calendar: CalendarOption = "auto",
    interval: Interval = 0.9,
    money: Money,
    simulation: Simulated,
    results: Results,
    rows: Rows,
    where: Where = None,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Record forecasts when they are made, and judge them against the log when they are due.

    Exit code 7, with a line on each, where a total has left its interval or forecasts by
    customers' value have drifted.
    """
