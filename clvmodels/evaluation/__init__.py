"""Does it predict? Backtests against baselines, on the customers' own future."""

from clvmodels.evaluation.baselines import LABELS as FORECAST_LABELS
from clvmodels.evaluation.metrics import METRIC_LABELS
from clvmodels.evaluation.record import Backtest, load_backtest
from clvmodels.evaluation.run import backtest

__all__ = ["FORECAST_LABELS", "METRIC_LABELS", "Backtest", "backtest", "load_backtest"]
