"""Scoring where the customers lie: a posterior as a statement and a table of coefficients."""

from clvmodels.warehouse.in_sql import ScoreSQL, score_sql

__all__ = ["ScoreSQL", "score_sql"]


def __dir__() -> list[str]:
    return __all__
