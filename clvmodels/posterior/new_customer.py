"""What a customer not yet acquired is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clvmodels.display import Readable
from clvmodels.errors import SchemaError
from clvmodels.forecast import Draws, Future, product_moments, tail_probabilities
from clvmodels.forecast.draws import Costs
from clvmodels.forecast.serving import Serving, annuity
from clvmodels.forecast.spending import mean_of_new
from clvmodels.margin import MarginSource
from clvmodels.schema import FloatArray


@dataclass(frozen=True, slots=True, repr=False)
class NewCustomerValue(Readable):
    """What a customer not yet acquired is worth, first purchase included.

    Attributes
    ----------
    mean, sd, lower, upper : float
        Of the expected value; sd and interval are NaN where there is no uncertainty.
    interval : float
        Probability of the equal-tailed interval.
    horizon : str
        How far it looks, with its unit: "365 days".
    margin : float
        Share of revenue that the value is made of, before any costs (`ContributionMargin`).
    margin_from : {"argument", "posterior", "not said"}
        Who said it: an argument, or the base that was fitted.
    draws : ndarray, shape (S,)
        The value in each draw.
    """

    mean: float
    sd: float
    lower: float
    upper: float
    interval: float
    horizon: str
    margin: float
    margin_from: MarginSource
    draws: FloatArray = field(repr=False, compare=False)


def value_of_new_customer(
    paired: Draws, future: Future, source: MarginSource, *, horizon: str, certain: bool
) -> NewCustomerValue:
    """Value of a customer not yet acquired, from checked draws.

    Parameters
    ----------
    paired : Draws
        Of both models, with a finite mean spend.
    future : Future
        Horizon, discounting, margin and interval.
    source : {"argument", "posterior", "not said"}
        Who said the margin.
    horizon : str
        In words, with its unit.
    certain : bool
        Whether one of the posteriors is a single point.
    """
    due = future.due
    repeats = paired.formulas.discounted_purchases(
        0, 0, 0, due.horizon, due.delta, **paired.purchases, month=due.month or None
    )
    spend = mean_of_new(paired.spending)
    margin, interval = future.margin, future.interval
    if future.costs is None:
        mean, sd = (margin * float(moment) for moment in product_moments(1.0 + repeats, spend))
        value = np.atleast_1d(margin * (1.0 + repeats) * spend)
    else:
        mean, sd, value = _left(paired, future, np.atleast_1d(1.0 + repeats), spend)
    if certain or paired.count == 1:
        return NewCustomerValue(
            mean, math.nan, math.nan, math.nan, interval, horizon, margin, source, value
        )
    lower, upper = np.quantile(value, tail_probabilities(interval))
    return NewCustomerValue(
        mean, sd, float(lower), float(upper), interval, horizon, margin, source, value
    )


def serving_of_new(paired: Draws, future: Future) -> FloatArray:
    """What serving a new customer costs until the horizon, discounted, shape (S,)."""
    costs, due = future.costs or Costs(), future.due
    paid = np.full(paired.count, costs.year * annuity(due) if costs.year else 0.0)
    return paid + costs.active * Serving.of(due, paired).of_new(paired) if costs.active else paid


def check_share(margin: float) -> float:
    """Return the margin of customers not yet acquired.

    Raises
    ------
    SchemaError
        Nobody said one.
    """
    if math.isnan(margin):
        raise SchemaError(
            "Customers not yet acquired have no margin of their own, and the base that was "
            "fitted had none: give share= beside the column."
        )
    return margin


def _left(
    paired: Draws, future: Future, orders: FloatArray, spend: FloatArray
) -> tuple[float, float, FloatArray]:
    """Mean, sd and draws of what is left of orders after costs; spend is independent of them."""
    assert future.costs is not None
    share, cost = check_share(future.margin), future.costs.order
    serving = serving_of_new(paired, future)
    left = share * float(spend.mean()) - cost
    apart = float((share * spend).var()) * float(orders.var() + orders.mean() ** 2)
    sd = math.sqrt(float((orders * left - serving).var()) + apart)
    mean = float(orders.mean()) * left - float(serving.mean())
    return mean, sd, orders * (share * spend - cost) - serving
