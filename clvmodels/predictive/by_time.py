"""Totals by horizon or month: what is asked for, what is expected of it, and what may come.

Apart from `clvmodels.predictive.planning`, which makes a table of them, to keep either in one view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.base_sums import sums_of_base
from clvmodels.forecast.chunks import Chunk
from clvmodels.forecast.futures import PURCHASES, VALUE, Keys, add_by_period
from clvmodels.forecast.paths import Outcomes
from clvmodels.posterior.finite import Valued
from clvmodels.posterior.predicting import Prepared
from clvmodels.predictive.calendars import month_ends
from clvmodels.predictive.totals import followed, simulated
from clvmodels.schema import FloatArray, Horizon, TimeScale

IntArray = npt.NDArray[np.int64]
_NOTHING: Final = 1e-5  # of all months, in one


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows by time: name of their column, what stands in it, and ends, rising.

    Of months each begins where the one before ends, and their edges are dates; horizons all
    begin at once, and have none.
    """

    name: str
    words: list[str]
    ends: FloatArray
    edges: tuple[str, ...] = ()

    @property
    def by_month(self) -> bool:
        """Whether the rows are months."""
        return bool(self.edges)

    def whole(self, words: str) -> Asked:
        """All months together, as a horizon."""
        return Asked("horizon", [words], self.ends[-1:])

    def parts(self, by_end: FloatArray) -> FloatArray:
        """What is within each, of what there is by each end, along the second axis."""
        if not self.by_month:
            return by_end
        found = np.diff(by_end, axis=1, prepend=0.0)
        # of a closed month that is rounding, and the error of what is discounted by parts
        return np.where(found > _NOTHING * by_end[:, -1:], found, 0.0)

    def sums(self, parts: FloatArray) -> FloatArray:
        """What is within each, of what there is between the ends, along the second axis."""
        return parts if self.by_month else np.cumsum(parts, axis=1)


def asked_of(
    rfm: Any, scale: TimeScale, lengths: dict[str, Horizon], days: float, *, by_month: bool
) -> Asked:
    """Months within the longest of some horizons, or the horizons themselves."""
    if by_month:
        words, ends, edges = month_ends(rfm, days)
        return Asked("month", words, ends / scale.days, edges)
    order = sorted(lengths.values(), key=scale.horizon)
    words = [scale.horizon_words(one) for one in order]
    return Asked("horizon", words, np.array([scale.horizon(one) for one in order]))


@dataclass(frozen=True, slots=True)
class Run:
    """Customers by segment, and what is asked of them.

    All arrays are of shape (segments, times, 2, draws or paths): purchases, and value.
    """

    asked: Asked
    group: IntArray
    segments: int
    threads: int
    known: Valued

    def expected(self, given: Prepared) -> FloatArray:
        """Expectations by each end: means as ``predict`` has them, and then those of every draw."""
        ends, margin = self.asked.ends, given.future.margin
        out = np.empty((self.segments, len(ends), 2, given.draws.count + 1))
        for segment in range(self.segments):
            rows = self.group == segment
            x, t_x, T, m_bar = (column[rows] for column in given.who)
            who = (x, t_x, T, m_bar)
            found = sums_of_base(given.draws, given.future.due, ends, who, self.threads)
            out[segment, :, 0, 0] = found.purchases.mean(axis=1)
            out[segment, :, 0, 1:] = found.purchases
            out[segment, :, 1, 0] = margin * found.mean_value
            out[segment, :, 1, 1:] = margin * found.value
        return out

    def outcomes(self, given: Prepared, outcomes: Outcomes) -> FloatArray:
        """What happens on every path."""
        ends, due = self.asked.ends, given.future.due
        how = (self.group, self.segments, self.threads, self.known)
        if len(ends) == 1:
            return simulated(given, outcomes, *how)[:, None, [PURCHASES, VALUE]]
        shape = (outcomes.per_draw, given.draws.count, len(ends), 2)

        def add(chunk: Chunk, keys: Keys, group: IntArray, out: FloatArray) -> None:
            add_by_period(chunk, outcomes, keys, group, ends, due, out)

        found = followed(given, add, shape, *how)
        found = found.reshape(self.segments, -1, *shape[2:]).transpose(0, 2, 3, 1)
        return self.asked.sums(found)
