"""Scores of several forecasts of the same customers: means, and differences with their errors.

Everything is paired: forecasts are scored on the same customers at the same dates, so that
what makes a customer hard to forecast is in no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.evaluation.ranking import RANK_METRICS, IntArray, Ranking
from clvmodels.schema import FloatArray

Bits = npt.NDArray[np.uint64]

SAMPLES: Final = 128  # of customers, for errors of ranks
_WORD: Final = 64
_BLOCK_CELLS: Final = 4_000_000


@dataclass(slots=True)
class Paired:
    """One score of M forecasts, a ratio of sums over customers and dates.

    Attributes
    ----------
    by_customer : ndarray, shape (M + 1, customers)
        Scores of each customer added over the dates, and what they are divided by.
    rows : ndarray, shape (M + 1, M + 1)
        Sums over all customers at all dates of their products.
    dates : list of ndarray, shape (M + 1,)
        Sums over the customers of each date.
    """

    by_customer: FloatArray
    rows: FloatArray = field(init=False)
    dates: list[FloatArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = np.zeros((len(self.by_customer),) * 2)

    @classmethod
    def of(cls, forecasts: int) -> Paired:
        """Nothing yet, of so many forecasts."""
        return cls(np.zeros((forecasts + 1, 0)))

    def add(self, scores: FloatArray, weight: FloatArray, who: IntArray) -> None:
        """Add the customers of one date.

        Parameters
        ----------
        scores : ndarray, shape (M, n)
        weight : ndarray, shape (n,)
            What the sum of scores is divided by, added up.
        who : ndarray of int, shape (n,)
            Which customers they are, each of them once.
        """
        block = np.vstack([scores, weight])
        more = int(who.max()) + 1 - self.by_customer.shape[1]
        if more > 0:
            self.by_customer = np.pad(self.by_customer, ((0, 0), (0, more)))
        self.by_customer[:, who] += block
        with np.errstate(invalid="ignore"):
            self.rows += block @ block.T
        self.dates.append(block.sum(axis=1))

    @property
    def values(self) -> FloatArray:
        """The score of each forecast, shape (M,)."""
        sums = np.sum(self.dates, axis=0)
        return np.asarray(sums[:-1] / sums[-1])

    def difference(self, one: int, other: int) -> tuple[float, float]:
        """Score of one forecast less that of another, and its standard error.

        Customers who were scored at several dates are one cluster. Where there are several
        dates, so are all who were scored at one: what a season does to everybody is no
        news of the models (Cameron, Gelbach & Miller 2011, "Robust inference with multiway
        clustering", eq. 2.13). Dates never make the error smaller, few as they are.
        """
        dates = np.array(self.dates)
        weight = float(dates[:, -1].sum())
        values = self.values
        difference = float(values[one] - values[other])
        if not math.isfinite(difference):
            return difference, math.nan
        contrast = np.zeros(len(self.by_customer))
        contrast[one] += 1.0
        contrast[other] -= 1.0
        contrast[-1] = -difference
        variance = _spread(contrast @ self.by_customer)
        if len(dates) > 1:
            both = float(contrast @ self.rows @ contrast)
            variance = max(variance, variance + _spread(contrast @ dates.T) - both)
        return difference, math.sqrt(variance) / weight


def _spread(terms: FloatArray) -> float:
    """Variance of a sum of independent terms whose sum is 0."""
    count = len(terms)
    return float(terms @ terms) * count / max(count - 1, 1)


@dataclass(slots=True)
class PairedRanks:
    """How well M forecasts order customers, the mean over dates, under samples of customers.

    A sample takes each customer twice or not at all, at all dates alike: the errors are then
    those of other customers of the kind, as of a bootstrap, and cost one bit a customer.

    Attributes
    ----------
    seed : int
    dates : list of ndarray, shape (M, 3, SAMPLES + 1)
        The `RANK_METRICS` at each date; the first of the last axis is of all customers.
    """

    seed: int
    dates: list[FloatArray] = field(default_factory=list)

    def add(
        self,
        actual: FloatArray,
        forecasts: FloatArray,
        kind: IntArray,
        who: IntArray,
        share: float,
    ) -> None:
        """Rank the customers of one date.

        Parameters
        ----------
        actual : ndarray, shape (kinds,)
            What customers of each kind did.
        forecasts : ndarray, shape (M, kinds)
        kind, who : ndarray of int, shape (n,)
            Of which kind each customer is, and who it is.
        share : float
            Of the customers who are the top.
        """
        nobody = np.zeros(len(actual), dtype=np.int64)
        ranking = Ranking(actual, list(forecasts), [nobody] * len(forecasts), share)
        bits = _bits(self.seed, int(who.max()) + 1)[who]
        kinds, found = len(actual), []
        rows = max(_BLOCK_CELLS // kinds, 1)
        for begin in range(0, SAMPLES + 1, rows):
            block = np.empty((min(rows, SAMPLES + 1 - begin), kinds))
            for i in range(len(block)):
                block[i] = np.bincount(kind, _copies(bits, begin + i - 1), minlength=kinds)
            found.append(ranking.under(block).metrics)
        self.dates.append(np.concatenate(found, axis=2))

    def values(self, metric: str) -> FloatArray:
        """One of the `RANK_METRICS` of each forecast, shape (M,)."""
        return np.asarray(self._mean(metric)[:, 0])

    def difference(self, metric: str, one: int, other: int) -> tuple[float, float]:
        """Of one forecast less that of another, and its standard error."""
        mean = self._mean(metric)
        apart = mean[one] - mean[other]
        variance = float(np.mean((apart[1:] - apart[0]) ** 2))
        if len(self.dates) > 1:
            place = RANK_METRICS.index(metric)
            by_date = np.array([found[one, place] - found[other, place] for found in self.dates])
            # What the dates differ in beyond what samples of their customers do
            own = float(np.mean((by_date[:, 1:] - by_date[:, :1]) ** 2))
            between = float(by_date[:, 0].var(ddof=1))
            variance += max(between - own, 0.0) / len(self.dates)
        return float(apart[0]), math.sqrt(variance)

    def _mean(self, metric: str) -> FloatArray:
        place = RANK_METRICS.index(metric)
        return np.asarray(np.mean([found[:, place] for found in self.dates], axis=0))


def _bits(seed: int, customers: int) -> Bits:
    """Random bits of each customer, the same however many others there are."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**_WORD, size=(customers, SAMPLES // _WORD), dtype=np.uint64)


def _copies(bits: Bits, sample: int) -> FloatArray:
    """How many copies of each customer a sample has; of sample -1 one."""
    if sample < 0:
        return np.ones(len(bits))
    word, place = divmod(sample, _WORD)
    taken = (bits[:, word] >> np.uint64(place)) & np.uint64(1)
    return 2.0 * taken.astype(np.float64)
