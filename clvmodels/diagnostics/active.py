"""What the model says of the customers: who is active, who buys, what they are worth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from clvmodels.diagnostics.base_totals import Totals
from clvmodels.diagnostics.facts import LEAST_KNOWN
from clvmodels.diagnostics.planned import Planned, plan_figures, plan_table
from clvmodels.diagnostics.record import Figure, Section, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.tier_values import TierValues
from clvmodels.diagnostics.values import value_parts
from clvmodels.diagnostics.words import horizon_of, number, percent, short, unit_of
from clvmodels.posterior.predicting import own_horizon
from clvmodels.schema import FloatArray

_CELLS: Final = 25
_MATRIX_DRAWS: Final = 100
_ALIVE_BINS: Final = 20


def active_section(study: Study, totals: Totals, held: TierValues | None, plan: Planned) -> Section:
    """Totals, matrices, P(alive), values, tiers, customers slipping away, formula, segments."""
    tables, figures, notes = value_parts(study, held)
    return Section(
        key="says",
        title="What the model says",
        intro=(
            "What follows from the fit for these customers. But for the totals to plan with, "
            "intervals here are of expectations: they show how well the parameters are known, "
            "not how much a single customer may vary."
        ),
        tables=(*plan_table(study, plan), _activity_table(study, totals), *tables),
        figures=(*plan_figures(study, plan), *_matrices(study), *_alive_figure(study), *figures),
        notes=(*([plan.why_not] if plan.why_not else []), *_alive_notes(study, totals), *notes),
    )


def _activity_table(study: Study, totals: Totals) -> Table:
    ahead = horizon_of(study.question.horizon, study.scale)
    known = totals.repeat + totals.once
    rows = [
        ("came back", totals.repeat, totals.repeat / known, totals.again_repeat, totals.active),
        ("bought once", totals.once, totals.once / known, totals.again, None),
    ]
    columns = ("customers who ...", "number", "share", "will buy", "lower", "upper")
    return Table(
        key="activity",
        title="Who will buy, and who is still a customer",
        columns=(*columns, "still active", "lower end", "upper end"),
        rows=tuple(
            (
                name,
                count,
                share,
                again.mean,
                again.lower,
                again.upper,
                *((None,) * 3 if active is None else (active.mean, active.lower, active.upper)),
            )
            for name, count, share, again, active in rows
        ),
        caption=(
            f"Expected numbers of customers, with {percent(study.question.interval)} intervals; "
            f"those who will buy do so at least once in {ahead}. {LEAST_KNOWN} "
            + (
                f"{study.purchases.facts.name} takes everybody who bought once to be active "
                "forever, so their P(alive) says nothing and is left out."
                if _blind(study)
                else (
                    "Customers who bought once are shown separately, since little is known about "
                    "them."
                )
            )
        ),
        formats={
            "number": "integer",
            "share": "percent",
            **dict.fromkeys(
                ("will buy", "lower", "upper", "still active", "lower end", "upper end"),
                "integer",
            ),
        },
        intervals={
            "will buy": ("lower", "upper"),
            "still active": ("lower end", "upper end"),
        },
    )


def _blind(study: Study) -> bool:
    """Whether the model's P(alive) of one-time buyers is 1 whatever they do."""
    return study.purchases.facts.once_says_nothing


def _alive_notes(study: Study, totals: Totals) -> Iterator[str]:
    if _blind(study) and totals.once:
        yield (
            f"In {study.purchases.facts.name} {study.purchases.facts.leaving}, so P(alive) stays 1 "
            f"forever for the {totals.once:,} customers who bought once. They are not among the "
            "active customers counted here."
        )
    if study.certain:
        yield "The posterior is a single point, so there are no intervals."


# --- matrices ---------------------------------------------------------------------------


def _matrices(study: Study) -> Iterator[Figure]:
    reach = float(study.timed.T.max())
    if reach <= 0:
        return
    x, recency = _axes(study, reach)
    horizon = own_horizon(study.purchases, study.question.horizon, study.columns.last_day)
    formulas, each = study.of_average(_MATRIX_DRAWS)
    draws = {name: values[:, None, None] for name, values in each.items()}
    grid = (x[None, :], np.where(x[None, :] > 0, recency[:, None], 0.0), reach)
    alive = formulas.p_alive(*grid, **draws).mean(axis=0)
    possible = (x[None, :] > 0) | (recency[:, None] == 0)
    shared = {
        "frequency": x.astype(int).tolist(),
        "recency": short(recency),
        "unit": unit_of(study.scale),
    }
    age = f"{number(reach)} {unit_of(study.scale)}"
    yield Figure(
        key="alive-matrix",
        kind="history_matrix",
        title="Frequent buyers who fall silent are written off soonest",
        caption=(
            f"P(alive) of customers first seen {age} ago, by number of repeats and time of the "
            "last one. Recent buyers are at the top; a silence that is harmless for an infrequent "
            "buyer means that a frequent one has probably left."
            + (
                " The column of customers without repeats is 1 by construction."
                if _blind(study)
                else ""
            )
        ),
        alt=(
            f"Matrix of P(alive): {_corner(alive, x)}; rows run from a last purchase long ago to "
            "a recent one, columns from no repeats to many."
        ),
        data={
            **shared,
            "values": [short(row, 4) for row in np.where(possible, alive, np.nan)],
            "label": "P(alive)",
            "share": True,
        },
    )
    if math.isinf(horizon):
        return
    bought = formulas.expected_purchases(*grid, horizon, **draws).mean(axis=0)
    yield Figure(
        key="purchases-matrix",
        kind="history_matrix",
        title="Frequent and recent buyers will buy most",
        caption=(
            f"Expected purchases in {horizon_of(study.question.horizon, study.scale)} of customers "
            f"first seen {age} ago, by number of repeats and time of the last one."
        ),
        alt=(
            f"Matrix of expected purchases, from {number(float(np.nanmin(bought)))} to "
            f"{number(float(bought.max()))}."
        ),
        data={
            **shared,
            "values": [short(row, 4) for row in np.where(possible, bought, np.nan)],
            "label": "expected purchases",
            "share": False,
        },
    )


def _axes(study: Study, reach: float) -> tuple[FloatArray, FloatArray]:
    most = max(float(np.quantile(study.columns.x, 0.995)), 6.0)
    x = np.unique(np.round(np.linspace(0.0, most, _CELLS)))
    return x, np.linspace(0.0, reach, _CELLS)


def _corner(alive: FloatArray, x: FloatArray) -> str:
    middle = len(alive) // 2
    return (
        f"with {x[-1]:.0f} repeats it is {percent(float(alive[-1, -1]))} right after a purchase "
        f"and {percent(float(alive[middle, -1]))} when the last one was half the time ago"
    )


# --- P(alive) ---------------------------------------------------------------------------


def _alive_figure(study: Study) -> Iterator[Figure]:
    repeat = np.asarray(study.repeat)
    if not repeat.any():
        return
    alive = study.scores["p_alive"].to_numpy()[repeat]
    edges = np.linspace(0.0, 1.0, _ALIVE_BINS + 1)
    counts = np.histogram(alive, edges)[0]
    likely, unlikely = float(np.mean(alive >= 0.8)), float(np.mean(alive < 0.2))
    yield Figure(
        key="alive",
        kind="alive_histogram",
        title=(
            f"{percent(likely)} of the repeat customers are very likely active, "
            f"{percent(unlikely)} very likely gone"
        ),
        caption=(
            "Repeat customers by P(alive), the probability that they are still customers. "
            "Customers who bought once are not shown."
        ),
        alt=(
            f"Histogram of P(alive) of {len(alive):,} repeat customers, mean "
            f"{percent(float(alive.mean()))}: {percent(unlikely)} below 20 %, {percent(likely)} "
            "from 80 % on."
        ),
        data={"edges": short(edges), "customers": counts.tolist()},
    )
