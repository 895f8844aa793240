"""The stories behind ``simulate``: who buys when, how much, and observed how long.

Customers come in blocks of fixed size, each with its own random streams, so that
memory beyond the result does not grow with the number of customers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.purchases import ModelKey, purchase_model
from clvmodels.schema import FloatArray, check_number, check_whole, shown

if TYPE_CHECKING:
    from clvmodels.formulas.beta_geometric import BetaGeometric

ObservationTime = float | tuple[float, float] | npt.ArrayLike
IntArray = npt.NDArray[np.int64]

# Part of what a seed means: another size gives other data.
BLOCK: Final = 65_536
RATES, DROPOUTS, OBSERVED, TIMES, LEVELS, AMOUNTS = range(6)


class Customers(NamedTuple):
    """What is never observed: each customer's own parameters.

    Attributes
    ----------
    purchase_rate : ndarray of shape (n,)
        lambda, purchases per unit of time.
    dropout : ndarray of shape (n,)
        p, probability of leaving after a purchase.
    """

    purchase_rate: FloatArray
    dropout: FloatArray


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive customers, with random streams of their own."""

    seed: int
    number: int
    n: int

    @property
    def start(self) -> int:
        """Position of the first customer."""
        return self.number * BLOCK

    @property
    def size(self) -> int:
        """How many customers."""
        return min(BLOCK, self.n - self.start)

    @property
    def rows(self) -> slice:
        """Their positions."""
        return slice(self.start, self.start + self.size)

    def rng(self, stream: int) -> np.random.Generator:
        """Return a stream that no other block, purpose or seed shares."""
        key = (self.number, stream)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The mixture that customers come from."""

    n: int
    r: float
    alpha: float
    a: float
    b: float
    seed: int
    model: ModelKey

    def __post_init__(self) -> None:
        check_whole("n", self.n, least=0)
        check_whole("seed", self.seed, least=0)
        for name in ("r", "alpha", "a", "b"):
            check_positive(name, getattr(self, name))
        purchase_model(self.model)

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of customers, in order."""
        for number in range(-(-self.n // BLOCK)):
            yield Block(self.seed, number, self.n)

    def customers(self, block: Block) -> Customers:
        """Draw the block's rates and dropout probabilities."""
        rate = block.rng(RATES).standard_gamma(self.r, block.size) / self.alpha
        return Customers(rate, block.rng(DROPOUTS).beta(self.a, self.b, block.size))

    def repeat_purchases(
        self, block: Block, observed: FloatArray
    ) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield, round by round, who buys once more within their time, and when.

        Parameters
        ----------
        observed : ndarray of shape (block.size,)
            Each customer's time under observation.

        Yields
        ------
        who : ndarray of int
            Positions within the block, increasing.
        when : ndarray of float
            Time since the first purchase, no later than ``observed[who]``.
        """
        rate, dropout = self.customers(block)
        rng = block.rng(TIMES)
        who = np.arange(block.size)
        family = cast("BetaGeometric", purchase_model(self.model).formulas)
        for _ in range(family.extra_stays):
            who = who[rng.random(who.size) >= dropout]
        when = np.zeros(who.size)
        while who.size:
            # A rate may underflow to 0: the wait is then infinite, as it should be.
            with np.errstate(divide="ignore", over="ignore"):
                when = when + rng.standard_exponential(who.size) / rate[who]
            inside = when <= observed[who]
            who, when = who[inside], when[inside]
            if not who.size:
                return
            yield who, when
            stays = rng.random(who.size) >= dropout[who]
            who, when = who[stays], when[stays]


@dataclass(frozen=True, slots=True)
class Spend:
    """Gamma-Gamma amounts: nu ~ Gamma(q, v) per customer, Gamma(p, nu) per purchase."""

    p: float
    q: float
    v: float
    cents: bool

    @staticmethod
    def of(p: float | None, q: float | None, v: float | None, *, cents: bool) -> Spend | None:
        """Return what is spent; None where nothing is said of it."""
        if p is None and q is None and v is None:
            return None
        if p is None or q is None or v is None:
            raise DomainError(f"p={p}, q={q}, v={v}: give all three for amounts, or none.")
        for name, value in (("p", p), ("q", q), ("v", v)):
            check_positive(name, value)
        return Spend(float(p), float(q), float(v), cents)

    def levels(self, block: Block) -> FloatArray:
        """Draw each customer's scale of amounts, 1 / nu."""
        with np.errstate(divide="ignore"):
            return self.v / block.rng(LEVELS).standard_gamma(self.q, block.size)

    def amounts(self, level: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw one amount per entry of level, in cents if amounts are whole cents."""
        amount = level * rng.standard_gamma(self.p, level.size)
        return np.maximum(np.rint(100.0 * amount), 1.0) if self.cents else amount

    @property
    def unit(self) -> float:
        """What an amount is divided by: sums of whole cents stay exact until the end."""
        return 100.0 if self.cents else 1.0


@dataclass(frozen=True, slots=True)
class Exposure:
    """How long each customer is observed, and in which periods purchases are merged.

    ``low`` and ``high`` are arrays of shape (n,) or scalars; in periods if there is one.
    """

    low: FloatArray
    high: FloatArray
    period: float | None

    @staticmethod
    def of(T: ObservationTime, *, n: int, period: float | None) -> Exposure:
        """Return how long each of n customers is observed."""
        if period is not None:
            check_positive("period", period)
        bounds = T if isinstance(T, tuple) and len(T) == 2 else (T, T)
        low, high = (whole_periods(bound, n=n, period=period) for bound in bounds)
        if isinstance(T, tuple) and (low.ndim or high.ndim or low > high):
            raise DomainError(f"T={T!r} as a range must be two numbers, low <= high.")
        return Exposure(low, high, None if period is None else float(period))

    def draw(self, block: Block) -> FloatArray:
        """Draw times under observation: in periods if there is one, else in units."""
        if self.low.ndim:
            return self.low[block.rows]
        rng = block.rng(OBSERVED)
        if self.period is None:
            return rng.uniform(self.low, self.high, block.size)
        return rng.integers(int(self.low), int(self.high), block.size, endpoint=True).astype(float)

    @property
    def unit(self) -> float:
        """Length of what ``draw`` counts, in units of time."""
        return 1.0 if self.period is None else self.period

    def merge(self, when: FloatArray, observed: FloatArray) -> FloatArray:
        """Turn times in periods into the number of the period, 1 to T; else leave them."""
        if self.period is None:
            return when
        return np.clip(np.ceil(when), 1.0, observed)


def whole_periods(T: npt.ArrayLike, *, n: int, period: float | None) -> FloatArray:
    """Observation times as a checked array of shape () or (n,), in periods if any."""
    try:
        times = np.asarray(T, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DomainError(f"T={shown(T)} must be a number, (low, high), or {n} values.") from error
    if times.ndim and times.shape != (n,):
        raise DomainError(
            f"T has shape {times.shape}: give one number, (low, high), or {n} values."
        )
    if not bool(np.all(np.isfinite(times) & (times >= 0))):
        raise DomainError("T must be finite and >= 0 everywhere.")
    if period is None:
        return times
    counts = np.asarray(np.rint(times / period))
    if not np.allclose(counts * period, times, rtol=1e-9, atol=0.0):
        raise DomainError(
            f"T must be whole periods of {period:g}: round it, or use period=None "
            "for purchases in continuous time."
        )
    return counts


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a positive, finite number."""
    number = check_number(name, value)
    if not (math.isfinite(number) and number > 0):
        raise DomainError(f"{name}={value!r} must be a finite number > 0.")
