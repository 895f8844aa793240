"""Does a forecast put customers in the right order? Weighted, so that it can be bootstrapped.

Ties share their mean rank throughout, and a share of customers that ends within a tie
takes each of its members in part: the expectation over random orders of the tie. A
forecast that is the same for everybody therefore ranks like chance, whatever the order
of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.machine import available_cores
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]

RANK_METRICS: Final = ("spearman", "gini", "top_found")


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Customers in the order of some values, ties together.

    Attributes
    ----------
    rows : ndarray of int, shape (N,)
        The customers, from the lowest value up.
    level : ndarray of int, shape (N,)
        Which of the distinct values each of these has, ascending from 0.
    """

    rows: IntArray
    level: IntArray

    @classmethod
    def of(cls, values: npt.ArrayLike, *, within: IntArray | None = None) -> Order:
        """Order customers by values, shape (N,), and those of one value by ``within``."""
        values = np.asarray(values, dtype=np.float64)
        rows = np.lexsort((values,) if within is None else (within, values))
        return cls(rows, np.append(0, np.cumsum(np.diff(values[rows]) > 0)))

    @property
    def count(self) -> int:
        """Number of distinct values."""
        return int(self.level[-1]) + 1

    def by_row(self) -> IntArray:
        """Level of each customer, shape (N,)."""
        out = np.empty_like(self.level)
        out[self.rows] = self.level
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """How forecasts order customers under some weights.

    Attributes
    ----------
    metrics : ndarray, shape (F, 3, R)
        Of each forecast the `RANK_METRICS` under each row of weights: the correlation of
        ranks, NaN where all are equal; the Gini of what happened in the order of the
        forecast over that in its own order (1 where the forecast orders customers as what
        they did does, 0 for chance; NaN where all did the same); the share of the true top
        customers who are among the forecast's top (chance is the share).
    group_means : ndarray, shape (F, R, groups)
        What happened in groups of customers; NaN without any.
    """

    metrics: FloatArray
    group_means: FloatArray


class Ranking:
    """Orders of some forecasts and of what happened, made once for all weights.

    Parameters
    ----------
    actual : ndarray, shape (N,)
        What happened.
    forecasts : sequence of ndarray, shape (N,)
    groups : sequence of ndarray of int, shape (N,)
        For each forecast, which group each customer is in; groups ascend with it.
    share : float
        Of the customers who are the top.
    """

    def __init__(
        self,
        actual: FloatArray,
        forecasts: Sequence[FloatArray],
        groups: Sequence[IntArray],
        share: float,
    ) -> None:
        self._actual, self._truth, self._share = actual, Order.of(actual), share
        orders = [Order.of(f, within=group) for f, group in zip(forecasts, groups, strict=True)]
        self._rows = np.stack([order.rows for order in orders])
        self._level = np.stack([order.level for order in orders])
        self._group = np.stack([g[o.rows] for g, o in zip(groups, orders, strict=True)])

    def under(self, weights: FloatArray) -> Ranked:
        """Rank under rows of weights, shape (R, N), which count copies of each customer."""
        threads = min(available_cores(), len(weights))
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(self._under, np.array_split(weights, threads)))
        metrics, means = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Ranked(metrics.transpose(1, 2, 0), means.transpose(1, 0, 2))

    def _under(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        forecasts, groups = len(self._rows), int(self._group.max()) + 1
        metrics = np.empty((len(weights), forecasts, len(RANK_METRICS)))
        means = np.empty((len(weights), forecasts, groups))
        terms = np.empty((weights.shape[1], 4))
        for w, of_all, of_groups in zip(weights, metrics, means, strict=True):
            truth = _enter_truth(
                self._truth.rows, self._truth.level, self._actual, w, self._share, terms
            )
            for f in range(forecasts):
                own = self._rows[f], self._level[f], self._group[f]
                _compare(*own, terms, truth, self._share, of_all[f], of_groups[f])
        return metrics, means


@compiled
def _enter_truth(
    rows: IntArray,
    level: IntArray,
    actual: FloatArray,
    weights: FloatArray,
    share: float,
    terms: FloatArray,
) -> tuple[float, float, float]:
    """Rank what happened.

    Fills ``terms`` with weight and weight times rank (from the middle), times what
    happened and times the part that is in the top. Returns the sum of weights, the spread
    of ranks and the perfect concentration.
    """
    total = weights.sum()
    middle, above = (total + 1.0) / 2.0, (1.0 - share) * total
    up_to, spread, perfect, begin = 0.0, 0.0, 0.0, 0
    while begin < rows.size:
        own, end = 0.0, begin
        while end < rows.size and level[end] == level[begin]:
            own += weights[rows[end]]
            end += 1
        rank = up_to + (own + 1.0) / 2.0 - middle
        up_to += own
        top = min(max((up_to - above) / own, 0.0), 1.0) if own > 0.0 else 0.0
        y = actual[rows[begin]]
        spread += own * rank * rank
        perfect += own * rank * y
        for n in range(begin, end):
            w, term = weights[rows[n]], terms[rows[n]]
            term[0], term[1], term[2], term[3] = w, w * rank, w * y, w * top
        begin = end
    return total, spread, perfect


@compiled
def _compare(
    rows: IntArray,
    level: IntArray,
    group: IntArray,
    terms: FloatArray,
    truth: tuple[float, float, float],
    share: float,
    metrics: FloatArray,
    group_means: FloatArray,
) -> None:
    """Fill the metrics of a forecast, and what happened in groups, in one pass."""
    total, true_spread, perfect = truth
    middle, above = (total + 1.0) / 2.0, (1.0 - share) * total
    up_to, spread, together, concentrated, found = 0.0, 0.0, 0.0, 0.0, 0.0
    group_means[:] = np.nan
    own, by_rank, by_actual, by_top = 0.0, 0.0, 0.0, 0.0  # of the customers of one level
    members, happened = 0.0, 0.0  # of a group, which has its customers side by side
    for n in range(rows.size):
        term = terms[rows[n]]
        own += term[0]
        by_rank += term[1]
        by_actual += term[2]
        by_top += term[3]
        members += term[0]
        happened += term[2]
        if n + 1 == rows.size or group[n + 1] != group[n]:
            group_means[group[n]] = happened / members if members > 0.0 else np.nan
            members, happened = 0.0, 0.0
        if n + 1 < rows.size and level[n + 1] == level[n]:
            continue
        # A level of which a sample has nobody adds zeros: asking for it takes longer.
        rank = up_to + (own + 1.0) / 2.0 - middle
        up_to += own
        spread += own * rank * rank
        together += by_rank * rank
        concentrated += by_actual * rank
        if up_to > above:  # dividing for all takes as long as the rest
            found += by_top * min((up_to - above) / own, 1.0)
        own, by_rank, by_actual, by_top = 0.0, 0.0, 0.0, 0.0
    spread = np.sqrt(spread * true_spread)
    metrics[0] = together / spread if spread > 0.0 else np.nan
    metrics[1] = concentrated / perfect if perfect > 0.0 else np.nan
    metrics[2] = found / (share * total)
