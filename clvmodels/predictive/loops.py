"""Compiled loops over distributions that lie one after the other in one array."""

from __future__ import annotations

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.predictive.base import IntArray
from clvmodels.schema import FloatArray


@compiled
def quantiles_of_counts(survival: FloatArray, start: IntArray, tails: FloatArray) -> FloatArray:
    """Least n with P(count >= n + 1) <= tail, for every tail and history, shape (K, H)."""
    out = np.empty((tails.size, start.size - 1))
    for h in range(start.size - 1):
        for j in range(tails.size):
            low, high = start[h], start[h + 1]
            while low < high:
                middle = (low + high) // 2
                if survival[middle] <= tails[j]:
                    high = middle
                else:
                    low = middle + 1
            out[j, h] = low - start[h]
    return out


@compiled
def moments_of_counts(survival: FloatArray, start: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of every history: sums of P(count >= n) and (2n - 1) P(count >= n)."""
    mean, variance = np.empty(start.size - 1), np.empty(start.size - 1)
    for h in range(start.size - 1):
        first, second = 0.0, 0.0
        for i in range(start[h + 1] - 1, start[h] - 1, -1):  # the small ones first
            first += survival[i]
            second += (2.0 * (i - start[h]) + 1.0) * survival[i]
        mean[h], variance[h] = first, second - first * first
    return mean, variance


@compiled
def crps_of_counts(
    survival: FloatArray, start: IntArray, history: IntArray, y: FloatArray
) -> FloatArray:
    """Sum over n of (P(count <= n) - [y <= n])^2, of every row."""
    out = np.empty(y.size)
    for i in range(y.size):
        begin, end = start[history[i]], start[history[i] + 1]
        total = max(y[i] - (end - begin), 0.0)
        for n in range(end - begin):
            above = survival[begin + n]  # P(count > n)
            gap = above if n >= y[i] else 1.0 - above
            total += gap * gap
        out[i] = total
    return out
