"""What a new customer is worth and may cost, and when the cost is paid back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from clvmodels.diagnostics.record import Fact, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import percent, profit_or_revenue, round_money
from clvmodels.economics import highest_cac, ltv_to_cac
from clvmodels.errors import ClvError
from clvmodels.posterior.new_customer import NewCustomerValue
from clvmodels.schema import DAYS_PER_MONTH

TARGET: Final = 3.0  # the usual LTV:CAC to aim at
MONTHS: Final = 36
_LEVELS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25)


@dataclass(frozen=True, slots=True)
class NewCustomers:
    """What there is to say of new customers; nothing where there are no values."""

    answer: str = ""
    advice: str = ""
    facts: tuple[Fact, ...] = ()
    tables: tuple[Table, ...] = ()
    curve: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a new customer is judged by: the value, and how much of the cost is back by when.

    As everywhere (`payback_period`), what pays a cost back is money as it comes, not discounted.
    """

    study: Study
    value: NewCustomerValue
    months: tuple[NewCustomerValue, ...]

    def money(self, amount: float) -> str:
        return round_money(amount, self.study.question.currency)

    def payback(self, cost: float) -> float:
        """Months after which a cost is paid back: 0 by the first order, infinite if never.

        As `payback_period` has it, from the months that are known: what is brought is nearly a
        straight line within one, and the place on that line is looked at once more.
        """
        revenue = cost / self.study.rfm.margin if self.study.rfm.margin else math.inf
        brought = [one.mean for one in self.months]
        if cost == 0.0 or brought[0] >= revenue:
            return 0.0
        end = next((i for i, mean in enumerate(brought) if mean >= revenue), None)
        if end is None:
            return math.inf
        a_month = brought[end] - brought[end - 1]
        found = end - 1 + (revenue - brought[end - 1]) / a_month
        (there,) = _revenue_after(self.study, 0.0, [found])
        return found + (revenue - there.mean) / a_month


def new_customers(study: Study) -> NewCustomers:
    """Value a new customer, and say what one may cost."""
    if study.clv is None:
        why = study.why_no_value
        if study.spend is None:
            why = "Purchases are known, and amounts are not: give the report the value of a basket."
        return NewCustomers(f"What a new customer may cost is not known. {why}")
    try:
        value = study.clv.new_customer_value(**study.question.terms(), margin=study.rfm.margin)
        asked = _Asked(study, value, _months(study, 0.0))
        if not math.isfinite(value.mean):
            return NewCustomers("A new customer has no finite value: choose a horizon that ends.")
        return NewCustomers(
            _answer(asked),
            _advice(asked),
            tuple(_facts(asked)),
            (_costs(asked),),
            _curve(asked),
        )
    except ClvError as error:
        return NewCustomers(f"What a new customer may cost is not known. {error}")


def _months(study: Study, rate: float) -> tuple[NewCustomerValue, ...]:
    """Revenue of a new customer by the first order, and until the end of each month."""
    return _revenue_after(study, rate, range(MONTHS + 1))


def _revenue_after(
    study: Study, rate: float, months: Iterable[float]
) -> tuple[NewCustomerValue, ...]:
    assert study.clv is not None
    terms: dict[str, Any] = study.question.terms() | {"margin": 1.0, "discount_rate": rate}
    month = DAYS_PER_MONTH / study.scale.days
    return tuple(
        study.clv.new_customer_value(**{**terms, "horizon": count * month}) for count in months
    )


def after(months: float) -> str:
    """Name the time after which a cost is paid back."""
    if months == 0:
        return "the first order"
    if math.isinf(months):
        return f"not within {MONTHS} months"
    return f"{max(months, 0.1):.1f} months"


def _answer(asked: _Asked) -> str:
    """Whether the given cost may be paid, or what may be."""
    value, cost = asked.value, asked.study.question.cac
    if cost is None:
        said = "brings" if asked.study.rfm.margin == 1 else "may cost at most what one brings:"
        return (
            f"A new customer {said} {asked.money(value.mean)} in {value.horizon}, first order "
            f"included.{_of_revenue(asked)}"
        )
    if asked.study.rfm.margin == 1 and 0 < cost < value.mean:
        return _from_margin(asked, cost)
    mean, back = asked.money(value.mean), asked.payback(cost)
    low, high = (value.lower, value.upper) if value.lower == value.lower else (value.mean,) * 2
    said = f"May a new customer cost {asked.money(cost)}? "
    if cost <= low:
        said += f"Yes: one is worth {mean} in {value.horizon}"
    elif cost >= high:
        said += f"No: one is worth only {mean} in {value.horizon}"
    else:
        said += f"It may just pay: one is worth {mean} in {value.horizon}, and that is not certain"
    if math.isinf(back):
        return f"{said}; it is not paid back within {MONTHS} months.{_of_revenue(asked)}"
    when = "by the first order" if back == 0 else f"after {after(back)}"
    return f"{said}; it is paid back {when}.{_of_revenue(asked)}"


def _from_margin(asked: _Asked, cost: float) -> str:
    """From which margin a cost pays, where only revenue is known."""
    return (
        f"May a new customer cost {asked.money(cost)}? That depends on your margin: one brings "
        f"{asked.money(asked.value.mean)} of revenue in {asked.value.horizon}, first order "
        f"included, which pays the cost from a margin of {percent(cost / asked.value.mean)} on. "
        "Give the report your margin for an answer."
    )


def _of_revenue(asked: _Asked) -> str:
    """A warning where costs are held against revenue."""
    if asked.study.rfm.margin < 1:
        return ""
    return " This is revenue: give the report your margin to see what may really be spent."


def _advice(asked: _Asked) -> str:
    if asked.study.rfm.margin == 1:
        return (
            "Give the report your margin before you set a budget for new customers: their "
            f"{asked.money(asked.value.mean)} in {asked.value.horizon} are revenue, and "
            "costs are paid out of profit."
        )
    goal = highest_cac(asked.value, target_ratio=TARGET)
    return (
        f"Win new customers for up to {asked.money(goal.mean)} each, which brings three back for "
        f"each one spent in {asked.value.horizon}; beyond {asked.money(asked.value.mean)} each "
        "loses money."
    )


def _facts(asked: _Asked) -> Iterator[Fact]:
    value, size = asked.value, asked.study.histories.customers
    ends = _ends(value.lower, value.upper)
    still = float(asked.study.scores["clv"].sum()) / size
    yield Fact(
        "brief_new_customer",
        "What a new customer is worth" + ("" if value.margin == 1 else ", and may cost at most"),
        value.mean,
        *ends,
        "money",
        f"{profit_or_revenue(value.margin).capitalize()} in {value.horizon}, first order included. "
        f"The customers you have will still bring {asked.money(still)} each, which does not say "
        "what a new one may cost.",
        "worth",
    )
    goal = highest_cac(value, target_ratio=TARGET)
    yield Fact(
        "brief_target_cac",
        "Cost that brings back three for one",
        goal.mean,
        *_ends(goal.lower, goal.upper),
        "money",
        "A third of that value, the usual aim: costs not counted here, and a bad year, need room.",
        "worth",
    )
    given = asked.study.question.cac
    cost = goal.mean if given is None else given
    yield Fact(
        "brief_payback",
        f"Paid back, at a cost of {asked.money(cost)}",
        after(asked.payback(cost)),
        format="text",
        note="When what a new customer is expected to bring, as it comes in and not discounted, "
        "makes up for the cost."
        + (" Give the report your own cost to see it here." if given is None else ""),
        group="worth",
    )


def _ends(lower: float, upper: float) -> tuple[float | None, float | None]:
    return (None, None) if math.isnan(lower) else (lower, upper)


def _costs(asked: _Asked) -> Table:
    """Costs from low to high, each with its payback."""
    levels = {float(f"{share * asked.value.mean:.2g}") for share in _LEVELS}
    given = asked.study.question.cac
    if given is not None:
        levels.add(given)
    rows = [
        (
            cost,
            after(asked.payback(cost)),
            round(ltv_to_cac(asked.value, cost).mean, 2) if cost else None,
        )
        for cost in sorted(levels)
    ]
    return Table(
        "brief-costs",
        "What may be paid for a new customer",
        ("cost of one", "paid back after", "times the cost"),
        tuple(rows),
        caption=(
            f"Times the cost: by what one is worth in {asked.value.horizon}. Payback is looked for "
            f"in {MONTHS} months, and nothing is discounted in it."
        ),
        formats={
            "cost of one": "money",
            "times the cost": "number",
        },
    )


def _curve(asked: _Asked) -> dict[str, Any]:
    """Revenue of a new customer by month, from which every cost and margin follows.

    ``today`` is what it is worth discounted, where there is a rate: what a cost is held against.
    """
    found, rate = asked.months, asked.study.question.discount_rate
    days = asked.study.scale.horizon(asked.study.question.horizon) * asked.study.scale.days
    cost = asked.study.question.cac
    return {
        "revenue": [float(f"{one.mean:.6g}") for one in found],
        "lower": [float(f"{one.lower:.6g}") for one in found],
        "upper": [float(f"{one.upper:.6g}") for one in found],
        "today": [float(f"{one.mean:.6g}") for one in _months(asked.study, rate)] if rate else [],
        "margin": asked.study.rfm.margin,
        "cac": asked.value.mean / TARGET if cost is None else cost,
        "months": max(round(min(days / DAYS_PER_MONTH, MONTHS)), 1),
        "interval": percent(asked.study.question.interval),
    }
