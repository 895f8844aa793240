"""What a model knows of customers besides their purchases: factors, their levels and effects.

A factor is a column of the table: categories, or a number that was cut into bins, so that a
stratum (a combination of levels) is shared by many customers. An effect moves what is bought,
who leaves, or what is spent, by the level of one factor, on the logarithmic scale that the model
says. Draws
hold every effect by its own name, `Effect.names`, and so are cut and thinned like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from clvmodels.formulas.strata import MOST_STRATA
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
Side = Literal["purchases", "dropout", "spend"]
Kind = Literal["level", "pooled", "ordered", "number"]
SIDES: Final[tuple[Side, ...]] = ("purchases", "dropout", "spend")
FIRST_PURCHASE: Final = "first purchase"
"""A factor that needs no column: the day of the first purchase, since 1970-01-01."""
OTHER: Final = "(other)"
MISSING: Final = "(missing)"
EFFECTS_PRIOR: Final = "log_prior_of_effects"
"""Of each draw, in ``sample_stats``: of effects and of groups' spreads, as they are sampled."""
GROUPS_DENSITY: Final = "log_density_of_groups"
"""The same of pooled effects given their spread, unless ``lp`` is integrated over them."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A column of customers' attributes, as the base that was fitted had it.

    Attributes
    ----------
    name : str
        Of the column.
    levels : tuple of str
        Categories in order; of a number the bins, as texts.
    customers : tuple of int
        Of each level, in the base.
    edges : tuple of float
        Of a number: where one bin ends and the next begins; empty for categories.
    numbers : tuple of float
        Of a number: each bin's mean in standard deviations from the base's mean.
    numeric : bool
        Whether it is a number.
    """

    name: str
    levels: tuple[str, ...]
    customers: tuple[int, ...]
    edges: tuple[float, ...] = ()
    numbers: tuple[float, ...] = ()
    numeric: bool = False

    @property
    def cut(self) -> tuple[Any, ...]:
        """What two factors have in common that tell customers apart alike."""
        return self.name, self.levels, self.edges, self.numeric

    def codes(self, values: npt.NDArray[Any]) -> IntArray:
        """Level of each value; the one after the last where it is none that was fitted.

        Parameters
        ----------
        values : ndarray of object or float, shape (N,)
            Texts, None or NaN where there is none; or numbers.
        """
        if self.numeric:
            found = np.searchsorted(np.array(self.edges), values, side="right").astype(np.int64)
            return np.where(np.isnan(values), len(self.levels), found)
        import pandas as pd

        place = {level: i for i, level in enumerate(self.levels)}
        code, level = pd.factorize(values)
        known = [place.get(str(one), len(self.levels)) for one in level]
        missing = place.get(MISSING, len(self.levels))
        return np.array([*known, missing], dtype=np.int64)[code]  # -1 is the last


@dataclass(frozen=True, slots=True)
class Effect:
    """By how much the levels of a factor move one side of the model.

    Attributes
    ----------
    side : {"purchases", "dropout", "spend"}
        How often customers buy, when they leave, or what they spend.
    factor : str
        Name of the factor.
    kind : {"level", "pooled", "ordered", "number"}
        Levels of their own; pooled ones, whose spread is learnt; ordered ones, each near the
        one before; or a slope by a standardised number.
    sd : float
        Prior standard deviation of an effect; where it is learnt, of the half-normal of that.
    levels : tuple of str
        Of the factor.
    """

    side: Side
    factor: str
    kind: Kind
    sd: float
    levels: tuple[str, ...]

    @property
    def learnt(self) -> bool:
        """Whether the levels' spread is learnt."""
        return self.kind in ("pooled", "ordered")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the draws of all levels, and of a level that the base did not have."""
        return tuple(f"{self.side}[{self.factor}={one}]" for one in (*self.levels, OTHER))

    @property
    def spread(self) -> str:
        """Name of the draws of the levels' standard deviation, where it is learnt."""
        return f"{self.side}[sd of {self.factor}]"

    @property
    def drawn(self) -> tuple[str, ...]:
        """Names of all its draws."""
        return (*self.names, *((self.spread,) if self.learnt else ()))


@dataclass(frozen=True)
class Design:
    """Factors and effects of a fitted model; hashable, and written as plain values.

    Attributes
    ----------
    factors : tuple of Factor
    effects : tuple of Effect
    mix : tuple of (int, int)
        Strata of the base that was fitted, and their customers.
    """

    factors: tuple[Factor, ...]
    effects: tuple[Effect, ...]
    mix: tuple[tuple[int, int], ...] = ()

    def on(self, other: Design) -> Design:
        """The same effects, by the strata and the mix of a design that has all these factors."""
        return Design(other.factors, self.effects, other.mix)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that a table must have."""
        return tuple(one.name for one in self.factors)

    @property
    def drawn(self) -> tuple[str, ...]:
        """Names of the draws of all effects."""
        return tuple(name for one in self.effects for name in one.drawn)

    @property
    def graph(self) -> tuple[Any, ...]:
        """What is equal for designs that differ in their customers only."""
        return self.effects, tuple(one.numbers for one in self.factors)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Levels of each factor, with that of whatever the base did not have."""
        return tuple(len(one.levels) + 1 for one in self.factors)

    @property
    def possible(self) -> int:
        """How many strata there can be."""
        return int(np.prod(self.sizes, dtype=object))

    @property
    def fits(self) -> bool:
        """Whether there is a number for each of them."""
        return self.possible < MOST_STRATA

    def strata(self, codes: Mapping[str, IntArray]) -> IntArray:
        """Stratum of each customer, from 1 on.

        Parameters
        ----------
        codes : mapping of str to ndarray of int, shape (N,)
            Level by factor, as `Factor.codes` has it; of one that is left out, the first.
        """
        found = np.zeros(len(next(iter(codes.values()), ())), dtype=np.int64)
        for factor, size in zip(self.factors, self.sizes, strict=True):
            found = found * size + codes.get(factor.name, 0)
        return found + 1

    def levels_of(self, strata: npt.ArrayLike) -> dict[str, IntArray]:
        """Level of each factor by its name, for strata."""
        rest, found = np.asarray(strata, dtype=np.int64) - 1, {}
        for factor, size in zip(self.factors[::-1], self.sizes[::-1], strict=True):
            rest, found[factor.name] = np.divmod(rest, size)
        return found

    def is_older(self, stratum: int) -> bool:
        """Whether a stratum's customers came before the log began, as far as can be told."""
        levels = self.levels_of(stratum)
        return FIRST_PURCHASE in levels and int(levels[FIRST_PURCHASE]) == 0

    def unknown(self, strata: IntArray) -> int:
        """How many of these customers have a level that the base did not have."""
        return int(self.is_new(strata).sum())

    def is_new(self, strata: IntArray) -> npt.NDArray[np.bool_]:
        """Who has a level that the base did not have, or no number."""
        found: npt.NDArray[np.bool_] = np.logical_or.reduce([*self._new(strata).values()])
        return found

    def unknown_by(self, strata: IntArray) -> dict[str, int]:
        """The same by factor, of those where there are some."""
        counts = {name: int(new.sum()) for name, new in self._new(strata).items()}
        return {name: count for name, count in counts.items() if count}

    def _new(self, strata: IntArray) -> dict[str, npt.NDArray[np.bool_]]:
        levels = self.levels_of(strata)
        return {one.name: levels[one.name] == len(one.levels) for one in self.factors}

    @property
    def moving(self) -> tuple[str, ...]:
        """Names of the factors that some effect goes by."""
        own = {one.factor for one in self.effects}
        return tuple(name for name in self.columns if name in own)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of columns that tell nobody apart."""
        return tuple(
            f"All customers have one value of {one.name} ({one.levels[0]}), which moves nothing."
            for one in self.factors
            if len(one.levels) == 1
        )

    def narrowed(self) -> Design | None:
        """The same effects by their own factors alone; None where there are no effects."""
        kept = tuple(one for one in self.factors if one.name in self.moving)
        if not kept:
            return None
        found, strata = (
            Design(kept, self.effects),
            np.array([g for g, _ in self.mix], dtype=np.int64),
        )
        own, sizes = found.strata(self.levels_of(strata)), [n for _, n in self.mix]
        each, place = np.unique(own, return_inverse=True)
        counts = np.bincount(place, sizes, len(each)).astype(np.int64)
        return Design(kept, self.effects, tuple(zip(each.tolist(), counts.tolist(), strict=True)))

    def eta(self, side: Side, stratum: int, draws: Mapping[str, Any]) -> Any:
        """By how much a stratum's customers differ from the average, in every draw."""
        levels = self.levels_of(stratum)
        own = [one for one in self.effects if one.side == side]
        return sum((draws[one.names[int(levels[one.factor])]] for one in own), start=0.0)

    def most(self, side: Side, draws: Mapping[str, FloatArray]) -> Any:
        """No stratum's is more than this, in every draw."""
        own = [one for one in self.effects if one.side == side]
        return sum((np.max([draws[n] for n in one.names], axis=0) for one in own), start=0.0)

    def words(self, stratum: int) -> str:
        """What a stratum's customers have in common."""
        levels = self.levels_of(stratum)
        texts = [(*one.levels, OTHER)[int(levels[one.name])] for one in self.factors]
        return ", ".join(f"{f.name} {text}" for f, text in zip(self.factors, texts, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "factors": [
                {
                    "name": one.name,
                    "levels": list(one.levels),
                    "customers": list(one.customers),
                    "edges": list(one.edges),
                    "numbers": list(one.numbers),
                    "numeric": one.numeric,
                }
                for one in self.factors
            ],
            "effects": [
                {"side": one.side, "factor": one.factor, "kind": one.kind, "sd": one.sd}
                for one in self.effects
            ],
            "mix": [list(one) for one in self.mix],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Design:
        """Rebuild from :meth:`to_dict`."""
        factors = tuple(
            Factor(
                name=str(one["name"]),
                levels=tuple(map(str, one["levels"])),
                customers=tuple(map(int, one["customers"])),
                edges=tuple(map(float, one["edges"])),
                numbers=tuple(map(float, one["numbers"])),
                numeric=bool(one["numeric"]),
            )
            for one in record["factors"]
        )
        levels = {one.name: one.levels for one in factors}
        effects = tuple(
            Effect(one["side"], one["factor"], one["kind"], one["sd"], levels[one["factor"]])
            for one in record["effects"]
        )
        return cls(factors, effects, tuple((int(g), int(n)) for g, n in record["mix"]))


def mix_of(strata: IntArray) -> tuple[tuple[int, int], ...]:
    """Strata that occur, and how many customers each has."""
    found, size = np.unique(strata, return_counts=True)
    return tuple(zip(found.tolist(), size.tolist(), strict=True))
