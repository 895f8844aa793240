"""Week by week: what the model expects of the whole base, and what the base did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.interpolate import BarycentricInterpolator

from clvmodels.evaluation.fitting import FittedModel
from clvmodels.evaluation.observed import IntArray, Observed
from clvmodels.evaluation.repeats import number_of_draws, repeated
from clvmodels.evaluation.simulated_weeks import Histories, simulate_counts
from clvmodels.forecast import tail_probabilities
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import purchases_of
from clvmodels.purchases.family import Family
from clvmodels.rfm.periods import start_of
from clvmodels.schema import FloatArray, TimeUnit

# What a "week" is where time is counted otherwise, in periods
STEP: Final[dict[TimeUnit, int]] = {"h": 168, "D": 7, "W": 1, "M": 1}
_NODES: Final = 16  # twice what all logs at hand need for 1e-8, so that none needs more for 1e-9
_CELLS: Final = 2_000_000
_TRAIN, _HOLDOUT, _TOTAL = 0, 1, 3


# --- what backtests and the report of a log have in common ---


class Bands(NamedTuple):
    """Ends of predictive intervals, by week and of the sum so far, each of shape (K,)."""

    lower: FloatArray
    upper: FloatArray
    cumulative_lower: FloatArray
    cumulative_upper: FloatArray


def bands(simulated: FloatArray, interval: float) -> Bands:
    """Intervals of what may happen, shape (paths, K)."""
    tails = tail_probabilities(interval)
    each = np.quantile(simulated, tails, axis=0)
    return Bands(*each, *np.quantile(np.cumsum(simulated, axis=1), tails, axis=0))


def repeats_between(edges: IntArray, period: IntArray, first: IntArray) -> FloatArray:
    """Repeat purchases in each (edges[k], edges[k + 1]]: purchases less first ones.

    Parameters
    ----------
    edges : ndarray of int, shape (K + 1,)
    period : ndarray of int
        When something was bought, once for each customer.
    first : ndarray of int
        When each customer bought first.
    """

    def within(when: IntArray) -> FloatArray:
        place = np.searchsorted(edges, when, side="left") - 1
        inside = (place >= 0) & (place < len(edges) - 1)
        return np.bincount(place[inside], minlength=len(edges) - 1).astype(np.float64)

    return within(period) - within(first)


def expected_of_new(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    first: FloatArray,
    edges: FloatArray,
    kind: FloatArray | None = None,
) -> FloatArray:
    """Repeat purchases expected by week of customers of whom only the start is known.

    Summed over cohorts of the same first period, eq. 9 of Fader, Hardie & Lee (2005).

    Parameters
    ----------
    formulas, draws
        The purchase model, and its parameters by name, each of shape (S,).
    first : ndarray, shape (N,)
        When each customer bought first, in the draws' time (`Metadata.time_of`).
    edges : ndarray, shape (K + 1,)
        Ends of the weeks.
    kind : ndarray, shape (N,), optional
        Their strata (`clvmodels.formulas.strata`), where the model has covariates.

    Returns
    -------
    ndarray, shape (S, K)
    """
    kind = np.zeros(len(first)) if kind is None else kind
    each = [
        _of_one_kind(formulas, draws, first[kind == one], edges, one) for one in np.unique(kind)
    ]
    return np.asarray(sum(each), dtype=np.float64)


def _of_one_kind(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    first: FloatArray,
    edges: FloatArray,
    kind: float,
) -> FloatArray:
    start, customers = np.unique(first, return_counts=True)
    ages = np.maximum(edges[:, None] - start, 0.0)
    distinct, inverse = np.unique(ages, return_inverse=True)
    rows = max(_CELLS // number_of_draws(draws), 1)
    each = np.concatenate(
        [
            _new_along(formulas, distinct[i : i + rows], draws, kind)
            for i in range(0, len(distinct), rows)
        ],
        axis=1,
    )
    place = inverse.reshape(ages.shape)
    reached = np.stack([each[:, row] @ customers for row in place], axis=1)
    return np.asarray(np.diff(reached, axis=1), dtype=np.float64)


def _new_along(
    formulas: Family, ages: FloatArray, draws: Mapping[str, FloatArray], kind: float
) -> FloatArray:
    """Repeat purchases expected of a new customer up to every age, by draw: eq. 9."""
    alive = np.empty((formulas.phases, 1, number_of_draws(draws)))
    born = np.zeros(1)
    formulas.weights(born + kind, born, born, draws).fill(0, alive)
    bought = formulas.along(kind, born, ages, draws)
    return np.asarray(np.einsum("ps,psk->sk", alive[:, 0], bought[:, :, 0]))


# --- backtests ---


def tracking(
    observed: Observed,
    posterior: FittedModel,
    *,
    interval: float,
    draws: int,
    paths: int,
    seed: int,
) -> pd.DataFrame:
    """Repeat purchases by week, across calibration and holdout; see `Backtest.tracking`.

    Parameters
    ----------
    observed : Observed
        Customers and their purchases.
    posterior : CLVPosterior or purchase posterior
        Fitted to the calibration.
    interval : float
        Probability of the predictive band.
    draws : int
        Posterior draws for what is expected.
    paths : int
        Draws that are simulated, for the band.
    seed : int
        Of the simulation.
    """
    whose = purchases_of(posterior)
    before, after = _edges(observed)
    actual = _actual(observed, before), _actual(observed, after)
    time_of = whose.metadata.time_of
    new = _new(observed, whose)
    weeks = new.start, time_of(before), new.x
    expected = (
        expected_of_new(whose.formulas, whose.draws(draws), *weeks).mean(axis=0),
        expected_of_known(observed, whose, after, draws),
    )
    thinned = repeated(whose, paths)
    simulated = (
        simulate_counts(whose.formulas, thinned, new, time_of(before), seed + _TRAIN),
        simulate_counts(
            whose.formulas, thinned, _known(observed, whose), time_of(after), seed + _HOLDOUT
        ),
    )
    at_origin = float(actual[0].sum())
    parts = [
        _part("train", observed, before, actual[0], expected[0], simulated[0], 0.0, interval),
        _part(
            "holdout", observed, after, actual[1], expected[1], simulated[1], at_origin, interval
        ),
    ]
    return pd.concat(parts, ignore_index=True)


def total_purchases(
    observed: Observed, posterior: FittedModel, *, paths: int, seed: int
) -> FloatArray:
    """Draws of the total number of purchases in the holdout.

    A posterior with fewer draws than paths is gone through several times.
    """
    whose = purchases_of(posterior)
    ends = np.array([observed.span.train_end, observed.span.test_end])
    known, edges = _known(observed, whose), whose.metadata.time_of(ends)
    return simulate_counts(whose.formulas, repeated(whose, paths), known, edges, seed + _TOTAL)[
        :, 0
    ]


def _edges(observed: Observed) -> tuple[IntArray, IntArray]:
    """Last periods of the weeks, counted from the end of the calibration both ways."""
    span, step = observed.span, STEP[observed.scale.time_unit]
    first = int(observed.first.min())
    weeks = -(-(span.train_end - first) // step)
    before = span.train_end - step * np.arange(max(weeks, 1), -1, -1)
    after = np.append(np.arange(span.train_end, span.test_end, step), span.test_end)
    return before.astype(np.int64), after.astype(np.int64)


def _actual(observed: Observed, edges: IntArray) -> FloatArray:
    return repeats_between(edges, observed.period, observed.first)


def _new(observed: Observed, whose: PurchasePosterior) -> Histories:
    """The same customers when they came."""
    columns = columns_of(whose, observed.train, None)
    first, nothing = whose.metadata.time_of(observed.first), np.zeros(len(columns))
    return Histories(columns.born, nothing, nothing, first)


def _known(observed: Observed, whose: PurchasePosterior) -> Histories:
    columns = columns_of(whose, observed.train, None)
    now = whose.metadata.time_of(np.full(observed.customers, observed.span.train_end))
    return Histories(columns.kind, columns.t_x, columns.T, now)


def expected_of_known(
    observed: Observed, whose: PurchasePosterior, edges: IntArray, draws: int
) -> FloatArray:
    """Purchases expected by week of the customers as they were known at the first edge.

    The sum over customers is analytic in the length of time, so that beyond a few
    weeks it is interpolated, in ln(1 + s / mean T), at Chebyshev's points; both ends are
    among them, so that the whole holdout is exact.
    """
    own = whose.metadata.time_of(edges)
    lengths = own - own[0]
    if len(lengths) <= _NODES + 1:
        return np.diff([0.0, *_expected_within(observed, whose, lengths[1:], draws)])
    unit = max(float(columns_of(whose, observed.train, None).T.mean()), 1.0)
    reach = np.log1p(lengths / unit)
    points = reach[-1] * (1.0 - np.cos(np.pi * np.arange(_NODES + 1) / _NODES)) / 2.0
    within = np.append(unit * np.expm1(points[1:-1]), lengths[-1])
    nodes = [0.0, *_expected_within(observed, whose, within, draws)]
    curve = BarycentricInterpolator(points, nodes, rng=0)
    return np.diff(np.asarray(curve(reach), dtype=np.float64))


def _expected_within(
    observed: Observed, whose: PurchasePosterior, lengths: FloatArray, draws: int
) -> FloatArray:
    """Purchases expected of the whole base within lengths of time, mean over draws.

    All ages of one x, and all lengths, are points of one curve: see
    `clvmodels.formulas.along`.
    """
    columns, parameters = columns_of(whose, observed.train, None), whose.draws(draws)
    kinds, weight = np.unique(
        np.column_stack([columns.kind, columns.T, columns.t_x]), axis=0, return_counts=True
    )
    size = number_of_draws(parameters)
    total, rows = np.zeros(len(lengths)), max(_CELLS // (len(lengths) * size), 1)
    for x in np.unique(kinds[:, 0]):
        own = kinds[:, 0] == x
        T, which = np.unique(kinds[own, 1], return_inverse=True)
        alive = _living(whose, kinds[own], weight[own], which, parameters)
        for i in range(0, len(T), rows):
            part = slice(i, i + rows)
            if_alive = whose.formulas.along(float(x), T[part], lengths, parameters)
            total += np.einsum("psj,psjk->k", alive[:, :, part], if_alive)
    return total / size


def _living(
    whose: PurchasePosterior,
    kinds: FloatArray,
    weight: IntArray,
    which: IntArray,
    parameters: Mapping[str, Any],
) -> FloatArray:
    """Sum of P(alive, in phase) over the customers of one x and each T: shape (K, S, ages).

    ``kinds`` are distinct x, T and t_x in order of T; ``which`` is the place of each T.
    """
    x, T, t_x = kinds.T
    starts = np.flatnonzero(np.append(True, which[1:] != which[:-1]))
    count, rows = number_of_draws(parameters), max(_CELLS // len(kinds), 1)
    family = whose.formulas
    out = np.empty((family.phases, count, len(starts)))
    for i in range(0, count, rows):
        some = {name: values[i : i + rows] for name, values in parameters.items()}
        alive = np.empty((family.phases, len(kinds), number_of_draws(some)))
        family.weights(x, t_x, T, some).fill(0, alive)
        sums = np.add.reduceat(alive * weight[:, None], starts, axis=1)
        out[:, i : i + rows] = sums.swapaxes(1, 2)
    return out


def _part(
    name: str,
    observed: Observed,
    edges: IntArray,
    actual: FloatArray,
    expected: FloatArray,
    simulated: FloatArray,
    so_far: float,
    interval: float,
) -> pd.DataFrame:
    band = bands(simulated, interval)
    return pd.DataFrame(
        {
            "date": [start_of(int(edge), observed.scale) for edge in edges[1:]],
            "part": name,
            "days": np.diff(edges) * observed.scale.days / observed.scale.time_scaler,
            "actual": actual,
            "expected": expected,
            "lower": band.lower,
            "upper": band.upper,
            "cumulative_actual": so_far + np.cumsum(actual),
            "cumulative_expected": so_far + np.cumsum(expected),
            "cumulative_lower": so_far + band.cumulative_lower,
            "cumulative_upper": so_far + band.cumulative_upper,
        }
    )
