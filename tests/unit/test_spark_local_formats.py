"""Spark reads dates and amounts as they are written, as the embedded engine does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import spark as on_spark
from clvmodels.errors import SchemaError
from clvmodels.log.audit import Audit

# Some rows cannot be read, and are to be counted.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning"),
]

NAMES: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
}
_RNG = np.random.default_rng(11)
_ROWS = 400
_WHO = _RNG.integers(0, 40, _ROWS)
_WHEN = [
    dt.datetime(1998, 1, 1) + dt.timedelta(seconds=int(s))
    for s in _RNG.integers(0, 700 * 86_400, _ROWS)
]
_CENTS = _RNG.integers(-2_000, 3_000_000, _ROWS)


def _grouped(cents: int, thousands: str, decimal: str) -> str:
    text = f"{cents / 100:,.2f}"
    return text.replace(",", "T").replace(".", decimal).replace("T", thousands)


def _epoch(when: dt.datetime) -> int:
    return int(when.replace(tzinfo=dt.UTC).timestamp())


Write = Callable[[dt.datetime, int], tuple[Any, Any]]
WAYS: dict[str, Write] = {
    "german": lambda when, cents: (
        when.strftime("%d.%m.%Y"),
        _grouped(cents, ".", ",") + " €",
    ),
    "american": lambda when, cents: (
        when.strftime("%m/%d/%Y %I:%M %p"),
        "$" + _grouped(cents, ",", "."),
    ),
    "french": lambda when, cents: (
        when.strftime("%d/%m/%y %H:%M"),
        _grouped(cents, "\u202f", ","),
    ),
    "swiss": lambda when, cents: (
        when.strftime("%Y/%m/%d"),
        "CHF " + _grouped(cents, "'", "."),
    ),
    "words": lambda when, cents: (
        when.strftime("%d %b %Y"),
        f"({_grouped(-cents, ',', '.')})" if cents < 0 else _grouped(cents, ",", "."),
    ),
    "months first": lambda when, cents: (
        when.strftime("%B %d, %Y %H:%M:%S"),
        _grouped(abs(cents), ",", ".") + ("-" if cents < 0 else ""),
    ),
    "iso": lambda when, cents: (when.strftime("%Y-%m-%dT%H:%M:%S+02:00"), str(cents / 100)),
    "digits": lambda when, cents: (when.strftime("%Y%m%d"), cents / 100),
    "whole numbers": lambda when, cents: (int(when.strftime("%Y%m%d")), cents / 100),
    "seconds": lambda when, cents: (_epoch(when), cents / 100),
    "seconds as text": lambda when, cents: (str(_epoch(when)), cents / 100),
    "milliseconds": lambda when, cents: (1000 * _epoch(when) + 7, cents / 100),
    "microseconds": lambda when, cents: (1_000_000 * _epoch(when) + 7, cents / 100),
    "nanoseconds": lambda when, cents: (1_000_000_000 * _epoch(when) + 7, cents / 100),
    "float seconds": lambda when, cents: (float(_epoch(when)), cents / 100),
}


def _frame(write: Write, *more: tuple[Any, Any]) -> pd.DataFrame:
    rows = [write(when, int(cents)) for when, cents in zip(_WHEN, _CENTS, strict=True)]
    frame = pd.DataFrame([*rows, *more], columns=["when", "paid"])
    frame.insert(0, "who", [*_WHO, *range(len(more))])
    frame["status"] = ["open" if i % 7 == 0 else "paid" for i in range(len(frame))]
    return frame


def _both(spark: Any, frame: pd.DataFrame, **options: Any) -> None:
    """Check that both engines make the same table, with the same audit."""
    want = clv.rfm_summary(frame, **NAMES, **options)
    log = spark.createDataFrame(frame).repartition(3)
    found = on_spark.rfm_summary(log, **NAMES, **options)
    table = found.table.toArrow().to_pandas().sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(table, want.table.to_pandas(), rtol=1e-12)
    assert want.audit is not None
    assert found.observation_end == want.observation_end
    assert _rows_of(found.audit) == _rows_of(want.audit)
    assert _amounts_of(found.audit) == pytest.approx(_amounts_of(want.audit))
    # samples of what cannot be read come in any order
    mine, theirs = (
        [n for n in one.notes if "such as" not in n] for one in (found.audit, want.audit)
    )
    assert mine == theirs


def _rows_of(audit: Audit) -> list[Any]:
    netted = [audit.netted_rows, audit.netted_earlier_rows]
    return [audit.rows_read, audit.rows_used, [(x.reason, x.rows) for x in audit.left_out], netted]


def _amounts_of(audit: Audit) -> list[Any]:
    return [audit.amount_read, audit.amount_used, *(x.amount for x in audit.left_out)]


@pytest.mark.parametrize("way", WAYS)
def test_dates_and_amounts_are_read_alike(spark: Any, way: str) -> None:
    frame = _frame(WAYS[way])
    want = clv.rfm_summary(_frame(lambda when, cents: (when, cents / 100)), **NAMES)
    pd.testing.assert_frame_equal(
        clv.rfm_summary(frame, **NAMES).to_pandas(), want.to_pandas(), rtol=1e-12
    )
    _both(spark, frame)


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("german", {"date_format": "dmy", "decimal": ","}),
        ("german", {"date_format": "%d.%m.%Y", "where": "status = 'paid' AND paid > 1000"}),
        ("american", {"date_format": "%m/%d/%Y %I:%M %p", "time_unit": "h"}),
        ("words", {"date_format": "%d %b %Y", "refunds": "net_earlier"}),
        ("seconds as text", {"date_format": "s", "time_unit": "M"}),
        ("milliseconds", {"date_format": "ms", "time_unit": "h"}),
        ("whole numbers", {"date_format": "%Y%m%d", "duplicates": "drop"}),
        ("iso", {"time_unit": "W", "zero_amounts": "drop"}),
    ],
)
def test_options_say_how_they_are_written(spark: Any, way: str, options: dict[str, Any]) -> None:
    _both(spark, _frame(WAYS[way]), **options)


def test_text_that_cannot_be_read_is_counted_alike(spark: Any) -> None:
    more = (("31.02.1999", "5,00 €"), ("some day", "5,00 €"), ("01.02.1999", "many"), ("", ""))
    more += (("NULL", "5,00 €"), ("NaT", "5,00 €"), (r"\N", "5,00 €"))
    frame = _frame(WAYS["german"], *more)
    with pytest.warns(UserWarning, match="4 no date; 2 unreadable date; 1 unreadable amount"):
        _both(spark, frame)
    with pytest.warns(UserWarning, match="1 unreadable amount"):
        found = on_spark.rfm_summary(spark.createDataFrame(frame), **NAMES)
    notes = " ".join(found.audit.notes)
    assert "unreadable dates in 'when', such as" in notes
    assert "'31.02.1999'" in notes
    assert "unreadable amounts in 'paid', such as 'many'" in notes


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("03/01/2014", "2"), ("05/02/2014", "3")], "each fits every row"),
        ([("13/01/2014", "2"), ("01/13/2014", "3")], "some rows, but not the others"),
        ([("2014-01-13", "1,234"), ("2014-01-14", "3")], "decimal='.' or decimal=','"),
        ([("2014-01-13", "$1"), ("2014-01-14", "€2")], "several currencies"),
        ([("2014-01-13", "many"), ("2014-01-14", "few")], "cannot be read as an amount"),
        ([(5, 2.0), (7, 2.0)], "numbers from 5 to 7"),
        ([(45292, 2.0), (45293, 2.0)], "a spreadsheet counts"),
        ([("3 marras 2014", "2"), ("4 May 2014", "3")], "in English only"),
    ],
)
def test_what_is_open_is_refused_alike(spark: Any, rows: list[tuple[Any, Any]], said: str) -> None:
    frame = pd.DataFrame(rows, columns=["when", "paid"]).assign(who=[1, 2])
    messages = []
    for summarise, log in (
        (clv.rfm_summary, frame),
        (on_spark.rfm_summary, spark.createDataFrame(frame).coalesce(1)),
    ):
        with pytest.raises(SchemaError, match=said) as found:
            summarise(log, **NAMES)  # type: ignore[operator]
        messages.append(str(found.value))
    # samples come in any order
    assert messages[0].partition("such as")[0] == messages[1].partition("such as")[0]


def test_later_rows_that_contradict_the_first_are_found(spark: Any) -> None:
    days = [dt.date(2014, 1 + i % 12, 1 + i % 28).strftime("%d/%m/%Y") for i in range(10_050)]
    frame = pd.DataFrame({"who": 1, "when": [*days, "01/28/2014"], "paid": "5,50"})
    with pytest.raises(SchemaError, match="some rows, but not the others"):
        on_spark.rfm_summary(spark.createDataFrame(frame).coalesce(1), **NAMES)
