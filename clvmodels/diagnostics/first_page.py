"""The manager's page: what the base and a new customer are worth, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from clvmodels.diagnostics.base_totals import Totals
from clvmodels.diagnostics.cohort_lines import cohort_lines
from clvmodels.diagnostics.customers_listed import TIER
from clvmodels.diagnostics.data import FIRST_MONTH, LEFT_OUT
from clvmodels.diagnostics.fit_checks import OTHER_LOG
from clvmodels.diagnostics.new_customers import NewCustomers, new_customers
from clvmodels.diagnostics.planned import Planned
from clvmodels.diagnostics.record import Brief, Fact, Section, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.tier_values import TierValues
from clvmodels.diagnostics.values import tier_frame
from clvmodels.diagnostics.words import (
    horizon_of,
    percent,
    profit_or_revenue,
    round_money,
    round_number,
    span,
)
from clvmodels.evaluation.checks import relative_error
from clvmodels.sentences import came_out

_HELD: Final = ("customers", "value_share", "clv_per_customer")


def brief(
    study: Study,
    added: Totals,
    held: TierValues | None,
    plan: Planned,
    sections: Sequence[Section],
    *,
    why_not: str,
    no_budget: str = "",
) -> Brief:
    """Say on one page what the figures mean for whoever decides.

    Parameters
    ----------
    study, added, held, plan
        What the report is about, and its sums.
    sections : sequence of Section
        Of the report: the first is of the data, and one says whom to act on.
    why_not : str
        Why nothing of it can be used, in a sentence; "" where something can.
    no_budget : str
        Why sums, and so what a new customer brings, can't be used; "" where they can.
    """
    new = new_customers(study)
    if why_not or no_budget:
        new = NewCustomers("No budget can be set from these figures.", facts=new.facts)
    no_total = bool(no_budget) and not why_not
    planned = None if no_total else _planned(study, plan)
    tables = [table for section in sections for table in section.tables]
    return Brief(
        sentence=(not (why_not or no_budget or planned) and plan.why_not)
        or _sentence(study, planned, why_not, no_budget),
        answer=new.answer,
        facts=() if no_total else (*_base(study, plan, planned), *new.facts),
        actions=() if why_not else tuple(_actions(study, added, planned, tables, new.advice))[:3],
        tables=(*new.tables, *_concentration(held)),
        curve=new.curve,
        reliable=not why_not,
        cohorts=cohort_lines(study) if not why_not else {},
        limits=() if why_not else tuple(_limits(study, sections)),
    )


def _limits(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """What is not as it should be about the data, for who sees no checks."""
    of_fit = (note for section in sections for note in section.notes)
    yield from (note for note in of_fit if note.startswith(OTHER_LOG))
    audit = study.rfm.audit
    if audit is not None and (said := audit.left_out_in_words()):
        yield said
    for check in sections[0].checks:
        if check.status in ("pass", "unavailable") or check.name in LEFT_OUT:
            continue
        begun = "the log seems to begin in the middle of business"
        yield f"{check.finding}{f': {begun}' if check.name == FIRST_MONTH else ''}."


def _planned(study: Study, plan: Planned) -> dict[str, Any] | None:
    """The total of the base that can be planned with: of value, else of purchases."""
    if plan.whole is None:
        return None
    table = plan.whole.table.set_index("total")
    row: dict[str, Any] = table.loc["value" if study.clv is not None else "purchases"].to_dict()
    return row


def _amount(study: Study, value: float) -> str:
    if study.clv is None:
        return f"{round_number(value)} purchases"
    return round_money(value, study.question.currency)


def _sentence(study: Study, row: dict[str, Any] | None, why_not: str, no_budget: str) -> str:
    size = f"{study.histories.customers:,}"
    if why_not:
        return f"Nothing can be said about these {size} customers yet. {why_not}"
    if row is None:
        return f"There is no total to plan with for these {size} customers. {no_budget}".strip()
    what = ""
    if study.clv is not None:
        what = " of revenue" if study.rfm.margin == 1 else " of profit"
    who = "This customer is" if size == "1" else f"These {size} customers are"
    low, high = (row[end] for end in ("lower", "upper"))
    first = _amount(study, low) if study.clv is not None else round_number(low)
    return (
        f"{who} expected to bring {_amount(study, row['mean'])}{what} in "
        f"{horizon_of(study.question.horizon, study.scale)}; plan with "
        f"{span(first, _amount(study, high))}."
    )


def _base(study: Study, plan: Planned, row: dict[str, Any] | None) -> Iterator[Fact]:
    if row is None or plan.whole is None:
        return
    value = study.clv is not None
    margin, ahead = study.rfm.margin, horizon_of(study.question.horizon, study.scale)
    yield Fact(
        "brief_base",
        f"What all customers will {'bring' if value else 'buy'} in {ahead}",
        row["mean"],
        row["lower"],
        row["upper"],
        "money" if value else "integer",
        " ".join(
            [
                *([f"{profit_or_revenue(margin).capitalize()}."] if value else []),
                _tested(study, "value" if value else "purchases"),
                f"The range allows {percent(plan.whole.calendar.sd)} for the calendar: seasons, "
                "campaigns, the state of trade.",
            ]
        ),
        "worth",
    )


def _tested(study: Study, target: str) -> str:
    """Say what came of a forecast in a test on the past."""
    if study.backtest is None:
        return "No test on the past says how far off such a total is."
    level = float(study.backtest.settings["interval"])
    totals = study.backtest.totals
    rows = totals[(totals["level"] == level) & (totals["target"] == target)]
    if not len(rows):
        return "No test on the past says how far off such a total is."
    forecast, actual = (float(rows.iloc[0][name]) for name in ("forecast", "actual"))
    what = "spending" if target == "value" else "the number of purchases"
    return f"{came_out(what, relative_error(forecast, actual))}."


# --- what to do -------------------------------------------------------------------------


def _actions(
    study: Study,
    added: Totals,
    planned: dict[str, Any] | None,
    tables: Sequence[Table],
    advice: str,
) -> Iterator[str]:
    if advice:
        yield advice
    yield from _slipping(study, tables)
    known = added.repeat + added.once
    if added.once:
        yield (
            f"Ask for the second order: {added.once:,} customers "
            f"({percent(added.once / known)}) ordered only once, and about "
            f"{round_number(round(added.again.mean))} of them are expected to come back in "
            f"{horizon_of(study.question.horizon, study.scale)}."
        )
    if planned:
        yield (
            f"Plan with the range, not with one figure: {_amount(study, planned['lower'])} is the "
            "figure to be safe with."
        )


def _slipping(study: Study, tables: Sequence[Table]) -> Iterator[str]:
    found = next((one for one in tables if one.key in ("states", "purchase-states")), None)
    if found is None:
        return
    row = next((row for row in found.rows if row[0] == "slipping"), None)
    if row is None:
        return
    slipped, lost = int(row[2]), float(row[-1] or 0.0)
    best = f"{slipped:,} formerly best customers who are"
    if slipped == 1:
        best = "formerly best customer who is"
    if slipped:
        yield (
            f"Win back the {best} slipping away: the silence of all who slip away has cost "
            f"{_amount(study, lost)} already."
        )


# --- who holds the value ----------------------------------------------------------------


def _concentration(held: TierValues | None) -> Iterator[Table]:
    if held is None:
        return
    frame = tier_frame(held).iloc[:-1]
    top = held.top(2)[0]
    share = float(frame["customer_share"].iloc[:2].sum())
    yield Table(
        "brief-tiers",
        f"{percent(share)} of the customers hold {percent(top)} of the value",
        ("customers", "number", "share of the value", "value each"),
        tuple(
            (_said(row, place, len(frame)), *(row[name] for name in _HELD))
            for place, row in enumerate(frame.to_dict("records"))
        ),
        formats={"number": "integer", "share of the value": "percent", "value each": "money"},
        bars=("share of the value",),
        leads={TIER: held.names},
    )


def _said(row: dict[Any, Any], place: int, tiers: int) -> str:
    which = "top" if place == 0 else "other" if place == tiers - 1 else "next"
    return f"{row['tier']} ({which} {percent(row['customer_share'])})"
