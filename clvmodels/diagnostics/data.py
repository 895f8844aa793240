"""What the report is about: the audit of the log, cohorts, frequencies and spend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels import limits
from clvmodels.diagnostics.record import Figure, Section, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import listed, number, percent, short, unit_of
from clvmodels.evaluation.checks import continuity_check
from clvmodels.evaluation.repeats import actual_repeats, bin_labels
from clvmodels.log.audit import LeftOut
from clvmodels.rfm.continuity import continuity_of
from clvmodels.rfm.first_month import first_month_of
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check, Use

LEFT_OUT: Final = tuple(
    f"share of the log's {what} that was left out" for what in ("rows", "amount")
)
FIRST_MONTH: Final = (
    "purchase rate of the first month's customers, by that of the next three months'"
)
_MOST_BARS: Final = 15
_MOST_COHORTS: Final = 48


def data_section(study: Study) -> Section:
    """Audit, cohorts, frequency distribution, time span, what was merged."""
    return Section(
        key="data",
        title="The data",
        intro=(
            "Who the customers are, and what became of every row of the log. A purchase is "
            "everything that one customer buys within one period."
        ),
        checks=tuple(_checks(study)),
        tables=tuple(_tables(study)),
        figures=tuple(_figures(study)),
        notes=tuple(_notes(study)),
    )


# --- checks -----------------------------------------------------------------------------


def _checks(study: Study) -> Iterator[Check]:
    histories = study.histories
    yield limits.enough_returned(histories.count[histories.x > 0].sum())
    yield from _left_out(study)
    yield limits.judged(
        "share of customers observed for no time",
        float(histories.count[histories.T == 0].sum() / histories.customers),
        limits.MAX_UNOBSERVED,
        "Many customers came in the last period (T = 0), and the data say nothing about them yet: "
        "end the observation later.",
        unit="share",
        bears_on=("ranking", "customers"),
    )
    yield from _unknown(study)
    yield _zero_spend(study)
    yield _same_customers(study)
    yield _first_month(study)
    yield _same_base(study)


def _left_out(study: Study) -> Iterator[Check]:
    """Judge what was left out by rows and by amount: few rows may be much money."""
    limit = limits.MAX_LEFT_OUT
    how: dict[str, Any] = {"unit": "share", "bears_on": ("totals", "customers")}
    audit = study.rfm.audit
    if audit is None or not audit.rows_read:
        why_not = "The table does not come with the audit of a log."
        for name in LEFT_OUT[: 1 + study.rfm.has_money]:
            yield limits.unavailable(name, why_not, limit, side="at most", **how)
        return
    sizes: tuple[Callable[[LeftOut], float], ...] = (_rows, _amount)
    for name, share, size in zip(LEFT_OUT, audit.share_lost(), sizes, strict=True):
        if share is None:
            continue
        most = max(audit.lost(), key=size, default=None)
        why = "" if most is None or not size(most) else f", mainly: {most.reason}"
        yield limits.judged(
            name,
            share,
            limit,
            f"Much of the log was left out{why}; make sure that these rows are not purchases or "
            "returns (refunds='net_earlier' takes refunds off earlier purchases).",
            fine="Rows after the observation end do not count.",
            **how,
        )


def _rows(item: LeftOut) -> float:
    return float(item.rows)


def _amount(item: LeftOut) -> float:
    return abs(item.amount or 0.0)


def _zero_spend(study: Study) -> Check:
    name, limit = "share of repeat customers with a mean spend of 0", limits.MAX_ZERO_SPEND
    how: dict[str, Any] = {"unit": "share", "bears_on": ("totals", "customers")}
    m_bar, repeat = study.columns.m_bar, study.repeat
    if m_bar is None or not repeat.any():
        return limits.unavailable(name, "There is no repeat spend.", limit, side="at most", **how)
    return limits.judged(
        name,
        float(np.mean(m_bar[repeat] == 0)),
        limit,
        "Customers who spend nothing lie outside the spend model, which overstates their value: "
        "leave free orders out (zero_amounts='drop').",
        **how,
    )


def _first_month(study: Study) -> Check:
    limit = limits.MAX_FIRST_MONTH_RATE
    bears_on: tuple[Use, ...] = ("totals", "customers")
    found = first_month_of(study.columns.x, study.columns.T, study.scale)
    if found is None:
        why_not = (
            "New customers came for less than half a year, or too few at first, to tell whether "
            "the log begins in the middle of business."
        )
        return limits.unavailable(FIRST_MONTH, why_not, limit, side="at most", bears_on=bears_on)
    check = limits.judged(
        FIRST_MONTH,
        found.rate,
        limit,
        "The log seems to begin in the middle of business: its first month has "
        f"{found.customers:,} customers ({percent(found.share)} of all, {number(found.crowd)} "
        "times as many as a month after it) who buy more often. Their first row is probably not "
        "their first order: look at them separately (label_first_month), or fit without them "
        "(without_first_month; on the command line fit and backtest have --without-first-month).",
        bears_on=bears_on,
    )
    if check.status == "warn" and not found.differs:
        return replace(
            check, status="pass", advice="With so few customers the difference may be chance."
        )
    return check


def _unknown(study: Study) -> Iterator[Check]:
    """Customers of whom the covariates say nothing, where there are covariates."""
    design, stratum = study.purchases.metadata.design, study.columns.stratum
    if design is None or stratum is None or not design.moving:
        return
    new = design.unknown(stratum)
    who = listed([f"{name} ({count:,})" for name, count in design.unknown_by(stratum).items()])
    yield limits.judged(
        "share of customers with levels of covariates that the fit did not know",
        new / len(stratum),
        limits.MAX_UNKNOWN,
        f"They count in all totals, as customers of the population that the levels come from, by "
        f"column: {who}. Fit again to learn of them.",
        fine=f"They count in all totals, by column: {who}." if new else "",
        unit="share",
    )


def _same_customers(study: Study) -> Check:
    columns, scale = study.columns, study.scale
    end = study.rfm.observation_end
    return continuity_check(
        continuity_of(columns.x, columns.t_x, columns.T, scale),
        None if end is None else ordinal_of(end, scale),
        scale,
    )


def _same_base(study: Study) -> Check:
    name = "the table is the one that was fitted"
    known = study.purchases.metadata.fingerprint
    if known is None:
        why_not = "The posterior does not know what it was fitted to."
        return limits.unavailable(name, why_not, unit="truth")
    # What was fitted is known by purchases alone, whatever covariates divide them by
    plain = purchase_histories(replace(study.columns, stratum=None))
    same = float(plain.fingerprint() == known)
    return limits.judged_least(
        name,
        same,
        1.0,
        "The posterior was fitted to other customers or another date: what follows shows how it "
        "fits this table, not what it was fitted to.",
        unit="truth",
    )


# --- tables -----------------------------------------------------------------------------


def _tables(study: Study) -> Iterator[Table]:
    yield Table(
        key="base",
        title="The base at a glance",
        columns=("what", "value"),
        rows=tuple(_glance(study)),
        caption=f"Times are in {unit_of(study.scale)}.",
    )
    audit = study.rfm.audit
    if audit is None:
        return
    money = audit.amount_read is not None
    lines: list[tuple[Any, ...]] = [("read", audit.rows_read, audit.amount_read)]
    lines += [(item.reason, item.rows, item.amount) for item in audit.left_out]
    none = [item.reason for item in audit.left_out if not item.rows]
    lines.append(("used", audit.rows_used, audit.amount_used))
    yield Table(
        key="audit",
        title=f"{audit.rows_used:,} of {audit.rows_read:,} rows of the log were used",
        columns=("rows", "number", "share of rows", *(["amount"] if money else [])),
        rows=tuple(
            (name, rows, _share(rows, audit.rows_read), *([amount] if money else []))
            for name, rows, amount in lines
        ),
        caption=(
            f"Every row is used or left out for one reason. {audit.rows_merged:,} used rows were "
            "merged with others of the same customer and period."
            + (f" Refunds: {'; '.join(audit.about_refunds())}." if audit.about_refunds() else "")
            + (f" There were no rows of: {', '.join(none)}." if none else "")
        ),
        formats={"number": "integer", "share of rows": "percent", "amount": "money"},
        bars=("share of rows",),
        folded="number",
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _glance(study: Study) -> Iterator[tuple[str, str]]:
    histories, unit = study.histories, unit_of(study.scale)
    repeat = histories.count[histories.x > 0].sum()
    yield "customers", f"{histories.customers:,}"
    yield "distinct histories", f"{len(histories.x):,}"
    yield "repeat customers", f"{repeat:,.0f} ({percent(repeat / histories.customers)})"
    yield (
        "bought once",
        f"{histories.customers - repeat:,.0f} ({percent(1 - repeat / histories.customers)})",
    )
    purchases = float(histories.count @ histories.x)
    yield "repeat purchases", f"{purchases:,.0f} ({number(purchases / histories.customers)} each)"
    yield "first purchases", _first_span(study)
    yield (
        "observed to",
        study.rfm._end_text() if study.rfm.observation_end is not None else "unknown",
    )
    low, high = float(histories.T.min()), float(histories.T.max())
    yield (
        "time observed (T)",
        (f"{number(low)} to {number(high)} {unit}, mean {number(histories.mean_T)}"),
    )
    spend = study.repeat_spend
    if spend is not None and len(spend[0]):
        low, middle, high = np.quantile(spend[1], [0.05, 0.5, 0.95]).tolist()
        yield (
            "mean spend of a repeat customer",
            f"median {number(middle)}, 90 % between {number(low)} and {number(high)}",
        )
    if study.clv is None:
        return
    said = study.rfm.margin_said
    yield "margin", percent(study.rfm.margin) if said else "none given: values are revenue"


def _first_span(study: Study) -> str:
    if study.rfm.observation_end is None:
        return "dates unknown"
    first, last = (
        _date(study, float(T)) for T in (study.histories.T.max(), study.histories.T.min())
    )
    return f"{first} to {last}"


def _date(study: Study, age: float) -> str:
    """Date of the first purchase of customers of that age."""
    end = ordinal_of(study.rfm.observation_end, study.scale)
    return str(start_of(end - round(age * study.scale.time_scaler), study.scale).date())


# --- figures ----------------------------------------------------------------------------


def _figures(study: Study) -> Iterator[Figure]:
    actual = actual_repeats(study.histories, _MOST_BARS)
    once = float(actual[0] / actual.sum())
    yield Figure(
        key="frequency",
        kind="repeat_histogram",
        title=f"{percent(once)} of the customers bought only once",
        caption=(
            "Customers by number of repeat purchases, that is, purchases after their first. The "
            f"last bar holds everybody with {_MOST_BARS} or more."
        ),
        alt=(
            f"Bars of customers by repeat purchases: {actual[0]:,.0f} with none, {actual[1]:,.0f} "
            f"with one, {actual[-1]:,.0f} with {_MOST_BARS} or more."
        ),
        data={"bins": bin_labels(_MOST_BARS), "actual": short(actual)},
    )
    if study.rfm.observation_end is not None:
        yield _cohorts(study)


def _cohorts(study: Study) -> Figure:
    labels, customers, repeat = cohorts(study)
    biggest = int(np.argmax(customers))
    return Figure(
        key="cohorts",
        kind="cohorts",
        title=f"Most new customers came in {labels[biggest]}"
        if len(labels) > 1
        else f"All customers came in {labels[0]}",
        caption=(
            "New customers by the time of their first purchase (bars), and the share of them who "
            "have come back (line). Later cohorts have had less time to do so."
        ),
        alt=(
            f"{len(labels)} cohorts from {labels[0]} to {labels[-1]}; the largest, "
            f"{labels[biggest]}, has {customers[biggest]:,.0f} customers, of whom "
            f"{percent(float(repeat[biggest] / customers[biggest]))} came back."
        ),
        data={
            "cohorts": labels,
            "customers": short(customers),
            "repeat_share": short(repeat / customers),
        },
    )


def cohorts(study: Study) -> tuple[list[str], FloatArray, FloatArray]:
    """Customers, and repeat customers, by month of the first purchase.

    More than four years of months are quarters, or years.
    """
    histories = study.histories
    ages, place = np.unique(histories.T, return_inverse=True)
    end = ordinal_of(study.rfm.observation_end, study.scale)
    ordinals = end - np.rint(ages * study.scale.time_scaler).astype(np.int64)
    dates = pd.DatetimeIndex([start_of(int(one), study.scale) for one in ordinals])
    for frequency in ("M", "Q", "Y"):
        periods = dates.to_period(frequency)
        if len(periods.unique()) <= _MOST_COHORTS:
            break
    codes, labels = pd.factorize(periods, sort=True)
    group = codes[place]
    came_back = histories.count * (histories.x > 0)
    customers, repeat = (
        np.bincount(group, weights=weight, minlength=len(labels)).astype(np.float64)
        for weight in (histories.count, came_back)
    )
    return [str(label) for label in labels], customers, repeat


def _notes(study: Study) -> Iterator[str]:
    if study.rfm.audit is None:
        yield (
            "The table was summarised elsewhere, so there is no audit of a log; rfm_summary makes "
            "one."
        )
    else:
        yield from study.rfm.audit.remarks
    if study.rfm.observation_end is None:
        yield "The table does not know its observation end, so there are no cohorts by date."
