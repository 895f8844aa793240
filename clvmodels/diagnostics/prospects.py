"""What is ahead of one customer, of a new one, and how much customers differ."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pandas as pd

from clvmodels.diagnostics.lives import Buying, row_of
from clvmodels.diagnostics.words import short
from clvmodels.economics import payback_period
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import tail_probabilities
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.scorable import purchases_of
from clvmodels.predictive import next_purchase, value_distribution
from clvmodels.predictive.time_to_next import dates_at
from clvmodels.purchases import MODELS, ModelKey
from clvmodels.purchases.model import AT_ANY_TIME, NEVER
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    DAYS_PER_MONTH,
    FloatArray,
    Horizon,
    check_interval,
    check_whole,
    shown,
)
from clvmodels.simulate import simulate_customers

if TYPE_CHECKING:
    from collections.abc import Mapping

_BARS: Final = 24
_POINTS: Final = 80
_FAR: Final = 0.99  # of the values above 0
_GONE: Final = 1.0 - 1e-6
_DRAWS: Final = 40
_SAMPLE: Final = 4_000
_RATES: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, math.inf)
_RATE_BINS: Final = ["< 1/4", "1/4-1/2", "1/2-1", "1-2", "2-4", "4-8", "8-16", "> 16"]
_SHARES: Final = tuple(i / 10 for i in range(11))
_YEAR: Final = 365.25


def one_of(rfm: RfmTable, customer_id: Any, times: int = 1) -> RfmTable:
    """A table of one customer alone, as often as it is asked for, under other ids then."""
    one = rfm.table.slice(row_of(rfm, customer_id), 1)
    table = one.take([0] * times)
    if times > 1:
        place = table.column_names.index(CUSTOMER_ID)
        table = table.set_column(place, CUSTOMER_ID, [np.arange(times)])
    return replace(rfm, table=table, audit=None)


def customer_value(
    posterior: CLVPosterior, rfm: RfmTable, customer_id: Any, terms: Mapping[str, Any]
) -> dict[str, Any]:
    """Chances of what one customer will bring: of nothing, and by bins of value."""
    given: dict[str, Any] = dict(terms)
    interval = check_interval(given.pop("interval"))
    one = one_of(rfm, customer_id)
    found = value_distribution(posterior, one, **given)
    lower, upper = (float(end[0]) for end in found.interval(interval))
    nothing = float(found.cdf([0.0])[0])
    top = float(found.quantile(nothing + _FAR * (1.0 - nothing))[0]) if nothing < _GONE else 0.0
    if top <= 0.0:
        raise DomainError(
            "The customer is all but certain to bring nothing within the horizon: choose a longer "
            "one, or another customer."
        )
    width = _round_up(top / _BARS)
    edges = np.asarray(width * np.arange(math.ceil(top / width) + 1), dtype=np.float64)
    many = value_distribution(posterior, one_of(rfm, customer_id, len(edges)), **given)
    return {
        "edges": short(edges),
        "chances": short(np.diff(many.cdf(edges))),
        "nothing": nothing,
        "mean": float(found.mean[0]),
        "lower": lower,
        "upper": upper,
        "interval": interval,
        "name": str(one[CUSTOMER_ID].iloc[0]),
    }


def _round_up(width: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= width)


def time_to_next(
    posterior: Buying, rfm: RfmTable, customer_id: Any, horizon: Horizon, interval: float
) -> dict[str, Any]:
    """Chance that one customer has bought again, by the time since the end of observation."""
    one = one_of(rfm, customer_id)
    scale, end = purchases_of(posterior).scale, rfm.observation_end
    if math.isinf(length := scale.horizon(horizon)):
        raise DomainError(f"horizon={shown(horizon)} must be finite, such as '365D'.")
    times = np.linspace(0.0, length, _POINTS + 1)[1:]
    found = next_purchase(posterior, one, within=times.tolist(), interval=interval).customers
    chances = [float(found[f"p_within_{time:g}"].iloc[0]) for time in times]
    ahead = np.append(0.0, times)
    ends = [found[name].iloc[0] for name in ("next", "next_lower", "next_upper")]
    return {
        "times": short(ahead) if end is None else _days(dates_at(end, scale, ahead)),
        "chances": [0.0, *short(np.array(chances))],
        "never": float(found["p_never"].iloc[0]),
        "next": [_day(one) for one in ends] if end is not None else short(np.array(ends)),
        "interval": check_interval(interval),
        "unit": "" if end is not None else scale.unit_name,
        "name": str(one[CUSTOMER_ID].iloc[0]),
    }


def _days(dates: Any) -> list[str]:
    return [str(one.astype("datetime64[D]")) for one in dates]


def _day(date: Any) -> str | None:
    return None if pd.isna(date) else str(pd.Timestamp(date).date())


def payback(
    posterior: CLVPosterior,
    cac: float | None,
    months: int,
    terms: Mapping[str, Any],
) -> dict[str, Any]:
    """What a new customer has brought by the end of each month, against a cost."""
    check_whole("months", months)
    values = [
        posterior.new_customer_value(f"{month}M" if month else "0D", **terms)
        for month in range(months + 1)
    ]
    found: dict[str, Any] = {
        "months": list(range(months + 1)),
        "value": [one.mean for one in values],
        "lower": [] if math.isnan(values[-1].lower) else [one.lower for one in values],
        "upper": [] if math.isnan(values[-1].lower) else [one.upper for one in values],
        "is_profit": values[0].margin < 1.0,
        "interval": values[0].interval,
        "discount_rate": terms["discount_rate"],
    }
    if cac is None:
        return found
    back = payback_period(posterior, cac, within=f"{months}M", **terms)
    month = back.days / DAYS_PER_MONTH
    return found | {"cac": back.cac, "paid_back": month if math.isfinite(month) else None}


def heterogeneity(posterior: Buying, interval: float) -> dict[str, Any]:
    """Shares of new customers by how often they buy, and by how easily they leave.

    Raises
    ------
    SchemaError
        The posterior is of several models.
    """
    purchases = purchases_of(posterior)
    model = MODELS.get(purchases.metadata.model)
    if model is None:
        raise SchemaError(
            "How customers differ is drawn of one model, and this posterior is of several: pass "
            "one of those that it was made of."
        )
    draws = purchases.draws(_DRAWS)
    units = _YEAR / purchases.scale.days  # of time in a year
    key = cast("ModelKey", model.key)
    at_any_time = model.leaves == AT_ANY_TIME
    rates, leaving = [], []
    for i in range(len(next(iter(draws.values())))):
        own = {name: float(draws[name][i]) for name in model.parameter_names}
        people = simulate_customers(_SAMPLE, seed=i, model=key, parameters=own)
        yearly = people.purchase_rate * units / model.regularity
        chance = -np.expm1(-people.dropout * units) if at_any_time else people.dropout
        rates.append(_shares(yearly, _RATES))
        leaving.append(_shares(chance, _SHARES))
    leaves = "leaving within a year" if at_any_time else f"leaving {model.leaves}"
    leaves = "ever leaving" if model.leaves == NEVER else leaves
    return {
        "parameters": [
            {
                "name": "repeat purchases a year while active",
                "bins": _RATE_BINS,
                **_with_ends(np.array(rates), interval),
            },
            {
                "name": f"chance of {leaves}",
                "bins": [f"{100 * low:.0f}-{100 * low + 10:.0f} %" for low in _SHARES[:-1]],
                **_with_ends(np.array(leaving), interval),
            },
        ]
    }


def _shares(values: FloatArray, edges: tuple[float, ...]) -> FloatArray:
    return np.asarray(np.histogram(values, edges)[0] / len(values))


def _with_ends(shares: FloatArray, interval: float) -> dict[str, Any]:
    found: dict[str, Any] = {"share": short(shares.mean(axis=0))}
    if len(shares) > 1:
        ends = np.quantile(shares, tail_probabilities(check_interval(interval)), axis=0)
        found |= {"lower": short(ends[0]), "upper": short(ends[1])}
    return found
