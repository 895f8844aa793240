"""Pictures of posteriors, tables, values and backtests; drawing itself decides nothing."""

from typing import TYPE_CHECKING, Any

from clvmodels.plots.backtest import (
    plot_deciles,
    plot_metric,
)
from clvmodels.plots.by_cohort import plot_cohort_heatmap, plot_cohorts
from clvmodels.plots.common import new_figure, save_figure
from clvmodels.plots.customers import (
    plot_alive_histogram,
    plot_history_matrix,
    plot_lorenz,
    plot_purchases_over_time,
    plot_repeat_histogram,
    plot_spend_by_frequency,
    plot_spend_density,
    plot_value_distribution,
)
from clvmodels.plots.diagnostics import draw_figure
from clvmodels.plots.economics import plot_comparison, plot_tiers, plot_tornado
from clvmodels.plots.forecast import (
    plot_calibration,
    plot_clock,
    plot_forecast,
    plot_pairs,
    plot_totals,
)
from clvmodels.plots.holdout import (
    plot_conditional_expectations,
    plot_gains,
    plot_group_calibration,
    plot_interval_coverage,
    plot_origin_totals,
)
from clvmodels.plots.inks import ACTUAL, EXPECTED, OTHER, PALE
from clvmodels.plots.lives import (
    plot_alive_history,
    plot_heterogeneity,
    plot_timelines,
    plot_times_between,
)
from clvmodels.plots.posterior import (
    plot_effects,
    plot_energy,
    plot_prior_posterior,
    plot_prior_sensitivity,
    plot_ranks,
    plot_ridges,
    plot_trace,
)
from clvmodels.plots.prospects import plot_customer_value, plot_next_purchase, plot_payback
from clvmodels.plots.renamed import under_old_name

__all__ = [
    "ACTUAL",
    "EXPECTED",
    "OTHER",
    "PALE",
    "draw_figure",
    "new_figure",
    "plot_alive_histogram",
    "plot_alive_history",
    "plot_calibration",
    "plot_clock",
    "plot_cohort_heatmap",
    "plot_cohorts",
    "plot_comparison",
    "plot_conditional_expectations",
    "plot_customer_value",
    "plot_deciles",
    "plot_effects",
    "plot_energy",
    "plot_forecast",
    "plot_gains",
    "plot_group_calibration",
    "plot_heterogeneity",
    "plot_history_matrix",
    "plot_interval_coverage",
    "plot_lorenz",
    "plot_metric",
    "plot_next_purchase",
    "plot_origin_totals",
    "plot_pairs",
    "plot_payback",
    "plot_prior_posterior",
    "plot_prior_sensitivity",
    "plot_purchases_over_time",
    "plot_ranks",
    "plot_repeat_histogram",
    "plot_ridges",
    "plot_spend_by_frequency",
    "plot_spend_density",
    "plot_tiers",
    "plot_timelines",
    "plot_times_between",
    "plot_tornado",
    "plot_totals",
    "plot_trace",
    "plot_value_distribution",
    "save_figure",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # to which an unknown name is an error, and an old one too

    def __getattr__(name: str) -> Any:
        return under_old_name(name, globals())
