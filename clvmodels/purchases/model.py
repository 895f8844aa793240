"""What a purchase model is: its facts, and a family that computes.

In all functions x is the number of repeat purchases, t_x the time of the last one and T
the customer's age, both counted from the first purchase.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from clvmodels.model_facts import ModelFacts
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.formulas.beta_geometric import LogOddsTerms
    from clvmodels.formulas.fused import Fused
    from clvmodels.formulas.residual import ResidualPurchases
    from clvmodels.formulas.story import Customers, Round

Numbers = npt.ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PurchaseModel(ModelFacts):
    """A model of how often customers buy, and of when they leave.

    Attributes
    ----------
    family : Family or str
        What computes; as "module:name" it is imported when it is first asked for, so that
        facts cost nothing.
    leaves : str
        When a customer may leave, in words.
    once_says_nothing : bool
        Whether P(alive) of customers who bought once is 1 for ever, whatever they do.
    endless_where : str
        Where the undiscounted purchases of a lifetime are infinite, in symbols.
    describe : callable
        Takes draws by parameter and says what they mean for the average customer.
    joint : Joint, optional
        Parameters that are sampled in place of others.
    """

    family: Family | str
    leaves: str
    once_says_nothing: bool
    endless_where: str
    describe: Callable[[Mapping[str, FloatArray]], tuple[Described, ...]]
    joint: Joint | None = None

    @property
    def formulas(self) -> Family:
        """What computes."""
        if isinstance(self.family, str):
            return cast("Family", pkgutil.resolve_name(self.family))
        return self.family


@dataclass(frozen=True, slots=True)
class Described:
    """A figure of the average customer that people can picture.

    Attributes
    ----------
    words : str
        What it is; "{leaves}" stands for when a customer may leave.
    values : ndarray, shape (S,)
        In every draw.
    counts : {"a year", "share"}
        A rate per unit of time, to be told by the year, or a share.
    """

    words: str
    values: FloatArray
    counts: Literal["a year", "share"]


class Joint(Protocol):
    """Two parameters of the likelihood, through two others that are sampled."""

    @property
    def sampled(self) -> tuple[str, str]:
        """Names of those that have priors."""

    @property
    def made(self) -> tuple[str, str]:
        """Names of those that are made of them."""

    def make(self, one: Any, other: Any) -> tuple[Any, Any]:
        """Make those of the likelihood: of numbers, arrays or PyTensor's variables."""

    def unmake(self, one: Any, other: Any) -> tuple[Any, Any]:
        """Make those that are sampled."""


class Family(Protocol):
    """What a purchase model can compute; ``BetaGeometric`` documents each."""

    def stay_shape(self, x: Numbers, *, b: Numbers) -> FloatArray:
        """Second shape of the dropout probability of a customer alive after x repeats."""

    def log_likelihood(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Numbers
    ) -> FloatArray:
        """Log-likelihood of each history."""

    def fused(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        count: FloatArray,
        *,
        stratum: npt.NDArray[np.integer] | None = None,
    ) -> Fused:
        """Prepare a base for a compiled sum of the log-likelihood, and its gradient."""

    def customers(
        self,
        size: int,
        rngs: tuple[np.random.Generator, np.random.Generator],
        **parameters: Numbers,
    ) -> Customers:
        """Draw new customers, with what is never observed of them."""

    def repeat_purchases(
        self, customers: Customers, observed: FloatArray, rng: np.random.Generator
    ) -> Iterator[Round]:
        """Yield, round by round, who of them buys once more within their time, and when."""

    def log_odds_terms(self, x: Numbers, **parameters: Numbers) -> LogOddsTerms:
        """Return what the log odds of having dropped out owe to x and the draw alone."""

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Numbers) -> FloatArray:
        """Probability of being alive at T."""

    def p_purchase(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Probability of at least one purchase in (T, T + horizon]."""

    def expected_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Purchases expected in (T, T + horizon]."""

    def discounted_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        delta: Numbers,
        *,
        month: float | None = None,
        **parameters: Numbers,
    ) -> FloatArray:
        """Discounted purchases expected in (T, T + horizon]."""

    def if_alive_block(
        self,
        x: Numbers,
        T: Numbers,
        horizon: float,
        delta: float,
        *,
        month: float | None = None,
        **parameters: Numbers,
    ) -> ResidualPurchases:
        """Purchases of living customers for draws (rows) by histories (columns)."""

    def if_alive_along(
        self, x: float, T: Numbers, lengths: Numbers, **parameters: Numbers
    ) -> FloatArray:
        """Purchases of living customers for draws by ages by many lengths of time."""

    def expected_purchases_new(self, t: Numbers, **parameters: Numbers) -> FloatArray:
        """Repeat purchases expected of a new customer in (0, t]."""

    def discounted_purchases_new(
        self,
        t: Numbers,
        delta: Numbers,
        *,
        month: float | None = None,
        **parameters: Numbers,
    ) -> FloatArray:
        """Discounted repeat purchases expected of a new customer in (0, t]."""

    def pmf(
        self,
        n: Numbers,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Probability of exactly n purchases in (T, T + horizon]."""

    def pmf_new(self, n: Numbers, t: Numbers, **parameters: Numbers) -> FloatArray:
        """Probability that a new customer makes n repeat purchases in (0, t]."""

    def endless(self, **parameters: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the undiscounted purchases of a lifetime are infinite in expectation."""
