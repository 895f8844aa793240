"""What the reader of a backtest must know: does it hold, and does it beat the baselines.

Errors of totals are model minus real, as a share of what is real: +10 % is a forecast
that was too high.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from clvmodels import limits
from clvmodels.evaluation.baselines import LABELS, MODEL, POINT
from clvmodels.evaluation.metrics import METRIC_LABELS, TOP
from clvmodels.verdict import Check, Status, figure_text

_NAMES: Final = {"purchases": "purchases", "value": "discounted value"}
# What is asked of forecasts for single customers, and of the order that they make.
_ERRORS: Final = ("mae", "rmse", "poisson_deviance", "crps", "log_score")
_RANKINGS: Final = ("spearman", "gini", "top_found")
_LEAST_COMPARED: Final = 2
_NOBODYS: Final = (
    "A season, a trend or a process unlike the model's moves all customers at once, and the "
    "interval knows of none of these."
)


def judge(tables: Mapping[str, pd.DataFrame], interval: float) -> tuple[Check, ...]:
    """Every check of a backtest, from its tables metrics, totals, coverage and tracking.

    What a check bears on is what it was asked about: totals, ranking, or single customers.
    """
    targets = [str(target) for target in tables["metrics"]["target"].unique()]
    found = [training_check(tables["tracking"], interval)]
    found += [total_check(tables["totals"], target, interval) for target in targets]
    for target in targets:
        found += ranking_checks(tables["metrics"], target)
    found += [coverage_check(tables["coverage"], target, interval) for target in targets]
    for target in targets:
        found += baseline_checks(tables["metrics"], target)
    return tuple(found)


# --- totals -----------------------------------------------------------------------------


def total_check(totals: pd.DataFrame, target: str, interval: float) -> Check:
    """Whether the real total lies in the predictive interval of the total, and how far off it is.

    Inside passes, unless the interval is so wide that it holds anything; outside warns; an
    error of more than `limits.MAX_FORECAST_ERROR` outside fails.
    """
    name = f"error of total {_NAMES[target]} in the holdout"
    row = _row(totals, target, interval)
    actual, lower, upper = row["actual"], row["lower"], row["upper"]
    error, most = relative_error(row["forecast"], actual), limits.MAX_FORECAST_ERROR
    inside, far = lower <= actual <= upper, not abs(error) <= most
    text = f"{row['forecast']:,.0f} were forecast where {actual:,.0f} came ({signed(error)}), " + (
        "inside" if inside else "outside"
    )
    text += f" the {interval:.0%} predictive interval of the total, {lower:,.0f} to {upper:,.0f}"
    check = Check(name, error, None, "pass", f"{text}.", "within", "share", ("totals",))
    if inside and not far:
        return check
    if inside:
        said = f"{text}: so few customers came that the total is hardly known."
        return replace(check, limit=most, status="warn", advice=said)
    if far:
        said = f"{text}: totals from this model are not to be planned with. {_NOBODYS}"
        return replace(check, limit=most, status="fail", advice=said)
    return replace(check, status="warn", advice=f"{text}. {_NOBODYS}")


def training_check(tracking: pd.DataFrame, interval: float) -> Check:
    """Whether the model reproduces the number of purchases that it was fitted to."""
    name = "error of repeat purchases in the calibration"
    last = tracking[tracking["part"] == "train"].iloc[-1]
    actual, lower, upper = (last[f"cumulative_{n}"] for n in ("actual", "lower", "upper"))
    expected = last["cumulative_expected"]
    error = relative_error(expected, actual)
    text = (
        f"{expected:,.0f} are expected of customers like these ({signed(error)}), "
        f"{interval:.0%} band {lower:,.0f} to {upper:,.0f}, and there are {actual:,.0f}"
    )
    check = Check(name, error, None, "pass", f"{text}.", "within", "share", ("totals",))
    if lower <= actual <= upper:
        return check
    most = limits.TOO_MUCH_TOTAL_ERROR
    status: Status = "warn" if abs(error) <= most else "fail"
    said = f"{text}: the model does not fit this base."
    return replace(check, limit=most if status == "fail" else None, status=status, advice=said)


def relative_error(forecast: float, actual: float) -> float:
    """Model minus real, as a share of what is real; the one convention of reports and backtests."""
    if actual == 0:
        return 0.0 if forecast == 0 else math.copysign(math.inf, forecast)
    return float(forecast / actual - 1.0)


def signed(error: float) -> str:
    """Write a relative error with its sign."""
    return figure_text(error, "share", signed=True)


# --- ranking ----------------------------------------------------------------------------


def ranking_checks(metrics: pd.DataFrame, target: str) -> Iterator[Check]:
    """Whether the order that the model makes of customers is better than chance."""
    gini = _own(metrics, target, "gini")["value"]
    if gini != gini:  # all did the same: there is no order to find
        return
    no_order = gini < limits.TOO_LOW_RANK_CORRELATION
    ranks, found = (_own(metrics, target, name) for name in ("spearman", "top_found"))
    yield _better_than_chance(
        f"rank correlation of forecast and real {_NAMES[target]}",
        ranks,
        (0.0, limits.TOO_LOW_RANK_CORRELATION, limits.MIN_RANK_CORRELATION),
        no_order,
    )
    best = f"{TOP:.0%}"
    check = _better_than_chance(
        f"share of the best {best} by real {_NAMES[target]} among the best {best} forecast",
        found,
        (TOP, limits.TOO_FEW_TOP_FOUND, limits.MIN_TOP_FOUND),
        no_order,
    )
    yield replace(check, unit="share")


def _better_than_chance(
    name: str, row: Mapping[str, Any], bounds: tuple[float, float, float], no_order: bool
) -> Check:
    """Fail where chance does as well; warn where it is hardly better, or may be chance."""
    chance, least, enough = bounds
    value, lower = row["value"], row["lower"]
    beyond = lower > chance  # NaN, of too few samples, is not
    if math.isnan(value) or (value < least and (no_order or not beyond)):
        status: Status = "fail"
        said = "The model orders customers no better than chance: do not choose customers by it."
    elif value < enough or not beyond:
        status = "warn"
        said = "The model orders customers hardly better than chance, or by chance."
    else:
        status, said = "pass", "The model finds those who will buy more."
    return Check(name, value, enough, status, said, "at least", "number", ("ranking",))


# --- single customers -------------------------------------------------------------------


def coverage_check(coverage: pd.DataFrame, target: str, interval: float) -> Check:
    """Whether customers' predictive intervals hold as often as they say."""
    row = _row(coverage, target, interval)
    hold = f"{row['coverage']:.1%} of the intervals hold, {interval:.0%} should"
    short = row["upper"] < interval  # beyond what another draw of customers explains
    far = row["upper"] < interval - limits.TOO_MUCH_UNCOVERED
    status: Status = "fail" if far else "warn" if short else "pass"
    return Check(
        f"share of customers whose {interval:.0%} interval holds their {_NAMES[target]}",
        row["coverage"],
        interval,
        status,
        f"{hold}: they are too narrow for this base." if short else f"{hold}.",
        "at least",
        "share",
        ("customers",),
    )


def baseline_checks(metrics: pd.DataFrame, target: str) -> Iterator[Check]:
    """Whether a forecast without a model is better than the model, and where.

    One check of errors for single customers, one of the order; each fails where one and
    the same baseline is better in all that can be compared.
    """
    mine = metrics[metrics["target"] == target]
    for what, names, use in (
        ("errors", _ERRORS, "customers"),
        ("rankings", _RANKINGS, "ranking"),
    ):
        table = mine[mine["metric"].isin(names)]
        check = _against_baselines(table, f"{what} of {_NAMES[target]}")
        yield replace(check, bears_on=(use,))  # type: ignore[arg-type]


def _against_baselines(table: pd.DataFrame, what: str) -> Check:
    compared = table[(table["model_is"] != "") & (table["forecast"] != MODEL)]
    others = compared[compared["forecast"] != POINT]
    lost = others[others["model_is"] == "worse"]
    name = f"{what} in which a forecast without a model is better"
    own = int((compared["model_is"] == "worse").sum()) - len(lost)
    also = f" {own} more are lost to the model's own point estimate." if own else ""
    if not len(lost):
        won = int((others["model_is"] == "better").sum())
        said = f"{won} of {len(others)} comparisons are won beyond chance, the others are open."
        return Check(name, 0.0, 0.0, "pass", f"{said}{also}", "at most")
    listed = "; ".join(_lost(row, table) for row in lost.to_dict("records"))
    said = f"{len(lost)} of {len(others)} comparisons are lost: {listed}.{also}"
    beaten = _beaten_everywhere(others)
    if beaten:
        said = f"The {LABELS[beaten[0]]} is better in every comparison: take it instead. {said}"
    return Check(name, float(len(lost)), 0.0, "fail" if beaten else "warn", said, "at most")


def _beaten_everywhere(others: pd.DataFrame) -> Sequence[str]:
    """Baselines that are better than the model in all that could be compared."""
    worse = others.assign(lost=others["model_is"] == "worse").groupby("forecast", sort=False)
    counted = worse["lost"].agg(["sum", "size"])
    all_lost = (counted["sum"] == counted["size"]) & (counted["size"] >= _LEAST_COMPARED)
    return [str(name) for name in counted.index[all_lost]]


def worst(checks: tuple[Check, ...]) -> Status:
    """Return the worst status of all checks."""
    order: tuple[Status, ...] = ("unavailable", "pass", "warn", "fail")
    return max((check.status for check in checks), key=order.index, default="unavailable")


def _row(table: pd.DataFrame, target: str, level: float) -> dict[str, Any]:
    found = table[(table["target"] == target) & (table["level"] == level)]
    return {str(name): value for name, value in found.iloc[0].to_dict().items()}


def _own(metrics: pd.DataFrame, target: str, metric: str) -> dict[str, Any]:
    same = (metrics["target"] == target) & (metrics["metric"] == metric)
    found = metrics[same & (metrics["forecast"] == MODEL)]
    return {str(name): value for name, value in found.iloc[0].to_dict().items()}


def _lost(row: dict[Any, Any], table: pd.DataFrame) -> str:
    same = table[(table["metric"] == row["metric"])]
    model = same["value"].iloc[0]
    return (
        f"{METRIC_LABELS[row['metric']]} {model:.4g} against {row['value']:.4g} of the "
        f"{LABELS[row['forecast']]}"
    )
