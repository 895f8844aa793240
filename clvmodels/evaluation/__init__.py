"""Does it predict? Backtests against baselines, and models against each other."""

from clvmodels.evaluation.backtest_record import Backtest, load_backtest
from clvmodels.evaluation.backtesting import backtest
from clvmodels.evaluation.baselines import LABELS as FORECAST_LABELS
from clvmodels.evaluation.comparison_record import Comparison
from clvmodels.evaluation.due_forecasts import JudgedForecasts, judge_forecasts
from clvmodels.evaluation.heldout import HeldOut
from clvmodels.evaluation.ledger import read_ledger, record_forecast
from clvmodels.evaluation.metrics import METRIC_LABELS
from clvmodels.evaluation.models_compared import compare

__all__ = [
    "FORECAST_LABELS",
    "METRIC_LABELS",
    "Backtest",
    "Comparison",
    "HeldOut",
    "JudgedForecasts",
    "backtest",
    "compare",
    "judge_forecasts",
    "load_backtest",
    "read_ledger",
    "record_forecast",
]


def __dir__() -> list[str]:
    return __all__
