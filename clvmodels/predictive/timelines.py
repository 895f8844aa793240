"""What happened to some customers, and P(alive) before and after: as texts for pages.

Times are whole periods since the first order, so that a page reckons the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.predictive.alive_history import Alive, Looked
from clvmodels.rfm import RfmTable
from clvmodels.rfm.histories import RfmColumns
from clvmodels.rfm.purchases_again import purchases_again
from clvmodels.schema import DAYS_PER_YEAR, FloatArray, TimeScale

IntArray = npt.NDArray[np.int64]
PAST: Final = 36
"""Looks at equal distances up to now, and as many steps ahead as `AHEAD` says."""
AHEAD: Final = 18
MOST_ORDERS: Final = 120
"""The latest of them, which are drawn."""
_MOST_JUMPS: Final = 16
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Orders(NamedTuple):
    """One customer's orders, in periods since the first, and what they brought if it is known."""

    at: IntArray
    total: FloatArray | None


class Timeline(NamedTuple):
    """One customer's life, as the page's script reads it.

    Attributes
    ----------
    start, now : int
        Where the curve begins, and the end of observation: periods since the first order.
    alive : str
        P(alive) in thousandths at PAST and AHEAD looks: two digits to the base of 36 each, or
        one for all.
    jumps : str
        The same before and after each of the latest repeat orders.
    orders : str
        Those drawn, "at" or "at:total", to the base of 36 the former; empty without a log.
    """

    start: int
    now: int
    alive: str
    jumps: str
    orders: str

    def __str__(self) -> str:
        return "|".join(map(str, self))


@dataclass(frozen=True, slots=True, eq=False)
class _Life:
    """One customer's orders as far as they are known, and when to look."""

    x: int
    last: int
    now: int
    orders: Orders | None

    @property
    def start(self) -> int:
        return self.last if self.orders is None else 0

    def looks(self, ahead: int) -> Iterator[tuple[float, float, float]]:
        """Repeat purchases, the last of them, and the time, of all looks."""
        for time in grid(self.start, self.now, ahead):
            yield (*self._until(time), time)
        for before, at in self._jumps():
            yield (*self._until(before), at)
            yield (*self._until(at), at)

    def _until(self, time: int) -> tuple[float, float]:
        if self.orders is None or time >= self.last:
            return self.x, self.last
        place = int(np.searchsorted(self.orders.at, time, side="right")) - 1
        return place, int(self.orders.at[place])

    def _jumps(self) -> Iterator[tuple[int, int]]:
        if self.orders is not None:
            at = self.orders.at.tolist()
            yield from list(pairwise(at))[-_MOST_JUMPS:]


def grid(start: int, now: int, ahead: int) -> list[int]:
    """Times of the looks: up to now, and after it."""
    past = [start + _share(now - start, i, PAST - 1) for i in range(PAST)]
    return past + [now + _share(ahead, i, AHEAD) for i in range(1, AHEAD + 1)]


def _share(length: int, part: int, parts: int) -> int:
    """A whole number of periods, halves up, as scripts round."""
    return (2 * length * part + parts) // (2 * parts)


def periods_ahead(horizon: float, scale: TimeScale) -> int:
    """How far curves go on: a horizon in the table's unit, but a year at most."""
    return max(round(min(horizon, DAYS_PER_YEAR / scale.days) * scale.time_scaler), 1)


def reading(rfm: RfmTable, ahead: int, currency: str) -> dict[str, Any]:
    """What a page's script needs to know of times and money."""
    end = rfm.observation_end
    return {
        "end": "" if end is None else f"{end:%Y-%m-%d}",
        "unit": rfm.time_unit,
        "ahead": ahead,
        "currency": currency,
        "past": PAST,
        "steps": AHEAD,
    }


def orders_of(rfm: RfmTable, rows: IntArray, log: Any, id_map: Any) -> list[Orders]:
    """Read the orders of some customers again from the log of their table.

    Raises
    ------
    SchemaError
        The table does not know how its log was read, or this is another log.
    """
    again = purchases_again(rfm, log, id_map)
    place = np.full(len(rfm), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    mine = np.flatnonzero(place[again.who] >= 0)
    at = np.rint(again.age[mine] * rfm.time_scaler).astype(np.int64)
    order = np.lexsort((at, place[again.who[mine]]))
    mine, at = mine[order], at[order]
    ends = np.cumsum(np.bincount(place[again.who[mine]], minlength=len(rows)))[:-1]
    totals = None if again.total is None else np.split(again.total[mine], ends)
    return [
        Orders(one, None if totals is None else totals[i])
        for i, one in enumerate(np.split(at, ends))
    ]


def timelines(
    by: Alive,
    rfm: RfmTable,
    columns: RfmColumns,
    orders: Sequence[Orders] | None,
    *,
    ahead: int,
) -> list[Timeline]:
    """Draw up the lives of the customers of a table.

    Parameters
    ----------
    by : Alive
        What P(alive) is reckoned by.
    rfm : RfmTable
        These customers alone.
    columns : RfmColumns
        Theirs, as the posterior takes them.
    orders : sequence of Orders or None
        Of each; None where no log is given: curves then begin at the last order.
    ahead : int
        Periods to look ahead.
    """
    periods = [
        np.rint(one * rfm.time_scaler).astype(np.int64) for one in (columns.recency, columns.age)
    ]
    lives = [
        _Life(int(x), last, now, None if orders is None else orders[i])
        for i, (x, last, now) in enumerate(
            zip(columns.x, *(one.tolist() for one in periods), strict=True)
        )
    ]
    looks = [list(one.looks(ahead)) for one in lives]
    counts = [len(one) for one in looks]
    x, last, now = np.array([look for one in looks for look in one], dtype=np.float64).T
    who = np.repeat(np.arange(len(lives)), counts)
    # The table's own times need not be whole periods
    times = [
        np.where(time == whole[who], own[who], time / rfm.time_scaler)
        for time, whole, own in zip(
            (last, now), periods, (columns.recency, columns.age), strict=True
        )
    ]
    alive = by.at(columns, Looked(who, x, *times))[0]
    parts = np.split(alive, np.cumsum(counts)[:-1])
    return [_timeline(*both) for both in zip(lives, parts, strict=True)]


def _timeline(life: _Life, alive: FloatArray) -> Timeline:
    parts = alive[: PAST + AHEAD], alive[PAST + AHEAD :]
    curve, jumps = ([_pair(round(1000 * one)) for one in part.tolist()] for part in parts)
    flat = len({*curve}) == 1  # as of all who ordered once, where these cannot leave
    said = curve[0] if flat else "".join(curve)
    return Timeline(life.start, life.now, said, "".join(jumps), _orders_said(life.orders))


def _pair(value: int) -> str:
    return _DIGITS[value // 36] + _DIGITS[value % 36]


def _orders_said(orders: Orders | None) -> str:
    if orders is None:
        return ""
    at = [_based(one) for one in orders.at[-MOST_ORDERS:].tolist()]
    if orders.total is None:
        return ",".join(at)
    totals = orders.total[-MOST_ORDERS:].tolist()
    return ",".join(f"{one}:{_short(total)}" for one, total in zip(at, totals, strict=True))


def _based(value: int) -> str:
    text = ""
    while True:
        value, digit = divmod(value, 36)
        text = _DIGITS[digit] + text
        if not value:
            return text


def _short(total: float) -> str:
    return f"{total:.2f}".rstrip("0").rstrip(".")
