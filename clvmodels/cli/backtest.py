"""``clvmodels backtest``: fit on the past of a log, predict the rest, compare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import check_folder, check_output, write_aside
from clvmodels.cli.fit import check_amounts, clock_of_options, with_covariates
from clvmodels.cli.options import regular_key
from clvmodels.cli.reports import show_next
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, signed, table
from clvmodels.cli.totals_by_date import show_totals
from clvmodels.cli.wording import in_options
from clvmodels.display import many
from clvmodels.purchases import AUTO, ModelChoice
from clvmodels.verdict import WORDS, figure_text

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation import Backtest
    from clvmodels.rfm.spent import FirstOrder
    from clvmodels.verdict import Check

PICTURES: Final = ("tracking.png", "calibration.png", "baselines.png")
FILES: Final = ("metrics.parquet", "metrics.json", "customers.parquet", *PICTURES)
_SHORT: Final = {
    "simple": "simple\nformula",
    "simple_per_customer": "own\nfigures",
    "last_period": "last\nperiod",
    "cohort": "cohort\naverage",
    "point": "point\nestimate",
    "without_covariates": "without\ncovariates",
}
_TITLES: Final = {"purchases": "Purchases per customer", "value": "Discounted value per customer"}


def run(
    log: str,
    output: Path,
    *,
    quiet: bool,
    horizon: str | None,
    basket_value: float | None,
    model: ModelChoice,
    regularity: str | None,
    clock: bool,
    age_curve: bool,
    first_order: FirstOrder,
    covariates: Mapping[str, Sequence[str]],
    **options: Any,
) -> None:
    """Backtest, print and write to a folder; options are those of `clvmodels.backtest`."""
    check_amounts(first_order, basket_value, covariates["spend_covariates"])
    timed = clock_of_options(clock=clock, age_curve=age_curve)
    options["model"] = key = regular_key(model, regularity, clock=timed is not None)
    check_folder(output)
    options["horizon"] = None if horizon is None else read_horizon(horizon)
    paths = [check_output(output / name, inputs=[log]) for name in FILES]
    terminal = Terminal(quiet=quiet)
    from clvmodels.evaluation import backtest

    counts, by = first_order != "exclude", any(covariates.values())
    if basket_value is not None or regularity == AUTO or timed is not None or counts or by:
        from clvmodels.fit import CLVModel

        asked = CLVModel(key)
        if by:
            asked = with_covariates(asked, *covariates.values())
        if regularity == AUTO:
            asked = asked.replace(purchases__regularity=AUTO)
        if timed is not None:
            asked = asked.replace(purchases__clock=timed)
        if counts:
            asked = asked.replace(spend__first_order=first_order)
        options["model"] = asked if basket_value is None else asked.replace(spend=basket_value)
    found = backtest(log, progressbar=terminal.watched, **options)
    with terminal.step("Writing files and pictures"):
        found.save(output)
        _draw(found, output)
    if quiet:
        return
    show(terminal, found)
    terminal.say()
    meanings = (
        "every metric of every forecast",
        "the same, with settings and checks",
        "forecast and truth of every customer",
        "expected and real purchases by week",
        "how well expectations and intervals hold",
        "the model and the baselines",
    )
    for path, meaning in zip(paths, meanings, strict=True):
        terminal.wrote(path, meaning)
    files = f"--rfm rfm.parquet --posterior posterior.nc --backtest {quote(str(output))}"
    terminal.follow(f"clvmodels report {files} -o report.html")


def show(terminal: Terminal, found: Backtest) -> None:
    """Print a backtest."""
    _say_split(terminal, found)
    for target in found.targets:
        _show_metrics(terminal, found, target)
    _explain(terminal)
    _show_intervals(terminal, found)
    if found.next_purchases is not None:
        show_next(terminal, found.next_purchases, found.settings["interval"])
    if found.rolling is not None:
        _show_rolling(terminal, found.rolling)
    if found.sensitivity is not None:
        _show_sensitivity(terminal, found.sensitivity)
    _show_verdict(terminal, found)


def _say_split(terminal: Terminal, found: Backtest) -> None:
    s = found.settings
    terminal.heading(f"{many(len(found), 'customer')}, as if today were {found.train_end}")
    new = s["new_customers"]
    terminal.say(
        f"The model was fitted to the log up to {found.train_end} and predicted the "
        f"{s['horizon_days']:,.0f} days up to {found.test_end}, in which {s['customers_back']:,} "
        "of the customers bought. "
        + (
            f"{new:,} others bought for the first time in those days; they cannot be forecast one "
            "by one and are left out."
            if new
            else "Nobody else bought for the first time in those days."
        )
    )
    for note in found.notes:
        terminal.say(f"Note: {in_options(note).removesuffix('.')}.")


def _show_metrics(terminal: Terminal, found: Backtest, target: str) -> None:
    from clvmodels.evaluation.metrics import METRIC_LABELS

    mine = found.metrics[found.metrics["target"] == target]
    baselines = list(mine["forecast"].unique())[1:]
    rows = []
    for metric, group in mine.groupby("metric", sort=False):
        model = group.iloc[0]["value"]
        if math.isnan(model):
            continue
        cells = [gain(row) for row in group.iloc[1:].to_dict("records")]
        rows.append((METRIC_LABELS[str(metric)], _figure(str(metric), model), *cells))
    terminal.heading(_TITLES[target])
    headings = ["\nmetric", "\nmodel", *(_SHORT[name] for name in baselines)]
    terminal.show(table(headings, rows), indent=0)


def gain(row: dict[Any, Any]) -> str:
    """Say by how much the model is better (+) or worse (-) than a baseline.

    Errors as a share of the baseline's; of what is a share itself the difference in
    percentage points, of correlations the difference; in brackets where chance may be all.
    """
    from clvmodels.evaluation.metrics import METRICS, SHARES

    metric, model_is = row["metric"], row["model_is"]
    difference, baseline = row["difference"], row["value"]
    if math.isnan(difference):
        return "-"
    if METRICS[metric] == "low":
        share = 1.0 if math.isinf(baseline) else -difference / baseline if baseline else math.nan
        text = "-" if math.isnan(share) else f"{_plus(100 * share)} %"
    else:
        gained = -difference if METRICS[metric] == "zero" else difference
        text = f"{_plus(100 * gained)} pt" if metric in SHARES else _plus(gained, 2)
    return text if model_is in ("better", "worse") else f"({text})"


def _plus(value: float, digits: int = 0) -> str:
    """With its sign, unless it is printed as nothing."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def _figure(metric: str, value: float) -> str:
    from clvmodels.evaluation.metrics import SHARES

    if metric in SHARES:
        return figure_text(value, "share", signed=metric == "bias")
    return number(value, 3 if abs(value) < 10 else 1)


def _explain(terminal: Terminal) -> None:
    terminal.say()
    terminal.say(
        "Columns after the model: by how much it is better (+) or worse (-) than each baseline, "
        "errors as a share of the baseline's, other metrics as the difference (pt: percentage "
        "points); in brackets where another sample of customers could change the sign. Baselines: "
        "the simple formula for everybody, or with customers' own figures; the last period "
        "repeated; the average of those who came in the same month; the model at the centre of "
        "its posterior, as a single number for each customer."
    )


def _show_intervals(terminal: Terminal, found: Backtest) -> None:
    terminal.heading("Do predictive intervals hold?")
    rows = [
        (
            f"{row['target']} of customers, {percent(row['level'])}",
            percent(row["coverage"]),
            between(100 * row["lower"], 100 * row["upper"], 1),
            number(row["width"], 2),
        )
        for row in found.coverage.to_dict("records")
    ]
    headings = ("intervals", "hold in", "interval, %", "mean width")
    terminal.show(table(headings, rows))
    terminal.say()
    totals = [
        (
            f"total {row['target']}, {percent(row['level'])}",
            number(row["forecast"]),
            between(row["lower"], row["upper"]),
            number(row["actual"]),
            "inside" if row["inside"] else "outside",
        )
        for row in found.totals.to_dict("records")
    ]
    terminal.show(table(("totals", "forecast", "interval", "really", ""), totals))
    terminal.say()
    show_totals(terminal, found)
    terminal.say(
        "Counts are whole numbers, so intervals of single customers may hold more often than "
        "stated."
    )


def _show_rolling(terminal: Terminal, rolling: pd.DataFrame) -> None:
    terminal.heading("The same at other dates")
    kept = rolling[(rolling["forecast"] == "model") & rolling["metric"].isin(["bias", "mae"])]
    worse = rolling[rolling["model_is"] == "worse"].groupby("origin").size()
    rows = []
    for origin, group in kept.groupby("origin"):
        first = group.iloc[0]
        figures = [_figure(row["metric"], row["value"]) for row in group.to_dict("records")]
        lost = str(worse.get(origin, 0))
        rows.append((first["train_end"], number(first["customers"]), *figures, lost))
    headings = ["calibration\nto", "\ncustomers"]
    for target in kept["target"].unique():
        headings += [f"{target}\ntotal", "\nMAE"]
    terminal.show(table([*headings, "comparisons\nlost"], rows))


def _show_sensitivity(terminal: Terminal, sensitivity: pd.DataFrame) -> None:
    terminal.heading("How the totals depend on the handling of the data")
    targets = [name for name in ("purchases", "value") if f"{name}_forecast" in sensitivity]
    rows = [
        (
            row["handling"],
            *(
                text
                for name in targets
                for text in (
                    number(row[f"{name}_forecast"]),
                    signed(row[f"{name}_change"]),
                    signed(row[f"{name}_error"]),
                )
            ),
        )
        for row in sensitivity.to_dict("records")
    ]
    headings = ["\nhandling"]
    for name in targets:
        headings += [f"{name}\nforecast", "\nchange", "off the\ntruth"]
    terminal.show(table(headings, rows), indent=0)
    for row in sensitivity.to_dict("records"):
        if row["note"]:
            terminal.say()
            terminal.say(f"{row['handling']}: {row['note']}.".replace("..", "."))


def _show_verdict(terminal: Terminal, found: Backtest) -> None:
    from clvmodels.uses import in_one_sentence

    terminal.heading("What can such forecasts be used for?")
    terminal.say(in_one_sentence(found.uses))
    for use in found.uses:
        terminal.say()
        terminal.say(str(use))
    terminal.heading("The checks behind it")
    terminal.say(
        "Errors are model minus real, as a share of the real figure: +10 % is a forecast that was "
        "too high."
    )
    for check in found.checks:
        terminal.say()
        terminal.say(_said(check))


def _said(check: Check) -> str:
    return f"{WORDS[check.status].upper()}  {check.sentence} {check.advice}".rstrip()


def _draw(found: Backtest, output: Path) -> None:
    drawers = (_draw_tracking, _draw_calibration, _draw_baselines)
    for name, draw in zip(PICTURES, drawers, strict=True):
        write_aside(output / name, lambda aside, draw=draw: draw(found, aside))  # type: ignore[misc]


def _draw_tracking(found: Backtest, path: Path) -> None:
    from clvmodels import plots

    until = f"calibration to {found.train_end}, holdout to {found.test_end}"
    title = f"Repeat purchases of {many(len(found), 'customer')}: {until}"
    figure, axes = plots.new_figure(1, 2, title)
    level = percent(found.settings["interval"])
    plots.plot_purchases_over_time(found.tracking, ax=axes[0])
    axes[0].set_title(f"By week, with {level} predictive band")
    plots.plot_purchases_over_time(found.tracking, cumulative=True, ax=axes[1])
    axes[1].set_title("So far; after the line, given each customer's history")
    plots.save_figure(figure, path)


def _draw_calibration(found: Backtest, path: Path) -> None:
    from clvmodels import plots

    figure, axes = plots.new_figure(2, 2, "Do expectations and intervals hold?")
    plots.plot_repeat_histogram(found.repeats, ax=axes[0])
    axes[0].set_title("Calibration: customers by repeat purchases")
    plots.plot_interval_coverage(found.coverage, ax=axes[1])
    axes[1].set_title("Holdout: coverage of predictive intervals")
    for place, target in zip(axes[2:], ("purchases", "value"), strict=True):
        if target not in found.targets:
            place.set_axis_off()
            continue
        unit = "purchases" if target == "purchases" else "discounted value"
        plots.plot_deciles(found.calibration, target=target, unit=unit, ax=place)
        place.set_title(f"Holdout: {unit} by tenths of the forecast")
    plots.save_figure(figure, path)


def _draw_baselines(found: Backtest, path: Path) -> None:
    from clvmodels import plots
    from clvmodels.evaluation import FORECAST_LABELS, METRIC_LABELS

    shown = ("bias", "mae", "gini")
    figure, axes = plots.new_figure(
        len(found.targets), len(shown), "The model and the baselines, with bootstrap intervals"
    )
    for i, target in enumerate(found.targets):
        for j, metric in enumerate(shown):
            place = axes[i * len(shown) + j]
            plots.plot_metric(
                found.metrics, metric, labels=FORECAST_LABELS, target=target, ax=place
            )
            place.set_title(f"{target.capitalize()}: {METRIC_LABELS[metric]}")
            if j:
                place.set_yticklabels([])
    plots.save_figure(figure, path)
