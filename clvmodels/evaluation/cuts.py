"""A log read in one way and cut at given dates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from clvmodels.evaluation.cut_dates import Calendar, Span
from clvmodels.evaluation.observed import Observed, Terms, observe
from clvmodels.log import LogOptions, replayable
from clvmodels.log.purchases import collect_purchases
from clvmodels.margin import margin_for
from clvmodels.rfm import RfmSplit, rfm_train_test_split
from clvmodels.rfm.continuity import Continuity, continuity_of
from clvmodels.rfm.first_month import split_without_first_month
from clvmodels.rfm.summary import log_options
from clvmodels.schema import Discounting


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A log, read down to its purchases.

    Attributes
    ----------
    log : object
        The log itself, in a form that can be read again.
    options : mapping
        Keyword arguments of `rfm_train_test_split`, without the dates.
    purchases : pyarrow.Table
        As `clvmodels.log.purchases.collect_purchases`.
    calendar : Calendar
        When there are any.
    later_only : bool
        Whether customers of the log's first month are left out.
    """

    log: Any
    options: Mapping[str, Any]
    purchases: pa.Table
    calendar: Calendar
    later_only: bool = False

    @classmethod
    def of(cls, log: Any, options: Mapping[str, Any], *, later_only: bool = False) -> Reading:
        """Read a log.

        Raises
        ------
        SchemaError
            It cannot be read, or holds no purchases.
        """
        source = replayable(log)
        checked = _checked(options)
        found = collect_purchases(source, checked, options["id_map"])
        calendar = Calendar.of(found.table, found.last, checked.scale, found.day)
        return cls(source, dict(options), found.table, calendar, later_only)

    def continuity(self, end: int) -> Continuity | None:
        """Whether the customers of the log up to a period stay the same customers."""
        there = self.calendar.periods <= end
        periods, new = self.calendar.periods[there], ~self.calendar.repeat[there]
        first, last = periods[new], periods[np.append(new[1:], True)]
        scale = self.calendar.scale
        ages, silences = (np.asarray(end - when) / scale.time_scaler for when in (first, last))
        return continuity_of(last > first, ages - silences, ages, scale)

    def split(self, span: Span) -> tuple[RfmSplit, int]:
        """Summarise the calibration, and count what its customers bought in the holdout.

        Returns
        -------
        split : RfmSplit
        left_out : int
            Customers of the log's first month, where they are left out.

        Raises
        ------
        SchemaError
            None of the customers of the holdout were there before, or all customers came
            in the first month and are to be left out.
        """
        split = rfm_train_test_split(
            self.log,
            train_period_end=self.calendar.moment(span.train_end),
            test_period_end=self.calendar.moment(span.test_end),
            **self.options,
        )
        if not self.later_only:
            return split, 0
        later = split_without_first_month(split)
        return later, len(split.train) - len(later.train)

    def cut(self, span: Span, discount_rate: float, discounting: Discounting) -> Observed:
        """Summarise the calibration, and find what its customers did in the holdout.

        Raises
        ------
        SchemaError
            None of the customers of the holdout were there before, or all customers came
            in the first month and are to be left out.
        """
        split, left_out = self.split(span)
        scale = split.train.scale
        terms = Terms(
            horizon=span.length / scale.time_scaler,
            delta=scale.delta(discount_rate),
            month=scale.month if discounting == "monthly" else None,
            margin=margin_for(self.options["margin"]).value,
        )
        found = observe(self._known(span), split, span, terms)
        return replace(found, left_out=left_out)

    def _known(self, span: Span) -> pa.Table:
        """Purchases of a calibration as its end knows them, and those of its holdout.

        Refunds of later periods are taken off neither, as in the split itself.
        """
        if self.options["refunds"] != "net_earlier":
            return self.purchases
        parts: list[dict[str, Any]] = [
            {"end": span.train_end},
            {"after": span.train_end, "end": span.test_end},
        ]
        return pa.concat_tables(
            [
                collect_purchases(
                    self.log, replace(_checked(self.options), **part), self.options["id_map"]
                ).table
                for part in parts
            ]
        )


def _checked(options: Mapping[str, Any]) -> LogOptions:
    return log_options(**{name: one for name, one in options.items() if name != "id_map"})
