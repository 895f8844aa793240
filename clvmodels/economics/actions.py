"""Lists to act on: who is valuable and slipping away, who came lately, who came only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Unpack

import numpy as np
import pandas as pd

from clvmodels.display import Readable
from clvmodels.economics.labels import ACTIVE, LOST, NEW, ONE_TIME, SLIPPING, WHOLE
from clvmodels.economics.outlook import (
    PURCHASES,
    base_for,
    column,
    measure_of,
    prepared_and_valued,
    ranking,
    ratio,
    scores_of,
    top_count,
)
from clvmodels.errors import DomainError
from clvmodels.forecast.serving import annuity
from clvmodels.keywords import named
from clvmodels.posterior.scorable import Scorable, has_money
from clvmodels.posterior.terms import ListTerms, ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    REASON,
    RECENCY,
    FloatArray,
    Horizon,
    T,
    check_number,
)

STATES: Final = (NEW, ONE_TIME, ACTIVE, SLIPPING, LOST)
# Draws x rows held at once
_BLOCK_CELLS: Final = 2_000_000
_ROUNDING: Final = 1e-9
_TINY: Final = 1e-200
# What is ranked by where no value is known
_NAMES: Final = {
    "valuable": "top_buyer",
    **{f"clv{end}": f"{PURCHASES}{end}" for end in ("", "_as_usual", "_lost")},
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ActionLists(Readable):
    """Customers by what can be done about them.

    Attributes
    ----------
    customers : DataFrame
        One row per customer, in the table's order: customer_id, state, valuable,
        frequency, silence (time since the last purchase, in the table's unit), p_alive,
        p_alive_at_last, p_alive_drop, p_purchase, clv, clv_as_usual, clv_lost, and the
        margin that is in them. Customers without a finite expected value have no
        clv and are not among the valuable; a column reason then says why.
    counts : DataFrame
        One row per state and a last one, "(whole)": customers, valuable, p_purchase
        (mean), clv and clv_lost (sums), margin; and without_value, how many are not in the
        sums, where there are some.
    slipping : DataFrame
        Rows of ``customers`` that are valuable and slipping, most clv lost first.
    one_time : DataFrame
        Rows of those who bought once, new ones included, most likely to buy again first.

    Notes
    -----
    Of a posterior of purchases alone customers are ranked by the purchases that are expected:
    the columns are top_buyer in place of valuable, expected_purchases,
    expected_purchases_as_usual and expected_purchases_lost in place of those of clv, and
    there is no margin.
    """

    customers: pd.DataFrame
    counts: pd.DataFrame
    slipping: pd.DataFrame
    one_time: pd.DataFrame


@named
def action_lists(
    posterior: Scorable,
    rfm: RfmTable,
    *,
    top: float = 0.2,
    slipping_from: float = 0.25,
    lost_from: float = 0.9,
    new_within: Horizon = "90D",
    **terms: Unpack[ListTerms],
) -> ActionLists:
    """Group customers by what can be done about them.

    Repeat customers are grouped by how far P(alive) has fallen since their last purchase:
    p_alive_drop = 1 - p_alive / p_alive_at_last, where p_alive_at_last is what it was
    right after that purchase, at T = recency. Silence that is usual for a customer costs
    little of it, and the same silence costs a frequent buyer much. They are "active",
    from ``slipping_from`` on "slipping", and from ``lost_from`` on "probably lost".

    Customers who bought once are "new" if that was within ``new_within``, else
    "one-time": separate, since BG/NBD's P(alive) is 1 for them forever, and cannot fall.
    Rank them by p_purchase, the chance that they buy again within the horizon.
    :func:`~clvmodels.customers` goes by how long the wait for an order is instead, and calls
    customers slowing or overdue who need not have left.

    What is at stake is clv_as_usual = clv x p_alive_at_last / p_alive, what the customer
    would be worth today had P(alive) not fallen, and clv_lost, the part that is gone.
    "valuable" are the ``top`` customers by clv_as_usual: clv itself is low already where
    a customer is slipping away. With a posterior of purchases alone, expected purchases are
    at stake instead, and the first customers are "top_buyer".

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend, or of purchases alone.
    rfm : RfmTable
        The base.
    top : float
        Share of all customers with a value who count as valuable, or as top buyers, in (0, 1].
    slipping_from, lost_from : float
        Share of P(alive) lost since the last purchase, 0 < slipping_from < lost_from <= 1.
    new_within : str, float or None
        Time since the first purchase in which a customer with no second one is new.
    horizon, discount_rate, discounting, draws, margin
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    ActionLists
        Every customer with a state, and the lists to act on.

    Raises
    ------
    DomainError
        A share is out of its range, or the base is empty; or as
        :meth:`CLVPosterior.predict`.
    """
    _check_shares(top, slipping_from, lost_from)
    rfm = base_for(posterior, rfm, terms["margin"])
    scores = scores_of(posterior, rfm, **terms)
    then = _alive_at_last(posterior, rfm, **terms)
    now = scores["p_alive"].to_numpy()
    young = column(rfm, T) <= rfm.scale.horizon(new_within) * (1 + _ROUNDING)
    drop = 1.0 - np.minimum(ratio(now, then), 1.0)
    once = column(rfm, FREQUENCY) == 0
    ahead = scores[measure_of(posterior)].to_numpy()
    # Next to 0 P(alive) and what is ahead have no digits left of which a quotient could be made
    anyway = _paid_anyway(posterior, rfm, **terms)
    usual = (ahead + anyway) * np.maximum(ratio(then, now), 1.0) - anyway
    as_usual = np.where(now > _TINY, usual, -anyway)
    best = np.zeros(len(rfm), dtype=bool)
    has = int(np.count_nonzero(~np.isnan(ahead)))
    as_usual = np.where(np.isnan(ahead), np.nan, as_usual)
    best[ranking(as_usual, scores[CUSTOMER_ID])[: top_count(top, has)]] = True
    states = np.select(
        [once & young, once, drop >= lost_from, drop >= slipping_from],
        [NEW, ONE_TIME, LOST, SLIPPING],
        ACTIVE,
    )
    customers = pd.DataFrame(
        {
            CUSTOMER_ID: scores[CUSTOMER_ID],
            "state": pd.Categorical(states, categories=list(STATES)),
            "valuable": best,
            FREQUENCY: scores[FREQUENCY],
            "silence": column(rfm, T) - column(rfm, RECENCY),
            "p_alive": now,
            "p_alive_at_last": then,
            "p_alive_drop": drop,
            "p_purchase": scores["p_purchase"],
            "clv": ahead,
            "clv_as_usual": as_usual,
            "clv_lost": as_usual - ahead,
            "margin": rfm.margin,
            **({REASON: scores[REASON]} if REASON in scores else {}),
        }
    )
    lists = (
        customers,
        _counts(customers),
        _down(customers[best & (states == SLIPPING)], "clv_lost"),
        _down(customers[once], "p_purchase"),
    )
    return ActionLists(*(lists if has_money(posterior) else map(_of_purchases, lists)))


def _of_purchases(table: pd.DataFrame) -> pd.DataFrame:
    """Name the columns for what they are where no value is known."""
    return table.drop(columns="margin").rename(columns=_NAMES)


def _counts(customers: pd.DataFrame) -> pd.DataFrame:
    """Sums and means of each state, and of the whole."""
    rows: list[dict[str, Any]] = []
    for state in (*STATES, WHOLE):
        part = customers if state == WHOLE else customers[customers["state"] == state]
        rows.append(
            {
                "state": state,
                "customers": len(part),
                "valuable": int(part["valuable"].sum()),
                **({"without_value": int(part["clv"].isna().sum())} if REASON in part else {}),
                "p_purchase": float(ratio(part["p_purchase"].sum(), len(part))),
                "clv": _sum(part["clv"]),
                "clv_lost": _sum(part["clv_lost"]),
                "margin": customers["margin"].iloc[0],
            }
        )
    return pd.DataFrame(rows)


def _sum(values: pd.Series[float]) -> float:
    """Sum of those that are there; NaN where there are customers but none has a value."""
    return float(values.sum(min_count=min(len(values), 1)))


def _down(customers: pd.DataFrame, name: str) -> pd.DataFrame:
    """Largest first; ties by customer."""
    return customers.iloc[ranking(customers[name], customers[CUSTOMER_ID])].reset_index(drop=True)


@named
def _alive_at_last(posterior: Scorable, rfm: RfmTable, **terms: Unpack[ValueTerms]) -> FloatArray:
    """Mean P(alive) of each customer right after their last purchase."""
    given, _ = prepared_and_valued(posterior, rfm, **terms)
    (x, t_x, *_), paired = given.who, given.draws
    first, inverse = distinct_rows(x, t_x)
    parameters = {name: values[:, None] for name, values in paired.purchases.items()}
    size = max(_BLOCK_CELLS // paired.count, 1)
    blocks = [first[start : start + size] for start in range(0, len(first), size)]
    means = [
        paired.formulas.p_alive(x[rows], t_x[rows], t_x[rows], **parameters).mean(axis=0)
        for rows in blocks
    ]
    alive: FloatArray = np.concatenate(means)[inverse]
    return alive


@named
def _paid_anyway(posterior: Scorable, rfm: RfmTable, **terms: Unpack[ValueTerms]) -> float:
    """What a customer costs whether or not they are alive."""
    future = prepared_and_valued(posterior, rfm, **terms)[0].future
    return 0.0 if future.costs is None else future.costs.year * annuity(future.due)


def _check_shares(top: float, slipping_from: float, lost_from: float) -> None:
    if not 0 < check_number("top", top) <= 1:
        raise DomainError(f"top={top!r} must be a share of customers in (0, 1].")
    slipping = check_number("slipping_from", slipping_from)
    if not 0 < slipping < check_number("lost_from", lost_from) <= 1:
        raise DomainError(
            f"slipping_from={slipping_from!r} and lost_from={lost_from!r} must be shares of "
            "P(alive) with 0 < slipping_from < lost_from <= 1."
        )
