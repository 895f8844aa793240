"""Customers by number of repeat purchases: what there are, and what a model expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from clvmodels.purchases import Family
from clvmodels.rfm.histories import PurchaseHistories
from clvmodels.schema import FloatArray

MOST_REPEATS: Final = 7
_CELLS: Final = 2_000_000


def bin_labels(most: int = MOST_REPEATS) -> list[str]:
    """Names of the bins 0, 1, ..., and the last one, of so many or more."""
    return [*map(str, range(most)), f"{most}+"]


def actual_repeats(histories: PurchaseHistories, most: int = MOST_REPEATS) -> FloatArray:
    """Customers with 0, 1, ..., ``most`` or more repeats, shape (most + 1,)."""
    place = np.minimum(histories.x, most).astype(np.int64)
    return np.bincount(place, weights=histories.count, minlength=most + 1).astype(np.float64)


def histogram_of_draws(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    ages: FloatArray,
    customers: FloatArray,
    most: int = MOST_REPEATS,
) -> FloatArray:
    """Expected customers with 0, 1, ..., ``most`` or more repeats, in every draw.

    Summed over customers' T, the probabilities of eq. 8 of Fader, Hardie & Lee (2005).

    Parameters
    ----------
    formulas : Family
    draws : mapping of str to ndarray, shape (S, 1)
    ages, customers : ndarray, shape (A,)
        Distinct T, and how many customers have them.

    Returns
    -------
    ndarray, shape (S, most + 1)
    """
    out = np.zeros((len(draws["r"]), most + 1))
    rows = max(_CELLS // len(out), 1)
    for begin in range(0, len(ages), rows):
        part, weight = ages[begin : begin + rows], customers[begin : begin + rows]
        for n in range(most):
            out[:, n] += formulas.pmf_new(n, part, **draws) @ weight
    out[:, most] = np.maximum(customers.sum() - out.sum(axis=1), 0.0)
    return out


def mean_repeats(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    ages: FloatArray,
    customers: FloatArray,
) -> FloatArray:
    """Expected repeat purchases a customer, in every draw, shape (S,)."""
    rows = max(_CELLS // len(draws["r"]), 1)
    total = np.zeros(len(draws["r"]))
    for begin in range(0, len(ages), rows):
        part = slice(begin, begin + rows)
        total += formulas.expected_purchases_new(ages[part], **draws) @ customers[part]
    return np.asarray(total / customers.sum())
