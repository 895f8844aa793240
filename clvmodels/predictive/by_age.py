"""Purchases and value of cohorts by the age of their customers: so far, and to come.

Apart from `clvmodels.predictive.cohort_curves`, which makes tables of them, to keep either in one
view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.economics.labels import Segments
from clvmodels.forecast import Predictor
from clvmodels.forecast.calendar import Calendar
from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.futures import Keys, add_by_period
from clvmodels.forecast.outcomes import outcomes_of
from clvmodels.posterior.finite import Valued
from clvmodels.posterior.predicting import Prepared
from clvmodels.predictive.calendars import under
from clvmodels.predictive.totals import check_few, followed
from clvmodels.rfm.purchases_again import PurchasesAgain
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ByAge:
    """Customers by cohort, and the ages at which they are looked at.

    Attributes
    ----------
    given : Prepared
        Customers, draws and horizon.
    segments : Segments
        The cohorts.
    ages : ndarray, shape (N,)
        Time since everybody's first order, in units of T.
    ends : ndarray, shape (E,)
        Ages, rising from 0.
    cores : int
    known : Valued
        Who has a value.
    """

    given: Prepared
    segments: Segments
    ages: FloatArray
    ends: FloatArray
    cores: int
    known: Valued

    @property
    def count(self) -> int:
        """How many cohorts there are."""
        return len(self.segments.labels)

    def so_far(self, again: PurchasesAgain, basket: float | None) -> FloatArray:
        """What has been bought between the ends, shape (cohorts, ends, 2)."""
        group, margin = self.segments.group[again.who], self.given.future.margin
        place = np.searchsorted(self.ends, again.age - 1e-9)
        total = again.total if basket is None else np.full(len(place), basket)
        money = np.zeros(len(place)) if total is None else margin * total
        weights = (np.ones(len(place)), np.where(self.known.has[again.who], money, 0.0))
        shape = self.count, len(self.ends) + 1
        cells = np.ravel_multi_index((group, place), shape)
        sums = [np.bincount(cells, w, minlength=math.prod(shape)).reshape(shape) for w in weights]
        return np.stack(sums, axis=-1)[:, :-1].astype(np.float64)

    def future(self, doubt: Calendar, paths: int, seed: int, days: float) -> FloatArray:
        """What may be bought between the ends, shape (cohorts, ends, 2, paths)."""
        if self.ages.min() >= self.ends[-1]:
            return np.zeros((self.count, len(self.ends), 2, 1))
        really = under(self.given, doubt, paths, days)
        bought = Predictor(self.given.draws, self.given.future, wanted="none", threads=self.cores)
        check_few(bought(*self.given.who).columns["expected_purchases"])
        outcomes = outcomes_of(really.draws, paths=paths, seed=seed)
        ends, due = np.append(self.ends, math.inf), really.future.due
        shape = (outcomes.per_draw, really.draws.count, len(ends), 2)

        def add(chunk: Chunk, keys: Keys, group: IntArray, out: FloatArray) -> None:
            add_by_period(chunk, outcomes, keys, group, ends, due, out, ages=self.ages)

        how = (self.segments.group, self.count, self.cores, self.known)
        found = followed(really, add, shape, *how).reshape(self.count, -1, *shape[2:])
        return found[:, :, :-1].transpose(0, 2, 3, 1)

    def known_share(self, customers: IntArray) -> FloatArray:
        """Share of each cohort that is as old as each end, shape (rows, ends)."""
        place = np.searchsorted(self.ends, self.ages + 1e-9, side="right")
        shape = self.count, len(self.ends) + 1
        cells = np.ravel_multi_index((self.segments.group, place), shape)
        reached = np.bincount(cells, minlength=math.prod(shape)).reshape(shape)
        older = np.cumsum(reached[:, ::-1], axis=1)[:, ::-1][:, 1:]
        return np.asarray(with_all(older) / customers[:, None])


def with_all(parts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Add the sum of the cohorts as the last one, unless there is only one."""
    if len(parts) == 1:
        return parts
    return np.concatenate([parts, parts.sum(axis=0, keepdims=True)])
