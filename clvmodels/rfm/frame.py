"""Checks of RFM frames that users bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clvmodels.errors import SchemaError, one_line
from clvmodels.ledger import tidy
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    FloatArray,
    T,
)


def check_columns(table: pa.Table, segments: tuple[str, ...]) -> pa.Table:
    """Return the table if it has the columns of an RfmTable, else raise SchemaError."""
    missing = [
        name
        for name in (CUSTOMER_ID, FREQUENCY, RECENCY, T, *segments)
        if name not in table.column_names
    ]
    if missing:
        found = ", ".join(repr(name) for name in table.column_names)
        raise SchemaError(
            f"Column {missing[0]!r} is missing; found {found}. Rename yours to customer_id, "
            "frequency, recency, T (and monetary_value)."
        )
    return table


def validated(frame: pd.DataFrame) -> pa.Table:
    """Turn a user's frame into checked columns in their order, sorted by customer_id.

    Raises
    ------
    SchemaError
        A column is missing, or a row cannot be a customer's history.
    """
    names = [str(name) for name in frame.columns]
    check_columns(pa.table({name: [] for name in names}), ())
    optional = [name for name in (MONETARY_VALUE, FIRST_VALUE) if name in names]
    core = [CUSTOMER_ID, FREQUENCY, RECENCY, T, *optional]
    ids = frame[CUSTOMER_ID]
    numbers = {name: _to_float(frame[name]) for name in core[1:]}
    if MONETARY_VALUE in numbers:
        spend = numbers[MONETARY_VALUE]
        numbers[MONETARY_VALUE] = np.where(np.isnan(spend) & (numbers[FREQUENCY] == 0), 0.0, spend)
    _check_rows(ids, numbers)
    table = pa.Table.from_pandas(
        frame.assign(**numbers).astype({FREQUENCY: "int64"})[
            core + [name for name in names if name not in core]
        ],
        preserve_index=False,
    )
    return tidy(table.replace_schema_metadata(None).sort_by(CUSTOMER_ID))


def _to_float(column: pd.Series[Any]) -> FloatArray:
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"Column {column.name!r} holds {column.dtype}, not numbers: convert it "
            f"({one_line(error)})."
        ) from error


def _check_rows(ids: pd.Series[Any], numbers: dict[str, Any]) -> None:
    """Raise SchemaError on rows that cannot be a customer's history."""
    x, t_x, total = numbers[FREQUENCY], numbers[RECENCY], numbers[T]
    problems = {
        "have no customer_id": ids.isna().to_numpy(),
        "repeat a customer_id that is there already": ids.duplicated().to_numpy(),
        **{
            f"have a {name} that is missing or not finite": ~np.isfinite(values)
            for name, values in numbers.items()
        },
        "have a frequency that is negative or no whole number": (x < 0) | (x != np.floor(x)),
        "have a negative recency": t_x < 0,
        "have a recency longer than T": t_x > total,
        "have a recency above 0 at frequency 0": (t_x > 0) & (x == 0),
    }
    if MONETARY_VALUE in numbers:
        problems["have a negative monetary_value"] = numbers[MONETARY_VALUE] < 0
    for text, bad in problems.items():
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            values = ", ".join(f"{name}={column[first]:g}" for name, column in numbers.items())
            raise SchemaError(
                f"{int(bad.sum()):,} rows {text}; the first is row {first}, "
                f"customer_id={ids.iloc[first]!r} ({values}). Correct or drop them."
            )
