"""Scores of whole customer bases, in blocks of bounded memory."""

from clvmodels.scoring.scorer import BatchTotals, ScoredBatch, Scorer

__all__ = ["BatchTotals", "ScoredBatch", "Scorer"]
