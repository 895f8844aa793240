"""What a firm's customers are worth: those at hand, and those who are yet to come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

import numpy as np
import pandas as pd

from clvmodels.economics.outlook import check_base, column
from clvmodels.economics.unit import check_cost
from clvmodels.errors import DomainError
from clvmodels.forecast import Predictor, tail_probabilities
from clvmodels.forecast.calendar import Calendar
from clvmodels.forecast.futures import VALUE
from clvmodels.forecast.outcomes import check_finite, outcomes_of
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import MarginSource
from clvmodels.posterior.finite import check_spend, valued
from clvmodels.posterior.new_customer import orders_of_new
from clvmodels.posterior.predicting import Prepared
from clvmodels.posterior.scorable import prepared_for, value_posterior
from clvmodels.posterior.terms import ValueTerms
from clvmodels.predictive.base import margin_said
from clvmodels.predictive.calendars import (
    NOTHING,
    CalendarChoice,
    Scenario,
    calendar_of,
    levels_of_spend,
    under,
)
from clvmodels.predictive.cohort_curves import plain_rows
from clvmodels.predictive.newcomers import Acquisitions, numbers_won
from clvmodels.predictive.totals import PATHS, check_few, simulated
from clvmodels.schema import DAYS_PER_MONTH, FloatArray, T

if TYPE_CHECKING:
    from clvmodels.posterior import CLVPosterior
    from clvmodels.rfm import RfmTable

PARTS: Final = ("customers at hand", "customers to come", "cost of acquiring them", "all together")
_NEAR: Final = 0.05  # months


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CustomerValuation:
    """What the customers of a firm are worth, at hand and to come.

    Attributes
    ----------
    table : DataFrame
        A row for each part, customers at hand, customers to come, the cost of acquiring
        them (negative) and all together: part, customers (those to come: their mean number),
        mean, sd, lower and upper of what may really come, discounted.
    months : DataFrame
        A row for each month of 30.4375 days after the observation end: month (1, 2, ...);
        acquired, the mean of how many are won, with its ``_lower`` and ``_upper``; value_each,
        what one of them brings within the horizon, discounted to the day of the
        acquisition; value and cost of all of them, discounted to the observation end.
    interval : float
        Probability of the equal-tailed intervals.
    horizon : str
        How far it looks, with its unit.
    calendar : Calendar
        Doubt about what moves all customers at once, and who says so.
    acquisitions : {"extrapolated", "given"}
        Where the numbers of customers to come are from.
    margin : float
        Share of revenue that values are made of.
    margin_from : {"argument", "table", "posterior", "not said"}
        Who said it.
    samples : ndarray, shape (4, paths)
        The parts on every path, in the order of the table.
    without_value : int
        Customers at hand who have no finite expected value, and are in none of the sums.
    reason : str
        Why they have none; empty where everybody has one.
    """

    table: pd.DataFrame
    months: pd.DataFrame
    interval: float
    horizon: str
    calendar: Calendar
    acquisitions: Literal["extrapolated", "given"]
    margin: float
    margin_from: MarginSource
    samples: FloatArray
    without_value: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the samples."""
        return {
            "interval": self.interval,
            "horizon": self.horizon,
            "calendar": {"sd": self.calendar.sd, "source": self.calendar.source},
            "acquisitions": self.acquisitions,
            "margin": self.margin,
            "margin_from": self.margin_from,
            "without_value": self.without_value,
            "reason": self.reason,
            "parts": plain_rows(self.table),
            "months": plain_rows(self.months),
        }

    def __repr__(self) -> str:
        said = f"{self.horizon}, {100 * self.interval:.0f} % intervals"
        said += margin_said(self.margin, self.margin_from)
        return f"<CustomerValuation, {said}>\n{self.table}"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(border=0))


@named
def customer_valuation(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    acquisitions: Acquisitions = "extrapolated",
    cac: float = 0.0,
    calendar: CalendarChoice = "auto",
    scenario: Scenario | None = None,
    paths: int = PATHS,
    random_seed: int = 0,
    threads: int | None = None,
    **terms: Unpack[ValueTerms],
) -> CustomerValuation:
    """Value of a firm's customers: those at hand, and those who will be won.

    Customer-based corporate valuation (McCarthy, Fader & Hardie 2017, Journal of Marketing
    81(1); McCarthy & Fader 2018, Journal of Marketing Research 55(5)): the value of the
    customers there are, plus, month by month, the number of customers won times what one
    brings until the horizon, less what winning them costs, all discounted to the observation
    end. Customers to come are like those of the base that was fitted.

    Customers at hand are simulated one by one. Of those to come the parameters, the calendar and
    their number are uncertain; the chance of each of them averages out over many and is left
    out. Their number does not depend on the calendar here.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers at hand.
    acquisitions : "extrapolated", float, sequence, mapping or Series
        How many are won in each month of 30.4375 days after the observation end: one number
        for all months, or one for each in order, and none after the last. By default the
        first orders in the table go on as their logarithm went over the last three years: a
        level that wanders, a drift that dies out and a season, all of them in doubt.
    cac : float
        Cost of acquiring a customer.
    calendar, scenario
        Doubt about what moves all customers at once, and what is known of it, as in
        :func:`~clvmodels.forecast_total`; and here what they spend on an order moves too, by .6
        of the calendar's sd, where the posterior has amounts.
    paths : int
        Simulated futures, rounded up to as many of every draw.
    random_seed : int
        Of the simulation.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`; the horizon is finite, by default a year: name the
        years that count, such as "5Y".

    Returns
    -------
    CustomerValuation
        Each part with its interval, and the months.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; the horizon is endless or below a month; or too little is
        known of the last months' first orders to go on from them.
    """
    whose = value_posterior(posterior)
    base = check_base(rfm, money=whose.reads_amounts)
    cores, cost, scale = cores_for(threads), check_cost(cac), whose.scale
    given = prepared_for(whose, base, **terms)
    horizon = given.future.due.horizon
    check_finite(horizon)
    check_spend(given.draws)
    months = math.floor(horizon * scale.days / DAYS_PER_MONTH + _NEAR)
    if not months:
        raise DomainError(f"horizon={terms['horizon']!r} must be a month or longer.")
    doubt, _ = calendar_of(
        calendar, scenario, base, days=horizon * scale.days, learnt=given.calendar
    )
    really = under(given, doubt, paths, scale.days)
    outcomes = outcomes_of(really.draws, paths=paths, seed=random_seed)
    found = Predictor(really.draws, really.future, wanted="none", threads=cores)(*really.who)
    check_few(found.columns["expected_purchases"])
    known = valued(really.draws, really.columns.x).warned()
    nobody = np.zeros(len(base), dtype=np.int64)
    hand = simulated(really, outcomes, nobody, 1, cores, known)[0, VALUE]
    level = levels_of_spend(doubt if whose.reads_amounts else NOTHING, len(hand))
    ages = column(base, T) * scale.days
    acquired = numbers_won(acquisitions, ages, months, len(hand), random_seed)
    each = new_by_month(really, months, scale.days)
    now = _present(really, months, scale.days)
    came = np.tile(each, (1, outcomes.per_draw)) * now[:, None] * acquired * level
    costs = -cost * now[:, None] * acquired
    samples = np.stack([hand * level, came.sum(axis=0), costs.sum(axis=0)])
    samples = np.concatenate([samples, samples.sum(axis=0, keepdims=True)])
    means = [float(np.nansum(found.columns["clv"])), *samples[1:3].mean(axis=1)]
    assert given.margin is not None
    return CustomerValuation(
        _table(samples, means, len(base), acquired, terms["interval"]),
        _months(acquired, each, came, costs, terms["interval"]),
        terms["interval"],
        scale.horizon_words(terms["horizon"]),
        doubt,
        "extrapolated" if isinstance(acquisitions, str) else "given",
        given.margin.value,
        given.margin.source,
        samples,
        known.without,
        known.reason,
    )


def _middles(months: int, days_per_unit: float) -> FloatArray:
    """When customers of each month are won: in its middle, in units of T."""
    return np.asarray((np.arange(months) + 0.5) * (DAYS_PER_MONTH / days_per_unit))


def _present(given: Prepared, months: int, days_per_unit: float) -> FloatArray:
    """Value now of one unit in each month, shape (months,)."""
    return np.asarray(np.exp(-given.future.due.delta * _middles(months, days_per_unit)))


def new_by_month(given: Prepared, months: int, days_per_unit: float) -> FloatArray:
    """What a customer brings until the horizon who is won in a month, shape (months, S).

    Discounted to the day on which they are won; the first order is in it.
    """
    due, draws = given.future.due, given.draws
    begins = _middles(months, days_per_unit)
    left = np.broadcast_to((due.horizon - begins)[:, None], (months, draws.count))
    if due.calendar:
        left = due.until(draws.count)[None, :] - due.own_time(begins).T
    each = zip(draws.arrivals[2], orders_of_new(draws, due, left), strict=True)
    return np.asarray(given.future.margin * sum(spend * orders for spend, orders in each))


def _table(
    samples: FloatArray, means: list[float], hand: int, acquired: FloatArray, interval: float
) -> pd.DataFrame:
    lower, upper = np.quantile(samples, tail_probabilities(interval), axis=1)
    come = float(acquired.sum(axis=0).mean())
    return pd.DataFrame(
        {
            "part": PARTS,
            "customers": [hand, come, come, hand + come],
            "mean": [*means, sum(means)],
            "sd": samples.std(axis=1),
            "lower": lower,
            "upper": upper,
        }
    )


def _months(
    acquired: FloatArray, each: FloatArray, came: FloatArray, costs: FloatArray, interval: float
) -> pd.DataFrame:
    lower, upper = np.quantile(acquired, tail_probabilities(interval), axis=1)
    return pd.DataFrame(
        {
            "month": np.arange(1, len(acquired) + 1),
            "acquired": acquired.mean(axis=1),
            "acquired_lower": lower,
            "acquired_upper": upper,
            "value_each": each.mean(axis=1),
            "value": came.mean(axis=1),
            "cost": costs.mean(axis=1),
        }
    )
