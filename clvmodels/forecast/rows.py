"""Draws x customers -> moments and quantiles, one row per customer.

What a customer will buy given that they are alive depends on (x, T) only, P(alive) on
the history, spend on (x, m_bar). So histories are found first, ordered, and worked off
in chunks on all cores; a row's numbers do not depend on the rows beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from clvmodels.forecast import kernel, spending
from clvmodels.forecast.chunks import CHUNK, Chunk, chunk_of
from clvmodels.forecast.curves import Curved, Curves, Whole
from clvmodels.forecast.draws import Costs, Draws, Future, tail_probabilities
from clvmodels.forecast.grouping import Groups, IntArray, group_rows, new_pairs
from clvmodels.forecast.serving import Serving, annuity
from clvmodels.forecast.tails import tail_of
from clvmodels.forecast.worth import Ask
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import coded, plain, stratum_of
from clvmodels.machine import cores_for
from clvmodels.progress import telling_part
from clvmodels.schema import FloatArray

_WANTED: Final = {
    "none": kernel.TOTALS,
    "clv": kernel.CLV_INTERVAL,
    "all": kernel.ALL_INTERVALS,
}

_OF_MONEY: Final = ("clv", "expected_spend")
WHENEVER: Final = tuple(n for n in kernel.COLUMNS if n.startswith(("p_alive", "expected_spend")))
"""Columns in which the horizon makes no difference."""
_KEPT: Final = [i for i, name in enumerate(kernel.COLUMNS) if name in WHENEVER]
_VALUES: Final = tuple(kernel.COLUMNS.index(n) for n in ("clv", "clv_lower", "clv_upper"))
_MONEY: Final = tuple(i for i, name in enumerate(kernel.COLUMNS) if name.startswith(_OF_MONEY))

Wanted = Literal["none", "clv", "all"]


def infinite_share(draws: Draws, x: FloatArray) -> FloatArray:
    """Share of the draws in which expected spend is infinite, p x + q <= 1, for each row."""
    counts, rows = np.unique(plain(x) + draws.counted, return_inverse=True)
    shares = np.array([float(np.mean(spending.infinite(draws.spend, one))) for one in counts])
    return shares[rows] if len(counts) else np.zeros(0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions of some customers.

    Attributes
    ----------
    columns : mapping of str to ndarray, shape (N,)
        By name, as far as they were wanted; see `clvmodels.forecast.kernel`. Spend and value
        are NaN where expected spend is infinite in some draw, and absent where nothing is
        known of spend.
    by_draw : ndarray, shape (S,)
        Value in every draw of all customers together who have one. Without spend it is
        their expected purchases.
    """

    columns: dict[str, FloatArray]
    by_draw: FloatArray


class Predictor:
    """Predict customers, batch after batch, with the same draws.

    Parameters
    ----------
    draws : Draws
        Of both models, or of purchases alone.
    future : Future
        Horizon, discounting, interval, margin.
    wanted : {"none", "clv", "all"}
        Which intervals. Without spend there is none of clv: they are all those of purchases,
        or none.
    whole : Whole, optional
        What is known of all batches: what is interpolated in T is then evaluated once for all
        of them.
    threads : int, optional
        By default all cores.
    more : sequence of Due
        Further ones, which `each` predicts in the same pass: histories are then found once,
        and their weights computed once.
    """

    def __init__(
        self,
        draws: Draws,
        future: Future,
        *,
        more: Sequence[Due] = (),
        wanted: Wanted = "all",
        whole: Whole | None = None,
        threads: int | None = None,
    ) -> None:
        self.draws, self.future = draws, future
        self._threads, self._whole = cores_for(threads), whole
        self.dues = (future.due, *more)
        costs = future.costs or Costs()
        self._serving = [Serving.of(due, draws) if costs.active else None for due in self.dues]
        self._known = None if whole is None else self._curves(whole.span)
        low, high = tail_probabilities(future.interval)
        tails = (tail_of(low, draws.count), tail_of(1.0 - high, draws.count))
        if draws.spend is None and wanted == "clv":
            wanted = "all"
        self.ask = Ask(
            want=_WANTED[wanted] if draws.count > 1 else kernel.TOTALS,  # one draw has no tails
            ranks=np.array([tail.rank for tail in tails]),
            shares=np.array([tail.share for tail in tails]),
            money=draws.spend is not None,
            own=future.costs is not None,
            order=costs.order,
            active=costs.active,
        )

    def __call__(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        m_bar: FloatArray,
        share: FloatArray | None = None,
    ) -> Prediction:
        """Predict customers.

        Parameters
        ----------
        x, t_x, T, m_bar : ndarray, shape (N,)
            Customers, in any order; x with their strata, where they have some. Those with
            x = 0 are taken to have m_bar 0, unless first orders count.
        share : ndarray, shape (N,), optional
            Their own margins, where there are costs of `Future`; by default that of all.
        """
        return self.each(x, t_x, T, m_bar, share)[0]

    def each(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        m_bar: FloatArray,
        share: FloatArray | None = None,
    ) -> list[Prediction]:
        """Predict customers for all that is due, in one pass: the same numbers as one by one."""
        out = np.full((len(self.dues), kernel.WIDTH[self.ask.want], len(x)), np.nan)
        by_draw = np.zeros((len(self.dues), self.draws.count))
        if len(x):
            curves = self._curves_for(float(T.min()), float(T.max()))
            groups = group_rows(x, t_x, T)
            m_bar = self.draws.means(x, m_bar)[groups.rows]
            own = self._shares(share, len(x))
            own = own[groups.rows] if own.size else own
            curved = curved_of(groups, curves[0], self._whole)
            work = _Work(self, curves, _in_order(groups), curved.x, m_bar, own, out)
            with ThreadPoolExecutor(self._threads) as pool:
                for one in curves:
                    one.prepare(curved, pool.map)
                # Added up in the order of the chunks, so that sums repeat exactly.
                told = telling_part()
                for begin, part in enumerate(pool.map(work.chunk, range(0, len(groups.x), CHUNK))):
                    by_draw += part
                    told(min((begin + 1) * CHUNK / len(groups.x), 1.0))
            _to_rows(groups, out)
            if self.ask.want == kernel.ALL_INTERVALS:
                out[1:, _KEPT] = out[0, _KEPT]
            endless = infinite_share(self.draws, x) > 0
            if endless.any():
                money = [i for i in _MONEY if i < out.shape[1]]
                out[:, money] = np.where(endless, np.nan, out[:, money])
            if self.future.costs is not None and self.future.costs.year:
                self._take_years(out, by_draw, int((~endless).sum()))
        by_draw *= self._factor
        return [
            Prediction(self._named(due, columns), value)
            for due, columns, value in zip(self.dues, out, by_draw, strict=True)
        ]

    @property
    def _factor(self) -> float:
        """What values lack of the margin."""
        return self.future.margin if self.future.costs is None else 1.0

    def _shares(self, share: FloatArray | None, count: int) -> FloatArray:
        if self.future.costs is None:
            return np.empty(0)
        return np.full(count, self.future.margin) if share is None else share

    def _take_years(self, out: FloatArray, by_draw: FloatArray, customers: int) -> None:
        """Take off what is paid until the horizon whether or not a customer is alive."""
        assert self.future.costs is not None
        for i, due in enumerate(self.dues):
            paid = self.future.costs.year * annuity(due)
            out[i, [one for one in _VALUES if one < out.shape[1]]] -= paid
            by_draw[i] -= customers * paid

    def _curves(self, span: tuple[float, float]) -> list[Curves]:
        both = zip(self.dues, self._serving, strict=True)
        return [Curves(self.draws, due, span, serving) for due, serving in both]

    def _curves_for(self, low: float, high: float) -> list[Curves]:
        known = self._known
        if known is None or not known[0].covers(low, high):
            return self._curves((low, high))
        return known

    def _named(self, due: Due, out: FloatArray) -> dict[str, FloatArray]:
        columns = dict(zip(kernel.COLUMNS, out, strict=False))
        # Without end not every draw has a finite number of purchases.
        endless = math.isinf(due.horizon) and self.draws.endless.any()
        if self.draws.spend is None:
            columns = {n: v for n, v in columns.items() if not n.startswith(_OF_MONEY)}
        for name, values in columns.items():
            if name.startswith("clv"):
                values *= self._factor
            if endless and name.startswith("expected_purchases"):
                values[:] = np.nan
        return columns


def predict_rows(
    draws: Draws, x: FloatArray, t_x: FloatArray, T: FloatArray, m_bar: FloatArray, future: Future
) -> dict[str, FloatArray]:
    """Moments and intervals for every row.

    Parameters
    ----------
    draws : Draws
        Paired draws.
    x, t_x, T, m_bar : ndarray, shape (N,)
        Customers, in any order.
    future : Future
        Horizon, discounting, interval, margin.

    Returns
    -------
    mapping of str to ndarray, shape (N,)
        p_alive, p_purchase, expected_purchases, discounted_purchases, expected_spend,
        clv, clv_sd, and, with more than one draw, ``_lower`` and ``_upper`` of p_alive,
        expected_purchases, expected_spend and clv.
    """
    return Predictor(draws, future)(x, t_x, T, m_bar).columns


def totals_by_draw(
    draws: Draws,
    x: FloatArray,
    t_x: FloatArray,
    T: FloatArray,
    m_bar: FloatArray,
    future: Future,
    share: FloatArray | None = None,
) -> tuple[FloatArray, float]:
    """Value of all customers together in every draw.

    Parameters
    ----------
    draws, x, t_x, T, m_bar, future, share
        As in `predict_rows` and `Predictor`.

    Returns
    -------
    by_draw : ndarray, shape (S,)
        Sum over customers of their values, where these are finite.
    mean : float
        Sum of the customers' clv as `predict_rows` gives it, of those who have one.
    """
    found = Predictor(draws, future, wanted="none")(x, t_x, T, m_bar, share)
    return found.by_draw, float(np.nansum(found.columns["clv"]))


@dataclass(frozen=True, slots=True)
class _Work:
    """What the chunks of one batch have in common."""

    predictor: Predictor
    curves: list[Curves]
    groups: Groups
    curved: FloatArray
    m_bar: FloatArray
    share: FloatArray
    out: FloatArray

    def chunk(self, begin: int) -> FloatArray:
        """Fill the rows of the histories from ``begin`` on; return their values by draw."""
        draws, dues, ask = self.predictor.draws, self.predictor.dues, self.predictor.ask
        chunk = chunk_of(self.groups, begin, draws, dues[0], self.m_bar, CHUNK)
        each = [chunk, *(chunk.until(due, draws) for due in dues[1:])]
        tables, customers = self._tables(chunk), chunk.customers
        by_draw, scores = np.zeros((len(dues), draws.count)), np.zeros((len(dues), 4, 2))
        for tile in chunk.tiles():
            for i, one in enumerate(each):
                kernel.score_tile(
                    ask._replace(again=i > 0),
                    customers,
                    tables[i],
                    tile.begin,
                    tile.weights,
                    one.buys(tile.keys),
                    scores[i],
                    self.out[i],
                    by_draw[i],
                )
        return by_draw

    def _tables(self, chunk: Chunk) -> list[kernel.Tables]:
        """Tables for distinct x and distinct (x, T), for each that is due."""
        who = chunk.customers
        kinds, x_of = np.unique(coded(who.x, who.scale_of), return_inverse=True)
        intercept, slope = self._spend(plain(kinds), who.scale[stratum_of(kinds)])
        blend = self._blend(chunk.x, chunk.T)
        found = [self._nodes(one, chunk.x, chunk.T) for one in self.curves]
        return [kernel.Tables(x_of, intercept, slope, *one, self.share, blend) for one in found]

    def _blend(self, x: FloatArray, T: FloatArray) -> FloatArray:
        """Weights of the nodes of each (x, T), as far as its x is interpolated."""
        parts = [(which, self.curves[0].nodes(number)) for number, which in self._parts(x)]
        most = max((len(nodes.angles) for _, nodes in parts), default=0)
        out = np.empty((len(x), most))
        for which, nodes in parts:
            out[which, : len(nodes.angles)] = nodes.blend(T[which])
        return out

    def _parts(self, x: FloatArray) -> list[tuple[float, slice]]:
        """Those x that are interpolated, and where they stand: they are ordered."""
        some = np.intersect1d(x, self.curved)
        ends = (np.searchsorted(x, some, side=side).tolist() for side in ("left", "right"))
        return [(number, slice(*at)) for number, *at in zip(some.tolist(), *ends, strict=True)]

    def _spend(self, counts: FloatArray, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Expected spend is intercept + slope m_bar, both of shape (X, S)."""
        draws = self.predictor.draws
        shape = (len(counts), draws.count)
        intercept, slope = spending.coefficients(draws.spend, counts + draws.counted, scale)
        # Rows whose spend is infinite in some draw are emptied later, and add nothing to sums
        finite = np.isfinite(intercept).all(axis=1, keepdims=True)
        return (
            np.broadcast_to(np.where(finite, intercept, 0.0), shape).copy(),
            np.broadcast_to(np.where(finite, slope, 0.0), shape).copy(),
        )

    def _nodes(
        self, curves: Curves, x: FloatArray, T: FloatArray
    ) -> tuple[IntArray, IntArray, FloatArray, FloatArray, FloatArray]:
        """First node and number of nodes of each (x, T), and the values at all nodes."""
        parts = self._parts(x)
        direct = np.ones(len(x), dtype=np.bool_)
        for _, which in parts:
            direct[which] = False
        found = [curves.exactly(x[direct], T[direct])] if direct.any() else []
        first, count = np.cumsum(direct) - 1, np.ones(len(x), dtype=np.int64)
        after = int(direct.sum())
        for (_, which), there in zip(parts, curves.at_nodes(x for x, _ in parts), strict=True):
            found.append(there)
            nodes = len(there[0])
            first[which], count[which] = after, nodes
            after += nodes
        values = [np.concatenate(part) for part in zip(*found, strict=True)]
        alive = values[2] if len(values) > 2 else np.empty((0, 0))
        return first, count, values[0], values[1], alive


def _in_order(groups: Groups) -> Groups:
    """The same histories, as if the rows came ordered by them.

    What is known of a row is then written beside what is known of the row before, and not into
    as many far places as there are columns, which took a fifth of the time.
    """
    return replace(groups, rows=np.arange(len(groups.rows)))


def _to_rows(groups: Groups, out: FloatArray) -> None:
    """Bring what was found in the order of the histories to the rows themselves."""
    for columns in out:
        for column in columns:  # one at a time: it stays in the caches
            column[groups.rows] = column.copy()


def curved_of(groups: Groups, curves: Curves, whole: Whole | None = None) -> Curved:
    """Those x that are interpolated."""
    new = new_pairs(groups.x, groups.T)
    x, first, ages = np.unique(groups.x[new], return_index=True, return_counts=True)
    least, whole = groups.T[new][first], whole or Whole((0.0, 0.0))
    return curves.curved(x, ages, whole.batches, whole.least(x, least))
