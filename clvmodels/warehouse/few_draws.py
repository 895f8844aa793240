"""A few draws that stand for all: numbers of a posterior small enough for a warehouse.

What is expected of a customer is a mean over draws of P(alive, in phase) times something of
(x, T). For the histories of one x, P(alive) of 500 draws is known to nine digits from that of
20 to 60 of them: it hardly has more directions than these. So all means are sums over the few,

    sum over k of w_k(t_x, T) g_k(T),   g_k(T) = mean over all draws of (what k tells of it) m(T),

with w_k in closed form and g_k a Chebyshev polynomial in u = ln(c + T). The few are chosen by
a pivoted factorisation of P(alive) on a grid of histories (an interpolative decomposition:
Cheng, Gimbutas, Martinsson & Rokhlin 2005, SIAM J. Sci. Comput. 26(4), 1389-1404).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from clvmodels.forecast import Draws
from clvmodels.forecast.curves import Nodes
from clvmodels.formulas.discounting import Due
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_PRECISION: Final = 1e-9  # of P(alive) of every draw, as a share
_LEAST_ALIVE: Final = 1e-6  # P(alive) below which that precision is absolute
_MOST: Final = 128  # draws that stand for the others
_LENGTHS: Final = 40  # of the grid
_AGES: Final = 14
MEANS: Final = ("buys", "purchases", "discounted")
_SOMEWHAT_LESS: Final = 1.0 - 1e-9  # than x periods, whose length in units may be rounded
_NEGLIGIBLE: Final = 1e-11  # of a polynomial


class Span(NamedTuple):
    """Which histories numbers are for.

    Attributes
    ----------
    most_purchases : int
        Greatest x.
    longest : float
        Greatest T.
    step : float
        Least t_x for each repeat purchase: 0 where purchases are not counted in whole periods.
    """

    most_purchases: int
    longest: float
    step: float

    def least(self, x: int) -> float:
        """Least t_x, and so T, that a customer of x repeat purchases can have."""
        return x * self.step * _SOMEWHAT_LESS


@dataclass(frozen=True, slots=True)
class Few:
    """The draws that stand for all others at one x.

    Attributes
    ----------
    draw, phase : ndarray of int, shape (k,)
        Which they are.
    share : ndarray, shape (k, K S)
        What each tells of every draw, the phases one after the other.
    """

    draw: IntArray
    phase: IntArray
    share: FloatArray


def strip_of(draws: Draws) -> tuple[float, float]:
    """`Family.strip` of a family that has one: others are not asked for in SQL."""
    found = draws.formulas.strip(draws.purchases)
    assert found is not None
    return found


def few_of(draws: Draws, x: int, span: Span) -> Few:
    """Choose them for the histories of one x."""
    alive = _alive(draws, x, *_grid(draws, x, span))
    mean = alive.sum(axis=1) / draws.count
    alive = alive / np.maximum(mean, _LEAST_ALIVE)[:, None]
    found, share = _pivots(alive)
    phase, draw = np.divmod(found, draws.count)
    return Few(draw, phase, share)


def _grid(draws: Draws, x: int, span: Span) -> tuple[FloatArray, FloatArray]:
    """Recencies and ages of histories that tell all that there is, denser at their ends."""
    shift, _ = strip_of(draws)
    least = np.log(shift + span.least(x))
    share = [(1.0 - np.cos(np.pi * np.arange(n) / (n - 1))) / 2.0 for n in (_AGES, _LENGTHS)]
    age = least + (np.log(shift + span.longest) - least) * share[0][:, None]
    recency = least + (age - least) * share[1]
    T = np.broadcast_to(np.exp(age) - shift, recency.shape)
    t_x = np.clip(np.exp(recency) - shift, 0.0, T) if x else np.zeros_like(T)
    return t_x.ravel(), np.maximum(T, 0.0).ravel()


def _alive(draws: Draws, x: int, t_x: FloatArray, T: FloatArray) -> FloatArray:
    """P(alive, in phase) of histories of one x, shape (n, K S)."""
    formulas = draws.formulas
    out = np.empty((formulas.phases, len(T), draws.count))
    formulas.weights(np.full(len(T), float(x)), t_x, T, draws.purchases).fill(0, out)
    return np.concatenate(list(out), axis=1)


def _pivots(columns: FloatArray) -> tuple[IntArray, FloatArray]:
    """Columns of which all others are sums, the most telling first, and these sums' shares."""
    rest = columns.copy()
    found: list[int] = []
    directions = np.zeros((0, len(columns)))
    length = np.square(rest).sum(axis=0)
    least = _PRECISION**2 * length.max()
    while len(found) < _MOST:
        pivot = int(np.argmax(length))
        if length[pivot] <= least:
            break
        found.append(pivot)
        one = columns[:, pivot]
        for _ in range(2):  # twice is enough, for directions at right angles to the last bit
            one = one - (directions @ one) @ directions
        one = one / np.sqrt(one @ one)
        directions = np.vstack([directions, one])
        rest -= one[:, None] * (one @ rest)
        length = np.square(rest).sum(axis=0)
    along = directions @ columns
    share = solve_triangular(along[:, found], along)
    return np.array(found, dtype=np.int64), share


class Polynomials:
    """Chebyshev polynomials in u = ln(c + t), from the least T of an x to the longest.

    Parameters
    ----------
    draws : Draws
        Of both models.
    due : Due
        Until when purchases count, and how they are discounted.
    span : Span
        Which histories there may be.
    x : int
        Repeat purchases.
    """

    def __init__(self, draws: Draws, due: Due, span: Span, x: int) -> None:
        shift, width = strip_of(draws)
        low, high = (math.log(shift + T) for T in (span.least(x), span.longest))
        self.nodes = Nodes.between(shift, low, high, width)
        self._draws, self._due, self._x = draws, due, x

    @property
    def times(self) -> FloatArray:
        """Where functions are to be known, shape (n,)."""
        return self.nodes.T

    def through(self, values: FloatArray) -> FloatArray:
        """Coefficients of the polynomials through values at these times, shape (n, k)."""
        count = len(self.nodes.angles)
        basis = np.cos(np.arange(count)[:, None] * self.nodes.angles) * 2.0 / count
        basis[0] /= 2.0
        return np.asarray(basis @ values)

    def of(self, few: Few) -> dict[str, FloatArray]:
        """What the few tell of living customers, each of shape (n, k): coefficients.

        ``buys``, ``purchases`` and ``discounted``; and ``alive``, shape (k,), a constant.
        """
        draws, T = self._draws, self.times
        x = np.full(len(T), float(self._x))
        living = draws.formulas.living(x, T, draws.purchases, self._due)
        buys = np.empty((len(T), draws.formulas.phases, draws.count))
        living.buys(0, buys)
        told = few.share.T / draws.count
        values = dict(zip(MEANS, (buys, *living.expect()), strict=True))
        with np.errstate(invalid="ignore"):  # purchases without end, which no column has
            found = {
                name: self.through(one.reshape(len(T), -1) @ told) for name, one in values.items()
            }
        return {**found, "alive": told.sum(axis=0)}


def degree(coefficients: FloatArray) -> int:
    """Degree up to which some polynomial has coefficients that are not negligible.

    Parameters
    ----------
    coefficients : ndarray, shape (n, k)
        Those of one x.
    """
    size = np.abs(coefficients).max(axis=1)
    there = np.flatnonzero(size > _NEGLIGIBLE * size.max())
    return int(there[-1]) if len(there) else 0
