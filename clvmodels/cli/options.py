"""Options of the command line that several commands share, and how commands are declared.

An option stands once, with its name, its type, its help and its default. Options that always
come together are a group, a TypedDict; those of a group that may be None are so by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from importlib import import_module
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    TypedDict,
    cast,
    get_args,
    get_type_hints,
    is_typeddict,
)

import typer

from clvmodels.errors import SchemaError
from clvmodels.keywords import defaults, defaults_of
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


def regular_key(model: ModelChoice, regularity: str | None, *, clock: bool = False) -> ModelChoice:
    """Return the key of a model with the regularity that was asked for, if one was."""
    if model == AUTO and clock:
        raise SchemaError(
            f"Models are compared without a clock by --model {AUTO}: name one, such as --model "
            "mbgnbd, or leave --clock out."
        )
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
Clock = Annotated[
    bool,
    typer.Option(
        "--clock",
        help="Learn the week, the season and shocks of the whole base with the model, for totals "
        "to plan with. Takes a model whose customers leave at purchases.",
    ),
]
AgeCurve = Annotated[
    bool,
    typer.Option(
        "--age-curve",
        help="Learn too how the pace of customers changes with the time since their first "
        "purchase, for bases that were acquired within a short window. Has --clock in it.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="One JSON record per line on standard error.")
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
MaxRejects = Annotated[
    str | None,
    typer.Option(
        help="Fail, and write nothing, if more rows than this cannot be used: a share (1%, 0.01) "
        "or a number."
    ),
]
Where = Annotated[
    str | None,
    typer.Option(help="Rows of a log to use, such as \"status = 'paid'\"."),
]
FirstOrder = Annotated[
    Literal["exclude", "include", "covariate"],
    typer.Option(
        help="Whether the amount of the first order counts in what customers spend: those who "
        "bought once then differ. As a covariate, how far it tells later orders is learnt."
    ),
]
WithoutFirstMonth = Annotated[
    bool,
    typer.Option(
        "--without-first-month",
        help="Leave out customers of the log's first month, who are old customers if the log "
        "begins in the middle of business.",
    ),
]
LogFiles = Annotated[
    str, typer.Argument(help="Parquet or CSV: a file, a folder of Parquet files, a pattern.")
]
Base = Annotated[Path, typer.Option(help="File of 'summarize', or Parquet or CSV of RFM columns.")]
PosteriorFile = Annotated[Path, typer.Option(help="File of 'fit'.")]
JsonFile = Annotated[Path | None, typer.Option(help="JSON file to write, with the same numbers.")]
Horizon = Annotated[
    str, typer.Option(help="365D, 52W, 12M, 2Y, or none for the remaining lifetime.")
]
Horizons = Annotated[list[str], typer.Option(help="365D, 52W, 12M or 2Y; may be repeated.")]
DrawsUsed = Annotated[int, typer.Option(help="Posterior draws to use.")]
DiscountRate = Annotated[float, typer.Option(help="Effective annual rate.")]
Discounting = Annotated[
    Literal["continuous", "monthly"], typer.Option(help="How money is discounted.")
]
Interval = Annotated[float, typer.Option(help="Probability of the intervals.")]


class LogColumns(TypedDict):
    """Columns of a log."""

    customer_id_col: Annotated[str, typer.Option("--customer-id", help="Column of customer ids.")]
    datetime_col: Annotated[str, typer.Option("--timestamp", help="Column of dates or timestamps.")]
    monetary_value_col: Annotated[str | None, typer.Option("--amount", help="Column of amounts.")]


class MaybeLogColumns(TypedDict):
    """The same where the input need not be a log."""

    customer_id_col: Annotated[
        str | None, typer.Option("--customer-id", help="Of a log: column of ids.")
    ]
    datetime_col: Annotated[
        str | None, typer.Option("--timestamp", help="Of a log: column of dates.")
    ]
    monetary_value_col: Annotated[
        str | None, typer.Option("--amount", help="Of a log: column of amounts.")
    ]


@defaults(time_unit="D", time_scaler=1.0)
class Unit(TypedDict):
    """The unit of time."""

    time_unit: Annotated[
        Literal["h", "D", "W", "M"],
        typer.Option(help="Purchases within one hour, day, calendar week or month count as one."),
    ]
    time_scaler: Annotated[
        float, typer.Option(help="Time units per unit of time: D and 7 count time in weeks.")
    ]


class MaybeUnit(TypedDict):
    """The same where it may be known already."""

    time_unit: Annotated[
        Literal["h", "D", "W", "M"] | None,
        typer.Option(help="Of a file that does not say; by default days."),
    ]
    time_scaler: Annotated[
        float | None, typer.Option(help="Time units per unit of time: D and 7 are weeks.")
    ]


@defaults(
    refunds="drop",
    zero_amounts="keep",
    duplicates="keep",
    implausible_dates="error",
    missing_ids=[],
    varying_segments="first",
    rates=[],
)
class Rows(TypedDict):
    """What becomes of the rows of a log."""

    refunds: Annotated[
        Literal["drop", "net", "net_earlier", "error"],
        typer.Option(
            help="Negative amounts: leave them out, take them off the purchases of their period "
            "(net), off those and then the latest earlier ones (net_earlier), or refuse them."
        ),
    ]
    order_id_col: Annotated[
        str | None,
        typer.Option(
            "--order-id",
            help="Column of order ids: --refunds net_earlier takes a refund off its own order "
            "first.",
        ),
    ]
    zero_amounts: Annotated[
        Literal["keep", "drop"], typer.Option(help="Whether an amount of 0 is a purchase.")
    ]
    duplicates: Annotated[
        Literal["keep", "drop"], typer.Option(help="Rows that agree in every column.")
    ]
    implausible_dates: Annotated[
        Literal["error", "drop", "keep"],
        typer.Option(help="Dates that cannot be right: refuse them, leave them out, or use them."),
    ]
    missing_ids: Annotated[
        list[str],
        typer.Option("--missing-id", help='An id that means "no customer"; may be repeated.'),
    ]
    varying_segments: Annotated[
        Literal["first", "last", "error"],
        typer.Option(
            help="A segment column or covariate that varies within a customer: keep the first "
            "value in time, or the last, or refuse it."
        ),
    ]
    date_format: Annotated[
        str | None,
        typer.Option(
            help="How dates of a log are written: dmy, mdy, ymd, a format such as %d.%m.%Y, or s, "
            "ms, us, ns since 1970; by default what fits all rows."
        ),
    ]
    currency_col: Annotated[
        str | None, typer.Option(help="Column of a log with the currency of each amount.")
    ]
    rates: Annotated[
        list[str],
        typer.Option(
            "--rate",
            help="What one unit of a currency is worth in that of all sums, such as USD=0.92; may "
            "be repeated.",
            metavar="CURRENCY=NUMBER",
        ),
    ]


class Csv(TypedDict):
    """How CSV files are written."""

    decimal: Annotated[
        str | None,
        typer.Option(help="Decimal sign of numbers, '.' or ','; by default what fits all rows."),
    ]
    delimiter: Annotated[
        str | None, typer.Option(help="Of CSV files, such as ';' or tab; by default as they show.")
    ]
    encoding: Annotated[
        str | None, typer.Option(help="Of CSV files, such as latin-1, cp1252 or utf-16.")
    ]


class Machine(TypedDict):
    """What a run may use of the machine."""

    memory_limit: Annotated[
        str | None,
        typer.Option(help="Such as 4GB, for reading logs and finding duplicates; spills to disk."),
    ]
    threads: Annotated[int | None, typer.Option(help="Cores to use; by default all.")]


@defaults(discount_rate=0.10, discounting="continuous", interval=0.9)
class Terms(TypedDict):
    """How money is discounted, and how sure an interval is."""

    discount_rate: DiscountRate
    discounting: Discounting
    interval: Interval


def _origins(said: str) -> Any:
    if said == "auto":
        return said
    try:
        return int(said)
    except ValueError as error:
        raise typer.BadParameter(f"{said!r} must be a whole number, or auto") from error


Origins = Annotated[
    Any,
    typer.Option(
        "--origins",
        help="Also cut at this many dates in the second half of the log, each with a fit of its "
        "own; auto is up to 4, and what there is without --train-end.",
        parser=_origins,
        metavar="<auto|NUMBER>",
    ),
]


def declared(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command of its declaration: what it does is ``run`` of the module of its name.

    That module is imported when the command runs, so that help comes at once. A parameter that
    is a group stands for its options, at its place; ``run`` gets them one by one, or as a
    mapping where it has a parameter of the group's name. Annotated with a dict, options of
    the group have other helps in this command.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[str, ...]] = {}
    shown: list[Parameter] = []
    for name, one in signature(command).parameters.items():
        kind, *helps = get_args(hints[name]) or (hints[name],)
        if not is_typeddict(kind):
            shown.append(one.replace(annotation=hints[name]))
            continue
        options = list(_options(kind, *helps))
        groups[name] = tuple(option.name for option in options)
        shown += options

    def call(**given: Any) -> None:
        import_module("clvmodels.cli.mistaken").refuse_mistaken(given)
        run = import_module(f"clvmodels.cli.{command.__name__}").run
        for name in groups.keys() & signature(run).parameters.keys():
            given[name] = {option: given.pop(option) for option in groups[name]}
        if code := run(**given):
            raise typer.Exit(code)

    call.__doc__ = command.__doc__
    return dressed(call, command.__name__, shown)


def dressed(call: Callable[..., None], name: str, shown: list[Parameter]) -> Callable[..., None]:
    """Give a function the name and the options that typer shall see."""
    call.__name__ = name
    call.__annotations__ = {one.name: one.annotation for one in shown}
    setattr(call, "__signature__", Signature(shown))  # noqa: B010
    return call


def _options(group: Any, helps: dict[str, str] | None = None) -> Iterator[Parameter]:
    known = defaults_of(group)
    for name, hint in get_type_hints(group, include_extras=True).items():
        kind, said = get_args(hint)
        if name in (helps or {}):
            said = copy(said)
            said.help = (helps or {})[name]
        default = known.get(name, None if type(None) in get_args(kind) else Parameter.empty)
        yield Parameter(
            name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, said]
        )
