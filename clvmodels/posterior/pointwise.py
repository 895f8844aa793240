"""Log-likelihood of single customers, for ArviZ's leave-one-out cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels.errors import OURS, DomainError
from clvmodels.rfm.distinct import IntArray, distinct_rows
from clvmodels.rfm.gaps import gaps_of, without_gaps
from clvmodels.schema import FloatArray, check_whole

if TYPE_CHECKING:
    from clvmodels.purchases.family import Family
    from clvmodels.rfm.histories import RfmColumns

# Cells of the formula that are in memory at once, besides the result.
_BLOCK: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class LikelihoodTerms:
    """What the likelihood of a base is a sum of.

    Attributes
    ----------
    customer_id : ndarray, shape (N,)
        All customers of the table.
    rows : ndarray of int, shape (M,)
        Positions of those who carry a term.
    arguments : tuple of ndarray, each shape (N,)
        Data of the customers, in the order in which the formula takes them.
    formula : callable
        Of these arguments and, by name, the parameters; broadcasts.
    """

    customer_id: npt.NDArray[np.generic]
    rows: IntArray
    arguments: tuple[FloatArray, ...]
    formula: Callable[..., FloatArray]

    def sample(self, customers: int, random_seed: int) -> IntArray:
        """Positions of all who carry a term, or of a simple random sample of them.

        Parameters
        ----------
        customers : int
            At most so many, without replacement, in the table's order.
        random_seed : int
            Of the sample.

        Raises
        ------
        DomainError
            Nobody carries a term.
        """
        if not len(self.rows):
            raise DomainError(
                "The model learns nothing from any customer of this table: pass the table that it "
                "was fitted to."
            )
        most = check_whole("customers", customers)
        seed = check_whole("random_seed", random_seed, least=0)
        if len(self.rows) <= most:
            return self.rows
        chosen = np.random.default_rng(seed).choice(len(self.rows), most, replace=False)
        return self.rows[np.sort(chosen)]

    def counted(self, rows: IntArray, random_seed: int) -> dict[str, int]:
        """What a sample is of, for whoever scales its figures up."""
        return {
            "customers": len(rows),
            "customers_of_base": len(self.rows),
            "without_term": len(self.customer_id) - len(self.rows),
            "random_seed": random_seed,
        }

    def evaluate(self, rows: IntArray, draws: Mapping[str, FloatArray]) -> FloatArray:
        """Log-likelihood of some customers under each draw.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Their positions.
        draws : mapping of str to ndarray, shape (S,)
            By parameter.

        Returns
        -------
        ndarray, shape (S, n)
            Computed once for customers who share a history.
        """
        columns = [one[rows] for one in self.arguments]
        first, inverse = distinct_rows(*columns)
        columns = [one[first] for one in columns]
        parameters = {name: values[:, None] for name, values in draws.items()}
        count = len(next(iter(draws.values())))
        found = np.empty((count, len(rows)))
        by_kind = np.argsort(inverse, kind="stable")
        step = max(_BLOCK // count, 1)
        for start in range(0, len(first), step):
            block = slice(start, start + step)
            values = self.formula(*(one[block] for one in columns), **parameters)
            ends = np.searchsorted(inverse[by_kind], [start, start + step])
            sharing = by_kind[slice(*ends)]
            found[:, sharing] = values[:, inverse[sharing] - start]
        return found


def purchase_terms(columns: RfmColumns, family: Family, name: str) -> LikelihoodTerms:
    """Terms of a base of purchase histories, with what a regular model owes to the gaps.

    Customers who were watched for no time have no term: 0, whatever the draw.

    Parameters
    ----------
    columns : RfmColumns
        Of the base.
    family : Family
        What computes.
    name : str
        Of the model, for the warning where gaps are not known.
    """
    rows = np.flatnonzero((columns.T > 0) | (columns.x > 0))
    data, formula = (columns.kind, columns.t_x, columns.T), family.log_likelihood
    if family.gap_power == 0:
        return LikelihoodTerms(columns.customer_id, rows, data, formula)
    if columns.log_gaps is None:
        warnings.warn(without_gaps(name), UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        return LikelihoodTerms(columns.customer_id, rows, data, formula)
    gaps = family.gap_power * gaps_of(columns)

    def with_gaps(
        x: FloatArray, t_x: FloatArray, T: FloatArray, owed: FloatArray, **draws: FloatArray
    ) -> FloatArray:
        return formula(x, t_x, T, **draws) + owed

    return LikelihoodTerms(columns.customer_id, rows, (*data, gaps), with_gaps)


def group_of_both(
    one: xr.DataTree, other: xr.DataTree, draws: Mapping[str, FloatArray]
) -> xr.Dataset:
    """Draws of two posteriors, in the chains of one where those of the other agree or are one."""
    groups = [tree["posterior"] for tree in (one, other)]
    groups = [group for group in groups if group.sizes["chain"] * group.sizes["draw"] > 1]
    sizes = [(group.sizes["chain"], group.sizes["draw"]) for group in groups]
    alike = sizes and len(set(sizes)) == 1
    shape = sizes[0] if alike else (1, len(next(iter(draws.values()))))
    dims = ("chain", "draw")
    coords = {name: np.arange(size) for name, size in zip(dims, shape, strict=True)}
    if alike:
        coords = {name: groups[0][name].to_numpy() for name in dims}
    variables = {name: (dims, v.reshape(shape)) for name, v in draws.items()}
    return xr.Dataset(variables, coords=coords)
