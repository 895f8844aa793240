"""Whom to act on, by value or by expected purchases; and tiers by the latter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from clvmodels.diagnostics.customers_listed import STATE, TIER, customers_listed
from clvmodels.diagnostics.record import Figure, Format, Table
from clvmodels.diagnostics.record_tables import table_of
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import percent, unit_of
from clvmodels.economics import action_lists, tier_report
from clvmodels.economics.actions import STATES

_LISTED: Final = 10
_STATES: Final = (
    "Repeat customers are active, slipping or probably lost by how much of their P(alive) the "
    "silence since their last purchase has cost (25 %, 90 %). Those who bought once are new for "
    "90 days. The explorer and the list of customers go by how long the wait for an order is, and "
    "tell the slowing from the overdue: a long wait need not mean that somebody has left."
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
            "valuable": ("once in the most valuable fifth", "integer"),
            "p_purchase": ("chance to buy again", "percent"),
            "clv": ("value", "money"),
            "clv_lost": ("value lost by silence", "money"),
        },
        f"{_STATES} Value lost is what this silence has taken off their value; the most valuable "
        "fifth is as it was before it.",
        leads={STATE: STATES},
    )
    yield customers_listed(study, lists.customers, "clv", ("value", "money"))
    top = lists.slipping.head(_LISTED)
    if not len(top):
        yield "Nobody who was once in the most valuable fifth is slipping away."
        return
    share = len(lists.slipping) / len(study.rfm)
    yield table_of(
        "slipping",
        f"{len(lists.slipping):,} customers once in the most valuable fifth ({percent(share)} of "
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
            "top_buyer": ("once in the fifth that buys most", "integer"),
            "p_purchase": ("chance to buy again", "percent"),
            "expected_purchases": ("purchases ahead", "number"),
            "expected_purchases_lost": ("lost by silence", "number"),
        },
        f"{_STATES} Lost by silence are the purchases that it has taken off those expected.",
        leads={STATE: STATES},
    )
    shown: tuple[str, Format] = ("purchases ahead", "number")
    yield customers_listed(study, lists.customers, "expected_purchases", shown)


def tiers_by_purchases(study: Study) -> Iterator[Table | Figure | str]:
    """Tiers by expected purchases, where nothing is known of value."""
    report = tier_report(study.purchases, study.rfm, **study.question.of_purchases())
    yield table_of(
        "purchase-tiers",
        "Tiers by expected purchases",
        "tier",
        report,
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
        leads={TIER: tuple(report["tier"][:-1])},
    )
