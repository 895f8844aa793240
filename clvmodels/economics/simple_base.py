"""A base of customers as the simple formula sees it: orders, revenue, time and silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from clvmodels.economics.outlook import column, past_revenue
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import defaults, defaults_of
from clvmodels.log import gap_quantile_of_log, replayable
from clvmodels.log.options import FileTerms
from clvmodels.margin import said_margin
from clvmodels.rfm import RfmTable, rfm_summary
from clvmodels.rfm.periods import ordinal_of
from clvmodels.schema import (
    DAYS_PER_YEAR,
    FREQUENCY,
    RECENCY,
    FloatArray,
    T,
    TimeUnit,
    check_number,
)

GAP_QUANTILE: Final = 0.95
SilenceSource = Literal["given", "gaps", "mean gaps"]

_NEEDED: Final = ("customer_id_col", "datetime_col", "monetary_value_col")

# Days in other units come back rounded: who is silent for exactly the limit is not lost.
_ROUNDING: Final = 1e-9


@defaults(
    customer_id_col=None,
    datetime_col=None,
    monetary_value_col=None,
    time_unit="D",
    time_scaler=1,
    observation_period_end=None,
    segment_cols=(),
    margin=None,
)
class LogColumns(FileTerms, total=False):
    """How a log is read, if it is one: the keyword arguments of `rfm_summary` but id_map."""

    customer_id_col: str | None
    datetime_col: str | None
    monetary_value_col: str | None
    time_unit: TimeUnit
    time_scaler: float
    observation_period_end: Any
    segment_cols: Sequence[str]
    margin: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """Customers, one value each.

    Attributes
    ----------
    orders, revenue : ndarray, shape (N,)
        Purchases, the first one included, and what they brought.
    watched, silent : ndarray, shape (N,)
        Days from the first purchase, and from the last one, to the observation end.
    """

    orders: FloatArray
    revenue: FloatArray
    watched: FloatArray
    silent: FloatArray

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def years(self) -> FloatArray:
        """Time watched, in years."""
        return self.watched / DAYS_PER_YEAR

    def lost(self, silence: float) -> npt.NDArray[np.bool_]:
        """Whether a customer has been silent for longer than that many days."""
        return np.asarray(self.silent > silence * (1 + _ROUNDING))

    def take(self, rows: npt.NDArray[np.int64]) -> Base:
        """Some of the customers."""
        return Base(self.orders[rows], self.revenue[rows], self.watched[rows], self.silent[rows])


def read_table(
    source: Any, log: Any, id_map: Any, columns: LogColumns, segments: Sequence[str] = ()
) -> tuple[RfmTable, Any]:
    """Take an RfmTable, at another margin if one is given, and summarise a log.

    Parameters
    ----------
    source, log, id_map, columns
        As `simple_clv` was given them.
    segments : sequence of str
        Columns of a log to keep beside those that it names itself.

    Returns
    -------
    rfm, log
        The table, and the log that it was made of, if that is known.

    Raises
    ------
    SchemaError
        Column names are missing for a log, or given for a table.
    """
    if isinstance(source, RfmTable):
        usual = {**defaults_of(LogColumns), "margin": columns["margin"]}
        reading = [name for name, value in columns.items() if value != usual[name]]
        if reading:
            raise SchemaError(
                f"{', '.join(reading)} say how a log is read, but this is an RfmTable, summarised "
                "already: leave them out, or pass the log itself."
            )
        margin = columns["margin"]
        return source if margin is None else replace(source, **said_margin(margin)), log
    missing = [name for name in _NEEDED if columns[name] is None]
    if missing or log is not None:
        raise SchemaError(
            f"A {type(source).__name__} is read as a log, which needs {', '.join(_NEEDED)} and no "
            f"separate log=; missing: {', '.join(missing) or 'none'}. For customers summarised "
            "already, pass RfmTable.from_pandas(frame)."
        )
    source = replayable(source)
    kept = tuple(dict.fromkeys((*columns["segment_cols"], *segments)))
    complete: Any = {**columns, "segment_cols": kept, "id_map": id_map}
    return rfm_summary(source, **complete), source


def base_of(rfm: RfmTable) -> Base:
    """Take what the simple formula needs of a table.

    Raises
    ------
    SchemaError
        The table has no amounts, or not those of first purchases.
    DomainError
        There are no customers, or none was watched for any time.
    """
    if not len(rfm):
        raise DomainError("The table has no customers: the simple formula needs some.")
    revenue = past_revenue(rfm) if rfm.has_money else None
    if revenue is None:
        raise SchemaError(
            "The simple formula needs the value of every order, first ones included: summarise "
            "the log with a monetary_value_col."
        )
    x, t_x, age = (column(rfm, name) for name in (FREQUENCY, RECENCY, T))
    if not age.any():
        raise DomainError(
            "Every customer bought for the first time in the last period observed, so there is "
            "no time over which orders per year could be counted: use a longer log."
        )
    return Base(x + 1.0, revenue, age * rfm.scale.days, (age - t_x) * rfm.scale.days)


def silence_of(
    rfm: RfmTable, log: Any, silence: float | None, id_map: Any
) -> tuple[float, SilenceSource]:
    """Days without a purchase after which a customer counts as lost, and whence they are."""
    if silence is not None:
        if not (math.isfinite(check_number("silence", silence)) and silence > 0):
            raise DomainError(f"silence={silence!r} must be a number of days > 0.")
        return float(silence), "given"
    if log is None:
        return mean_gap_quantile(rfm, GAP_QUANTILE), "mean gaps"
    return gap_quantile(log, rfm, GAP_QUANTILE, id_map=id_map), "gaps"


__all__ = ["gap_quantile", "mean_gap_quantile"]


def gap_quantile(log: Any, rfm: RfmTable, share: float = 0.95, *, id_map: Any = None) -> float:
    """Quantile of the times between successive purchases of a customer.

    Parameters
    ----------
    log : object
        The log that ``rfm`` was made of; it is read in the same way, up to the table's
        observation end.
    rfm : RfmTable
        Its summary.
    share : float
        Which quantile, 0..1; linear between gaps, as in pandas and NumPy.
    id_map : mapping or frame, optional
        As it was given to rfm_summary.

    Returns
    -------
    float
        In days.

    Raises
    ------
    DomainError
        Nobody bought twice, or the table did not come from a log.
    """
    _check_share(share)
    if rfm.options is None or rfm.observation_end is None:
        raise DomainError(
            "This table does not know how its log was read: make it with rfm_summary, or give "
            "the silence after which a customer counts as lost."
        )
    options = replace(rfm.options, end=ordinal_of(rfm.observation_end, rfm.scale), segment_cols=())
    gap = gap_quantile_of_log(log, options, share, id_map)
    if gap is None:
        raise _nobody_twice()
    return gap * rfm.scale.days / rfm.time_scaler


def mean_gap_quantile(rfm: RfmTable, share: float = 0.95) -> float:
    """Quantile of customers' mean gaps, each as often as the customer has gaps, in days.

    All that a summary knows; it is shorter than `gap_quantile`, since a customer's long
    and short pauses cancel in the mean.

    Raises
    ------
    DomainError
        Nobody bought twice.
    """
    _check_share(share)
    x = rfm.table[FREQUENCY].to_numpy()
    recency = rfm.table[RECENCY].to_numpy()
    if not x.any():
        raise _nobody_twice()
    repeat = x > 0
    gaps = np.repeat(recency[repeat] / x[repeat], x[repeat])
    return float(np.quantile(gaps, share)) * rfm.scale.days


def _check_share(share: float) -> None:
    if not 0 <= check_number("share", share) <= 1:
        raise DomainError(f"share={share!r} must lie between 0 and 1.")


def _nobody_twice() -> DomainError:
    return DomainError(
        "Nobody bought twice, so there is no gap between purchases: give the silence after "
        "which a customer counts as lost."
    )
