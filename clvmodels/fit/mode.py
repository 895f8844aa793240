"""The mode of a density, its Hessian, and the whitening that they give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import optimize

from clvmodels.fit.density import Smooth

FloatArray = npt.NDArray[np.float64]

# Step of the central differences of the gradient, in unconstrained (logarithmic) space.
_STEP: Final = 1e-4
_NEWTON_STEPS: Final = 20
_NEAR: Final = {"ftol": 1e-6, "gtol": 1e-2}  # in posterior sd: Newton does the rest
_DECREMENT: Final = 1e-9
# Where the posterior is all but flat the whitened scale stays finite: no direction is
# taken to be wider than this many units of logarithm.
_WIDEST: Final = 3.0
# On a flat way out to the edge there is no last point: it is followed until the mode is
# known to a hundredth of the tolerance, by steps of at most so many units of logarithm.
_FLAT_DECREMENT: Final = 1e-5
_LONGEST: Final = 3.0
_NO_CURVATURE: Final = 1e-8  # below it a second difference is rounding
# A mode is known to this share of a posterior standard deviation, or is none.
MODE_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode and the Gaussian that touches the density there.

    Attributes
    ----------
    location : ndarray, shape (dim,)
        Where the density is highest.
    value : float
        Log density there.
    scale : ndarray, shape (dim, dim)
        Symmetric square root of the inverse negative Hessian.
    decrement : float
        Newton's decrement: the distance left to the mode, in posterior standard
        deviations.
    curved : bool
        Whether the Hessian was negative definite without help.
    """

    location: FloatArray
    value: float
    scale: FloatArray
    decrement: float
    curved: bool


def find_mode(density: Smooth) -> Mode:
    """Climb by L-BFGS, then polish by damped Newton steps."""
    theta = climb(density)
    value, gradient = density(theta)
    for _ in range(_NEWTON_STEPS):
        matrix = hessian(density, theta)
        scale, curved = whiten(matrix)
        step = scale @ (scale.T @ gradient)
        decrement = math.sqrt(max(float(gradient @ step), 0.0))
        flat = _flat(matrix)
        if flat:
            step = _long_step(matrix, gradient)
        moved, improved = line_search(density, theta, value, step)
        enough = _FLAT_DECREMENT if flat else _DECREMENT
        if decrement < enough or improved <= value:
            break
        theta, (value, gradient) = moved, density(moved)
    return Mode(theta, value, scale, decrement, curved)


def _flat(matrix: FloatArray) -> bool:
    """Whether some direction is wider than whitening takes it to be, or bends upwards."""
    return bool(np.linalg.eigvalsh(-matrix)[0] < 1.0 / _WIDEST**2)


def _long_step(matrix: FloatArray, gradient: FloatArray) -> FloatArray:
    """Newton's step uphill, direction by direction, as long as each direction's curvature has it.

    The whitened step is too short where a parameter runs to the edge of its range, as the
    probability of dropping out does in a base that nobody leaves: there the density is
    -c e^t in the logarithm t, and every Newton step is of length 1, however small e^t is.
    """
    eigenvalues, vectors = np.linalg.eigh(-matrix)
    size = np.maximum(np.abs(eigenvalues), _NO_CURVATURE)
    along = np.clip((vectors.T @ gradient) / size, -_LONGEST, _LONGEST)
    return np.asarray(vectors @ along)


def distance_to_mode(density: Smooth, theta: FloatArray) -> float:
    """Newton's decrement at a point, in posterior sd; NaN where no mode is near."""
    _, gradient = density(theta)
    scale, curved = whiten(hessian(density, theta))
    return float(np.linalg.norm(scale.T @ gradient)) if curved else math.nan


def hessian(density: Smooth, theta: FloatArray) -> FloatArray:
    """Second derivatives by central differences of the exact gradient."""
    rows = []
    for step in np.eye(density.dim) * _STEP:
        rows.append((density(theta + step)[1] - density(theta - step)[1]) / (2.0 * _STEP))
    matrix = np.array(rows)
    return (matrix + matrix.T) / 2.0


def climb(density: Smooth) -> FloatArray:
    """Go uphill by L-BFGS, to near the mode."""
    start = density.start
    if density.metric is not None:
        return _climb_by(density.metric, density)
    size = max(abs(density(start)[0]), 1.0)

    def downhill(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = density(theta)
        return -value / size if np.isfinite(value) else 1e10, -gradient / size

    bounds = [(middle - 30.0, middle + 30.0) for middle in start]
    found = optimize.minimize(
        downhill, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14}
    )
    return np.asarray(found.x, dtype=np.float64)


def _climb_by(metric: FloatArray, density: Smooth) -> FloatArray:
    """The same from a start that is near, by steps in which all directions are about as curved."""
    start = density.start
    level = density(start)[0]

    def downhill(z: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = density(start + metric @ z)
        return level - value if np.isfinite(value) else 1e10, -(metric.T @ gradient)

    found = optimize.minimize(
        downhill, np.zeros(density.dim), jac=True, method="L-BFGS-B", options=_NEAR
    )
    return np.asarray(start + metric @ found.x, dtype=np.float64)


def whiten(matrix: FloatArray) -> tuple[FloatArray, bool]:
    """Square root of the inverse of -matrix, eigenvalues kept away from zero."""
    eigenvalues, vectors = np.linalg.eigh(-matrix)
    floor = 1.0 / _WIDEST**2
    curved = bool(eigenvalues[0] > 0)
    scale = vectors / np.sqrt(np.maximum(eigenvalues, floor))
    return scale @ vectors.T, curved


def line_search(
    density: Smooth, theta: FloatArray, value: float, step: FloatArray
) -> tuple[FloatArray, float]:
    """Halve a step until it leads uphill; return where it leads, and the value there."""
    for halvings in range(12):
        moved = theta + step * 0.5**halvings
        reached = density(moved)[0]
        if reached > value:
            return moved, reached
    return theta, value
