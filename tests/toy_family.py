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
from typing import Any, Final

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.fused import Fused, by_stratum
from clvmodels.formulas.story import Customers, Round, rounds
from clvmodels.model_facts import BetaDefault, LogNormalDefault, Parameter
from clvmodels.purchases import MODELS, PurchaseModel
from clvmodels.purchases.model import Described

Array = np.ndarray


@dataclass(frozen=True)
class ToyFamily:
    """One rate and one probability of leaving for all."""

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
    family=ToyFamily(),  # type: ignore[arg-type]
)
TRUTH: Final = {"lam": 0.08, "p_leave": 0.2}


def add_to_catalogue(monkeypatch: Any) -> PurchaseModel:
    """The one entry that a new model needs."""
    monkeypatch.setitem(MODELS, TOY.key, TOY)
    return TOY
