"""What it costs to win customers: acquisition cost, and the funnel of a campaign."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clvmodels.display import Readable
from clvmodels.errors import DomainError
from clvmodels.keywords import named
from clvmodels.schema import check_number

__all__ = ["AcquisitionFunnel", "acquisition_funnel", "customer_acquisition_cost"]


def customer_acquisition_cost(spend: float, customers: float) -> float:
    """Customer acquisition cost: acquisition spend / customers acquired.

    Parameters
    ----------
    spend : float
        All that was spent to win them, >= 0.
    customers : float
        New customers won by it, >= 0.

    Returns
    -------
    float
        Infinite where money was spent and nobody won.

    Raises
    ------
    DomainError
        A number is negative or missing, or both are 0.

    Examples
    --------
    >>> customer_acquisition_cost(spend=5_000, customers=200)
    25.0
    >>> customer_acquisition_cost(spend=5_000, customers=0)
    inf
    """
    cost = _cost_each(_amount("spend", spend), _amount("customers", customers))
    if math.isnan(cost):
        raise DomainError(
            "Nothing was spent and nobody was acquired, so there is no cost per customer: leave "
            "this channel out."
        )
    return cost


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AcquisitionFunnel(Readable):
    """From impressions to customers, and what each step costs.

    Attributes
    ----------
    impressions, clicks, conversions : float
        How often the campaign was shown, clicked on, and led to a new customer.
    spend : float
        What it cost.
    click_through_rate : float
        clicks / impressions; NaN without impressions.
    cost_per_click : float
        spend / clicks; infinite where nobody clicked, NaN where nothing was spent either.
    conversion_rate : float
        conversions / clicks; NaN without clicks.
    cac : float
        spend / conversions, the customer acquisition cost; infinite where nobody was
        won, NaN where nothing was spent either.
    notes : tuple of str
        Why a figure is infinite or not available.
    """

    impressions: float
    clicks: float
    conversions: float
    spend: float
    click_through_rate: float
    cost_per_click: float
    conversion_rate: float
    cac: float
    notes: tuple[str, ...] = ()


@named
def acquisition_funnel(
    *, impressions: float, clicks: float, conversions: float, spend: float
) -> AcquisitionFunnel:
    """Click-through rate, cost per click, conversion rate and CAC of a campaign.

    Parameters
    ----------
    impressions, clicks, conversions : float
        Counts, impressions >= clicks >= conversions >= 0; conversions are new customers.
    spend : float
        What the campaign cost, >= 0.

    Returns
    -------
    AcquisitionFunnel
        Counts and ratios; a ratio over nothing is NaN or infinite, and noted.

    Raises
    ------
    DomainError
        A number is negative or missing, or a later step counts more than an earlier one.

    Examples
    --------
    >>> funnel = acquisition_funnel(impressions=100_000, clicks=2_000, conversions=50, spend=1_000)
    >>> funnel.click_through_rate, funnel.cost_per_click, funnel.conversion_rate, funnel.cac
    (0.02, 0.5, 0.025, 20.0)
    """
    steps = {"impressions": impressions, "clicks": clicks, "conversions": conversions}
    shown, clicked, won = (_amount(name, value) for name, value in steps.items())
    money = _amount("spend", spend)
    if not shown >= clicked >= won:
        raise DomainError(
            f"impressions={impressions!r}, clicks={clicks!r} and conversions={conversions!r} must "
            "not rise: count only those who came through the step before."
        )
    empty = [name for name, value in steps.items() if value == 0]
    return AcquisitionFunnel(
        impressions=shown,
        clicks=clicked,
        conversions=won,
        spend=money,
        click_through_rate=clicked / shown if shown else math.nan,
        cost_per_click=_cost_each(money, clicked),
        conversion_rate=won / clicked if clicked else math.nan,
        cac=_cost_each(money, won),
        notes=tuple(f"no {name}" for name in empty),
    )


def _cost_each(spend: float, count: float) -> float:
    """Spend for each; infinite where it bought nothing, NaN where there is neither."""
    if count:
        return spend / count
    return math.inf if spend else math.nan


def _amount(name: str, value: float) -> float:
    number = check_number(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise DomainError(f"{name}={value!r} must be a finite number >= 0.")
    return number
