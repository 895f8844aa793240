"""Whom to act on, by value or by expected purchases; and tiers by the latter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from clvmodels.diagnostics.record import Figure, Format, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import horizon_of, percent, unit_of
from clvmodels.economics import action_lists, tier_report

_LISTED: Final = 10
_FIRST: Final = 200
FIRST_CUSTOMERS: Final = "first-customers"  # what the manager's page lists
_STATES: Final = (
    "Repeat customers are active, slipping or lost by how much of their P(alive) the silence since "
    "their last purchase has cost (25 %, 90 %). Those who bought once are new for 90 days."
)


def whom_by_value(study: Study) -> Iterator[Table | Figure | str]:
    """States of customers, and the valuable ones who slip away."""
    assert study.clv is not None
    terms = study.question.terms()
    terms.pop("interval")
    lists = action_lists(study.clv, study.rfm, **terms)
    yield table_of(
        "states",
        "Whom to act on",
        "state",
        lists.counts,
        {
            "customers": ("customers", "integer"),
            "valuable": ("once of the most valuable fifth", "integer"),
            "p_purchase": ("chance to buy again", "percent"),
            "clv": ("value", "money"),
            "clv_lost": ("value lost by silence", "money"),
        },
        f"{_STATES} Value lost is what this silence has taken off their value; the most valuable "
        "fifth is as it was before it.",
    )
    yield _first_customers(study, lists.customers, "clv", ("value", "money"))
    top = lists.slipping.head(_LISTED)
    if not len(top):
        yield "Nobody who was once of the most valuable fifth is slipping away."
        return
    share = len(lists.slipping) / len(study.rfm)
    yield table_of(
        "slipping",
        f"{len(lists.slipping):,} customers once of the most valuable fifth ({percent(share)} of "
        "all) are slipping away",
        "customer_id",
        top.assign(customer_id=[str(one) for one in top["customer_id"]]),
        {
            "frequency": ("repeats", "integer"),
            "silence": (f"silent for ({unit_of(study.scale)})", "number"),
            "p_alive": ("P(alive)", "percent"),
            "p_alive_drop": ("P(alive) lost since", "percent"),
            "clv": ("value", "money"),
            "clv_as_usual": ("value as usual", "money"),
            "clv_lost": ("value lost", "money"),
        },
        f"The first {len(top)}, most value lost first; action_lists has them all.",
    )


def whom_by_purchases(study: Study) -> Iterator[Table | Figure | str]:
    """Whom to act on, by expected purchases."""
    terms = study.question.of_purchases()
    terms.pop("interval")
    lists = action_lists(study.purchases, study.rfm, **terms)
    yield table_of(
        "purchase-states",
        "Whom to act on",
        "state",
        lists.counts,
        {
            "customers": ("customers", "integer"),
            "top_buyer": ("once of the fifth that buys most", "integer"),
            "p_purchase": ("chance to buy again", "percent"),
            "expected_purchases": ("purchases ahead", "number"),
            "expected_purchases_lost": ("lost by silence", "number"),
        },
        f"{_STATES} Lost by silence are the purchases that it has taken off those expected.",
    )
    shown: tuple[str, Format] = ("purchases ahead", "number")
    yield _first_customers(study, lists.customers, "expected_purchases", shown)


def _first_customers(
    study: Study, customers: pd.DataFrame, worth: str, shown: tuple[str, Format]
) -> Table:
    """The customers of whom most is expected, each with what is known of them."""
    first = customers.sort_values(worth, ascending=False, kind="stable").head(_FIRST)
    first = first.assign(
        customer_id=[str(one) for one in first["customer_id"]], orders=first["frequency"] + 1
    )
    every = len(first) == len(customers)
    return table_of(
        FIRST_CUSTOMERS,
        "All customers" if every else f"The {len(first):,} customers of whom most is expected",
        "customer_id",
        first,
        {
            worth: shown,
            f"{worth}_lost": ("lost by silence", shown[1]),
            "orders": ("orders", "integer"),
            "silence": (f"silent for ({unit_of(study.scale)})", "number"),
            "p_purchase": ("chance to buy again", "percent"),
            "state": ("state", "text"),
        },
        f"In {horizon_of(study.question.horizon, study.scale)}; clvmodels.customers lists "
        "everybody, with the next order and what to do.",
    )


def tiers_by_purchases(study: Study) -> Iterator[Table | Figure | str]:
    """Tiers by expected purchases, where nothing is known of value."""
    yield table_of(
        "purchase-tiers",
        "Tiers by expected purchases",
        "tier",
        tier_report(study.purchases, study.rfm, **study.question.of_purchases()),
        {
            "customers": ("customers", "integer"),
            "expected_purchases": ("purchases ahead", "integer"),
            "expected_purchases_lower": ("lower", "integer"),
            "expected_purchases_upper": ("upper", "integer"),
            "expected_purchases_per_customer": ("per customer", "number"),
            "purchase_share": ("share of the purchases", "percent"),
            "past_share": ("share of past purchases", "percent"),
        },
        "Tiers are the top 5 % of the customers by expected purchases, the next 15 %, the next "
        f"30 %, and the other half; intervals of {percent(study.question.interval)}.",
        intervals={"purchases ahead": ("lower", "upper")},
        bars=("share of the purchases",),
    )


def table_of(
    key: str,
    title: str,
    index: str,
    frame: pd.DataFrame,
    columns: dict[str, tuple[str, Format]],
    caption: str,
    **shown_as: Any,
) -> Table:
    """A table of some columns of a frame, under their own headings."""
    there = {name: shown for name, shown in columns.items() if not frame[name].isna().all()}
    rows: list[tuple[Any, ...]] = [
        tuple(row) for row in frame[[index, *there]].itertuples(index=False, name=None)
    ]
    return Table(
        key=key,
        title=title,
        columns=(index.replace("_", " "), *(shown for shown, _ in there.values())),
        rows=tuple((str(row[0]), *row[1:]) for row in rows),
        caption=caption,
        formats=dict(there.values()),
        **shown_as,
    )
