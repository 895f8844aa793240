"""Customers by number of repeat purchases: what there are, and what a model expects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.evaluation.fitting import FittedModel
from clvmodels.evaluation.observed import Observed
from clvmodels.forecast import tail_probabilities
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import purchases_of
from clvmodels.purchases.family import Family
from clvmodels.rfm.histories import PurchaseHistories
from clvmodels.schema import FloatArray

MOST_REPEATS: Final = 7
_CELLS: Final = 2_000_000
_STREAM: Final = 2


def number_of_draws(draws: Mapping[str, FloatArray]) -> int:
    """How many draws there are, whatever they are draws of."""
    return len(next(iter(draws.values())))


def repeated(whose: PurchasePosterior, paths: int) -> dict[str, FloatArray]:
    """So many draws, over and over where there are fewer."""
    return {name: np.resize(values, paths) for name, values in whose.draws(paths).items()}


def bin_labels(most: int = MOST_REPEATS) -> list[str]:
    """Names of the bins 0, 1, ..., and the last one, of so many or more."""
    return [*map(str, range(most)), f"{most}+"]


def actual_repeats(histories: PurchaseHistories, most: int = MOST_REPEATS) -> FloatArray:
    """Customers with 0, 1, ..., ``most`` or more repeats, shape (most + 1,)."""
    place = np.minimum(histories.x, most).astype(np.int64)
    return np.bincount(place, weights=histories.count, minlength=most + 1).astype(np.float64)


def repeats_by_draw(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    ages: FloatArray,
    customers: FloatArray,
    born: FloatArray | None = None,
    most: int = MOST_REPEATS,
) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of customers with 0, 1, ..., ``most`` or more repeats, in every draw.

    Summed over customers' T, the probabilities of eq. 8 of Fader, Hardie & Lee (2005);
    customers are independent given the parameters.

    Parameters
    ----------
    formulas : Family
    draws : mapping of str to ndarray, shape (S, 1)
    ages, customers : ndarray, shape (A,)
        Distinct T, and how many customers have them.
    born : ndarray, shape (A,), optional
        As what these came (`RfmColumns.born`), where a model has covariates.

    Returns
    -------
    mean, variance : ndarray, shape (S, most + 1)
    """
    size = number_of_draws(draws)
    mean, variance = np.zeros((size, most + 1)), np.zeros((size, most + 1))
    rows = max(_CELLS // size, 1)
    for begin in range(0, len(ages), rows):
        part, weight = ages[begin : begin + rows], customers[begin : begin + rows]
        new = 0.0 if born is None else born[begin : begin + rows]
        left = np.ones((size, len(part)))
        for n in range(most + 1):
            chance = (
                formulas.pmf(n, new, 0, 0, part, **draws) if n < most else np.maximum(left, 0.0)
            )
            mean[:, n] += chance @ weight
            variance[:, n] += (chance * (1.0 - chance)) @ weight
            left -= chance
    return mean, variance


def mean_repeats(
    formulas: Family,
    draws: Mapping[str, FloatArray],
    ages: FloatArray,
    customers: FloatArray,
    born: FloatArray | None = None,
) -> FloatArray:
    """Expected repeat purchases a customer, in every draw, shape (S,); see `repeats_by_draw`."""
    total = np.zeros(number_of_draws(draws))
    rows = max(_CELLS // len(total), 1)
    for begin in range(0, len(ages), rows):
        part = slice(begin, begin + rows)
        new = 0.0 if born is None else born[part]
        total += formulas.expected_purchases(new, 0, 0, ages[part], **draws) @ customers[part]
    return np.asarray(total / customers.sum())


def repeats(
    observed: Observed,
    posterior: FittedModel,
    *,
    interval: float,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Customers with 0, 1, 2, ... repeat purchases in the calibration, expected and actual.

    The band has parameters and chance in it: a count of many independent customers is close
    to normal.
    """
    whose = purchases_of(posterior)
    base = columns_of(whose, observed.train, None)
    kinds, customers = np.unique(np.stack([base.born, base.T]), axis=1, return_counts=True)
    born = kinds[0] if base.stratum is not None else None
    columns: dict[str, Any] = {name: v[:, None] for name, v in repeated(whose, draws).items()}
    weight = customers.astype(np.float64)
    mean, variance = repeats_by_draw(whose.formulas, columns, kinds[1], weight, born)
    rng = np.random.default_rng([seed, _STREAM])
    outcomes = np.maximum(mean + np.sqrt(variance) * rng.standard_normal(mean.shape), 0.0)
    lower, upper = np.quantile(outcomes, tail_probabilities(interval), axis=0)
    place = np.minimum(observed.frequency, MOST_REPEATS)
    return pd.DataFrame(
        {
            "repeats": bin_labels(),
            "actual": np.bincount(place, minlength=MOST_REPEATS + 1),
            "expected": mean.mean(axis=0),
            "lower": lower,
            "upper": upper,
        }
    )
