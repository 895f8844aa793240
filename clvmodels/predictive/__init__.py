"""What customers will actually do: distributions of outcomes, not of expectations."""

from clvmodels.predictive.counts import CountDistribution, count_distribution

__all__ = [
    "CountDistribution",
    "count_distribution",
]
