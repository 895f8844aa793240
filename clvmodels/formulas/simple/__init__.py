"""The simple formula: order value x frequency x margin x lifetime, and its inputs.

Pure arithmetic on totals, scalars in and a float out. Every function returns a number,
infinite where the arithmetic is, or raises a DomainError that says what is wrong.
"""

from clvmodels.formulas.simple.ratios import (
    average_order_value,
    cost_of_goods_sold,
    gross_margin,
    purchase_frequency,
)
from clvmodels.formulas.simple.retention import (
    annual_churn,
    churn_rate,
    customer_lifetime,
    retained_years,
    retention_rate,
)
from clvmodels.formulas.simple.value import (
    FirstPayment,
    discounted_lifetime_value,
    margin_lifetime_value,
    net_lifetime_value,
    revenue_lifetime_value,
)

__all__ = [
    "FirstPayment",
    "annual_churn",
    "average_order_value",
    "churn_rate",
    "cost_of_goods_sold",
    "customer_lifetime",
    "discounted_lifetime_value",
    "gross_margin",
    "margin_lifetime_value",
    "net_lifetime_value",
    "purchase_frequency",
    "retained_years",
    "retention_rate",
    "revenue_lifetime_value",
]
