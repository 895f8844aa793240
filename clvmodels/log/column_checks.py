"""What the columns of a log must be."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from clvmodels.errors import SchemaError
from clvmodels.log.options import LogOptions
from clvmodels.schema import shown


def check_columns(found: Sequence[str], options: LogOptions) -> None:
    """Raise SchemaError naming a column that is missing, with the closest names there are."""
    arguments = {
        "customer_id_col": options.customer_id_col,
        "datetime_col": options.datetime_col,
        "monetary_value_col": options.monetary_value_col,
        "order_id_col": options.order_id_col,
        "currency_col": options.currency_col,
        **{f"segment_cols[{i}]": name for i, name in enumerate(options.segment_cols)},
        **{f"where[{i}]": name for i, name in enumerate(options.where_columns)},
    }
    for argument, name in arguments.items():
        if isinstance(name, str) and name in found:
            continue
        if name is None and argument in ("monetary_value_col", "order_id_col", "currency_col"):
            continue
        _refuse_whole_lines(found, options)
        folded = {str(column).lower(): str(column) for column in found}
        close = difflib.get_close_matches(str(name).lower(), list(folded), n=3, cutoff=0.5)
        hint = " or ".join(repr(folded[key]) for key in close)
        listed = ", ".join(repr(str(column)) for column in found)
        raise SchemaError(
            f"{argument}={shown(name)} is not a column of the log (columns: {listed})."
            + (f" Did you mean {hint}?" if hint else "")
        )


def check_distinct(found: Sequence[str], options: LogOptions) -> None:
    """Raise SchemaError for a needed column that is there twice."""
    twice = [name for name in options.columns if found.count(name) > 1]
    if twice:
        raise SchemaError(f"The log has two columns named {twice[0]!r}: rename one of them.")


def _refuse_whole_lines(found: Sequence[str], options: LogOptions) -> None:
    """Say so where lines were not taken apart: no name is like one of a whole line."""
    names = [str(name) for name in options.columns]
    if len(found) == 1 < len(names) and all(name in found[0] for name in names):
        raise SchemaError(
            f"The log has a single column, {found[0]!r}, with several names in it: pass what "
            "stands between them, such as delimiter='|', and take quotation marks away that are "
            "around whole lines."
        )


def check_types(table: Any, options: LogOptions) -> None:
    """Raise SchemaError for a column of a type that cannot be read."""
    kind = table[options.datetime_col].type()
    numbers = (kind.is_integer() or kind.is_floating()) and not kind.is_boolean()
    if not (
        kind.is_timestamp()
        or kind.is_date()
        or kind.is_string()
        or numbers
        or is_fine_instant(kind)
    ):
        raise SchemaError(
            f"datetime_col={options.datetime_col!r} holds {kind}, not dates: name the column of "
            "dates, or convert this one to dates or to text such as '2011-12-09'."
        )
    kind = table[options.customer_id_col].type()
    if not (
        kind.is_string()
        or kind.is_integer()
        or kind.is_floating()
        or kind.is_uuid()
        or (kind.is_decimal() and kind.scale == 0)
    ):
        raise SchemaError(
            f"customer_id_col={options.customer_id_col!r} holds {kind}: ids must be text, "
            "integers or UUIDs; convert the column."
        )
    for name in options.segment_cols:
        kind = table[name].type()
        if kind.is_interval():
            raise SchemaError(
                f"The segment column {name!r} holds {kind}: convert it to numbers or text."
            )
    if options.monetary_value_col is None:
        return
    kind = table[options.monetary_value_col].type()
    if not (kind.is_numeric() or kind.is_string()) or kind.is_boolean():
        raise SchemaError(
            f"monetary_value_col={options.monetary_value_col!r} holds {kind}, not numbers: name "
            "the column of amounts, or convert this one to float."
        )


def is_fine_instant(kind: Any) -> bool:
    """Whether an Ibis type is that of instants to the nanosecond, which Ibis 12 has no name for."""
    return bool(kind.is_unknown()) and "TIMESTAMPTZ_NS" in str(kind)


def is_uint64(kind: Any) -> bool:
    """Whether an Ibis type goes beyond the integers of 64 bits that have a sign."""
    return str(kind.copy(nullable=True)) == "uint64"


def is_written(kind: Any) -> bool:
    """Whether dates of an Ibis type are text or numbers, which can be read in several ways."""
    return not (kind.is_timestamp() or kind.is_date() or is_fine_instant(kind))
