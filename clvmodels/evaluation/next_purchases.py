"""Whether customers buy next when the model said, and whether flags of being overdue hold.

A purchase of the d-th period after the date counts as made in the middle of it, d - 1/2: what
is said of times is continuous, and what is known of the log is the period.

Apart from the other tables of a backtest, since these are made of forecasts of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from clvmodels.evaluation.fitting import FittedModel
from clvmodels.evaluation.model_forecasts import Asked
from clvmodels.evaluation.observed import Observed
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import purchases_of
from clvmodels.predictive.time_to_next import LATE, Waiting, waiting
from clvmodels.schema import FloatArray

LENGTHS: Final = (30.0, 90.0, 365.0)  # days, of which those that fit into the holdout are told
WINDOW: Final = 0.8
_ALMOST: Final = 1.0 + 1e-9

Flags = npt.NDArray[np.bool_]


def next_purchases(observed: Observed, posterior: FittedModel, asked: Asked) -> pd.DataFrame:
    """Shares of customers who bought next by when it was said, against the shares that were said.

    Returns
    -------
    DataFrame
        A row a statement: statement, customers (whom it was made of), said and happened
        (shares of these), lower and upper: where the share should lie by chance, if customers
        are independent and what was said is right.
    """
    scale, horizon = observed.scale, observed.terms.horizon
    fitting = [days / scale.days for days in LENGTHS if days / scale.days <= horizon * _ALMOST]
    found = waiting(
        posterior,
        columns_of(purchases_of(posterior), observed.train, None),
        lengths=[*fitting, horizon],
        interval=WINDOW,
        late=[LATE],
        draws=asked.draws,
    )
    days = [length * scale.days for length in fitting]
    rows = _statements(found, _first_after(observed), days, horizon, scale.days)
    return pd.DataFrame([_row(*one, asked.interval) for one in rows])


def _first_after(observed: Observed) -> FloatArray:
    """Time from the date of the forecast to each customer's first purchase; infinite if none."""
    after = observed.period - observed.span.train_end
    later = after > 0
    first = np.full(observed.customers, np.inf)
    np.minimum.at(first, observed.who[later], after[later] - 0.5)
    return first / observed.scale.time_scaler


def _statements(
    found: Waiting, first: FloatArray, days: list[float], horizon: float, unit: float
) -> Iterator[tuple[str, FloatArray, Flags]]:
    """What was said of some customers, the chance of each, and whether it happened."""
    *chances, within = found.chances
    for length, said in zip(days, chances, strict=True):
        yield f"bought within {length:.0f} days", said, first <= length / unit * _ALMOST
    # Of those alone of whom the holdout tells: a time beyond its end is neither right nor wrong
    ever = 1.0 - found.never
    told = found.median <= horizon
    yield "bought by the median", 0.5 * ever[told], (first <= found.median)[told]
    told = found.upper <= horizon
    inside = (first > found.lower) & (first <= found.upper)
    yield f"bought in the {100 * WINDOW:.0f} % window", WINDOW * ever[told], inside[told]
    for name, part in (("not overdue", ~found.overdue), ("overdue", found.overdue)):
        yield f"{name}: bought in the holdout", within[part], np.isfinite(first[part])


def _row(statement: str, said: FloatArray, happened: Flags, interval: float) -> dict[str, Any]:
    count = len(said)
    mean = float(said.mean()) if count else math.nan
    chance = float(np.sqrt((said * (1.0 - said)).sum())) / count if count else math.nan
    far = float(ndtri((1.0 + interval) / 2.0)) * chance
    return {
        "statement": statement,
        "customers": count,
        "said": mean,
        "happened": float(happened.mean()) if count else math.nan,
        "lower": max(mean - far, 0.0),
        "upper": min(mean + far, 1.0),
    }
