"""What DuckDB does better, and Spark otherwise; other backends get the portable form."""

from __future__ import annotations

import functools
from typing import Any

from clvmodels.log.column_checks import is_fine_instant

# A number times this, less what that is more than the number, keeps its leading 26 bits
# (Veltkamp's splitting); above _LARGEST the product could overflow.
_SPLITTER = 2.0**27 + 1.0
_LARGEST = 2.0**990


def total_of(column: Any) -> Any:
    """Sum in floats, so that neither row order nor threads matter where the backend can.

    Kahan's sum alone depends on the order in its last bit. The leading and the trailing 26 bits
    of amounts that are within a factor of 10^8 of each other are summed without any rounding, so
    that all is rounded once.
    """
    column = column if column.type().is_floating() else column.cast("float64")
    if not _is_duckdb(column):
        return column.sum()
    import ibis

    usual, split = column.abs() < _LARGEST, column * _SPLITTER
    leading = ibis.ifelse(usual, split - (split - column), column)
    trailing = ibis.ifelse(usual, column - leading, 0.0)
    return _builtins()["fsum"](leading) + _builtins()["fsum"](trailing)


def earliest(value: Any, by: Any, *, where: Any = None) -> Any:
    """Return the value at the smallest ``by``, which must be unique in its group."""
    if not _is_duckdb(value):
        return value.argmin(by, where=where)
    # Ibis writes an ordered FIRST, which sorts each group
    return _arg("arg_min", value.type(), by.type())(value, by, where=where)


def latest(value: Any, by: Any, *, where: Any = None) -> Any:
    """Return the value at the largest ``by``, which must be unique in its group."""
    if not _is_duckdb(value):
        return value.argmax(by, where=where)
    return _arg("arg_max", value.type(), by.type())(value, by, where=where)


def local_time(zone: str, column: Any) -> Any:
    """Return the wall-clock time of instants in a zone (DuckDB forgets a column's zone)."""
    name = f"UTC{zone}" if zone[0] in "+-" else zone
    function = "timezone_ns" if is_fine_instant(column.type()) else "timezone"
    return _builtins()[function](name, column)


def is_finite(column: Any) -> Any:
    """Whether a float is there and neither NaN nor infinite."""
    if _backend_of(column) == "pyspark":
        # Ibis 12 compiles isinf() to FALSE for Spark, where NaN is greater than every number
        return (column.abs() < float("inf")).fill_null(False)
    return ~(column.isnull() | column.isnan() | column.isinf())


def _is_duckdb(column: Any) -> bool:
    return _backend_of(column) == "duckdb"


def _backend_of(column: Any) -> str | None:
    import ibis

    try:
        return str(column.get_backend().name)
    except ibis.common.exceptions.IbisError:  # an unbound table, or several backends
        return None


@functools.cache
def _builtins() -> dict[str, Any]:
    import ibis
    import ibis.expr.datatypes as dt

    @ibis.udf.agg.builtin(signature=((dt.float64,), dt.float64))
    def fsum(column):  # type: ignore[no-untyped-def]
        """Sum with Kahan's compensation."""

    @ibis.udf.scalar.builtin(signature=((dt.string, dt.Timestamp("UTC")), dt.timestamp))
    def timezone(zone, column):  # type: ignore[no-untyped-def]
        """Local wall-clock time of an instant."""

    @ibis.udf.scalar.builtin(
        name="timezone", signature=((dt.string, dt.unknown), dt.Timestamp(scale=9))
    )
    def timezone_ns(zone, column):  # type: ignore[no-untyped-def]
        """Local wall-clock time of an instant that is known to the nanosecond."""

    return {"fsum": fsum, "timezone": timezone, "timezone_ns": timezone_ns}


@functools.cache
def _arg(name: str, value: Any, by: Any) -> Any:
    import ibis

    @ibis.udf.agg.builtin(name=name, signature=((value, by), value))
    def arg(value, by):  # type: ignore[no-untyped-def]
        """Value at the smallest or the largest ``by``."""

    return arg
