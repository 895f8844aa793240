"""What beta-geometric models share: customers drop out at purchases, with p ~ Beta(a, b).

Regular timing or not, the question is put at purchases, and the second shape of the dropout
probability counts how often a customer has stayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._domain import check_counts, check_positive
from clvmodels.formulas.in_time import InTime
from clvmodels.formulas.story import Customers, Round, rounds
from clvmodels.schema import FloatArray

Numbers = npt.ArrayLike


class Parameters(TypedDict):
    """The keyword arguments that every formula takes: scalars or arrays, > 0."""

    r: Numbers
    alpha: Numbers
    a: Numbers
    b: Numbers


@dataclass(frozen=True, slots=True)
class LogOddsTerms:
    """Log odds of having dropped out are offset + power ln((alpha + T) / (alpha + t_x)).

    Attributes
    ----------
    offset : ndarray of float64
        -inf where the question was never put.
    power : ndarray of float64
        Also the shape R of the purchase rate of a living customer.
    """

    offset: FloatArray
    power: FloatArray


def check_parameters(
    *, r: Numbers, alpha: Numbers, a: Numbers, b: Numbers
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return r, alpha, a and b as arrays, or say which is not finite and > 0."""
    r, alpha, a, b = check_positive(r=r, alpha=alpha, a=a, b=b)
    return r, alpha, a, b


@dataclass(frozen=True, slots=True)
class BetaDropout:
    """What the models share whose customers drop out with probability p ~ Beta(a, b).

    Parameters
    ----------
    extra_stays : {0, 1}
        Questions survived by a living customer beyond one per repeat purchase.

    Notes
    -----
    Arguments of the methods are

    x : array_like
        Repeat purchases.
    r, alpha, a, b : array_like
        Parameters, by keyword.
    """

    extra_stays: int

    @property
    def _stages(self) -> int:
        """Of the Poisson process from one purchase to the next."""
        return 1

    def in_time(
        self, x: FloatArray, count: FloatArray, *, stratum: npt.NDArray[np.integer] | None = None
    ) -> InTime:
        """Prepare a base for its log-likelihood with derivatives by parameters and times.

        Parameters
        ----------
        x, count : ndarray, shape (H,)
            Repeat purchases of histories, and the customers who share each.
        stratum : ndarray of int, shape (H,), optional
            Whose parameters are the history's; one for all by default.
        """
        how = {"regularity": self._stages, "extra_stays": self.extra_stays}
        return InTime.of(x, count, stratum, **how)

    def stay_shape(self, x: Numbers, *, b: Numbers) -> FloatArray:
        """Second shape B of the dropout probability of a customer alive after x repeats."""
        (shape,) = check_positive(b=b)
        return shape + check_counts("x", x) + self.extra_stays

    def log_odds_terms(self, x: Numbers, **parameters: Unpack[Parameters]) -> LogOddsTerms:
        """Return what the odds of having dropped out owe to x and the draw, whatever the times.

        offset is ln a - ln(B - 1); power is R, r + x where every stage is a purchase.
        """
        x = check_counts("x", x)
        r, _, a, b = check_parameters(**parameters)
        asked = x + self.extra_stays
        stayed = b + np.maximum(asked - 1.0, 0.0)
        offset = np.where(asked > 0, np.log(a) - np.log(stayed), -np.inf)
        return LogOddsTerms(offset, r + self._stages * x)

    def endless(self, **parameters: Unpack[Parameters]) -> npt.NDArray[np.bool_]:
        """Whether the undiscounted purchases of a lifetime are infinite: a <= 1."""
        _, _, a, _ = check_parameters(**parameters)
        return np.asarray(a <= 1.0)

    def customers(
        self,
        size: int,
        rngs: tuple[np.random.Generator, np.random.Generator],
        **parameters: Unpack[Parameters],
    ) -> Customers:
        """Draw new customers, with what is never observed of them.

        Parameters
        ----------
        size : int
            How many.
        rngs : tuple of Generator
            For the rates (of stages), and for the dropout probabilities.
        r, alpha, a, b : array_like
            Parameters.
        """
        r, alpha, a, b = check_parameters(**parameters)
        rate = rngs[0].standard_gamma(r, size) / alpha
        return Customers(rate, rngs[1].beta(a, b, size))

    def repeat_purchases(
        self, customers: Customers, observed: FloatArray, rng: np.random.Generator
    ) -> Iterator[Round]:
        """Yield, round by round, who buys once more within their time, and when.

        Parameters
        ----------
        customers : Customers
            From :meth:`customers`.
        observed : ndarray, shape (n,)
            How long each is observed.
        rng : Generator
            Of all times and all leaving.
        """
        return rounds(customers, observed, rng, at_first=self.extra_stays, stages=self._stages)
