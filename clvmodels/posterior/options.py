"""The options of a prediction, for signatures that hand them on."""

from __future__ import annotations

from typing import TypedDict

from clvmodels.schema import Discounting, Horizon, TimeUnit


class PredictOptions(TypedDict, total=False):
    """Keyword arguments of :meth:`clvmodels.CLVPosterior.predict`."""

    horizon: Horizon
    discount_rate: float
    discounting: Discounting
    interval: float
    draws: int
    predictive: bool
    margin: float | None
    time_unit: TimeUnit | None
    time_scaler: float | None
