"""Where a log may be cut: the dates of calibration and holdout, and errors with better ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels.errors import DomainError, SchemaError
from clvmodels.log import covered_note
from clvmodels.rfm.periods import is_last_whole, last_day_of, ordinal_of, period_of, start_of
from clvmodels.schema import Horizon, TimeScale, check_whole

IntArray = npt.NDArray[np.int64]
MAX_ORIGINS: Final = 100
ORIGINS: Final = 4  # where nobody says how many
_LEAST_DAYS: Final = 28  # of a holdout of theirs


@dataclass(frozen=True, slots=True)
class Span:
    """Last period of the calibration and of the holdout.

    Attributes
    ----------
    train_end, test_end : int
        Ordinals of periods.
    """

    train_end: int
    test_end: int

    @property
    def length(self) -> int:
        """Periods in the holdout."""
        return self.test_end - self.train_end


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """When there are purchases in a log.

    Attributes
    ----------
    periods : ndarray of int, shape (P,)
        Of every purchase, ordered by customer and time.
    repeat : ndarray of bool, shape (P,)
        Whether it is not its customer's first.
    last : int
        Last period of the log.
    scale : TimeScale
        What a period is.
    day : int or None
        Last day of the log, where weeks or months are counted.
    """

    periods: IntArray
    repeat: npt.NDArray[np.bool_]
    last: int
    scale: TimeScale
    day: int | None = None

    @classmethod
    def of(
        cls, purchases: pa.Table, last: int | None, scale: TimeScale, day: int | None = None
    ) -> Calendar:
        """Take the calendar of `clvmodels.log.collect_purchases`.

        Raises
        ------
        SchemaError
            There are no purchases.
        """
        if not purchases.num_rows or last is None:
            raise SchemaError(
                "The log has no usable purchase: summarise it with rfm_summary, whose audit says "
                "what became of every row."
            )
        periods = purchases["period"].to_numpy().astype(np.int64)
        codes = purchases["customer"].combine_chunks().dictionary_encode().indices.to_numpy()
        repeat = np.concatenate([[False], codes[1:] == codes[:-1]])
        return cls(periods, repeat, last, scale, day)

    def date(self, period: int) -> str:
        """Write a period the way that dates are passed."""
        start = start_of(period, self.scale)
        return str(start) if self.scale.time_unit == "h" else str(start.date())

    def last_day(self, period: int) -> str:
        """Last date of a period; where hours are counted, the hour."""
        return last_day_of(period, self.scale)

    def moment(self, period: int) -> Any:
        """Return a period as dates are passed, end and all."""
        return period_of(period, self.scale)

    def range(self) -> str:
        """Say from when to when the log runs."""
        return f"the log runs from {self.date(int(self.periods.min()))} to {self.date(self.last)}"

    def span(self, train_period_end: Any, test_period_end: Any, horizon: Horizon) -> Span:
        """Check where one calibration and its holdout end.

        Raises
        ------
        SchemaError
            A date does not leave what is needed; the message says which would.
        """
        train_end = ordinal_of(train_period_end, self.scale, "train_period_end")
        said = f"train_period_end={str(train_period_end)!r}"
        self._check_train(train_end, said)
        if horizon is not None and test_period_end is not None:
            raise SchemaError(
                "Pass either test_period_end or horizon: each sets the end of the holdout."
            )
        test_end = self._test_end(train_end, test_period_end, horizon)
        later = self.periods[(self.periods > train_end) & (self.periods <= test_end)]
        if test_end <= train_end or not len(later):
            raise self._no_holdout(train_end, said)
        return Span(train_end, test_end)

    def _test_end(self, train_end: int, given: Any, horizon: Horizon) -> int:
        if given is None and horizon is None:
            return self.last
        if given is not None:
            if is_last_whole(given):
                return self.last_whole()
            test_end = ordinal_of(given, self.scale, "test_period_end")
            said = f"test_period_end={str(given)!r}"
        else:
            test_end = train_end + self.length(horizon)
            said = f"horizon={horizon!r}"
        if test_end > self.last:
            raise SchemaError(
                f"{said} makes the holdout end on {self.date(test_end)}, after the log: "
                f"{self.range()}, so that a holdout may last to {self.date(self.last)}"
                + (
                    "."
                    if given is not None
                    else f", {self.last - train_end} periods from {self.date(train_end)}."
                )
            )
        return test_end

    def last_whole(self) -> int:
        """Last period that is over when the log ends."""
        over = period_of(self.last, self.scale).asfreq("D", how="end").ordinal
        return self.last if self.day is None or over <= self.day else self.last - 1

    def notes(self, span: Span, train_period_end: Any, test_period_end: Any) -> tuple[str, ...]:
        """Say what the last periods of calibration and holdout cover beyond what was given."""
        ends = (
            ("Calibration", train_period_end, span.train_end),
            ("Holdout", test_period_end, span.test_end),
        )
        found = [
            f"{what}: {note}"
            for what, given, end in ends
            if (note := self._covers(given, end)) is not None
        ]
        return tuple(found)

    def _covers(self, given: Any, end: int) -> str | None:
        if given is None or is_last_whole(given):
            return (
                covered_note(self.scale, end, self.day, given=False) if end == self.last else None
            )
        return covered_note(self.scale, end, ordinal_of(given, TimeScale("D"), "date"), given=True)

    def length(self, horizon: Horizon) -> int:
        """Whole periods in a horizon.

        Raises
        ------
        DomainError
            It is endless, or shorter than one period.
        """
        units = self.scale.horizon(horizon) * self.scale.time_scaler
        if not np.isfinite(units) or round(units) < 1:
            raise DomainError(
                f"horizon={horizon!r} must be a length of time of at least one period, such as "
                "'26W': outcomes are known for a limited time only."
            )
        return round(units)

    def _check_train(self, train_end: int, said: str) -> None:
        if train_end < int(self.periods.min()):
            raise SchemaError(f"{said} lies before the log: {self.range()}. {self._better()}")
        if not (self.repeat & (self.periods <= train_end)).any():
            raise SchemaError(f"{said} leaves no repeat purchase to learn from. {self._better()}")

    def _better(self) -> str:
        """Dates of calibration that would work."""
        repeats = np.sort(self.periods[self.repeat])
        latest = self._latest()
        if not len(repeats) or repeats[0] > latest:
            return "Nobody buys twice before the log's last purchases: use a longer log."
        return (
            f"The first repeat purchase is on {self.date(int(repeats[0]))}, the last purchase on "
            f"{self.date(int(self.periods.max()))}, so that train_period_end may be from "
            f"{self.date(int(repeats[0]))} to {self.date(latest)}; "
            f"{self.date(self.sensible())} leaves the last third of the log to compare with."
        )

    def sensible(self) -> int:
        """Return two thirds of the way through the log, or where there are repeats at all."""
        first = int(self.periods.min())
        earliest = int(self.periods[self.repeat].min())
        return min(max(first + round((self.last - first) * 2 / 3), earliest), self._latest())

    def _latest(self) -> int:
        return int(self.periods.max()) - 1

    def _no_holdout(self, train_end: int, said: str) -> SchemaError:
        if train_end >= int(self.periods.max()):
            return SchemaError(f"{said} leaves no purchase in the holdout. {self._better()}")
        nearest = int(self.periods[self.periods > train_end].min())
        return SchemaError(
            f"{said} and the end of the holdout leave no purchase between them: the next one is "
            f"on {self.date(nearest)}, so extend the holdout to that date or later."
        )

    def origins(self, count: int, test_period_end: Any, horizon: Horizon) -> list[Span]:
        """Cut the second half of the log at equal distances.

        Parameters
        ----------
        count : int
            How many cuts.
        test_period_end : date-like, optional
            Where the log ends.
        horizon : str, float or None
            Length of every holdout; by default they follow each other without overlap
            from the middle of the log to its end.

        Raises
        ------
        SchemaError, DomainError
            The log is too short for so many.
        """
        count = check_whole("origins", count, most=MAX_ORIGINS)
        first = int(self.periods.min())
        last = self.last
        if test_period_end is not None:
            last = self._test_end(first, test_period_end, None)
        middle = first + (last - first) // 2
        length = (last - middle) // count if horizon is None else self.length(horizon)
        room = last - length - middle
        if length < 1 or room < (count > 1) * (count - 1):
            raise SchemaError(
                f"origins={count} with a holdout of {length} periods do not fit into the second "
                f"half of the log, {self.date(middle)} to {self.date(last)}: use fewer origins or "
                f"a horizon of at most {max(last - middle - count + 1, 1)} periods."
            )
        starts = [middle + (i * room) // max(count - 1, 1) for i in range(count)]
        return [self._checked(Span(start, start + length)) for start in starts]

    def usual_origins(self, test_period_end: Any, horizon: Horizon) -> list[Span]:
        """Cut the second half at `ORIGINS` dates, or as many as the log has room for.

        Raises
        ------
        SchemaError, DomainError
            The log is too short for one.
        """
        for count in range(ORIGINS, 1, -1):
            try:
                spans = self.origins(count, test_period_end, horizon)
            except SchemaError:
                continue
            days = spans[0].length / self.scale.time_scaler * self.scale.days
            if horizon is not None or days >= _LEAST_DAYS:
                return spans
        return self.origins(1, test_period_end, horizon)

    def _checked(self, span: Span) -> Span:
        self._check_train(span.train_end, f"The origin {self.date(span.train_end)}")
        inside = (self.periods > span.train_end) & (self.periods <= span.test_end)
        if not inside.any():
            raise self._no_holdout(span.train_end, f"The origin {self.date(span.train_end)}")
        return span
