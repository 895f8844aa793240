"""How much the totals depend on how the data were handled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.errors import ClvError
from clvmodels.evaluation.baselines import POINT, Forecast
from clvmodels.evaluation.cut_dates import Span
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.evaluated import Evaluated, Plan
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.model_forecasts import Asked, expected
from clvmodels.evaluation.observed import Observed
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import FREQUENCY, TimeScale, TimeUnit

AS_GIVEN: Final = "as given"
MOST_VARIANTS: Final = 8  # with the data as given
_STARTS: Final = (0.25, 0.5)
_MERGED: Final[dict[TimeUnit, str]] = {
    "h": "hour",
    "D": "day",
    "W": "calendar week",
    "M": "calendar month",
}
_DAYS: Final[dict[TimeUnit, float]] = {"h": 1.0 / 24.0, "D": 1.0, "W": 7.0, "M": 30.4375}


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One other way to handle the data."""

    what: str
    reading: Reading
    span: Span
    note: str = ""


def data_sensitivity(plan: Plan, main: Evaluated) -> pd.DataFrame:
    """Fit and forecast again with the data handled otherwise; see `Backtest.sensitivity`.

    All rows, the first too, are of the most likely point, so that only the handling
    differs between them.

    Returns
    -------
    DataFrame
        handling; customers and repeat_purchases of the calibration; for purchases and,
        with amounts, value: forecast and actual totals of the holdout, error (forecast /
        actual - 1) and change (forecast / forecast as given - 1); note, which says why a
        row is empty.
    """
    observed, asked, fitting = main.observed, plan.asked, plan.fitting
    plan.begin(AS_GIVEN)
    rows = [_attempt(AS_GIVEN, lambda: observed, "", fitting, asked)]
    for variant in _variants(plan.reading, observed.span):
        plan.begin(variant.what)
        cut = partial(variant.reading.cut, variant.span, asked.discount_rate, asked.discounting)
        rows.append(_attempt(variant.what, cut, variant.note, fitting, asked))
    return _with_changes(pd.DataFrame(rows))


def _attempt(
    what: str, cut: Callable[[], Observed], note: str, fitting: Fitting, asked: Asked
) -> dict[str, Any]:
    """One row; one that only says why, where the data handled so can not be used."""
    try:
        row = _row(what, cut(), fitting, asked)
    except ClvError as error:
        return {"handling": what, "note": str(error)}
    return row | {"note": "; ".join(filter(None, (note, row["note"])))}


def _row(what: str, observed: Observed, fitting: Fitting, asked: Asked) -> dict[str, Any]:
    fitted, problem = fitting.mode(observed.train)
    forecast = expected(observed, fitted, asked, POINT)
    row: dict[str, Any] = {
        "handling": what,
        "customers": float(observed.customers),
        "repeat_purchases": float(np.sum(observed.train.table[FREQUENCY].to_numpy())),
    }
    row |= _total("purchases", forecast, observed.bought)
    if observed.spent is not None:
        row |= _total("value", forecast, observed.spent)
    return row | {"note": problem}


def _total(target: str, forecast: Forecast, actual: Any) -> dict[str, float]:
    values = forecast.of(target)
    assert values is not None  # of a log with amounts
    has = np.isfinite(values)  # no value where a draw's expected spend is infinite
    total, really = float(values[has].sum()), float(np.sum(actual[has]))
    error = total / really - 1.0 if really else float("nan")
    return {f"{target}_forecast": total, f"{target}_actual": really, f"{target}_error": error}


def _with_changes(table: pd.DataFrame) -> pd.DataFrame:
    for target in ("purchases", "value"):
        if f"{target}_forecast" in table:
            totals = table[f"{target}_forecast"]
            table[f"{target}_change"] = totals / totals.iloc[0] - 1.0
    table["note"] = table["note"].fillna("")
    return table[[*(name for name in table if name != "note"), "note"]]


def _variants(reading: Reading, span: Span) -> Iterator[Variant]:
    yield from _merging(reading, span)
    yield from _policies(reading, span)
    yield from _starts(reading, span)


def _merging(reading: Reading, span: Span) -> Iterator[Variant]:
    """Merge what one customer buys within other periods, in the same unit of time."""
    scale = reading.calendar.scale
    order: list[TimeUnit] = ["h", "D", "W"]
    for unit in order:
        if unit == scale.time_unit or scale.time_unit == "M":
            continue
        other = TimeScale(unit, scale.days / _DAYS[unit])
        changed = {"time_unit": unit, "time_scaler": other.time_scaler}
        # whole calendar weeks do not end where days do
        ends = [_last_whole(end, scale, other) for end in (span.train_end, span.test_end)]
        moved = Span(*ends)
        note = ""
        if unit == "W":
            until = [str(start_of(end, other).date() + pd.Timedelta(days=6)) for end in ends]
            note = f"whole weeks: calibration to {until[0]}, holdout to {until[1]}"
        what = f"one purchase per {_MERGED[unit]}, not per {_MERGED[scale.time_unit]}"
        read = _reread(reading, changed)
        if unit == "h" and len(read.purchases) == len(reading.purchases):
            note = "the log has the same purchases by the hour: only the last day counts in full"
        yield Variant(what, read, moved, note)


def _last_whole(end: int, scale: TimeScale, other: TimeScale) -> int:
    """Last period in another unit that is over when a period is."""
    over = start_of(end + 1, scale)
    return ordinal_of(over, other) - 1


def _policies(reading: Reading, span: Span) -> Iterator[Variant]:
    """Read refunds, amounts of zero and duplicates the other way."""
    options = reading.options
    flip = {"keep": "drop", "drop": "keep"}
    if options["monetary_value_col"] is not None:
        refunds = "drop" if options["refunds"] in ("net", "net_earlier") else "net_earlier"
        words = {"net_earlier": "refunds taken off earlier purchases", "drop": "refunds left out"}
        changed = {"refunds": refunds, "order_id_col": None}
        yield Variant(words[refunds], _reread(reading, changed), span)
        zero = flip[options["zero_amounts"]]
        said = {"drop": "amounts of 0 are not purchases", "keep": "amounts of 0 are purchases"}[
            zero
        ]
        yield Variant(said, _reread(reading, {"zero_amounts": zero}), span)
    copies = flip[options["duplicates"]]
    said = {"drop": "duplicate rows left out", "keep": "duplicate rows kept"}[copies]
    yield Variant(said, _reread(reading, {"duplicates": copies}), span)


def _reread(reading: Reading, changes: Mapping[str, Any]) -> Reading:
    options = {**reading.options, **changes}
    return Reading.of(reading.log, options, later_only=reading.later_only)


def _starts(reading: Reading, span: Span) -> Iterator[Variant]:
    """Leave out the first part of the calibration, as if observation began later."""
    first = int(reading.calendar.periods.min())
    for share in _STARTS:
        start = first + round(share * (span.train_end - first))
        if not first < start < span.train_end:
            continue
        what = f"observation starts on {reading.calendar.date(start)}"
        note = "earlier customers count from their first purchase after it"
        yield Variant(what, _later(reading, start), span, note)


def _later(reading: Reading, start: int) -> Reading:
    """Make a log of the purchases from a period on."""
    keep = reading.purchases["period"].to_numpy() >= start
    kept = reading.purchases.filter(keep)
    frame = kept.to_pandas()
    distinct, inverse = np.unique(frame["period"], return_inverse=True)
    dates = pd.DatetimeIndex([start_of(int(one), reading.calendar.scale) for one in distinct])
    frame["period"] = dates[inverse]
    options = {
        **reading.options,
        "customer_id_col": "customer",
        "datetime_col": "period",
        "monetary_value_col": "total" if "total" in frame else None,
        # all of these were applied when the purchases were made
        "id_map": None,
        "refunds": "drop",
        "order_id_col": None,
        "zero_amounts": "keep",
        "duplicates": "keep",
        "implausible_dates": "keep",
        "missing_ids": (),
        "where": None,
    }
    calendar = replace(
        reading.calendar,
        periods=reading.calendar.periods[keep],
        repeat=reading.calendar.repeat[keep],
    )
    return Reading(frame, options, kept, calendar, reading.later_only)
