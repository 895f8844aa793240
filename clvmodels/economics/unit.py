"""Does acquiring customers pay? Value per customer acquired against what it costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Unpack

import numpy as np

from clvmodels.economics.estimate import CustomerValue, Estimate, as_estimate
from clvmodels.economics.outlook import check_base, earned_so_far, past_revenue
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.posterior.finite import left_out
from clvmodels.posterior.scorable import prepared_for
from clvmodels.posterior.terms import ValueTerms
from clvmodels.posterior.total import total_and_valued
from clvmodels.schema import FloatArray, check_number

if TYPE_CHECKING:
    from clvmodels.posterior import CLVPosterior
    from clvmodels.rfm import RfmTable

__all__ = ["acquired_customer_value", "acquisition_budget", "highest_cac", "ltv_to_cac"]


@named
def acquired_customer_value(
    posterior: CLVPosterior, rfm: RfmTable, **terms: Unpack[ValueTerms]
) -> Estimate:
    """Value per customer of a base that was acquired already.

    Margin earned since acquisition, margin x (first purchase + repeat purchases), plus
    what the customers will still bring. The residual alone would forget what they have
    paid back already, first of all by their first order. Past margin is as it was earned,
    without interest; only the residual is discounted, and uncertain.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers, with the value of their first purchases.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    Estimate
        Its draws are the base's total in each draw, per customer. Customers without a
        finite expected value are in neither; the note says how many they are.

    Raises
    ------
    SchemaError, TimeUnitError
        The table lacks amounts or first purchases, or has another unit.
    DomainError
        There are no customers; or as :meth:`CLVPosterior.predict`.
    """
    revenue = past_revenue(check_base(rfm))
    if revenue is None:
        raise SchemaError(
            "The table has no first_value, so the margin since acquisition is not known: summarise "
            "the log with rfm_summary, which keeps first purchases."
        )
    total, known = total_and_valued(posterior, rfm, **terms)
    earned = earned_so_far(prepared_for(posterior, rfm, own=True, **terms), rfm)
    assert earned is not None
    past, customers = math.fsum(known.of(earned)), known.count
    residual = Estimate(
        mean=total.mean,
        sd=total.sd,
        lower=total.lower,
        upper=total.upper,
        interval=total.interval,
        margin=total.margin,
        draws=total.draws,
    )
    return residual.mapped(
        lambda values: (past + values) / customers,
        sd=total.sd / customers,
        note=left_out(known.without, len(rfm)),
    )


def ltv_to_cac(ltv: CustomerValue, cac: float | None) -> Estimate:
    """Lifetime value per acquired customer for every unit of acquisition cost.

    Parameters
    ----------
    ltv : Estimate, NewCustomerValue or float
        `acquired_customer_value` of customers who are there already, or
        :meth:`CLVPosterior.new_customer_value` of future ones; a plain number, such as
        the simple formula's, has no interval. Never the residual value alone.
    cac : float or None
        Cost of acquiring a customer, >= 0; None or NaN if it is not known.

    Returns
    -------
    Estimate
        LTV:CAC; infinite at no cost, NaN where the cost is not known, with a note.

    Raises
    ------
    SchemaError
        ``ltv`` is a TotalValue, the residual of a base.
    DomainError
        The cost is negative, or the value no number.

    Examples
    --------
    >>> ltv_to_cac(75.0, cac=25.0).mean
    3.0
    """
    value, cost = as_estimate(ltv), check_cost(cac)
    sd = value.sd / cost if 0 < cost < math.inf else math.nan
    return value.mapped(lambda values: _per_cost(values, cost), sd=sd, note=_note(value, cost))


@named
def highest_cac(ltv: CustomerValue, *, target_ratio: float = 1.0) -> Estimate:
    """The most that acquiring a customer may cost for LTV:CAC to reach a target.

    Parameters
    ----------
    ltv : Estimate, NewCustomerValue or float
        Of the customers to be acquired: :meth:`CLVPosterior.new_customer_value`.
    target_ratio : float
        LTV:CAC to be reached, > 0. At 1 acquisition just pays.

    Returns
    -------
    Estimate
        The value over the target, with its interval.

    Raises
    ------
    SchemaError
        ``ltv`` is a TotalValue, the residual of a base.
    DomainError
        The target is not positive, or the value no number.

    Examples
    --------
    >>> highest_cac(75.0, target_ratio=3.0).mean
    25.0
    """
    if not (math.isfinite(check_number("target_ratio", target_ratio)) and target_ratio > 0):
        raise DomainError(f"target_ratio={target_ratio!r} must be a number > 0.")
    return as_estimate(ltv).times(1.0 / target_ratio)


@named
def acquisition_budget(
    ltv: CustomerValue, *, customers: float, target_ratio: float = 1.0
) -> Estimate:
    """The most that acquiring some customers may cost: their number x `highest_cac`.

    It holds if each of them costs and brings as much as the average; the last customers
    of a growing campaign usually cost more.

    Parameters
    ----------
    ltv : Estimate, NewCustomerValue or float
        As in `highest_cac`.
    customers : float
        How many are to be acquired, >= 0.
    target_ratio : float
        As in `highest_cac`.

    Returns
    -------
    Estimate
        Cost of all of them together.

    Raises
    ------
    SchemaError, DomainError
        As `highest_cac`, or the number of customers is negative or not finite.

    Examples
    --------
    >>> acquisition_budget(75.0, customers=1_000, target_ratio=3.0).mean
    25000.0
    """
    if not (math.isfinite(check_number("customers", customers)) and customers >= 0):
        raise DomainError(f"customers={customers!r} must be a finite number >= 0.")
    each = highest_cac(ltv, target_ratio=target_ratio)
    if math.isinf(each.mean):
        raise DomainError(
            "The value of a customer is infinite, so it sets no budget: use a finite horizon, or "
            "a discount rate above 0."
        )
    return each.times(float(customers))


def check_cost(cac: float | None, *, known: bool = False) -> float:
    """Return a cost >= 0 as a float, NaN where it is not known, unless it must be and be finite."""
    cost = math.nan if cac is None else check_number("cac", cac)
    if cost < 0 or (known and not math.isfinite(cost)):
        raise DomainError(f"cac={cac!r} must be an amount of money >= 0.")
    return cost


def _per_cost(values: FloatArray, cost: float) -> FloatArray:
    """Value per unit of cost; what costs nothing is infinitely good, if it is worth a thing."""
    if cost > 0:
        endless = np.isinf(values) & math.isinf(cost)
        return np.where(endless, np.nan, np.where(endless, 0.0, values) / cost)
    free = np.where(values == 0, np.nan, np.copysign(np.inf, values))
    return np.where(np.isnan(values) | math.isnan(cost), np.nan, free)


def _note(value: Estimate, cost: float) -> str:
    if math.isnan(cost):
        return "no acquisition cost given"
    if cost == 0:
        return "neither cost nor value" if value.mean == 0 else "acquired at no cost"
    if math.isinf(cost):
        return "the cost is infinite: nobody was acquired"
    return "the value is infinite" if math.isinf(value.mean) else ""
