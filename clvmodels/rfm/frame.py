"""Checks of RFM frames that users bring."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from clvmodels.errors import SchemaError, one_line
from clvmodels.frames import Frame, eager, index_name, kind_of, out_of_index, to_arrow
from clvmodels.log import tidy
from clvmodels.rfm.customers import (
    check_ids,
    check_periods,
    no_id,
    read_numbers,
    sortable,
    warn_of_unit,
)
from clvmodels.rfm.gaps import check_gaps
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    LOG_GAPS,
    MONETARY_VALUE,
    RECENCY,
    T,
    TimeScale,
    is_a_log,
    is_log,
    shown,
)

_WHERE: Final = "The RFM table"


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


def validated(frame: Frame, scale: TimeScale, *, said: bool) -> pa.Table:
    """Turn a user's frame into checked columns in their order, sorted by customer_id.

    Parameters
    ----------
    frame : frame
        Of pandas, polars or pyarrow; a pandas one may have customer_id in its index.
    scale : TimeScale
        The unit of recency and T.
    said : bool
        Whether the caller said it.

    Raises
    ------
    SchemaError
        A column is missing, or a row cannot be a customer's history.
    """
    frame = out_of_index(eager(frame), CUSTOMER_ID)
    table = to_arrow(frame)
    if is_log(table.column_names):
        raise is_a_log(table.column_names)
    if CUSTOMER_ID not in table.column_names and kind_of(frame) == "pandas":
        raise no_id(table.column_names, index_name(frame))
    check_columns(table, ())
    check_ids(table[CUSTOMER_ID].type, _WHERE)
    names = table.column_names
    optional = [name for name in (MONETARY_VALUE, FIRST_VALUE, LOG_GAPS) if name in names]
    core = [CUSTOMER_ID, FREQUENCY, RECENCY, T, *optional]
    numbers = {name: read_numbers(name, table[name], scale, _WHERE) for name in core[1:]}
    if MONETARY_VALUE in numbers:
        spend = numbers[MONETARY_VALUE]
        numbers[MONETARY_VALUE] = np.where(np.isnan(spend) & (numbers[FREQUENCY] == 0), 0.0, spend)
    ids = sortable(table[CUSTOMER_ID])
    _check_rows(ids.to_pandas(), numbers)
    check_periods(numbers[FREQUENCY], numbers[RECENCY], scale)
    if LOG_GAPS in numbers:
        check_gaps(numbers[LOG_GAPS], numbers[FREQUENCY], numbers[RECENCY], scale)
    said = said or pa.types.is_duration(table[T].type)
    warn_of_unit(numbers[T], scale, said=said, whole=True)
    columns: dict[str, Any] = {CUSTOMER_ID: ids, **numbers}
    columns[FREQUENCY] = numbers[FREQUENCY].astype(np.int64)
    columns |= {name: table[name] for name in names if name not in core}
    try:
        return tidy(pa.table(columns).sort_by(CUSTOMER_ID))
    except pa.ArrowNotImplementedError as error:
        raise SchemaError(
            f"{_WHERE} has an additional column that cannot be sorted ({one_line(error)}): "
            "convert it to text, or drop it."
        ) from error


_HINTS: Final = {
    "repeat a customer_id that is there already": "A log is summarised with rfm_summary.",
    "have a recency longer than T": "recency is not the time since the last purchase, but T "
    "minus that time.",
    "have a recency above 0 at frequency 0": "frequency does not count the first purchase.",
    "have a negative monetary_value": "Summarise the log with refunds='drop' or 'net'.",
}


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
        "have a frequency that is negative or not a whole number": (x < 0) | (x != np.floor(x)),
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
                f"customer_id={shown(ids.iloc[first])} ({values}). Correct or drop them. "
                f"{_HINTS.get(text, '')}".rstrip()
            )
