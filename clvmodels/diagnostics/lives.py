"""Customers one by one over the time of the log: purchases, times between them, P(alive)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.diagnostics.words import short
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import purchases_of
from clvmodels.predictive.alive_history import Looked, alive_by
from clvmodels.purchases import MODELS, ModelKey
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.rfm.purchases_again import purchases_again
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    RECENCY,
    FloatArray,
    T,
    TimeScale,
    check_interval,
    shown,
)
from clvmodels.simulate import simulate_log

IntArray = npt.NDArray[np.int64]
Buying = CLVPosterior | PurchasePosterior

_DATES: Final = 60
_SAMPLE: Final = 20_000
_ROUNDS: Final = 5
_BINS: Final = 30
# Evenly over the customers, the first and the last few left out
_SHARES: Final = (0.02, 0.995)


def row_of(rfm: RfmTable, customer_id: Any) -> int:
    """Position of a customer; of the only one where none is named.

    Raises
    ------
    SchemaError
        There is no such customer, or none is named and there are several.
    """
    if customer_id is None:
        if len(rfm) == 1:
            return 0
        raise SchemaError(
            f"The table has {len(rfm):,} customers: say which one is meant, as in "
            f"customer_id={rfm[CUSTOMER_ID].iloc[0]!r}."
            if len(rfm)
            else "The table has no customers: pass one with some."
        )
    ids = pd.Index(rfm[CUSTOMER_ID])
    found = int(ids.get_indexer(pd.Index([customer_id]))[0])
    if found < 0:
        first = ", ".join(map(str, ids[:5]))
        raise SchemaError(
            f"customer_id={shown(customer_id)} is not a customer of the table: choose one of its "
            f"ids, which begin with {first}."
        )
    return found


class _Bought(NamedTuple):
    """When customers bought, as ordinals of periods: up to the end of observation, and later."""

    seen: list[IntArray]
    later: list[IntArray]
    end: int


def _bought(rfm: RfmTable, log: Any, id_map: Any, rows: Sequence[int]) -> _Bought:
    again = purchases_again(rfm, log, id_map, later=True)
    end, scaler = ordinal_of(rfm.observation_end, rfm.scale), rfm.time_scaler
    first = end - np.rint(rfm.table[T].to_numpy() * scaler).astype(np.int64)
    found = [
        np.sort(first[row] + np.rint(again.age[again.who == row] * scaler).astype(np.int64))
        for row in rows
    ]
    return _Bought([one[one <= end] for one in found], [one[one > end] for one in found], end)


def _dates(periods: Iterable[int], scale: TimeScale) -> list[str]:
    return [str(start_of(int(one), scale).date()) for one in periods]


# --- one customer -----------------------------------------------------------------------


def alive_history(
    posterior: Buying,
    rfm: RfmTable,
    customer_id: Any,
    log: Any,
    id_map: Any,
    interval: float,
) -> dict[str, Any]:
    """P(alive) of one customer at the ends of past periods, as it would have been said then."""
    row = row_of(rfm, customer_id)
    bought = _bought(rfm, log, id_map, [row])
    when, end = bought.seen[0], bought.end
    if end == when[0]:
        raise DomainError(
            "The customer came in the last period, so P(alive) has no history yet: choose one "
            "who came earlier."
        )
    # At each purchase, right before it, and evenly in between
    dates = np.linspace(when[0] + 1, end, _DATES).astype(np.int64)
    dates = np.unique(np.concatenate([dates, when[1:], when[1:] - 1]))
    dates = dates[dates > when[0]]
    whose = purchases_of(posterior)
    mine = replace(rfm, table=rfm.table.slice(row, 1))
    level = check_interval(interval)
    alive, *ends = alive_by(whose).at(
        columns_of(whose, mine, None),
        _looks(when, dates, rfm.time_scaler),
        probability=() if posterior.certain else ((1 - level) / 2, (1 + level) / 2),
    )
    lower, upper = map(short, ends) if ends else ([], [])
    return {
        "dates": _dates(dates, rfm.scale),
        "p_alive": short(alive),
        "lower": lower,
        "upper": upper,
        "purchases": _dates(when, rfm.scale),
        "interval": level,
        "name": str(rfm[CUSTOMER_ID].iloc[row]),
    }


def _looks(when: IntArray, dates: IntArray, scaler: float) -> Looked:
    """What was known of the customer at earlier dates."""
    until = np.searchsorted(when, dates, side="right") - 1
    times = ((day - when[0]) / scaler for day in (when[until], dates))
    return Looked(np.zeros(len(dates), dtype=np.int64), until.astype(np.float64), *times)


# --- some customers ---------------------------------------------------------------------


def timelines(
    rfm: RfmTable,
    customers: Sequence[Any] | int,
    log: Any,
    id_map: Any,
    posterior: Buying | None,
) -> dict[str, Any]:
    """Purchases of some customers, those who buy least first, and later ones of the log."""
    values = None if posterior is None else _expected(posterior, rfm)
    rows = (
        _spread(rfm, customers, values)
        if isinstance(customers, int)
        else [row_of(rfm, one) for one in customers]
    )
    bought = _bought(rfm, log, id_map, rows)
    alive = [] if values is None else short(values["p_alive"].to_numpy()[rows])
    return {
        "names": [str(one) for one in rfm[CUSTOMER_ID].iloc[rows]],
        "seen": [_dates(one, rfm.scale) for one in bought.seen],
        "later": [_dates(one, rfm.scale) for one in bought.later],
        "end": _dates([bought.end], rfm.scale)[0],
        "p_alive": alive,
    }


def _expected(posterior: Buying, rfm: RfmTable) -> pd.DataFrame:
    return pd.DataFrame(purchases_of(posterior).predict(rfm))


def _spread(rfm: RfmTable, count: int, values: pd.DataFrame | None) -> list[int]:
    """So many customers, evenly over those who came back, in the order of what is expected."""
    table = rfm.to_pandas()
    mine = np.flatnonzero(table[FREQUENCY].to_numpy() > 0)
    mine = mine if len(mine) else np.arange(len(table))
    if not len(mine):
        raise DomainError("The table has no customers to draw: pass one with some.")
    by = [RECENCY, FREQUENCY] if values is None else ["expected_purchases"]
    keys = [(table if values is None else values)[name].to_numpy()[mine] for name in by]
    order = mine[np.lexsort(keys)]
    places = np.linspace(*_SHARES, max(count, 1)) * (len(order) - 1)
    return [int(one) for one in order[np.unique(np.rint(places).astype(int))]]


# --- all customers ----------------------------------------------------------------------


def times_between(rfm: RfmTable, log: Any, id_map: Any, posterior: Buying | None) -> dict[str, Any]:
    """How long all customers let pass from one purchase to the next, as counts by bin."""
    again = purchases_again(rfm, log, id_map)
    gaps = _gaps(again.who, again.age)
    if not len(gaps):
        raise DomainError(
            "No customer has bought twice, so there are no times between purchases: use a longer "
            "log."
        )
    top = max(float(np.quantile(gaps, 0.99)), 2.0 / rfm.time_scaler)
    whole = max(round(top * rfm.time_scaler / _BINS), 1) / rfm.time_scaler  # periods of a bin
    edges = np.arange(0.5 / rfm.time_scaler, top + whole, whole)
    data = {
        "edges": short(edges),
        "actual": np.histogram(gaps, edges)[0].tolist(),
        "median": float(np.median(gaps)),
        "beyond": float((gaps > edges[-1]).mean()),
        "unit": rfm.scale.unit_name,
    }
    expected = None if posterior is None else _expected_gaps(purchases_of(posterior), rfm, edges)
    return data | ({} if expected is None else {"expected": short(expected)})


def _gaps(who: IntArray, age: FloatArray) -> FloatArray:
    order = np.lexsort([age, who])
    same = np.diff(who[order]) == 0
    return np.asarray(np.diff(age[order])[same])


def _expected_gaps(posterior: PurchasePosterior, rfm: RfmTable, edges: FloatArray) -> FloatArray:
    """Mean counts of simulated logs of customers who were observed for as long.

    Raises
    ------
    DomainError
        The model has a clock or covariates, or is several.
    """
    about = posterior.metadata
    if about.clock is not None or about.design is not None or about.model not in MODELS:
        raise DomainError(
            "What is expected is simulated of one model without a clock or covariates, and this "
            "posterior is another: draw the times of the table alone."
        )
    ages = np.asarray(rfm.table[T].to_numpy(), dtype=np.float64)
    rng = np.random.default_rng(0)
    chosen = rng.choice(ages, _SAMPLE, replace=False) if len(ages) > _SAMPLE else ages
    draws, counts = posterior.draws(_ROUNDS), np.zeros(len(edges) - 1)
    rounds = len(next(iter(draws.values())))
    for i in range(rounds):
        log = simulate_log(  # in which a day is one unit of the table
            len(chosen),
            T=chosen,
            period=1.0 / rfm.time_scaler,
            seed=i,
            model=cast("ModelKey", about.model),
            parameters={name: float(values[i]) for name, values in draws.items()},
        )
        age = (log["date"] - log["date"].min()).to_numpy() / np.timedelta64(1, "D")
        counts += np.histogram(_gaps(log[CUSTOMER_ID].to_numpy(), age), edges)[0]
    return np.asarray(counts * len(ages) / (len(chosen) * rounds))
