"""A log reduced to its customers and to an audit, in one pass; see `expressions`."""

from clvmodels.ledger.expressions import (
    audit_expr,
    audit_of,
    customers_of,
    ledger_expr,
    merge_customers,
    purchases_expr,
    rfm_of,
    summary_expr,
)
from clvmodels.ledger.id_map import read_id_map
from clvmodels.ledger.rows import SEGMENT
from clvmodels.ledger.run import (
    Ledger,
    collect,
    empty_result,
    gap_quantile_of_log,
    tidy,
    to_rfm,
)

__all__ = [
    "SEGMENT",
    "Ledger",
    "audit_expr",
    "audit_of",
    "collect",
    "customers_of",
    "empty_result",
    "gap_quantile_of_log",
    "ledger_expr",
    "merge_customers",
    "purchases_expr",
    "read_id_map",
    "rfm_of",
    "summary_expr",
    "tidy",
    "to_rfm",
]
