"""What the simple formula is made of, and what it makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from clvmodels.display import Readable
from clvmodels.formulas import simple
from clvmodels.keywords import named_fields
from clvmodels.schema import DAYS_PER_YEAR, Discounting, annual_rate_to_delta, check_choice


@named_fields
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimpleInputs(Readable):
    """The four inputs of the simple formula, and the future that counts.

    Parameters
    ----------
    order_value : float
        Mean value of an order, >= 0.
    orders_per_year : float
        Orders per customer and year, >= 0.
    margin : float
        Share of revenue that is profit, in (0, 1].
    churn : float
        Share of customers lost per year, 0..1.
    horizon_years : float
        Length of the horizon, may be infinite.
    discount_rate : float
        Effective annual rate.
    discounting : {"continuous", "monthly"}
        As in CLVPosterior.predict.

    Examples
    --------
    >>> inputs = SimpleInputs(order_value=50, orders_per_year=4, margin=0.5, churn=0.25,
    ...                       horizon_years=1.0, discount_rate=0.0)
    >>> round(inputs.value, 2), inputs.lifetime_value
    (86.9, 400.0)
    """

    order_value: float
    orders_per_year: float
    margin: float = 1.0
    churn: float
    horizon_years: float = 1.0
    discount_rate: float = 0.10
    discounting: Discounting = "continuous"

    @property
    def retained_years(self) -> float:
        """Discounted sum of retention over the horizon, in years."""
        check_choice("discounting", self.discounting, get_args(Discounting))
        return simple.retained_years(
            self.churn,
            horizon=self.horizon_years,
            delta=annual_rate_to_delta(self.discount_rate) * DAYS_PER_YEAR,
            monthly=self.discounting == "monthly",
        )

    @property
    def lifetime_years(self) -> float:
        """Customer lifetime 1 / churn; infinite without churn."""
        return simple.customer_lifetime(self.churn)

    @property
    def value(self) -> float:
        """Value of a customer over the horizon, discounted."""
        return self._over(self.retained_years)

    @property
    def lifetime_value(self) -> float:
        """Value of a customer over the lifetime, not discounted."""
        return self._over(self.lifetime_years)

    def _over(self, years: float) -> float:
        return simple.margin_lifetime_value(
            order_value=self.order_value,
            frequency=self.orders_per_year,
            margin=self.margin,
            lifetime=years,
        )
