"""A density of which the effects of many groups are integrated out, and draws of them after.

Effects of hundreds of groups and their spread are no Gaussian together: the density is a funnel,
and its mode says nothing of where the mass is. But groups depend on each other only through the
other parameters. Given these, each group's integral is of one dimension, or of two where both
purchases and dropout are moved, and all groups are stepped at once, so that a few gradients tell
all integrals, however many groups there are. What is left has few dimensions, for the Laplace
approximation and its k-hat: Rue, Martino & Chopin (2009), "Approximate Bayesian inference for
latent Gaussian models by using integrated nested Laplace approximations".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.polynomial.hermite_e import hermegauss

from clvmodels.fit.density import Density

FloatArray = npt.NDArray[np.float64]

_STEP: Final = 1e-4
# A group's logarithmic density is a polynomial through its gradients at so many points in each
# direction, of this degree: against quadrature of the likelihood itself integrals are right to
# some thousandths. By directions: one, or two.
_POINTS: Final = {1: (5, 5), 2: (4, 4)}
_WIDTH: Final = {1: 0.2, 2: 0.35}  # of a cell, in standard deviations
_REACH: Final = 4.2
_CORNER: Final = 3.2  # standard deviations: no points are farther out
# Standard deviations from the mode: for a value, as the polynomial sees to the rest, and for a
# gradient, whose differences are to be smooth.
_NEAR: Final = 0.3
_AT: Final = 1e-3
_CENTRE_STEPS: Final = 30
_LONGEST: Final = 1.0
_LEAST_BEND: Final = 0.05
_KEPT: Final = 20_000_000  # numbers of polynomials, until groups' effects are drawn of them


@dataclass(frozen=True, slots=True)
class _Shape:
    """Places in a group's own coordinates, and polynomials there."""

    nodes: FloatArray  # (K, d), without the origin
    cells: FloatArray  # (N, d)
    values: FloatArray  # (N, terms): of the polynomials' terms in the cells
    fit: FloatArray  # (terms, (1 + K) d): from gradients, the origin's first, to coefficients


def _shape(directions: int) -> _Shape:
    points, degree = _POINTS[directions]
    powers = np.array(
        [p for p in product(range(degree + 1), repeat=directions) if 0 < sum(p) <= degree]
    )
    all_nodes = np.array(list(product(hermegauss(points)[0], repeat=directions)))
    far = np.linalg.norm(all_nodes, axis=1)
    nodes = all_nodes[(far > 1e-9) & (far < _CORNER)]
    axis = np.arange(-_REACH, _REACH + _WIDTH[directions] / 2.0, _WIDTH[directions])
    cells = np.array(list(product(axis, repeat=directions)))
    cells = cells[np.linalg.norm(cells, axis=1) < _REACH + 1e-9]
    slopes, places = [], np.vstack([np.zeros(directions), nodes])
    for j in range(directions):
        lower = powers - np.eye(directions, dtype=int)[j]
        slopes.append(powers[:, j] * _terms(places, np.maximum(lower, 0)))
    design = np.stack(slopes, axis=1).reshape(-1, len(powers))
    return _Shape(nodes, cells, _terms(cells, powers), np.asarray(np.linalg.pinv(design)))


def _terms(places: FloatArray, powers: npt.NDArray[np.int64]) -> FloatArray:
    return np.asarray(np.prod(places[:, None, :] ** powers, axis=2))


@dataclass(frozen=True, slots=True)
class _Groups:
    """All groups, the other parameters being given.

    Attributes
    ----------
    value : float
        Logarithm of the density at the groups' centres.
    centre : ndarray, shape (G, d)
        Where each group's own coordinates have their origin: about where it is densest.
    scale : ndarray, shape (G, d, d)
        From a group's own coordinates to those of the density.
    coefficients : ndarray, shape (G, terms)
        Of each group's logarithmic density, in its own coordinates.
    """

    value: float
    centre: FloatArray
    scale: FloatArray
    coefficients: FloatArray

    def cells(self, shape: _Shape) -> tuple[float, FloatArray]:
        """The density's integral over the groups, in logarithms, and their cells' probabilities."""
        logs = self.coefficients @ shape.values.T
        highest = logs.max(axis=1, keepdims=True)
        weights = np.exp(logs - highest)
        total = weights.sum(axis=1, keepdims=True)
        count, size = self.centre.shape
        volumes = highest + np.log(total) + np.linalg.slogdet(self.scale)[1][:, None]
        whole = self.value + volumes.sum() + count * size * np.log(_WIDTH[size])
        return float(whole), weights / total


class Marginal:
    """A density over all coordinates but those of groups, which are integrated out.

    It has what the search for a mode and the weighing of draws take of a density.

    Parameters
    ----------
    density : Density
        With groups.
    """

    def __init__(self, density: Density) -> None:
        self.density = density
        self.inner = np.stack([np.arange(p.start, p.stop) for p in density.groups], axis=1)
        self.outer = np.setdiff1d(np.arange(density.dim), self.inner)
        self.shape = _shape(self.inner.shape[1])
        self.start, self.metric = density.start[self.outer], None
        self._begin: tuple[FloatArray, FloatArray | None] = density.start[self.inner], None
        self._kept: dict[bytes, _Groups] = {}

    @property
    def dim(self) -> int:
        """How many coordinates are left."""
        return len(self.outer)

    def value_function(self) -> Callable[[FloatArray], float]:
        """The value alone, which takes no further gradients."""
        return self.value

    def value(self, theta: FloatArray) -> float:
        """Logarithm of the density with the groups integrated out."""
        found = self._groups(theta, _NEAR)
        if found is None:
            return -np.inf
        if (len(self._kept) + 1) * found.coefficients.size < _KEPT:
            self._kept[theta.tobytes()] = found
        return found.cells(self.shape)[0]

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient, which is the mean of the density's own over the groups' effects.

        A mean over each group is that over points with the group's mean and covariance. The
        next search for the groups' centres begins where this one has ended.
        """
        found = self._groups(theta, _AT)
        if found is None:
            return -np.inf, np.zeros(self.dim)
        self._begin = found.centre, found.scale
        value, weights = found.cells(self.shape)
        mean, root = self._moments(weights)
        size = mean.shape[1]
        gradients = []
        for j, sign in product(range(size), (-1.0, 1.0)):
            own = mean + sign * np.sqrt(size) * root[:, :, j]
            at = self._at(theta, found.centre + np.einsum("gij,gj->gi", found.scale, own))
            gradients.append(self.density(at)[1][self.outer])
        return value, np.mean(gradients, axis=0)

    def _moments(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and roots of covariances, in the groups' own coordinates."""
        cells = self.shape.cells
        mean = weights @ cells
        squares = (cells[:, :, None] * cells[:, None, :]).reshape(len(cells), -1)
        second = (weights @ squares).reshape(*mean.shape, -1)
        spread = second - mean[:, :, None] * mean[:, None, :]
        return mean, np.asarray(np.linalg.cholesky(spread))

    def with_groups(self, theta: FloatArray) -> FloatArray:
        """All coordinates: the groups are where they are about densest."""
        found = self._groups(theta, _AT)
        return self._at(theta, self._begin[0] if found is None else found.centre)

    def draw(self, theta: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draws of all coordinates, given such of the others, shape (n, dim)."""
        places, of = np.unique(theta, axis=0, return_inverse=True)
        drawn = np.empty((len(theta), self.density.dim))
        for i, place in enumerate(places):
            found = self._kept.get(place.tobytes()) or self._groups(place, _NEAR)
            assert found is not None  # it was drawn by its weight
            ends = np.cumsum(found.cells(self.shape)[1], axis=1)
            for row in np.flatnonzero(of.ravel() == i):
                drawn[row] = self._at(place, self._drawn(found, ends, rng))
        self._kept.clear()
        return drawn

    def _drawn(self, found: _Groups, ends: FloatArray, rng: np.random.Generator) -> FloatArray:
        """One effect of every group: a cell by its probability, and a place within it."""
        count, cells = ends.shape
        size = self.shape.cells.shape[1]
        # Groups one after the other in one increasing row
        first = np.arange(count)
        row = (ends / ends[:, -1:] + first[:, None]).ravel()
        chosen = np.searchsorted(row, first + rng.random(count), side="right")
        chosen = (chosen - first * cells).clip(0, cells - 1)
        own = self.shape.cells[chosen] + _WIDTH[size] * (rng.random((count, size)) - 0.5)
        return np.asarray(found.centre + np.einsum("gij,gj->gi", found.scale, own))

    def _at(self, theta: FloatArray, effects: FloatArray) -> FloatArray:
        whole = np.empty(self.density.dim)
        whole[self.outer], whole[self.inner] = theta, effects
        return whole

    def _groups(self, theta: FloatArray, enough: float) -> _Groups | None:
        """Expand each group's density about its centre, known to so many standard deviations."""
        found = self._centred(theta, enough)
        if found is None:
            return None
        value, centre, scale, gradient = found
        slopes = [gradient]
        for node in self.shape.nodes:
            slopes.append(self.density(self._at(theta, centre + scale @ node))[1][self.inner])
        own = np.einsum("gji,kgj->gki", scale, np.array(slopes)).reshape(len(centre), -1)
        return _Groups(value, centre, scale, own @ self.shape.fit.T)

    def _centred(
        self, theta: FloatArray, enough: float
    ) -> tuple[float, FloatArray, FloatArray, FloatArray] | None:
        """Value, centres, their scales and the gradient there; None where there is no density."""
        centre, known = self._begin
        for _ in range(_CENTRE_STEPS):
            value, whole = self.density(self._at(theta, centre))
            if not np.isfinite(value):
                return None
            gradient = whole[self.inner]
            scale = self._scale(theta, centre, gradient) if known is None else known
            own = np.einsum("gji,gj->gi", scale, gradient)
            if np.abs(own).max() < enough:
                break
            step = np.einsum("gij,gj->gi", scale, own)
            centre, known = centre + step.clip(-_LONGEST, _LONGEST), None
        return value, centre, scale, gradient

    def _scale(self, theta: FloatArray, centre: FloatArray, gradient: FloatArray) -> FloatArray:
        """Roots of the inverse of each group's bends, by one step of all groups a direction."""
        size = centre.shape[1]
        bends = np.empty((*centre.shape, size))
        for j in range(size):
            moved = centre.copy()
            moved[:, j] += _STEP
            there = self.density(self._at(theta, moved))[1][self.inner]
            bends[:, :, j] = (gradient - there) / _STEP
        values, vectors = np.linalg.eigh((bends + bends.transpose(0, 2, 1)) / 2.0)
        return np.asarray(vectors / np.sqrt(np.maximum(values, _LEAST_BEND))[:, None, :])
