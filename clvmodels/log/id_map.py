"""The table from ids in a log to customers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from clvmodels.errors import SchemaError
from clvmodels.log.arrow import to_arrow
from clvmodels.schema import shown


def read_id_map(id_map: Any) -> pa.Table | None:
    """Check a table from ids to customers.

    Parameters
    ----------
    id_map : mapping, frame or None
        A dict, or a table of two columns: the id in the log, the customer.

    Returns
    -------
    pyarrow.Table or None
        Columns id and customer.

    Raises
    ------
    SchemaError
        There are not two columns, something is missing, or an id has two customers.
    """
    if id_map is None:
        return None
    if isinstance(id_map, dict):
        id_map = pd.DataFrame({"id": list(id_map), "customer": list(id_map.values())})
    data = id_map.to_pyarrow() if hasattr(id_map, "to_pyarrow") else to_arrow(id_map)
    if not isinstance(data, pa.Table):
        data = data.read_all() if isinstance(data, pa.RecordBatchReader) else data.to_table()
    if data.num_columns != 2:
        raise SchemaError(
            f"id_map has {data.num_columns} columns: it must have two, the id in the log "
            "and the customer that it belongs to."
        )
    return _check_map(data.rename_columns(["id", "customer"]))


def _check_map(data: pa.Table) -> pa.Table:
    frame = data.to_pandas().drop_duplicates()
    if frame.isna().to_numpy().any():
        raise SchemaError("id_map has missing values: drop those rows.")
    twice = frame["id"][frame["id"].duplicated()]
    if len(twice):
        raise SchemaError(
            f"id_map gives {len(twice):,} ids several customers, first {shown(twice.iloc[0])}: "
            "keep one customer per id."
        )
    onward = dict(zip(frame["id"], frame["customer"], strict=True))
    for customer in frame["customer"]:
        if onward.get(customer, customer) != customer:
            raise SchemaError(
                f"id_map sends ids to {shown(customer)}, which is itself sent to "
                f"{shown(onward[customer])}: give the last customer of each chain."
            )
    return pa.Table.from_pandas(frame, preserve_index=False)
