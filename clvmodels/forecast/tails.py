"""Quantiles of many short arrays that look alike: select, do not sort.

Successive rows have nearly the same standardised quantiles, so a guess from the row
before leaves few candidates. Of each of these it is counted how many are smaller: that has
no branches to mispredict, and takes a third of the time of selecting among them. The guess
decides the speed and never the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

_MOST_COUNTED: Final = 128  # candidates up to which to count is quicker than to select
_TOGETHER: Final = 32  # that are compared in one go, whatever the processor


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a quantile lies among S sorted numbers, counted from its own end.

    Attributes
    ----------
    rank : int
        It lies between the numbers of rank and rank + 1, from 0.
    share : float
        How far on from the one to the other.
    """

    rank: int
    share: float


def tail_of(probability: float, count: int) -> Tail:
    """Place of a lower quantile, linear between order statistics as in NumPy."""
    position = probability * (count - 1)
    rank = min(int(position), max(count - 2, 0))
    return Tail(rank, position - rank)


@compiled
def select(numbers: FloatArray, count: int, rank: int) -> float:
    """Number of this rank among the first ``count``, with all smaller ones before it."""
    low, high = 0, count - 1
    while low < high:
        pivot = numbers[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while numbers[i] < pivot:
                i += 1
            while numbers[j] > pivot:
                j -= 1
            if i <= j:
                numbers[i], numbers[j] = numbers[j], numbers[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return float(numbers[rank])


@compiled
def _order_statistics(numbers: FloatArray, count: int, rank: int) -> tuple[float, float]:
    """Numbers of this rank and of the next among the first ``count``, which may be reordered."""
    lower, upper = -np.inf, -np.inf
    if count > _MOST_COUNTED:
        lower, upper = select(numbers, count, rank), np.inf
        for d in range(rank + 1, count):
            upper = min(upper, numbers[d])
        return lower, upper
    end = min(-(-count // _TOGETHER) * _TOGETHER, numbers.size)
    numbers[count:end] = np.inf
    for d in range(count):
        value, smaller = numbers[d], 0
        for e in range(end):
            smaller += numbers[e] < value
        if smaller <= rank:
            lower = max(lower, value)
        if smaller <= rank + 1:
            upper = max(upper, value)
    return lower, upper


@compiled
def tail_quantile(
    values: FloatArray, sign: float, rank: int, share: float, guess: float, work: FloatArray
) -> tuple[float, float]:
    """Quantile in the lower tail of sign * values.

    Parameters
    ----------
    values : ndarray, shape (S,)
        Not changed; S > rank + 1.
    sign : {1.0, -1.0}
        -1 for the upper tail of the values.
    rank, share
        A `Tail`.
    guess : float
        Of the upper one of the two order statistics, rather above than below it.
    work : ndarray, shape (S,)

    Returns
    -------
    quantile : float
        Of sign * values.
    upper : float
        The upper one of the two order statistics.
    """
    count = 0
    for d in range(values.size):
        value = sign * values[d]
        work[count] = value
        count += value <= guess
    if count < rank + 2:
        count = values.size
        for d in range(count):
            work[d] = sign * values[d]
    lower, upper = _order_statistics(work, count, rank)
    return lower + share * (upper - lower), upper
