"""What customers contribute: value at their own margins, less what orders and serving cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Unpack

import pandas as pd

from clvmodels.economics.estimate import Estimate, as_estimate
from clvmodels.economics.outlook import base_for, scores_of
from clvmodels.economics.own_margins import CustomerMargins
from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.margin import ContributionMargin
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.scorable import value_posterior
from clvmodels.posterior.terms import Terms, ValueTerms
from clvmodels.posterior.total import total_value
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, MARGIN


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Contributions:
    """What customers contribute after their own margins and costs.

    Attributes
    ----------
    customers : DataFrame
        One row per customer, in the table's order: customer_id; revenue, expected and
        discounted; margin, their own, shrunk; orders, expected and discounted; order_costs and
        serving_costs; contribution = margin x revenue - both, which may be negative, and
        contribution_lower and contribution_upper, of the expectation.
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
    margins: CustomerMargins | float | None = None,
    cost_per_order: float = 0.0,
    cost_per_year: float = 0.0,
    cost_per_active_year: float = 0.0,
    **terms: Unpack[Terms],
) -> Contributions:
    """Value customers at their own margins, less costs of each order and of serving them.

    An order brings margin x spend - cost_per_order. The margin is taken not to depend on how
    much or how often a customer will buy. It is what ``predict(..., margin=ContributionMargin(
    ...))`` gives, taken apart into what comes in and what goes out.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers.
    margins : CustomerMargins or float, optional
        Of `customer_margins`; or one for all, as a share of revenue, which may be negative. It
        takes the place of margins of table and posterior. By default the table's column
        "margin", else the margin that it or the posterior says.
    cost_per_order, cost_per_year, cost_per_active_year : float
        As of :class:`~clvmodels.ContributionMargin`: of each order; of a year, whether or not a
        customer still buys, all through the horizon; and of a year for as long as they stay.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    Contributions
        By customer, of all together, and of a new one.

    Raises
    ------
    SchemaError, DomainError
        A margin or cost is no number, or nobody says a margin; a cost per year has no end; or as
        :meth:`CLVPosterior.predict`.
    """
    whose = value_posterior(posterior)
    base = base_for(whose, rfm)
    costs = {
        "cost_per_order": cost_per_order,
        "cost_per_year": cost_per_year,
        "cost_per_active_year": cost_per_active_year,
    }
    table, usual = _joined(margins, base)
    own = ContributionMargin(share=usual, column=MARGIN, **costs)
    asked: ValueTerms = {**terms, "margin": own}
    scores = scores_of(whose, table, **asked)
    revenue = scores["expected_spend"] * scores["discounted_purchases"]
    paid = cost_per_order * scores["discounted_purchases"]
    customers = pd.DataFrame(
        {
            CUSTOMER_ID: scores[CUSTOMER_ID],
            "revenue": revenue,
            "margin": scores[MARGIN],
            "orders": scores["discounted_purchases"],
            "order_costs": paid,
            "serving_costs": _serving(scores, revenue, paid, own),
            "contribution": scores["clv"],
            "contribution_lower": scores["clv_lower"],
            "contribution_upper": scores["clv_upper"],
        }
    )
    how: Any = {name: value for name, value in asked.items() if name != "horizon"}
    total = total_value(whose, table, **asked)
    names = ("mean", "sd", "lower", "upper", "interval", "draws")
    return Contributions(
        customers,
        Estimate(**{name: getattr(total, name) for name in names}),
        as_estimate(whose.new_customer_value(terms["horizon"], **how)),
        int((customers["contribution"] < 0).sum()),
    )


def _serving(
    scores: pd.DataFrame, revenue: pd.Series[float], paid: pd.Series[float], of: ContributionMargin
) -> pd.Series[float]:
    """What serving costs: all that is neither margin nor costs of orders."""
    if not (of.cost_per_year or of.cost_per_active_year):
        return 0.0 * paid
    return scores[MARGIN] * revenue - paid - scores["clv"]


def _joined(margins: Any, base: RfmTable) -> tuple[RfmTable, float]:
    """The table with everybody's margin, and that of those who are yet to come."""
    if isinstance(margins, dict | pd.Series):
        raise SchemaError(
            "The margins must be those of customer_margins(...), which shrinks them, or one number."
        )
    if margins is None:
        said = base.margin if base.margin_said else None
        if MARGIN in base.table.column_names:
            return base, _share(said)
        if said is None:
            raise SchemaError(
                "Neither the table nor the posterior says a margin: pass margins=0.3 if it is one "
                "for all, or those of customer_margins(...), on the command line --log with "
                "--margin-col."
            )
        margins = said
    if not isinstance(margins, CustomerMargins):
        nobody = pd.DataFrame({CUSTOMER_ID: base.table[CUSTOMER_ID].to_pandas()[:0], MARGIN: []})
        margins = CustomerMargins(nobody, _share(margins), 0.0, 0.0)
    return margins.join(base), margins.base


def _share(margins: Any) -> float:
    share = ContributionMargin(share=margins).share
    return math.nan if share is None else share
