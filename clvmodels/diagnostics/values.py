"""What customers are worth: distribution, tiers, lists, the simple formula, segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.diagnostics.customers_listed import TIER, heading_of
from clvmodels.diagnostics.lists import (
    tiers_by_purchases,
    whom_by_purchases,
    whom_by_value,
)
from clvmodels.diagnostics.record import Figure, Format, Table
from clvmodels.diagnostics.record_tables import table_of
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.tier_values import TierValues
from clvmodels.diagnostics.words import horizon_of, listed, money, percent, short
from clvmodels.economics import (
    compare_with_simple,
    gini,
    lorenz_curve,
    segment_report,
)
from clvmodels.economics.labels import By
from clvmodels.economics.outlook import past_revenue, ratio
from clvmodels.errors import ClvError
from clvmodels.frames import to_pandas
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID

_BINS: Final = 40
_LORENZ_POINTS: Final = 101
_LISTED: Final = 10
_SEGMENTS: Final = 20
_VALUE: Final = {"value": ("lower", "upper")}
_OTHERS: Final = "(others)"
Parts = tuple[list[Table], list[Figure], list[str]]


def value_parts(study: Study, held: TierValues | None) -> Parts:
    """Tables, figures and notes about value; of purchases where there are no values."""
    tables: list[Table] = []
    if held is None:
        figures: list[Figure] = []
        notes = [f"No values: {study.why_no_value}"]
        parts: tuple[Iterator[Table | Figure | str], ...] = (
            tiers_by_purchases(study),
            whom_by_purchases(study),
        )
    else:
        figures, notes = list(_distribution(study)), []
        parts = (_tiers(study, held), whom_by_value(study), _comparison(study), _segments(study))
    for part in parts:
        for item in _guarded(part):
            if isinstance(item, Table):
                tables.append(item)
            elif isinstance(item, Figure):
                figures.append(item)
            else:
                notes.append(item)
    return tables, figures, notes


def _guarded(items: Iterator[Table | Figure | str]) -> Iterator[Table | Figure | str]:
    """A part that a table cannot feed says so, and the rest goes on."""
    try:
        yield from items
    except ClvError as error:
        yield str(error)


# --- distribution -----------------------------------------------------------------------


def _distribution(study: Study) -> Iterator[Figure]:
    clv = study.scores["clv"].to_numpy()
    ahead = horizon_of(study.question.horizon, study.scale)
    positive = clv[clv > 0]
    if not len(positive):
        return
    low, high = np.quantile(positive, [0.001, 1.0]).tolist()
    edges = np.geomspace(low, max(high, low * (1 + 1e-6)) * (1 + 1e-9), _BINS + 1)
    repeat = np.asarray(study.repeat)
    counts = [np.histogram(np.maximum(clv[rows], low), edges)[0] for rows in (repeat, ~repeat)]
    currency = study.question.currency
    middle = money(float(np.median(clv)), currency)
    yield Figure(
        key="value-distribution",
        kind="value_distribution",
        title=f"Half of the customers are worth less than {middle}, the mean is "
        f"{money(float(clv.mean()), currency)}",
        caption=(
            f"Customers by expected discounted value in {ahead}, on a logarithmic axis: those who "
            "came back and those who bought once, stacked. The first bar includes everybody below "
            "it."
        ),
        alt=(
            f"Histogram of value per customer: median {middle}, mean "
            f"{money(float(clv.mean()), currency)}, top 1 % from "
            f"{money(float(np.quantile(clv, 0.99)), currency)}."
        ),
        data={
            "edges": short(edges),
            "repeat": counts[0].tolist(),
            "once": counts[1].tolist(),
            "currency": currency,
        },
    )
    yield _lorenz(study)


def _lorenz(study: Study) -> Figure:
    clv = study.scores["clv"].to_numpy()
    curves = {"expected value": clv}
    past = past_revenue(study.rfm)
    if past is not None and past.min() >= 0 and past.max() > 0:
        curves["past revenue"] = past
    thin = {}
    for name, values in curves.items():
        customers, value = lorenz_curve(values)
        at = np.linspace(0, len(customers) - 1, min(_LORENZ_POINTS, len(customers))).astype(int)
        thin[name] = [short(customers[at]), short(value[at])]
    top = 1.0 - float(np.interp(0.8, *lorenz_curve(clv)))
    said = ", ".join(f"{name} {gini(values):.2f}" for name, values in curves.items())
    return Figure(
        key="lorenz",
        kind="lorenz",
        title=f"The most valuable fifth of the customers holds {percent(top)} of the value",
        caption=(
            "Share of the value held by a given share of the customers, least valuable first. On "
            f"the straight line all would be equal. Gini coefficients: {said}."
        ),
        alt=f"Lorenz curves; the top 20 % of customers hold {percent(top)}; Gini {said}.",
        data={"curves": thin},
    )


# --- tiers ------------------------------------------------------------------------------


def _tiers(study: Study, held: TierValues) -> Iterator[Table | Figure | str]:
    report = tier_frame(held)
    level = percent(study.question.interval)
    yield table_of(
        "tiers",
        "Value tiers",
        "tier",
        report,
        {
            "customers": ("customers", "integer"),
            "clv": ("value", "money"),
            "clv_lower": ("lower", "money"),
            "clv_upper": ("upper", "money"),
            "clv_per_customer": ("value per customer", "money"),
            "value_share": ("share of the value", "percent"),
            "past_share": ("share of past revenue", "percent"),
        },
        "Tiers are the top 5 % of the customers by value, the next 15 %, the next 30 %, and the "
        f"other half; intervals of {level}.",
        intervals=_VALUE,
        bars=("share of the value",),
        leads={TIER: held.names},
    )
    best = report.iloc[0]
    past = "" if held.past is None else ", of past revenue"
    yield Figure(
        key="tiers",
        kind="tiers",
        title=(
            f"The top {percent(float(best['customer_share']))} of the customers hold "
            f"{percent(float(best['value_share']))} of the value"
        ),
        caption=(
            f"What share each tier holds of the customers{past} and of the expected value, "
            f"with its {level} interval."
        ),
        alt="; ".join(
            f"{row['tier']}: {percent(row['customer_share'])} of the customers, "
            f"{percent(row['value_share'])} of the value"
            for row in report.iloc[:-1].to_dict("records")
        ),
        data={"report": {str(name): report[name].tolist() for name in report.columns}},
    )
    yield _top_shares(held)


def tier_frame(held: TierValues) -> pd.DataFrame:
    """What each tier holds; the columns of `clvmodels.tier_report` under their names."""
    everything = held.values.with_whole()
    lower, upper = everything.bounds()
    share, share_lower, share_upper = held.values.shares()
    past = None if held.past is None else np.append(held.past, held.past.sum())
    whole = 1.0 if everything.mean[-1] else np.nan
    certain = np.nan if held.values.certain else whole
    return pd.DataFrame(
        {
            "tier": [*held.names, "(whole)"],
            "customers": everything.customers,
            "customer_share": everything.customers / everything.customers[-1],
            "clv": everything.mean,
            "clv_lower": lower,
            "clv_upper": upper,
            "clv_per_customer": ratio(everything.mean, everything.customers),
            "value_share": np.append(share, whole),
            "value_share_lower": np.append(share_lower, certain),
            "value_share_upper": np.append(share_upper, certain),
            **({} if past is None else {"past_share": ratio(past, past[-1])}),
        }
    )


def _top_shares(held: TierValues) -> Table:
    rows: list[tuple[Any, ...]] = []
    customers = np.cumsum(held.values.customers)
    for tiers in (1, 2):
        past: tuple[float, ...] = ()
        if held.past is not None and held.past_best is not None:
            total = held.past.sum()
            own, best = held.past[:tiers].sum(), held.past_best[tiers - 1]
            past = (float(ratio(own, total)), float(ratio(best, total)))
        name = f"top {percent(float(customers[tiers - 1] / customers[-1]))}"
        rows.append((name, customers[tiers - 1], *held.top(tiers), *past))
    columns = ["customers", "share of the value", "lower", "upper"]
    if held.past is not None:
        columns += ["their share of past revenue", "share of as many top customers of the past"]
    formats: dict[str, Format] = dict.fromkeys(columns, "percent")
    return Table(
        key="top-shares",
        title="What the top customers hold",
        columns=("top", *columns),
        rows=tuple(rows),
        caption="The most valuable customers of the future are not all the best ones of the past.",
        formats=formats | {"customers": "integer"},
        intervals={"share of the value": ("lower", "upper")},
    )


# --- simple formula ---------------------------------------------------------------------


def _comparison(study: Study) -> Iterator[Table | Figure | str]:
    assert study.clv is not None
    use_log = study.rfm.options is not None and (
        not study.rfm.has_id_map or study.id_map is not None
    )
    table = compare_with_simple(
        study.clv,
        study.rfm,
        log=study.log if use_log else None,
        id_map=study.id_map if use_log else None,
        **study.question.terms(),
    )
    whole, currency = table.iloc[-1], study.question.currency
    yield table_of(
        "simple",
        "The simple formula against the model",
        "decile",
        table,
        {
            "customers": ("customers", "integer"),
            "simple": ("simple formula", "money"),
            "simple_per_customer": ("simple, own figures", "money"),
            "model": ("model", "money"),
            "model_lower": ("lower", "money"),
            "model_upper": ("upper", "money"),
        },
        "Sums over tenths of the customers, the most valuable (by the model) first. The simple "
        "formula is order value x frequency x lifetime, the same for all; with own figures it "
        "takes each customer's own order value and frequency.",
        intervals={"model": ("lower", "upper")},
    )
    off = float(whole["simple"] / whole["model"] - 1.0) if whole["model"] else float("nan")
    yield Figure(
        key="simple",
        kind="comparison",
        title="The simple formula gives every customer the same value; its total is "
        + (f"{percent(abs(off))} {'above' if off > 0 else 'below'} the model's"),
        caption=(
            "Value of each tenth of the customers, the most valuable first, by the simple formula, "
            "by the formula with each customer's own figures, and by the model, with its interval."
        ),
        alt=(
            f"Total value: {money(float(whole['simple']), currency)} by the simple formula, "
            f"{money(float(whole['simple_per_customer']), currency)} with own figures, "
            f"{money(float(whole['model']), currency)} by the model."
        ),
        data={
            "table": {str(name): table[name].tolist() for name in table.columns if name != "note"},
            "unit": currency if len(currency) <= 1 else "",
        },
    )


# --- segments ---------------------------------------------------------------------------


def _segments(study: Study) -> Iterator[Table | Figure | str]:
    assert study.clv is not None
    names = [*study.rfm.segment_cols]
    for place, name in enumerate(names):
        by, gathered = _gathered(study.rfm, name)
        report = segment_report(study.clv, study.rfm, by=by, **study.question.terms())
        whole = report.iloc[-1:]
        rows = report.iloc[:-1].sort_values("clv", ascending=False, kind="stable")
        yield table_of(
            f"segment-{place}",
            f"Segments by {name}",
            name,
            pd.concat([rows, whole]),
            {
                "customers": ("customers", "integer"),
                "one_time_share": ("bought once", "percent"),
                "p_purchase": ("chance to buy again", "percent"),
                "clv": ("value", "money"),
                "clv_lower": ("lower", "money"),
                "clv_upper": ("upper", "money"),
                "clv_per_customer": ("value per customer", "money"),
            },
            f"The most valuable first, with {percent(study.question.interval)} intervals."
            + (f" {gathered:,} small segments are grouped as {_OTHERS}." if gathered else ""),
            intervals=_VALUE,
            leads={heading_of(name): tuple(str(one) for one in rows[name])},
        )
    if not names:
        yield "The table has no segment columns; rfm_summary(segment_cols=...) keeps them."
    elif len(names) > 1:
        yield f"Segments: {listed(names)}."


def _gathered(rfm: RfmTable, name: str) -> tuple[By, int]:
    """What to divide customers by: a column, with all but its largest segments as one.

    The table stays as it is, since the column may be a covariate.
    """
    column = to_pandas(rfm.table, [CUSTOMER_ID, name]).set_index(CUSTOMER_ID)[name].astype(object)
    counts = column.map(str, na_action="ignore").value_counts()
    if len(counts) <= _SEGMENTS + 1:
        return name, 0
    order = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    large = [value for value, _ in order[:_SEGMENTS]]
    kept = column.isna() | column.map(str).isin(large)
    return column.where(kept, _OTHERS), len(counts) - len(large)
