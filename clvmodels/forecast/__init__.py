"""Draws x customers -> moments and quantiles per customer, and totals per draw."""

from clvmodels.forecast.curves import Whole
from clvmodels.forecast.draws import (
    Draws,
    Future,
    pair,
    share,
    tail_probabilities,
)
from clvmodels.forecast.outcomes import OUTCOMES, OutcomePredictor
from clvmodels.forecast.rows import (
    WHENEVER,
    Prediction,
    Predictor,
    infinite_share,
    predict_rows,
    totals_by_draw,
)

__all__ = [
    "OUTCOMES",
    "WHENEVER",
    "Draws",
    "Future",
    "OutcomePredictor",
    "Prediction",
    "Predictor",
    "Whole",
    "infinite_share",
    "pair",
    "predict_rows",
    "share",
    "tail_probabilities",
    "totals_by_draw",
]
