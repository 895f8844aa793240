"""What a customer not yet acquired is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clvmodels.display import Readable
from clvmodels.errors import SchemaError
from clvmodels.forecast import Draws, Future, tail_probabilities
from clvmodels.forecast.draws import Costs
from clvmodels.forecast.serving import Serving, annuity
from clvmodels.formulas.discounting import Due
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
    margin, interval = future.margin, future.interval
    mean, sd, value = _left(paired, future)
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


def orders_of_new(paired: Draws, due: Due, until: float | FloatArray) -> list[FloatArray]:
    """Discounted orders of new customers, the first among them, by the kinds of `Draws.arrivals`.

    Parameters
    ----------
    paired : Draws
        Of both models.
    due : Due
        How they are discounted.
    until : float or ndarray, shape (..., S)
        For how long they count.
    """
    kinds, shares, _ = paired.arrivals
    formula, month = paired.formulas.discounted_purchases, due.month or None
    return [
        share * (1.0 + formula(x, 0, 0, until, due.delta, **paired.purchases, month=month))
        for x, share in zip(kinds, shares, strict=True)
    ]


def _left(paired: Draws, future: Future) -> tuple[float, float, FloatArray]:
    """Mean, sd and draws of what is left of orders after costs.

    Spend is independent of orders in the draws, so that the moments are those of products, and
    no accidental pairing of the draws enters.
    """
    costs = future.costs or Costs()
    share = future.margin if future.costs is None else check_share(future.margin)
    bought = orders_of_new(paired, future.due, future.due.horizon)
    orders = np.array([np.broadcast_to(one, paired.count) for one in bought])
    spend = share * paired.arrivals[2]
    serving = serving_of_new(paired, future)
    expected = ((spend.mean(axis=1, keepdims=True) - costs.order) * orders).sum(axis=0) - serving
    apart = np.cov(spend, bias=True) * (orders @ orders.T / paired.count)
    sd = math.sqrt(float(expected.var()) + float(apart.sum()))
    return float(expected.mean()), sd, ((spend - costs.order) * orders).sum(axis=0) - serving
