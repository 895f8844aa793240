"""What a prediction is made of: paired draws of both models, and the future asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.forecast.spending import (
    SpendEffects,
    coefficients,
    mean_of_new,
    scales,
    split_effects,
)
from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import plain, stratum_of
from clvmodels.purchases.design import Design
from clvmodels.purchases.family import Family
from clvmodels.purchases.stratified import births_of
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_PAIRING_SEED: Final = 20050510


class Costs(NamedTuple):
    """What is taken off the margin of what customers bring.

    Attributes
    ----------
    order : float
        By discounted order.
    year, active : float
        By discounted unit of T, until the horizon and until the customer leaves.
    """

    order: float = 0.0
    year: float = 0.0
    active: float = 0.0


@dataclass(frozen=True, slots=True)
class Future:
    """What is to be predicted.

    Attributes
    ----------
    due : Due
        Until when purchases count, and how they are discounted.
    interval : float
        Probability of the equal-tailed intervals.
    margin : float
        Share of revenue that values are made of.
    costs : Costs or None
        Taken off it, where values are more than a share of revenue for all; customers may then
        have shares of their own. None where they are not, which costs less.
    """

    due: Due
    interval: float
    margin: float
    costs: Costs | None = None

    def at_pace(self, pace: float) -> Future:
        """The same where a unit of time holds so many of the customers' own, evenly."""
        costs = self.costs
        if costs is not None:
            costs = costs._replace(year=costs.year / pace, active=costs.active / pace)
        return replace(self, due=self.due.at_pace(pace), costs=costs)


@dataclass(frozen=True, slots=True)
class Draws:
    """Paired parameter draws of both models, or of purchases alone.

    Attributes
    ----------
    purchases : mapping of str to ndarray, shape (S,)
        By parameter of the purchase model.
    spend : mapping of str to ndarray, shape (S,), or None
        p, q, v, or the value of a basket (`clvmodels.forecast.spending`), already permuted
        against the purchases; None where nothing is known of spend.
    formulas : Family
        Of the purchase model.
    counted : float
        1 where m_bar is the mean of first orders too, which spend then depends on; else 0.
    effects : SpendEffects or None
        By which v differs from stratum to stratum, permuted like p, q and v.
    """

    purchases: Mapping[str, FloatArray]
    spend: Mapping[str, FloatArray] | None
    formulas: Family
    counted: float = 0.0
    effects: SpendEffects | None = None

    def means(self, x: FloatArray, m_bar: FloatArray) -> FloatArray:
        """Mean spend of customers, 0 of those without an amount that counts, shape (N,)."""
        return np.where(plain(x) + self.counted == 0, 0.0, m_bar)

    def scales(self, kinds: FloatArray) -> tuple[FloatArray, IntArray]:
        """What amounts go with, and which of it customers have: see `spending.scales`."""
        return scales(self.spend, self.effects, kinds, self.count)

    def spend_line(self, kinds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Intercept and slope in m_bar of the expected spend, each of shape (N, S).

        Parameters
        ----------
        kinds : ndarray, shape (N,)
            Purchases with the strata of customers.
        """
        scale, place = self.scales(kinds)
        return coefficients(self.spend, plain(kinds) + self.counted, scale[place])

    @property
    def arrivals(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As what new customers come who differ in spend: x, shares, and mean spend by draw.

        Shapes (G,), (G,) and (G, S). Where spend is the same for all there is one kind, whose
        purchases are those of the mix.
        """
        assert self.spend is not None  # a value is asked for, and so there is some
        mean = np.broadcast_to(mean_of_new(self.spend), self.count)
        if self.effects is None:
            return np.zeros(1), np.ones(1), mean[None]
        kinds, shares = births_of(self.formulas)
        times = [self.effects.times(int(g)) for g in stratum_of(kinds)]
        return kinds, shares, np.array([mean * one for one in times])

    @property
    def endless(self) -> npt.NDArray[np.bool_]:
        """In which draws the undiscounted purchases of a lifetime are infinite."""
        return self.formulas.endless(**self.purchases)

    @property
    def count(self) -> int:
        """Number of draws."""
        return len(next(iter(self.purchases.values())))


def pair(
    purchases: Mapping[str, FloatArray],
    spend: Mapping[str, FloatArray],
    formulas: Family,
    counted: float = 0.0,
    design: Design | None = None,
) -> Draws:
    """Pair the draws of two independent posteriors by a fixed, seeded permutation."""
    count = len(next(iter(spend.values())))
    order = np.random.default_rng(_PAIRING_SEED).permutation(count)
    paired = {name: values[order] for name, values in spend.items()}
    own, effects = split_effects(paired, design)
    return Draws(purchases, own, formulas, counted, effects)


def tail_probabilities(interval: float) -> tuple[float, float]:
    """Lower and upper probability of an equal-tailed interval."""
    return (1.0 - interval) / 2.0, (1.0 + interval) / 2.0


def share(condition: npt.NDArray[np.bool_]) -> float:
    """Share of draws for which something holds."""
    return float(np.mean(condition))
