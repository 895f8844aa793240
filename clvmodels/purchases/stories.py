"""The stories behind ``simulate``: who buys when, how much, and observed how long.

Customers come in blocks of fixed size, each with its own random streams, so that
memory beyond the result does not grow with the number of customers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.purchases import PurchaseModel, purchase_model
from clvmodels.schema import FloatArray, check_number, check_whole, shown

if TYPE_CHECKING:
    from clvmodels.formulas.story import Customers, Round

ObservationTime = float | tuple[float, float] | npt.ArrayLike

# Part of what a seed means: another size gives other data.
BLOCK: Final = 65_536
RATES, DROPOUTS, OBSERVED, TIMES, LEVELS, AMOUNTS = range(6)


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


@dataclass(frozen=True, slots=True)
class Population:
    """The model, and the mixture that customers come from."""

    n: int
    model: PurchaseModel
    parameters: Mapping[str, float]
    seed: int

    @staticmethod
    def of(n: int, key: str, seed: int, given: Mapping[str, float | None]) -> Population:
        """Check what was given, all of it and nothing else."""
        check_whole("n", n, least=0)
        check_whole("seed", seed, least=0)
        model = purchase_model(key)
        names = model.parameter_names
        parameters = {name: value for name, value in given.items() if value is not None}
        if set(parameters) != set(names):
            raise SchemaError(
                f"model={key!r} has the parameters {', '.join(names)}; given are "
                f"{', '.join(parameters) or 'none'}."
            )
        for name in names:
            check_positive(name, parameters[name])
            if model.is_share(name) and parameters[name] >= 1:
                raise DomainError(f"{name}={shown(parameters[name])} must lie between 0 and 1.")
        return Population(n, model, {name: float(parameters[name]) for name in names}, seed)

    def blocks(self) -> Iterator[Block]:
        """One at least, so that the result of nobody has its columns."""
        for number in range(max(-(-self.n // BLOCK), 1)):
            yield Block(self.seed, number, self.n)

    def customers(self, block: Block) -> Customers:
        """Draw what is never observed of the block."""
        rngs = block.rng(RATES), block.rng(DROPOUTS)
        return self.model.formulas.customers(block.size, rngs, **self.parameters)

    def repeat_purchases(self, block: Block, observed: FloatArray) -> Iterator[Round]:
        """Yield, round by round, who buys once more within their time, and when."""
        customers = self.customers(block)
        return self.model.formulas.repeat_purchases(customers, observed, block.rng(TIMES))


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
