"""The value of a whole base, with the interval of the sum and not the sum of intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack

import numpy as np

from clvmodels.display import Readable
from clvmodels.forecast import tail_probabilities, totals_by_draw
from clvmodels.keywords import named
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.finite import Valued, summable
from clvmodels.posterior.scorable import prepared_for, value_posterior
from clvmodels.posterior.terms import FrameTerms
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TotalValue(Readable):
    """Expected value of a base of customers.

    Attributes
    ----------
    customers : int
        How many they are.
    mean : float
        Sum of the clv of those who have one.
    sd, lower, upper : float
        Of the total's expectation, over draws; NaN where there is no uncertainty.
    interval : float
        Probability of the equal-tailed interval.
    horizon : str
        How far it looks, with its unit: "365 days".
    margin : float
        Share of revenue that it is made of; of customers yet to come, where those at hand have
        their own (`ContributionMargin`), and NaN where nobody said one.
    draws : ndarray, shape (S,)
        The total in each draw.
    without_value : int
        Customers whose expected spend is infinite in some draws, so that they have no
        expected value: they are not in the total.
    reason : str
        Why they have none; empty where everybody has one.
    """

    customers: int
    mean: float
    sd: float
    lower: float
    upper: float
    interval: float
    horizon: str
    margin: float
    draws: FloatArray = field(repr=False, compare=False)
    without_value: int = 0
    reason: str = ""


@named
def total_value(
    posterior: CLVPosterior, rfm: RfmTable | Frame, **terms: Unpack[FrameTerms]
) -> TotalValue:
    """Value of all customers together, with the interval of its expectation.

    All customers share the parameters, so their values rise and fall together: the
    interval comes from the total in each draw. (Adding the customers' interval ends
    would claim more doubt than there is, adding variances far too little.)

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm, horizon, discount_rate, discounting, interval, draws, margin, time_unit, time_scaler
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    TotalValue
        ``mean`` is the sum of predict's clv column. Customers who have none are counted
        in ``without_value``, and warned of.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; or no customer has a finite expected spend.
    """
    total, _ = total_and_valued(posterior, rfm, **terms)
    return total


@named
def total_and_valued(
    posterior: CLVPosterior, rfm: RfmTable | Frame, **terms: Unpack[FrameTerms]
) -> tuple[TotalValue, Valued]:
    """Return the total, and which customers are in it; arguments are those of `total_value`."""
    given = prepared_for(value_posterior(posterior), rfm, own=True, **terms)
    known = summable(given.draws, given.columns.x)
    by_draw, mean = totals_by_draw(given.draws, *given.who, given.future, given.share)
    lower, upper = np.quantile(by_draw, tail_probabilities(given.future.interval))
    certain, nan = given.certain, math.nan
    total = TotalValue(
        customers=len(given.columns),
        mean=mean,
        sd=nan if certain else float(by_draw.std()),
        lower=nan if certain else float(lower),
        upper=nan if certain else float(upper),
        interval=terms["interval"],
        horizon=posterior.scale.horizon_words(terms["horizon"]),
        margin=given.future.margin,
        draws=by_draw,
        without_value=known.without,
        reason=known.reason,
    )
    return total, known
