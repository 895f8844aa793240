"""The simple formula: order value x orders per year x margin x years retained.

Pure arithmetic on totals. Churn is a share of the customers at the start, lost / start;
a common text writes (end - start) / start, which has the sign wrong and counts new
customers as if they were old ones who stayed.
"""

from __future__ import annotations

import math

from clvmodels.errors import DomainError
from clvmodels.formulas.discounting import flow_value
from clvmodels.schema import DAYS_PER_MONTH, DAYS_PER_YEAR, check_margin


def annual_churn(lost: float, start: float, years: float) -> float:
    """Share of customers lost per year, when ``lost`` of ``start`` were lost in ``years``.

    1 - (1 - lost / start) ** (1 / years): the share retained is the same in every year.

    Parameters
    ----------
    lost, start : float
        Customers lost, and customers at the start, 0 <= lost <= start, start > 0.
    years : float
        Time in which they were lost, > 0.

    Raises
    ------
    DomainError
        There are no customers, more are lost than there were, or no time passed.

    Examples
    --------
    >>> round(annual_churn(lost=36, start=100, years=2.0), 12)
    0.2
    """
    if not (start > 0 and math.isfinite(start)):
        raise DomainError(f"start={start!r}: churn needs at least one customer at the start.")
    if not 0 <= lost <= start:
        raise DomainError(f"lost={lost!r} must lie between 0 and start={start!r}.")
    if not (years > 0 and math.isfinite(years)):
        raise DomainError(f"years={years!r} must be > 0: churn needs customers watched for a time.")
    return 1.0 if lost == start else -math.expm1(math.log1p(-lost / start) / years)


def retained_years(
    churn: float, *, horizon: float, delta: float = 0.0, monthly: bool = False
) -> float:
    """Sum of retention over the horizon, discounted, in years.

    The integral of (1 - churn)^t e^(-delta t) over t from 0 to the horizon: how many
    years a customer of today is worth. Undiscounted and for ever it is
    -1 / ln(1 - churn).

    Parameters
    ----------
    churn : float
        Share of customers lost per year, 0..1.
    horizon : float
        Years, >= 0, may be infinite.
    delta : float
        Continuous discount rate per year, ln(1 + annual rate).
    monthly : bool
        Discount what comes in a month of 30.4375 days at the month's end.

    Returns
    -------
    float
        Years, infinite for ever without churn and discount; 0 at churn 1.

    Raises
    ------
    DomainError
        A number is outside its range.

    Examples
    --------
    >>> round(retained_years(0.2, horizon=1.0), 6)
    0.896284
    """
    share = _check_share("churn", churn)
    if share == 1.0:
        return 0.0
    month = DAYS_PER_MONTH / DAYS_PER_YEAR if monthly else None
    return float(flow_value(-math.log1p(-share), horizon, delta, month=month))


def lifetime_years(churn: float) -> float:
    """Customer lifetime 1 / churn in years; infinite without churn.

    Examples
    --------
    >>> lifetime_years(0.25)
    4.0
    """
    share = _check_share("churn", churn)
    return math.inf if share == 0 else 1.0 / share


def simple_value(
    *, order_value: float, orders_per_year: float, margin: float, years: float
) -> float:
    """Value of a customer: order value x orders per year x margin x years.

    It is a product; a widely copied text divides by frequency and lifetime.

    Parameters
    ----------
    order_value : float
        Mean value of an order, >= 0.
    orders_per_year : float
        Orders per customer and year, >= 0.
    margin : float
        Share of revenue that is profit, in (0, 1].
    years : float
        Years that count, such as `retained_years` or `lifetime_years`.

    Raises
    ------
    DomainError
        A number is negative or missing.

    Examples
    --------
    >>> simple_value(order_value=50.0, orders_per_year=4.0, margin=0.5, years=3.0)
    300.0
    """
    numbers = {"order_value": order_value, "orders_per_year": orders_per_year, "years": years}
    for name, value in numbers.items():
        if math.isnan(value) or value < 0:
            raise DomainError(f"{name}={value!r} must be a number >= 0.")
    per_year = order_value * orders_per_year * check_margin(margin)
    return 0.0 if per_year == 0 else per_year * years


def _check_share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise DomainError(f"{name}={value!r} must be a share between 0 and 1.")
    return float(value)
