"""The commands that judge and show: from compare to report and explore, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels.cli.groups import (
    Ahead,
    CalendarOption,
    Costs,
    Covariates,
    Divided,
    Fitted,
    Money,
    OwnMargins,
    Pictured,
    Simulated,
    States,
)
from clvmodels.cli.options import (
    MODEL_KEYS,
    AgeCurve,
    Base,
    BasketOfPosterior,
    BasketValue,
    Clock,
    Csv,
    Discounting,
    DiscountRate,
    DrawsUsed,
    FirstOrder,
    Interval,
    JsonFile,
    LogColumns,
    LogFiles,
    Margin,
    MaybeLogColumns,
    Origins,
    PosteriorFile,
    PurchaseModelKey,
    Quiet,
    Regularity,
    Rows,
    Unit,
    Where,
    WithoutFirstMonth,
    declared,
    model_key,
)


@declared
def compare(
    *,
    rfm: Base,
    posterior: PosteriorFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for tables and picture.")],
    log: Annotated[
        list[str],
        typer.Option(help="The log of the table, for the gaps between purchases; may be repeated."),
    ] = [],  # noqa: B006
    actual: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or CSV of customer_id and what each customer spent within the horizon."
        ),
    ] = None,
    silence: Annotated[
        float | None,
        typer.Option(help="Days without a purchase after which a customer counts as lost."),
    ] = None,
    basket_value: BasketOfPosterior = None,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Compare the simple formula with the model, for all customers and by decile."""


@declared
def backtest(
    *,
    log: LogFiles,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for tables and pictures.")],
    columns: LogColumns,
    train_period_end: Annotated[
        str | None,
        typer.Option("--train-end", help="Last date to learn from; by default the last origin."),
    ] = None,
    test_period_end: Annotated[
        str | None,
        typer.Option(
            "--test-end",
            help="Last date to compare with, or 'last whole period'; by default the log's last.",
        ),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Length to predict, such as 26W, instead of --test-end.")
    ] = None,
    origins: Origins = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Also repeat the backtest with the data handled in other ways."
        ),
    ] = False,
    unit: Unit,
    rows: Rows,
    csv: Csv,
    where: Where = None,
    without_first_month: WithoutFirstMonth = False,
    margin: Margin = None,
    basket_value: BasketValue = None,
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    model: PurchaseModelKey = "bgnbd",
    regularity: Regularity = None,
    clock: Clock = False,
    age_curve: AgeCurve = False,
    covariates: Covariates,
    first_order: FirstOrder = "exclude",
    method: Annotated[
        Literal["auto", "nuts", "laplace", "map"], typer.Option(help="As in 'fit'.")
    ] = "auto",
    interval: Interval = 0.9,
    calendar: CalendarOption = "auto",
    draws: Annotated[int, typer.Option(help="Posterior draws to predict with.")] = 500,
    bootstrap: Annotated[
        int, typer.Option(help="Samples of customers for the intervals of the metrics.")
    ] = 1000,
    random_seed: Annotated[int, typer.Option("--seed", help="Makes the backtest repeatable.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Fit on the past of a log, predict the rest, and compare with simple forecasts."""


@declared
def compare_models(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A log, with --customer-id and --timestamp: Parquet or CSV, a file, a folder of "
            "Parquet files, a pattern. Or a file of 'summarize', with --posterior.",
        ),
    ],
    columns: Annotated[
        MaybeLogColumns,
        {
            "customer_id_col": "Column of customer ids of a log.",
            "datetime_col": "Column of its dates.",
            "monetary_value_col": "Column of amounts, which only tell refunds from purchases.",
        },
    ],
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            help="A model to fit to the log, also of regular timing, such as mbgcnbd3; may be "
            "repeated. By default all whose timing is random or moderately regular (k = 2).",
            parser=model_key,
            metavar=MODEL_KEYS,
        ),
    ] = [],  # noqa: B006
    posteriors: Annotated[
        list[Path],
        typer.Option(
            "--posterior",
            help="File of 'fit' to compare on a table of customers; may be repeated.",
        ),
    ] = [],  # noqa: B006
    json: JsonFile = None,
    origins: Annotated[
        int | None,
        typer.Option(
            help="Fit and forecast at this many dates in the second half of the log; by default 4."
        ),
    ] = None,
    train_period_end: Annotated[
        str | None,
        typer.Option("--train-end", help="One date to forecast from, instead of --origins."),
    ] = None,
    test_period_end: Annotated[
        str | None,
        typer.Option("--test-end", help="Last date to compare with; by default the log's last."),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Length to forecast, such as 26W, instead of --test-end.")
    ] = None,
    unit: Annotated[
        Unit,
        {"time_unit": "Of a log: purchases within one hour, day, week or month count as one."},
    ],
    rows: Rows,
    csv: Csv,
    where: Where = None,
    without_first_month: WithoutFirstMonth = False,
    method: Annotated[
        Literal["auto", "nuts", "laplace"], typer.Option(help="As in 'fit'; laplace is quick.")
    ] = "laplace",
    interval: Interval = 0.9,
    draws: DrawsUsed = 500,
    random_seed: Annotated[
        int, typer.Option("--seed", help="Makes the comparison repeatable.")
    ] = 0,
    quiet: Quiet = False,
) -> None:
    """Compare models of purchases: which describes, and which forecasts, a base better.

    The model against the simple formula is what 'compare' is for.
    """


@declared
def report(
    *,
    rfm: Base,
    posterior: PosteriorFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    json: JsonFile = None,
    log: Annotated[
        list[str],
        typer.Option(help="The log of the table, for the tracking plot; may be repeated."),
    ] = [],  # noqa: B006
    backtest: Annotated[Path | None, typer.Option(help="Folder of 'backtest'.")] = None,
    basket_value: BasketOfPosterior = None,
    ahead: Ahead,
    calendar: CalendarOption = "auto",
    margin: Margin = None,
    cac: Annotated[
        float | None, typer.Option(help="What winning a new customer costs: does it pay?")
    ] = None,
    currency: Annotated[str, typer.Option(help="Sign or name of the log's money.")] = "",
    reader: Annotated[
        Literal["both", "manager", "analyst"],
        typer.Option("--for", help="Whose part the page has: both, the analyst's folded."),
    ] = "both",
    random_seed: Annotated[int, typer.Option("--seed", help="Makes the report repeatable.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Print all sections, not only the verdict.")
    ] = False,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Judge a fit: can its numbers be used? One HTML page that can be sent and printed."""


@declared
def customers(
    *,
    rfm: Base,
    posterior: PosteriorFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="CSV (also .csv.gz), Parquet or XLSX to write.")
    ],
    states: States,
    margin: Margin = None,
    own: OwnMargins,
    basket_value: BasketOfPosterior = None,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """List every customer with value, state, next order and what to do, for a spreadsheet.

    A sheet of XLSX (the extra 'excel') holds a million customers and explains its columns. In CSV
    and XLSX no cell is a formula, whatever the log says.
    """


@declared
def cohorts(
    *,
    fitted: Fitted,
    log: Annotated[
        str, typer.Option(help="The log of the table: a file, a folder of Parquet, a pattern.")
    ],
    results: Pictured,
    cohort: Annotated[
        Literal["M", "Q", "Y", "none"],
        typer.Option(help="Month, quarter or year of the first purchase; none: all together."),
    ] = "M",
    division: Annotated[Divided, {"by": "Segment column of 'summarize'; may be repeated."}],
    months: Annotated[int, typer.Option(help="How far the curves go from the first order.")] = 24,
    cac: Costs = [],  # noqa: B006
    discount_rate: Annotated[float, typer.Option(help="Effective annual rate.")] = 0.0,
    calendar: CalendarOption = "auto",
    money: Money,
    interval: Interval = 0.9,
    simulation: Simulated,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Show what cohorts have brought by months since the first order, and will bring.

    Value per customer with its interval, and with --cac the month in which it is paid back.
    """


@declared
def explore(
    *,
    rfm: Base,
    posterior: PosteriorFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    log: Annotated[
        list[str],
        typer.Option(help="The log of the table, for every order of a customer; may be repeated."),
    ] = [],  # noqa: B006
    ids: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or CSV with customer_id: show these customers, and not those of the next "
            "three."
        ),
    ] = None,
    most_valuable: Annotated[int, typer.Option(help="Customers to show, by value.")] = 1000,
    at_risk: Annotated[
        int, typer.Option(help="Others to show who are slowing or overdue, by value.")
    ] = 500,
    sample: Annotated[int, typer.Option(help="Others to show, at random.")] = 500,
    states: States,
    margin: Margin = None,
    basket_value: BasketOfPosterior = None,
    currency: Annotated[str, typer.Option(help="Sign or name of the log's money.")] = "",
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    ahead: Ahead,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Make a page to look customers up in: one HTML file that loads nothing.

    Sums are of all customers; the page shows those who matter one by one, with their orders,
    P(alive), next order and value, and filters, sorts and exports them. It holds their ids.
    """
