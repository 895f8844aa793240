"""Scores of whole customer bases, in blocks of bounded memory."""

from clvmodels.scoring.local import score
from clvmodels.scoring.manifest import ScoreReport
from clvmodels.scoring.scorer import BatchTotals, ScoredBatch, Scorer

__all__ = ["BatchTotals", "ScoreReport", "ScoredBatch", "Scorer", "score"]


def __dir__() -> list[str]:
    return __all__
