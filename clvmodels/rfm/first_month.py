"""Customers of a log's first month: their first row need not be their first order.

A log that begins in the middle of business holds customers who came long before. Their
first row is only the first that is kept, and whoever is seen within a month of it is
likely to be one who buys often. So the first month has more customers than those that
follow, who buy more often than theirs: a mixture that the model takes to be one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels.errors import SchemaError
from clvmodels.frames import to_pandas
from clvmodels.limits import MAX_FIRST_MONTH_RATE
from clvmodels.rfm.split import RfmSplit
from clvmodels.rfm.table import RfmTable
from clvmodels.schema import DAYS_PER_MONTH, TimeScale
from clvmodels.schema import FREQUENCY as X
from clvmodels.schema import T as AGE

FIRST_MONTH: Final = "first_month"
LABELS: Final = ("first month", "later")
# Those of the next months were watched nearly as long, so that rates can be compared.
_NEXT: Final = 3
# Acquisition that ends with its first quarter is that of a cohort, which says nothing.
_LEAST_MONTHS: Final = 6
_FEWEST: Final = 30
_SIGNIFICANT: Final = 3.0

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FirstMonth:
    """How customers of a log's first month differ from those of the three months after it.

    Attributes
    ----------
    customers : int
        Of the first month.
    share : float
        Of all customers of the table.
    crowd : float
        Customers, as a multiple of those of one of the next months.
    rate : float
        Repeat purchases in the time observed, as a multiple of the next months'.
    clear : bool
        Whether chance does not explain the rate.
    """

    customers: int
    share: float
    crowd: float
    rate: float
    clear: bool

    @property
    def differs(self) -> bool:
        """Whether they buy more often, beyond chance and beyond what is of no matter."""
        return self.clear and self.rate > MAX_FIRST_MONTH_RATE


def first_month_of(x: Any, T: Any, scale: TimeScale) -> FirstMonth | None:
    """Compare customers of the first month with those of the next three.

    Parameters
    ----------
    x, T : array_like, shape (N,)
        Repeat purchases and age, in units of ``scale``.
    scale : TimeScale
        The unit of time.

    Returns
    -------
    FirstMonth or None
        None where the log does not let it be judged: new customers came for less than
        half a year, or too few in the first or the next months.
    """
    count, age = np.asarray(x, dtype=np.float64), np.asarray(T, dtype=np.float64)
    if not len(count):
        return None
    month = _month(age, scale)
    if month.max() < _LEAST_MONTHS - 1:
        return None
    first, following = month == 0, (month > 0) & (month <= _NEXT)
    if min(first.sum(), following.sum()) < _FEWEST:
        return None
    rates = [_rate(count[who], age[who]) for who in (first, following)]
    (one, error), (other, other_error) = rates
    if not (one > 0.0 and other > 0.0):
        return None
    noise = math.hypot(error / one, other_error / other)
    ratio = one / other
    return FirstMonth(
        int(first.sum()),
        float(first.mean()),
        float(first.sum() / (following.sum() / _NEXT)),
        ratio,
        abs(math.log(ratio)) > _SIGNIFICANT * noise,
    )


def _month(age: npt.NDArray[np.float64], scale: TimeScale) -> npt.NDArray[np.int64]:
    """Months from the log's first purchase to each customer's."""
    days = (age.max() - age) * scale.days
    return np.asarray(np.floor(days / DAYS_PER_MONTH + 1e-9), dtype=np.int64)


def _rate(x: npt.NDArray[np.float64], T: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Repeat purchases per time observed, and its standard error over customers."""
    rate = float(x.sum() / T.sum())
    return rate, float(np.sqrt(np.sum((x - rate * T) ** 2)) / T.sum())


def label_first_month(rfm: RfmTable) -> RfmTable:
    """Add a segment column that tells customers of the log's first month from later ones.

    Where a log begins in the middle of business, the first month's customers are old ones:
    look at both with ``by="first_month"`` wherever segments are taken.

    Parameters
    ----------
    rfm : RfmTable
        Any table; a month is 30.4375 days from the first purchase of all.

    Returns
    -------
    RfmTable
        With a segment column "first_month" of "first month" and "later". It cannot be
        updated with a later log, which has no such column: label after the update.

    Raises
    ------
    SchemaError
        The table has a column of that name.
    """
    if FIRST_MONTH in rfm.table.column_names:
        raise SchemaError(
            f"The table has a column {FIRST_MONTH!r} already: rename it before labelling."
        )
    labels = np.where(_is_first(rfm), *LABELS)
    table = rfm.table.append_column(FIRST_MONTH, pa.array(labels.tolist(), pa.string()))
    return replace(rfm, table=table, segment_cols=(*rfm.segment_cols, FIRST_MONTH), options=None)


def without_first_month(rfm: RfmTable) -> RfmTable:
    """Leave the customers of the log's first month out, to fit without them.

    Of later customers the first row is more likely the first order. A model of these
    says how new customers behave; those of the first month are better fitted alone.

    Parameters
    ----------
    rfm : RfmTable
        Any table.

    Returns
    -------
    RfmTable
        The later customers. It cannot be updated with a later log, nor does it have an
        audit or pairs of days, which are those of all rows.

    Raises
    ------
    SchemaError
        All customers came within the first month.
    """
    later = ~_is_first(rfm)
    if not later.any():
        raise SchemaError(
            "All customers came within the first month: there is nobody to compare them with. "
            "Keep them."
        )
    table = rfm.table.filter(pa.array(later))
    return replace(rfm, table=table, audit=None, options=None, day_pairs=None)


def split_without_first_month(split: RfmSplit) -> RfmSplit:
    """Leave the customers of the log's first month out of calibration and holdout.

    Raises
    ------
    SchemaError
        All customers came within the first month.
    """
    later = ~_is_first(split.train)
    test = to_pandas(split.test)[later].reset_index(drop=True)
    # how the log was read is still asked for, as the gaps in it are of all customers
    train = replace(without_first_month(split.train), options=split.train.options)
    return replace(split, train=train, test=test)


def _is_first(rfm: RfmTable) -> Mask:
    age = rfm.table[AGE].to_numpy()
    return cast(Mask, _month(age, rfm.scale) == 0) if len(age) else np.zeros(0, dtype=bool)


def first_month(rfm: RfmTable) -> FirstMonth | None:
    """As :func:`first_month_of`, of a table."""
    return first_month_of(rfm.table[X].to_numpy(), rfm.table[AGE].to_numpy(), rfm.scale)
