"""Does the model predict: a backtest, if one is given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import limits
from clvmodels.diagnostics.origins import TARGETS, origin_figures, origin_tables
from clvmodels.diagnostics.record import Figure, Format, Section, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import money, number, percent, short
from clvmodels.evaluation.backtest_record import fit_checks
from clvmodels.evaluation.baselines import LABELS, MODEL, POINT
from clvmodels.evaluation.checks import name_of_total, total_check
from clvmodels.evaluation.metrics import METRIC_LABELS, SHARES
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

if TYPE_CHECKING:
    from clvmodels.evaluation.backtest_record import Backtest

_SHOWN: Final = 101
_SIGNS: Final = {"better": "+", "worse": "-"}  # of the model against a forecast
_UNITS: Final = {"purchases": "purchases", "value": ""}


def prediction_section(study: Study) -> Section:
    """Metrics against baselines, calibration, coverage, lift; or why there are none."""
    backtest = study.backtest
    if backtest is None:
        return Section(
            key="prediction",
            title="Does it predict?",
            intro="A backtest fits the model to the past and lets it forecast what has happened.",
            checks=(
                limits.unavailable(
                    "backtest",
                    "No backtest was given, so prediction was not checked: run "
                    "clvmodels.backtest on the log.",
                ),
            ),
            notes=("No backtest was given, so it is not known how well the model predicts.",),
        )
    figures = [_tracking(backtest)]
    for target in backtest.targets:
        figures += [_calibration(study, backtest, target), _gains(backtest, target)]
    figures += _coverage(backtest.coverage)
    figures += origin_figures(backtest)
    return Section(
        key="prediction",
        title="Does it predict?",
        intro=(
            f"The model was fitted to purchases up to {backtest.train_end} and forecast those up "
            f"to {backtest.test_end}, of {len(backtest):,} customers, alongside forecasts that "
            "need no model. Metrics have bootstrap intervals over customers. Errors are model "
            "minus real, as a share of the real figure: +10 % is a forecast that was too high."
        ),
        checks=tuple(_checks(study, backtest)),
        tables=tuple(_tables(backtest)),
        figures=tuple(figures),
        notes=(*backtest.notes, *_other_margin(study, backtest)),
    )


def _other_margin(study: Study, backtest: Backtest) -> Iterator[str]:
    """Say where values of the backtest are not in the report's money; shares are the same."""
    margin = backtest.settings.get("margin", 1.0)
    if "value" in backtest.targets and not math.isclose(margin, study.rfm.margin):
        yield (
            f"Values of the backtest use margin {margin:g}, but those of this report "
            f"{study.rfm.margin:g}: pass the margin of the base to backtest."
        )


def _checks(study: Study, backtest: Backtest) -> Iterator[Check]:
    yield _same_customers(study, backtest)
    yield from checks_of_forecasts(study)
    yield from fit_checks(backtest.fits)


def checks_of_forecasts(study: Study) -> tuple[Check, ...]:
    """What a backtest found of forecasts, in the report's currency; nothing without one."""
    backtest, currency = study.backtest, study.question.currency
    if backtest is None:
        return ()
    total = name_of_total("value")
    return tuple(
        total_check(
            backtest.totals,
            "value",
            backtest.settings["interval"],
            lambda one: money(one, currency),
        )
        if currency and check.name == total
        else check
        for check in backtest.checks
    )


def _same_customers(study: Study, backtest: Backtest) -> Check:
    """A backtest of other customers says nothing of these."""
    here = pa.array(study.rfm.table["customer_id"].to_pandas().astype(str))
    there = pa.array(backtest.customers["customer_id"].astype(str))
    return limits.judged_least(
        "share of the backtest's customers who are in this base",
        float(np.mean(pc.is_in(there, value_set=here).to_numpy(zero_copy_only=False))),
        limits.MIN_SAME_CUSTOMERS,
        (
            "The backtest is of another base and says little about this one: run it on this base's "
            "log."
        ),
        fail_below=limits.TOO_FEW_SAME_CUSTOMERS,
        unit="share",
    )


# --- tables -----------------------------------------------------------------------------


def _tables(backtest: Backtest) -> Iterator[Table]:
    for target in backtest.targets:
        yield _metrics(backtest, target)
    yield _totals(backtest)
    yield from origin_tables(backtest)
    yield _coverage_table(backtest)


def _metrics(backtest: Backtest, target: str) -> Table:
    wide, verdict = backtest.table(target), backtest.verdict(target)
    others = [name for name in wide.columns if name != MODEL]
    mine = backtest.metrics[
        (backtest.metrics["target"] == target) & (backtest.metrics["forecast"] == MODEL)
    ].set_index("metric")
    rows = []
    for metric in wide.index:
        own = mine.loc[metric]
        judged = verdict.loc[metric].to_dict()
        rows.append(
            (
                METRIC_LABELS[metric] + (", %" if metric in SHARES else ""),
                *(_finite(one, metric) for one in (own["value"], own["lower"], own["upper"])),
                *(_finite(wide.loc[metric, name], metric) for name in others),
                *(_SIGNS.get(str(judged.get(name)), "") for name in others),
            )
        )
    names = tuple(LABELS[name] for name in others)
    columns = ("metric", "model", "lower", "upper", *names)
    formats: dict[str, Format] = dict.fromkeys(columns[1:], "number")
    signs = {name: f"against {name}" for name in names}
    return Table(
        key=f"metrics-{target}",
        title=f"Forecasts of {TARGETS[target]}: the model against baselines",
        columns=(*columns, *signs.values()),
        rows=tuple(rows),
        caption=(
            "Lower is better for errors and deviances, higher for scores, correlations and "
            "shares. A + marks forecasts that the model beats beyond chance, a - those that beat "
            "it; the others are undecided."
        ),
        formats=formats,
        intervals={"model": ("lower", "upper")},
        signs=signs,
        spanners={"forecasts without the model's draws": names},
    )


def _finite(value: Any, metric: str) -> float | None:
    number_ = float(value) * (100.0 if metric in SHARES else 1.0)
    return number_ if np.isfinite(number_) else None


def _totals(backtest: Backtest) -> Table:
    rows = [
        (
            TARGETS[row["target"]],
            row["level"],
            row["forecast"],
            row["lower"],
            row["upper"],
            row["actual"],
            "inside" if row["inside"] else "outside",
        )
        for row in backtest.totals.to_dict("records")
    ]
    return Table(
        key="totals",
        title="Totals of the holdout: forecast and real",
        columns=("total", "interval", "forecast", "lower", "upper", "real", "real total lies"),
        rows=tuple(rows),
        caption="Intervals are predictive: they cover uncertain parameters and chance.",
        formats={
            "interval": "percent",
            **dict.fromkeys(("forecast", "lower", "upper", "real"), "integer"),
        },
        intervals={"forecast": ("lower", "upper")},
    )


def _coverage_table(backtest: Backtest) -> Table:
    return Table(
        key="coverage",
        title="How often customers' predictive intervals hold",
        columns=("forecast of", "interval", "hold", "lower", "upper", "mean width"),
        rows=tuple(
            (
                TARGETS[row["target"]],
                row["level"],
                row["coverage"],
                row["lower"],
                row["upper"],
                row["width"],
            )
            for row in backtest.coverage.to_dict("records")
        ),
        caption=(
            "Shares of customers, with their "
            f"{percent(float(backtest.settings['interval']))} intervals. Counts are discrete, so "
            "their predictive intervals hold at least as often as stated."
        ),
        formats={
            "interval": "percent",
            **dict.fromkeys(("hold", "lower", "upper"), "percent"),
            "mean width": "number",
        },
        intervals={"hold": ("lower", "upper")},
    )


# --- figures ----------------------------------------------------------------------------


def _tracking(backtest: Backtest) -> Figure:
    table = backtest.tracking
    holdout = table[table["part"] == "holdout"]
    actual, expected = float(holdout["actual"].sum()), float(holdout["expected"].sum())
    step = -(-len(table) // 400)  # a long log is shown by every so many weeks
    shown = table.iloc[::step]
    return Figure(
        key="backtest-tracking",
        kind="purchases_over_time",
        title=f"In the holdout {expected:,.0f} purchases were forecast and {actual:,.0f} came",
        caption=(
            "Repeat purchases added up over time, actual (dashed) and expected (line, with its "
            f"{percent(float(backtest.settings.get('interval', 0.9)))} predictive band). To the "
            "right of the dotted line the model forecasts, continuing from what had happened."
        ),
        alt=(
            f"Cumulative purchases to {backtest.test_end}; forecast from {backtest.train_end} on: "
            f"{expected:,.0f}, actual {actual:,.0f}."
        ),
        data=tracked_data(shown, cumulative=True),
    )


def tracked_data(table: pd.DataFrame, *, cumulative: bool) -> dict[str, Any]:
    """Purchases over time of a backtest's table tracking."""
    if not cumulative:  # a short last week would look like a fall
        table = table[table["days"] >= table["days"].median() - 1e-9]
    start = "cumulative_" if cumulative else ""
    names = ("actual", "expected", "lower", "upper")
    return {
        "dates": [str(pd.Timestamp(one).date()) for one in table["date"]],
        **{name: short(table[f"{start}{name}"].to_numpy()) for name in names},
        "split": str(pd.Timestamp(table.loc[table["part"] == "train", "date"].iloc[-1]).date()),
        "cumulative": cumulative,
    }


def _calibration(study: Study, backtest: Backtest, target: str) -> Figure:
    table = backtest.calibration
    table = table[(table["target"] == target) & (table["forecast"] == MODEL)]
    expected, actual = (table[name].to_numpy(dtype=np.float64) for name in ("expected", "actual"))
    lower, upper = (table[f"actual_{end}"].to_numpy(dtype=np.float64) for end in ("lower", "upper"))
    currency = study.question.currency if target == "value" else ""
    says = partial(money, currency=currency) if target == "value" else number
    last = f"{says(float(expected[-1]))} expected, {says(float(actual[-1]))} came"
    every = np.concatenate([expected, actual, lower, upper])
    spread = target == "value" and bool(len(every)) and bool((every > 0).all())
    return Figure(
        key=f"calibration-{target}",
        kind="group_calibration",
        title=f"Of the customers with the highest forecast of {TARGETS[target]}: {last}",
        caption=(
            "Customers in tenths by forecast: mean forecast against what came, with its interval"
            f"{', on logarithmic axes' if spread else ''}. Points on the line were forecast "
            "correctly; above it the forecast was too low."
        ),
        alt=f"Calibration of {TARGETS[target]} in {len(table)} groups; in the highest: {last}.",
        data={
            "expected": short(expected),
            "actual": short(actual),
            "lower": short(lower),
            "upper": short(upper),
            "quantity": TARGETS[target],
            "unit": currency,
            "logarithmic": spread,
        },
    )


def _gains(backtest: Backtest, target: str) -> Figure:
    """Share of what came that lies with the customers of the highest forecasts."""
    customers = backtest.customers
    customers = customers[customers[f"{target}_actual"].notna()]  # of value, who has a forecast
    actual = customers[f"{target}_actual"].to_numpy(dtype=np.float64)
    prefix = f"{target}_"
    names = [name for name in LABELS if f"{prefix}{name}" in customers and name != POINT]
    curves = {
        LABELS[name]: _gain(customers[f"{prefix}{name}"].to_numpy(dtype=np.float64), actual)
        for name in names
    }
    curves["the best order possible"] = _gain(actual, actual)
    at = int(0.2 * (_SHOWN - 1))
    own = float(curves[LABELS[MODEL]][at])
    return Figure(
        key=f"gains-{target}",
        kind="gains",
        title=f"The fifth with the highest forecasts made {percent(own)} of the real "
        f"{TARGETS[target]}",
        caption=(
            "Customers in the order of each forecast, the highest first, and the share of what "
            "came that they account for. The higher the curve, the better a forecast finds the "
            "best customers."
        ),
        alt="Share found in the top 20 %: "
        + ", ".join(f"{name} {percent(float(curve[at]))}" for name, curve in curves.items()),
        data={
            "share": short(np.linspace(0.0, 1.0, _SHOWN)),
            "curves": {name: short(curve) for name, curve in curves.items()},
            "quantity": TARGETS[target],
        },
    )


def _gain(forecast: FloatArray, actual: FloatArray) -> FloatArray:
    """Cumulative share of ``actual`` at evenly spaced shares; ties count as their mean."""
    levels, place = np.unique(-np.nan_to_num(forecast, nan=-np.inf), return_inverse=True)
    count = np.bincount(place, minlength=len(levels))
    total = np.bincount(place, weights=actual, minlength=len(levels))
    customers = np.concatenate([[0.0], np.cumsum(count)]) / len(forecast)
    if total.sum() <= 0:
        return np.full(_SHOWN, np.nan)
    found = np.concatenate([[0.0], np.cumsum(total)]) / total.sum()
    return np.asarray(np.interp(np.linspace(0.0, 1.0, _SHOWN), customers, found))


def _coverage(table: pd.DataFrame) -> Iterator[Figure]:
    if not len(table):
        return
    series = [
        {
            "name": TARGETS[str(target)],
            "level": short(rows["level"].to_numpy(dtype=np.float64)),
            "coverage": short(rows["coverage"].to_numpy(dtype=np.float64)),
            "lower": short(rows["lower"].to_numpy(dtype=np.float64)),
            "upper": short(rows["upper"].to_numpy(dtype=np.float64)),
        }
        for target, rows in table.groupby("target", sort=False)
    ]
    said = "; ".join(
        f"{percent(row['level'])} intervals of {TARGETS[row['target']]} hold for "
        f"{percent(row['coverage'])}"
        for row in table.to_dict("records")
    )
    short_of = table[table["upper"] < table["level"]]
    yield Figure(
        key="coverage",
        kind="interval_coverage",
        title="Predictive intervals hold at least as often as stated"
        if not len(short_of)
        else "Some predictive intervals hold less often than stated",
        caption=(
            "Share of customers whose interval held what they really did, for intervals of "
            "several probabilities. Below the line intervals are too narrow; counts are discrete, "
            "so theirs lie above it."
        ),
        alt=f"{said}.",
        data={"series": series},
    )
