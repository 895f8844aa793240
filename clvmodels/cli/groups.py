"""Options of commands about customers who were fitted, in the groups in which they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from clvmodels.cli.options import (
    Base,
    BasketOfPosterior,
    DrawsUsed,
    JsonFile,
    Margin,
    PosteriorFile,
)
from clvmodels.keywords import defaults
from clvmodels.limits import CALENDAR_SD


class Fitted(TypedDict):
    """The customers, and what was fitted."""

    rfm: Base
    posterior: PosteriorFile


class Results(TypedDict):
    """Files that a command may write."""

    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV or Parquet file to write.")
    ]
    json: JsonFile


class Pictured(TypedDict):
    """The same with a picture."""

    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV or Parquet file to write.")
    ]
    json: JsonFile
    plot: Annotated[Path | None, typer.Option(help="PNG or SVG file to draw.")]


@defaults(purchase_covariates=[], dropout_covariates=[])
class Covariates(TypedDict):
    """What is known of customers besides their purchases."""

    purchase_covariates: Annotated[
        list[str],
        typer.Option(
            "--purchase-covariate",
            help="Column that moves how often customers buy, such as channel; pooled:NAME for "
            "groups of which many are small. May be repeated.",
        ),
    ]
    dropout_covariates: Annotated[
        list[str],
        typer.Option(
            "--dropout-covariate",
            help="Column that moves when customers leave; as --purchase-covariate.",
        ),
    ]


@defaults(by=[])
class Divided(TypedDict):
    """What customers are divided by."""

    by: Annotated[
        list[str],
        typer.Option(help="Segment column of 'summarize', or cohort; may be repeated."),
    ]
    segments: Annotated[
        Path | None,
        typer.Option(
            help="Instead, Parquet or CSV of customer_id and one column with everybody's segment."
        ),
    ]


class Money(TypedDict):
    """What purchases bring."""

    margin: Margin
    basket_value: BasketOfPosterior


@defaults(draws=500, paths=500, random_seed=0)
class Simulated(TypedDict):
    """Simulated futures."""

    draws: DrawsUsed
    paths: Annotated[int, typer.Option(help="Simulated futures.")]
    random_seed: Annotated[int, typer.Option("--seed", help="Makes it repeatable.")]


Costs = Annotated[
    list[str],
    typer.Option(
        "--cac",
        help="Cost of acquiring a customer, such as 25, or of a cohort or segment, such as "
        "web=25; may be repeated.",
        metavar="[SEGMENT=]NUMBER",
    ),
]


def _calendar_choice(said: str) -> Any:
    if said in {"auto", "none", "learnt"}:
        return said
    try:
        return float(said)
    except ValueError as error:
        raise typer.BadParameter(
            f"{said!r} must be auto, none, or the sd of the logarithm of the base's level, such "
            "as 0.15"
        ) from error


CalendarOption = Annotated[
    Any,
    typer.Option(
        "--calendar",
        help="Doubt about what moves all customers at once, such as seasons: the sd of the "
        f"logarithm of the base's level. auto assumes {CALENDAR_SD:g}, none leaves it out.",
        parser=_calendar_choice,
        metavar="<auto|none|SD>",
    ),
]
