"""Several purchase models as one: every draw is of one of them, and says of which.

A stack's draws hold the parameters of all members, NaN where a draw's own model has none of
the name, and `MEMBER`, the place of its model among them. So they can be thinned, permuted and
cut like those of any model. `clvmodels.purchases.mixed_draws` has
what the loops read; here is what a stack is, and its formulas at points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import SchemaError
from clvmodels.formulas.discounting import Due
from clvmodels.model_facts import Parameter
from clvmodels.purchases.catalogue import purchase_model
from clvmodels.purchases.family import Draws, Family, Living, Numbers, Weights
from clvmodels.purchases.mixed_draws import MEMBER, mixed_living, mixed_weights, parts_of
from clvmodels.purchases.model import NEVER, Described, PurchaseModel
from clvmodels.purchases.of_others import MadeOfOthers, at_points
from clvmodels.schema import FloatArray

STACK: Final = "stack"
_PAPER: Final = (
    "Yao, Y., Vehtari, A., Simpson, D. & Gelman, A. (2018). Using stacking to average Bayesian "
    "predictive distributions. Bayesian Analysis 13(3), 917-1003."
)

IntArray = npt.NDArray[np.int64]


@cache
def stacked_model(members: tuple[str, ...]) -> PurchaseModel:
    """Return what a stack of models is, and what computes it.

    Parameters
    ----------
    members : tuple of str
        Keys of their models, in the order that `MEMBER` counts; one may be there twice.
    """
    models = [purchase_model(key) for key in members]
    kinds = list(dict.fromkeys(models))
    parameters = {one.name: one for model in models for one in model.parameters}
    return PurchaseModel(
        key=STACK,
        name=f"Stack of {_and(one.name for one in kinds)}",
        about=models[0].about,
        papers=" ".join([*dict.fromkeys(one.papers for one in kinds), _PAPER]),
        parameters=(*parameters.values(), Parameter(MEMBER)),
        defaults={name: one for model in models for name, one in model.defaults.items()},
        leaves=_or(one.leaves for one in kinds if one.leaves != NEVER) or NEVER,
        once_says_nothing=all(one.once_says_nothing for one in kinds),
        endless_where=_or(one.endless_where for one in kinds if one.endless_where),
        describe=_Describe(members),
        family=StackedFamily(members),
    )


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _or(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


@dataclass(frozen=True, slots=True)
class _Describe:
    """What the draws of a stack say of the average customer."""

    members: tuple[str, ...]

    def __call__(self, draws: Draws) -> tuple[Described, ...]:
        """Figures that all members have of every draw, those that one has of its own."""
        size, found = len(draws[MEMBER]), dict[tuple[str, Any], FloatArray]()
        for part in parts_of(self.members, draws):
            model = purchase_model(part.key)
            for one in model.describe(part.draws):
                words = one.words.format(leaves=model.leaves)
                column = found.setdefault((words, one.counts), np.full(size, np.nan))
                column[part.which] = one.values
        return tuple(
            Described(words, values[~np.isnan(values)], counts)
            for (words, counts), values in found.items()
        )


@dataclass(frozen=True, slots=True)
class StackedFamily(MadeOfOthers):
    """What the loops read of a stack; see `clvmodels.purchases.family.Family`.

    Attributes
    ----------
    members : tuple of str
        Keys of their models.
    """

    members: tuple[str, ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """What computes each member."""
        return tuple(purchase_model(key).formulas for key in self.members)

    @property
    def phases(self) -> int:
        """As many as the member with the most has."""
        return max(one.phases for one in self.families)

    @property
    def gap_power(self) -> int:
        """That of the members, which must have one.

        Raises
        ------
        SchemaError
            They differ: what the likelihood owes to the gaps is then not the same in all draws.
        """
        powers = {one.gap_power for one in self.families}
        if len(powers) > 1:
            raise SchemaError(
                "The likelihood of a stack whose models differ in regularity cannot be taken: "
                "compare its models one by one."
            )
        return powers.pop()

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> Weights:
        """P(alive, in phase) of histories: each member's, of its draws."""
        return mixed_weights(self.members, x, t_x, T, draws)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> Living:
        """What customers do who are alive: what each member says, of its draws."""
        return mixed_living(self.members, x, T, draws, due, self.phases)

    def strip(self, draws: Draws) -> tuple[float, float] | None:
        """Return the least c and the least w of all members."""
        found = [one.family.strip(one.draws) for one in parts_of(self.members, draws)]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return None
        return min(c for c, _ in known), min(w for _, w in known)

    def along(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers within many lengths, (K, S, ages, lengths)."""
        return self._each("along", x, T, lengths, draws)

    def staying(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """P(alive after many lengths | alive at T), (K, S, ages, lengths)."""
        return self._each("staying", x, T, lengths, draws)

    def _each(
        self, verb: str, x: float, T: FloatArray, lengths: FloatArray, draws: Draws
    ) -> FloatArray:
        out = np.zeros((self.phases, len(draws[MEMBER]), len(T), lengths.shape[-1]))
        for one in parts_of(self.members, draws):
            own = lengths if lengths.ndim == 1 else lengths[one.which]
            found = getattr(one.family, verb)(x, T, own, one.draws)
            out[: len(found), one.which] = found
        return out

    # --- at points ---

    endless = at_points(Family.endless)

    def _at(
        self,
        verb: str,
        named: Mapping[str, Numbers],
        parameters: Mapping[str, Numbers],
        options: Mapping[str, Any],
    ) -> Any:
        """Let each member answer for its draws, and put the answers together."""
        member, data = np.asarray(parameters[MEMBER]), tuple(named.values())
        axes = [axis for axis in range(-member.ndim, 0) if member.shape[axis] > 1]
        if len(axes) > 1:  # chains beside draws
            shape = np.broadcast_shapes(*map(np.shape, (*data, *parameters.values())))
            all_flat, flat = (
                {name: _flat(one, shape) for name, one in which.items()}
                for which in (named, parameters)
            )
            return np.reshape(self._at(verb, all_flat, flat, options), shape)
        axis, out = axes[0] if axes else 0, np.empty(0)
        for place in np.unique(member).astype(np.int64):
            model = purchase_model(self.members[place])
            take = _Take(axis, np.flatnonzero(member == place))
            own = {name: take(parameters[name]) for name in model.parameter_names}
            found = getattr(model.formulas, verb)(*map(take, data), **own, **options)
            if not axes:
                return found
            if not out.size:
                out = np.empty_like(found, shape=_with(np.shape(found), axis, member.size))
            np.moveaxis(out, axis, 0)[take.rows] = np.moveaxis(found, axis, 0)
        return out


@dataclass(frozen=True, slots=True)
class _Take:
    """Takes the draws of one member along their axis, and leaves alone what has none.

    The axis is counted from the last, -1; 0 where there is none.
    """

    axis: int
    rows: IntArray

    def __call__(self, values: Numbers) -> Any:
        found = np.asarray(values)
        if not self.axis or found.ndim < -self.axis or found.shape[self.axis] == 1:
            return values
        return np.take(found, self.rows, axis=self.axis)


def _flat(values: Numbers, shape: tuple[int, ...]) -> Any:
    return np.broadcast_to(values, shape).ravel() if np.ndim(values) else values


def _with(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    """Shape with another size along an axis."""
    changed = list(shape)
    changed[axis] = size
    return tuple(changed)
