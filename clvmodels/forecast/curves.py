"""What living customers will buy, for every draw: interpolated in T where that is cheaper.

Purchases of a customer alive at T depend on x and T only. Where their family says that
they are analytic in u = ln(c + T), with singularities so far off the real axis at least,
Chebyshev interpolation in u converges geometrically at a known rate, for all draws at the
same nodes; the rate gives the number of nodes for full accuracy.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from clvmodels.forecast.calendar import by_parts
from clvmodels.forecast.draws import Draws
from clvmodels.formulas.discounting import Due
from clvmodels.schema import FloatArray

# Truncation error aimed at, relative: eps times what the function grows by off the axis.
_TOLERANCE: Final = 1e-15
_LEAST_NODES: Final = 8
_MOST_KNOWN: Final = 1024  # x whose nodes are kept from batch to batch, at 0.25 MB each

Values = tuple[FloatArray, FloatArray]
Mapper = Callable[[Callable[[float], Values], Iterable[float]], Iterable[Values]]


class Curves:
    """Purchases of the living by draw, undiscounted and discounted, for x and T.

    Parameters
    ----------
    draws : Draws
        Of both models.
    due : Due
        Horizon and discounting.
    span : tuple of float
        Least and greatest T that will be asked for.

    Attributes
    ----------
    nodes : int
        An x with more distinct T than that is interpolated.

    All values are of shape (number, K S), the phases one after the other.
    """

    def __init__(self, draws: Draws, due: Due, span: tuple[float, float]) -> None:
        self._draws, self._due, self._span = draws, due, span
        self._known: dict[float, Values] = {}
        strip = draws.formulas.strip(draws.purchases)
        self.nodes = sys.maxsize  # more than there can be
        if strip is None:
            return
        self._shift, width = strip
        low, high = (math.log(self._shift + T) for T in span)
        self._middle, self._half = (low + high) / 2.0, max((high - low) / 2.0, 1e-3)
        reach = width / self._half
        rate = reach + math.hypot(reach, 1.0)
        self.nodes = max(math.ceil(-math.log(_TOLERANCE) / math.log(rate)), _LEAST_NODES)
        self._angles = np.pi * (np.arange(self.nodes) + 0.5) / self.nodes

    def covers(self, low: float, high: float) -> bool:
        """Whether these T lie in the span."""
        return self._span[0] <= low and high <= self._span[1]

    def blend(self, T: FloatArray) -> FloatArray:
        """Weights of the nodes' values for each T, shape (len(T), nodes)."""
        if self.nodes == sys.maxsize:
            return np.empty((len(T), 0))
        t = (np.log(self._shift + T) - self._middle) / self._half
        gap = t[:, None] - np.cos(self._angles)
        sign = (-1.0) ** np.arange(self.nodes) * np.sin(self._angles)
        hit = gap == 0.0
        share = sign / np.where(hit, 1.0, gap)
        share /= share.sum(axis=1, keepdims=True)
        on_node = hit.any(axis=1)
        share[on_node] = hit[on_node]
        return np.asarray(share)

    def prepare(self, counts: list[float], run: Mapper) -> None:
        """Evaluate the nodes of these x, if they are not known yet."""
        wanted = [x for x in counts if x not in self._known]
        if len(self._known) + len(wanted) > _MOST_KNOWN:
            self._known, wanted = {}, list(counts)
        self._known |= dict(zip(wanted, run(self._at_nodes, wanted), strict=True))

    def at_nodes(self, x: float) -> Values:
        """Values at the nodes of a prepared x, each of shape (nodes, K S)."""
        return self._known[x]

    def exactly(self, x: FloatArray, T: FloatArray) -> Values:
        """Values at these x and T without interpolation, each of shape (len(x), K S)."""
        draws = self._draws
        if self._due.calendar:
            purchases, discounted = by_parts(draws, x, T, self._due)
        else:
            purchases, discounted = draws.formulas.living(x, T, draws.purchases, self._due).expect()
        flat = (len(x), self._draws.formulas.phases * self._draws.count)
        return purchases.reshape(flat), discounted.reshape(flat)

    def _at_nodes(self, x: float) -> Values:
        T = np.exp(self._middle + self._half * np.cos(self._angles)) - self._shift
        T = np.maximum(T, 0.0)  # rounding, where the least T is 0
        return self.exactly(np.full(self.nodes, x), T)
