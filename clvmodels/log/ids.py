"""Customers that are none: ids that are words for missing, or stand for everybody unknown."""

from __future__ import annotations

import re
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.log.arrow import to_arrow
from clvmodels.log.audit import Reason
from clvmodels.log.column_checks import is_uint64
from clvmodels.log.embedded import fetch
from clvmodels.log.options import LogOptions
from clvmodels.schema import MISSING_WORDS, shown

# What programs write for a missing value, in lower case; of numbers, 0 and -1.
WORDS: Final = (
    *MISSING_WORDS,
    *("nil", "missing", "unknown", "undefined", "guest", "anonymous", "(null)", "(none)", "-", "?"),
)
NUMBERS: Final = (0, -1)
# As one expression, spaces around it aside: trimming every id took four times as long, and a
# twentieth of a summary.
_PATTERN: Final = rf"(?i)^\s*({'|'.join(map(re.escape, (*WORDS, *map(str, NUMBERS))))}|)\s*$"
# A number is taken for a customer unless it buys so many times as often as anybody else.
MANY_TIMES: Final = 3
MIN_PURCHASES: Final = 10


def doubtful_ids(ledger: Any, options: LogOptions, backend: Any) -> tuple[str, ...]:
    """Say which customers of a ledger are probably none, or one customer under two ids.

    Returns
    -------
    tuple of str
        A sentence for each such id, with its purchases.
    """
    used = ledger.filter(ledger["reason"] == int(Reason.USED))
    customer = used["customer"]
    twice: tuple[str, ...] = ()
    if customer.type().is_string():
        found = used.filter(customer.re_search(_PATTERN))
        twice = _written_twice(used, options, backend)
    else:
        signed = not is_uint64(customer.type())
        found = used.filter(customer.isin([n for n in NUMBERS if n >= 0 or signed]))
    rows = fetch(backend, found.select("customer", "purchases")).to_pylist()
    if not rows:
        return twice
    numbers = [row for row in rows if str(row["customer"]).strip() in map(str, NUMBERS)]
    words = [row for row in rows if row not in numbers]
    if numbers:
        others = used.filter(customer.notin([row["customer"] for row in rows]))
        most = fetch(backend, others.aggregate(most=others["purchases"].max()))["most"][0].as_py()
        least = max(MIN_PURCHASES, MANY_TIMES * (most or 0))
        words += [row for row in numbers if row["purchases"] >= least]
    ordered = sorted(words, key=lambda row: (-row["purchases"], str(row["customer"])))
    return (*twice, *(_said(row["customer"], row["purchases"], options) for row in ordered))


def _written_twice(used: Any, options: LogOptions, backend: Any) -> tuple[str, ...]:
    """Say that numbers stand with and without a decimal point, as pandas writes them."""
    pointed = used.filter(used["customer"].endswith(".0")).select(pointed="customer")
    pointed = pointed.mutate(whole=pointed["pointed"].re_replace(r"\.0$", ""))
    pointed = pointed.filter(pointed["whole"].re_search(r"^-?[0-9]+$"))
    both = pointed.semi_join(used, pointed["whole"] == used["customer"])
    found = fetch(backend, both.aggregate(n=both.count(), first=both["whole"].min())).to_pylist()[0]
    if not found["n"]:
        return ()
    return (
        f"{many(found['n'], 'customer')} in {options.customer_id_col!r} bought under two ids, such "
        f"as {found['first']!r} and {found['first'] + '.0'!r}, and count as two: write ids as "
        "whole numbers throughout. (pandas adds the .0 where an id is missing; "
        ".astype('Int64') does not.)",
    )


def _said(customer: str | int, purchases: int, options: LogOptions) -> str:
    return (
        f"The customer {customer!r} in {options.customer_id_col!r} made {purchases:,} purchases "
        "and probably stands for rows without a customer: leave them out with "
        f"missing_ids=[{customer!r}]."
    )


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
