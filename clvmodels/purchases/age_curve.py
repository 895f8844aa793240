"""The age curve: how a customer's pace changes with the time since the first purchase.

An intensity a(t) by age, common to all, changes customers' own time once more, as a clock does:
of t since the first purchase there has passed A(t) = int_0^t a. In u = ln(1 + t / 14 days)
its logarithm is made of slopes,

    log a = sum_j s_j (phi_j(u) - phi_j(u of the oldest customer)),

of which each holds over .7 of u, the last one on for ever, and where one ends and the next
begins is smoothed (.35), so that a and A are analytic. Slopes are an autoregression of the
first order a priori: sd .1, correlation .8 from one to the next, so that what no customer is old
enough to tell fades to none. The curve is 1 at the age of the oldest customer of the log.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from clvmodels.schema import FloatArray

SLOPES: Final = 9  # up to 20 years
_SOON: Final = 14.0  # days
_KNOT: Final = 0.7
_SOFT: Final = 0.35
_SD: Final = 0.1
_CORRELATION: Final = 0.8
_CELL: Final = 0.02  # of u
_FAR: Final = 10.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)


def prior_scale() -> FloatArray:
    """Matrix that makes slopes of as many standard normals, shape (9, 9)."""
    place = np.arange(SLOPES)
    return np.asarray(_SD * np.linalg.cholesky(_CORRELATION ** np.abs(place[:, None] - place)))


def basis(days: FloatArray) -> FloatArray:
    """What each slope adds to log a from the first purchase to some ages; shape (n, 9)."""
    u = np.log1p(days / _SOON)[:, None]
    ends = _KNOT * np.arange(1, SLOPES)
    begun = np.logaddexp(0.0, (u - ends) / _SOFT) - np.logaddexp(0.0, -ends / _SOFT)
    found = np.concatenate([u, _SOFT * begun], axis=1)
    found[:, :-1] -= found[:, 1:]  # each ends where the next one begins
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """Integrals over age, ready to be read at any: of a, and of a times what slopes add.

    Attributes
    ----------
    values, slopes : ndarray, shape (cells + 1, m)
        At the ends of cells of u, and their derivatives there by u.
    """

    values: FloatArray
    slopes: FloatArray

    @classmethod
    def of(cls, slopes: FloatArray, oldest: float, *, each: bool = False) -> Passed:
        """Integrate the curve of some slopes; with ``each``, besides, its derivative by each."""
        edges: FloatArray = np.arange(round(_FAR / _CELL) + 1, dtype=np.float64) * _CELL
        inner: FloatArray = edges[:-1, None] + _CELL * (_NODES + 1.0) / 2.0
        own = _integrands(inner.reshape(-1), slopes, oldest, each).reshape(*inner.shape, -1)
        cells = np.einsum("cnm,n->cm", own, _WEIGHTS * _CELL / 2.0)
        values = np.concatenate([np.zeros((1, cells.shape[1])), np.cumsum(cells, axis=0)])
        return cls(values, _integrands(edges, slopes, oldest, each))

    def at(self, days: FloatArray) -> FloatArray:
        """At ages of up to 800 years, shape (n, m): by cubics, 1e-9 off."""
        u = np.log1p(days / _SOON)
        cell = np.minimum((u / _CELL).astype(np.int64), len(self.values) - 2)
        s = (u / _CELL - cell)[:, None]
        low, high = self.values[cell], self.values[cell + 1]
        rise, end = _CELL * self.slopes[cell], _CELL * self.slopes[cell + 1]
        bent = s * (1.0 - s)
        found = low + (high - low) * s * s * (3.0 - 2.0 * s)
        return np.asarray(found + bent * ((1.0 - s) * rise - s * end))

    def pace(self, days: FloatArray) -> FloatArray:
        """Derivative of the first of them by age, shape (n,): of the cubics themselves."""
        u = np.log1p(days / _SOON)
        cell = np.minimum((u / _CELL).astype(np.int64), len(self.values) - 2)
        s = u / _CELL - cell
        low, high = self.values[cell, 0], self.values[cell + 1, 0]
        rise, end = _CELL * self.slopes[cell, 0], _CELL * self.slopes[cell + 1, 0]
        by_u = 6.0 * s * (1.0 - s) * (high - low)
        by_u += (1.0 - s) * (1.0 - 3.0 * s) * rise + s * (3.0 * s - 2.0) * end
        return np.asarray(by_u / _CELL / (days + _SOON))


def _integrands(u: FloatArray, slopes: FloatArray, oldest: float, each: bool) -> FloatArray:
    """By u: a, and a times what each slope adds."""
    added = basis(_SOON * np.expm1(u)) - basis(np.array([oldest]))
    by_u = (np.exp(added @ slopes) * _SOON * np.exp(u))[:, None]
    return np.concatenate([by_u, by_u * added], axis=1) if each else by_u


@lru_cache(maxsize=8)
def _passed(slopes: tuple[float, ...], oldest: float) -> Passed:
    return Passed.of(np.array(slopes), oldest)


@dataclass(frozen=True)
class AgeCurve:
    """A curve that was learnt, in some unit of time.

    Attributes
    ----------
    slopes : tuple of float
        One after the other.
    oldest : float
        Days at which it is 1.
    days : float
        Length of the unit.
    """

    slopes: tuple[float, ...]
    oldest: float
    days: float = 1.0

    def intensity(self, t: FloatArray | float) -> FloatArray:
        """The curve itself, at times since the first purchase, of any shape."""
        days = np.asarray(t, dtype=np.float64) * self.days
        added = basis(days.ravel()) - basis(np.array([self.oldest]))
        return np.asarray(np.exp(added @ np.array(self.slopes)).reshape(days.shape))

    def passed(self, t: FloatArray | float) -> FloatArray:
        """A of times since the first purchase, of any shape; infinite where they are."""
        days = np.asarray(t, dtype=np.float64) * self.days
        flat = np.minimum(days.ravel(), self._far)
        own = _passed(self.slopes, self.oldest).at(flat)[:, 0].reshape(days.shape)
        # beyond, where the last slope has long held
        power, rest = 1.0 + self.slopes[-1], (days + _SOON) / (self._far + _SOON)
        beyond = self._end * (np.maximum(rest, 1.0) ** power - 1.0) / power
        return np.asarray((own + beyond) / self.days)

    def ahead(self, T: FloatArray | float, lengths: FloatArray | float) -> FloatArray:
        """What passes within lengths of time from ages T on."""
        return np.asarray(self.passed(np.add(T, lengths)) - self.passed(T))

    @cached_property
    def _far(self) -> float:
        return _SOON * math.expm1(_FAR)

    @cached_property
    def _end(self) -> float:
        """The last derivative by u, a (14 + t)."""
        return float(_passed(self.slopes, self.oldest).slopes[-1, 0])

    def strip(self, c: float, width: float) -> tuple[float, float]:
        """What :meth:`Family.strip` is of a family by this curve, where it was c and a width.

        a is analytic in ln(14 days + t) up to where its smoothing is not. Down to minus the
        shift alpha + A must stay positive.
        """
        steepest = math.exp(0.7 * abs(self.slopes[0]))  # of a from -7 days to 0
        least = c / (2.0 * steepest * float(self.intensity(0.0)))
        return min(_SOON / self.days / 2.0, least), min(width, math.pi * _SOFT)
