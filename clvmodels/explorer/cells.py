"""The columns of the explorer's list, and how their values are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import pandas as pd

from clvmodels.diagnostics.record import Format
from clvmodels.predictive.customer_list import CHANCES
from clvmodels.reporting.values import MISSING, write
from clvmodels.schema import CUSTOMER_ID

Kind = Literal["text", "number", "date"]
ENDS: Final = ("lower", "upper")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the list.

    Attributes
    ----------
    key : str
        Of the frame, and in what is exported.
    heading : str
    kind : {"text", "number", "date"}
    format : Format
        How a number is written.
    ends : tuple of str
        Columns of its interval; empty where there is none.
    only : bool
        Whether the interval is all there is: of an outcome.
    unit : str
        What the heading says besides.
    detail : bool
        Whether the script shows it with the customer alone.
    foreign : bool
        Whether its texts are the log's.
    """

    key: str
    heading: str
    kind: Kind = "text"
    format: Format = "text"
    ends: tuple[str, ...] = ()
    only: bool = False
    unit: str = ""
    detail: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class ShownCell:
    """One value, as it is written, and as scripts reckon with it where that is another text."""

    text: str
    span: str
    raw: str | None
    raw_ends: str
    foreign: bool


def columns_of_list(
    frame: pd.DataFrame, attributes: Sequence[str], *, money: bool, interval: str
) -> list[Column]:
    """The columns that this list has, in their order."""
    expected, outcome = f"{interval} interval of the mean", f"{interval} interval of the outcome"
    orders = _measure("expected_purchases", "Expected orders", "number", expected, detail=money)
    bought = _outcome("purchases", "Orders, outcome", "integer", outcome, detail=money)
    worth = (
        [
            _measure("clv", "Expected value", "money", expected),
            _outcome("value", "Value, outcome", "money", outcome),
        ]
        if money
        else []
    )
    wanted = [
        Column(CUSTOMER_ID, "Customer"),
        Column("chosen_as", "Chosen as"),
        Column("tier", "Tier"),
        Column("state", "State"),
        *(Column(name, name, foreign=True) for name in attributes),
        *worth,
        *(() if money else (orders, bought)),
        Column("p_alive", "P(alive)", "number", "percent"),
        _number("p_purchase", "Chance to buy", "percent"),
        _number("orders", "Orders so far", "integer"),
        Column("last_order", "Last order", "date"),
        _number("days_silent", "Days silent", "number", detail="last_order" in frame),
        *_next(frame),
        *((orders, bought) if money else ()),
        *(
            _number(name, f"Order within {days:.0f} days", "percent", detail=True)
            for name, days in CHANCES.items()
        ),
        Column("overdue_since", "Overdue since", "date", detail=True),
        _number("overdue_for", "Days overdue", "integer", detail=True),
        Column("first_order", "First order", "date", detail=True),
        _number("historical_value", "Value so far", "money", detail=True),
        Column("action", "What one might do", detail=True),
        Column("reason", "Why no value", detail=True),
    ]
    # A single point has no interval of what is expected
    return [
        one if all(_known(name, frame) for name in one.ends) else replace(one, ends=(), unit="")
        for one in wanted
        if _there(one, frame)
    ]


def _known(name: str, frame: pd.DataFrame) -> bool:
    return name in frame and bool(frame[name].notna().any())


def _there(column: Column, frame: pd.DataFrame) -> bool:
    """Whether a frame has a column, or the ends that are all of it, and something in it."""
    names = column.ends if column.only else (column.key,)
    return all(_known(name, frame) for name in names)


def _measure(key: str, heading: str, how: Format, unit: str, *, detail: bool = False) -> Column:
    ends = tuple(f"{key}_{end}" for end in ENDS)
    return Column(key, heading, "number", how, ends, unit=unit, detail=detail)


def _outcome(key: str, heading: str, how: Format, unit: str, *, detail: bool = False) -> Column:
    ends = tuple(f"{key}_{end}" for end in ENDS)
    return Column(key, heading, "number", how, ends, only=True, unit=unit, detail=detail)


def _number(key: str, heading: str, how: Format, *, detail: bool = False) -> Column:
    return Column(key, heading, "number", how, detail=detail)


def _next(frame: pd.DataFrame) -> Iterator[Column]:
    ends = ("from", "to")
    if "next_order" in frame:
        dates = tuple(f"next_order_{end}" for end in ends)
        yield Column("next_order", "Next order", "date", ends=dates, unit="median; 80 % window")
    else:
        days = tuple(f"next_order_in_{end}" for end in ends)
        unit = "days; median, 80 % window"
        yield Column("next_order_in", "Next order in", "number", "integer", days, unit=unit)


def rows_of_list(
    frame: pd.DataFrame, columns: Sequence[Column], *, currency: str
) -> list[tuple[ShownCell, ...]]:
    """Write the values of all customers, row by row."""
    written = [_written(frame, one, currency) for one in columns]
    return list(zip(*written, strict=True))


def _written(frame: pd.DataFrame, column: Column, currency: str) -> Iterator[ShownCell]:
    values = _plain(frame, column.key) if not column.only else [None] * len(frame)
    ends = [_plain(frame, name) if name in frame else [None] * len(frame) for name in column.ends]
    for value, *both in zip(values, *ends, strict=True):
        known = bool(both) and all(one is not None for one in both)
        # Below a value the currency stands above
        sign = currency if column.only else ""
        span = " to ".join(_said(one, column, sign) for one in both) if known else ""
        text = (span or MISSING) if column.only else _said(value, column, currency)
        raw = _raw(both[1] if column.only else value, column)
        yield ShownCell(
            text=text,
            span="" if column.only else span,
            raw=None if raw == text else raw,
            raw_ends=" ".join(_raw(one, column) or "" for one in both) if known else "",
            foreign=column.foreign,
        )


def _plain(frame: pd.DataFrame, name: str) -> list[Any]:
    column = frame[name]
    if column.dtype.kind == "M":
        return [None if pd.isna(one) else f"{one:%Y-%m-%d}" for one in column]
    return [None if pd.isna(one) else one for one in column.tolist()]


def _said(value: Any, column: Column, currency: str) -> str:
    if value is None or column.kind != "number":
        return MISSING if value is None else str(value)
    return write(value, column.format, currency=currency)


def _raw(value: Any, column: Column) -> str | None:
    """A number for scripts and spreadsheets: seven digits, or all of those before the point."""
    if value is None or column.kind == "text":
        return None
    if column.kind == "date":
        return str(value)
    return f"{value:.0f}" if abs(value) >= 1e6 else f"{value:.7g}"


def meanings(columns: Sequence[Column], known: Mapping[str, str]) -> list[tuple[str, str]]:
    """What columns say, by their headings, where that is known."""
    return [(one.heading, known[one.key]) for one in columns if one.key in known]
