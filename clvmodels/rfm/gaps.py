"""The times between a customer's purchases, of which a table keeps the sum of logarithms.

Where purchases are Erlang-k in time, the likelihood of a customer's x repeat purchases is
that of (x, t_x, T) times the product of the gaps to the power k - 1. That factor does not
depend on parameters, so no fit needs it; but k can only be compared with another k where it
is known. The gaps run from one purchase period to the next, the first of them from the first
purchase to the first repeat, in the unit of recency: then a change of units changes the log
density of x purchases by x times the same number, whatever k is.

The sum is kept customer by customer, since what it is needed for is not a function of the
base's total: the standard error of a difference between two k is that of a sum over
customers, whose gaps go with their histories; weights of a mixture of models take each
customer's density; a later log adds the gap between its first purchase and the last one
before; and of some of the customers the total of all says nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.rfm.customers import ROUNDING, slack
from clvmodels.schema import LOG_GAPS, FloatArray, TimeScale

if TYPE_CHECKING:
    from clvmodels.rfm.histories import RfmColumns


def gaps_of(columns: RfmColumns) -> FloatArray:
    """Sum of the logarithms of each customer's gaps, checked; shape (N,).

    Raises
    ------
    SchemaError
        The table does not have them, or has others.
    """
    if columns.log_gaps is None:
        raise SchemaError(
            "Models of different regularity can be compared only where the times between "
            f"purchases are known, and this table has no column {LOG_GAPS!r}: make it with "
            "rfm_summary of this version (a frame of customers cannot know them), or compare "
            "models of one regularity."
        )
    scale = columns.scale or TimeScale()
    check_gaps(columns.log_gaps, columns.x, columns.t_x, scale)
    return columns.log_gaps


def without_gaps(model: str) -> str:
    """Say what a likelihood is good for that lacks what it owes to the gaps."""
    return (
        f"The table has no column {LOG_GAPS!r}, so the log-likelihood of {model} lacks what it "
        "owes to the times between purchases: compare it with that of models of the same "
        "regularity only, or make the table with rfm_summary."
    )


def total(log_gaps: FloatArray) -> float:
    """Sum over customers, the same whatever their order."""
    return math.fsum(log_gaps)


def check_gaps(log_gaps: FloatArray, x: FloatArray, t_x: FloatArray, scale: TimeScale) -> None:
    """Refuse rows whose gaps do not add up to their recency.

    Of x gaps that add up to t_x the sum of logarithms is greatest where they are equal, and of
    one it is ln t_x. So sums of other customers, or in another unit, are mostly found.

    Parameters
    ----------
    log_gaps : ndarray, shape (N,)
        Sum of the logarithms of a customer's gaps, in the table's unit.
    x, t_x : ndarray, shape (N,)
        Repeat purchases, and recency in that unit.
    scale : TimeScale
        The unit.

    Raises
    ------
    SchemaError
        There are some; the message has their number and the first of them.
    """
    periods, off = t_x * scale.time_scaler, slack(scale)
    found = log_gaps + x * math.log(scale.time_scaler)
    least = np.where(x == 1, np.log(np.maximum(periods - off, off)), -np.inf)
    most = x * np.log((periods + off) / np.maximum(x, 1.0))
    room = ROUNDING * (1.0 + x)
    fits = (found >= least - room) & (found <= most + room)
    bad = ~np.where(x > 0, fits, np.abs(log_gaps) <= room)
    if not bad.any():
        return
    row = int(np.argmax(bad))
    raise SchemaError(
        f"{int(bad.sum()):,} rows have {LOG_GAPS} that are missing, or that purchases of their "
        f"frequency and recency cannot have; the first is row {row} (frequency={x[row]:g}, "
        f"recency={t_x[row]:g}, {LOG_GAPS}={log_gaps[row]:g}, time in {scale}). Make the table "
        f"with rfm_summary, or drop the column {LOG_GAPS!r}: only comparisons of models of "
        "different regularity need it."
    )
