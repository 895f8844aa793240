"""Does a forecast put customers in the right order? Weighted, so that it can be bootstrapped.

Ties share their mean rank throughout, and a share of customers that ends within a tie
takes each of its members in part: the expectation over random orders of the tie. A
forecast that is the same for everybody therefore ranks like chance, whatever the order
of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Customers in the order of some values, ties together.

    Attributes
    ----------
    group : ndarray of int, shape (N,)
        Which of the distinct values each customer has, ascending.
    count : int
        Number of distinct values.
    """

    group: IntArray
    count: int

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Order:
        """Order customers by values, shape (N,)."""
        distinct, group = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
        return cls(group.astype(np.int64), len(distinct))

    def ranks_and_top(self, weights: FloatArray, share: float) -> tuple[FloatArray, FloatArray]:
        """Rank customers, where weights count copies of each.

        Returns
        -------
        ranks : ndarray, shape (N,)
            Mean rank of each customer's value; 1 is the smallest.
        top : ndarray, shape (N,)
            Which part of each customer is among the top share, between 0 and 1.
        """
        return _ranks_and_top(self.group, self.count, weights, share)


@compiled
def _ranks_and_top(
    group: IntArray, count: int, weights: FloatArray, share: float
) -> tuple[FloatArray, FloatArray]:
    """Go through the customers twice: weigh the groups, then hand their ranks back."""
    own, rank, part = np.zeros(count), np.empty(count), np.zeros(count)
    for i in range(group.size):
        own[group[i]] += weights[i]
    above = (1.0 - share) * own.sum()
    up_to = 0.0
    for g in range(count):
        up_to += own[g]
        rank[g] = up_to - own[g] + (own[g] + 1.0) / 2.0
        if own[g] > 0.0:
            part[g] = min(max((up_to - above) / own[g], 0.0), 1.0)
    ranks, top = np.empty(group.size), np.empty(group.size)
    for i in range(group.size):
        ranks[i], top[i] = rank[group[i]], part[group[i]]
    return ranks, top


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What happened, ranked under some weights once for all forecasts.

    Attributes
    ----------
    actual, weights, ranks, top : ndarray, shape (N,)
    share : float
        Of customers that ``top`` is about.
    """

    actual: FloatArray
    weights: FloatArray
    ranks: FloatArray
    top: FloatArray
    share: float

    @classmethod
    def of(cls, actual: FloatArray, order: Order, weights: FloatArray, share: float) -> Truth:
        """Rank what happened."""
        return cls(actual, weights, *order.ranks_and_top(weights, share), share)


def spearman(truth: Truth, ranks: FloatArray) -> float:
    """Correlation of ranks; NaN where all are equal."""
    w = truth.weights
    middle = (w.sum() + 1.0) / 2.0
    one, two = ranks - middle, truth.ranks - middle
    spread = float(np.sqrt(_sum(w, one, one) * _sum(w, two, two)))
    return _sum(w, one, two) / spread if spread > 0 else float("nan")


def normalised_gini(truth: Truth, ranks: FloatArray) -> float:
    """Gini of what happened in the order of the forecast, over that in its own order.

    1 where the forecast orders customers as what they did does, 0 for chance; NaN where
    all did the same.
    """
    w, middle = truth.weights, (truth.weights.sum() + 1.0) / 2.0
    perfect = _sum(w, truth.actual, truth.ranks - middle)
    return _sum(w, truth.actual, ranks - middle) / perfect if perfect > 0 else float("nan")


def top_found(truth: Truth, top: FloatArray) -> float:
    """Share of the true top customers who are among the forecast's top; chance is the share."""
    w = truth.weights
    return _sum(w, top, truth.top) / (truth.share * float(w.sum()))


@compiled_sum
def _sum(one: FloatArray, two: FloatArray, three: FloatArray) -> float:
    """Sum of products, hundreds of thousands of times in a bootstrap: nothing is allocated."""
    total = 0.0
    for i in range(one.size):
        total += one[i] * two[i] * three[i]
    return total
