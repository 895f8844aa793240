"""The simple formula on a base of customers: the baseline that everyone already uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from clvmodels.errors import DomainError, SchemaError
from clvmodels.formulas import simple
from clvmodels.gaps import gap_quantile, mean_gap_quantile
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    DAYS_PER_YEAR,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    Discounting,
    Horizon,
    T,
    annual_rate_to_delta,
    check_choice,
)

GAP_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class SimpleClv:
    """The simple formula's inputs and what it makes of them.

    Two figures, kept apart: ``value`` over a horizon with discounting, to compare with
    a model's, and ``lifetime_value`` over the whole lifetime 1 / churn, undiscounted.

    Attributes
    ----------
    customers, orders : int
        Customers, and their purchases; purchases within one period are one order.
    revenue : float
        Of all these orders, in the log's money.
    customer_years : float
        Years from first purchase to the observation end, over all customers.
    order_value, orders_per_year : float
        revenue / orders, and orders / customer_years.
    margin : float
        Share of revenue that is profit.
    silence : float
        Days after which a customer who has not bought counts as lost.
    lost : int
        Customers silent for longer than that.
    churn : float
        Share of customers lost per year.
    horizon_years, retained_years : float
        Length of the horizon, and the discounted sum of retention over it.
    value, total : float
        Per customer, and of all customers, over the horizon.
    lifetime_years, lifetime_value : float
        1 / churn, and value per customer over it, without discount.
    """

    customers: int
    orders: int
    revenue: float
    customer_years: float
    order_value: float
    orders_per_year: float
    margin: float
    silence: float
    lost: int
    churn: float
    horizon_years: float
    retained_years: float
    value: float
    total: float
    lifetime_years: float
    lifetime_value: float


def simple_clv(
    rfm: RfmTable,
    *,
    log: Any = None,
    silence: float | None = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    id_map: Any = None,
) -> SimpleClv:
    """Mean order value x orders per customer-year x margin x years retained.

    Every customer of the base counts alike: neither how long they have been silent nor
    what they spend makes a difference.

    Parameters
    ----------
    rfm : RfmTable
        The base, made from a log with amounts.
    log : object, optional
        The log that it was made from, for the gaps between purchases.
    silence : float, optional
        Days without a purchase after which a customer counts as lost. By default the
        95th percentile of the gaps between a customer's purchases: of all gaps if the
        log is given, else of each customer's mean gap, which is shorter.
    horizon : str, float or None
        As in CLVPosterior.predict; None is for ever.
    discount_rate : float
        Effective annual rate.
    discounting : {"continuous", "monthly"}
        As in CLVPosterior.predict.
    id_map : mapping or frame, optional
        As it was given to rfm_summary.

    Returns
    -------
    SimpleClv
        Inputs and results.

    Raises
    ------
    SchemaError
        The table has no amounts, or not those of first purchases.
    DomainError
        There are no customers, none was watched for any time, or nobody bought twice
        and no silence is given.
    """
    check_choice("discounting", discounting, ("continuous", "monthly"))
    orders, revenue, years = _totals(rfm)
    days = _silence(rfm, log, silence, id_map)
    lost = int((_column(rfm, T) - _column(rfm, RECENCY) > days / rfm.scale.days).sum())
    # Lost customers were lost in the time that customers have been watched, on average.
    churn = simple.annual_churn(lost, len(rfm), years / len(rfm))
    length = rfm.scale.horizon(horizon) * rfm.scale.days / DAYS_PER_YEAR
    retained = simple.retained_years(
        churn,
        horizon=length,
        delta=annual_rate_to_delta(discount_rate) * DAYS_PER_YEAR,
        monthly=discounting == "monthly",
    )
    lifetime = simple.lifetime_years(churn)
    per_year = {
        "order_value": revenue / orders,
        "orders_per_year": orders / years,
        "margin": rfm.margin,
    }
    value = simple.simple_value(**per_year, years=retained)
    return SimpleClv(
        customers=len(rfm),
        orders=orders,
        revenue=revenue,
        customer_years=years,
        **per_year,
        silence=days,
        lost=lost,
        churn=churn,
        horizon_years=length,
        retained_years=retained,
        value=value,
        total=value * len(rfm),
        lifetime_years=lifetime,
        lifetime_value=simple.simple_value(**per_year, years=lifetime),
    )


def _totals(rfm: RfmTable) -> tuple[int, float, float]:
    """Orders, revenue and customer-years of a base."""
    if not len(rfm):
        raise DomainError("The table has no customers: the simple formula needs some.")
    if not {MONETARY_VALUE, FIRST_VALUE} <= set(rfm.table.column_names):
        raise SchemaError(
            "The simple formula needs the value of every order, first ones included: summarise "
            "the log with a monetary_value_col."
        )
    x = _column(rfm, FREQUENCY)
    revenue = math.fsum(_column(rfm, FIRST_VALUE)) + math.fsum(x * _column(rfm, MONETARY_VALUE))
    years = math.fsum(_column(rfm, T)) * rfm.scale.days / DAYS_PER_YEAR
    if years == 0:
        raise DomainError(
            "Every customer bought for the first time in the last period observed, so there is "
            "no time over which orders per year could be counted: use a longer log."
        )
    return int(x.sum()) + len(rfm), revenue, years


def _silence(rfm: RfmTable, log: Any, silence: float | None, id_map: Any) -> float:
    if silence is None:
        if log is None:
            return mean_gap_quantile(rfm, GAP_QUANTILE)
        return gap_quantile(log, rfm, GAP_QUANTILE, id_map=id_map)
    if not (math.isfinite(silence) and silence > 0):
        raise DomainError(f"silence={silence!r} must be a number of days > 0.")
    return float(silence)


def _column(rfm: RfmTable, name: str) -> np.ndarray:
    return np.asarray(rfm.table[name].to_numpy(), dtype=np.float64)
