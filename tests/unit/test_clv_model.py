"""CLVModel: two models of one base, of which neither is fitted in vain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvmodels import BetaGeoModel, CLVModel
from clvmodels.errors import ClvError


class FittedError(AssertionError):
    """Purchases were fitted."""


@pytest.fixture
def _no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(*_: object, **__: object) -> None:
        raise FittedError

    monkeypatch.setattr(BetaGeoModel, "_fit_columns", fitted)


def base(amount: object, *, repeat: int = 2) -> pd.DataFrame:
    rows = np.arange(20)
    frequency = np.full(20, repeat)
    frame = pd.DataFrame(
        {
            "customer_id": rows,
            "frequency": frequency,
            "recency": np.where(frequency > 0, 5.0 + rows, 0.0),
            "T": 40.0,
        }
    )
    return frame if amount is None else frame.assign(monetary_value=amount)


@pytest.mark.usefixtures("_no_fit")
@pytest.mark.parametrize(
    ("rfm", "says"),
    [
        (base(None), "lacks monetary_value"),
        (base(0.0), "repeat purchase of positive value"),
        (base(9.0, repeat=0), "repeat purchase of positive value"),
        (base(-3.0), "negative or missing monetary_value"),
        (base(9.0), "no variation for the spend model"),
    ],
)
def test_spend_that_cannot_be_fitted_is_found_before_purchases_are(
    rfm: pd.DataFrame, says: str
) -> None:
    with pytest.raises(ClvError, match=says):
        CLVModel().fit(rfm)


@pytest.mark.usefixtures("_no_fit")
def test_else_purchases_are_fitted_first() -> None:
    with pytest.raises(FittedError):
        CLVModel().fit(base(np.arange(20) + 1.0))
