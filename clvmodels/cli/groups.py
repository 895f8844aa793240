"""Options of commands about customers who were fitted, in the groups in which they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from clvmodels.cli.options import (
    Base,
    BasketOfPosterior,
    DrawsUsed,
    Horizon,
    JsonFile,
    Margin,
    PosteriorFile,
    Terms,
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


@defaults(purchase_covariates=[], dropout_covariates=[], spend_covariates=[])
class Covariates(TypedDict):
    """What is known of customers besides their purchases."""

    purchase_covariates: Annotated[
        list[str],
        typer.Option(
            "--purchase-covariate",
            help="Column that moves how often customers buy, such as channel; pooled:NAME for "
            "groups of which many are small, ordered:NAME where each is near the one before it, "
            "numeric:NAME and log:NAME for numbers in a CSV file, categories:NAME for numbers that "
            "are names. May be repeated.",
        ),
    ]
    dropout_covariates: Annotated[
        list[str],
        typer.Option(
            "--dropout-covariate",
            help="Column that moves when customers leave; as --purchase-covariate.",
        ),
    ]
    spend_covariates: Annotated[
        list[str],
        typer.Option(
            "--spend-covariate",
            help="Column that moves what customers spend; as --purchase-covariate.",
        ),
    ]


class _Horizon(TypedDict):
    horizon: Horizon


@defaults(horizon="365D", draws=500)
class Ahead(_Horizon, Terms):
    """How far to look ahead, on which terms, and by how many draws."""

    draws: DrawsUsed


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


@defaults(cost_per_order=0.0, cost_per_year=0.0, cost_per_active_year=0.0)
class UnitCosts(TypedDict):
    """What customers cost besides."""

    cost_per_order: Annotated[
        float, typer.Option(help="What each order costs besides, such as postage.")
    ]
    cost_per_year: Annotated[
        float,
        typer.Option(
            help="What a customer costs a year, whether or not they still buy, such as catalogues."
        ),
    ]
    cost_per_active_year: Annotated[
        float, typer.Option(help="What serving a customer costs a year, for as long as they stay.")
    ]


class OwnMargins(UnitCosts):
    """What is left of revenue, where that is more than one share for all."""

    own_margins: Annotated[
        str | None,
        typer.Option(
            help="Column of the table with everybody's own margin: 'margin' of 'summarize "
            "--margin-col'. --margin is then that of customers yet to come."
        ),
    ]


def with_costs(options: dict[str, Any]) -> dict[str, Any]:
    """Options in which margin, own margins and costs are one, as the library takes them.

    Raises
    ------
    DomainError
        A margin or a cost is out of its range.
    """
    column, share = options.pop("own_margins", None), options.pop("margin", None)
    costs = {name: options.pop(name) for name in UnitCosts.__annotations__}
    if column is None and not any(costs.values()):
        return {**options, "margin": share}
    from clvmodels.margin import ContributionMargin

    return {**options, "margin": ContributionMargin(share=share, column=column, **costs)}


@defaults(draws=500, paths=500, random_seed=0)
class Simulated(TypedDict):
    """Simulated futures."""

    draws: DrawsUsed
    paths: Annotated[int, typer.Option(help="Simulated futures.")]
    random_seed: Annotated[int, typer.Option("--seed", help="Makes it repeatable.")]


@defaults(attribute=[], new_within="90D", slow=0.75, late=0.9, lost_below=0.1)
class States(TypedDict):
    """What a list says of customers, and where their states begin."""

    attribute: Annotated[
        list[str],
        typer.Option(help="Segment column to keep, by default all; may be repeated."),
    ]
    new_within: Annotated[
        str, typer.Option(help="Time since the only order in which a customer is new.")
    ]
    slow: Annotated[
        float, typer.Option(help="Share of expected times to a next order that makes it slowing.")
    ]
    late: Annotated[float, typer.Option(help="The same of overdue.")]
    lost_below: Annotated[
        float,
        typer.Option(help="Chance of an order within 365 days below which the overdue are lost."),
    ]


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
