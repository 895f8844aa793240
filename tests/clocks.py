"""Logs of customers whose time passes by a clock that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.purchases import MODELS
from clvmodels.purchases.clock import LearntClock, harmonics, weekdays

FloatArray = npt.NDArray[np.float64]

BEGIN = pd.Timestamp("2022-01-03")
THETA = {"r": 0.8, "alpha": 60.0, "a": 0.7, "b": 2.4}
NAMES = {"customer_id_col": "customer_id", "datetime_col": "date"}
WEEK = np.array([0.4, 0.1, 0.0, -0.1, 0.2, 0.3, -0.9])
DAYS = 550
SEASON = np.zeros(16)
SEASON[:4] = 0.25, -0.2, 0.1, 0.05


def days_from(begin: pd.Timestamp, days: int) -> npt.NDArray[np.int64]:
    """The first day and so many more, since 1970-01-01."""
    return int((begin - pd.Timestamp("1970-01-01")).days) + np.arange(days + 1)


def intensity(days: int, *, season: bool = True, begin: pd.Timestamp = BEGIN) -> FloatArray:
    """A week and a season: g of the first day and of so many more, with mean 1 over these."""
    at = days_from(begin, days)
    log_g = weekdays(at) @ WEEK + (harmonics(at) @ SEASON if season else 0.0)
    g = np.exp(log_g)
    return np.asarray(g / g[1:].mean())


def log_by(
    g: FloatArray,
    customers: int,
    *,
    key: str = "bgnbd",
    seed: int = 1,
    last: int | None = None,
    **theta: Any,
) -> pd.DataFrame:
    """Simulate a log whose day i has the intensity g[i]; customers come till the ``last`` day."""
    rng = np.random.default_rng([seed, 1])
    family = MODELS[key].formulas
    passed = np.concatenate([[0.0], np.cumsum(g[1:])])
    first = rng.integers(0, len(g) - 1 if last is None else last, customers)
    first[0] = 0  # the log begins with it
    drawn = family.customers(customers, (rng, np.random.default_rng([seed, 2])), **(theta or THETA))
    who, when = [np.arange(customers)], [first]
    for some, own in family.repeat_purchases(drawn, passed[-1] - passed[first], rng):
        who.append(some)
        when.append(np.searchsorted(passed, passed[first[some]] + own))
    log = {"customer_id": np.concatenate(who), "day": np.concatenate(when)}
    found = pd.DataFrame(log).assign(date=lambda t: BEGIN + pd.to_timedelta(t["day"], unit="D"))
    return found.sort_values(["customer_id", "day"]).drop(columns="day").reset_index(drop=True)


def clock(**changes: Any) -> LearntClock:
    """What generated the log, as if it had been learnt."""
    first = int(days_from(BEGIN, 0)[0])
    shocks = 0.1 * np.sin(np.arange(DAYS // 14))
    found = LearntClock(
        first, first + DAYS, WEEK - WEEK.mean(), SEASON, shocks, 14, 0.12, 0.0, 0.05 * np.eye(23)
    )
    days = first + np.arange(1, DAYS + 1)
    return replace(found, level=float(np.log(found.intensity(days).mean())), **changes)
