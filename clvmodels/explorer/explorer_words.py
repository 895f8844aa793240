"""What the explorer's page is asked, and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from clvmodels.diagnostics.words import horizon_of, percent, profit_or_revenue
from clvmodels.display import many
from clvmodels.explorer.cells import Column
from clvmodels.explorer.choosing import ALL, ASKED, AT_RISK, SAMPLE, VALUABLE
from clvmodels.limits import enough_returned
from clvmodels.posterior.scorable import Scorable, fits_of, has_money, purchases_of
from clvmodels.predictive.customer_list import Limits, meanings_of
from clvmodels.predictive.timelines import periods_ahead, reading
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import last_day_of, ordinal_of
from clvmodels.verdict import Check, Status

_KINDS: Final = {
    VALUABLE: "the {:,} of whom most is expected",
    AT_RISK: "the first {:,} of the others who are slowing or overdue",
    SAMPLE: "{:,} others at random",
    ASKED: "{:,} that were asked for",
}
# What stands large with one customer
_FIGURES: Final = (
    "clv",
    "value",
    "expected_purchases",
    "purchases",
    "p_alive",
    "p_purchase",
    "next_order",
    "next_order_in",
)
_ORDER: Final[tuple[Status, ...]] = ("pass", "unavailable", "warn", "fail")
_TOO_FEW: Final = "Too few customers came back: no figure on this page may be used."
_HEADLINES: Final[Mapping[Status, str]] = {
    "pass": "The fit passed its checks.",
    "warn": "The fit passed its checks, with a warning.",
    "unavailable": "Nothing is known of how the draws were made.",
    "fail": "The fit failed its checks: no figure on this page may be used.",
}


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a page is to be of; values have the table's margin."""

    posterior: Scorable
    rfm: RfmTable
    limits: Limits
    terms: dict[str, Any]
    currency: str
    title: str | None
    logged: bool

    @property
    def horizon(self) -> float:
        """In the table's unit of time."""
        return self.rfm.scale.horizon(self.terms["horizon"])

    @property
    def returned(self) -> Check | None:
        """Whether enough customers of the base that was fitted came back, where it is known."""
        customers = purchases_of(self.posterior).metadata.base.get("repeat_customers")
        return None if customers is None else enough_returned(customers)

    @property
    def fitted(self) -> Status:
        """The worst verdict of its fits."""
        return max((one.verdict.status for one in fits_of(self.posterior)), key=_ORDER.index)

    @property
    def status(self) -> Status:
        """That, or the base's where it is worse."""
        base = "pass" if self.returned is None else self.returned.status
        return max(self.fitted, base, key=_ORDER.index)

    @property
    def observed(self) -> str:
        """The last day that was observed; empty where it is not known."""
        end, scale = self.rfm.observation_end, self.rfm.scale
        return "" if end is None else last_day_of(ordinal_of(end, scale), scale)

    @property
    def ahead(self) -> int:
        """How far curves go on, in periods."""
        return periods_ahead(self.horizon, self.rfm.scale)

    @property
    def level(self) -> str:
        """How probable intervals are."""
        return percent(self.terms["interval"])


def headline(asked: Asked) -> str:
    """What the numbers may be used for."""
    base_alone = asked.status == "fail" and asked.fitted != "fail"
    return _TOO_FEW if base_alone else _HEADLINES[asked.status]


def title(asked: Asked) -> str:
    """Of a page that was given none."""
    until = f", observed until {asked.observed}" if asked.observed else ""
    return f"{many(len(asked.rfm), 'customer')}{until}"


def sentences(asked: Asked) -> Iterator[str]:
    """What failed or is to mind, and what the verdict is not."""
    fits = fits_of(asked.posterior)
    unknown = (one.verdict for one in fits if one.verdict.status == "unavailable")
    yield from dict.fromkeys(check.advice for verdict in unknown for check in verdict.checks)
    for fit in fits:
        for check in fit.verdict.checks:
            if check.status in ("fail", "warn"):
                own = replace(check, name=f"{fit.facts.name}: {check.name}")
                yield f"{own.sentence} {check.advice}"
    if asked.returned is not None and asked.returned.status != "pass":
        yield f"{asked.returned.sentence} {asked.returned.advice}"
    yield (
        "That says whether the numbers are what the model says, not whether the model is right: "
        "for that see the report and its test on the past."
    )


def facts(asked: Asked) -> Iterator[tuple[str, str]]:
    """What every number on the page is made with."""
    terms, ahead = asked.terms, horizon_of(asked.terms["horizon"], asked.rfm.scale)
    yield "Observed until", asked.observed or "not known: times are from the end of the data"
    yield "Looking ahead", ahead
    if has_money(asked.posterior):
        yield "Values", profit_or_revenue(asked.rfm.margin)
        yield "Currency", asked.currency or "that of the log, not named"
        how = "monthly" if terms["discounting"] == "monthly" else "continuously"
        yield "Discounted", f"at {percent(terms['discount_rate'])} a year, {how}"
    names = ", ".join(
        f"{fit.facts.name} ({fit.verdict.method})" for fit in fits_of(asked.posterior)
    )
    yield "Model", names
    yield "Intervals", f"{asked.level}, from {terms['draws']:,} posterior draws at most"


def explained(asked: Asked) -> Iterator[str]:
    """The two intervals, and what P(alive) does not say."""
    what = "value" if has_money(asked.posterior) else "number of orders"
    known = f"Its {asked.level} interval says how well that mean is known."
    if asked.posterior.certain:
        known = "It has no interval: the posterior is a single point."
    yield f"Expected {what}: the mean of all customers with such a history. {known}"
    if math.isinf(asked.horizon):
        yield "Over a lifetime there is no interval of the outcome: look a finite time ahead."
    else:
        yield (
            f"Outcome: what this one customer will bring, chance included; {asked.level} of them "
            "end within that interval."
        )
    facts = purchases_of(asked.posterior).facts
    if facts.once_says_nothing:
        yield (
            f"P(alive) says nothing of {facts.silent_of('customers who ordered once')}: "
            f"in {facts.name} {facts.leaving}, so theirs stays 100 %. Go by the chance to buy."
        )
    else:
        yield (
            "P(alive) is the least certain figure, since nobody sees a customer leave. Go by the "
            "chance to buy."
        )


def chosen(frame: pd.DataFrame, shown: int, everybody: int) -> str:
    """Say which customers are on the page."""
    kinds = frame["chosen_as"].value_counts()
    if ALL in kinds:
        said = "This customer is" if everybody == 1 else f"All {everybody:,} customers are"
    else:
        parts = [text.format(kinds[kind]) for kind, text in _KINDS.items() if kind in kinds]
        *most, last = parts
        said = f"{', '.join(most)} and {last}" if most else last
        said = f"{len(frame):,} of {everybody:,} customers are listed: {said}"
        if shown == len(frame):
            return f"{said}."
        return (
            f"{said}. A page holds 2 MB, so only {shown:,} of these are on it, the first of each."
        )
    if shown == everybody:
        return f"{said} listed."
    return f"A page holds 2 MB: the first {shown:,} of {everybody:,} customers are listed."


def meanings(asked: Asked, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """Say what each column means."""
    known = meanings_of(asked.posterior, [one.key for one in columns], asked.limits, **asked.terms)
    ahead = horizon_of(asked.terms["horizon"], asked.rfm.scale)
    own = {
        "chosen_as": "Why the customer is on this page.",
        "clv": (
            f"Expected value of the orders to come in {ahead}, discounted, as "
            f"{profit_or_revenue(asked.rfm.margin)}."
        ),
        "p_alive": "Probability that the customer is still one.",
        "p_purchase": "Chance of an order within the time ahead.",
        "first_order": "Date of the first order.",
        "historical_value": "Margin times all that the customer has spent.",
        "reason": "Why there is no finite expected value.",
        "expected_purchases": "Orders expected within the time ahead.",
        "value": f"{asked.level} interval of what the customer will really bring.",
        "purchases": f"{asked.level} interval of how often the customer will really order.",
    }
    return [(one.heading, own.get(one.key) or known[one.key]) for one in columns]


def settings(asked: Asked) -> dict[str, Any]:
    """What the script needs to know of times, money and columns."""
    known = reading(asked.rfm, asked.ahead, asked.currency)
    return known | {"alive": "p_alive", "figures": _FIGURES}
