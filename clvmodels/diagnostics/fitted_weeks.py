"""Week by week over the time that was fitted: repeat purchases expected, and real ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.diagnostics.study import FEW_DRAWS, Study
from clvmodels.errors import SchemaError
from clvmodels.evaluation.simulated_weeks import Histories, simulate_counts
from clvmodels.evaluation.tracking import (
    STEP,
    Bands,
    bands,
    expected_of_new,
    repeats_between,
)
from clvmodels.log.purchases import collect_purchases
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.rfm.purchases_again import shared_customers
from clvmodels.schema import FREQUENCY, FloatArray, T

Numbers = npt.NDArray[Any]

_SAMPLE: Final = 20_000
_MOST_WEEKS: Final = 260


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Repeat purchases of the whole base by week, or by several weeks of a long log.

    Attributes
    ----------
    dates : list of str
        Last period of each, ISO.
    actual, expected : ndarray, shape (K,)
    bands : Bands
        Predictive; empty where nothing is uncertain.
    days : float
        Length of a period.
    other : str
        How the log differs from that of the table; "" where it has as many repeat purchases.
    """

    dates: list[str]
    actual: FloatArray
    expected: FloatArray
    bands: Bands
    days: float
    other: str


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

    Raises
    ------
    SchemaError
        None of the log's customers is in the table.
    """
    scaler = study.scale.time_scaler
    end = ordinal_of(study.rfm.observation_end, study.scale)
    first = end - np.rint(study.rfm.table[T].to_numpy() * scaler).astype(np.int64)
    step = STEP[study.scale.time_unit]
    span = max(end - int(first.min()), 1)
    step *= -(-span // (step * _MOST_WEEKS))
    edges = end - step * np.arange(-(-span // step), -1, -1)
    periods, other = _periods(study, end)
    draws = study.purchases.draws(FEW_DRAWS)
    time_of = study.purchases.metadata.time_of
    own = time_of(first), time_of(edges), study.columns.born
    expected = expected_of_new(study.purchases.formulas, draws, *own)
    band = Bands(*(np.empty(0) for _ in range(4)))
    if not study.purchases.certain:
        band = bands(_outcomes(study, *own, expected), study.question.interval)
    return Tracked(
        dates=[str(start_of(int(edge), study.scale).date()) for edge in edges[1:]],
        actual=repeats_between(edges, periods, first),
        expected=expected.mean(axis=0),
        bands=band,
        days=step * study.scale.days / scaler,
        other=other,
    )


def _periods(study: Study, end: int) -> tuple[Numbers, str]:
    """When the customers of the log bought, once for each and period; and whether it is another."""
    assert study.rfm.options is not None
    options = replace(study.rfm.options, end=end, segment_cols=())
    found = collect_purchases(study.log, options, study.id_map).table
    known, whose = shared_customers(study.rfm, found["customer"])
    if not known:
        raise SchemaError(
            f"The log is of other customers than the table ({whose}): pass the log that the table "
            "was made of."
        )
    repeats = int(study.rfm.table[FREQUENCY].to_numpy().sum())
    alike = len(found) - len(study.rfm) == repeats
    return np.asarray(found["period"].to_numpy()), "" if alike else whose


def _outcomes(
    study: Study, first: FloatArray, edges: FloatArray, kind: FloatArray, expected: FloatArray
) -> FloatArray:
    """Repeats that may happen, by draw and interval: expectation and chance.

    Chance is simulated for a sample of customers, and its deviation scaled to all of
    them: customers are independent given the parameters.
    """
    rng = np.random.default_rng(study.question.random_seed)
    chosen = np.arange(len(first))
    if len(first) > _SAMPLE:
        chosen = rng.choice(len(first), _SAMPLE, replace=False)
    formulas, draws = study.purchases.formulas, study.purchases.draws(FEW_DRAWS)
    nothing = np.zeros(len(chosen))
    counts = simulate_counts(
        formulas,
        draws,
        Histories(kind[chosen], nothing, nothing, first[chosen]),
        edges,
        study.question.random_seed,
    )
    deviation = counts - expected_of_new(formulas, draws, first[chosen], edges, kind[chosen])
    return np.asarray(expected + deviation * np.sqrt(len(first) / len(chosen)))
