"""Does it predict? Backtests against baselines, and models against each other."""

from clvmodels.evaluation.backtest_record import Backtest, load_backtest
from clvmodels.evaluation.backtesting import backtest
from clvmodels.evaluation.baselines import LABELS as FORECAST_LABELS
from clvmodels.evaluation.comparison_record import Comparison
from clvmodels.evaluation.heldout import HeldOut
from clvmodels.evaluation.metrics import METRIC_LABELS
from clvmodels.evaluation.models_compared import compare

__all__ = [
    "FORECAST_LABELS",
    "METRIC_LABELS",
    "Backtest",
    "Comparison",
    "HeldOut",
    "backtest",
    "compare",
    "load_backtest",
]


def __dir__() -> list[str]:
    return __all__
