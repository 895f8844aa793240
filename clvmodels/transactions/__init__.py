"""A transaction log from anywhere -> a checked Ibis table, and how it is to be read."""

from clvmodels.transactions.amounts import read_amounts
from clvmodels.transactions.arrow import replayable, to_arrow
from clvmodels.transactions.backends import fetch
from clvmodels.transactions.checks import is_fine_instant
from clvmodels.transactions.csv_files import said_of
from clvmodels.transactions.date_texts import read_dates
from clvmodels.transactions.options import ImplausibleDates, KeepDrop, LogOptions, Refunds
from clvmodels.transactions.sources import (
    OpenLog,
    attach,
    engine,
    open_log,
    set_up,
)
from clvmodels.transactions.unread import other_decimal, refuse_contradicted, unreadable_texts
from clvmodels.transactions.where import condition

__all__ = [
    "ImplausibleDates",
    "KeepDrop",
    "LogOptions",
    "OpenLog",
    "Refunds",
    "attach",
    "condition",
    "engine",
    "fetch",
    "is_fine_instant",
    "open_log",
    "other_decimal",
    "read_amounts",
    "read_dates",
    "refuse_contradicted",
    "replayable",
    "said_of",
    "set_up",
    "to_arrow",
    "unreadable_texts",
]
