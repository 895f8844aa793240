"""How long a new customer takes to pay back what acquiring them cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.display import Readable
from clvmodels.economics.unit import check_cost
from clvmodels.errors import DomainError
from clvmodels.forecast import Draws, Future, tail_probabilities
from clvmodels.forecast.draws import Costs
from clvmodels.keywords import named
from clvmodels.margin import Margin, MarginSource
from clvmodels.posterior.finite import check_spend
from clvmodels.posterior.new_customer import check_share, orders_of_new, serving_of_new
from clvmodels.posterior.scorable import asked_for, value_posterior
from clvmodels.posterior.terms import NewCustomerTerms
from clvmodels.schema import FloatArray, Horizon

if TYPE_CHECKING:
    from clvmodels.posterior import CLVPosterior

__all__ = ["PaybackPeriod", "payback_period"]

_DAYS: Final = {"unit": "days"}
# Each step halves the interval that a time is known to lie in
_STEPS: Final = 40
_STRETCHES: Final = 120  # of the span, where costs of years may turn growth round


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PaybackPeriod(Readable):
    """When the expected margin of a new customer has made up for their cost.

    Attributes
    ----------
    days : float
        From the first purchase; 0 if that alone pays, infinite if never within the span,
        NaN if the cost is not known.
    lower, upper : float
        Of the equal-tailed interval; NaN where there is no uncertainty.
    interval : float
        Its probability.
    never : float
        Share of draws in which the cost is not made up for within the span.
    within : float
        Days that were looked at.
    cac : float
        The cost.
    margin : float
        Share of revenue that it is paid back with.
    margin_from : {"argument", "posterior", "not said"}
        Who said it.
    draws : ndarray, shape (S,)
        Days in each draw.
    note : str
        Why ``days`` is infinite or not available; else empty.
    """

    days: float
    lower: float = field(metadata=_DAYS)
    upper: float = field(metadata=_DAYS)
    interval: float
    never: float
    within: float = field(metadata=_DAYS)
    cac: float
    margin: float
    margin_from: MarginSource
    draws: FloatArray = field(repr=False, compare=False)
    note: str = ""


@named
def payback_period(
    posterior: CLVPosterior,
    cac: float | None,
    *,
    discount_rate: float = 0.0,
    within: Horizon = "5Y",
    **terms: Unpack[NewCustomerTerms],
) -> PaybackPeriod:
    """Time until the expected margin of a new customer makes up for their cost.

    The smallest t at which margin x mean spend x (1 + expected purchases in (0, t])
    reaches the cost; the 1 is the first purchase. ``days`` is of the expectation over
    all draws, the interval of its parameters; the first need not be the mean of the
    draws, of which some may be infinite.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    cac : float or None
        Cost of acquiring a customer, >= 0; None or NaN if it is not known.
    discount_rate : float
        Effective annual rate at which margin is discounted; by default it is not.
    within : str or float
        Span that is looked at, finite: "5Y", or a number in the posterior's unit.
    discounting : {"continuous", "monthly"}
        As in :meth:`CLVPosterior.predict`.
    interval : float
        Probability of the equal-tailed interval.
    draws : int
        Posterior draws to use, evenly spaced over all.
    margin : float, optional
        Share of revenue that is profit; by default that of the base that was fitted.

    Returns
    -------
    PaybackPeriod
        Days, with their interval and the share of draws that never get there.

    Raises
    ------
    DomainError
        The cost is negative, the span infinite, or draws have an infinite mean spend.

    Examples
    --------
    >>> from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior
    >>> posterior = CLVPosterior(
    ...     BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
    ...     GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
    ... )
    >>> round(payback_period(posterior, 20.0, margin=0.4).days)
    68
    """
    cost = check_cost(cac)
    future, paired, used = asked_for(
        value_posterior(posterior), horizon=within, discount_rate=discount_rate, **terms
    )
    assert used is not None
    share = check_share(used.value)
    if math.isinf(future.due.horizon):
        raise DomainError(f"within={within!r} must be a finite span, such as '5Y'.")
    check_spend(paired)
    pace = posterior.purchases.metadata.pace
    ahead = future.at_pace(pace)
    due, costs = ahead.due, ahead.costs or Costs()
    served = _served(paired, ahead)
    spend = paired.arrivals[2]  # of each kind, as orders are

    def expected(t: FloatArray) -> FloatArray:
        each = zip(spend, orders_of_new(paired, due, t), strict=True)
        left = sum((share * one.mean() - costs.order) * orders.mean() for one, orders in each)
        return np.atleast_1d(left - served(t).mean())

    def brought(t: FloatArray) -> FloatArray:
        each = zip(spend, orders_of_new(paired, due, t), strict=True)
        left = sum((share * one - costs.order) * orders for one, orders in each)
        return np.asarray(left - served(t))

    steps = _STRETCHES if costs.year or costs.active else 1
    by_draw = _first_time(lambda t: brought(t) >= cost, due.horizon, paired.count, steps)
    first = _first_time(lambda t: expected(t) >= cost, due.horizon, 1, steps)
    days = posterior.scale.days / pace
    return _result(
        float(first[0]) * days,
        by_draw * days,
        cost=cost,
        margin=used,
        within=due.horizon * days,
        interval=terms["interval"],
        certain=posterior.certain or paired.count == 1,
    )


def _served(paired: Draws, ahead: Future) -> Callable[[FloatArray], FloatArray]:
    """What serving costs by times of the draws, each of shape (S,), between few that are known."""
    costs = ahead.costs or Costs()
    if not (costs.year or costs.active):
        return np.zeros_like
    at = np.linspace(0.0, ahead.due.horizon, _STRETCHES + 1)
    ends = [replace(ahead, due=ahead.due._replace(horizon=float(t))) for t in at]
    known = np.array([serving_of_new(paired, one) for one in ends])
    draw = np.arange(paired.count)

    def served(t: FloatArray) -> FloatArray:
        place = np.clip(np.searchsorted(at, t, side="right"), 1, _STRETCHES)
        low, high = known[place - 1, draw], known[place, draw]
        return np.asarray(low + (high - low) * (t - at[place - 1]) / at[1])

    return served


def _first_time(
    reached: Callable[[FloatArray], npt.NDArray[np.bool_]], span: float, count: int, steps: int
) -> FloatArray:
    """Smallest times at which a quantity is there; infinite if not within the span.

    Parameters
    ----------
    reached : callable
        Times, shape (count,) -> whether it is reached by then.
    span : float
        Latest time.
    count : int
        How many are looked for at once.
    steps : int
        Stretches in which it grows or falls: 1 where it grows throughout.
    """
    low, high = np.zeros(count), np.full(count, span)
    at_once = found = reached(low)
    for begin, end in pairwise(np.linspace(0.0, span, steps + 1)):
        new = reached(np.full(count, end)) & ~found
        low, high, found = np.where(new, begin, low), np.where(new, end, high), found | new
    open_still = bool((~at_once & found).any())
    for _ in range(_STEPS if open_still else 0):
        middle = 0.5 * (low + high)
        there = reached(middle)
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    return np.where(at_once, 0.0, np.where(found, high, np.inf))


def _result(
    first: float,
    by_draw: FloatArray,
    *,
    cost: float,
    margin: Margin,
    within: float,
    interval: float,
    certain: bool,
) -> PaybackPeriod:
    unknown = math.isnan(cost)
    lower = upper = math.nan
    if not (certain or unknown):
        # Order statistics, as between a number and infinity nothing can be interpolated
        tails = tail_probabilities(interval)
        lower, upper = (float(q) for q in np.quantile(by_draw, tails, method="inverted_cdf"))
    note = f"not within {within:g} days" if math.isinf(first) else ""
    return PaybackPeriod(
        days=math.nan if unknown else first,
        lower=lower,
        upper=upper,
        interval=interval,
        never=math.nan if unknown else float(np.isinf(by_draw).mean()),
        within=within,
        cac=cost,
        margin=margin.value,
        margin_from=margin.source,
        draws=np.full(len(by_draw), np.nan) if unknown else by_draw,
        note="no acquisition cost given" if unknown else note,
    )
