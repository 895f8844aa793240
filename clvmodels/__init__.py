"""Customer lifetime value with honest uncertainty.

The public names load on first use, so that ``import clvmodels`` is quick and a
machine that only scores never imports PyMC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clvmodels import (
        datasets,
        diagnostics,
        economics,
        evaluation,
        mlflow,
        plots,
        predictive,
        scoring,
        simulate,
        spark,
    )
    from clvmodels.economics import (
        ActionLists,
        SimpleClv,
        acquired_customer_value,
        acquisition_budget,
        acquisition_funnel,
        action_lists,
        compare_with_simple,
        contributions,
        customer_acquisition_cost,
        customer_equity,
        customer_margins,
        gini,
        highest_cac,
        lorenz_curve,
        ltv_to_cac,
        payback_period,
        rfm_scores,
        segment_report,
        simple_clv,
        simple_clv_per_customer,
        simple_sensitivity,
        tier_movement,
        tier_report,
        top_shares,
        value_tiers,
    )
    from clvmodels.errors import (
        ClvError,
        ConvergenceError,
        DomainError,
        MissingPackageError,
        PosteriorFileError,
        ResumeError,
        SchemaError,
        TimeUnitError,
        UnknownOptionError,
    )
    from clvmodels.evaluation import Backtest, Comparison, backtest, compare, load_backtest
    from clvmodels.explorer import Explorer, explore
    from clvmodels.fit import (
        BetaGeoModel,
        CLVModel,
        GammaGammaModel,
        ModifiedBetaGeoModel,
        ParetoNBDModel,
    )
    from clvmodels.fit.covariates import Covariate, Pooled
    from clvmodels.interop.pymc_marketing import from_pymc_marketing, to_pymc_marketing
    from clvmodels.log.audit import Audit
    from clvmodels.margin import ContributionMargin
    from clvmodels.posterior import (
        BetaGeoPosterior,
        CLVPosterior,
        GammaGammaPosterior,
        ModifiedBetaGeoPosterior,
        ParetoNBDPosterior,
        StackPosterior,
        load_posterior,
        stack,
    )
    from clvmodels.predictive import (
        acquisition_report,
        cohorts,
        count_distribution,
        customer_valuation,
        customers,
        forecast_total,
        next_purchase,
        portfolio,
        simulate_future,
        value_distribution,
    )
    from clvmodels.purchases.clock import Clock, LearntClock
    from clvmodels.reporting import RenderedReport, report
    from clvmodels.rfm import (
        CountedHistories,
        RfmTable,
        count_histories,
        rfm_summary,
        rfm_summary_to_parquet,
        rfm_train_test_split,
    )
    from clvmodels.scoring import ScoreReport, score
    from clvmodels.warehouse import ScoreSQL, score_sql

__version__ = "0.1.0"

# Public name -> the module that defines it; a module stands for itself.
_HOME = {
    "ActionLists": "economics",
    "Audit": "log.audit",
    "Backtest": "evaluation",
    "BetaGeoModel": "fit",
    "BetaGeoPosterior": "posterior",
    "CLVModel": "fit",
    "CLVPosterior": "posterior",
    "Clock": "purchases.clock",
    "ClvError": "errors",
    "Comparison": "evaluation",
    "ContributionMargin": "margin",
    "ConvergenceError": "errors",
    "CountedHistories": "rfm",
    "Covariate": "fit.covariates",
    "DomainError": "errors",
    "Explorer": "explorer",
    "GammaGammaModel": "fit",
    "GammaGammaPosterior": "posterior",
    "LearntClock": "purchases.clock",
    "ModifiedBetaGeoModel": "fit",
    "ModifiedBetaGeoPosterior": "posterior",
    "ParetoNBDModel": "fit",
    "ParetoNBDPosterior": "posterior",
    "Pooled": "fit.covariates",
    "PosteriorFileError": "errors",
    "RenderedReport": "reporting",
    "MissingPackageError": "errors",
    "ResumeError": "errors",
    "RfmTable": "rfm",
    "SchemaError": "errors",
    "ScoreReport": "scoring",
    "ScoreSQL": "warehouse",
    "SimpleClv": "economics",
    "StackPosterior": "posterior",
    "TimeUnitError": "errors",
    "UnknownOptionError": "errors",
    "acquired_customer_value": "economics",
    "acquisition_budget": "economics",
    "acquisition_funnel": "economics",
    "acquisition_report": "predictive",
    "action_lists": "economics",
    "backtest": "evaluation",
    "cohorts": "predictive",
    "compare": "evaluation",
    "compare_with_simple": "economics",
    "contributions": "economics",
    "count_distribution": "predictive",
    "count_histories": "rfm",
    "customer_acquisition_cost": "economics",
    "customer_equity": "economics",
    "customer_margins": "economics",
    "customer_valuation": "predictive",
    "customers": "predictive",
    "datasets": "datasets",
    "diagnostics": "diagnostics",
    "economics": "economics",
    "evaluation": "evaluation",
    "explore": "explorer",
    "forecast_total": "predictive",
    "from_pymc_marketing": "interop.pymc_marketing",
    "gini": "economics",
    "highest_cac": "economics",
    "load_backtest": "evaluation",
    "load_posterior": "posterior",
    "lorenz_curve": "economics",
    "ltv_to_cac": "economics",
    "mlflow": "mlflow",
    "next_purchase": "predictive",
    "payback_period": "economics",
    "plots": "plots",
    "portfolio": "predictive",
    "predictive": "predictive",
    "report": "reporting",
    "rfm_scores": "economics",
    "rfm_summary": "rfm",
    "rfm_summary_to_parquet": "rfm",
    "rfm_train_test_split": "rfm",
    "score": "scoring",
    "score_sql": "warehouse",
    "scoring": "scoring",
    "segment_report": "economics",
    "simple_clv": "economics",
    "simple_clv_per_customer": "economics",
    "simple_sensitivity": "economics",
    "simulate": "simulate",
    "simulate_future": "predictive",
    "spark": "spark",
    "stack": "posterior",
    "tier_movement": "economics",
    "tier_report": "economics",
    "to_pymc_marketing": "interop.pymc_marketing",
    "top_shares": "economics",
    "value_distribution": "predictive",
    "value_tiers": "economics",
}

__all__ = [
    "ActionLists",
    "Audit",
    "Backtest",
    "BetaGeoModel",
    "BetaGeoPosterior",
    "CLVModel",
    "CLVPosterior",
    "Clock",
    "ClvError",
    "Comparison",
    "ContributionMargin",
    "ConvergenceError",
    "CountedHistories",
    "Covariate",
    "DomainError",
    "Explorer",
    "GammaGammaModel",
    "GammaGammaPosterior",
    "LearntClock",
    "MissingPackageError",
    "ModifiedBetaGeoModel",
    "ModifiedBetaGeoPosterior",
    "ParetoNBDModel",
    "ParetoNBDPosterior",
    "Pooled",
    "PosteriorFileError",
    "RenderedReport",
    "ResumeError",
    "RfmTable",
    "SchemaError",
    "ScoreReport",
    "ScoreSQL",
    "SimpleClv",
    "StackPosterior",
    "TimeUnitError",
    "UnknownOptionError",
    "__version__",
    "acquired_customer_value",
    "acquisition_budget",
    "acquisition_funnel",
    "acquisition_report",
    "action_lists",
    "backtest",
    "cohorts",
    "compare",
    "compare_with_simple",
    "contributions",
    "count_distribution",
    "count_histories",
    "customer_acquisition_cost",
    "customer_equity",
    "customer_margins",
    "customer_valuation",
    "customers",
    "datasets",
    "diagnostics",
    "economics",
    "evaluation",
    "explore",
    "forecast_total",
    "from_pymc_marketing",
    "gini",
    "highest_cac",
    "load_backtest",
    "load_posterior",
    "lorenz_curve",
    "ltv_to_cac",
    "mlflow",
    "next_purchase",
    "payback_period",
    "plots",
    "portfolio",
    "predictive",
    "report",
    "rfm_scores",
    "rfm_summary",
    "rfm_summary_to_parquet",
    "rfm_train_test_split",
    "score",
    "score_sql",
    "scoring",
    "segment_report",
    "simple_clv",
    "simple_clv_per_customer",
    "simple_sensitivity",
    "simulate",
    "simulate_future",
    "spark",
    "stack",
    "tier_movement",
    "tier_report",
    "to_pymc_marketing",
    "top_shares",
    "value_distribution",
    "value_tiers",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{home}")
        value = module if name == home else getattr(module, name)
    except ModuleNotFoundError as error:
        from clvmodels.errors import explained

        raise explained(error, name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names: what this file needs for itself would only be in their way."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
