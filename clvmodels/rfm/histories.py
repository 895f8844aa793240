"""Distinct purchase histories with counts: what the likelihoods need of a base.

Two customers with the same (frequency, recency, T) contribute the same term to the
likelihood, so a base enters a fit as its distinct histories and the number of customers who
share each. This is exact algebra, and makes answers independent of the order of rows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels import frames, schema
from clvmodels.errors import SchemaError
from clvmodels.formulas.strata import coded
from clvmodels.rfm import customers
from clvmodels.rfm.day_pairs import DayPairs, known_days
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.rfm.periods import check_said, check_scale

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm.table import RfmTable

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_WHERE: Final = "The RFM table"
_READ: Final = (
    *(schema.CUSTOMER_ID, schema.FREQUENCY, schema.RECENCY, schema.T),
    *(schema.MONETARY_VALUE, schema.FIRST_VALUE, schema.LOG_GAPS),
)


@dataclass(frozen=True, slots=True)
class PurchaseHistories:
    """Distinct (x, t_x, T) with counts, sorted by x, T, t_x.

    Attributes
    ----------
    x, t_x, T : ndarray, shape (H,)
        Repeat purchases, time of the last one, and length of observation, both times
        counted from the first purchase in units of the table.
    count : ndarray, shape (H,)
        Customers who share the history.
    stratum : ndarray of int or None, shape (H,)
        By a model's covariates; they come ordered by it first.
    """

    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    count: FloatArray
    stratum: IntArray | None = None

    @property
    def kind(self) -> FloatArray:
        """Purchases as the loops take them: with the stratum, where histories have one."""
        return self.x if self.stratum is None else coded(self.x, self.stratum)

    @property
    def strata(self) -> IntArray:
        """Strata that there are, in order."""
        return np.unique(np.empty(0, dtype=np.int64) if self.stratum is None else self.stratum)

    @property
    def customers(self) -> int:
        """Number of customers in the base."""
        return int(self.count.sum())

    @property
    def mean_T(self) -> float:
        """Mean length of observation over customers, in units of the table."""
        return float(np.dot(self.count, self.T) / self.count.sum())

    def fingerprint(self) -> str:
        """SHA-256 of the histories; the same for any order of the same rows."""
        strata = () if self.stratum is None else (self.stratum.astype(np.float64),)
        return digest_of(self.x, self.t_x, self.T, self.count, *strata)


@dataclass(frozen=True, slots=True)
class RfmColumns:
    """Checked columns of an RFM frame, in the frame's own order.

    Attributes
    ----------
    customer_id : ndarray of object or number, shape (N,)
    x, t_x, T : ndarray of float, shape (N,)
    m_bar : ndarray of float or None, shape (N,)
        Mean spend of repeat purchases; 0 where there is none. None without money.
    first_value : ndarray of float or None, shape (N,)
        Spend of the first purchase, where the table knows it.
    margin : float or None
        Share of revenue that is profit; None where the table does not say it.
    scale : TimeScale or None
        The table's unit; None for a plain frame.
    log_gaps : ndarray of float or None, shape (N,)
        As the table has them, unchecked: see `clvmodels.rfm.gaps`.
    last_day : int or None
        At whose end they were looked at, in days since 1970-01-01, where the table knows it
        and counts time by days.
    day_pairs : DayPairs or None
        As the table has them, unchecked: see `clvmodels.rfm.day_pairs`.
    counted : tuple of ndarray, or None
        Recency and T as the table has them, where t_x and T are by a clock.
    stratum : ndarray of int or None, shape (N,)
        By a model's covariates: see `clvmodels.rfm.attributes`.
    frame : Table or frame
        With all other columns.
    customers : ndarray, shape (N,), or None
        Customers that each row stands for; None where it is one each.
    amounts : RfmColumns or None
        Rows to read spend off, where purchases and amounts were counted apart.
    """

    customer_id: npt.NDArray[np.generic]
    x: FloatArray
    t_x: FloatArray
    T: FloatArray
    m_bar: FloatArray | None
    first_value: FloatArray | None
    margin: float | None
    scale: schema.TimeScale | None
    log_gaps: FloatArray | None = None
    last_day: int | None = None
    day_pairs: DayPairs | None = None
    counted: tuple[FloatArray, FloatArray] | None = None
    stratum: IntArray | None = None
    frame: Any = field(default=None, repr=False)
    customers: FloatArray | None = None
    amounts: RfmColumns | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def kind(self) -> FloatArray:
        """Purchases as the loops take them: with the stratum, where customers have one."""
        return self.x if self.stratum is None else coded(self.x, self.stratum)

    @property
    def born(self) -> FloatArray:
        """The same of each customer on the day of the first purchase."""
        nothing = np.zeros(len(self))
        return nothing if self.stratum is None else coded(nothing, self.stratum)

    def tally(self, rows: npt.NDArray[np.bool_]) -> int:
        """Customers whom some rows stand for."""
        return int(rows.sum() if self.customers is None else self.customers[rows].sum())

    @property
    def recency(self) -> FloatArray:
        """Recency as the table has it."""
        return self.t_x if self.counted is None else self.counted[0]

    @property
    def age(self) -> FloatArray:
        """T as the table has it."""
        return self.T if self.counted is None else self.counted[1]


def rfm_columns(
    data: RfmTable | Frame,
    *,
    scale: schema.TimeScale | None = None,
    said: schema.TimeScale | None = None,
    whole: bool = False,
    fitted: float | None = None,
    money: bool = False,
) -> RfmColumns:
    """Check an RFM table or frame and take its columns.

    Parameters
    ----------
    data : RfmTable or frame
        Of pandas, polars or pyarrow, with customer_id (which pandas may have in its
        index), frequency, recency, T and, for spend, monetary_value. T and recency may be
        lengths of time.
    scale : TimeScale, optional
        The unit that is expected; an RfmTable in another one is refused, a plain
        frame is taken to be in it.
    said : TimeScale, optional
        The unit that the caller says a plain frame is in.
    whole : bool
        Whether T is expected to be whole in periods of a plain frame that does not say
        its unit: else there is a warning.
    fitted : float, optional
        The longest T of the base that was fitted: a plain frame that does not say its unit
        and whose T are out of proportion to it is warned of.
    money : bool
        Whether monetary_value must be there.

    Raises
    ------
    SchemaError
        A column is missing, or rows contradict themselves or the unit.
    TimeUnitError
        The table's unit is another one than expected, or than the caller says.
    """
    frame, ours = _frame_of(data)
    own, margin = (None, None) if ours is None else (ours.scale, ours.margin)
    margin = margin if ours is not None and ours.margin_said else None
    if own is not None and said is not None:
        check_said(own, said)
    plain, own = own is None, own or said
    if scale is not None and own is not None:
        check_scale(own, scale)
    unit = own or scale or schema.TimeScale()
    _require(frame, money=money)
    table = frames.to_arrow(frame, _READ)
    customers.check_ids(table[schema.CUSTOMER_ID].type, _WHERE)
    ids = frames.to_pandas(frame, [schema.CUSTOMER_ID])[schema.CUSTOMER_ID]
    found = {
        name: customers.read_numbers(name, table[name], unit, _WHERE)
        for name in table.column_names[1:]
    }
    x, t_x, T = (found[name] for name in (schema.FREQUENCY, schema.RECENCY, schema.T))
    check_rows(x, t_x, T)
    customers.check_periods(x, t_x, unit)
    if own is None and pa.types.is_duration(table[schema.T].type):
        own = said = unit  # lengths of time say theirs
    if plain:
        customers.warn_of_unit(T, unit, said=said is not None, whole=whole, fitted=fitted)
    m_bar = found.get(schema.MONETARY_VALUE)
    if m_bar is not None:  # of no repeat purchase tables carry 0 or nothing
        m_bar = np.where(x == 0, 0.0, m_bar)
    rest = (found.get(schema.FIRST_VALUE), margin, own, found.get(schema.LOG_GAPS))
    return RfmColumns(ids.to_numpy(), x, t_x, T, m_bar, *rest, *known_days(ours), frame=frame)


def check_rows(x: FloatArray, t_x: FloatArray, T: FloatArray) -> None:
    """Refuse rows that no purchase history can have, naming how many and the first."""
    _refuse(~(np.isfinite(x) & np.isfinite(t_x) & np.isfinite(T)), "missing or non-finite values")
    _refuse((x < 0) | (x != np.floor(x)), "a frequency that is not a whole number >= 0")
    _refuse((t_x < 0) | (t_x > T), "recency outside 0..T")
    _refuse((x == 0) & (t_x > 0), "recency > 0 at frequency 0")


def purchase_histories(data: RfmTable | Frame | RfmColumns) -> PurchaseHistories:
    """Distinct (frequency, recency, T) of a base, with counts.

    Raises
    ------
    SchemaError
        The table is empty or not an RFM table.
    """
    columns = data if isinstance(data, RfmColumns) else rfm_columns(data)
    if not len(columns):
        raise SchemaError("The RFM table has no rows: there is nothing to fit.")
    first, inverse = distinct_rows(columns.kind, columns.T, columns.t_x)
    count = np.bincount(inverse, columns.customers, len(first)).astype(np.float64)
    stratum = None if columns.stratum is None else columns.stratum[first]
    return PurchaseHistories(columns.x[first], columns.t_x[first], columns.T[first], count, stratum)


def _frame_of(data: RfmTable | Frame) -> tuple[Any, RfmTable | None]:
    """The rows, and the table that has them if it is one of ours."""
    from clvmodels.rfm.table import RfmTable

    if isinstance(data, RfmTable):
        return data.table, data
    if frames.kind_of(data) is not None:
        return frames.out_of_index(frames.eager(data), schema.CUSTOMER_ID), None
    raise SchemaError(
        f"Expected an RfmTable, {frames.FRAMES}, found {type(data).__name__}: "
        "make one with rfm_summary(...) or RfmTable.from_frame(...)."
    )


def _require(frame: Any, *, money: bool) -> None:
    names = frames.column_names(frame)
    needed = [schema.CUSTOMER_ID, schema.FREQUENCY, schema.RECENCY, schema.T]
    if money:
        needed.append(schema.MONETARY_VALUE)
    missing = [name for name in needed if name not in names]
    if schema.is_log(names):
        raise schema.is_a_log(names)
    if missing == [schema.CUSTOMER_ID] and frames.kind_of(frame) == "pandas":
        raise customers.no_id(names, frames.index_name(frame))
    if missing:
        raise lacks(missing, tuple(names))
    twice = [name for name in _READ if names.count(name) > 1]
    if twice:
        raise SchemaError(
            f"The RFM table has {names.count(twice[0])} columns named {twice[0]!r}: rename one."
        )


def lacks(missing: list[str], found: tuple[str, ...]) -> SchemaError:
    """The error of a table that lacks columns."""
    there = f"; found {', '.join(found)}" if found else ""
    money = schema.MONETARY_VALUE in missing
    hint = "Give rfm_summary a monetary_value_col." if money else "Rename yours."
    return SchemaError(f"The RFM table lacks {', '.join(missing)}{there}. {hint}")


def _refuse(bad: npt.NDArray[np.bool_], what: str) -> None:
    if bad.any():
        raise SchemaError(
            f"{int(bad.sum()):,} rows have {what}; the first is row {int(np.argmax(bad))}. "
            "frequency must be whole and >= 0, and 0 <= recency <= T."
        )


def digest_of(*columns: FloatArray) -> str:
    """SHA-256 of columns of numbers."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column + 0.0).tobytes())
    return digest.hexdigest()
