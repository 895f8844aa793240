"""What customers are worth to a firm: the simple formula, and the economics of a customer."""

from clvmodels.economics.acquisition import (
    AcquisitionFunnel,
    acquisition_funnel,
    customer_acquisition_cost,
)
from clvmodels.economics.actions import ActionLists, action_lists
from clvmodels.economics.compare import compare_with_simple
from clvmodels.economics.concentration import customer_equity, gini, lorenz_curve, top_shares
from clvmodels.economics.contribution import Contributions, contributions
from clvmodels.economics.estimate import Estimate
from clvmodels.economics.inputs import SimpleInputs
from clvmodels.economics.own_margins import CustomerMargins, customer_margins
from clvmodels.economics.payback import PaybackPeriod, payback_period
from clvmodels.economics.rfm_quintiles import rfm_scores
from clvmodels.economics.segments import segment_report
from clvmodels.economics.simple import simple_clv, simple_clv_per_customer
from clvmodels.economics.simple_figures import SimpleClv
from clvmodels.economics.simple_sensitivities import simple_sensitivity
from clvmodels.economics.tiers import tier_movement, tier_report, value_tiers
from clvmodels.economics.unit import (
    acquired_customer_value,
    acquisition_budget,
    highest_cac,
    ltv_to_cac,
)

__all__ = [
    "AcquisitionFunnel",
    "ActionLists",
    "Contributions",
    "CustomerMargins",
    "Estimate",
    "PaybackPeriod",
    "SimpleClv",
    "SimpleInputs",
    "acquired_customer_value",
    "acquisition_budget",
    "acquisition_funnel",
    "action_lists",
    "compare_with_simple",
    "contributions",
    "customer_acquisition_cost",
    "customer_equity",
    "customer_margins",
    "gini",
    "highest_cac",
    "lorenz_curve",
    "ltv_to_cac",
    "payback_period",
    "rfm_scores",
    "segment_report",
    "simple_clv",
    "simple_clv_per_customer",
    "simple_sensitivity",
    "tier_movement",
    "tier_report",
    "top_shares",
    "value_tiers",
]


def __dir__() -> list[str]:
    return __all__
