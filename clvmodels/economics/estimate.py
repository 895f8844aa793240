"""A figure of unit economics with its interval, and what a value can be given as."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from clvmodels.display import Readable
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.posterior import TotalValue
from clvmodels.posterior.new_customer import NewCustomerValue
from clvmodels.schema import FloatArray

__all__ = ["CustomerValue", "Estimate"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Estimate(Readable):
    """An expected figure, and how well it is known.

    Attributes
    ----------
    mean, sd, lower, upper : float
        Of the expected value; sd and interval are NaN where there is no uncertainty.
    interval : float
        Probability of the equal-tailed interval; NaN where there is none.
    draws : ndarray, shape (S,)
        The figure in each draw of the posterior.
    margin : float or None
        Share of revenue that the value behind it is made of; None of a plain number.
    note : str
        Why it is infinite or not available; else empty.
    """

    mean: float
    sd: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    interval: float = math.nan
    margin: float | None = None
    draws: FloatArray = field(repr=False, compare=False)
    note: str = ""

    def times(self, factor: float) -> Estimate:
        """The figure times a finite number >= 0."""
        return self.mapped(lambda values: factor * values, sd=factor * self.sd)

    @named
    def mapped(
        self, function: Callable[[FloatArray], FloatArray], *, sd: float, note: str = ""
    ) -> Estimate:
        """A rising linear function of the figure, which keeps order and so the interval.

        Parameters
        ----------
        function : callable
            Of an array.
        sd : float
            Of the result.
        note : str
            What a reader should know of it.
        """
        ends = function(np.array([self.mean, self.lower, self.upper]))
        mean, lower, upper = (float(end) for end in ends)
        return Estimate(
            mean=mean,
            sd=sd,
            lower=lower,
            upper=upper,
            interval=self.interval,
            margin=self.margin,
            draws=function(self.draws),
            note=note,
        )


CustomerValue = Estimate | NewCustomerValue | float


def as_estimate(value: CustomerValue | TotalValue) -> Estimate:
    """Return a customer's value as an Estimate.

    Raises
    ------
    SchemaError
        It is the residual value of a base.
    DomainError
        It is not a number.
    """
    if isinstance(value, Estimate):
        return value
    if isinstance(value, NewCustomerValue):
        names = ("mean", "sd", "lower", "upper", "interval", "margin", "draws")
        return Estimate(**{name: getattr(value, name) for name in names})
    if isinstance(value, TotalValue):
        raise SchemaError(
            "A TotalValue is what customers will still bring, without what they have brought "
            "since they were acquired: use acquired_customer_value(posterior, rfm)."
        )
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise DomainError(f"A customer's value must be a number, found {value!r}.") from error
    if math.isnan(number):
        raise DomainError("A customer's value must be a number, found NaN.")
    return Estimate(mean=number, draws=np.array([number]))


def with_ends(name: str, estimates: Sequence[Estimate]) -> dict[str, list[float]]:
    """Columns of some figures: their means, and the ends of their intervals."""
    return {
        name: [one.mean for one in estimates],
        f"{name}_lower": [one.lower for one in estimates],
        f"{name}_upper": [one.upper for one in estimates],
    }
