"""What customers contribute: value at their own margins, less what orders and serving cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import pandas as pd

from clvmodels.economics.estimate import Estimate
from clvmodels.economics.outlook import (
    base_for,
    customer_ids,
    group_values,
    prepared_and_valued,
    scores_of,
)
from clvmodels.economics.own_margins import CustomerMargins
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import tail_probabilities
from clvmodels.formulas.simple import retained_years
from clvmodels.keywords import named
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.scorable import value_posterior
from clvmodels.posterior.terms import Terms, ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, DAYS_PER_YEAR, FloatArray, check_number

_GROUPS = 40  # of alike margins, whose values are known draw by draw


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Contributions:
    """What customers contribute after their own margins and costs.

    Attributes
    ----------
    customers : DataFrame
        One row per customer, in the table's order: customer_id; revenue, expected and
        discounted; margin, their own, shrunk; orders, expected and discounted; order_costs and
        serving_costs; and contribution = margin x revenue - both, which may be negative.
    total : Estimate
        Of all customers who have a value, with the interval of the expectation.
    new_customer : Estimate
        The same of a customer not yet acquired, first order included, at the base's margin.
    losing : int
        How many customers are expected to cost more than they bring.
    """

    customers: pd.DataFrame
    total: Estimate
    new_customer: Estimate
    losing: int

    def __repr__(self) -> str:
        one = self.total
        said = f"{one.mean:,.0f} ({one.lower:,.0f} to {one.upper:,.0f}) in all"
        return f"<Contributions, {said}, {self.losing:,} lose money>\n{self.customers}"

    def _repr_html_(self) -> str:
        return str(self.customers.to_html(border=0, max_rows=10))


@named
def contributions(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    margins: CustomerMargins | float,
    cost_per_order: float = 0.0,
    cost_per_year: float = 0.0,
    **terms: Unpack[Terms],
) -> Contributions:
    """Value customers at their own margins, less costs of each order and of serving them.

    An order brings margin x spend - cost_per_order. The margin is taken not to depend on how
    much or how often a customer will buy.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers.
    margins : CustomerMargins or float
        Of `customer_margins`; or one for all, as a share of revenue, which may be negative. It
        takes the place of margins of table and posterior.
    cost_per_order : float
        What each order costs besides, such as packing and postage, >= 0.
    cost_per_year : float
        What serving or keeping a customer costs a year, >= 0, whether or not they still buy:
        it is paid all through the horizon.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    Contributions
        By customer, of all together, and of a new one.

    Raises
    ------
    SchemaError, DomainError
        A margin or cost is no number, or a cost per year has no end; or as
        :meth:`CLVPosterior.predict`.
    """
    whose = value_posterior(posterior)
    base = base_for(whose, rfm, 1.0)
    order, year = (
        _cost(name, one)
        for name, one in (("cost_per_order", cost_per_order), ("cost_per_year", cost_per_year))
    )
    asked: ValueTerms = {**terms, "margin": 1.0}
    scores = scores_of(whose, base, **asked)
    given, known = prepared_and_valued(whose, base, **asked)
    due, days = given.future.due, whose.scale.days
    serving = year * _years(whose.scale.horizon(terms["horizon"]), days, due.delta, due.month, year)
    own, usual = _margins(margins, customer_ids(base))
    revenue, orders = (scores[name].to_numpy() for name in ("clv", "discounted_purchases"))
    table = pd.DataFrame(
        {
            CUSTOMER_ID: scores[CUSTOMER_ID],
            "revenue": revenue,
            "margin": own,
            "orders": orders,
            "order_costs": order * orders,
            "serving_costs": serving,
            "contribution": own * revenue - order * orders - serving,
        }
    )
    by_draw = _money_by_draw(whose, base, own, revenue, asked)
    by_draw = by_draw - order * _orders_by_draw(whose, base, known.has, by_draw.size, asked)
    total = table.loc[known.has, "contribution"].sum()
    how: Any = {name: value for name, value in asked.items() if name != "horizon"}
    worth = whose.new_customer_value(terms["horizon"], **how)
    again = CLVPosterior(whose.purchases, 1.0).new_customer_value(terms["horizon"], **how)
    each = _like(again.draws, worth.draws.size)
    new = usual * worth.draws - order * each - serving
    certain, interval = given.certain, terms["interval"]
    return Contributions(
        table,
        _estimate(total, by_draw - serving * known.count, interval, certain),
        _estimate(usual * worth.mean - order * again.mean - serving, new, interval, certain),
        int((table["contribution"] < 0).sum()),
    )


def _cost(name: str, given: float) -> float:
    cost = check_number(name, given)
    if not 0 <= cost < math.inf:
        raise DomainError(f"{name}={given!r} must be an amount of money >= 0.")
    return cost


def _years(horizon: float, days: float, delta: float, month: float, cost: float) -> float:
    """Years that are paid for, discounted as purchases are."""
    if math.isinf(horizon) and cost > 0:
        raise DomainError(
            "A cost_per_year over a lifetime would never end: give a horizon, such as '3Y'."
        )
    if cost == 0:
        return 0.0
    per_year = DAYS_PER_YEAR / days
    return retained_years(
        0.0, horizon=horizon / per_year, delta=delta * per_year, monthly=month > 0
    )


def _margins(margins: Any, ids: pd.Series[Any]) -> tuple[FloatArray, float]:
    """Margin of each customer, and of those who are yet to come."""
    if isinstance(margins, CustomerMargins):
        return margins.of(ids), margins.base
    if isinstance(margins, dict | pd.Series):
        raise SchemaError(
            "The margins must be those of customer_margins(...), which shrinks them, or one number."
        )
    usual = check_number("margins", margins)
    if not math.isfinite(usual) or usual > 1:
        raise DomainError(f"margins={margins!r} must be a share of revenue, at most 1.")
    return np.full(len(ids), usual), usual


def _money_by_draw(
    posterior: CLVPosterior, rfm: RfmTable, own: FloatArray, revenue: FloatArray, asked: ValueTerms
) -> FloatArray:
    """Sum of margin x revenue in every draw.

    Customers of alike margins are together, at the mean margin of their revenue: the mean of the
    sum is that of single customers.
    """
    edges = np.unique(np.quantile(own, np.linspace(0.0, 1.0, _GROUPS + 1))[1:-1])
    group = np.searchsorted(edges, own, side="right").astype(np.int64)
    values = group_values(posterior, rfm, group, len(edges) + 1, **asked)
    has = ~np.isnan(revenue)
    sums = np.bincount(group[has], (own * revenue)[has], minlength=len(edges) + 1)
    there = np.bincount(group[has], revenue[has], minlength=len(edges) + 1)
    share = np.divide(sums, there, out=np.zeros(len(sums)), where=there > 0)
    return np.asarray(share @ np.nan_to_num(values.by_draw))


def _orders_by_draw(
    posterior: CLVPosterior, rfm: RfmTable, has: Any, size: int, asked: ValueTerms
) -> FloatArray:
    """Discounted orders of all customers with a value in every draw: what baskets of 1 bring."""
    group = np.where(has, 0, 1).astype(np.int64)
    found = group_values(CLVPosterior(posterior.purchases, 1.0), rfm, group, 2, **asked)
    return _like(found.by_draw[0], size)


def _like(draws: FloatArray, size: int) -> FloatArray:
    """As many draws as others have: their mean, where spend was fitted with another number."""
    return draws if draws.size == size else np.full(size, draws.mean())


def _estimate(mean: float, draws: FloatArray, interval: float, certain: bool) -> Estimate:
    lower, upper = np.quantile(draws, tail_probabilities(interval))
    if certain:
        return Estimate(mean=float(mean), interval=interval, draws=draws)
    return Estimate(
        mean=float(mean),
        sd=float(draws.std()),
        lower=float(lower),
        upper=float(upper),
        interval=interval,
        draws=draws,
    )
