"""What the predictive distributions have in common: draws, histories, and their rows."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.predict.grouping import Groups
from clvmodels.schema import FloatArray, Horizon

IntArray = npt.NDArray[np.int64]
TOO_MANY: Final = (
    "Some customers are likely to make more than {most:,} purchases within the horizon: "
    "use a shorter one."
)


def finite_horizon(posterior: CLVPosterior | PurchasePosterior, horizon: Horizon) -> float:
    """Turn a horizon into units of T; outcomes need an end.

    Raises
    ------
    TimeUnitError, DomainError
        It is no length of time, or endless.
    """
    length = posterior.scale.horizon(horizon)
    if math.isinf(length):
        raise DomainError(
            "Realised outcomes need a finite horizon, such as '365D': over a whole life their "
            "number has no bound."
        )
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
