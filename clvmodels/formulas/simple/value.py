"""Lifetime value, in the four forms in which it is written.

All of them are products of what a customer brings per period and of the periods that
count. A widely copied text writes mean value / frequency / lifetime: a customer who buys
more often or stays longer would be worth less.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from clvmodels.errors import DomainError
from clvmodels.formulas.simple._checks import check_number, check_share
from clvmodels.schema import check_choice, check_margin, check_rate

FirstPayment = Literal["immediate", "next"]


def revenue_lifetime_value(revenue_per_period: float, lifetime: float) -> float:
    """Revenue per period x lifetime in periods: formula (a).

    Parameters
    ----------
    revenue_per_period : float
        Of a customer, >= 0.
    lifetime : float
        In the same periods, >= 0, may be infinite.

    Raises
    ------
    DomainError
        A number is negative or missing.

    Examples
    --------
    5,000 a month for 6 months:

    >>> revenue_lifetime_value(5_000, lifetime=6)
    30000.0
    """
    revenue = check_number("revenue_per_period", revenue_per_period)
    periods = check_number("lifetime", lifetime, endless=True)
    # Who brings nothing never brings anything
    return 0.0 if revenue == 0 else revenue * periods


def margin_lifetime_value(
    *, order_value: float, frequency: float, lifetime: float, margin: float = 1.0
) -> float:
    """Order value x purchase frequency x gross margin x lifetime: formula (b).

    It is a product; a widely copied text divides by frequency and lifetime.

    Parameters
    ----------
    order_value : float
        Mean value of an order, >= 0.
    frequency : float
        Orders per customer and period, >= 0.
    lifetime : float
        Periods that count, such as `customer_lifetime` or `retained_years`; >= 0, may be
        infinite.
    margin : float
        Share of revenue that is profit, in (0, 1].

    Returns
    -------
    float
        In the money of the orders; 0 of customers who bring nothing, however long.

    Raises
    ------
    DomainError
        A number is negative or missing, or the margin is not a share in (0, 1].

    Examples
    --------
    >>> margin_lifetime_value(order_value=50.0, frequency=4.0, margin=0.5, lifetime=3.0)
    300.0
    """
    value, often = check_number("order_value", order_value), check_number("frequency", frequency)
    return revenue_lifetime_value(value * often * check_margin(margin), lifetime)


def net_lifetime_value(
    *,
    purchase_price: float,
    frequency: float,
    retention_period: float,
    margin: float = 1.0,
    acquisition_cost: float = 0.0,
    retention_cost: float = 0.0,
) -> float:
    """Mean price x frequency x retention period - (acquisition + retention cost): formula (c).

    Without margin it is revenue less marketing; give the margin, else goods cost nothing.

    Parameters
    ----------
    purchase_price : float
        Mean purchase price, >= 0.
    frequency : float
        Purchases per customer and period, >= 0.
    retention_period : float
        How long a customer is kept, in the same periods, >= 0, may be infinite.
    margin : float
        Share of revenue that is profit, in (0, 1].
    acquisition_cost, retention_cost : float
        Of a customer, once and over the whole retention period, >= 0.

    Returns
    -------
    float
        Negative where the customer costs more than they bring.

    Raises
    ------
    DomainError
        A number is negative or missing, or the margin is not a share in (0, 1].

    Examples
    --------
    >>> net_lifetime_value(purchase_price=80, frequency=5, retention_period=3)
    1200.0
    >>> net_lifetime_value(purchase_price=80, frequency=5, retention_period=3, margin=0.4,
    ...                    acquisition_cost=100, retention_cost=60)
    320.0
    """
    gross = margin_lifetime_value(
        order_value=purchase_price, frequency=frequency, lifetime=retention_period, margin=margin
    )
    acquisition = check_number("acquisition_cost", acquisition_cost)
    return gross - (acquisition + check_number("retention_cost", retention_cost))


def discounted_lifetime_value(
    margin_per_period: float,
    *,
    retention: float,
    discount_rate: float,
    first_payment: FirstPayment = "immediate",
    payments: float = math.inf,
) -> float:
    """Margin per period, retained and discounted: a geometric series: formula (d).

    With q = retention / (1 + rate), n payments are worth m (1 - q^n) / (1 - q) if the
    first is made now, and q times that if it is the next period's. For ever that is
    m (1 + d) / (1 + d - ret) and m ret / (1 + d - ret).

    Parameters
    ----------
    margin_per_period : float
        m, in money; a loss (< 0) is as far below 0 as a gain is above.
    retention : float
        Share of customers who stay from one period to the next, 0..1.
    discount_rate : float
        Per period, >= 0.
    first_payment : {"immediate", "next"}
        Whether the first payment that counts is made now, by everybody, or a period from
        now, by those who stay.
    payments : float
        How many count, a whole number >= 0 or infinite.

    Returns
    -------
    float
        Infinite over a lifetime where all stay and nothing is discounted.

    Raises
    ------
    DomainError
        A number is outside its range.

    Examples
    --------
    >>> round(discounted_lifetime_value(100, retention=0.8, discount_rate=0.1), 2)
    366.67
    >>> round(discounted_lifetime_value(100, retention=0.8, discount_rate=0.1,
    ...                                 first_payment="next"), 2)
    266.67
    >>> discounted_lifetime_value(100, retention=0.5, discount_rate=0.0, payments=3)
    175.0
    """
    check_choice("first_payment", first_payment, get_args(FirstPayment))
    m = check_number("margin_per_period", margin_per_period, signed=True)
    stay = check_share("retention", retention)
    rate = check_rate(discount_rate)
    count = check_number("payments", payments, endless=True)
    if math.isfinite(count) and count != math.floor(count):
        raise DomainError(f"payments={payments!r} must be a whole number, or infinite.")
    q = stay / (1.0 + rate)
    worth = _geometric_sum(q, lost=((1.0 - stay) + rate) / (1.0 + rate), terms=count)
    if m == 0 or worth == 0:
        return 0.0
    return m * worth if first_payment == "immediate" else m * q * worth


def _geometric_sum(q: float, *, lost: float, terms: float) -> float:
    """1 + q + ... + q^(terms - 1), where lost = 1 - q without its rounding."""
    if terms == 0:
        return 0.0
    if lost == 0:
        return terms
    if q == 0:
        return 1.0
    # From 1 - q near q = 1, where ln q would have lost its digits
    log_q = math.log1p(-lost) if lost < 0.5 else math.log(q)
    return -math.expm1(terms * log_q) / lost
