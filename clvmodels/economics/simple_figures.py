"""The simple formula's figures for some customers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from clvmodels.display import Readable
from clvmodels.economics.inputs import SimpleInputs
from clvmodels.economics.simple_base import Base, SilenceSource
from clvmodels.formulas import simple
from clvmodels.schema import Discounting

NO_TIME: Final = "first bought in the last period observed: no time to count orders in"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimpleClv(Readable):
    """The simple formula's inputs and what it makes of them.

    Two separate figures: ``value`` over a horizon with discounting, to compare with
    a model's, and ``lifetime_value`` over the lifetime 1 / churn, undiscounted.

    Attributes
    ----------
    customers, orders : int
        Customers, and their purchases; purchases within one period are one order.
    revenue : float
        Of all these orders, in the log's money.
    customer_years : float
        Years from first purchase to the observation end, over all customers.
    order_value : float
        revenue / orders.
    orders_per_customer, orders_per_year : float
        Purchase frequency: orders / customers over the time observed, and orders /
        customer_years, which is the one that counts.
    margin : float
        Share of revenue that is profit.
    silence : float
        Days after which a customer who has not bought counts as lost.
    silence_source : {"given", "gaps", "mean gaps"}
        Where it comes from: the caller, the 95th percentile of the gaps between
        purchases, or that of customers' mean gaps.
    lost : int
        Customers silent for longer than that.
    churn, retention : float
        Share of customers lost, and kept, per year.
    horizon_years, retained_years : float
        Length of the horizon, and the discounted sum of retention over it.
    discount_rate : float
        Effective annual rate, of ``value`` only.
    discounting : {"continuous", "monthly"}
        How it is applied.
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
    orders_per_customer: float
    orders_per_year: float
    margin: float
    silence: float = field(metadata={"unit": "days"})
    silence_source: SilenceSource
    lost: int
    churn: float
    retention: float
    horizon_years: float
    discount_rate: float
    discounting: Discounting
    retained_years: float
    value: float
    total: float
    lifetime_years: float
    lifetime_value: float

    @property
    def inputs(self) -> SimpleInputs:
        """What the two values are made of, to be varied."""
        return SimpleInputs(
            order_value=self.order_value,
            orders_per_year=self.orders_per_year,
            margin=self.margin,
            churn=self.churn,
            horizon_years=self.horizon_years,
            discount_rate=self.discount_rate,
            discounting=self.discounting,
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for every group."""

    margin: float
    silence: float
    silence_source: SilenceSource
    horizon_years: float
    discount_rate: float
    discounting: Discounting


def evaluate(base: Base, terms: Terms) -> SimpleClv:
    """Work out the simple formula for customers of whom some were watched for a time."""
    customers, orders, revenue = len(base), int(base.orders.sum()), math.fsum(base.revenue)
    years, lost = math.fsum(base.years), int(base.lost(terms.silence).sum())
    inputs = SimpleInputs(
        order_value=simple.average_order_value(revenue, orders),
        orders_per_year=simple.purchase_frequency(orders, years),
        margin=terms.margin,
        # Lost customers were lost in the time that customers have been watched, on average.
        churn=simple.annual_churn(lost, customers, years / customers),
        horizon_years=terms.horizon_years,
        discount_rate=terms.discount_rate,
        discounting=terms.discounting,
    )
    value = inputs.value
    return SimpleClv(
        customers=customers,
        orders=orders,
        revenue=revenue,
        customer_years=years,
        order_value=inputs.order_value,
        orders_per_customer=simple.purchase_frequency(orders, customers),
        orders_per_year=inputs.orders_per_year,
        margin=terms.margin,
        silence=terms.silence,
        silence_source=terms.silence_source,
        lost=lost,
        churn=inputs.churn,
        retention=simple.retention_rate(inputs.churn),
        horizon_years=terms.horizon_years,
        discount_rate=terms.discount_rate,
        discounting=terms.discounting,
        retained_years=inputs.retained_years,
        value=value,
        total=value * customers,
        lifetime_years=inputs.lifetime_years,
        lifetime_value=inputs.lifetime_value,
    )


def row_of(base: Base, terms: Terms) -> dict[str, Any]:
    """A group's attributes of SimpleClv; those that it cannot have are missing."""
    names = SimpleClv.__slots__
    if base.watched.any():
        found = evaluate(base, terms)
        return {name: getattr(found, name) for name in names} | {"note": ""}
    orders, revenue = int(base.orders.sum()), math.fsum(base.revenue)
    known = {
        "customers": len(base),
        "orders": orders,
        "revenue": revenue,
        "customer_years": 0.0,
        "order_value": simple.average_order_value(revenue, orders),
        "orders_per_customer": simple.purchase_frequency(orders, len(base)),
        "lost": 0,
        "note": f"all {NO_TIME}",
    }
    shared = {name: getattr(terms, name) for name in Terms.__slots__}
    return dict.fromkeys(names, math.nan) | shared | known
