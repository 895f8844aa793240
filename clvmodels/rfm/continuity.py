"""Do customers stay the same customers? Known from first and last purchases alone.

Of a customer who comes back a summary knows the first purchase and the last, so that of
every date d it knows how many customers who had been seen by then come back later. In a
log with one scheme of ids this number changes slowly, whatever traffic does: seasons and
campaigns pass, and who waits for the next one still comes back. Where ids are given anew
(another card, other accounts, a new shop system) it falls, and rises again with the new
ids: a notch that nothing else makes.

Where only some of the ids are given anew the notch is shallow. But then more customers than
before and after have their last purchase in the weeks before that date, and more their first
in the weeks from then on. Seasons and campaigns raise both together, or one of them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels.errors import OURS
from clvmodels.limits import MIN_RETURNING_AT_ONCE
from clvmodels.log import fetch
from clvmodels.log.audit import Audit, Reason
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import FREQUENCY, RECENCY, T, TimeScale

Counts = npt.NDArray[np.float64]

# A date is held against those so many days before and after it: a share of the log's
# length, but no more than the slope of a season lasts.
_WINDOW_SHARE: Final = 0.05
_LEAST_DAYS: Final = 7.0
_MOST_DAYS: Final = 60.0
_FEWEST: Final = 30
_ENOUGH: Final = 100
_SIGNIFICANT: Final = 3.0
_START: Final = "Known customers stop coming back on "
WHAT_TO_DO: Final = (
    "If their ids changed then, with a new card or account scheme, join old and new ids with "
    "id_map=, or leave out all rows before that date; otherwise totals and the values of single "
    "customers will be far off."
)


@dataclass(frozen=True, slots=True)
class Swap:
    """Repeat customers who go and others who come at one date.

    Attributes
    ----------
    firsts, usual_firsts : int
        First purchases in the weeks from that date on; the more of those in as many weeks
        before it, and somewhat later.
    lasts, usual_lasts : int
        Last purchases in the weeks before it; the more of those after it, and somewhat
        earlier.
    """

    firsts: int
    usual_firsts: int
    lasts: int
    usual_lasts: int

    def __str__(self) -> str:
        return (
            f"{self.lasts:,} have their last purchase in the weeks before, where "
            f"{self.usual_lasts:,} are usual, and {self.firsts:,} others their first in the "
            f"weeks after, where {self.usual_firsts:,} are"
        )


@dataclass(frozen=True, slots=True)
class Continuity:
    """The date at which the fewest of the customers known by then come back.

    Attributes
    ----------
    age : int
        Periods from that date to the end of the observation; the date is the last before
        the notch.
    returning : int
        Customers known on it who buy again later.
    usual : int
        The same some weeks before or after, whichever is less.
    broken : bool
        Whether so few return that they must have become others, or some are swapped.
    swap : Swap or None
        What shows that part of them became others, where it is not that few return.
    """

    age: int
    returning: int
    usual: int
    broken: bool
    swap: Swap | None = None

    @property
    def share(self) -> float:
        """Those who return, as a share of what is usual."""
        return self.returning / self.usual

    def when(self, end: int | None, scale: TimeScale) -> str:
        """First period of the notch: a date, or how long before the end it is."""
        if end is None:
            return f"{self.age - 1:,} periods before the end"
        return str(start_of(end - self.age + 1, scale).date())

    def note(self, end: int | None, scale: TimeScale) -> str:
        """Say what was found, without a full stop."""
        when = self.when(end, scale)
        start = _START if end is not None else _START.replace(" on ", " ")
        if self.swap is not None:
            return f"{start}{when}, some of them: {self.swap}"
        return (
            f"{start}{when}: only {self.returning:,} of them buy again from then on; some weeks "
            f"before and after, {self.usual:,} did ({100 * self.share:.0f} %)"
        )


def continuity(ages: Counts, silences: Counts, scale: TimeScale) -> Continuity | None:
    """Look for the date at which known customers stop coming back.

    Parameters
    ----------
    ages, silences : ndarray, shape (A,)
        Repeat customers by whole periods from the first purchase, and from the last one,
        to the end of the observation.
    scale : TimeScale
        Says how long a period is.

    Returns
    -------
    Continuity or None
        None where too few come back for anything to be said.
    """
    # Known on the day that is g periods before the end: age >= g; back later: silence < g
    back = np.cumsum(ages[::-1])[::-1] - np.cumsum(silences[::-1])[::-1]
    (seen,) = np.nonzero(ages)
    window = _window(int(seen[-1]), scale) if len(seen) else 1
    if len(back) <= 2 * window:
        return None
    middle = back[window:-window]
    usual = np.minimum(back[: -2 * window], back[2 * window :])
    share = np.divide(middle, usual, out=np.ones_like(middle), where=usual > 0)
    noise = (usual - middle) / np.sqrt(np.maximum(usual + middle, 1.0))
    clear = (noise >= _SIGNIFICANT) | (usual >= _ENOUGH)
    broken = (usual >= _FEWEST) & (share < MIN_RETURNING_AT_ONCE) & clear
    if not broken.any() and (found := _swapped(ages, silences, window)) is not None:
        at, swap = found
        known = at - window
        return Continuity(at, int(middle[known]), int(usual[known]), True, swap)
    judged = broken if broken.any() else usual >= _ENOUGH
    if not judged.any():
        return None
    lowest = int(np.argmin(np.where(judged, share, np.inf)))
    return Continuity(
        lowest + window, int(middle[lowest]), int(usual[lowest]), bool(broken[lowest])
    )


def _swapped(ages: Counts, silences: Counts, window: int) -> tuple[int, Swap] | None:
    """Look for the date before which customers go and from which others come.

    Both must be clear against the time just across the date, where a season or a campaign
    would raise them too, and against a like stretch on their own side.
    """
    firsts, lasts = (np.concatenate([[0.0], np.cumsum(one)]) for one in (ages, silences))
    dates = np.arange(3 * window, len(ages) - 3 * window)
    if not len(dates):
        return None

    def within(total: Counts, start: int) -> Counts:
        # of as many periods as the window has, from so many windows before the date on
        left = dates + start * window
        return total[left + window] - total[left]

    come, usual_come = within(firsts, -1), np.maximum(within(firsts, 0), within(firsts, -3))
    go, usual_go = within(lasts, 0), np.maximum(within(lasts, -1), within(lasts, 2))
    clear = np.minimum(
        (come - usual_come) / np.sqrt(np.maximum(come + usual_come, 1.0)),
        (go - usual_go) / np.sqrt(np.maximum(go + usual_go, 1.0)),
    )
    clear[np.minimum(come, go) < _FEWEST] = 0.0
    best = int(np.argmax(clear))
    if clear[best] < _SIGNIFICANT:
        return None
    counts = (int(one[best]) for one in (come, usual_come, go, usual_go))
    return int(dates[best]), Swap(*counts)


def _window(span: int, scale: TimeScale) -> int:
    period = scale.days / scale.time_scaler
    days = min(max(_WINDOW_SHARE * span * period, _LEAST_DAYS), _MOST_DAYS)
    return max(round(days / period), 1)


def continuity_of(
    x: Any, t_x: Any, T: Any, scale: TimeScale, customers: Any = None
) -> Continuity | None:
    """As :func:`continuity`, of histories: arrays of shape (N,) in units of ``scale``.

    Of so many customers each; by default of one.
    """
    repeat = np.asarray(x) > 0
    shared = None if customers is None else np.asarray(customers)[repeat]
    ages = _periods(np.asarray(T)[repeat], scale)
    silences = _periods((np.asarray(T) - np.asarray(t_x))[repeat], scale)
    length = int(ages.max()) + 1 if len(ages) else 1
    return continuity(
        np.bincount(ages, shared, length).astype(np.float64),
        np.bincount(silences, shared, length).astype(np.float64),
        scale,
    )


def _periods(length: Counts, scale: TimeScale) -> npt.NDArray[np.int64]:
    return np.rint(length * scale.time_scaler).astype(np.int64)


def noted(audit: Audit, table: pa.Table, scale: TimeScale, end: int) -> Audit:
    """Add to an audit what was found of its customers, in place of an earlier finding."""
    x, t_x, age = (table[name].to_numpy() for name in (FREQUENCY, RECENCY, T))
    return _with_note(audit, continuity_of(x, t_x, age, scale), scale, end)


def noted_of_ledger(audit: Audit, ledger: Any, scale: TimeScale, end: int, backend: Any) -> Audit:
    """As :func:`noted`, of customers who stay in a backend: no more than their dates come.

    Parameters
    ----------
    audit : Audit
        Of the log.
    ledger : ibis.Table
        As `clvmodels.log.ledger_expr` makes it, where it lies.
    scale : TimeScale
        Says how long a period is.
    end : int
        Ordinal of the last period observed.
    backend : ibis backend
        That of the ledger.
    """
    repeat = ledger.filter((ledger["reason"] == int(Reason.USED)) & (ledger["purchases"] > 1))
    dates = [
        fetch(backend, repeat.group_by(when=repeat[name]).agg(n=repeat.count())).drop_null()
        for name in ("first", "last")
    ]
    if not len(dates[0]):
        return audit
    before = [end - one["when"].to_numpy().astype(np.int64) for one in dates]
    length = int(before[0].max()) + 1
    ages, silences = (
        np.bincount(when, one["n"].to_numpy(), minlength=length).astype(np.float64)
        for when, one in zip(before, dates, strict=True)
    )
    return _with_note(audit, continuity(ages, silences, scale), scale, end)


def is_broken(audit: Audit) -> bool:
    """Whether an audit notes that customers became others."""
    return any(note.startswith(_START) for note in audit.notes)


def _with_note(audit: Audit, found: Continuity | None, scale: TimeScale, end: int) -> Audit:
    notes = tuple(note for note in audit.notes if not note.startswith(_START))
    if found is not None and found.broken:
        notes = (*notes, found.note(end, scale))
    return replace(audit, notes=notes) if notes != audit.notes else audit


def warn_of_other_ids(found: Continuity | None, end: Any, scale: TimeScale) -> None:
    """Warn of customers who became others; ``end`` is a date, or None where it is not known."""
    if found is None or not found.broken:
        return
    note = found.note(None if end is None else ordinal_of(end, scale), scale)
    warnings.warn(f"{note}. {WHAT_TO_DO}", UserWarning, stacklevel=2, skip_file_prefixes=OURS)
