"""Purchases of a whole base, simulated week by week: the band around what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from clvmodels.evaluation.repeats import number_of_draws
from clvmodels.forecast.chunks import chunk_of, chunks
from clvmodels.forecast.draws import Draws
from clvmodels.forecast.futures import Walker, recorded
from clvmodels.forecast.grouping import Groups, IntArray, group_rows
from clvmodels.forecast.paths import Outcomes
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import Due
from clvmodels.machine import available_cores
from clvmodels.purchases.family import Family
from clvmodels.purchases.walks import Int32Array
from clvmodels.schema import FloatArray

_WINDOWS: Final = 16  # in which customers who start at different times are walked


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Customers from whom the simulation goes on.

    Attributes
    ----------
    x, t_x, T : ndarray, shape (N,)
        What each had done; zeros for customers who have just bought for the first time. x has
        their strata in it, where the model has covariates.
    start : ndarray, shape (N,)
        When that was, in units of time on a common clock.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    start: FloatArray


def simulate_counts(
    formulas: Family,
    parameters: Mapping[str, FloatArray],
    histories: Histories,
    edges: FloatArray,
    seed: int,
) -> FloatArray:
    """Simulate all customers' purchases once for every draw, and count them by interval.

    Parameters
    ----------
    formulas : Family
        Of the purchase model.
    parameters : mapping of str to ndarray, shape (S,)
        Draws by name.
    histories : Histories
        The customers.
    edges : ndarray, shape (K + 1,)
        Ends of the intervals (edges[k], edges[k + 1]] on the common clock.
    seed : int
        Each customer has a stream of its own in each draw, whoever else there is.

    Returns
    -------
    ndarray, shape (S, K)
        Purchases of all customers in each interval.
    """
    draws = Draws(parameters, None, formulas)
    shape = (number_of_draws(parameters), len(edges) - 1)
    one_each = Outcomes(*(np.zeros(shape[0]),) * 2, per_draw=1, seed=np.uint64(seed))

    def one(task: tuple[IntArray, Groups, int]) -> FloatArray:
        rows, groups, begin = task
        start, out = histories.start[rows].astype(np.float64), np.zeros(shape)
        due = Due(float(edges[-1] - start.min()))
        chunk = chunk_of(groups, begin, draws, due, np.zeros(len(rows)))
        nobody, alive = np.zeros(len(rows), dtype=np.int64), np.zeros((1, 1, shape[0]))
        for walks, who in Walker(chunk, one_each, rows.astype(np.uint64), nobody, alive).batches():
            again = recorded(chunk, walks)
            _count(again.draw, again.begin, again.bought, again.times, start[who.row], edges, out)
        return out

    with ThreadPoolExecutor(available_cores()) as pool:
        return np.asarray(sum(pool.map(one, _tasks(histories)), start=np.zeros(shape)))


def _tasks(histories: Histories) -> Iterator[tuple[IntArray, Groups, int]]:
    """Customers who start at about one time, so that few are followed beyond the last edge."""
    order = np.argsort(histories.start, kind="stable")
    windows = _WINDOWS if np.ptp(histories.start) else 1
    for rows in np.array_split(order, windows):
        if len(rows):
            groups = group_rows(histories.x[rows], histories.t_x[rows], histories.T[rows])
            yield from ((rows, groups, begin) for begin in chunks(groups))


@compiled
def _count(
    draw: Int32Array,
    begin: IntArray,
    bought: IntArray,
    times: FloatArray,
    start: FloatArray,
    edges: FloatArray,
    out: FloatArray,
) -> None:
    """Count the purchases of some paths, which come in order of time."""
    last = edges.size - 1
    for n in range(draw.size):
        k = np.searchsorted(edges, start[n], side="right") - 1
        for i in range(begin[n], begin[n] + bought[n]):
            when = start[n] + times[i]
            while k < last and edges[k + 1] < when:
                k += 1
            if k == last:
                break
            if k >= 0:
                out[draw[n], k] += 1.0
