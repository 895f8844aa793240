"""A transaction log from anywhere -> a checked Ibis table, and how it is to be read."""

from clvmodels.transactions.options import ImplausibleDates, KeepDrop, LogOptions, Refunds
from clvmodels.transactions.sources import (
    OpenLog,
    attach,
    engine,
    is_fine_instant,
    open_log,
    replayable,
    set_up,
    to_arrow,
)

__all__ = [
    "ImplausibleDates",
    "KeepDrop",
    "LogOptions",
    "OpenLog",
    "Refunds",
    "attach",
    "engine",
    "is_fine_instant",
    "open_log",
    "replayable",
    "set_up",
    "to_arrow",
]
