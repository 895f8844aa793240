"""Amounts that the spend model learns from: of repeat purchases, or of first orders too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from clvmodels import schema
from clvmodels.errors import DomainError, SchemaError
from clvmodels.formulas.gamma_gamma import mean_with_first
from clvmodels.formulas.strata import coded
from clvmodels.rfm.distinct import distinct_rows, significant
from clvmodels.rfm.histories import RfmColumns, digest_of, lacks, rfm_columns
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FirstOrder = Literal["exclude", "include", "covariate"]
# Total spend comes from a mean: to 12 digits the same cents are one number, however rounded.
_SPEND_DIGITS: Final = 12
# With fewer customers the priors hold p and q, even where all amounts agree.
_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class SpendHistories:
    """Distinct (x, total spend) with counts, of customers whose spend is > 0.

    Attributes
    ----------
    x, total : ndarray, shape (H,)
        Amounts that count and their total: those of repeat purchase periods, S = x * m_bar,
        or with the first order, x + 1 amounts.
    count : ndarray, shape (H,)
        Customers who share the pair.
    without_repeat : int
        Customers without a repeat purchase, who say nothing about spend here; 0 where first
        orders count.
    zero_spend : int
        The other customers whose mean spend is exactly 0: outside the model's support,
        left out of the fit and counted.
    stratum : ndarray of int or None, shape (H,)
        By a model's covariates; they come ordered by it first.
    """

    x: FloatArray
    total: FloatArray
    count: FloatArray
    without_repeat: int
    zero_spend: int
    stratum: IntArray | None = None

    @property
    def strata(self) -> IntArray:
        """Strata that there are, in order."""
        return np.unique(np.empty(0, dtype=np.int64) if self.stratum is None else self.stratum)

    @property
    def customers(self) -> int:
        """Number of customers who enter the spend likelihood."""
        return int(self.count.sum())

    @property
    def typical_amount(self) -> float:
        """Geometric mean over customers of the mean spend per purchase."""
        log_mean = np.log(self.total / self.x)
        return math.exp(float(np.dot(self.count, log_mean) / self.count.sum()))

    def fingerprint(self) -> str:
        """SHA-256 of the histories; the same for any order of the same rows."""
        return digest_of(self.x, self.total, self.count)


def spend_histories(
    data: RfmTable | Frame | RfmColumns, first_order: FirstOrder = "exclude"
) -> SpendHistories:
    """Distinct (amounts, total spend) of the customers with some, with counts.

    Parameters
    ----------
    data : RfmTable, frame or RfmColumns
        The base.
    first_order : {"exclude", "include", "covariate"}
        Whether the amount of the first order counts, beside those of repeat purchases.

    Raises
    ------
    SchemaError
        monetary_value is missing, or first_value where it counts.
    DomainError
        Nobody has spend that is positive, or a repeat customer's mean spend, or a first
        order that counts, is negative or missing.
    """
    columns = data if isinstance(data, RfmColumns) else rfm_columns(data, money=True)
    columns = columns.amounts or columns
    if columns.m_bar is None:
        raise lacks([schema.MONETARY_VALUE], ())
    repeat = columns.x > 0
    bad = repeat & _unusable(columns.m_bar)
    _refuse(columns.tally(bad), "repeat customers", schema.MONETARY_VALUE)
    x, m_bar, known = columns.x, columns.m_bar, repeat
    if first_order == "include":
        if columns.first_value is None and columns.customers is not None:
            raise SchemaError(
                "These histories were counted without the amounts of first orders, which are to "
                "count: count them with count_histories(..., first_order=True)."
            )
        if columns.first_value is None:
            raise lacks([schema.FIRST_VALUE], ())
        bad = _unusable(columns.first_value)
        _refuse(columns.tally(bad), "customers", schema.FIRST_VALUE)
        m_bar, known = mean_with_first(x, m_bar, columns.first_value), np.ones_like(repeat)
        x = x + 1.0
    used = known & (m_bar > 0)
    if not used.any():
        whose = "a purchase" if first_order == "include" else "a repeat purchase"
        raise DomainError(
            f"No customer has {whose} of positive value, so the spend model has nothing "
            "to learn from: use a longer log, or fit the purchase model alone."
        )
    total = significant(x[used] * m_bar[used], _SPEND_DIGITS)
    stratum = None if columns.stratum is None else columns.stratum[used]
    first, inverse = distinct_rows(x[used] if stratum is None else coded(x[used], stratum), total)
    shared = None if columns.customers is None else columns.customers[used]
    count = np.bincount(inverse, shared, len(first)).astype(np.float64)
    left = columns.tally(~known), columns.tally(known & ~used)
    strata = None if stratum is None else stratum[first]
    return SpendHistories(x[used][first], total[first], count, *left, strata)


def _unusable(amounts: FloatArray) -> BoolArray:
    return ~(np.isfinite(amounts) & (amounts >= 0))


def _refuse(bad: int, whose: str, column: str) -> None:
    if bad:
        raise DomainError(
            f"{bad:,} {whose} have a negative or missing {column}: "
            "summarise the log with refunds='drop' or 'net', or leave these rows out."
        )


def spend_to_fit(
    data: RfmTable | Frame | RfmColumns, first_order: FirstOrder = "exclude"
) -> SpendHistories:
    """Spend of a base, as `spend_histories` has it, from which the spend model can learn.

    Raises
    ------
    SchemaError
        monetary_value is missing, or first_value where it counts.
    DomainError
        There is no spend, or no variation in it: without any p and q grow without bound, and
        there is no posterior to find.
    """
    histories = spend_histories(data, first_order)
    mean = histories.total / histories.x
    if histories.customers >= _FEW and np.ptp(mean) <= 1e-9 * mean.max():
        whose = "customers" if first_order == "include" else "repeat customers"
        raise DomainError(
            f"All {histories.customers:,} {whose} spend {mean[0]:,.6g} per purchase, so "
            "there is no variation for the spend model to learn from: multiply the expected "
            "purchases by that amount."
        )
    return histories
