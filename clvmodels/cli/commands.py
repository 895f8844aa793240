"""The commands and their options; the work is done in modules that load on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels import __version__
from clvmodels.errors import SchemaError
from clvmodels.purchases import MODELS, ModelKey, purchase_model

app = typer.Typer(
    help=(
        "From a log of transactions to what each customer is worth.\n\n"
        "summarize a log, fit the models, score the customers; demo does all three on real data."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _model_key(said: str) -> str:
    """Look a model up when it is asked for: the catalogue may have grown."""
    try:
        return purchase_model(said).key
    except SchemaError as error:
        raise typer.BadParameter(str(error)) from error


PurchaseModelKey = Annotated[
    ModelKey,
    typer.Option(
        help="The model of purchases.", parser=_model_key, metavar=f"<{'|'.join(MODELS)}>"
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
DiscountRate = Annotated[float, typer.Option(help="Effective annual rate.")]
Discounting = Annotated[
    Literal["continuous", "monthly"], typer.Option(help="How money is discounted.")
]
Interval = Annotated[float, typer.Option(help="Probability of the intervals.")]


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
        model=model,
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
    cannot be scored are written beside the output, with reasons, and the exit code is then 3.
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


@app.command()
def compare(
    rfm: Annotated[
        Path, typer.Option(help="File of 'summarize', or Parquet or CSV with RFM columns.")
    ],
    posterior: Annotated[Path, typer.Option(help="File of 'fit'.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for tables and picture.")],
    log: Annotated[
        list[str] | None,
        typer.Option(help="The log of the table, for the gaps between purchases; may be repeated."),
    ] = None,
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
    horizon: Annotated[
        str, typer.Option(help="365D, 52W, 12M, 2Y, or none for the remaining lifetime.")
    ] = "365D",
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    interval: Interval = 0.9,
    draws: Annotated[int, typer.Option(help="Posterior draws to use.")] = 500,
    decimal: Decimal = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Put the simple formula beside the model, for all customers and by decile."""
    from clvmodels.cli.compare import run

    run(
        rfm,
        posterior,
        output,
        log=log or [],
        actual=actual,
        silence=silence,
        basket_value=basket_value,
        csv={"decimal": decimal, "delimiter": delimiter, "encoding": encoding},
        quiet=quiet,
        horizon=horizon,
        discount_rate=discount_rate,
        discounting=discounting,
        interval=interval,
        draws=draws,
    )


@app.command()
def backtest(
    log: Annotated[
        str, typer.Argument(help="Parquet or CSV: a file, a folder of Parquet files, a pattern.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for tables and pictures.")],
    customer_id: Annotated[str, typer.Option(help="Column of customer ids.")],
    timestamp: Annotated[str, typer.Option(help="Column of dates or timestamps.")],
    amount: Annotated[str | None, typer.Option(help="Column of amounts.")] = None,
    train_end: Annotated[
        str | None, typer.Option(help="Last date to learn from; by default the last origin.")
    ] = None,
    test_end: Annotated[
        str | None,
        typer.Option(
            help="Last date to compare with, or 'last whole period'; by default the log's last."
        ),
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Length to predict, such as 26W, instead of --test-end.")
    ] = None,
    origins: Annotated[
        int | None, typer.Option(help="Also cut at this many dates in the second half of the log.")
    ] = None,
    sensitivity: Annotated[
        bool,
        typer.Option(
            "--sensitivity", help="Also repeat the backtest with the data handled in other ways."
        ),
    ] = False,
    time_unit: TimeUnit = "D",
    time_scaler: TimeScaler = 1.0,
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
    without_first_month: WithoutFirstMonth = False,
    margin: Margin = None,
    basket_value: BasketValue = None,
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    model: PurchaseModelKey = "bgnbd",
    method: Annotated[
        Literal["auto", "nuts", "laplace", "map"], typer.Option(help="As in 'fit'.")
    ] = "auto",
    interval: Interval = 0.9,
    draws: Annotated[int, typer.Option(help="Posterior draws to predict with.")] = 500,
    bootstrap: Annotated[
        int, typer.Option(help="Samples of customers for the intervals of the metrics.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Makes the backtest repeatable.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Fit on the past of a log, predict the rest, and compare with simple forecasts."""
    from clvmodels.cli.backtest import run

    run(
        log,
        output,
        quiet=quiet,
        basket_value=basket_value,
        customer_id_col=customer_id,
        datetime_col=timestamp,
        monetary_value_col=amount,
        train_period_end=train_end,
        test_period_end=test_end,
        horizon=horizon,
        origins=origins,
        sensitivity=sensitivity,
        time_unit=time_unit,
        time_scaler=time_scaler,
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
        without_first_month=without_first_month,
        margin=margin,
        discount_rate=discount_rate,
        discounting=discounting,
        model=model,
        method=method,
        interval=interval,
        draws=draws,
        bootstrap=bootstrap,
        random_seed=seed,
    )


@app.command()
def report(
    rfm: Annotated[
        Path, typer.Option(help="File of 'summarize', or Parquet or CSV with RFM columns.")
    ],
    posterior: Annotated[Path, typer.Option(help="File of 'fit'.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    json: Annotated[
        Path | None, typer.Option(help="JSON file to write, with the same numbers.")
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="The log of the table, for the tracking plot; may be repeated."),
    ] = None,
    backtest: Annotated[Path | None, typer.Option(help="Folder of 'backtest'.")] = None,
    basket_value: BasketOfPosterior = None,
    horizon: Annotated[
        str, typer.Option(help="365D, 52W, 12M, 2Y, or none for the remaining lifetime.")
    ] = "365D",
    discount_rate: DiscountRate = 0.10,
    discounting: Discounting = "continuous",
    interval: Interval = 0.9,
    draws: Annotated[int, typer.Option(help="Posterior draws to use.")] = 500,
    currency: Annotated[str, typer.Option(help="Sign or name of the log's money.")] = "",
    seed: Annotated[int, typer.Option(help="Makes the report repeatable.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Print all sections, not only the verdict.")
    ] = False,
    decimal: Decimal = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    quiet: Quiet = False,
) -> None:
    """Judge a fit: can its numbers be used? One HTML page that can be sent and printed."""
    from clvmodels.cli.report import run

    run(
        rfm,
        posterior,
        output,
        json=json,
        log=log or [],
        backtest=backtest,
        full=full,
        basket_value=basket_value,
        csv={"decimal": decimal, "delimiter": delimiter, "encoding": encoding},
        quiet=quiet,
        horizon=horizon,
        discount_rate=discount_rate,
        discounting=discounting,
        interval=interval,
        draws=draws,
        currency=currency,
        random_seed=seed,
    )
