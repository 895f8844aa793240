"""Transaction log -> RfmTable, and the calibration/holdout split."""

from clvmodels.log import LogOptions, audit_expr, summary_expr
from clvmodels.rfm.counted import CountedHistories, count_histories
from clvmodels.rfm.first_month import label_first_month, without_first_month
from clvmodels.rfm.on_disk import rfm_summary_to_parquet
from clvmodels.rfm.split import RfmSplit, rfm_train_test_split
from clvmodels.rfm.summary import rfm_summary
from clvmodels.rfm.table import RfmTable

__all__ = [
    "CountedHistories",
    "LogOptions",
    "RfmSplit",
    "RfmTable",
    "audit_expr",
    "count_histories",
    "label_first_month",
    "rfm_summary",
    "rfm_summary_to_parquet",
    "rfm_train_test_split",
    "summary_expr",
    "without_first_month",
]


def __dir__() -> list[str]:
    return __all__
