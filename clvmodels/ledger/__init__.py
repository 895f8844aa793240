"""A log reduced to its customers and to an audit; see `expressions`."""

from clvmodels.ledger.ends import covered_note, narrowed
from clvmodels.ledger.expressions import (
    audit_expr,
    audit_of,
    customers_of,
    ledger_expr,
    left_out_expr,
    merge_customers,
    purchases_expr,
    rfm_of,
    summary_expr,
    used_expr,
)
from clvmodels.ledger.id_map import read_id_map
from clvmodels.ledger.rows import SEGMENT
from clvmodels.ledger.run import (
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
from clvmodels.transactions import fetch

__all__ = [
    "SEGMENT",
    "WHOLE_ID",
    "Ledger",
    "audit_expr",
    "audit_of",
    "collect",
    "covered_note",
    "customers_of",
    "empty_result",
    "fetch",
    "gap_quantile_of_log",
    "ledger_expr",
    "left_out_expr",
    "merge_customers",
    "narrowed",
    "purchases_expr",
    "read_audit",
    "read_id_map",
    "reading",
    "refuse_refunds",
    "rfm_of",
    "summary_expr",
    "tidy",
    "to_rfm",
    "used_expr",
]
