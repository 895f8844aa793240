"""What living customers will buy, for every draw: interpolated in T where that is cheaper.

Purchases of a customer alive at T depend on x and T only. Where their family says that
they are analytic in u = ln(c + T), with singularities so far off the real axis at least,
Chebyshev interpolation in u converges geometrically at a known rate, for all draws at the
same nodes; the rate gives the number of nodes for full accuracy. Nodes reach down to the least
T that an x has, or to somewhat less: who has bought twenty times is not of yesterday, and what
the young would buy who had done so is dear to compute, and far from all that is asked for.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import batched, groupby
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.calendar import Parts, by_parts
from clvmodels.forecast.draws import Draws
from clvmodels.forecast.serving import Serving
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import plain
from clvmodels.schema import FloatArray

# Truncation error aimed at, relative: eps times what the function grows by off the axis.
_TOLERANCE: Final = 1e-15
_LEAST_NODES: Final = 8
_SHORTER: Final = 0.75 ** np.arange(8)  # shares of the range of u from its upper end down
_TOGETHER: Final = 16  # x that are evaluated at the same nodes at a time
_MOST_BYTES: Final = 256 * 2**20  # of the values at nodes that are kept from batch to batch

Values = tuple[FloatArray, ...]  # purchases, those discounted, and time alive where asked for
Wanted = Sequence[tuple[float, int]]
Mapper = Callable[[Callable[[Wanted], list[Values]], Iterable[Wanted]], Iterable[list[Values]]]


@dataclass(frozen=True, slots=True)
class Nodes:
    """Chebyshev's points of a range of u = ln(shift + T).

    Attributes
    ----------
    shift, middle, half : float
    angles : ndarray
        One for each.
    """

    shift: float
    middle: float
    half: float
    angles: FloatArray

    @classmethod
    def between(cls, shift: float, low: float, high: float, width: float) -> Nodes:
        """As many as it takes from u = low to high, with singularities this far off the axis."""
        half = max((high - low) / 2.0, 1e-3)
        reach = width / half
        rate = reach + math.hypot(reach, 1.0)
        count = max(math.ceil(-math.log(_TOLERANCE) / math.log(rate)), _LEAST_NODES)
        return cls(shift, (low + high) / 2.0, half, np.pi * (np.arange(count) + 0.5) / count)

    @property
    def T(self) -> FloatArray:
        """Where they are; they fall."""
        T = np.exp(self.middle + self.half * np.cos(self.angles)) - self.shift
        return np.asarray(np.maximum(T, 0.0))  # rounding, where the least T is 0

    def blend(self, T: FloatArray) -> FloatArray:
        """Weights of the nodes' values for each T, shape (len(T), nodes)."""
        t = (np.log(self.shift + T) - self.middle) / self.half
        gap = t[:, None] - np.cos(self.angles)
        sign = (-1.0) ** np.arange(len(self.angles)) * np.sin(self.angles)
        hit = gap == 0.0
        share = sign / np.where(hit, 1.0, gap)
        share /= share.sum(axis=1, keepdims=True)
        on_node = hit.any(axis=1)
        share[on_node] = hit[on_node]
        return np.asarray(share)


@dataclass(frozen=True, slots=True)
class Whole:
    """What is known of a base before its first batch.

    Attributes
    ----------
    span : tuple of float
        Least and greatest T of all batches.
    batches : int
        How many there are, about as large: what is worth computing for all of them.
    x, youngest : ndarray, shape (X,)
        Some numbers of purchases, ascending and without strata, and the least T of all who
        have them, so that every batch takes the same nodes.
    """

    span: tuple[float, float]
    batches: int = 1
    x: FloatArray = field(default_factory=lambda: np.empty(0))
    youngest: FloatArray = field(default_factory=lambda: np.empty(0))

    def least(self, x: FloatArray, T: FloatArray) -> FloatArray:
        """Least T of all batches for each x; T, a batch's, where it is not known."""
        if not len(self.x):
            return T
        bought = plain(x)
        at = np.minimum(np.searchsorted(self.x, bought), len(self.x) - 1)
        return np.where(self.x[at] == bought, np.minimum(self.youngest[at], T), T)


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
    serving : Serving, optional
        Discounted time alive is then there too, after the purchases.

    All values are of shape (number, K S), the phases one after the other.
    """

    def __init__(
        self, draws: Draws, due: Due, span: tuple[float, float], serving: Serving | None = None
    ) -> None:
        self._draws, self._due, self._span, self._serving = draws, due, span, serving
        ends = np.array([due.horizon])
        self._parts = Parts.of(due, ends) if due.calendar and np.isfinite(ends[0]) else None
        self._known: dict[tuple[float, int], Values] = {}
        self._room = _MOST_BYTES // (16 * draws.formulas.phases * draws.count)
        self._now: dict[float, int] = {}
        strip = draws.formulas.strip(draws.purchases)
        self._nodes: list[Nodes] = []
        self._least = np.zeros(0)
        if strip is not None:
            shift, width = strip
            low, high = (math.log(shift + T) for T in span)
            begin = high - (high - low) * _SHORTER
            self._nodes = [Nodes.between(shift, float(u), high, width) for u in begin]
            self._least = np.maximum(np.exp(begin) - shift, span[0])

    def covers(self, low: float, high: float) -> bool:
        """Whether these T lie in the span."""
        return self._span[0] <= low and high <= self._span[1]

    def enough(self, least: FloatArray) -> npt.NDArray[np.int64]:
        """How many nodes an x has whose least T is this: with more T it is interpolated."""
        if not self._nodes:
            return np.full(len(least), sys.maxsize)  # more than there can be
        counts = np.array([len(nodes.angles) for nodes in self._nodes])
        return np.asarray(counts[self._which(least)])

    def _which(self, least: FloatArray) -> npt.NDArray[np.int64]:
        """The last nodes that reach down to each T; the first ones reach down to the span's."""
        return np.maximum(np.searchsorted(self._least, least, side="right") - 1, 0)

    def _rows(self, wanted: Iterable[tuple[float, int]]) -> int:
        """How many nodes these x have together."""
        return sum(len(self._nodes[which].angles) for _, which in wanted)

    def fit(self, least: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether there is room for the nodes of x, the first first, whose least T are these."""
        return np.cumsum(self.enough(least)) <= self._room

    def chosen(self, least: FloatArray) -> list[Nodes]:
        """The nodes of x whose least T are these."""
        return [self._nodes[i] for i in self._which(least)]

    def prepare(self, counts: Sequence[float], least: FloatArray, run: Mapper) -> None:
        """Evaluate the nodes of these x down to their least T, if they are not known yet.

        Nodes are those of these customers alone, though others that reach further down may be
        known: numbers must not depend on which customers came before, since a run that is
        resumed begins in the middle.
        """
        which = self._which(least).tolist() if counts else []
        self._now = dict(zip(counts, which, strict=True))
        now = list(self._now.items())
        if self._rows({*self._known, *now}) > self._room:
            self._known = {one: self._known[one] for one in now if one in self._known}
        wanted = [one for one in now if one not in self._known]
        pieces = list(_together(wanted))
        for piece, found in zip(pieces, run(self._at_nodes, pieces), strict=True):
            self._known |= dict(zip(piece, found, strict=True))

    def nodes(self, x: float) -> Nodes:
        """The nodes of a prepared x."""
        return self._nodes[self._now[x]]

    def at_nodes(self, x: float) -> Values:
        """Values there, each of shape (nodes, K S)."""
        return self._known[x, self._now[x]]

    def exactly(self, x: FloatArray, T: FloatArray) -> Values:
        """Values at these x and T without interpolation, each of shape (len(x), K S)."""
        draws = self._draws
        if self._due.calendar:
            found: Values = by_parts(draws, x, T, self._due, self._parts)
        else:
            found = draws.formulas.living(x, T, draws.purchases, self._due).expect()
        if self._serving is not None:
            found = (*found, self._serving.if_alive(draws, x, T))
        flat = (len(x), self._draws.formulas.phases * self._draws.count)
        return tuple(one.reshape(flat) for one in found)

    def _at_nodes(self, piece: Wanted) -> list[Values]:
        """Values of some x at the same nodes, which cost less together."""
        T = self._nodes[piece[0][1]].T
        counts = np.array([x for x, _ in piece])
        found = self.exactly(np.repeat(counts, len(T)), np.tile(T, len(counts)))
        parts = (np.split(one, len(counts)) for one in found)
        return list(zip(*parts, strict=True))


def _together(wanted: Iterable[tuple[float, int]]) -> Iterator[list[tuple[float, int]]]:
    """Cut x and which nodes they want into pieces that want the same, in the order of x."""
    for _, alike in groupby(sorted(wanted, key=itemgetter(1, 0)), key=itemgetter(1)):
        yield from map(list, batched(alike, _TOGETHER))
