"""The commands of a model in service: sql, with its options.

Apart, since `commands` and `commands_judging` are full.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels.cli.options import (
    BasketOfPosterior,
    Discounting,
    DiscountRate,
    DrawsUsed,
    Horizon,
    Margin,
    PosteriorFile,
    Quiet,
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
        int, typer.Option(help="Repeat purchases up to which customers are scored.")
    ] = 100,
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
