"""What customers are worth to a firm: the simple formula, and the economics of a customer."""

from clvmodels.economics.acquisition import (
    AcquisitionFunnel,
    acquisition_funnel,
    customer_acquisition_cost,
)
from clvmodels.economics.estimate import Estimate
from clvmodels.economics.figures import SimpleClv
from clvmodels.economics.inputs import SimpleInputs
from clvmodels.economics.payback import PaybackPeriod, payback_period
from clvmodels.economics.sensitivity import simple_sensitivity
from clvmodels.economics.simple import simple_clv, simple_clv_per_customer
from clvmodels.economics.unit import (
    acquired_customer_value,
    acquisition_budget,
    highest_cac,
    ltv_to_cac,
)

__all__ = [
    "AcquisitionFunnel",
    "Estimate",
    "PaybackPeriod",
    "SimpleClv",
    "SimpleInputs",
    "acquired_customer_value",
    "acquisition_budget",
    "acquisition_funnel",
    "customer_acquisition_cost",
    "highest_cac",
    "ltv_to_cac",
    "payback_period",
    "simple_clv",
    "simple_clv_per_customer",
    "simple_sensitivity",
]
