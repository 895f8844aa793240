"""A purchase model that is built like no other of the package, and shares no code with them.

All customers buy at one rate lam and leave after each repeat purchase with one probability
p, so that every answer has a closed form: the likelihood of (x, t_x, T) is

    lam^x e^(-lam t_x) (1 - p)^(x - 1) (p + (1 - p) e^(-lam (T - t_x))),   x > 0,

and e^(-lam T) at x = 0. What is tested with it is that the catalogue alone knows models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from scipy.special import expit, gammainc, logit

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import Due, calendar_time, flow_value, present_value
from clvmodels.formulas.fused import Fused, by_stratum
from clvmodels.formulas.random import exponential, uniform
from clvmodels.formulas.story import Customers, Round, rounds
from clvmodels.model_facts import BetaDefault, LogNormalDefault, Parameter
from clvmodels.purchases import MODELS, PurchaseModel
from clvmodels.purchases.family import NO_ROWS
from clvmodels.purchases.model import Described
from clvmodels.purchases.walks import Walks, order

Array = np.ndarray


@dataclass(frozen=True)
class ToyFamily:
    """One rate and one probability of leaving for all."""

    phases: ClassVar[int] = 1
    gap_power: ClassVar[int] = 0

    # --- what the loops read ---

    def weights(self, x: Array, t_x: Array, T: Array, draws: Mapping[str, Array]) -> _Alive:
        columns = (one[:, None] for one in (x, t_x, T))
        return _Alive(self.p_alive(*columns, **draws))

    def living(self, x: Array, T: Array, draws: Mapping[str, Array], due: Due) -> _Living:
        return _Living(len(x), draws["lam"], draws["p_leave"], due)

    def strip(self, draws: Mapping[str, Array]) -> None:
        return None

    def along(self, x: float, T: Array, lengths: Array, draws: Mapping[str, Array]) -> Array:
        p = draws["p_leave"]
        bought = -np.expm1(-(draws["lam"] * p)[:, None] * lengths) / p[:, None]
        return np.repeat(bought[None, :, None], len(T), axis=2)

    def staying(self, x: float, T: Array, lengths: Array, draws: Mapping[str, Array]) -> Array:
        stay = np.exp(-(draws["lam"] * draws["p_leave"])[:, None] * lengths)
        return np.repeat(stay[None, :, None], len(T), axis=2)

    # --- at points ---

    def p_alive(self, x: Any, t_x: Any, T: Any, *, lam: Any, p_leave: Any) -> Array:
        """Of those who bought again: 1 / (1 + p / (1 - p) e^(lam (T - t_x)))."""
        x, gap = np.asarray(x), np.asarray(T) - np.asarray(t_x)
        return np.where(x > 0, expit(-logit(p_leave) - np.asarray(lam) * gap), 1.0)

    def p_purchase(self, x: Any, t_x: Any, T: Any, horizon: Any, **parameters: Any) -> Array:
        alive = self.p_alive(x, t_x, T, **parameters)
        return alive * -np.expm1(-np.asarray(parameters["lam"]) * horizon)

    def expected_purchases(
        self, x: Any, t_x: Any, T: Any, horizon: Any, **parameters: Any
    ) -> Array:
        return self.discounted_purchases(x, t_x, T, horizon, 0.0, **parameters)

    def discounted_purchases(
        self,
        x: Any,
        t_x: Any,
        T: Any,
        horizon: Any,
        delta: Any,
        *,
        month: float | None = None,
        **parameters: Any,
    ) -> Array:
        """While alive lam a unit of time; alive after s with e^(-lam p s)."""
        lam, p = (np.asarray(parameters[name]) for name in ("lam", "p_leave"))
        alive = self.p_alive(x, t_x, T, **parameters)
        return alive * lam * flow_value(lam * p, horizon, delta, month=month)

    def pmf(self, n: Any, x: Any, t_x: Any, T: Any, horizon: Any, **parameters: Any) -> Array:
        n, alive = np.asarray(n), self.p_alive(x, t_x, T, **parameters)
        rate = np.asarray(parameters["lam"]) * horizon
        more, as_many = (_exceeds(one, rate, parameters["p_leave"]) for one in (n, n - 1.0))
        return alive * (as_many - more) + np.where(n == 0, 1.0 - alive, 0.0)

    def endless(self, *, lam: Any, p_leave: Any) -> Array:
        return np.asarray(p_leave) == 0.0

    # --- fitting and simulation ---

    def log_likelihood(self, x: Any, t_x: Any, T: Any, *, lam: Any, p_leave: Any) -> Array:
        x, t_x, T = (np.asarray(one, dtype=float) for one in (x, t_x, T))
        lam, p = np.asarray(lam, dtype=float), np.asarray(p_leave, dtype=float)
        after = np.log(p + (1.0 - p) * np.exp(-lam * (T - t_x)))
        bought = x * np.log(lam) - lam * t_x + np.maximum(x - 1.0, 0.0) * np.log1p(-p)
        return np.where(x > 0, bought + after, -lam * T)

    def fused(
        self, x: Array, t_x: Array, T: Array, count: Array, *, stratum: Array | None = None
    ) -> Fused:
        tables, ends = by_stratum(_tables, (x, t_x, T, count), stratum)
        return Fused({**tables, "ends": ends["gap"]}, _kernel)

    def in_sql(self) -> None:
        """A warehouse is not told of it: `strip` is None, and no T is like another."""

    def in_time(self, x: Array, count: Array, *, stratum: Array | None = None) -> None:
        """It learns no calendar."""

    def customers(
        self,
        size: int,
        rngs: tuple[np.random.Generator, np.random.Generator],
        *,
        lam: float,
        p_leave: float,
    ) -> Customers:
        return Customers(np.full(size, lam), np.full(size, p_leave))

    def repeat_purchases(
        self, customers: Customers, observed: Array, rng: np.random.Generator
    ) -> Iterator[Round]:
        return rounds(customers, observed, rng, at_first=0)


def _exceeds(n: Any, rate: Any, p: Any) -> Array:
    """P(count > n): n stays, and more than n events of a Poisson process."""
    n = np.asarray(n, dtype=float)
    stays = (1.0 - np.asarray(p)) ** np.maximum(n, 0.0)
    return np.where(n < 0, 1.0, stays * gammainc(np.maximum(n, 0.0) + 1.0, rate))


@dataclass(frozen=True)
class _Alive:
    alive: Array

    def fill(self, begin: int, out: Array) -> None:
        out[0] = self.alive[begin : begin + out.shape[1]]


@dataclass(frozen=True)
class _Living:
    """All living customers are alike, whatever they have done."""

    keys: int
    lam: Array
    p: Array
    due: Due

    @property
    def until(self) -> Array:
        return self.due.until(len(self.lam))

    def expect(self) -> tuple[Array, Array]:
        horizon, delta, month = self.due[:3]
        decay, shape = self.lam * self.p, (self.keys, 1, len(self.lam))
        flows = (
            flow_value(decay, horizon, 0.0),
            flow_value(decay, horizon, delta, month=month or None),
        )
        one, other = (np.broadcast_to(self.lam * flow, shape).copy() for flow in flows)
        return one, other

    def buys(self, begin: int, out: Array) -> None:
        out[:] = -np.expm1(-self.lam * self.until)

    def idle(self, begin: int, out: Array) -> None:
        out[:] = np.exp(-self.lam * self.until)

    def busiest(self, begin: int, end: int) -> Array:
        return np.full(end - begin, (self.lam * self.until).max())

    def exceeds(self, key: int, n: float) -> Array:
        return _exceeds(n, self.lam * self.until, self.p)[None]

    def survival(
        self, begin: int, least: float, most: int, fewest: Array = NO_ROWS
    ) -> tuple[Array, Array]:
        rows: list[Array] = []
        while not rows or rows[-1].mean() > least or len(rows) < sum(fewest[:1]):
            if len(rows) == most:
                return np.empty((0, 1, len(self.p))), np.zeros(2, dtype=np.int64)
            rows.append(self.exceeds(begin, float(len(rows))))
        return np.array(rows), np.array([0, len(rows)])

    def walk(self, walks: Walks) -> None:
        out = walks.orders, walks.bought, walks.stays, walks.begin, walks.times, walks.amounts
        asked = walks.draw, walks.chance, walks.state, walks.shape
        _walk(self.lam, self.p, self.until, self.due, *asked, *out)


@compiled
def _walk(
    lam, p, until, due, draw, chance, state, shape, orders, bought, stays, begin, times, amounts
):
    for n in range(draw.size):
        d, bits, count, total, stay = draw[n], state[n], 0, 0.0, True
        t = min(-math.log1p(-chance[n]) / lam[d], until[d])
        while stay and t <= until[d]:
            amount, bits = order(shape[d], bits)
            when = calendar_time(t, d, due.edges, due.warped)
            total += amount * present_value(when, due.delta, due.month)
            if begin.size:
                times[begin[n] + count], amounts[begin[n] + count] = when, amount
            count += 1
            u, bits = uniform(bits)
            stay = u >= p[d]
            wait, bits = exponential(bits)
            t += wait / lam[d]
        orders[n], bought[n], stays[n], state[n] = total, count, stay, bits


def _tables(x: Array, t_x: Array, T: Array, count: Array) -> dict[str, Array]:
    repeat = x > 0
    return {
        # purchases, time until the last one (of those who bought once: all of it), and stays
        "sums": np.array(
            [count @ x, count @ np.where(repeat, t_x, T), count @ np.maximum(x - 1.0, 0.0)]
        ),
        "gap": (T - t_x)[repeat],
        "weight": count[repeat],
    }


@compiled
def _kernel(theta, tables, gradient):
    lam, p = theta
    sums, gap, weight, ends = tables
    strata = lam.size
    out = np.zeros(1 + 2 * strata)
    for g in range(strata):
        if not (lam[g] > 0.0 and 0.0 < p[g] < 1.0):
            out[0] = -np.inf
            continue
        bought, time, stayed = sums[3 * g], sums[3 * g + 1], sums[3 * g + 2]
        out[0] += bought * math.log(lam[g]) - lam[g] * time + stayed * math.log1p(-p[g])
        out[1 + g] = bought / lam[g] - time
        out[1 + strata + g] = -stayed / (1.0 - p[g])
        for i in range(ends[g], ends[g + 1]):
            silent = math.exp(-lam[g] * gap[i])
            either = p[g] + (1.0 - p[g]) * silent
            out[0] += weight[i] * math.log(either)
            out[1 + g] -= weight[i] * gap[i] * (1.0 - p[g]) * silent / either
            out[1 + strata + g] += weight[i] * (1.0 - silent) / either
    return out


def _average_customer(draws: Mapping[str, Array]) -> tuple[Described, ...]:
    return (
        Described("repeat purchases a year while active", draws["lam"], "a year"),
        Described("leave for good {leaves}", draws["p_leave"], "share"),
    )


TOY: Final = PurchaseModel(
    key="toy",
    name="Toy/NBD",
    about="How often customers buy, and when they leave",
    papers="Nobody (2026). A model of one rate and one probability.",
    parameters=(Parameter("lam"), Parameter("p_leave")),
    defaults={
        "lam": LogNormalDefault(0.05, 1.5, False, "a purchase in three weeks, give or take"),
        "p_leave": BetaDefault(1.0, 1.0, "anything between 0 and 1"),
    },
    leaves="after each repeat purchase",
    once_says_nothing=True,
    endless_where="p_leave = 0",
    describe=_average_customer,
    family=ToyFamily(),
)
TRUTH: Final = {"lam": 0.08, "p_leave": 0.2}


def add_to_catalogue(monkeypatch: Any) -> PurchaseModel:
    """The one entry that a new model needs."""
    monkeypatch.setitem(MODELS, TOY.key, TOY)
    return TOY
