"""Purchases by the day on which they were made and the day of the customer's purchase before.

In models whose customers leave at purchases, a common intensity of the day warps time, and
the likelihood of a log is that of warped (x, t_x, T) times what its repeat purchases owe to
the intensity of their day, and, with Erlang-k timing, to the warped times between purchases.
Both are sums over pairs of days, however many customers there are: with (x, t_x, T) that is
all that a calendar can be learnt from. By default no table has them, as they take a second
reading of the log: 65 to 95 % more time for a summary of ten million rows in a Parquet file.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels.errors import SchemaError
from clvmodels.rfm.periods import day_of
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.purchases.clock import LearntClock
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.histories import RfmColumns

IntArray = npt.NDArray[np.int64]
_NAMES: Final = ("day", "next_day", "count")
_AND_AGES: Final = "."  # not of the alphabet of base64


@dataclass(frozen=True, slots=True, eq=False)
class DayPairs:
    """How many repeat purchases there are of each day and day of the purchase before.

    Parameters
    ----------
    day, next_day : ndarray of int64, shape (P,)
        Days since 1970-01-01: of a purchase, and of the same customer's next one; sorted by
        both, each pair once.
    count : ndarray of int64, shape (P,)
        Customers' purchases that are such a pair.
    ages : DayPairs or None
        The same by days since the customer's first purchase, of customers who came after the
        log's first month; None where that is not known, as of a table that was updated.
    """

    day: IntArray
    next_day: IntArray
    count: IntArray
    ages: DayPairs | None = None

    def __len__(self) -> int:
        return len(self.count)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DayPairs):
            return NotImplemented
        same = all(np.array_equal(getattr(self, n), getattr(other, n)) for n in _NAMES)
        return same and self.ages == other.ages

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, tables: Sequence[pa.Table]) -> Self:
        """Add up tables with columns day, next_day and count; and, if all have it, by_age."""
        ages = None
        if tables and all("by_age" in one.column_names for one in tables):
            aged = [one.filter(pc.equal(one["by_age"], 1)).select(_NAMES) for one in tables]
            tables = [one.filter(pc.equal(one["by_age"], 0)).select(_NAMES) for one in tables]
            ages = cls.of(aged)
        day, next_day, count = (
            np.concatenate([one[name].to_numpy().astype(np.int64) for one in tables])
            for name in _NAMES
        )
        order = np.lexsort([next_day, day])
        day, next_day, count = day[order], next_day[order], count[order]
        new = np.ones(len(day), dtype=bool)
        new[1:] = (np.diff(day) != 0) | (np.diff(next_day) != 0)
        first = np.flatnonzero(new)
        total = np.add.reduceat(count, first) if len(day) else count
        return cls(day[first], next_day[first], total, ages)

    def to_arrow(self) -> pa.Table:
        """Return the columns as a pyarrow Table."""
        return pa.table({name: getattr(self, name) for name in _NAMES})

    def to_text(self) -> str:
        """Return all three columns as text, for the metadata of a file; those of ages behind."""
        rows = np.stack([getattr(self, name) for name in _NAMES])
        steps = np.diff(rows, axis=1, prepend=0).astype("<i8")  # small numbers, to be compressed
        text = base64.b64encode(zlib.compress(steps.tobytes())).decode("ascii")
        return text if self.ages is None else f"{text}{_AND_AGES}{self.ages.to_text()}"

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """Read what `to_text` wrote; None of None.

        Raises
        ------
        ValueError
            It did not write that.
        """
        if text is None:
            return None
        text, _, ages = text.partition(_AND_AGES)
        try:
            content = zlib.decompress(base64.b64decode(text, validate=True))
        except zlib.error as error:
            raise ValueError(str(error)) from error
        steps = np.frombuffer(content, dtype="<i8").reshape(3, -1)
        day, next_day, count = np.cumsum(steps, axis=1, dtype=np.int64)
        return cls(day, next_day, count, cls.from_text(ages or None))


def day_pairs_of(columns: RfmColumns) -> tuple[DayPairs, IntArray, IntArray]:
    """Return the pairs of days of a table, which are those of its customers.

    Returns
    -------
    pairs : DayPairs
    first, last : ndarray of int64, shape (N,)
        Days of each customer's first and last purchase.

    Raises
    ------
    SchemaError
        The table does not have them, or those of other customers: on every day as many
        purchases must be followed by another as were made, less those that are a customer's
        last.
    """
    pairs = columns.day_pairs
    if pairs is None:
        raise SchemaError(
            "A clock is learnt from the days of purchases, and this table does not have them: "
            "make it with rfm_summary(..., day_pairs=True), counted by days; a frame of customers "
            "cannot know them."
        )
    first, last = days_of(columns)
    fits = int(pairs.count.sum()) == int(columns.x.sum()) and _add_up(pairs, first, last)
    if not fits:
        raise SchemaError(
            f"The table has {int(columns.x.sum()):,} repeat purchases of {len(columns):,} "
            "customers, and its pairs of days are those of other customers: summarise the log of "
            "these customers with rfm_summary(..., day_pairs=True)."
        )
    return pairs, first, last


def days_of(columns: RfmColumns) -> tuple[IntArray, IntArray]:
    """Days of each customer's first and last purchase, since 1970-01-01.

    Raises
    ------
    SchemaError
        The table does not know the day of its end, or does not count time by days.
    """
    last_day, days = known_day(columns.last_day), columns.scale.days if columns.scale else 1.0
    return _first_and_last(columns.recency, columns.age, last_day, days)


def known_day(last_day: int | None) -> int:
    """Return the last day of observation, or say what lacks it.

    Raises
    ------
    SchemaError
        It is not known.
    """
    if last_day is None:
        raise SchemaError(
            "A clock needs to know the days of purchases, and this table does not say when "
            "observation ended, or does not count days: pass an "
            'RfmTable that counts time by days (time_unit="D") and knows when its observation '
            "ended, made by rfm_summary, or by RfmTable.from_frame(..., observation_end=...)."
        )
    return last_day


def known_days(table: RfmTable | None) -> tuple[int | None, DayPairs | None]:
    """The last day of a table that counts time by days, and its pairs of days."""
    if table is None or table.time_unit != "D" or table.observation_end is None:
        return None, None
    return day_of(table.observation_end), table.day_pairs


def by_clock(columns: RfmColumns, clock: LearntClock | None) -> RfmColumns:
    """The same customers, with t_x and T in time of their own.

    Raises
    ------
    SchemaError
        There is a clock, and the table does not know days.
    """
    if clock is None:
        return columns
    days = columns.scale.days if columns.scale else 1.0
    own = own_times(clock, columns.recency, columns.age, known_day(columns.last_day), days)
    return replace(columns, t_x=own[0], T=own[1], counted=(columns.recency, columns.age))


def own_times(
    clock: LearntClock, recency: FloatArray, age: FloatArray, last_day: int, days: float
) -> tuple[FloatArray, FloatArray]:
    """Recency and T by a clock.

    Parameters
    ----------
    clock : LearntClock
    recency, age : ndarray, shape (N,)
        Recency and T, in a unit of so many ``days``.
    last_day : int
        The end of observation, since 1970-01-01.

    Returns
    -------
    t_x, T : ndarray, shape (N,)
        In the same unit of the customers' own time.
    """
    first, last = _first_and_last(recency, age, last_day, days)
    begin, until = clock.own_days(first), clock.own_days(last)
    now = clock.own_days(np.array([last_day]))[0]
    return (until - begin) / days, (now - begin) / days


def _first_and_last(
    recency: FloatArray, age: FloatArray, last_day: int, days: float
) -> tuple[IntArray, IntArray]:
    first = last_day - np.rint(age * days).astype(np.int64)
    return first, first + np.rint(recency * days).astype(np.int64)


def _add_up(pairs: DayPairs, first: IntArray, last: IntArray) -> bool:
    if not len(first):
        return not len(pairs)
    start = min(int(first.min()), int(pairs.day.min(initial=first.min())))
    size = max(int(last.max()), int(pairs.next_day.max(initial=last.max()))) - start + 1
    made = np.bincount(first - start, minlength=size)
    made = made + np.bincount(pairs.next_day - start, pairs.count, size)
    followed = np.bincount(last - start, minlength=size)
    followed = followed + np.bincount(pairs.day - start, pairs.count, size)
    return bool((made == followed).all())
