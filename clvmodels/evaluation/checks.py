"""What the reader of a backtest must know: does it hold, and does it beat the baselines."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from clvmodels.evaluation.baselines import LABELS, POINT
from clvmodels.evaluation.metrics import METRIC_LABELS
from clvmodels.verdict import Check, Status

_NAMES: Final = {"purchases": "purchases", "value": "discounted value"}


def total_check(totals: pd.DataFrame, target: str, interval: float) -> Check:
    """Whether the real total lies in the predictive interval of the total."""
    name = f"total {_NAMES[target]} in the holdout"
    row = _row(totals, target, interval)
    actual, lower, upper = row["actual"], row["lower"], row["upper"]
    text = (
        f"{row['forecast']:,.0f} were forecast where {actual:,.0f} came "
        f"({_signed(row['forecast'], actual)})"
    )
    band = f"the {interval:.0%} predictive interval of the total, {lower:,.0f} to {upper:,.0f}"
    if lower <= actual <= upper:
        return Check(name, actual, None, "pass", f"{text}, inside {band}.")
    limit = upper if actual > upper else lower
    return Check(
        name,
        actual,
        limit,
        "warn",
        f"{text}, outside {band}. A season, a trend or a process unlike the model's moves all "
        "customers at once, and the interval knows of none of these.",
    )


def coverage_check(coverage: pd.DataFrame, target: str, interval: float) -> Check:
    """Whether customers' predictive intervals hold as often as they say."""
    name = f"coverage of {interval:.0%} intervals of customers' {_NAMES[target]}"
    row = _row(coverage, target, interval)
    said = f"{row['coverage']:.1%} of the intervals hold, {interval:.0%} should"
    if row["upper"] < interval:
        return Check(
            name, row["coverage"], interval, "warn", f"{said}: they are too narrow for this base."
        )
    return Check(name, row["coverage"], interval, "pass", f"{said}.")


def baseline_check(metrics: pd.DataFrame, target: str) -> Check:
    """Whether a forecast without a model is better than the model, and where."""
    mine = metrics[metrics["target"] == target]
    compared = mine[mine["model_is"] != ""]
    lost = compared[compared["model_is"] == "worse"]
    name = f"{_NAMES[target]}: comparisons with baselines that are lost"
    if not len(lost):
        won = int((compared["model_is"] == "better").sum())
        said = f"{won} of {len(compared)} are won beyond chance, the others are open."
        return Check(name, 0.0, 0.0, "pass", said)
    others = lost[lost["forecast"] != POINT]
    listed = [_lost(row, mine) for row in others.to_dict("records")]
    own = len(lost) - len(others)
    listed += [f"{own} to the model's own point estimate"] if own else []
    said = f"{len(lost)} of {len(compared)} comparisons are lost: {'; '.join(listed)}."
    return Check(name, float(len(lost)), 0.0, "warn", said)


def training_check(tracking: pd.DataFrame, interval: float) -> Check:
    """Whether the model reproduces the number of purchases that it was fitted to."""
    name = "repeat purchases in the calibration"
    last = tracking[tracking["part"] == "train"].iloc[-1]
    actual, lower, upper = (last[f"cumulative_{n}"] for n in ("actual", "lower", "upper"))
    text = (
        f"{last['cumulative_expected']:,.0f} are expected of customers like these, "
        f"{interval:.0%} band {lower:,.0f} to {upper:,.0f}, and there are {actual:,.0f}"
    )
    if lower <= actual <= upper:
        return Check(name, float(actual), None, "pass", f"{text}.")
    limit = float(upper if actual > upper else lower)
    return Check(name, float(actual), limit, "warn", f"{text}: the model does not fit this base.")


def worst(checks: tuple[Check, ...]) -> Status:
    """Return the worst status of all checks."""
    order: tuple[Status, ...] = ("unavailable", "pass", "warn", "fail")
    return max((check.status for check in checks), key=order.index, default="unavailable")


def _row(table: pd.DataFrame, target: str, level: float) -> dict[str, Any]:
    found = table[(table["target"] == target) & (table["level"] == level)]
    return {str(name): value for name, value in found.iloc[0].to_dict().items()}


def _lost(row: dict[Any, Any], table: pd.DataFrame) -> str:
    same = table[(table["metric"] == row["metric"])]
    model = same["value"].iloc[0]
    return (
        f"{METRIC_LABELS[row['metric']]} {model:.4g} against {row['value']:.4g} of the "
        f"{LABELS[row['forecast']]}"
    )


def _signed(value: float, truth: float) -> str:
    return "nothing to compare" if truth == 0 else f"{value / truth - 1.0:+.1%}"
