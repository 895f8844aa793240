"""Options of the command line that several commands share."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

import typer

from clvmodels.errors import SchemaError
from clvmodels.limits import CALENDAR_SD
from clvmodels.purchases import (
    AUTO,
    MODELS,
    ModelChoice,
    purchase_model,
    regularities,
    with_regularity,
)
from clvmodels.schema import check_choice


def model_key(said: str) -> str:
    """Look a model up when it is asked for: the catalogue may have grown."""
    return _known(said, tuple(MODELS))


def _model_choice(said: str) -> str:
    return _known(said, (AUTO, *MODELS))


def _known(said: str, keys: tuple[str, ...]) -> str:
    try:
        return check_choice("model", said, keys)
    except SchemaError as error:
        raise typer.BadParameter(str(error)) from error


def regular_key(model: ModelChoice, regularity: str | None) -> ModelChoice:
    """Return the key of a model with the regularity that was asked for, if one was."""
    if regularity is None:
        return model
    if model == AUTO:
        raise SchemaError(
            f"The regularity too is chosen by --model {AUTO}: leave --regularity {regularity} out."
        )
    known = purchase_model(model)
    if regularity == AUTO and len(regularities(known)) > 1:
        return cast("ModelChoice", with_regularity(known, 1).key)
    given: Any = int(regularity) if regularity.isdecimal() else regularity
    if known.regularity not in (1, given):
        raise SchemaError(
            f"Regularity is {known.regularity} in --model {model} and {regularity} in "
            "--regularity: leave one of them out."
        )
    return cast("ModelChoice", with_regularity(known, given).key)


MODEL_KEYS: Final = f"<{'|'.join(k for k, one in MODELS.items() if one.regularity == 1)}>"
PurchaseModelKey = Annotated[
    ModelChoice,
    typer.Option(
        help="The model of purchases; auto fits them all, keeps what describes the base best, or "
        "stacks several, and says why.",
        parser=_model_choice,
        metavar=f"{MODEL_KEYS[:-1]}|{AUTO}>",
    ),
]
_HAVE_REGULARITY = (key for key, one in MODELS.items() if one.irregular == key)
Regularity = Annotated[
    str | None,
    typer.Option(
        help="How regularly customers buy, 1 to 4: 1 is at random, and with more the times between "
        f"purchases are more and more alike; {AUTO} chooses by the base. Of "
        f"{' and '.join(_HAVE_REGULARITY)}.",
        metavar=f"<1|2|3|4|{AUTO}>",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
TimeUnit = Annotated[
    Literal["h", "D", "W", "M"],
    typer.Option(help="Purchases within one hour, day, calendar week or month count as one."),
]
TimeScaler = Annotated[
    float, typer.Option(help="Time units per unit of time: D and 7 count time in weeks.")
]

ImplausibleDates = Annotated[
    Literal["error", "drop", "keep"],
    typer.Option(help="Dates that cannot be right: refuse them, leave them out, or use them."),
]
MissingIds = Annotated[
    list[str] | None,
    typer.Option("--missing-id", help='An id that means "no customer"; may be repeated.'),
]
MaxRejects = Annotated[
    str | None,
    typer.Option(
        help="Fail, and write nothing, if more rows than this cannot be used: a share (1%, 0.01) "
        "or a number."
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(help="Such as 4GB, for reading logs and finding duplicates; spills to disk."),
]
Threads = Annotated[int | None, typer.Option(help="Cores to use; by default all.")]

Refunds = Annotated[
    Literal["drop", "net", "net_earlier", "error"],
    typer.Option(
        help="Negative amounts: leave them out, take them off the purchases of their period "
        "(net), off those and then the latest earlier ones (net_earlier), or refuse them."
    ),
]
OrderId = Annotated[
    str | None,
    typer.Option(
        help="Column of order ids: --refunds net_earlier takes a refund off its own order first."
    ),
]
ZeroAmounts = Annotated[
    Literal["keep", "drop"], typer.Option(help="Whether an amount of 0 is a purchase.")
]
Duplicates = Annotated[
    Literal["keep", "drop"], typer.Option(help="Rows that agree in every column.")
]
DateFormat = Annotated[
    str | None,
    typer.Option(
        help="How dates of a log are written: dmy, mdy, ymd, a format such as %d.%m.%Y, or s, ms, "
        "us, ns since 1970; by default what fits all rows."
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(help="Decimal sign of numbers, '.' or ','; by default what fits all rows."),
]
Delimiter = Annotated[
    str | None, typer.Option(help="Of CSV files, such as ';' or tab; by default as they show.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Of CSV files, such as latin-1, cp1252 or utf-16.")
]
Where = Annotated[
    str | None,
    typer.Option(help="Rows of a log to use, such as \"status = 'paid'\"."),
]
WithoutFirstMonth = Annotated[
    bool,
    typer.Option(
        "--without-first-month",
        help="Leave out customers of the log's first month, who are old customers if the log "
        "begins in the middle of business.",
    ),
]
Margin = Annotated[float | None, typer.Option(help="Share of revenue that is profit, such as 0.3.")]
BasketValue = Annotated[
    float | None,
    typer.Option(
        help="Value of every purchase, such as 25, instead of a model of spend: amounts are not "
        "needed, and not read."
    ),
]
BasketOfPosterior = Annotated[
    float | None,
    typer.Option(help="Value of every purchase, such as 25, for a posterior of purchases alone."),
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
DiscountRate = Annotated[float, typer.Option(help="Effective annual rate.")]
Discounting = Annotated[
    Literal["continuous", "monthly"], typer.Option(help="How money is discounted.")
]
Interval = Annotated[float, typer.Option(help="Probability of the intervals.")]
