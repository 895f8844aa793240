"""The purchases of a table's customers, read again from the log that it was made of.

Apart, since tables, which scoring reads, need no log; backtests and cohort curves do.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.log import WHOLE_ID
from clvmodels.log.purchases import collect_purchases
from clvmodels.rfm.periods import ordinal_of
from clvmodels.rfm.table import RfmTable
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, FloatArray, T

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PurchasesAgain:
    """Every purchase of a table's customers, the first ones too, and later ones if wanted.

    Attributes
    ----------
    who : ndarray of int, shape (P,)
        Position of the customer in the table.
    age : ndarray, shape (P,)
        How long after the customer's first purchase, in units of T.
    total : ndarray, shape (P,), or None
        What it brought; None for a log without amounts.
    """

    who: IntArray
    age: FloatArray
    total: FloatArray | None = field(repr=False)


def purchases_again(
    rfm: RfmTable, log: Any, id_map: Any = None, *, later: bool = False
) -> PurchasesAgain:
    """Read the log of a table again, in the way in which it was read.

    Parameters
    ----------
    rfm : RfmTable
    log, id_map
        What it was made of.
    later : bool
        Whether purchases after the table's end are among them, whose ages are above T.

    Raises
    ------
    SchemaError
        No log was given, the table does not know how it was read, or this is another one.
    """
    if log is None:
        raise SchemaError(
            "A table holds counts and not the purchases themselves: pass log=, what the table was "
            "made of."
        )
    if rfm.options is None or rfm.observation_end is None:
        raise SchemaError(
            "The table does not know how its log was read: make it with rfm_summary, and save it "
            "with to_parquet, not as CSV."
        )
    if rfm.has_id_map and id_map is None:
        raise SchemaError(
            "The table was made with an id_map, and none was given: pass the same id_map."
        )
    end = ordinal_of(rfm.observation_end, rfm.scale)
    options = replace(rfm.options, end=end, segment_cols=(), day_pairs=False)
    if later:
        options = replace(options, end=None, until=None, whole=False)
    found = collect_purchases(log, options, id_map).table
    position = positions_of(rfm.table[CUSTOMER_ID].to_pandas(), found["customer"])
    mine = position >= 0
    who, period = position[mine], found["period"].to_numpy()[mine].astype(np.int64)
    repeats = np.asarray(rfm.table[FREQUENCY].to_numpy(), dtype=np.int64)
    seen = who[period <= end]
    if not np.array_equal(np.bincount(seen, minlength=len(rfm)), repeats + 1):
        _, whose = shared_customers(rfm, found["customer"])
        raise SchemaError(
            f"The log has other purchases than the table ({whose}): pass the log that the table "
            "was made of, or summarise this one again."
        )
    first = end - np.rint(rfm.table[T].to_numpy() * rfm.time_scaler).astype(np.int64)
    age = (period - first[who]) / rfm.time_scaler
    total = found["total"].to_numpy()[mine] if "total" in found.column_names else None
    return PurchasesAgain(who, age, total)


def shared_customers(rfm: RfmTable, customers: pa.ChunkedArray) -> tuple[int, str]:
    """How many customers of a log are in a table, and the same in words."""
    there = pa.chunked_array([customers.unique()])
    known = int((positions_of(rfm.table[CUSTOMER_ID].to_pandas(), there) >= 0).sum())
    said = f"{known:,}" if known else "none"
    be = "is" if known < 2 else "are"
    return known, (
        f"{said} of the log's {many(len(there), 'customer')} {be} in the table, which has "
        f"{len(rfm):,}"
    )


def positions_of(ids: pd.Series[Any], keys: pa.ChunkedArray) -> IntArray:
    """Position of each key among the ids, -1 where it is none of them."""
    coded = keys.combine_chunks().dictionary_encode()
    distinct = coded.dictionary.to_pandas()
    if pd.api.types.is_integer_dtype(ids) and not pd.api.types.is_integer_dtype(distinct):
        whole = distinct.astype(str).str.fullmatch(WHOLE_ID)
        distinct = pd.to_numeric(distinct.where(whole), errors="coerce").astype("Int64")
    found = pd.Index(ids).get_indexer(pd.Index(distinct))
    return np.asarray(found[coded.indices.to_numpy()], dtype=np.int64)
