"""What the loops read of several models side by side: each fills the draws of its own.

Apart from what a stack is, since this is all arrays: of shape (..., K, S), K as many phases as
the model with the most has. Who is in a phase that a model has not is so with probability 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas.discounting import Due
from clvmodels.purchases.catalogue import purchase_model
from clvmodels.purchases.family import NO_ROWS, Draws, Family, Living, Weights
from clvmodels.purchases.walks import Walks
from clvmodels.schema import FloatArray

MEMBER: Final = "member"

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """The draws of one member.

    Attributes
    ----------
    key : str
        Of its model.
    place : int
        Among the members.
    which : slice or ndarray of int
        Which of the stack's draws they are; a slice where they stand in a row.
    draws : mapping of str to ndarray
        By parameter of the member's model.
    """

    key: str
    place: int
    which: slice | IntArray
    draws: Draws

    @property
    def family(self) -> Family:
        """What computes them."""
        return purchase_model(self.key).formulas


def parts_of(members: tuple[str, ...], draws: Draws) -> list[Part]:
    """Take the draws of a stack, each of shape (S,), apart; members without any are left out."""
    found = []
    for place, key in enumerate(members):
        rows = np.flatnonzero(draws[MEMBER] == place)
        if not len(rows):
            continue
        in_a_row = rows[-1] - rows[0] == len(rows) - 1
        which = slice(int(rows[0]), int(rows[-1]) + 1) if in_a_row else rows
        names = purchase_model(key).parameter_names
        own = {name: np.ascontiguousarray(draws[name][which]) for name in names}
        found.append(Part(key, place, which, own))
    return found


def mixed_weights(
    members: tuple[str, ...], x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws
) -> Weights:
    """P(alive, in phase) of histories: each member's, of its draws."""
    parts = parts_of(members, draws)
    return _Weights(parts, [one.family.weights(x, t_x, T, one.draws) for one in parts])


def mixed_living(
    members: tuple[str, ...], x: FloatArray, T: FloatArray, draws: Draws, due: Due, phases: int
) -> Living:
    """What customers do who are alive: what each member says, of its draws."""
    parts = parts_of(members, draws)
    found = [one.family.living(x, T, one.draws, due.some(one.which)) for one in parts]
    return _Living(parts, found, phases, len(draws[MEMBER]))


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights of each member's draws."""

    parts: Sequence[Part]
    found: Sequence[Weights]

    def fill(self, begin: int, out: FloatArray) -> None:
        out = out.swapaxes(0, 1)
        for one, weights in zip(self.parts, self.found, strict=True):
            with _own(one, out, phases_first=True) as own:
                weights.fill(begin, own)


@dataclass(frozen=True, slots=True)
class _Living:
    """The living of each member's draws; arrays are of shape (..., K, S)."""

    parts: Sequence[Part]
    found: Sequence[Living]
    phases: int
    draws: int

    def expect(self) -> tuple[FloatArray, FloatArray]:
        one, other = zip(*(living.expect() for living in self.found), strict=True)
        return self._together(one), self._together(other)

    def buys(self, begin: int, out: FloatArray) -> None:
        for one, living in zip(self.parts, self.found, strict=True):
            with _own(one, out) as own:
                living.buys(begin, own)

    def idle(self, begin: int, out: FloatArray) -> None:
        for one, living in zip(self.parts, self.found, strict=True):
            with _own(one, out) as own:
                living.idle(begin, own)

    def busiest(self, begin: int, end: int) -> FloatArray:
        most: FloatArray = np.max([one.busiest(begin, end) for one in self.found], axis=0)
        return most

    def exceeds(self, key: int, n: float) -> FloatArray:
        return self._together([living.exceeds(key, n) for living in self.found])

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        """All members have as many rows of a key as the one that needs the most."""
        tables = [living.survival(begin, least, most, fewest) for living in self.found]
        rows = _rows(tables)
        for i, (_, start) in enumerate(tables):
            if (np.diff(start)[: len(rows)] < rows).any():
                tables[i] = self.found[i].survival(begin, least, most, rows)
        rows = rows[: min(len(start) - 1 for _, start in tables)]
        begins = np.append(0, np.cumsum(rows))
        where = np.arange(begins[-1])
        same = [
            table[where + np.repeat(start[: len(rows)] - begins[:-1], rows)]
            for table, start in tables
        ]
        return self._together(same), begins

    def walk(self, walks: Walks) -> None:
        """Walk each member's paths; nobody is in a phase that a member has not."""
        walks.orders[:], walks.bought[:], walks.stays[:] = 0.0, 0, True
        place = np.full(self.draws, -1)
        own_draw = np.empty(self.draws, dtype=np.int32)
        for i, one in enumerate(self.parts):
            place[one.which] = i
            own_draw[one.which] = np.arange(len(place[one.which]))
        whose = place[walks.draw]
        for i, (one, living) in enumerate(zip(self.parts, self.found, strict=True)):
            rows = np.flatnonzero((whose == i) & (walks.phase < one.family.phases))
            shape = np.ascontiguousarray(walks.shape[one.which])
            walks.by(living, rows, draw=own_draw[walks.draw[rows]], shape=shape)

    def _together(self, found: Sequence[FloatArray]) -> FloatArray:
        """Bring what members say of their draws, (..., K, S) each, to all draws and phases."""
        out = np.zeros((*found[0].shape[:-2], self.phases, self.draws))
        for one, values in zip(self.parts, found, strict=True):
            out[..., : values.shape[-2], one.which] = values
        return out


def _rows(tables: Sequence[tuple[FloatArray, IntArray]]) -> IntArray:
    """Rows of each key that all members have tables of; none where they are too many for one."""
    keys = min(len(start) - 1 for _, start in tables)
    rows = np.array([np.diff(start)[:keys] for _, start in tables])
    return np.where((rows == 0).any(axis=0), 0, rows.max(axis=0))


@contextmanager
def _own(one: Part, out: FloatArray, *, phases_first: bool = False) -> Iterator[FloatArray]:
    """Give a member room of its own to fill, and put that among all draws, (..., K, S)."""
    rows, _, draws = out.shape
    size, phases = len(np.arange(draws)[one.which]), one.family.phases
    own = np.empty((phases, rows, size) if phases_first else (rows, phases, size))
    yield own
    out[:, :phases, one.which] = own.swapaxes(0, 1) if phases_first else own
    out[:, phases:, one.which] = 0.0
