"""From forecasts and what happened to metrics with bootstrap intervals over customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from clvmodels.evaluation import losses
from clvmodels.evaluation.ranking import RANK_METRICS, IntArray, Order, Ranking
from clvmodels.schema import FloatArray

Better = Literal["low", "high", "zero"]

TOP: Final = 0.1
GROUPS: Final = 10
LEVELS: Final = (0.5, 0.8, 0.9, 0.95)
# Metric -> what is better; "zero" compares absolute values.
METRICS: Final[dict[str, Better]] = {
    "bias": "zero",
    "mae": "low",
    "rmse": "low",
    "poisson_deviance": "low",
    "crps": "low",
    "log_score": "high",
    "spearman": "high",
    "gini": "high",
    "top_found": "high",
}
SHARES: Final = ("bias", "top_found")
"""Metrics that are shares, and are read in percent."""
METRIC_LABELS: Final = {
    "bias": "error of the total",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "poisson_deviance": "mean Poisson deviance",
    "crps": "continuous ranked probability score",
    "log_score": "mean log score",
    "spearman": "Spearman's rank correlation",
    "gini": "normalised Gini",
    "top_found": "share of the true top 10 % found",
}
_BLOCK_CELLS: Final = 4_000_000
# A real total is added up in another order than an interval's end.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One thing that was forecast: purchases, or value.

    Attributes
    ----------
    name : {"purchases", "value"}
    actual : ndarray, shape (N,)
        What happened.
    forecasts : mapping of str to ndarray, shape (N,)
        By name of the forecast; the first is the model.
    crps : ndarray, shape (N,), or None
        Of the model's predictive distribution.
    log_score : ndarray, shape (N,), or None
        Log probability that it gave to what happened; counts only.
    lower, upper : mapping of float to ndarray, shape (N,)
        Ends of its equal-tailed predictive intervals, by level.
    who : ndarray of bool, shape (customers,), or None
        Which customers of the base the N are; None where they are all. Who has no finite
        expected value is not among those whose value was forecast.
    """

    name: str
    actual: FloatArray = field(repr=False)
    forecasts: Mapping[str, FloatArray] = field(repr=False)
    crps: FloatArray | None = field(default=None, repr=False)
    log_score: FloatArray | None = field(default=None, repr=False)
    lower: Mapping[float, FloatArray] = field(default_factory=dict, repr=False)
    upper: Mapping[float, FloatArray] = field(default_factory=dict, repr=False)
    who: npt.NDArray[np.bool_] | None = field(default=None, repr=False)

    def in_base(self, values: FloatArray) -> FloatArray:
        """Put values of the N in the rows of the base, NaN in the others."""
        if self.who is None:
            return values
        rows = np.full(len(self.who), np.nan)
        rows[self.who] = values
        return rows

    @property
    def model(self) -> str:
        """The forecast that the others are compared with."""
        return next(iter(self.forecasts))


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """Statistics over all customers and over bootstrap samples of them.

    Attributes
    ----------
    metric : mapping of (forecast, metric) to ndarray, shape (B + 1,)
        The first entry is of the customers as they are.
    coverage, width : mapping of float to ndarray, shape (B + 1,)
        Of the model's predictive intervals, by level.
    groups : mapping of str to ndarray of int, shape (N,)
        By forecast, customers in the order of it, in groups of equal size.
    group_means : mapping of str to ndarray, shape (B + 1, groups)
        What happened in those groups; NaN in samples that have nobody of a group.
    """

    metric: Mapping[tuple[str, str], FloatArray]
    coverage: Mapping[float, FloatArray]
    width: Mapping[float, FloatArray]
    groups: Mapping[str, IntArray]
    group_means: Mapping[str, FloatArray]


def weights(kind: IntArray, samples: int, seed: int) -> Iterator[FloatArray]:
    """Yield how many customers of each kind are in each sample, block by block of samples.

    The first row is of the customers as they are. The rows do not depend on how many come
    in one block, nor the samples on what are kinds.

    Parameters
    ----------
    kind : ndarray of int, shape (N,)
        Of each customer, from 0 on.
    samples, seed : int

    Yields
    ------
    ndarray, shape (rows, kinds)
    """
    rng = np.random.default_rng(seed)
    customers, kinds = len(kind), int(kind.max()) + 1
    rows = max(_BLOCK_CELLS // kinds, 1)
    for begin in range(0, samples + 1, rows):
        block = np.empty((min(rows, samples + 1 - begin), kinds))
        for i in range(len(block)):
            everybody = begin + i == 0
            picked = kind if everybody else kind[rng.integers(customers, size=customers)]
            block[i] = np.bincount(picked, minlength=kinds)
        yield block


def replicate(target: Target, *, samples: int, seed: int) -> Replicates:
    """Compute every metric of every forecast, for the customers and for samples of them."""
    groups = {name: calibration_groups(f) for name, f in target.forecasts.items()}
    kind, one = _kinds(target, groups)
    names, columns = _columns(target)
    finite, endless = np.nan_to_num(columns[one], posinf=0.0), np.isposinf(columns[one])
    ranking = Ranking(
        target.actual[one],
        [f[one] for f in target.forecasts.values()],
        [group[one] for group in groups.values()],
        TOP,
    )
    means, ranked = [], []
    for block in weights(kind, samples, seed):
        block_means = block @ finite / len(target.actual)
        if endless.any():
            block_means[block @ endless > 0] = np.inf
        means.append(block_means)
        ranked.append(ranking.under(block))
    by_name = dict(zip(names, np.concatenate(means).T, strict=True))
    by_rank = np.concatenate([found.metrics for found in ranked], axis=2)
    by_group = np.concatenate([found.group_means for found in ranked], axis=1)
    return _assemble(target, by_name, by_rank, groups, by_group)


def _kinds(target: Target, groups: Mapping[str, IntArray]) -> tuple[IntArray, IntArray]:
    """Customers of whom all is the same, as of most who bought once: nothing is done twice.

    Returns
    -------
    kind : ndarray of int, shape (N,)
    one : ndarray of int, shape (kinds,)
        A customer of each.
    """
    parts = [target.actual, *target.forecasts.values(), *groups.values()]
    parts += [*target.lower.values(), *target.upper.values()]
    return kinds_of([*parts, *(p for p in (target.crps, target.log_score) if p is not None)])


def kinds_of(parts: Sequence[npt.NDArray[Any]]) -> tuple[IntArray, IntArray]:
    """Rows of whom all is the same: of which kind each is, and one of each, as `_kinds`."""
    import pandas as pd

    kind = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        value, _ = pd.factorize(part, use_na_sentinel=False)
        kind, _ = pd.factorize(kind * (value.max() + 1) + value)
    return kind, np.unique(kind, return_index=True)[1]


def _columns(target: Target) -> tuple[list[tuple[str, str]], FloatArray]:
    """Per-customer terms, one column each, under (forecast, term)."""
    y = target.actual
    found: dict[tuple[str, str], FloatArray] = {("", "actual"): y}
    for name, f in target.forecasts.items():
        found[name, "mean"] = f
        found[name, "mae"] = losses.absolute_error(f, y)
        found[name, "rmse"] = losses.squared_error(f, y)
        found[name, "poisson_deviance"] = losses.poisson_deviance(f, y)
    if target.crps is not None:
        found[target.model, "crps"] = target.crps
    if target.log_score is not None:
        found[target.model, "log_loss"] = -target.log_score
    for level, lower in target.lower.items():
        upper = target.upper[level]
        slack = _ROUNDING * np.maximum(np.abs(y), 1.0)
        found[f"{level}", "coverage"] = losses.covered(y, lower, upper, slack=slack)
        found[f"{level}", "width"] = upper - lower
    return list(found), np.column_stack(list(found.values()))


def _assemble(
    target: Target,
    means: Mapping[tuple[str, str], FloatArray],
    ranks: FloatArray,
    groups: Mapping[str, IntArray],
    group_means: FloatArray,
) -> Replicates:
    actual = means["", "actual"]
    nothing = np.full(len(actual), np.nan)
    metric: dict[tuple[str, str], FloatArray] = {}
    for name, by_rank in zip(target.forecasts, ranks, strict=True):
        metric |= {(name, rank): found for rank, found in zip(RANK_METRICS, by_rank, strict=True)}
        with np.errstate(divide="ignore", invalid="ignore"):
            metric[name, "bias"] = means[name, "mean"] / actual - 1.0
        metric[name, "mae"] = means[name, "mae"]
        metric[name, "rmse"] = np.sqrt(means[name, "rmse"])
        metric[name, "poisson_deviance"] = means[name, "poisson_deviance"]
        # a point forecast's CRPS is its absolute error
        point = nothing if name == target.model else means[name, "mae"]
        metric[name, "crps"] = means.get((name, "crps"), point)
        metric[name, "log_score"] = -means.get((name, "log_loss"), nothing)
    levels = list(target.lower)
    return Replicates(
        metric,
        {level: means[f"{level}", "coverage"] for level in levels},
        {level: means[f"{level}", "width"] for level in levels},
        groups,
        {
            name: means[:, : group.max() + 1]
            for (name, group), means in zip(groups.items(), group_means, strict=True)
        },
    )


def bounds(values: FloatArray, interval: float) -> tuple[float, float]:
    """Percentile interval of bootstrap values, shape (B + 1,), whose first is not a sample.

    Of samples in which a metric is not defined there is none: NaN.
    """
    samples = values[1:]
    if not len(samples) or np.isnan(samples).any():
        return float("nan"), float("nan")
    tails = [(1.0 - interval) / 2.0, (1.0 + interval) / 2.0]
    # picks values of samples, so that infinite ones do no harm
    lower, upper = np.quantile(samples, tails, method="inverted_cdf")
    return float(lower), float(upper)


def metric_rows(
    target: Target, found: Replicates, interval: float, metrics: Sequence[str] = tuple(METRICS)
) -> list[dict[str, object]]:
    """Rows of the table of metrics; `clvmodels.evaluation.Backtest` documents it."""
    rows = []
    for metric in metrics:
        model = found.metric[target.model, metric]
        for name in target.forecasts:
            values = found.metric[name, metric]
            lower, upper = bounds(values, interval)
            row = {
                "target": target.name,
                "metric": metric,
                "forecast": name,
                "value": values[0],
                "lower": lower,
                "upper": upper,
            }
            rows.append(row | _difference(metric, model, values, interval, name == target.model))
    return rows


def _difference(
    metric: str, model: FloatArray, other: FloatArray, interval: float, itself: bool
) -> dict[str, object]:
    """How far the model is from a baseline, and whether that is better."""
    if itself:
        nothing = float("nan")
        return {
            "difference": nothing,
            "difference_lower": nothing,
            "difference_upper": nothing,
            "model_is": "",
        }
    better = METRICS[metric]
    one, two = (np.abs(model), np.abs(other)) if better == "zero" else (model, other)
    with np.errstate(invalid="ignore"):
        difference = one - two
    lower, upper = bounds(difference, interval)
    return {
        "difference": difference[0],
        "difference_lower": lower,
        "difference_upper": upper,
        "model_is": _judge(lower, upper, better),
    }


def _judge(lower: float, upper: float, better: Better) -> str:
    if lower != lower or upper != upper:
        return ""
    if better == "high":
        lower, upper = -upper, -lower
    if upper < 0:
        return "better"
    return "worse" if lower > 0 else "unclear"


def coverage_rows(target: Target, found: Replicates, interval: float) -> list[dict[str, object]]:
    """Rows of the table of coverage."""
    rows: list[dict[str, object]] = []
    for level, values in found.coverage.items():
        lower, upper = bounds(values, interval)
        width_lower, width_upper = bounds(found.width[level], interval)
        rows.append(
            {
                "target": target.name,
                "level": level,
                "coverage": values[0],
                "lower": lower,
                "upper": upper,
                "width": found.width[level][0],
                "width_lower": width_lower,
                "width_upper": width_upper,
            }
        )
    return rows


def calibration_rows(target: Target, found: Replicates, interval: float) -> list[dict[str, object]]:
    """Rows of the table of calibration."""
    rows: list[dict[str, object]] = []
    for name, group in found.groups.items():
        customers = np.bincount(group)
        expected = np.bincount(group, target.forecasts[name]) / customers
        for i, actual in enumerate(found.group_means[name].T):
            lower, upper = bounds(actual, interval)
            rows.append(
                {
                    "target": target.name,
                    "forecast": name,
                    "group": i + 1,
                    "customers": customers[i],
                    "expected": expected[i],
                    "actual": actual[0],
                    "actual_lower": lower,
                    "actual_upper": upper,
                }
            )
    return rows


def calibration_groups(forecast: FloatArray, groups: int = GROUPS) -> IntArray:
    """Groups of equal size in the order of a forecast, or one for each distinct value.

    Parameters
    ----------
    forecast : ndarray, shape (N,)
    groups : int
        How many; a forecast with no more distinct values than that is grouped by those.

    Returns
    -------
    ndarray of int, shape (N,)
        0 is the lowest.
    """
    order = Order.of(forecast)
    if order.count <= groups:
        return order.by_row()
    group = np.empty(len(forecast), dtype=np.int64)
    group[order.rows] = np.arange(len(forecast)) * groups // len(forecast)
    return group
