"""Sums over a base of what is expected, for many horizons and one calendar, in one pass.

P(alive) and spend do not depend on the horizon, and what the living will buy depends on few
nodes of T for each x. So customers are gathered in weights of those nodes, once, and every
further horizon costs no more than the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.calendar import Parts
from clvmodels.forecast.chunks import CHUNK, Chunk, chunk_of
from clvmodels.forecast.curves import Curves, Nodes
from clvmodels.forecast.draws import Draws
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.forecast.rows import curved_of
from clvmodels.formulas.discounting import Due
from clvmodels.progress import telling_part
from clvmodels.schema import FloatArray

_MOST_AT_ONCE: Final = 2_000_000  # numbers of one horizon
Expect = Callable[[float, FloatArray], FloatArray]


class Sums(NamedTuple):
    """Expectations of all customers together by each of E ends.

    Attributes
    ----------
    purchases, value : ndarray, shape (E, S)
        In every draw; value is discounted, without margin, of those whose expected spend is
        finite in all draws. Where nothing is known of spend, a purchase brings one.
    mean_value : ndarray, shape (E,)
        Sum of the products of the means of purchases and spend, so that no accidental
        pairing of the draws of both enters.
    """

    purchases: FloatArray
    value: FloatArray
    mean_value: FloatArray

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(one + two for one, two in zip(self, other, strict=True)))


def sums_of_base(
    draws: Draws,
    due: Due,
    ends: FloatArray,
    who: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    threads: int,
) -> Sums:
    """Add up what customers are expected to buy and bring by each of some ends.

    Parameters
    ----------
    draws : Draws
        Of both models, or of purchases alone.
    due : Due
        Discounting and calendar; its horizon is not asked for.
    ends : ndarray, shape (E,)
        Rising, none beyond the calendar.
    who : tuple of ndarray, shape (N,)
        x, t_x, T, m_bar of the customers, in any order.
    threads : int
        The answer does not depend on it.
    """
    x, t_x, T, m_bar = who
    nothing = np.zeros((len(ends), draws.count))
    total = Sums(nothing, nothing, np.zeros(len(ends)))
    if not len(x):
        return total
    groups, m_bar = group_rows(x, t_x, T), draws.means(x, m_bar)
    curves = Curves(draws, due, (float(T.min()), float(T.max())))
    curved = curved_of(groups, curves)
    kept, least = curved.x[curved.kept], curved.least[curved.kept]
    nodes = dict(zip(kept.tolist(), curves.chosen(kept, least), strict=True))
    gather = _Gather(draws, groups, m_bar, nodes, _expect(draws, due, ends))
    at_nodes = {x: np.zeros((2, len(n.T), *gather.shape)) for x, n in nodes.items()}
    with ThreadPoolExecutor(threads) as pool:
        # in the order of the chunks, so that sums repeat exactly
        for part, found in pool.map(gather.chunk, range(0, len(groups.x), CHUNK)):
            total = total.plus(part) if part is not None else total
            for x_, weights in found.items():
                at_nodes[x_] += weights
        told = telling_part()
        found_at = pool.map(lambda x: gather.added(x, nodes[x].T, at_nodes[x]), at_nodes)
        for done, part in enumerate(found_at, start=1):
            total = total.plus(part)
            told(done / len(at_nodes), "what is expected")
    return total


def _expect(draws: Draws, due: Due, ends: FloatArray) -> Expect:
    """Purchases and value of the living of one x and some T, shape (2, E, P, K, S)."""
    if due.calendar:
        parts = Parts.of(due, ends)
        return lambda x, T: parts.of_one(draws, x, T)
    dues = [due._replace(horizon=float(end)) for end in ends]

    def plainly(x: float, T: FloatArray) -> FloatArray:
        who = (np.full(len(T), x), T, draws.purchases)
        found = [draws.formulas.living(*who, one).expect() for one in dues]
        return np.moveaxis(np.array(found), 0, 1)

    return plainly


class _Gather(NamedTuple):
    """Customers by chunk, and what is asked of them."""

    draws: Draws
    groups: Groups
    m_bar: FloatArray
    nodes: dict[float, Nodes]
    expect: Expect

    @property
    def shape(self) -> tuple[int, int]:
        """Phases and draws."""
        return self.draws.formulas.phases, self.draws.count

    def chunk(self, begin: int) -> tuple[Sums | None, dict[float, FloatArray]]:
        """Sums of those that are not interpolated, and weights of the nodes of the others."""
        chunk = chunk_of(self.groups, begin, self.draws, Due(0.0), self.m_bar, CHUNK)
        by_key = self._by_key(chunk)
        total, weights = None, {}
        for x in np.unique(chunk.x).tolist():
            mine = np.flatnonzero(chunk.x == x)
            which = slice(mine[0], mine[-1] + 1)  # keys come ordered by x
            if (nodes := self.nodes.get(x)) is not None:
                blend = nodes.blend(chunk.T[which])
                weights[x] = np.einsum("vpks,pn->vnks", by_key[:, which], blend, optimize=True)
            else:
                part = self.added(x, chunk.T[which], by_key[:, which])
                total = part if total is None else total.plus(part)
        return total, weights

    def _by_key(self, chunk: Chunk) -> FloatArray:
        """Sums over the customers of each (x, T), and over what they spent, of their weights."""
        customers, out = chunk.customers, np.zeros((2, len(chunk.x), *self.shape))
        spent = self.m_bar[customers.rows[customers.start[0] : customers.start[-1]]]
        first = customers.start[:-1] - customers.start[0]
        each = np.stack([np.diff(customers.start), np.add.reduceat(spent, first)])
        for tile in chunk.tiles():
            key_of = customers.key_of[tile.begin : tile.end]
            begin = np.flatnonzero(np.diff(key_of, prepend=-1))
            for v in range(2):
                weighted = tile.weights * each[v, tile.begin : tile.end][:, None]
                summed = np.add.reduceat(weighted, begin, axis=1)
                out[v, key_of[begin]] += np.swapaxes(summed, 0, 1)
        return out

    def added(self, x: float, T: FloatArray, weights: FloatArray) -> Sums:
        """Sums of customers of one x, whose weights at some T are of shape (2, P, K, S)."""
        some = max(_MOST_AT_ONCE // weights[0, 0].size, 1)
        parts = [slice(begin, begin + some) for begin in range(0, len(T), some)]
        bought = sum(self._bought(x, T[part], weights[:, part]) for part in parts)
        assert not isinstance(bought, int)
        # Rows whose spend is infinite in some draw add nothing
        intercept, slope = (c[0] for c in self.draws.spend_line(np.array([x])))
        if not np.isfinite(intercept).all():
            intercept, slope = np.zeros((2, 1))
        purchases, alone, with_spend = bought
        means = alone.mean(axis=1) * intercept.mean() + with_spend.mean(axis=1) * slope.mean()
        return Sums(purchases, alone * intercept + with_spend * slope, means)

    def _bought(self, x: float, T: FloatArray, weights: FloatArray) -> FloatArray:
        """Purchases, those discounted, and these times what was spent, shape (3, E, S)."""
        purchases, discounted = self.expect(x, T)
        alone, spent = weights
        pairs = ((alone, purchases), (alone, discounted), (spent, discounted))
        return np.array([np.einsum("pks,epks->es", w, one) for w, one in pairs])
