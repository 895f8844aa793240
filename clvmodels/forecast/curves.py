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
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.calendar import Parts, by_parts
from clvmodels.forecast.draws import Draws
from clvmodels.forecast.grouping import IntArray
from clvmodels.forecast.serving import Serving
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import plain, stratum_of
from clvmodels.purchases.stratified import strip_of
from clvmodels.schema import FloatArray

# Truncation error aimed at, relative: eps times what the function grows by off the axis.
_TOLERANCE: Final = 1e-15
_LEAST_NODES: Final = 8
_SHORTER: Final = 0.75 ** np.arange(8)  # shares of the range of u from its upper end down
_TOGETHER: Final = 16  # x that are evaluated at the same nodes at a time
_MOST_BYTES: Final = 384 * 2**20  # of the values at nodes that are kept from batch to batch

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
        out = np.empty((len(T), len(self.angles)))
        sign = np.asarray((-1.0) ** np.arange(len(self.angles)) * np.sin(self.angles))
        _fill_blend(T, self.shift, self.middle, self.half, np.cos(self.angles), sign, out)
        return out


@compiled
def _fill_blend(
    T: FloatArray,
    shift: float,
    middle: float,
    half: float,
    places: FloatArray,
    sign: FloatArray,
    out: FloatArray,
) -> None:
    """Barycentric weights of Chebyshev's points (Berrut & Trefethen 2004, eq. 4.2 and 5.3)."""
    for i in range(T.size):
        t, total, hit = (math.log(shift + T[i]) - middle) / half, 0.0, -1
        for k in range(places.size):
            gap = t - places[k]
            hit = k if gap == 0.0 else hit
            out[i, k] = sign[k] / gap
            total += out[i, k]
        for k in range(places.size):
            on = 1.0 if k == hit else 0.0
            out[i, k] = on if hit >= 0 else out[i, k] / total


@dataclass(frozen=True, slots=True)
class Choice:
    """The nodes of one stratum, of which each reach down to an age of their own.

    Attributes
    ----------
    nodes : list of Nodes
        From the upper end of the span down to the least T of each; none where interpolation
        is not worth it.
    least : ndarray, shape (len(nodes),)
        The least T of each, ascending.
    """

    nodes: list[Nodes]
    least: FloatArray

    @classmethod
    def of(cls, strip: tuple[float, float] | None, span: tuple[float, float]) -> Choice:
        """Those of a stratum with this strip; see `Family.strip`."""
        if strip is None:
            return cls([], np.zeros(0))
        shift, width = strip
        low, high = (math.log(shift + T) for T in span)
        begin = high - (high - low) * _SHORTER
        nodes = [Nodes.between(shift, float(u), high, width) for u in begin]
        return cls(nodes, np.maximum(np.exp(begin) - shift, span[0]))

    def which(self, least: FloatArray) -> IntArray:
        """The last nodes that reach down to each T; the first ones reach down to the span's."""
        return np.maximum(np.searchsorted(self.least, least, side="right") - 1, 0)

    def counts(self, least: FloatArray) -> IntArray:
        """How many there are of those."""
        if not self.nodes:
            return np.full(len(least), sys.maxsize)  # more than there can be
        return np.array([len(nodes.angles) for nodes in self.nodes])[self.which(least)]


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


class Curved(NamedTuple):
    """Which x are interpolated.

    Attributes
    ----------
    x, least : ndarray, shape (X,)
        Ascending, and the least T of each.
    kept : ndarray of bool, shape (X,)
        Whether the values at its nodes are kept; they are else evaluated where they are needed.
    """

    x: FloatArray
    least: FloatArray
    kept: npt.NDArray[np.bool_]


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
        self._choices: dict[int, Choice] = {}

    def covers(self, low: float, high: float) -> bool:
        """Whether these T lie in the span."""
        return self._span[0] <= low and high <= self._span[1]

    def enough(self, x: FloatArray, least: FloatArray) -> IntArray:
        """How many nodes each x has whose least T is this: with more T it is interpolated."""
        out = np.empty(len(x), dtype=np.int64)
        for choice, rows in self._by_stratum(x):
            out[rows] = choice.counts(least[rows])
        return out

    def curved(self, x: FloatArray, ages: IntArray, batches: int, least: FloatArray) -> Curved:
        """Choose the x that have enough different T to be worth interpolating.

        Parameters
        ----------
        x : ndarray, shape (X,)
            Ascending.
        ages : ndarray of int, shape (X,)
            How many T each has in this batch.
        batches : int
            How many there are. Nodes serve those to come too, as far as there is room for them;
            half of the T that those are likely to have is counted.
        least : ndarray, shape (X,)
            The least T of each.
        """
        enough = self.enough(x, least)
        many = np.flatnonzero(ages * (1 + batches) / 2 > enough)
        many = many[np.argsort(-ages[many], kind="stable")]
        kept = np.zeros(len(x), dtype=np.bool_)
        kept[many[np.cumsum(enough[many]) <= self._room]] = True
        most = kept | (ages > enough)
        return Curved(x[most], least[most], kept[most])

    def chosen(self, x: FloatArray, least: FloatArray) -> list[Nodes]:
        """The nodes of x whose least T are these."""
        which = self._which(x, least).tolist()
        return [self._at(*one) for one in zip(x.tolist(), which, strict=True)]

    def _which(self, x: FloatArray, least: FloatArray) -> IntArray:
        """Which of the nodes of its stratum each x has."""
        out = np.empty(len(x), dtype=np.int64)
        for choice, rows in self._by_stratum(x):
            out[rows] = choice.which(least[rows])
        return out

    def _at(self, x: float, which: int) -> Nodes:
        return self._choices[int(stratum_of(x))].nodes[which]

    def _by_stratum(self, x: FloatArray) -> Iterator[tuple[Choice, IntArray]]:
        """What nodes each stratum has to choose from, and where its x are."""
        strata, place = np.unique(stratum_of(x), return_inverse=True)
        order = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place, minlength=len(strata)))[:-1]
        for stratum, rows in zip(strata.tolist(), np.split(order, ends), strict=False):
            if stratum not in self._choices:
                strip = strip_of(self._draws.formulas, stratum, self._draws.purchases)
                self._choices[stratum] = Choice.of(strip, self._span)
            yield self._choices[stratum], rows

    def _rows(self, wanted: Iterable[tuple[float, int]]) -> int:
        """How many nodes these x have together."""
        return sum(len(self._at(*one).angles) for one in wanted)

    def prepare(self, curved: Curved, run: Mapper) -> None:
        """Evaluate the nodes of these x that are to be kept, if they are not known yet.

        Nodes are those of these customers alone, though others that reach further down may be
        known: numbers must not depend on which customers came before, since a run that is
        resumed begins in the middle.
        """
        which = self._which(curved.x, curved.least).tolist()
        self._now = dict(zip(curved.x.tolist(), which, strict=True))
        now = [(x, self._now[x]) for x in curved.x[curved.kept].tolist()]
        if self._rows({*self._known, *now}) > self._room:
            self._known = {one: self._known[one] for one in now if one in self._known}
        self._known |= self._found([one for one in now if one not in self._known], run)

    def nodes(self, x: float) -> Nodes:
        """The nodes of a prepared x."""
        return self._at(x, self._now[x])

    def at_nodes(self, some: Iterable[float]) -> list[Values]:
        """Values there of some prepared x, each of shape (nodes, K S)."""
        wanted = [(x, self._now[x]) for x in some]
        passing = self._found([one for one in wanted if one not in self._known], map)
        return [passing[one] if one in passing else self._known[one] for one in wanted]

    def _found(self, wanted: Wanted, run: Mapper) -> dict[tuple[float, int], Values]:
        """Values of some x at the nodes that they want."""
        pieces = list(_together(wanted))
        both = zip(pieces, run(self._at_nodes, pieces), strict=True)
        return {
            one: values for piece, found in both for one, values in zip(piece, found, strict=True)
        }

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
        T = self._at(*piece[0]).T
        counts = np.array([x for x, _ in piece])
        found = self.exactly(np.repeat(counts, len(T)), np.tile(T, len(counts)))
        parts = (np.split(one, len(counts)) for one in found)
        return list(zip(*parts, strict=True))


def _together(wanted: Iterable[tuple[float, int]]) -> Iterator[list[tuple[float, int]]]:
    """Cut x and which nodes they want into pieces that want the same, in the order of x."""

    def nodes(one: tuple[float, int]) -> tuple[int, int]:
        return int(stratum_of(one[0])), one[1]

    for _, alike in groupby(sorted(wanted, key=lambda one: (nodes(one), one[0])), key=nodes):
        yield from map(list, batched(alike, _TOGETHER))
