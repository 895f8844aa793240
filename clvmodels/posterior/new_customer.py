"""What a customer not yet acquired is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clvmodels.display import Readable
from clvmodels.forecast import Draws, Future, product_moments, tail_probabilities
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
        Share of revenue that the value is made of.
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
    mean, sd = (margin * float(moment) for moment in product_moments(1.0 + repeats, spend))
    value = np.atleast_1d(margin * (1.0 + repeats) * spend)
    if certain or paired.count == 1:
        return NewCustomerValue(
            mean, math.nan, math.nan, math.nan, interval, horizon, margin, source, value
        )
    lower, upper = np.quantile(value, tail_probabilities(interval))
    return NewCustomerValue(
        mean, sd, float(lower), float(upper), interval, horizon, margin, source, value
    )
