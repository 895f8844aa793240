"""Results as tables and sentences that can be read without knowing the code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.cli.terminal import Terminal, between, number, percent, significant, table
from clvmodels.cli.wording import in_options
from clvmodels.display import many, wrapped
from clvmodels.purchases.design import OTHER
from clvmodels.schema import DAYS_PER_YEAR, Horizon, TimeScale
from clvmodels.verdict import WORDS

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.log.audit import Audit
    from clvmodels.posterior import CLVPosterior, PurchasePosterior
    from clvmodels.posterior.core import Posterior
    from clvmodels.rfm import RfmTable
    from clvmodels.verdict import Verdict

INTERVAL: Final = 0.9
_MOST_EFFECTS: Final = 12
_PERIODS: Final = {"h": "hour", "D": "day", "W": "calendar week", "M": "calendar month"}
_METHODS: Final = {
    "laplace": "an approximation around the most likely point, corrected by weights",
    "nuts": "Markov chains (NUTS)",
    "map": "the most likely point alone, without uncertainty",
    "given": "draws from elsewhere",
    "stack": "a mixture of models, each fitted by itself",
}


def show_audit(terminal: Terminal, audit: Audit, time_unit: str) -> None:
    """Show every row of a log: used, or left out for one reason."""
    has_money = audit.amount_read is not None
    lines = [("read", audit.rows_read, audit.amount_read)]
    lines += [(e.reason, -e.rows, _negative(e.amount)) for e in audit.left_out if e.rows]
    lines.append(("used", audit.rows_used, audit.amount_used))
    rows = [
        (text, f"{count:,}", *((number(money or 0.0, 2),) if has_money else ()))
        for text, count, money in lines
    ]
    headings = ("rows of the log", "rows", *(("amount",) if has_money else ()))
    terminal.show(table(headings, rows))
    terminal.say()
    period = _PERIODS[time_unit]
    terminal.say(
        f"{many(audit.customers, 'customer')} made {many(audit.periods, 'purchase')}; everything "
        f"that one customer buys within one {period} is one purchase."
    )
    for text in audit.about_refunds():
        terminal.say(f"{text}.")
    if text := audit.left_out_in_words():
        terminal.say(text)
    for note in audit.remarks:
        terminal.say(f"Note: {in_options(note).removesuffix('.')}.")


@dataclass(frozen=True, slots=True)
class BaseOutline:
    """Outlines of a table of customers: counts, means, units."""

    customers: int
    once: int
    mean_frequency: float
    longest: float
    observation_end: pd.Timestamp | None
    scale: TimeScale
    margin: float


def show_base(terminal: Terminal, base: BaseOutline) -> None:
    """Show the outlines of a table of customers."""
    end = "unknown"
    if base.observation_end is not None:
        from clvmodels.rfm.periods import last_day_of, ordinal_of

        scale = base.scale
        end = last_day_of(ordinal_of(base.observation_end, scale), scale)
    rows = [
        ("customers", f"{base.customers:,}"),
        ("bought only once", f"{base.once:,} ({percent(base.once / base.customers)})"),
        ("repeat purchases per customer", number(base.mean_frequency, 2)),
        ("observed until", end),
        ("longest observed", f"{base.longest:,.0f} {unit_name(base.scale)}"),
    ]
    if base.margin != 1:
        rows.append(("margin", percent(base.margin)))
    terminal.show(table(("", ""), rows, ruled=False))


def unit_name(scale: TimeScale) -> str:
    """Name the unit of recency and T in the plural."""
    known = {1.0: "days", 7.0: "weeks", 1 / 24: "hours", 30.4375: "months"}
    return known.get(scale.days, f"units of {scale.days:g} days")


def show_posterior(terminal: Terminal, posterior: CLVPosterior | PurchasePosterior) -> None:
    """Show parameters with intervals, and whether they may be trusted."""
    from clvmodels.posterior.scorable import fits_of

    for part in fits_of(posterior):
        timed = any(one.carries == "time" for one in part.facts.parameters)
        unit = f", time in {unit_name(part.scale)}" if timed else ""
        terminal.heading(f"{part.facts.about}: {part.facts.name}{unit}")
        rows = [
            _parameter(name, draws, part.certain)
            for name, draws in part._draws_by_label().items()
            if name not in _levels(part)
        ]
        headings = ("parameter", "mean", "sd", f"{percent(INTERVAL)} interval")
        terminal.show(table(headings, rows))
        terminal.say()
        terminal.judge("\n".join(wrapped(verdict_line(part.verdict), terminal.out.width)))
        for why in part.metadata.chosen:
            terminal.say(why)
        for note in part.metadata.notes:
            terminal.say(f"Note: {note}")


def verdict_line(verdict: Verdict) -> str:
    """Say in one sentence whether a fit may be used, and why."""
    checks = " ".join(check.sentence for check in verdict.checks)
    doubted = [check for check in verdict.checks if check.status in ("fail", "warn")]
    advice = in_options(" ".join(dict.fromkeys(check.advice for check in doubted)))
    how = _METHODS[verdict.method]
    return f"Verdict: {WORDS[verdict.status]}. Fitted by {how}. {checks} {advice}"


def show_in_words(
    terminal: Terminal, posterior: CLVPosterior | PurchasePosterior, *, currency: str = ""
) -> None:
    """Say what the parameters mean for the average customer."""
    from clvmodels.posterior.effects import effects_of
    from clvmodels.posterior.scorable import fits_of, purchases_of

    purchases, (_, *others) = purchases_of(posterior), fits_of(posterior)
    rows = list(_average_customer(purchases))
    for spend in others:
        d = spend.draws()
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(d["q"] > 1, d["p"] * d["v"] / (d["q"] - 1), np.inf)
        name = "spend per purchase" + (f", in {currency}" if currency else "")
        rows.append((name, *_middle_and_interval(mean, spend.certain)))
    if basket := getattr(posterior, "basket_value", None):
        rows.append(("spend per purchase, as given", significant(basket, 3), "-"))
    headings = ("the average customer", "median", f"{percent(INTERVAL)} interval")
    terminal.show(table(headings, rows))
    fits = fits_of(posterior)
    if any(one.metadata.drawn for one in fits):
        _show_effects(terminal, effects_of(fits, INTERVAL))


def _levels(part: Posterior) -> set[str]:
    """Names of draws that the table of effects shows."""
    design = part.metadata.design
    return set() if design is None else {name for one in design.effects for name in one.names}


def _show_effects(terminal: Terminal, effects: pd.DataFrame) -> None:
    """Show by how much levels of covariates differ, those that differ most."""
    effects = effects[effects["level"] != OTHER]
    order = np.argsort(-np.abs(np.log(effects["times"].to_numpy())), kind="stable")
    shown = effects.iloc[np.sort(order[:_MOST_EFFECTS])]
    rows = [
        (
            f"{row['covariate']} {row['level']}",
            row["on"],
            significant(row["times"], 3),
            f"{significant(row['times_lower'], 3)} to {significant(row['times_upper'], 3)}",
            number(row["customers"]),
        )
        for _, row in shown.iterrows()
    ]
    terminal.say()
    ends = f"{percent(INTERVAL)} interval"
    terminal.show(table(("customers of", "moves", "times", ends, "in the base"), rows))
    if len(shown) < len(effects):
        left = len(effects) - len(shown)
        terminal.say(f"{left:,} that differ less are not shown: posterior.effects() has all.")


def _average_customer(purchases: PurchasePosterior) -> Iterator[tuple[str, str, str]]:
    facts = purchases.facts
    for one in facts.describe(purchases.draws()):
        words, values = one.words.format(leaves=facts.leaves), one.values
        if one.counts == "share":
            words, values = f"{words}, in %", 100 * values
        else:
            values = values * DAYS_PER_YEAR / purchases.scale.days
        yield (words, *_middle_and_interval(values, purchases.certain))


def show_top(
    terminal: Terminal,
    top: pd.DataFrame,
    rfm: RfmTable | CLVPosterior | PurchasePosterior,
    interval: float,
    *,
    really: pd.Series[float] | None = None,
) -> None:
    """Show customers with what is expected of them, one line each.

    Parameters
    ----------
    top : DataFrame
        Rows of the predictions.
    really : Series, optional
        By customer_id, what they spent in the end.
    """
    headings = ["\ncustomer", "repeat\nbuys", f"{unit_name(rfm.scale)}\nsilent"]
    headings += ["chance\nto buy", "buys\nahead", "\nvalue", f"{percent(interval)}\ninterval"]
    headings += ["spend\neach" if really is None else "really\nspent"]
    rows = [
        (
            str(row["customer_id"]),
            number(row["frequency"]),
            number(row["T"] - row["recency"]),
            percent(row["p_purchase"]),
            number(row["expected_purchases"], 1),
            number(row["clv"]),
            between(row["clv_lower"], row["clv_upper"]),
            number(row["expected_spend"] if really is None else really[row["customer_id"]]),
        )
        for row in top.to_dict("records")
    ]
    terminal.show(table(headings, rows), indent=0)


def interval_name(interval: float) -> str:
    """Name the interval for what it is."""
    return f"{percent(interval)} interval of the expected value"


def alive_note(posterior: CLVPosterior | PurchasePosterior, horizon: Horizon) -> str:
    """Say by which column to judge customers, and why P(alive) is not that one."""
    whole = horizon is None or horizon == math.inf
    said = (
        "Over a lifetime p_purchase, the chance to buy again, is p_alive: to see who will buy, "
        "choose a horizon."
        if whole
        else "Rank customers by p_purchase, the chance that they buy within the horizon."
    ) + (
        " p_alive, the probability that they are still customers, is the least certain figure of "
        "all: nobody sees a customer leave, and models that expect the same purchases can differ "
        "in it by a factor of two."
    )
    from clvmodels.posterior.scorable import purchases_of

    facts = purchases_of(posterior).facts
    if facts.once_says_nothing:
        said += (
            f" It says nothing about {facts.silent_of('customers who bought only once')}: "
            f"in {facts.name} {facts.leaving}, so for them it stays 1 forever."
        )
    return said


def ahead(horizon: Horizon, rfm: RfmTable | CLVPosterior | PurchasePosterior) -> str:
    """Name a horizon; a bare number counts in the table's unit."""
    if horizon is None or horizon == math.inf:
        return "the remaining lifetime"
    return f"the next {rfm.scale.horizon_words(horizon)}"


def _parameter(name: str, draws: Any, certain: bool) -> tuple[str, str, str, str]:
    mean, sd = float(np.mean(draws)), float("nan") if certain else float(np.std(draws))
    return (name, significant(mean), significant(sd, 2), _interval(draws, certain, 4))


def _middle_and_interval(draws: Any, certain: bool) -> tuple[str, str]:
    """The middle of the draws, as the report has it: a mean may be far off it, or infinite."""
    return significant(float(np.median(draws)), 3), _interval(draws, certain, 3)


def _interval(draws: Any, certain: bool, digits: int) -> str:
    if certain:
        return "-"
    lower, upper = np.quantile(draws, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return f"{significant(float(lower), digits)} to {significant(float(upper), digits)}"


def _negative(amount: float | None) -> float | None:
    return None if amount is None else 0.0 - amount


def show_next(terminal: Terminal, statements: pd.DataFrame, interval: float) -> None:
    """Whether customers bought next when it was said, and what became of the overdue."""
    terminal.heading("Do customers buy next when the model says?")
    rows = [
        (
            row["statement"],
            number(row["customers"]),
            percent(row["said"]),
            between(100 * row["lower"], 100 * row["upper"], 1),
            percent(row["happened"]),
        )
        for row in statements.to_dict("records")
        if row["customers"]
    ]
    chance = f"{percent(interval)} by\nchance, %"
    terminal.show(table(("\nstatement", "\ncustomers", "\nsaid", chance, "\nhappened"), rows))
    terminal.say()
    terminal.say(
        "Overdue customers have been silent for longer than nine in ten of the times to a next "
        "purchase that were to be expected at their last one."
    )
