"""Summaries and scores on Spark, for logs and bases that have outgrown one machine.

The same expressions count and the same scorer scores as on one machine. The workers need
clvmodels too; see README.md in this folder for what runs where.
"""

from clvmodels.spark.files import score_files
from clvmodels.spark.scores import rejects, score
from clvmodels.spark.summary import SparkRfm, count_histories, rfm_summary

__all__ = ["SparkRfm", "count_histories", "rejects", "rfm_summary", "score", "score_files"]


def __dir__() -> list[str]:
    return __all__
