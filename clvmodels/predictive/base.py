"""What the predictive distributions have in common: draws, histories, and their rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from clvmodels.errors import OURS, DomainError
from clvmodels.forecast import Draws
from clvmodels.forecast.grouping import Groups
from clvmodels.forecast.outcomes import check_finite
from clvmodels.margin import Margin, MarginSource
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.predicting import draws_of
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable, spend_of
from clvmodels.schema import FloatArray, Horizon, shown

IntArray = npt.NDArray[np.int64]


def in_either_order[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a function accept (rfm, posterior) for a release, with a warning."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> R:
        if len(args) > 1 and isinstance(args[1], Scorable) and not isinstance(args[0], Scorable):
            name = function.__name__
            warnings.warn(
                f"{name} takes the posterior first, like all other functions: {name}(posterior, "
                "rfm). This release still accepts the other order; the next one will not.",
                FutureWarning,
                stacklevel=2,
                skip_file_prefixes=OURS,
            )
            args = (args[1], args[0], *args[2:])
        return function(*args, **options)

    return cast("Callable[P, R]", call)


def margin_said(value: float | None, source: MarginSource | None) -> str:
    """The margin at the end of a one-line description; nothing where there are no values."""
    return "" if value is None or source is None else f", {Margin(value, source)}"


def finite_horizon(posterior: Scorable, horizon: Horizon) -> float:
    """Turn a horizon into units of T; outcomes need an end.

    Raises
    ------
    TimeUnitError, DomainError
        It is not a length of time, or endless.
    """
    length = posterior.scale.horizon(horizon)
    check_finite(length)
    return length


def purchase_draws(posterior: Scorable, draws: int) -> tuple[Draws, PurchasePosterior]:
    """The draws that ``predict`` uses, and whose they are."""
    whose = scorable(posterior, "Counts need")
    return draws_of(purchases_of(whose), spend_of(whose), draws), purchases_of(whose)


def history_of_rows(groups: Groups) -> IntArray:
    """Position of each row's history, shape (N,)."""
    position = np.empty(len(groups.rows), dtype=np.int64)
    position[groups.rows] = np.repeat(np.arange(len(groups.x)), np.diff(groups.start))
    return position


def check_probabilities(probability: npt.ArrayLike) -> FloatArray:
    """Return probabilities between 0 and 1, both excluded, as an array of at most one axis."""
    try:
        wanted = np.asarray(probability, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        wanted = np.full(1, np.nan)
    if wanted.ndim > 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise DomainError(f"probability={shown(probability)} must lie between 0 and 1.")
    return wanted


def row_keys(customer_id: npt.NDArray[np.generic]) -> npt.NDArray[np.uint64]:
    """Hash every customer's id; rows that share one are told apart by their order.

    A customer's random numbers depend on this key, and so not on the other rows.
    """
    import pandas as pd

    ids = pd.Series(customer_id)
    if ids.dtype == object:
        ids = ids.map(str)
    keys = pd.util.hash_array(ids.to_numpy())
    again = pd.Series(keys).groupby(keys).cumcount().to_numpy().astype(np.uint64)
    return np.asarray(keys + again * np.uint64(0x9E3779B97F4A7C15), dtype=np.uint64)
