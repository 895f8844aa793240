"""The commands and their options; the work is done in modules that load on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels import __version__
from clvmodels.cli.commands_judging import backtest, compare, compare_models, report
from clvmodels.cli.options import (
    BasketOfPosterior,
    BasketValue,
    DateFormat,
    Decimal,
    Delimiter,
    Discounting,
    DiscountRate,
    Duplicates,
    Encoding,
    ImplausibleDates,
    Interval,
    Margin,
    MaxRejects,
    MemoryLimit,
    MissingIds,
    OrderId,
    PurchaseModelKey,
    Quiet,
    Refunds,
    Regularity,
    Threads,
    TimeScaler,
    TimeUnit,
    Where,
    WithoutFirstMonth,
    ZeroAmounts,
    regular_key,
)
from clvmodels.purchases import AUTO

app = typer.Typer(
    help=(
        "From a log of transactions to what each customer is worth.\n\n"
        "summarize a log, fit the models, score the customers; demo does all three on real data."
    ),
    no_args_is_help=True,
    add_completion=False,
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
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the files.")] = Path(
        "clvmodels-demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Show the whole way on CDNOW, a real log that comes with the package."""
    from clvmodels.cli.demo import run

    run(out, quiet=quiet)


@app.command()
def summarize(
    log: Annotated[
        str, typer.Argument(help="Parquet or CSV: a file, a folder of Parquet files, a pattern.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    customer_id: Annotated[str, typer.Option(help="Column of customer ids.")],
    timestamp: Annotated[str, typer.Option(help="Column of dates or timestamps.")],
    amount: Annotated[str | None, typer.Option(help="Column of amounts.")] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Column to keep per customer, by its first value; may be repeated."),
    ] = None,
    time_unit: TimeUnit = "D",
    time_scaler: TimeScaler = 1.0,
    observation_end: Annotated[
        str | None,
        typer.Option(
            help="Last date observed, such as 2024-12-31, or 'last whole period'; by default the "
            "last in the log."
        ),
    ] = None,
    refunds: Refunds = "drop",
    order_id: OrderId = None,
    zero_amounts: ZeroAmounts = "keep",
    duplicates: Duplicates = "keep",
    implausible_dates: ImplausibleDates = "error",
    missing_id: MissingIds = None,
    date_format: DateFormat = None,
    decimal: Decimal = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    where: Where = None,
    margin: Margin = None,
    max_rejects: MaxRejects = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Turn a log of transactions into one row per customer, with an audit of every row."""
    from clvmodels.cli.summarize import run

    run(
        log,
        output,
        quiet=quiet,
        customer_id_col=customer_id,
        datetime_col=timestamp,
        monetary_value_col=amount,
        segment_cols=segment or [],
        time_unit=time_unit,
        time_scaler=time_scaler,
        observation_period_end=observation_end,
        refunds=refunds,
        order_id_col=order_id,
        zero_amounts=zero_amounts,
        duplicates=duplicates,
        implausible_dates=implausible_dates,
        missing_ids=missing_id or [],
        date_format=date_format,
        decimal=decimal,
        delimiter=delimiter,
        encoding=encoding,
        where=where,
        margin=margin,
        max_rejects=max_rejects,
        memory_limit=memory_limit,
        threads=threads,
    )


@app.command()
def fit(
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
    seed: Annotated[int | None, typer.Option(help="Makes the fit repeatable.")] = None,
    time_unit: Annotated[
        Literal["h", "D", "W", "M"] | None,
        typer.Option(help="Of a file that does not say; by default days."),
    ] = None,
    time_scaler: Annotated[
        float | None, typer.Option(help="Time units per unit of time: D and 7 are weeks.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Share of revenue that is profit, such as 0.3; by default the file's."),
    ] = None,
    basket_value: BasketValue = None,
    without_first_month: WithoutFirstMonth = False,
    decimal: Decimal = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Fit how often customers buy, when they leave, and what they spend.

    Time unit and scaler are for files that 'summarize' did not write; its own know theirs.
    """
    from clvmodels.cli.fit import run

    run(
        rfm,
        output,
        without_first_month=without_first_month,
        csv={"decimal": decimal, "delimiter": delimiter, "encoding": encoding},
        quiet=quiet,
        model=regular_key(model, regularity),
        automatic_regularity=regularity == AUTO,
        priors=priors,
        time_unit=time_unit,
        time_scaler=time_scaler,
        margin=margin,
        basket_value=basket_value,
        method=method,
        on_failure=on_failure,
        draws=draws,
        tune=tune,
        chains=chains,
        random_seed=seed,
    )


@app.command()
def score(
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
        str, typer.Option(help="365D, 52W, 12M, 2Y, or none for the remaining lifetime.")
    ] = "365D",
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    interval: Interval = 0.9,
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
    customer_id: Annotated[str | None, typer.Option(help="Of a log: column of ids.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="Of a log: column of dates.")] = None,
    amount: Annotated[str | None, typer.Option(help="Of a log: column of amounts.")] = None,
    observation_end: Annotated[
        str | None,
        typer.Option(
            help="Of a log: last date observed, or 'last whole period'; by default the last there."
        ),
    ] = None,
    refunds: Annotated[
        Literal["drop", "net", "net_earlier", "error"],
        typer.Option(help="Of a log: negative amounts."),
    ] = "drop",
    order_id: Annotated[
        str | None, typer.Option(help="Of a log: column of order ids, for --refunds net_earlier.")
    ] = None,
    zero_amounts: Annotated[
        Literal["keep", "drop"], typer.Option(help="Of a log: whether 0 is a purchase.")
    ] = "keep",
    duplicates: Annotated[
        Literal["keep", "drop"], typer.Option(help="Of a log: rows that agree in every column.")
    ] = "keep",
    implausible_dates: ImplausibleDates = "error",
    missing_id: MissingIds = None,
    date_format: DateFormat = None,
    decimal: Decimal = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    where: Where = None,
    time_unit: Annotated[
        Literal["h", "D", "W", "M"] | None,
        typer.Option(help="Of a log, or a file that does not say; by default the posterior's."),
    ] = None,
    time_scaler: Annotated[
        float | None, typer.Option(help="Time units per unit of time, likewise.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="Share of revenue that is profit; by default the input's, else that of the base "
            "that was fitted."
        ),
    ] = None,
    basket_value: BasketOfPosterior = None,
    table: Annotated[str, typer.Option(help="Table of a DuckDB database.")] = "scores",
    max_rejects: MaxRejects = None,
    allow_rejects: Annotated[
        bool,
        typer.Option(
            "--allow-rejects", help="Rows that cannot be scored do not count as a failure."
        ),
    ] = False,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    block_rows: Annotated[
        int, typer.Option(help="Rows scored at once; memory grows with it.")
    ] = 500_000,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Remove what a stopped run left; begin at the start."),
    ] = False,
    engine: Annotated[
        Literal["local", "spark"], typer.Option(help="This machine, or Spark.")
    ] = "local",
    quiet: Quiet = False,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="One JSON record per line on standard error.")
    ] = False,
) -> None:
    """Predict every customer's purchases, spend and value, with intervals.

    A posterior of purchases alone predicts purchases, without columns of money unless
    --basket-value says what each brings. Bases may be
    larger than memory. A run that was stopped goes on when the command is repeated. Rows that
    cannot be scored are written next to the output, with reasons, and the exit code is then 3.
    """
    from clvmodels.cli.score import run

    code = run(
        source,
        posterior,
        output,
        quiet=quiet,
        log_json=log_json,
        engine=engine,
        allow_rejects=allow_rejects,
        basket_value=basket_value,
        horizon=horizon,
        discount_rate=discount_rate,
        discounting=discounting,
        interval=interval,
        intervals=intervals,
        predictive=predictive,
        draws=draws,
        customer_id_col=customer_id,
        datetime_col=timestamp,
        monetary_value_col=amount,
        observation_period_end=observation_end,
        refunds=refunds,
        order_id_col=order_id,
        zero_amounts=zero_amounts,
        duplicates=duplicates,
        implausible_dates=implausible_dates,
        missing_ids=missing_id or [],
        date_format=date_format,
        decimal=decimal,
        delimiter=delimiter,
        encoding=encoding,
        where=where,
        time_unit=time_unit,
        time_scaler=time_scaler,
        margin=margin,
        max_rejects=max_rejects,
        table=table,
        memory_limit=memory_limit,
        threads=threads,
        block_rows=block_rows,
        restart=restart,
    )
    raise typer.Exit(code)


for judging in (compare, backtest, compare_models, report):
    app.command()(judging)
