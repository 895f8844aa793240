"""Dates and amounts that cannot be read: shown, or refused where they say too much."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Final

from clvmodels.errors import SchemaError
from clvmodels.log.audit import Audit, Reason
from clvmodels.log.embedded import fetch
from clvmodels.log.sources import OpenLog
from clvmodels.log.unread import other_decimal, refuse_contradicted, unreadable_texts

# Beyond this share of unreadable amounts the column is another, or written otherwise.
MAX_UNREADABLE_AMOUNTS: Final = 0.1


def with_texts(audit: Audit, log: OpenLog) -> Audit:
    """Show in an audit what cannot be read.

    Raises
    ------
    SchemaError
        It is much of the amounts, or another reading than the one guessed fits it.
    """
    amounts = audit.rows_left_out(Reason.UNREADABLE_AMOUNT)
    dates = audit.rows_left_out(Reason.UNREADABLE_DATE)
    if not amounts and not dates:
        return audit
    options = log.options
    run = functools.partial(fetch, log.table.get_backend())
    refuse_contradicted(log.table, options, log.guessed, run)
    texts = unreadable_texts(log.table, options, run)
    if amounts > MAX_UNREADABLE_AMOUNTS * audit.rows_read:
        sign = other_decimal(log.table, options, run)
        cure = "Check the column." if sign is None else f"Pass decimal={sign!r}, which fits them."
        raise SchemaError(
            f"{amounts:,} of {audit.rows_read:,} rows have text in {options.monetary_value_col!r} "
            f"that cannot be read as an amount, such as {texts[str(options.monetary_value_col)]}. "
            f"{cure}"
        )
    told = (
        ("dates", dates, options.datetime_col),
        ("amounts", amounts, options.monetary_value_col),
    )
    notes = [
        f"unreadable {what} in {name!r}, such as {texts[name]}"
        for what, rows, name in told
        if rows and name is not None and texts.get(name)
    ]
    return replace(audit, notes=(*audit.notes, *notes))
