"""A transaction log from anywhere -> checked rows, customers, and an audit; see `expressions`."""

from clvmodels.log.arrow import replayable
from clvmodels.log.collecting import (
    WHOLE_ID,
    Ledger,
    collect,
    empty_result,
    gap_quantile_of_log,
    read_audit,
    reading,
    refuse_refunds,
    tidy,
    to_rfm,
)
from clvmodels.log.embedded import attach, engine, fetch, set_up
from clvmodels.log.ends import covered_note, narrowed
from clvmodels.log.expressions import (
    audit_expr,
    customers_of,
    ledger_expr,
    left_out_expr,
    rfm_of,
    summary_expr,
    used_expr,
)
from clvmodels.log.ids import read_id_map
from clvmodels.log.options import (
    FileTerms,
    ImplausibleDates,
    KeepDrop,
    LogOptions,
    LogTerms,
    Refunds,
)
from clvmodels.log.sources import OpenLog, open_log
from clvmodels.log.successive import (
    ages_from,
    came_between,
    day_pairs_expr,
    used_day_pairs_expr,
)

__all__ = [
    "WHOLE_ID",
    "FileTerms",
    "ImplausibleDates",
    "KeepDrop",
    "Ledger",
    "LogOptions",
    "LogTerms",
    "OpenLog",
    "Refunds",
    "ages_from",
    "attach",
    "audit_expr",
    "came_between",
    "collect",
    "covered_note",
    "customers_of",
    "day_pairs_expr",
    "empty_result",
    "engine",
    "fetch",
    "gap_quantile_of_log",
    "ledger_expr",
    "left_out_expr",
    "narrowed",
    "open_log",
    "read_audit",
    "read_id_map",
    "reading",
    "refuse_refunds",
    "replayable",
    "rfm_of",
    "set_up",
    "summary_expr",
    "tidy",
    "to_rfm",
    "used_day_pairs_expr",
    "used_expr",
]
