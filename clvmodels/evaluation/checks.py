"""What the reader of a backtest must know: does it hold, and does it beat the baselines.

Errors of totals are model minus real, as a share of what is real: +10 % is a forecast
that was too high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from clvmodels import limits
from clvmodels.evaluation.baselines import LABELS, MODEL, PLAIN, POINT
from clvmodels.evaluation.metrics import METRIC_LABELS, TOP
from clvmodels.rfm.continuity import WHAT_TO_DO, Continuity
from clvmodels.schema import TimeScale
from clvmodels.verdict import Check, Status, Use, figure_text

_NAMES: Final = {"purchases": "purchases", "value": "discounted value"}
# What is asked of forecasts for single customers, and of the order that they make.
_ERRORS: Final = ("mae", "rmse", "poisson_deviance", "crps", "log_score")
_RANKINGS: Final = ("spearman", "gini", "top_found")
_LEAST_COMPARED: Final = 2
_NOTHING_COMPARED: Final = "Too few customers, or none that differ: no comparison can be made."
_NOBODYS: Final = (
    "A season, a trend or behaviour unlike the model's moves all customers at once; the interval "
    "allows for none of these."
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
    return (*found, *covariates_check(tables["metrics"]))


def continuity_check(
    found: Continuity | None, end: int | None, scale: TimeScale, *, of: str = ""
) -> Check:
    """Whether customers stay the same customers, or become others at some date.

    Parameters
    ----------
    found : Continuity or None
        What was found; None where too few come back.
    end : int or None
        Ordinal of the last period observed, where it is known.
    scale : TimeScale
        Of the table.
    of : str
        Where they come back to, where there are two such checks.
    """
    name = f"known customers who come back{of}, at the date when the fewest do"
    how: dict[str, Any] = {"unit": "share", "bears_on": ("totals", "customers")}
    limit = limits.MIN_RETURNING_AT_ONCE
    if found is None:
        why_not = "Too few customers come back to tell whether ids changed at some date."
        return limits.unavailable(name, why_not, limit, side="at least", **how)
    advice = f"{found.note(end, scale)}. {WHAT_TO_DO}"
    if found.swap is not None:
        return Check(name, found.share, limit, "warn", advice, "at least", **how)
    return limits.judged_least(
        name,
        found.share,
        limit,
        advice,
        fail_below=limits.TOO_FEW_RETURNING_AT_ONCE,
        **how,
    )


# --- totals -----------------------------------------------------------------------------


def total_check(
    totals: pd.DataFrame,
    target: str,
    interval: float,
    write: Callable[[float], str] = "{:,.0f}".format,
) -> Check:
    """Whether the real total lies in the predictive interval of the total, and how far off it is.

    Inside passes, unless the interval is so wide that it holds anything; outside warns; an
    error of more than `limits.MAX_FORECAST_ERROR` outside fails.
    """
    row = _row(totals, target, interval)
    forecast, actual, lower, upper = (row[n] for n in ("forecast", "actual", "lower", "upper"))
    error, most = relative_error(forecast, actual), limits.MAX_FORECAST_ERROR
    inside, far = lower <= actual <= upper, not abs(error) <= most
    said = "A value of {} was forecast" if target == "value" else "{} purchases were forecast"
    text = (
        f"{said.format(write(forecast))}, {write(actual)} came, "
        f"{'inside' if inside else 'outside'} the {_level(interval)} predictive interval of the "
        f"total, {write(lower)} to {write(upper)}"
    )
    check = Check(
        name_of_total(target), error, None, "pass", f"{text}.", "within", "share", ("totals",)
    )
    if inside and not far:
        return check
    if inside:
        said = f"{text}: so few customers came that the total is hardly known."
        return replace(check, limit=most, status="warn", advice=said)
    if far:
        said = f"{text}: do not plan with totals from this model. {_NOBODYS}"
        return replace(check, limit=most, status="fail", advice=said)
    return replace(check, status="warn", advice=f"{text}. {_NOBODYS}")


def name_of_total(target: str) -> str:
    """The name of the check of a total."""
    return f"error of total {_NAMES[target]} in the holdout"


def training_check(tracking: pd.DataFrame, interval: float) -> Check:
    """Whether the model reproduces the number of purchases that it was fitted to."""
    name = "error of repeat purchases in the calibration"
    last = tracking[tracking["part"] == "train"].iloc[-1]
    actual, lower, upper = (last[f"cumulative_{n}"] for n in ("actual", "lower", "upper"))
    expected = last["cumulative_expected"]
    error = relative_error(expected, actual)
    text = (
        f"{expected:,.0f} purchases are expected of customers like these ({signed(error)}), "
        f"{_level(interval)} band {lower:,.0f} to {upper:,.0f}, and there were {actual:,.0f}"
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
    if not _has_order(metrics, target):
        return
    no_order = _own(metrics, target, "gini")["value"] < limits.TOO_LOW_RANK_CORRELATION
    ranks, found = (_own(metrics, target, name) for name in ("spearman", "top_found"))
    yield _better_than_chance(
        f"rank correlation of forecast and real {_NAMES[target]}",
        ranks,
        (0.0, limits.TOO_LOW_RANK_CORRELATION, limits.MIN_RANK_CORRELATION),
        no_order,
    )
    best = _level(TOP)
    check = _better_than_chance(
        f"share of the best {best} by real {_NAMES[target]} that is among the best {best} forecast",
        found,
        (TOP, limits.TOO_FEW_TOP_FOUND, limits.MIN_TOP_FOUND),
        no_order,
    )
    yield replace(check, unit="share")


def _has_order(metrics: pd.DataFrame, target: str) -> bool:
    """Whether there is an order to find: not of one customer, nor where all did the same."""
    same = (metrics["target"] == target) & (metrics["metric"] == "gini")
    return not metrics.loc[same & (metrics["forecast"] == MODEL), "value"].isna().any()


def _better_than_chance(
    name: str, row: Mapping[str, Any], bounds: tuple[float, float, float], no_order: bool
) -> Check:
    """Fail where chance does as well; warn where it is hardly better, or may be chance."""
    chance, least, enough = bounds
    value, lower = row["value"], row["lower"]
    beyond = lower > chance  # NaN, of too few samples, is not
    if math.isnan(value) or (value < least and (no_order or not beyond)):
        status: Status = "fail"
        said = "The model ranks customers no better than chance: do not select customers by it."
    elif value < enough or not beyond:
        status = "warn"
        said = "The model ranks customers little better than chance, or its success may be chance."
    else:
        status, said = "pass", ""
    return Check(name, value, enough, status, said, "at least", "number", ("ranking",))


# --- single customers -------------------------------------------------------------------


def coverage_check(coverage: pd.DataFrame, target: str, interval: float) -> Check:
    """Whether customers' predictive intervals hold as often as they say."""
    row = _row(coverage, target, interval)
    short = row["upper"] < interval  # beyond what another draw of customers explains
    far = row["upper"] < interval - limits.TOO_MUCH_UNCOVERED
    status: Status = "fail" if far else "warn" if short else "pass"
    return Check(
        f"share of customers whose {_level(interval)} interval holds their {_NAMES[target]}",
        row["coverage"],
        interval,
        status,
        "They are too narrow for this base." if short else "",
        "at least",
        "share",
        ("customers",),
    )


def baseline_checks(metrics: pd.DataFrame, target: str) -> Iterator[Check]:
    """Whether a forecast without a model is better than the model, and where.

    One check of errors for single customers, one of the order. Each warns where a baseline
    is better in most of what can be compared, and fails where one is better in all of it.
    """
    mine = metrics[metrics["target"] == target]
    uses: tuple[tuple[str, tuple[str, ...], Use], ...] = (
        ("for single customers", _ERRORS, "customers"),
        ("at ranking customers", _RANKINGS, "ranking"),
    )
    for what, names, use in uses:
        table = mine[mine["metric"].isin(names)]
        if use == "ranking" and not _has_order(metrics, target):
            table = table.iloc[:0]
        check = _against_baselines(table, f"{what} by {_NAMES[target]}")
        yield replace(check, bears_on=(use,))


def covariates_check(metrics: pd.DataFrame) -> Iterator[Check]:
    """Whether the same model does better without its covariates; nothing where it has none."""
    rivals = metrics[(metrics["forecast"] == PLAIN) & (metrics["model_is"] != "")]
    # Without covariates there is a point alone, against which any distribution wins
    compared = [name for name in (*_ERRORS, *_RANKINGS) if name != "crps"]
    rivals = rivals[rivals["metric"].isin(compared)]
    if not len(rivals):
        return
    won, lost = (int((rivals["model_is"] == one).sum()) for one in ("better", "worse"))
    if lost > won:
        said = "The model forecasts better without its covariates: leave them out."
    elif won == lost:
        said = (
            "The covariates add nothing to forecasts of customers who are known, whose purchases "
            "tell as much. They may still tell what new customers are worth."
        )
    else:
        said = "The covariates make forecasts better."
    yield Check(
        "comparisons lost to the same model without covariates, beyond those won",
        float(lost - won),
        0.0,
        "warn" if lost > won else "pass",
        f"{said} Of {len(rivals)} comparisons {won} are won beyond chance, and {lost} lost.",
        "at most",
        "number",
        ("customers", "ranking"),
    )


def _against_baselines(table: pd.DataFrame, what: str) -> Check:
    name = f"forecasts without a model that are better {what}"
    compared = table[(table["model_is"] != "") & (table["forecast"] != MODEL)]
    others = compared[~compared["forecast"].isin([POINT, PLAIN])]
    if not len(others):
        return limits.unavailable(name, _NOTHING_COMPARED, 0.0, side="at most")
    lost = others[others["model_is"] == "worse"]
    better, everywhere = _better_than_the_model(others)
    own = int((compared.loc[compared["forecast"] == POINT, "model_is"] == "worse").sum())
    said = _compared(others, lost, table) + (
        f" {own} more {'is' if own == 1 else 'are'} lost to the model's own point estimate."
        if own
        else ""
    )
    if better:
        best = LABELS[(everywhere or better)[0]]
        how = "in every comparison" if everywhere else "in most comparisons"
        said = f"The {best} is better {how}: it may serve you better here. {said}"
    status: Status = "fail" if everywhere else "warn" if better else "pass"
    return Check(name, float(len(better)), 0.0, status, said, "at most")


def _compared(others: pd.DataFrame, lost: pd.DataFrame, table: pd.DataFrame) -> str:
    won = int((others["model_is"] == "better").sum())
    said = f"{won} of {len(others)} comparisons are won beyond chance"
    if not len(lost):
        return f"{said}, none is lost."
    listed = "; ".join(_lost(row, table) for row in lost.to_dict("records"))
    return f"{said}, {len(lost)} {'is' if len(lost) == 1 else 'are'} lost: {listed}."


def _better_than_the_model(others: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Baselines that are better than the model in most of what was compared, and in all of it."""
    better, everywhere = [], []
    for name, found in others.groupby("forecast", sort=False)["model_is"]:
        lost = int((found == "worse").sum())
        if 2 * lost > len(found):
            better.append(str(name))
        if lost == len(found) >= _LEAST_COMPARED:
            everywhere.append(str(name))
    return better, everywhere


def worst(checks: tuple[Check, ...]) -> Status:
    """Return the worst status of all checks."""
    order: tuple[Status, ...] = ("unavailable", "pass", "warn", "fail")
    return max((check.status for check in checks), key=order.index, default="unavailable")


def _level(share: float) -> str:
    return figure_text(share, "share")


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
