"""Fused log-likelihoods: value and gradient of a whole base from one compiled loop.

A model says what its loop needs of a base, in tables, and what the loop does with them;
`clvmodels.fit.ops` puts the two into PyMC, whatever the model is.

A base may consist of strata, each with parameters of its own: every parameter is then a
vector, and the histories say which stratum they are of. Without covariates there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

Table = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A base, and the compiled loop that goes through it.

    Attributes
    ----------
    tables : mapping of str to ndarray
        What the loop needs of the base, in its order.
    kernel : callable
        Compiled by numba. Takes a tuple of parameters, each of shape (G,), the tuple of
        the tables, and whether the gradient is wanted; returns the value, and then the
        derivatives by each parameter in turn, shape (1 + P G,). The value is -inf outside
        the parameters' domain; derivatives that are not wanted need not be complete.
    """

    tables: Mapping[str, Table]
    kernel: Callable[[tuple[FloatArray, ...], tuple[Table, ...], bool], FloatArray]

    def __call__(self, *parameters: npt.ArrayLike, gradient: bool = True) -> FloatArray:
        """Value and derivatives at one point; a number is a parameter of a single stratum."""
        theta = tuple(np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in parameters)
        return self.kernel(theta, tuple(self.tables.values()), gradient)


@compiled
def add_stratum(out: FloatArray, own: FloatArray, stratum: int) -> None:
    """Put a stratum's value and derivatives, shape (1 + P,), into those of all, (1 + P G,).

    One by one: assigning a slice compiles numba's message about shapes too, for a second.
    """
    strata = (out.size - 1) // (own.size - 1)
    out[0] += own[0]
    for p in range(own.size - 1):
        out[1 + p * strata + stratum] = own[1 + p]


def sums(index: npt.NDArray[np.intp], weights: FloatArray, size: int) -> FloatArray:
    """Sums of weights by the place that they belong to, shape (size,)."""
    return np.bincount(index, weights, size).astype(np.float64)


def by_stratum(
    make: Callable[..., Mapping[str, Table]],
    columns: tuple[FloatArray, ...],
    stratum: npt.NDArray[np.integer] | None,
) -> tuple[dict[str, Table], dict[str, Table]]:
    """Make tables of every stratum, and put them one after the other.

    Parameters
    ----------
    make : callable
        Takes columns of histories, returns their tables by name.
    columns : tuple of ndarray, shape (H,)
        Of all histories.
    stratum : ndarray of int, shape (H,), optional
        From 0 on; None where there is one.

    Returns
    -------
    tables : dict of str to ndarray
        Those of all strata, concatenated.
    ends : dict of str to ndarray, shape (G + 1,)
        Where each stratum's part of a table begins and ends, by name.
    """
    if stratum is None:
        parts = [make(*columns)]
    else:
        order, ends_of = np.argsort(stratum, kind="stable"), np.cumsum(np.bincount(stratum))
        strata = np.split(order, ends_of[:-1])
        parts = [make(*(column[rows] for column in columns)) for rows in strata]
    names = list(parts[0])
    tables = {name: np.concatenate([part[name] for part in parts]) for name in names}
    ends = {name: np.cumsum([0, *(len(part[name]) for part in parts)]) for name in names}
    return tables, ends
