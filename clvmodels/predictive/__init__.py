"""What customers will actually do: distributions of outcomes, not of expectations."""

from clvmodels.predictive.acquiring import acquisition_report
from clvmodels.predictive.cohort_curves import CohortCurves, cohorts
from clvmodels.predictive.counts import CountDistribution, count_distribution
from clvmodels.predictive.customer_list import CustomerList, customers
from clvmodels.predictive.equity import CustomerValuation, customer_valuation
from clvmodels.predictive.future import FuturePaths, simulate_future
from clvmodels.predictive.planning import TotalForecast, forecast_total
from clvmodels.predictive.time_to_next import NextPurchase, next_purchase
from clvmodels.predictive.totals import Portfolio, portfolio
from clvmodels.predictive.values import ValueDistribution, value_distribution

__all__ = [
    "CohortCurves",
    "CountDistribution",
    "CustomerList",
    "CustomerValuation",
    "FuturePaths",
    "NextPurchase",
    "Portfolio",
    "TotalForecast",
    "ValueDistribution",
    "acquisition_report",
    "cohorts",
    "count_distribution",
    "customer_valuation",
    "customers",
    "forecast_total",
    "next_purchase",
    "portfolio",
    "simulate_future",
    "value_distribution",
]


def __dir__() -> list[str]:
    return __all__
