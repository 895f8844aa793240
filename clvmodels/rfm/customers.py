"""What a column and a row of a table of customers may hold: one rule for every entrance.

Frames, files and clusters all hand over Arrow; which types are numbers, how a length of
time becomes a number in the table's unit, and which histories the unit rules out is said
here and nowhere else.
"""

from __future__ import annotations

import math
import warnings
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import schema
from clvmodels.errors import OURS, SchemaError
from clvmodels.schema import FloatArray, TimeScale

TIMES: Final = (schema.RECENCY, schema.T)
# T of a longer time is no customer's.
LIFETIME_YEARS: Final = 100.0
# A base scored long after its fit has longer T, but not that much: days in place of weeks are 7.
MOST_TIMES_FITTED: Final = 4.0
# Of whole periods that went through float32, or through a division by time_scaler.
ROUNDING: Final = 1e-6
# Of periods that were written with two decimals of a week, such as 38.86.
_TWO_DECIMALS: Final = 0.05
_UNITS: Final = {"h": "hours", "D": "days", "W": "calendar weeks", "M": "calendar months"}
_TICKS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SECONDS: Final = {"h": 3_600.0, "D": 86_400.0, "W": 604_800.0}


# --- columns ---------------------------------------------------------------------------


def value_type(kind: pa.DataType) -> pa.DataType:
    """Type of the values of a column, which may be encoded as a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return any(
        one(kind) for one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def check_numbers(name: str, kind: pa.DataType, scale: TimeScale, where: str) -> None:
    """Refuse a column that cannot be read as numbers.

    Integers, floats and decimals are numbers; T and recency may be lengths of time, which
    are converted to the table's unit. Truth values, text, dates and all else are not.

    Parameters
    ----------
    name : str
        frequency, recency, T, monetary_value or first_value.
    kind : pyarrow.DataType
        What the column holds.
    scale : TimeScale
        The unit of recency and T.
    where : str
        The file or frame, for the message.

    Raises
    ------
    SchemaError
        It holds something else.
    """
    kind = value_type(kind)
    if _is_number(kind) or pa.types.is_null(kind):
        return
    cure = "convert it to numbers."
    if name in TIMES and pa.types.is_duration(kind):
        if scale.time_unit in _SECONDS:
            return
        cure = "calendar months differ in length, so count them, or choose another time_unit."
    elif name in TIMES and pa.types.is_temporal(kind):
        cure = "subtract the date of the customer's first purchase, which leaves a length of time."
    raise SchemaError(
        f"{where} has a column {name!r} that holds {named(kind)}, not numbers: {cure}"
    )


def read_numbers(
    name: str, column: pa.Array | pa.ChunkedArray, scale: TimeScale, where: str
) -> FloatArray:
    """Read a column of numbers, or of lengths of time in the table's unit.

    Parameters
    ----------
    name : str
        frequency, recency, T, monetary_value or first_value.
    column : pyarrow.Array or ChunkedArray, shape (N,)
        What is missing becomes NaN.
    scale : TimeScale
        The unit of recency and T.
    where : str
        The file or frame, for the message.

    Returns
    -------
    ndarray of float64, shape (N,)
        Whole periods stay whole: a length of time is divided once, as
        `clvmodels.rfm_summary` divides its periods by time_scaler.

    Raises
    ------
    SchemaError
        The column cannot be read as numbers.
    """
    check_numbers(name, column.type, scale, where)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    unit = divisor(column.type, scale)
    if pa.types.is_duration(column.type):
        column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # to floats directly they are not rounded correctly
    if not pa.types.is_float64(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    if isinstance(column, pa.ChunkedArray):
        values = column.to_numpy()
    else:
        values = column.to_numpy(zero_copy_only=False)
    numbers = np.asarray(values, dtype=np.float64)
    return numbers if unit == 1.0 else numbers / unit


def divisor(kind: pa.DataType, scale: TimeScale) -> float:
    """What stored numbers of a column are divided by to be in the table's unit."""
    kind = value_type(kind)
    if not pa.types.is_duration(kind):
        return 1.0
    return _SECONDS[scale.time_unit] * scale.time_scaler * _TICKS[kind.unit]


def check_ids(kind: pa.DataType, where: str) -> None:
    """Refuse ids that do not name a customer: truth values, moments, lists and the like.

    Raises
    ------
    SchemaError
        They are not text, numbers or dates.
    """
    kind = value_type(kind)
    if is_text(kind) or is_plain_id(kind):
        return
    raise SchemaError(
        f"{where} has a column {schema.CUSTOMER_ID!r} that holds {named(kind)}: ids must be text "
        "or numbers; convert the column to text."
    )


def is_plain_id(kind: pa.DataType) -> bool:
    """Whether a column holds ids other than text."""
    moment = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return bool(_is_number(kind) or moment or pa.types.is_null(kind))


def sortable(ids: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Ids as Arrow sorts and compares them: plain values, of no rare type."""
    if pa.types.is_dictionary(ids.type):
        ids = ids.cast(ids.type.value_type)
    if pa.types.is_float16(ids.type):
        return ids.cast(pa.float32())
    return ids.cast(pa.string()) if pa.types.is_string_view(ids.type) else ids


def named(kind: pa.DataType) -> str:
    """Name what a column holds, the same for every library that text comes from."""
    if is_text(kind):
        return "text"
    return "true and false" if pa.types.is_boolean(kind) else str(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


# --- rows ------------------------------------------------------------------------------


def exceeds_periods(x: FloatArray, t_x: FloatArray, scale: TimeScale) -> npt.NDArray[np.bool_]:
    """Rows with more repeat purchases than recency has periods.

    Purchases of one period are merged into one, so every repeat purchase has a period of
    its own after the first: x <= t_x in periods. Where recency is not whole in periods the
    purchases were not merged by them, and the row says nothing.

    Parameters
    ----------
    x, t_x : ndarray, shape (N,)
        Frequency, and recency in the unit of the table.
    scale : TimeScale
        The unit of the table: recency x time_scaler are periods.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        periods = t_x * scale.time_scaler
        whole = np.rint(periods)
        merged = np.abs(periods - whole) <= ROUNDING * np.maximum(1.0, periods)
        return np.asarray(merged & (x > whole), dtype=bool)


def exceeds_periods_sql(x: str, t_x: str, scale: TimeScale) -> str:
    """Write `exceeds_periods` as a condition in SQL, over expressions of doubles."""
    periods = f"({t_x} * {scale.time_scaler!r})"
    return (
        f"(abs({periods} - round({periods})) <= {ROUNDING!r} * greatest(1.0, {periods}) "
        f"AND {x} > round({periods}))"
    )


def check_periods(x: FloatArray, t_x: FloatArray, scale: TimeScale) -> None:
    """Refuse rows with more repeat purchases than recency has periods.

    Raises
    ------
    SchemaError
        There are some; the message has their number and the first of them.
    """
    bad = exceeds_periods(x, t_x, scale)
    if not bad.any():
        return
    row = int(np.argmax(bad))
    raise SchemaError(
        f"{int(bad.sum()):,} rows have more repeat purchases than periods in recency; the first "
        f"is row {row} (frequency={x[row]:g}, recency={t_x[row]:g}, time in {scale}). Purchases "
        "in one period count as one: pass the table's own time_unit and time_scaler (for days in "
        "which several purchases count, time_unit='h' and time_scaler=24), or drop these rows."
    )


# --- units -----------------------------------------------------------------------------


def has_fractions(T: FloatArray, scale: TimeScale) -> bool:
    """Whether some T are not whole in periods, as every T of a summary is."""
    periods = T[np.isfinite(T)] * scale.time_scaler
    off = np.abs(periods - np.rint(periods))
    return bool((off > np.maximum(slack(scale), ROUNDING * periods)).any())


def has_fractions_sql(T: str, scale: TimeScale) -> str:
    """Write `has_fractions` of one T as a condition in SQL, over an expression of doubles."""
    periods = f"({T} * {scale.time_scaler!r})"
    most = f"greatest({slack(scale)!r}, {ROUNDING!r} * {periods})"
    return f"abs({periods} - round({periods})) > {most}"


def slack(scale: TimeScale) -> float:
    """Return by what part of a period a time may be off that was written with some decimals."""
    return _TWO_DECIMALS if scale.time_scaler > 1 else ROUNDING


def beyond_lifetime(longest: float, scale: TimeScale) -> bool:
    """Whether the longest T is longer than a lifetime."""
    return longest * scale.days > LIFETIME_YEARS * schema.DAYS_PER_YEAR


def lifetime_text(longest: float, scale: TimeScale) -> str:
    """Say that the longest T is longer than a lifetime."""
    years = longest * scale.days / schema.DAYS_PER_YEAR
    return (
        f"T reaches {longest:,.6g}, which in {scale} are {years:,.0f} years, longer than a "
        "customer's lifetime: check the unit of T and recency (time_unit, time_scaler)."
    )


def beyond_base(longest: float, fitted: float | None) -> bool:
    """Whether the longest T is out of proportion to the longest of the base that was fitted."""
    return fitted is not None and fitted > 0 and longest > MOST_TIMES_FITTED * fitted


def beyond_base_text(longest: float, fitted: float | None, scale: TimeScale) -> str:
    """Say that T is so long beside the fitted base's that it may count in another unit."""
    times = longest / (fitted or math.nan)
    return (
        f"T reaches {longest:,.6g} in {scale}, {times:.1f} times as long as in the base that was "
        "fitted: are recency and T in another unit? If the unit is right, pass "
        f"time_unit={scale.time_unit!r}, time_scaler={scale.time_scaler:g}."
    )


def fractions_text(scale: TimeScale) -> str:
    """Say that T has fractions where nobody said the unit."""
    return (
        f"T has fractions, and its unit of time is not given: taken as {scale}. Weeks counted in "
        "days are time_unit='D', time_scaler=7. If the unit is right, pass "
        f"time_unit={scale.time_unit!r}, time_scaler={scale.time_scaler:g}."
    )


def assumed_text(scale: TimeScale) -> str:
    """Note, of a fit to a frame that does not say its unit, what was assumed."""
    return (
        f"The frame does not say its unit of time: taken as {_UNITS[scale.time_unit]} ({scale}). "
        "For another, pass time_unit and time_scaler to fit."
    )


def warn_of_unit(
    T: FloatArray, scale: TimeScale, *, said: bool, whole: bool, fitted: float | None = None
) -> None:
    """Warn where T of a frame looks like another unit's.

    Parameters
    ----------
    T : ndarray, shape (N,)
        In the unit.
    scale : TimeScale
        The unit, said or assumed.
    said : bool
        Whether the caller said it.
    whole : bool
        Whether T is expected to be whole in periods unless the caller says the unit.
    fitted : float, optional
        The longest T of the base that was fitted, in the same unit.
    """
    if not len(T):
        return
    longest = float(T.max())
    if beyond_lifetime(longest, scale):
        text = lifetime_text(longest, scale)
        warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    elif not said and beyond_base(longest, fitted):
        text = beyond_base_text(longest, fitted, scale)
        warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    elif whole and not said and has_fractions(T, scale):
        warnings.warn(fractions_text(scale), UserWarning, stacklevel=2, skip_file_prefixes=OURS)


def no_id(found: list[str], index: str | None) -> SchemaError:
    """The error of a pandas frame without a customer_id, which may be its index."""
    how = (
        "ids that are in the index become a column by frame.reset_index(names='customer_id')"
        if index is None
        else f"if its index {index!r} is the id, pass "
        f"frame.reset_index().rename(columns={{{index!r}: 'customer_id'}})"
    )
    return SchemaError(
        f"The RFM table lacks customer_id; found {', '.join(found)}: {how}. Else rename yours."
    )
