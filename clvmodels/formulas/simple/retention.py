"""Churn, retention and lifetime.

Churn is a share of the customers at the start, lost / start. A common text writes
(end - start) / start, which has the sign wrong and counts new customers as if they were
old ones who stayed.
"""

from __future__ import annotations

import math

from clvmodels.errors import DomainError
from clvmodels.formulas.discounting import flow_value
from clvmodels.formulas.simple._checks import check_divisor, check_number, check_share
from clvmodels.schema import DAYS_PER_MONTH, DAYS_PER_YEAR


def churn_rate(lost: float, start: float) -> float:
    """Share of the customers at the start who were lost: lost / start, per that period.

    Not (end - start) / start, as a common text has it: of 100 customers of whom 20 leave
    while 30 new ones come, churn is 20 %, and that text's figure is +10 %.

    Parameters
    ----------
    lost : float
        Customers of those at the start who were lost, 0 <= lost <= start.
    start : float
        Customers at the start, > 0.

    Raises
    ------
    DomainError
        There are no customers, or more are lost than there were.

    Examples
    --------
    >>> churn_rate(lost=20, start=100)
    0.2
    """
    base = check_divisor("start", start, "churn needs at least one customer at the start")
    gone = check_number("lost", lost)
    if gone > base:
        raise DomainError(
            f"lost={lost!r} is more than start={start!r}: count those of the start who left, and "
            "no new customers."
        )
    return gone / base


def retention_rate(churn: float) -> float:
    """Share of customers who stay: 1 - churn, in the period of the churn.

    Raises
    ------
    DomainError
        Churn is not a share.

    Examples
    --------
    >>> retention_rate(0.25)
    0.75
    """
    return 1.0 - check_share("churn", churn)


def customer_lifetime(churn: float) -> float:
    """Customer lifetime 1 / churn, in periods of the churn; infinite without churn.

    Raises
    ------
    DomainError
        Churn is not a share.

    Examples
    --------
    >>> customer_lifetime(0.25)
    4.0
    >>> customer_lifetime(0.0)
    inf
    """
    share = check_share("churn", churn)
    return math.inf if share == 0 else 1.0 / share


def annual_churn(lost: float, start: float, years: float) -> float:
    """Share of customers lost per year, when ``lost`` of ``start`` were lost in ``years``.

    1 - (1 - lost / start) ** (1 / years): the share retained is the same in every year.

    Parameters
    ----------
    lost, start : float
        As in `churn_rate`.
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
    share = churn_rate(lost, start)
    time = check_divisor("years", years, "churn needs customers watched for a time")
    return 1.0 if share == 1 else -math.expm1(math.log1p(-share) / time)


def retained_years(
    churn: float, *, horizon: float, delta: float = 0.0, monthly: bool = False
) -> float:
    """Sum of retention over the horizon, discounted, in years.

    The integral of (1 - churn)^t e^(-delta t) over t from 0 to the horizon: how many
    years a customer of today is worth. Undiscounted and forever it is
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
        Years, infinite forever without churn and discount; 0 at churn 1.

    Raises
    ------
    DomainError
        A number is outside its range.

    Examples
    --------
    >>> round(retained_years(0.2, horizon=1.0), 6)
    0.896284
    """
    share = check_share("churn", churn)
    if share == 1.0:
        return 0.0
    month = DAYS_PER_MONTH / DAYS_PER_YEAR if monthly else None
    return float(flow_value(-math.log1p(-share), horizon, delta, month=month))
