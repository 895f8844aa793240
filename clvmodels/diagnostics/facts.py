"""The first screen's figures: what the base is worth, how sure that is, and who will buy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from clvmodels.diagnostics.base_totals import Amount, Totals
from clvmodels.diagnostics.planned import Planned, plan_facts
from clvmodels.diagnostics.record import Fact
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import (
    horizon_of,
    money,
    number,
    percent,
    profit_or_revenue,
    unit_of,
)
from clvmodels.economics.outlook import group_values
from clvmodels.evaluation.checks import relative_error

LEAST_KNOWN: Final = (
    "The least certain figure of all, since nobody sees a customer leave: models that expect the "
    "same purchases can differ by a factor of two in the sum of P(alive), as two do on the CDNOW "
    "data. Rely on who will buy."
)
_SILENT_OF_ONCE: Final = "{}'s P(alive) says nothing about them: it stays 1 forever."


def facts(study: Study, added: Totals, plan: Planned) -> Iterator[Fact]:
    """The figures in the order in which they are read."""
    ahead = horizon_of(study.question.horizon, study.scale)
    yield from _worth(study, added, plan, ahead)
    yield from _errors(study)
    if added.value is not None:
        yield _per_customer(study, added.value)
    yield from _buyers(study, added, ahead)
    yield from _active(study, added)
    yield from _base(study)


# --- worth ------------------------------------------------------------------------------


def _worth(study: Study, added: Totals, plan: Planned, ahead: str) -> Iterator[Fact]:
    value, asked = added.value, study.question
    if value is None:
        yield from _bought(study, ahead)
        yield from plan_facts(study, plan, "purchases")
        yield Fact(
            "value_of_the_base",
            "What the base is worth",
            None,
            format="money",
            note=study.why_no_value,
            group="worth",
        )
        return
    rate = f"discounted at {percent(asked.discount_rate)} a year"
    margin = profit_or_revenue(study.rfm.margin)
    basket = _basket(study)
    yield Fact(
        "value_of_the_base",
        "What the base is worth",
        value.mean,
        *_ends(value),
        "money",
        f"Expected value of what these customers will buy in {ahead}, {rate}: {margin}{basket}. "
        f"The {percent(asked.interval)} interval is of this expectation: it shows how well the "
        "parameters are known, not how far off the total may be. Future customers are not "
        "included.",
        "worth",
    )
    yield from plan_facts(study, plan, "value")


def _bought(study: Study, ahead: str) -> Iterator[Fact]:
    """The purchases of the base, where they are all that is known of its worth."""
    asked, everybody = study.question, np.zeros(len(study.rfm), dtype=np.int64)
    if study.scores["expected_purchases"].isna().any():
        return  # of a whole life, which may have no end
    found = group_values(study.purchases, study.rfm, everybody, 1, **asked.of_purchases())
    (mean, (lower, upper)) = (float(found.mean[0]), found.bounds())
    yield Fact(
        "purchases_of_the_base",
        "What the base will buy",
        mean,
        *_ends(Amount(mean, float(lower[0]), float(upper[0]))),
        "integer",
        f"Expected number of purchases in {ahead}. The {percent(asked.interval)} interval is of "
        "this expectation: how well the parameters are known. Customers to come are not in it.",
        "worth",
    )


def _basket(study: Study) -> str:
    """Say at what every purchase is counted, where there is no model of spend."""
    value = None if study.clv is None else study.clv.basket_value
    if value is None:
        return ""
    return f", with every purchase counted at {money(value, study.question.currency)}"


def _per_customer(study: Study, value: Amount) -> Fact:
    size = study.histories.customers
    return Fact(
        "value_per_customer",
        "Per customer",
        value.mean / size,
        *_ends(Amount(value.mean / size, value.lower / size, value.upper / size)),
        "money",
        "The mean over all customers; most are worth less.",
        "worth",
    )


def _errors(study: Study) -> Iterator[Fact]:
    """What the backtest was off by; or that there was none."""
    backtest = study.backtest
    if backtest is None:
        yield Fact(
            "backtest_error",
            "Backtest, model minus real",
            None,
            format="error",
            note="No backtest was given, so it is not known how far off such totals are.",
            group="worth",
        )
        return
    level = float(backtest.settings["interval"])
    totals = backtest.totals[backtest.totals["level"] == level]
    for row in totals.iloc[::-1].to_dict("records"):  # value first
        what = {"value": "value", "purchases": "purchases"}[str(row["target"])]
        error = relative_error(row["forecast"], row["actual"])
        forecast, actual = (
            money(float(one), study.question.currency) if what == "value" else number(round(one))
            for one in (row["forecast"], row["actual"])
        )
        yield Fact(
            f"backtest_error_{row['target']}",
            f"Backtest of {what}, model minus real",
            error if math.isfinite(error) else None,
            format="error",
            note=(
                f"As a share of the real total: after {backtest.train_end} and up to "
                f"{backtest.test_end} the forecast was {forecast} and the outcome {actual}, "
                f"{'inside' if row['inside'] else 'outside'} the {percent(level)} predictive "
                "interval of the total." + (_money_of(study) if what == "value" else "")
            ),
            group="worth",
        )


def _money_of(study: Study) -> str:
    """Say what a backtest's money is: its margin need not be that of the value of the base."""
    assert study.backtest is not None
    margin = float(study.backtest.settings.get("margin", 1.0))
    alike = math.isclose(margin, study.rfm.margin) or bool(study.why_no_value)
    other = "" if alike else ", unlike the value of the base"
    return f" These figures are {profit_or_revenue(margin)}{other}."


# --- who buys, who is active ------------------------------------------------------------


def _buyers(study: Study, added: Totals, ahead: str) -> Iterator[Fact]:
    known = added.repeat + added.once
    whole = study.question.horizon is None or study.question.horizon == math.inf
    says_nothing = whole and study.purchases.facts.once_says_nothing and added.once
    yield Fact(
        "customers_again",
        "Customers who will buy",
        added.again_all.mean,
        *_ends(added.again_all),
        "integer",
        f"At least once in {ahead}, of {known:,}: the sum of their chances to buy. "
        + (
            "Over a lifetime that is the sum of P(alive), and says no more: choose a horizon."
            if whole
            else "The interval is of this sum; the number who will really buy varies more."
        ),
        "buy",
    )
    yield Fact(
        "repeat_customers_again",
        "Of those who came back before",
        added.again_repeat.mean,
        *_ends(added.again_repeat),
        "integer",
        f"Of {added.repeat:,} customers who came back." if added.repeat else "Nobody came back.",
        "buy",
    )
    yield Fact(
        "one_time_buyers_again",
        "Of those who bought only once",
        added.again.mean,
        *_ends(added.again),
        "integer",
        f"Of {added.once:,} customers ({percent(added.once / known)} of all)."
        + (f" {_SILENT_OF_ONCE.format(study.purchases.facts.name)}" if says_nothing else ""),
        "buy",
    )


def _active(study: Study, added: Totals) -> Iterator[Fact]:
    yield Fact(
        "active_repeat_customers",
        "Repeat customers who are still customers",
        added.active.mean,
        *_ends(added.active),
        "integer",
        f"The sum of P(alive) of {added.repeat:,} customers who came back. {LEAST_KNOWN}"
        if added.repeat
        else "Nobody came back.",
        "active",
    )
    yield Fact(
        "one_time_buyers",
        "Customers who bought only once",
        added.once,
        format="integer",
        note=(
            _SILENT_OF_ONCE.format(study.purchases.facts.name)
            if study.purchases.facts.once_says_nothing
            else "They are not among the repeat customers shown here."
        ),
        group="active",
    )


def _base(study: Study) -> Iterator[Fact]:
    h = study.histories
    yield Fact("customers", "Customers", h.customers, format="integer")
    yield Fact(
        "observed_for",
        "Longest time observed",
        float(h.T.max()),
        format="duration",
        note=f"In {unit_of(study.scale)}; {number(h.mean_T)} on average.",
    )
    end = study.purchases.metadata.observation_end
    if end is not None:
        yield Fact("observation_end", "Observed to", end, format="date")
    if study.clv is not None:
        yield Fact(
            "median_value",
            "Median customer",
            float(study.scores["clv"].median()),
            format="money",
            note="Half of the customers are worth less.",
        )


def _ends(amount: Amount) -> tuple[float | None, float | None]:
    """Ends of an interval; None where there is none."""
    lower, upper = amount.lower, amount.upper
    return (lower if lower == lower else None), (upper if upper == upper else None)
