"""The list that people work from: one row a customer, in words and round numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.display import Readable
from clvmodels.economics.labels import ACTIVE, LOST, NEW, OVERDUE, SLOWING
from clvmodels.economics.outlook import base_for, measure_of, prepared_and_valued, ranking
from clvmodels.economics.tiers import value_tiers
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.posterior.predicting import columns_of, predicted_frame
from clvmodels.posterior.scorable import Scorable, has_money, purchases_of, scorable, spend_of
from clvmodels.posterior.terms import ValueTerms
from clvmodels.predictive.time_to_next import Waiting, dates_at, waiting
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, FloatArray, Horizon, check_list, check_number, shown

if TYPE_CHECKING:
    import pandas as pd

STATES: Final = (NEW, ACTIVE, SLOWING, OVERDUE, LOST)
TOP: Final = "tier 1"
# What to do about customers of the top tier, and about the others
ACTIONS: Final = {
    NEW: ("welcome in person", "invite to a second order"),
    ACTIVE: ("reward loyalty", "none needed"),
    SLOWING: ("get in touch", "remind"),
    OVERDUE: ("win back now", "win back at low cost"),
    LOST: ("ask why", "spend nothing"),
}
CHANCES: Final = {"chance_30_days": 30.0, "chance_90_days": 90.0, "chance_365_days": 365.0}
WINDOW: Final = 0.8
# Text, whole days, shares, money and counts are written differently in spreadsheets
KINDS: Final = {
    **dict.fromkeys(("tier", "state", "action"), "text"),
    **dict.fromkeys(("value", "value_lower", "value_upper"), "money"),
    **dict.fromkeys(("purchases", "purchases_lower", "purchases_upper"), "decimal"),
    "orders": "whole",
    "days_silent": "whole",
    **dict.fromkeys(CHANCES, "share"),
    **dict.fromkeys(("last_order", "next_order", "next_order_from", "next_order_to"), "date"),
    "overdue_since": "date",
    **dict.fromkeys(("next_order_in", "next_order_in_from", "next_order_in_to"), "whole"),
    "overdue_for": "whole",
}
_BLOCK: Final = 200_000
_YOUNG: Final = 1.0 + 1e-9
_AHEAD: Final = 5 * 365.25  # days beyond which nobody plans


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CustomerList(Readable):
    """Customers as people who write to them need to see them.

    Attributes
    ----------
    customers : DataFrame
        One row per customer, of whom most is expected first; ties by id.
    meanings : dict
        What each column says, in a sentence.
    """

    customers: pd.DataFrame
    meanings: dict[str, str]


class Limits(NamedTuple):
    """Where a state begins; as in `customers`."""

    new_within: Horizon
    slow: float
    late: float
    lost_below: float


@named
def customers(
    posterior: Scorable,
    rfm: RfmTable,
    *,
    attributes: Sequence[str] | None = None,
    new_within: Horizon = "90D",
    slow: float = 0.75,
    late: float = 0.9,
    lost_below: float = 0.1,
    **terms: Unpack[ValueTerms],
) -> CustomerList:
    """List every customer with value, state, next order and what to do, in round numbers.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone the list has purchases in place of values.
    rfm : RfmTable
        The base. Where it knows its end of observation there are dates, else days from then.
    attributes : sequence of str, optional
        Segment columns of the table to keep; by default all.
    new_within : str or float
        Time since the only order in which a customer is new.
    slow, late : float
        Shares of the times to a next order, as they were to be expected at the last one, after
        which a customer is slowing, and overdue: 0 < slow < late < 1.
    lost_below : float
        Chance of an order within 365 days below which an overdue customer is probably lost.
    horizon, discount_rate, discounting, interval, draws, margin
        Of the value, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    CustomerList
        Columns customer_id, the attributes, tier (as `economics.value_tiers` makes them),
        state, action; value with value_lower and value_upper (of the expected value); orders,
        last_order, days_silent; next_order, next_order_from and next_order_to (median and
        80 % window, if one comes; empty of those probably lost and beyond five years),
        overdue_since (of the overdue); chance_30_days, chance_90_days and chance_365_days.

    Raises
    ------
    SchemaError
        The table is not an RfmTable, or has no such attribute.
    DomainError
        A share is out of its range, the base is empty, or the horizon makes values infinite.

    Notes
    -----
    States, the first that fits: "probably lost" (overdue, and an order within a year less
    likely than ``lost_below``), "overdue", "new" (one order, within ``new_within``),
    "slowing" (silent for longer than ``slow``, or one order and no longer new), "active".
    """
    import pandas as pd

    limits = Limits(new_within, slow, late, lost_below)
    parts = customer_parts(posterior, rfm, attributes, limits, **terms)
    table = pd.concat(list(parts), ignore_index=True)
    return CustomerList(table, meanings_of(posterior, [*map(str, table)], limits, **terms))


@named
def customer_parts(
    posterior: Scorable,
    rfm: RfmTable,
    attributes: Sequence[str] | None,
    limits: Limits,
    *,
    best_first: bool = True,
    **terms: Unpack[ValueTerms],
) -> Iterator[pd.DataFrame]:
    """Check what is asked, value everybody, and yield the list block by block.

    Tiers and the order depend on all customers; of the rest nothing stays in memory beyond a
    block. Without ``best_first`` the order is the table's.
    """
    import pandas as pd

    _check(limits)
    rfm = base_for(posterior, rfm, terms["margin"])
    kept = kept_attributes(rfm, attributes)
    prepared_and_valued(scorable(posterior, "The list of customers needs"), rfm, **terms)
    blocks = [replace(rfm, table=rfm.table.slice(at, _BLOCK)) for at in _starts(len(rfm))]
    by = measure_of(posterior)
    names = [CUSTOMER_ID, by, f"{by}_lower", f"{by}_upper"]
    valued = pd.concat([_scores(posterior, one, **terms)[names] for one in blocks])
    ranked = value_tiers(_ranked(valued, by))
    tiers = ranked["tier"].astype(object).to_numpy()
    order = np.arange(len(rfm))
    if best_first:
        order = ranking(ranked[by], ranked[CUSTOMER_ID])

    def parts() -> Iterator[pd.DataFrame]:
        for at in _starts(len(rfm)):
            rows = order[at : at + _BLOCK]
            one = replace(rfm, table=rfm.table.take(rows))
            worth = valued.iloc[rows, 1:].to_numpy()
            yield list_part(posterior, one, kept, limits, worth, tiers[rows], terms["draws"])

    return parts()


def _ranked(valued: pd.DataFrame, by: str) -> pd.DataFrame:
    """Ids and values to seven digits: what blocks change beyond must not decide between equals."""
    values = valued[by].to_numpy()
    size = 10.0 ** np.floor(np.log10(np.maximum(np.abs(values), 1e-300)))
    known = valued[[CUSTOMER_ID]].assign(**{by: np.round(values / size, 6) * size})
    return known.assign(reason="none") if np.isnan(values).any() else known


def _starts(count: int) -> range:
    return range(0, count, _BLOCK)


@named
def _scores(posterior: Scorable, rfm: RfmTable, **terms: Unpack[ValueTerms]) -> pd.DataFrame:
    whose = purchases_of(posterior)
    spend = spend_of(posterior)
    found: pd.DataFrame = predicted_frame(whose, spend, rfm, predictive=False, **terms)
    return found


def list_part(
    posterior: Scorable,
    rfm: RfmTable,
    kept: Sequence[str],
    limits: Limits,
    worth: FloatArray,
    tiers: npt.NDArray[Any],
    draws: int,
) -> pd.DataFrame:
    """List some customers, whose values, shape (N, 3), and tiers are known."""
    import pandas as pd

    scale, whose = rfm.scale, purchases_of(posterior)
    columns = columns_of(whose, rfm, None)
    found = waiting(
        posterior,
        columns,
        lengths=[days / scale.days for days in CHANCES.values()],
        interval=WINDOW,
        late=[limits.slow, limits.late],
        draws=draws,
    )
    states = _states(found, scale.horizon(limits.new_within), limits.lost_below)
    table: dict[str, Any] = {CUSTOMER_ID: columns.customer_id}
    table |= {name: _readable(rfm.table[name].to_pandas()) for name in kept}
    table |= {"tier": tiers, "state": states, "action": _actions(states, tiers)}
    name = "value" if has_money(posterior) else "purchases"
    table |= {
        f"{name}{end}": np.round(column, 2)
        for end, column in zip(("", "_lower", "_upper"), worth.T, strict=True)
    }
    table["orders"] = columns.x.astype(np.int64) + 1
    table |= _times(found, states == LOST, rfm)
    table |= {n: _chance(c) for n, c in zip(CHANCES, found.chances, strict=True)}
    texts = dict.fromkeys(("tier", "state", "action"), "str")
    return pd.DataFrame(table).astype(texts)


def _chance(chance: FloatArray) -> FloatArray:
    """Two digits, and three near both ends: .997 is no certainty, and .003 not nothing."""
    near = (chance < 0.01) | (chance > 0.99)
    return np.where(near, np.round(chance, 3), np.round(chance, 2))


def _readable(column: pd.Series[Any]) -> npt.NDArray[Any]:
    """An attribute as people write it: own margins, say, have a dozen digits too many."""
    values = column.to_numpy()
    return np.round(values, 4) if values.dtype.kind == "f" else values


def _times(found: Waiting, lost: npt.NDArray[np.bool_], rfm: RfmTable) -> dict[str, Any]:
    """When customers bought last and will buy next: dates, or days where no end is known."""
    scale, end = rfm.scale, rfm.observation_end
    ahead = {
        name: np.where(lost | (time * scale.days > _AHEAD), np.inf, time)
        for name, time in (("", found.median), ("_from", found.lower), ("_to", found.upper))
    }
    late = np.where(found.overdue, found.usual[-1] - found.silence, np.inf)
    silent = {"days_silent": np.round(found.silence * scale.days, 1)}
    if end is not None:
        coming = {f"next_order{name}": dates_at(end, scale, time) for name, time in ahead.items()}
        last = dates_at(end, scale, -found.silence)
        return {"last_order": last, **silent, **coming, "overdue_since": dates_at(end, scale, late)}
    days = {f"next_order_in{name}": time * scale.days for name, time in ahead.items()}
    days["overdue_for"] = -late * scale.days
    known = {n: np.round(np.where(np.isfinite(d), d, np.nan)) for n, d in days.items()}
    return {**silent, **known}


def _states(found: Waiting, new_within: float, lost_below: float) -> npt.NDArray[Any]:
    once = (found.columns.x == 0) & (new_within * _YOUNG >= found.columns.age)
    year = found.chances[-1]
    which = [
        found.overdue & (year < lost_below),
        found.overdue,
        once,
        (found.silence > found.usual[0]) | (found.columns.x == 0),
    ]
    return np.select(which, [LOST, OVERDUE, NEW, SLOWING], ACTIVE).astype(object)


def _actions(states: npt.NDArray[Any], tiers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    top = tiers == TOP
    found = np.empty(len(states), dtype=object)
    for state, (best, other) in ACTIONS.items():
        found[(states == state) & top], found[(states == state) & ~top] = best, other
    return found


def kept_attributes(rfm: RfmTable, wanted: Sequence[str] | None) -> list[str]:
    """Segment columns to keep: those that are wanted, by default all."""
    kept = list(rfm.segment_cols) if wanted is None else list(check_list("attributes", wanted))
    for name in kept:
        if name not in rfm.segment_cols:
            there = ", ".join(map(repr, rfm.segment_cols)) or "none"
            raise SchemaError(
                f"attributes={name!r} is not a segment column of the table (there are: {there}). "
                "Give rfm_summary the column in segment_cols."
            )
        if name in KINDS:
            raise SchemaError(
                f"attributes={name!r} is a column that the list makes itself: rename the segment "
                "column."
            )
    return kept


def _check(limits: Limits) -> None:
    slow, late = check_number("slow", limits.slow), check_number("late", limits.late)
    if not 0.0 < slow < late < 1.0:
        raise DomainError(
            f"slow={shown(limits.slow)} and late={shown(limits.late)} must be shares of the times "
            "to a next order with 0 < slow < late < 1."
        )
    if not 0.0 <= check_number("lost_below", limits.lost_below) <= 1.0:
        raise DomainError(f"lost_below={shown(limits.lost_below)} must be a chance from 0 to 1.")


@named
def meanings_of(
    posterior: Scorable, names: Sequence[str], limits: Limits, **terms: Unpack[ValueTerms]
) -> dict[str, str]:
    """Say what each column of a list means."""
    level, window, ahead = (
        f"{100 * terms['interval']:.0f} %",
        f"{100 * WINDOW:.0f} %",
        _said(terms["horizon"]),
    )
    by = "value" if has_money(posterior) else "expected orders"
    discounted = f", discounted at {100 * terms['discount_rate']:.1f} % a year"
    known = {
        CUSTOMER_ID: "The customer, as in the log.",
        "tier": f"Tier by {by}: tier 1 is the top 5 %, then come 15 %, 30 % and 50 %.",
        "state": (
            f"new: one order, within {_said(limits.new_within)}; slowing: silent for longer than "
            f"{100 * limits.slow:.0f} % of the times to a next order expected at the last one, or "
            "one order and no longer new; overdue: silent for longer "
            f"than {100 * limits.late:.0f} %; probably lost: overdue, and an order within a year "
            f"less likely than {100 * limits.lost_below:.0f} %; active: all others."
        ),
        "action": "What one might do, by state and tier: a suggestion, not a forecast.",
        "value": f"Expected value of the orders to come within {ahead}{discounted}.",
        "purchases": f"Orders expected within {ahead}.",
        "orders": "Periods with an order so far (several on a day are one).",
        "last_order": "Date of the last order.",
        "days_silent": "Days from the last order to the end of the data.",
        "next_order": (
            "Half of such customers who order again have done so by then; empty beyond five years."
        ),
        "next_order_from": f"Start of the {window} window of the next order.",
        "next_order_to": f"End of the {window} window of the next order.",
        "overdue_since": (
            f"Date from which silence was longer than {100 * limits.late:.0f} % of times."
        ),
        "next_order_in": "The same in days from the end of the data: half have ordered by then.",
        "next_order_in_from": f"Start of the {window} window of the next order, in days.",
        "next_order_in_to": f"End of the {window} window of the next order, in days.",
        "overdue_for": "Days for which the customer has been overdue.",
    }
    for of in ("value", "purchases"):
        known[f"{of}_lower"] = f"Lower end of the {level} interval of the expectation."
        known[f"{of}_upper"] = f"Upper end of the {level} interval of the expectation."
    for name, days in CHANCES.items():
        known[name] = f"Chance of an order within {days:.0f} days."
    return {name: known.get(name, "An attribute of the customer, as in the log.") for name in names}


def _said(length: Horizon) -> str:
    """A length of time in words: texts as they are, numbers in the table's unit."""
    if length is None:
        return "the remaining lifetime"
    return length if isinstance(length, str) else f"{length:g} units of time"
