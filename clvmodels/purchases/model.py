"""What a purchase model is: an entry of the catalogue, with its facts and what computes it."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

from clvmodels.model_facts import ModelFacts
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.purchases.family import Family

AT_ANY_TIME: Final = "at any time"
NEVER: Final = "never"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PurchaseModel(ModelFacts):
    """A model of how often customers buy, and of when they leave.

    Attributes
    ----------
    family : Family or str
        What computes; as "module:name" it is imported when it is first asked for, so that
        facts cost nothing.
    leaves : str
        When a customer may leave, in words that follow "leaves": "at any time", "never", or
        such as "after each purchase".
    once_says_nothing : bool
        Whether P(alive) of customers who bought once is 1 forever, whatever they do.
    endless_where : str
        Where the undiscounted purchases of a lifetime are infinite, in symbols; empty where
        they are whatever the parameters.
    describe : callable
        Takes draws by parameter and says what they mean for the average customer. Like
        ``moved`` and ``family`` it goes to Spark's workers by its name, so that of an entry
        which is not the package's own it must not be a lambda.
    joint : Joint, optional
        Parameters that are sampled in place of others.
    moved : callable, optional
        Takes parameters by name and two factors, and returns the parameters of customers who
        buy so many times as often, and whose odds or rate of leaving are so many times as
        great; of numbers, arrays or PyTensor's variables. None where covariates have no
        meaning.
    regularity : int
        k, where times between purchases are Erlang-k: 1 where they are exponential.
    irregular : str
        Key of the same model with k = 1; empty where there is no other k.
    """

    family: Family | str
    leaves: str
    once_says_nothing: bool
    endless_where: str
    describe: Callable[[Mapping[str, FloatArray]], tuple[Described, ...]]
    joint: Joint | None = None
    moved: Callable[[Mapping[str, Any], Any, Any], dict[str, Any]] | None = None
    regularity: int = 1
    irregular: str = ""

    @property
    def leaving(self) -> str:
        """Who leaves when, to follow "in" and the model's name."""
        if self.leaves == NEVER:
            return "nobody ever leaves"
        return f"a customer can leave only {self.leaves}"

    def silent_of(self, once: str) -> str:
        """Whom P(alive) says nothing of: those who bought once, or all where nobody leaves."""
        return "any customer" if self.leaves == NEVER else once

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
    counts : {"a year", "share", "money"}
        A rate per unit of time, to be told by the year, a share, or an amount.
    """

    words: str
    values: FloatArray
    counts: Literal["a year", "share", "money"]


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
