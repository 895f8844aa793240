"""Purchases if alive at thousands of lengths and ages: one smooth function, evaluated once.

Undiscounted purchases of a living customer, E[(1 - (1 + p w)^-R) / p] with
p ~ Beta(a, B), depend on horizon and age through w = horizon / A alone. So for one draw
and one number of repeats all ages and all horizons are points of one curve. In
u = ln(1 + w) the curve is analytic in the strip |Im u| < pi about the real line, and so
is its ratio to u, which is what is interpolated here: at Chebyshev's points of the range
that is asked for, as many as it takes for the coefficients to fall to nothing. What does
not settle is computed point by point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.residual import purchases_if_alive
from clvmodels.schema import FloatArray

Rows = npt.NDArray[np.intp]

_DEGREES: Final = (20, 32, 56, 96)  # to be tried in turn
# Share of the largest coefficient that the last ones must fall to. The rest falls on at
# the same rate, so that the error is of this size: a test bounds it by 1e-10.
_SETTLED: Final = 3e-12
_LAST: Final = 3
_NARROW: Final = 1e-6  # a range of u that is as good as a point


def by_age(lengths: FloatArray) -> FloatArray:
    """Lengths of time, of shape (L,) or (S, L), as they are broadcast against (S, ages, L)."""
    return lengths if lengths.ndim == 1 else lengths[:, None]


def purchases_along(
    R: FloatArray,
    a: FloatArray,
    B: FloatArray,
    w: FloatArray,
    bought: Callable[..., FloatArray] = purchases_if_alive,
) -> FloatArray:
    """Purchases expected of living customers, for many w = horizon / A of each (R, a, B).

    Equal to :func:`~clvmodels.formulas.residual.purchases_if_alive` within 1e-10 of each
    row's largest value.

    Parameters
    ----------
    R, a, B : ndarray, shape (S,)
        As in :func:`~clvmodels.formulas.residual.purchases_if_alive`.
    w : ndarray, shape (S, K)
        Horizon over A, finite and >= 0.
    bought : callable
        Takes R, A, a, B and horizon, as :func:`~clvmodels.formulas.residual.purchases_if_alive`
        does; another family's.

    Returns
    -------
    ndarray, shape (S, K)
    """
    out = np.empty_like(w)
    u = np.log1p(w)
    low, high = u.min(axis=1), u.max(axis=1)
    left = np.arange(len(w))
    for degree in _DEGREES:
        if not left.size or 2 * degree >= w.shape[1]:
            break
        left = _interpolate(R, a, B, (low, high), u, degree, left, out, bought)
    if left.size:
        out[left] = bought(R[left, None], 1.0, a[left, None], B[left, None], w[left])
    return out


def _interpolate(
    R: FloatArray,
    a: FloatArray,
    B: FloatArray,
    ends: tuple[FloatArray, FloatArray],
    u: FloatArray,
    degree: int,
    rows: Rows,
    out: FloatArray,
    bought: Callable[..., FloatArray],
) -> Rows:
    """Fill the rows whose coefficients settle at a degree; return those that do not."""
    low, high = ends[0][rows, None], ends[1][rows, None]
    nodes = low + (high - low) * (1.0 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2.0
    nodes = np.maximum(nodes, _NARROW)  # of 0 / 0 at a length of nothing
    values = bought(R[rows, None], 1.0, a[rows, None], B[rows, None], np.expm1(nodes[:, ::-1]))[
        :, ::-1
    ]
    coefficients = (values / nodes) @ to_coefficients(degree)
    size = np.abs(coefficients)
    settled = size[:, -_LAST:].max(axis=1) <= _SETTLED * size.max(axis=1)
    settled |= (high - low)[:, 0] <= _NARROW
    done = rows[settled]
    _evaluate(coefficients[settled], ends[0][done], ends[1][done], u, done, out)
    left: Rows = rows[~settled]
    return left


def to_coefficients(degree: int) -> FloatArray:
    """Matrix from values at -cos(pi j / n) to coefficients of Chebyshev's polynomials."""
    j = np.arange(degree + 1)
    matrix = np.cos(np.pi * np.outer(degree - j, j) / degree) * 2.0 / degree
    matrix[[0, -1]] /= 2.0
    matrix[:, [0, -1]] /= 2.0
    return matrix


@compiled
def _evaluate(
    coefficients: FloatArray,
    low: FloatArray,
    high: FloatArray,
    u: FloatArray,
    rows: Rows,
    out: FloatArray,
) -> None:
    """Clenshaw's rule, all points of a row side by side."""
    count = u.shape[1]
    t, one, two = np.empty(count), np.empty(count), np.empty(count)
    for i in range(rows.size):
        row, width = rows[i], max(high[i] - low[i], 1e-300)
        for k in range(count):
            t[k] = 2.0 * (2.0 * (u[row, k] - low[i]) / width - 1.0)
            one[k], two[k] = 0.0, 0.0
        for j in range(coefficients.shape[1] - 1, 0, -1):
            c = coefficients[i, j]
            for k in range(count):
                new = t[k] * one[k] - two[k] + c
                two[k], one[k] = one[k], new
        for k in range(count):
            value = 0.5 * t[k] * one[k] - two[k] + coefficients[i, 0]
            out[row, k] = value * u[row, k]
