"""What the density of a clock owes to an age curve, with derivatives.

By a curve the times of a history are A(passed since the first purchase) in place of what has
passed (`clvmodels.purchases.age_curve`), which takes each distinct pair of days once. Purchases
come in besides with log a of their age, and by Erlang-k timing with the logarithm of what passes
between two of them: of these a table knows ages in days, which stand for the customers' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clvmodels.errors import SchemaError
from clvmodels.purchases.age_curve import Passed, basis, prior_scale
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.fit.clock_density import DailyLog

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OwnTimes:
    """Times of the histories that have an age, and what moves them.

    Attributes
    ----------
    recency, age : ndarray, shape (A,)
        By the curve.
    recency_pace, age_pace : ndarray, shape (A,)
        Their derivatives by what has passed: the curve there.
    each : ndarray, shape (n, 9)
        Derivatives of the times of distinct pairs of days by each slope.
    """

    recency: FloatArray
    age: FloatArray
    recency_pace: FloatArray
    age_pace: FloatArray
    each: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Ageing:
    """Histories whose customers' age is known, ready for any curve.

    Attributes
    ----------
    rows : ndarray of int, shape (A,)
        Which histories.
    begin, end : ndarray of int, shape (n,)
        Distinct pairs of days that lie between a first purchase and a last one, or the end.
    recency_of, age_of : ndarray of int, shape (A,)
        Which of them are a history's.
    ages : DayPairs
        Purchases by their age in days.
    power : float
        k - 1, times the share of all customers that the histories are of.
    share : float
    days : int
        Of the log.
    unit : float
        Days of a unit of time.
    """

    rows: IntArray
    begin: IntArray
    end: IntArray
    recency_of: IntArray
    age_of: IntArray
    ages: DayPairs
    power: float
    share: float
    days: int
    unit: float

    @classmethod
    def of(cls, log: DailyLog, since: float, regularity: int) -> Ageing:
        """Prepare the histories of customers who came from a day of the log on.

        Raises
        ------
        SchemaError
            The table does not know purchases by age.
        """
        if log.pairs.ages is None:
            raise SchemaError(
                "The age curve is learnt from purchases by customers' age, which this table does "
                "not have: make it anew with rfm_summary(..., day_pairs=True), from the whole log; "
                "a table that was updated, or written before there were age curves, lacks them."
            )
        rows = np.flatnonzero(log.first >= since)
        first, last = log.first[rows], log.last[rows]
        begin = np.concatenate([first, first]).astype(np.float64)
        end = np.concatenate([last, np.full(len(rows), log.days)]).astype(np.float64)
        one, of = distinct_rows(begin, end)
        return cls(
            rows=rows,
            begin=begin[one].astype(np.int64),
            end=end[one].astype(np.int64),
            recency_of=of[: len(rows)],
            age_of=of[len(rows) :],
            ages=log.pairs.ages,
            power=(regularity - 1) * log.share,
            share=log.share,
            days=log.days,
            unit=log.unit,
        )

    def times(self, passed: FloatArray, slopes: FloatArray) -> tuple[OwnTimes, Passed]:
        """Times by a clock, of which so much has ``passed`` by each day, and a curve."""
        table = Passed.of(slopes, float(self.days), each=True)
        days = (passed[self.end] - passed[self.begin]) * self.unit
        values, pace = table.at(days), table.pace(days)
        own, each = values[:, 0] / self.unit, values[:, 1:] / self.unit
        recency, age = self.recency_of, self.age_of
        return OwnTimes(own[recency], own[age], pace[recency], pace[age], each), table

    def by_slopes(self, own: OwnTimes, by_recency: FloatArray, by_age: FloatArray) -> FloatArray:
        """Derivatives by each slope, of those by the times of the histories."""
        size = len(self.begin)
        by_pair = np.bincount(self.recency_of, by_recency, size)
        by_pair += np.bincount(self.age_of, by_age, size)
        return np.asarray(by_pair @ own.each)

    def of_purchases(self, slopes: FloatArray, table: Passed) -> tuple[float, FloatArray]:
        """What purchases owe to their age, and its derivatives by each slope."""
        ages = self.ages
        if not len(ages):
            return 0.0, np.zeros(len(slopes))
        oldest = int(ages.next_day.max())
        each_day = np.arange(oldest + 1, dtype=np.float64)
        count = np.bincount(ages.next_day, ages.count, oldest + 1)
        told = self.share * (count @ (basis(each_day) - basis(np.array([float(self.days)]))))
        value = float(told @ slopes)
        if self.power:
            by_day = table.at(each_day)
            gap = by_day[ages.next_day] - by_day[ages.day]
            weight = self.power * ages.count
            value += float(weight @ np.log(gap[:, 0] / (ages.next_day - ages.day)))
            told = told + (weight / gap[:, 0]) @ gap[:, 1:]
        return value, told


def slopes_of(standard: FloatArray) -> FloatArray:
    """Slopes of as many standard normals."""
    return np.asarray(prior_scale() @ standard)
