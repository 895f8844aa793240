"""Pictures of results: they draw what they are given, and compute and decide nothing."""

from clvmodels.plots.backtest import (
    plot_coverage,
    plot_deciles,
    plot_metric,
    plot_repeats,
    plot_tracking,
)
from clvmodels.plots.common import ACTUAL, EXPECTED, OTHER, PALE, new_figure, save_figure
from clvmodels.plots.diagnostics import draw_figure
from clvmodels.plots.economics import plot_comparison, plot_lorenz, plot_tiers, plot_tornado
from clvmodels.plots.forecast import plot_calibration, plot_concentration, plot_pairs, plot_totals

__all__ = [
    "ACTUAL",
    "EXPECTED",
    "OTHER",
    "PALE",
    "draw_figure",
    "new_figure",
    "plot_calibration",
    "plot_comparison",
    "plot_concentration",
    "plot_coverage",
    "plot_deciles",
    "plot_lorenz",
    "plot_metric",
    "plot_pairs",
    "plot_repeats",
    "plot_tiers",
    "plot_tornado",
    "plot_totals",
    "plot_tracking",
    "save_figure",
]
