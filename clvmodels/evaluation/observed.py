"""A log cut in two: customers as they were known at a date, and what they did afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels.evaluation.cut_dates import Span
from clvmodels.frames import to_pandas
from clvmodels.rfm import RfmSplit, RfmTable
from clvmodels.rfm.periods import start_of
from clvmodels.rfm.purchases_again import positions_of
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, FloatArray, TimeScale

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """How future money is counted.

    Attributes
    ----------
    horizon : float
        Length of the holdout, in units of the table.
    delta : float
        Continuous discount rate per unit.
    month : float or None
        Length of a month in units, where money is discounted by the month.
    margin : float
        Share of revenue that values are made of.
    """

    horizon: float
    delta: float
    month: float | None
    margin: float

    def present(self, after: FloatArray) -> FloatArray:
        """Discount factors of money that comes so many units after the date of the forecast.

        As the predictions do: e^(-delta s), or e^(-delta k month) in the k-th month.
        """
        if self.month is None:
            return np.exp(-self.delta * after)
        months = np.ceil(after / self.month - 1e-9)
        return np.asarray(np.exp(-self.delta * self.month * months))


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The customers of a calibration period, and all their purchases.

    Attributes
    ----------
    split : RfmSplit
        Calibration and holdout, from `rfm_train_test_split`.
    span : Span
        Where the calibration and the holdout end.
    who, period : ndarray of int, shape (P,)
        Of every purchase of these customers up to the end of the holdout: whose it is
        (position in ``split.train``) and when (ordinal).
    total : ndarray, shape (P,), or None
        What it brought; None for a log without amounts.
    terms : Terms
        Horizon, discounting and margin.
    left_out : int
        Customers of the log's first month, where they are left out.
    """

    split: RfmSplit
    span: Span
    who: IntArray
    period: IntArray
    total: FloatArray | None = field(repr=False)
    terms: Terms
    left_out: int = 0

    @property
    def train(self) -> RfmTable:
        """Customers as they were known at the end of the calibration."""
        return self.split.train

    @property
    def customers(self) -> int:
        """How many they are."""
        return len(self.split.train)

    @property
    def scale(self) -> TimeScale:
        """The unit of time."""
        return self.split.train.scale

    @property
    def has_money(self) -> bool:
        """Whether there are amounts."""
        return self.total is not None

    @property
    def frequency(self) -> IntArray:
        """Repeat purchases of each customer in the calibration."""
        return np.asarray(self.train.table[FREQUENCY].to_numpy(), dtype=np.int64)

    @property
    def bought(self) -> IntArray:
        """Purchases of each customer in the holdout."""
        return to_pandas(self.split.test)["test_frequency"].to_numpy(dtype=np.int64)

    @property
    def spent(self) -> FloatArray | None:
        """Discounted value of each customer's purchases in the holdout, margin applied."""
        return self.value(self.span.train_end)

    @property
    def first(self) -> IntArray:
        """Ordinal of each customer's first purchase."""
        first = np.full(self.customers, np.iinfo(np.int64).max)
        np.minimum.at(first, self.who, self.period)
        return first

    def since(self, start: int) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Purchases in as many periods after ``start`` as the holdout has, and how long after."""
        after = self.period - start
        inside = (after > 0) & (after <= self.span.length)
        return inside, after[inside] / self.scale.time_scaler

    def count(self, start: int) -> FloatArray:
        """Each customer's purchases in a window of the holdout's length after ``start``."""
        inside, _ = self.since(start)
        return np.bincount(self.who[inside], minlength=self.customers).astype(np.float64)

    def value(self, start: int) -> FloatArray | None:
        """Value of those purchases, discounted from ``start``."""
        if self.total is None:
            return None
        inside, after = self.since(start)
        money = self.total[inside] * self.terms.present(after) * self.terms.margin
        return np.bincount(self.who[inside], money, minlength=self.customers).astype(np.float64)

    def month_of_first(self) -> npt.NDArray[Any]:
        """Calendar month of each customer's first purchase, as text like 1997-01."""
        distinct, inverse = np.unique(self.first, return_inverse=True)
        months = [str(start_of(int(one), self.scale))[:7] for one in distinct]
        return np.asarray(months, dtype=object)[inverse]


def observe(purchases: pa.Table, split: RfmSplit, span: Span, terms: Terms) -> Observed:
    """Find the purchases of a split's customers; those of others are left out."""
    distinct, inverse = np.unique(purchases["period"].to_numpy(), return_inverse=True)
    periods = distinct.astype(np.int64)[inverse]
    position = positions_of(split.train.table[CUSTOMER_ID].to_pandas(), purchases["customer"])
    mine = (position >= 0) & (periods <= span.test_end)
    names: Mapping[str, int] = {name: i for i, name in enumerate(purchases.column_names)}
    total = purchases["total"].to_numpy()[mine] if "total" in names else None
    return Observed(split, span, position[mine], periods[mine], total, terms)
