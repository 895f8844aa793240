"""Intervals of what customers will actually do: counts and values, one row per customer."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from clvmodels.errors import DomainError
from clvmodels.forecast.chunks import Chunk, chunk_of, chunks
from clvmodels.forecast.counts import MOST_COUNTS, count_quantiles, quantile_by_bisection
from clvmodels.forecast.draws import Draws, Future, tail_probabilities
from clvmodels.forecast.grouping import IntArray, group_rows
from clvmodels.forecast.paths import Outcomes
from clvmodels.forecast.serving import annuity
from clvmodels.forecast.spending import BASKET, shapes
from clvmodels.forecast.values import value_quantiles
from clvmodels.machine import cores_for
from clvmodels.schema import FloatArray, check_whole

OUTCOMES: Final = ("purchases_lower", "purchases_upper", "value_lower", "value_upper")
PATHS: Final = 1000  # at least so many per (x, T)
TOO_MANY: Final = (
    f"Some customers are likely to make more than {MOST_COUNTS:,} purchases within the horizon: "
    "use a shorter one."
)
_SEED: Final = 20040501
_MOST_STEPS: Final = 2_000  # of tables for quantiles; beyond, they are bisected


def check_finite(horizon: float) -> None:
    """Refuse an endless horizon.

    Raises
    ------
    DomainError
        Outcomes of a lifetime have no bound.
    """
    if math.isinf(horizon):
        raise DomainError(
            "Realised outcomes need a finite horizon, such as '365D': over a lifetime their "
            "number has no bound."
        )


_MOST_SEED: Final = 2**53  # beyond it floats, which seeds may be given as, skip whole numbers


def outcomes_of(draws: Draws, *, paths: int = PATHS, seed: int = _SEED) -> Outcomes:
    """What is simulated of every (x, T).

    Parameters
    ----------
    draws : Draws
        Of both models.
    paths : int
        At least so many, as many of every draw.
    seed : int
        Of all random numbers.
    """
    # Where nothing is known of spend a purchase counts as one: no amount takes a random number
    spend = {BASKET: np.ones(draws.count)} if draws.spend is None else draws.spend
    p, q = shapes(spend, draws.counted)
    paths = check_whole("paths", paths)
    seed = check_whole("random_seed", seed, least=0, most=_MOST_SEED)
    return Outcomes(p, q, max(math.ceil(paths / draws.count), 1), np.uint64(seed))


class OutcomePredictor:
    """Intervals of outcomes, batch after batch, with the same draws.

    Parameters
    ----------
    draws : Draws
        Of both models.
    future : Future
        A finite horizon, discounting, interval, margin.
    threads : int, optional
        By default all cores.

    Raises
    ------
    DomainError
        The horizon is endless, or something is paid for orders or for years alive.
    """

    def __init__(self, draws: Draws, future: Future, *, threads: int | None = None) -> None:
        check_finite(future.due.horizon)
        if future.costs is not None and (future.costs.order or future.costs.active):
            raise DomainError(
                "Intervals of outcomes are known of margins and of a cost_per_year, not of a "
                "cost_per_order or cost_per_active_year: leave predictive out, and use the "
                "intervals of expected values."
            )
        self.draws, self.future = draws, future
        self._threads = cores_for(threads)
        self._outcomes = None if draws.spend is None else outcomes_of(draws)
        self._tails = 1.0 - np.array(tail_probabilities(future.interval))

    def __call__(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        m_bar: FloatArray,
        share: FloatArray | None = None,
    ) -> dict[str, FloatArray | IntArray]:
        """Intervals of customers' outcomes.

        Parameters
        ----------
        x, t_x, T, m_bar : ndarray, shape (N,)
            Customers, in any order. Those with x = 0 are taken to have m_bar 0.
        share : ndarray, shape (N,), optional
            Their own margins; by default that of all.

        Returns
        -------
        mapping of str to ndarray, shape (N,)
            ``OUTCOMES``, the first two alone where nothing is known of spend; purchases are
            whole numbers. A value's interval is NaN where the customer would make more than
            ``paths.MOST_PURCHASES``.
        """
        groups = group_rows(x, t_x, T)
        m_bar = self.draws.means(x, m_bar)
        counts, values = np.empty((2, len(x))), np.empty((2, len(x)))

        def work(begin: int) -> None:
            chunk = chunk_of(groups, begin, self.draws, self.future.due, m_bar)
            self._fill_counts(chunk, counts)
            if self._outcomes is not None:
                value_quantiles(chunk, self._outcomes, self._tails, values)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work, chunks(groups)):
                pass
        whole = counts.astype(np.int64)
        if self._outcomes is None:
            return dict(zip(OUTCOMES[:2], whole, strict=True))
        values *= self.future.margin if share is None else share
        values.sort(axis=0)  # a negative margin turns them round
        if self.future.costs is not None:
            values -= self.future.costs.year * annuity(self.future.due)
        return dict(zip(OUTCOMES, (*whole, *values), strict=True))

    def _fill_counts(self, chunk: Chunk, out: FloatArray) -> None:
        found = count_quantiles(chunk, self._tails, _MOST_STEPS)
        for h in np.flatnonzero(np.isnan(found[0])):  # more purchases than a table has rows
            found[:, h] = [quantile_by_bisection(chunk, int(h), float(t)) for t in self._tails]
        start = chunk.customers.start
        rows = chunk.customers.rows[start[0] : start[-1]]
        out[:, rows] = np.repeat(found, np.diff(start), axis=1)
