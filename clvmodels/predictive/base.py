"""What the predictive distributions have in common: draws, histories, and their rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.predict.grouping import Groups
from clvmodels.predict.outcomes import check_finite
from clvmodels.schema import FloatArray, Horizon

IntArray = npt.NDArray[np.int64]


def finite_horizon(posterior: CLVPosterior | PurchasePosterior, horizon: Horizon) -> float:
    """Turn a horizon into units of T; outcomes need an end.

    Raises
    ------
    TimeUnitError, DomainError
        It is no length of time, or endless.
    """
    length = posterior.scale.horizon(horizon)
    check_finite(length)
    return length


def purchase_draws(
    posterior: CLVPosterior | PurchasePosterior, draws: int
) -> tuple[dict[str, FloatArray], PurchasePosterior]:
    """Draws of r, alpha, a, b, the same that ``predict`` uses, and whose they are."""
    if isinstance(posterior, PurchasePosterior):
        return posterior.draws(draws), posterior
    return dict(posterior.paired(draws).purchases), posterior.purchases


def history_of_rows(groups: Groups) -> IntArray:
    """Position of each row's history, shape (N,)."""
    position = np.empty(len(groups.rows), dtype=np.int64)
    position[groups.rows] = np.repeat(np.arange(len(groups.x)), np.diff(groups.start))
    return position
