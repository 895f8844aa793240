"""Week by week over the time that was fitted: repeat purchases expected, and real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.diagnostics.study import FEW_DRAWS, Study
from clvmodels.evaluation.paths import Histories, simulate_counts
from clvmodels.evaluation.tracking import STEP, new_along
from clvmodels.formulas.beta_geometric import BetaGeometric
from clvmodels.log.purchases import collect_purchases
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import FREQUENCY, FloatArray, T

Numbers = npt.NDArray[Any]

_SAMPLE: Final = 20_000
_MOST_WEEKS: Final = 260
_CELLS: Final = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Repeat purchases of the whole base by week, or by several weeks of a long log.

    Attributes
    ----------
    dates : list of str
        Last period of each, ISO.
    actual, expected, lower, upper : ndarray, shape (K,)
        The band is predictive, NaN where nothing is uncertain.
    cumulative_lower, cumulative_upper : ndarray, shape (K,)
    agrees : bool
        Whether the log has as many repeat purchases as the table.
    """

    dates: list[str]
    actual: FloatArray
    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    cumulative_lower: FloatArray
    cumulative_upper: FloatArray
    agrees: bool


def why_not_tracked(study: Study) -> str:
    """Why there is no tracking plot; "" where there is one."""
    if study.log is None:
        return "No log was given, so there is no tracking plot: pass log=, or --log."
    rfm = study.rfm
    if rfm.options is None or rfm.observation_end is None:
        return (
            "The table does not know how its log was read, so there is no tracking plot: make it "
            "with rfm_summary."
        )
    if rfm.has_id_map and study.id_map is None:
        return "The table was made with an id_map, which was not given: no tracking plot."
    return ""


def track(study: Study) -> Tracked:
    """Count the log's repeat purchases by week, and what the model expects of new customers.

    Expected are the repeat purchases of customers of whom only the first purchase is
    known, eq. 9 of Fader, Hardie & Lee (2005), summed over cohorts.
    """
    end = ordinal_of(study.rfm.observation_end, study.scale)
    ages = study.rfm.table[T].to_numpy()
    first = end - np.rint(ages * study.scale.time_scaler).astype(np.int64)
    start, customers = np.unique(first, return_counts=True)
    step = STEP[study.scale.time_unit]
    step *= -(-max(end - int(start[0]), 1) // (step * _MOST_WEEKS))
    edges = end - step * np.arange(-(-max(end - int(start[0]), 1) // step), -1, -1)
    actual, total = _actual(study, start, customers, edges, end)
    by_draw = _expected(study, start, customers, edges)
    simulated = _outcomes(study, first, edges, by_draw)
    bands = _bands(study, simulated)
    return Tracked(
        dates=[str(start_of(int(edge), study.scale).date()) for edge in edges[1:]],
        actual=actual,
        expected=by_draw.mean(axis=0),
        **bands,
        agrees=total == int(study.rfm.table[FREQUENCY].to_numpy().sum()),
    )


def _actual(
    study: Study, start: Numbers, customers: Numbers, edges: Numbers, end: int
) -> tuple[FloatArray, int]:
    """Repeat purchases by interval, and all of them: purchases less first ones."""
    assert study.rfm.options is not None
    options = replace(study.rfm.options, end=end, segment_cols=())
    periods = collect_purchases(study.log, options, study.id_map).table["period"].to_numpy()
    counts = np.bincount(_place(periods, edges), minlength=len(edges) - 1)
    counts = counts - np.bincount(_place(start, edges), customers, minlength=len(edges) - 1)
    return counts.astype(np.float64), len(periods) - int(customers.sum())


def _place(periods: Numbers, edges: Numbers) -> Numbers:
    """Which (edges[k], edges[k + 1]] each period lies in; the very first belongs to 0."""
    return np.clip(np.searchsorted(edges, periods, side="left") - 1, 0, len(edges) - 2)


def _expected(study: Study, start: Numbers, customers: Numbers, edges: Numbers) -> FloatArray:
    """Expected repeats by draw and interval, shape (S, K)."""
    ages = np.maximum(edges[:, None] - start, 0)
    distinct, inverse = np.unique(ages, return_inverse=True)
    draws = study.purchases.draws(FEW_DRAWS)
    rows = max(_CELLS // len(draws["r"]), 1)
    formulas, scaler = study.purchases.formulas, study.scale.time_scaler
    each = np.concatenate(
        [
            new_along(formulas, distinct[i : i + rows] / scaler, draws)
            for i in range(0, len(distinct), rows)
        ],
        axis=1,
    )
    place = inverse.reshape(ages.shape)
    reached = np.stack([each[:, row] @ customers for row in place], axis=1)
    return np.asarray(np.diff(reached, axis=1), dtype=np.float64)


def _outcomes(
    study: Study, first: Numbers, edges: Numbers, by_draw: FloatArray
) -> FloatArray | None:
    """Repeats that may happen, by draw and interval: expectation and chance.

    Chance is simulated for a sample of customers, and its deviation scaled to all of
    them: customers are independent given the parameters.
    """
    if study.purchases.certain or not isinstance(study.purchases.formulas, BetaGeometric):
        return None
    rng = np.random.default_rng(study.question.random_seed)
    chosen = first
    if len(first) > _SAMPLE:
        chosen = first[rng.choice(len(first), _SAMPLE, replace=False)]
    scaler = study.scale.time_scaler
    nothing = np.zeros(len(chosen))
    counts = simulate_counts(
        study.purchases.formulas,
        study.purchases.draws(FEW_DRAWS),
        Histories(nothing, nothing, nothing, chosen / scaler),
        edges / scaler,
        study.question.random_seed,
    )
    start, customers = np.unique(chosen, return_counts=True)
    deviation = counts - _expected(study, start, customers, edges)
    return np.asarray(by_draw + deviation * np.sqrt(len(first) / len(chosen)))


def _bands(study: Study, simulated: FloatArray | None) -> dict[str, FloatArray]:
    names = ("lower", "upper", "cumulative_lower", "cumulative_upper")
    if simulated is None:
        return dict.fromkeys(names, np.empty(0))
    tail = (1.0 - study.question.interval) / 2.0
    ends = np.quantile(simulated, [tail, 1.0 - tail], axis=0)
    sums = np.quantile(np.cumsum(simulated, axis=1), [tail, 1.0 - tail], axis=0)
    return dict(zip(names, (*ends, *sums), strict=True))
