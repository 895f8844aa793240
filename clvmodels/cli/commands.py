"""The commands and their options; what they do stands in modules that load on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from clvmodels import __version__
from clvmodels.cli.commands_deciding import (
    acquisition,
    actions,
    concentration,
    contributions,
    segments,
    tiers,
    valuation,
)
from clvmodels.cli.commands_judging import (
    backtest,
    cohorts,
    compare,
    compare_models,
    customers,
    explore,
    report,
)
from clvmodels.cli.commands_nightly import run_of, steps_of
from clvmodels.cli.commands_service import sql, track
from clvmodels.cli.groups import (
    CalendarOption,
    Covariates,
    Divided,
    Fitted,
    Money,
    OwnMargins,
    Results,
    Simulated,
)
from clvmodels.cli.options import (
    AgeCurve,
    BasketOfPosterior,
    BasketValue,
    Clock,
    Csv,
    FirstOrder,
    Horizons,
    LogColumns,
    LogFiles,
    LogJson,
    Machine,
    Margin,
    MaxRejects,
    MaybeLogColumns,
    MaybeUnit,
    PurchaseModelKey,
    Quiet,
    Regularity,
    Rows,
    Terms,
    Unit,
    Where,
    WithoutFirstMonth,
    declared,
)

app = typer.Typer(
    help=(
        "From a log of transactions to what each customer is worth.\n\n"
        "summarize a log, fit the models, score the customers; run does all three, and demo shows "
        "them on real data."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"clvmodels {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


@app.command()
@declared
def demo(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path(
        "clvmodels-demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Show the whole way on CDNOW, a real log that comes with the package."""


@app.command()
@declared
def summarize(
    *,
    log: LogFiles,
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    columns: LogColumns,
    segment_cols: Annotated[
        list[str],
        typer.Option("--segment", help="Column to keep, one value a customer; may be repeated."),
    ] = [],  # noqa: B006
    unit: Unit,
    observation_period_end: Annotated[
        str | None,
        typer.Option(
            "--observation-end",
            help="Last date observed, such as 2024-12-31, or 'last whole period'; by default the "
            "last in the log.",
        ),
    ] = None,
    day_pairs: Annotated[
        bool,
        typer.Option(
            "--day-pairs",
            help="Count purchases by day and next day too, which 'fit --clock' learns from; takes "
            "half as long again or more.",
        ),
    ] = False,
    rows: Rows,
    csv: Csv,
    where: Where = None,
    margin: Margin = None,
    margin_col: Annotated[
        str | None,
        typer.Option(
            help="Instead, column of what is left of each amount after its own costs: everybody "
            "gets the margin of their orders, shrunk to the base, as the column 'margin'."
        ),
    ] = None,
    max_rejects: MaxRejects = None,
    machine: Machine,
    quiet: Quiet = False,
) -> None:
    """Turn a log of transactions into one row per customer, with an audit of every row."""


@app.command()
@declared
def fit(
    *,
    rfm: Annotated[
        Path, typer.Argument(help="File of 'summarize', or Parquet or CSV with RFM columns.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="NetCDF file to write.")],
    method: Annotated[
        Literal["auto", "nuts", "laplace", "map"],
        typer.Option(
            help="auto takes the fast Laplace approximation where its checks pass, else nuts; "
            "map is the most likely point, without uncertainty."
        ),
    ] = "auto",
    model: PurchaseModelKey = "bgnbd",
    regularity: Regularity = None,
    clock: Clock = False,
    age_curve: AgeCurve = False,
    covariates: Covariates,
    priors: Annotated[
        Literal["default", "pymc-marketing"], typer.Option(help="Which priors.")
    ] = "default",
    on_failure: Annotated[
        Literal["nuts", "raise", "warn"],
        typer.Option(help="A fit that fails its checks: go on to nuts, stop, or only warn."),
    ] = "nuts",
    draws: Annotated[int, typer.Option(help="Draws to keep, per chain.")] = 1000,
    tune: Annotated[int | None, typer.Option(help="Warm-up draws of nuts, per chain.")] = None,
    chains: Annotated[int, typer.Option(help="Chains.")] = 4,
    random_seed: Annotated[
        int | None, typer.Option("--seed", help="Makes the fit repeatable.")
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(
            help="Posterior of an earlier night: the same answer, a little sooner, where it is of "
            "the same model."
        ),
    ] = None,
    unit: MaybeUnit,
    margin: Annotated[
        float | None,
        typer.Option(help="Share of revenue that is profit, such as 0.3; by default the file's."),
    ] = None,
    basket_value: BasketValue = None,
    first_order: FirstOrder = "exclude",
    without_first_month: WithoutFirstMonth = False,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Fit how often customers buy, when they leave, and what they spend.

    Time unit and scaler are for files that 'summarize' did not write; its own know theirs.
    """


@app.command()
@declared
def score(
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="File of 'summarize', a folder or pattern of such files, or Parquet or CSV with "
            "RFM columns; or a log, with --customer-id, --timestamp and --amount.",
        ),
    ],
    posterior: Annotated[
        Path, typer.Option(help="File of 'fit'. One of purchases alone needs no amounts.")
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="Parquet, CSV (also .csv.gz) or DuckDB database (.duckdb, .db) to write; without "
            "suffix a folder of Parquet files.",
        ),
    ],
    horizon: Annotated[
        list[str],
        typer.Option(
            help="365D, 52W, 12M, 2Y, or none for the remaining lifetime; repeated, each has "
            "columns of its own."
        ),
    ] = ["365D"],  # noqa: B006
    terms: Terms,
    intervals: Annotated[
        Literal["clv", "all"],
        typer.Option(
            help="Intervals of the value only (without spend: of the purchases), or also of "
            "P(alive), purchases and spend."
        ),
    ] = "clv",
    predictive: Annotated[
        bool,
        typer.Option(
            "--predictive", help="Add intervals of what customers will really buy and spend."
        ),
    ] = False,
    draws: Annotated[int, typer.Option(help="Posterior draws to use, evenly spaced.")] = 500,
    columns: MaybeLogColumns,
    observation_period_end: Annotated[
        str | None,
        typer.Option(
            "--observation-end",
            help="Of a log: last date observed, or 'last whole period'; by default the last there.",
        ),
    ] = None,
    rows: Annotated[
        Rows,
        {
            "refunds": "Of a log: negative amounts.",
            "order_id_col": "Of a log: column of order ids, for --refunds net_earlier.",
            "zero_amounts": "Of a log: whether 0 is a purchase.",
            "duplicates": "Of a log: rows that agree in every column.",
        },
    ],
    csv: Csv,
    where: Where = None,
    unit: Annotated[
        MaybeUnit,
        {
            "time_unit": "Of a log, or a file that does not say; by default the posterior's.",
            "time_scaler": "Time units per unit of time, likewise.",
        },
    ],
    margin: Annotated[
        float | None,
        typer.Option(
            help="Share of revenue that is profit; by default the input's, else that of the base "
            "that was fitted."
        ),
    ] = None,
    own: OwnMargins,
    basket_value: BasketOfPosterior = None,
    table: Annotated[str, typer.Option(help="Table of a DuckDB database.")] = "scores",
    max_rejects: MaxRejects = None,
    allow_rejects: Annotated[
        bool,
        typer.Option(
            "--allow-rejects", help="Rows that cannot be scored do not count as a failure."
        ),
    ] = False,
    machine: Machine,
    block_rows: Annotated[
        int | None,
        typer.Option(
            help="Rows scored at once; memory grows with it. By default 500,000, or 2,500,000 of "
            "ten strata or more."
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Remove what a stopped run left; begin at the start."),
    ] = False,
    engine: Annotated[
        Literal["local", "spark"], typer.Option(help="This machine, or Spark.")
    ] = "local",
    quiet: Quiet = False,
    log_json: LogJson = False,
) -> None:
    """Predict every customer's purchases, spend and value, with intervals.

    A posterior of purchases alone predicts purchases, without columns of money unless
    --basket-value says what each brings. Bases may be
    larger than memory. A run that was stopped goes on when the command is repeated. Rows that
    cannot be scored are written next to the output, with reasons, and the exit code is then 3.
    """


@app.command()
@declared
def forecast_total(
    *,
    fitted: Fitted,
    results: Results,
    horizon: Horizons = ["365D"],  # noqa: B006
    path: Annotated[
        Literal["M"] | None, typer.Option(help="M: a row for each calendar month of the horizon.")
    ] = None,
    division: Divided,
    calendar: CalendarOption = "auto",
    scenario: Annotated[
        list[str],
        typer.Option(
            help="A period and what it multiplies purchases by, such as 2024-12=1.2 for a "
            "campaign or 2024-08=0 for a closed month; may be repeated. By a posterior's clock "
            "also 'as last year' or 'no season'.",
            metavar="PERIOD=FACTOR",
        ),
    ] = [],  # noqa: B006
    money: Money,
    terms: Terms,
    simulation: Simulated,
    csv: Csv,
    quiet: Quiet = False,
) -> None:
    """Forecast totals of a base to plan with: parameters, chance and the calendar."""


STEPS: Final = steps_of(summarize=summarize, fit=fit, score=score)
run = run_of(STEPS)

for judging in (run, compare, backtest, compare_models, report, explore, customers, cohorts):
    app.command()(judging)
for deciding in (acquisition, segments, tiers, actions, concentration, valuation, contributions):
    app.command()(deciding)
for serving in (sql, track):
    app.command()(serving)
