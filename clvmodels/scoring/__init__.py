"""Scores of whole customer bases, in blocks of bounded memory."""

from clvmodels.scoring.report import ScoreReport
from clvmodels.scoring.run import score
from clvmodels.scoring.scorer import BatchTotals, ScoredBatch, Scorer

__all__ = ["BatchTotals", "ScoreReport", "ScoredBatch", "Scorer", "score"]


def __dir__() -> list[str]:
    return __all__
