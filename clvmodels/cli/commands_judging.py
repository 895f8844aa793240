"""The commands that judge: compare, backtest, compare-models and report, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clvmodels.cli.options import (
    MODEL_KEYS,
    BasketOfPosterior,
    BasketValue,
    CalendarOption,
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
    MissingIds,
    OrderId,
    PurchaseModelKey,
    Quiet,
    Refunds,
    Regularity,
    TimeScaler,
    TimeUnit,
    Where,
    WithoutFirstMonth,
    ZeroAmounts,
    model_key,
    regular_key,
)
from clvmodels.purchases import AUTO


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
    """Compare the simple formula with the model, for all customers and by decile."""
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
    regularity: Regularity = None,
    method: Annotated[
        Literal["auto", "nuts", "laplace", "map"], typer.Option(help="As in 'fit'.")
    ] = "auto",
    interval: Interval = 0.9,
    calendar: CalendarOption = "auto",
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
        model=regular_key(model, regularity),
        automatic_regularity=regularity == AUTO,
        method=method,
        interval=interval,
        calendar=calendar,
        draws=draws,
        bootstrap=bootstrap,
        random_seed=seed,
    )


def compare_models(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A log, with --customer-id and --timestamp: Parquet or CSV, a file, a folder of "
            "Parquet files, a pattern. Or a file of 'summarize', with --posterior.",
        ),
    ],
    customer_id: Annotated[
        str | None, typer.Option(help="Column of customer ids of a log.")
    ] = None,
    timestamp: Annotated[str | None, typer.Option(help="Column of its dates.")] = None,
    amount: Annotated[
        str | None,
        typer.Option(help="Column of amounts, which only tell refunds from purchases."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model to fit to the log, also of regular timing, such as mbgcnbd3; may be "
            "repeated. By default all whose timing is random or moderately regular (k = 2).",
            parser=model_key,
            metavar=MODEL_KEYS,
        ),
    ] = None,
    posterior: Annotated[
        list[Path] | None,
        typer.Option(help="File of 'fit' to compare on a table of customers; may be repeated."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="JSON file to write, with the same numbers.")
    ] = None,
    origins: Annotated[
        int | None,
        typer.Option(
            help="Fit and forecast at this many dates in the second half of the log; by default 4."
        ),
    ] = None,
    train_end: Annotated[
        str | None, typer.Option(help="One date to forecast from, instead of --origins.")
    ] = None,
    test_end: Annotated[
        str | None, typer.Option(help="Last date to compare with; by default the log's last.")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option(help="Length to forecast, such as 26W, instead of --test-end.")
    ] = None,
    time_unit: Annotated[
        Literal["h", "D", "W", "M"],
        typer.Option(help="Of a log: purchases within one hour, day, week or month count as one."),
    ] = "D",
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
    method: Annotated[
        Literal["auto", "nuts", "laplace"], typer.Option(help="As in 'fit'; laplace is quick.")
    ] = "laplace",
    interval: Interval = 0.9,
    draws: Annotated[int, typer.Option(help="Posterior draws to use.")] = 500,
    seed: Annotated[int, typer.Option(help="Makes the comparison repeatable.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Compare models of purchases: which describes, and which forecasts, a base better.

    The model against the simple formula is what 'compare' is for.
    """
    from clvmodels.cli.compare_models import run

    run(
        source,
        posteriors=posterior or [],
        models=model or [],
        json=json,
        quiet=quiet,
        horizon=horizon,
        draws=draws,
        columns={
            "customer_id_col": customer_id,
            "datetime_col": timestamp,
            "monetary_value_col": amount,
        },
        origins=origins,
        train_period_end=train_end,
        test_period_end=test_end,
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
        method=method,
        interval=interval,
        random_seed=seed,
    )


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
    calendar: CalendarOption = "auto",
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
        calendar=calendar,
        currency=currency,
        random_seed=seed,
    )
