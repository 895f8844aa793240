"""Does the model fit: what it would generate, against what there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from clvmodels import limits
from clvmodels.diagnostics.clock_parts import clock_figures, clock_tables
from clvmodels.diagnostics.effect_parts import effect_figures, effect_tables, new_customer_tables
from clvmodels.diagnostics.fitted_weeks import Tracked, track, why_not_tracked
from clvmodels.diagnostics.planned import goes_on
from clvmodels.diagnostics.record import Figure, Section
from clvmodels.diagnostics.repeat_fit import (
    expected_repeats,
    repeat_checks,
    repeat_figure,
    repeat_table,
)
from clvmodels.diagnostics.spend_fit import (
    SpendHistogram,
    spend_checks,
    spend_figures,
    spend_histogram,
)
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import number, percent, short
from clvmodels.evaluation.checks import relative_error
from clvmodels.evaluation.repeats import bin_labels, mean_repeats
from clvmodels.predictive import TotalForecast
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

_AHEAD: Final = (
    " From the dotted line on it is the months' forecast of these same customers, with a fan that "
    "also allows for the calendar: nobody new is in it."
)

OTHER_LOG: Final = "The log is not the one that the table was made of"


def fit_section(study: Study, months: TotalForecast | None = None) -> Section:
    """Posterior predictive checks, tracking, spend, and what the parameters imply.

    The tracking goes on into the ``months`` of a forecast.
    """
    expected = expected_repeats(study)
    why_not = why_not_tracked(study)
    tracked = None if why_not else track(study)
    figures = [repeat_figure(study, expected)]
    figures += [] if tracked is None else tracking_figures(study, tracked, months)
    figures += _conditional_figure(study)
    figures += [*clock_figures(study), *effect_figures(study)]
    spend = spend_histogram(study)
    figures += spend_figures(study, spend)
    return Section(
        key="fit",
        title="Does the model fit?",
        intro=(
            "A model that fits would produce data like these. So what it expects of customers "
            "like these is compared with what they did."
        ),
        checks=tuple(_checks(study, expected, spend)),
        tables=(
            repeat_table(study, expected),
            *clock_tables(study),
            *effect_tables(study),
            *new_customer_tables(study),
        ),
        figures=tuple(figures),
        notes=tuple(_notes(study, tracked, why_not)),
    )


def _checks(study: Study, expected: FloatArray, spend: SpendHistogram | None) -> Iterator[Check]:
    yield from repeat_checks(study, expected)
    yield _total_check(study)
    yield from spend_checks(study, spend)
    yield from _life_check(study)
    yield from _dropout_check(study)


def _total_check(study: Study) -> Check:
    name = "error of the repeat purchases expected of customers like these"
    how: dict[str, Any] = {"unit": "share", "bears_on": ("totals",)}
    actual = float(np.mean(study.columns.x))
    if actual == 0:
        most = limits.MAX_TOTAL_ERROR
        return limits.unavailable(name, "Nobody came back.", most, side="within", **how)
    mean = float(mean_repeats(study.purchases.formulas, study.few_draws(), *study.ages()).mean())
    size = study.histories.customers
    # 99 % of bases of this size lie within 2.6 standard errors by chance alone.
    by_chance = 2.6 * float(np.std(study.columns.x)) / (actual * math.sqrt(size))
    limit = max(limits.MAX_TOTAL_ERROR, by_chance)
    said = f"{mean * size:,.0f} repeat purchases are expected and there were {actual * size:,.0f}"
    return limits.judged(
        name,
        relative_error(mean, actual),
        limit,
        f"{said}: totals from this model are off by about as much.",
        fine=f"{said}.",
        fail_from=max(limits.TOO_MUCH_TOTAL_ERROR, limit),
        within=True,
        **how,
    )


def _in_brackets(where: str) -> str:
    return f" ({where})" if where else ""


def _life_check(study: Study) -> Iterator[Check]:
    """Only of a lifetime that is not discounted: elsewhere nothing can be without end."""
    endless = math.isinf(study.scale.horizon(study.question.horizon))
    if not (endless and study.question.discount_rate == 0):
        return
    share, where = _without_end(study), study.purchases.facts.endless_where
    yield limits.judged(
        "share of draws in which customers buy without end",
        share,
        0.0,
        f"In {percent(share)} of the draws purchases add up without end{_in_brackets(where)}: use "
        "a finite horizon, or a discount rate above 0.",
        otherwise="fail",
        unit="share",
    )


def _without_end(study: Study) -> float:
    return float(np.mean(study.purchases.formulas.endless(**study.purchases.draws())))


def _dropout_check(study: Study) -> Iterator[Check]:
    """Of models in which customers leave with a probability."""
    described = study.purchases.facts.describe(study.purchases.draws())
    for leaves in (one.values for one in described if one.counts == "share"):
        yield limits.judged_least(
            "share of customers who leave after a purchase, in the middle of the draws",
            float(np.median(leaves)),
            limits.MIN_DROPOUT,
            "Hardly anybody seems to leave: the share runs to 0 along a ridge, P(alive) is near 1 "
            "for nearly everybody, and long horizons depend on that; a longer log would show who "
            "has left.",
            unit="share",
            bears_on=("totals", "customers"),
        )


# --- tracking, conditional expectations -------------------------------------------------


def tracking_figures(
    study: Study, tracked: Tracked, months: TotalForecast | None = None
) -> Iterator[Figure]:
    """By week and added up; what was fitted, and what is forecast for the months to come."""
    actual, expected = float(tracked.actual.sum()), float(tracked.expected.sum())
    level = percent(study.question.interval)
    ended = None if months is None else months.edges[0]
    shared = {"dates": tracked.dates, "split": ended}
    yield Figure(
        key="tracking",
        kind="purchases_over_time",
        title=f"{percent(_inside(tracked))} of the periods lie "
        + ("in the model's band" if len(tracked.bands.lower) else "near the model's line"),
        caption=(
            "Repeat purchases of all customers in each period: actual (points) and expected when "
            f"only the first purchase of each customer is known (line, {level} predictive band). "
            "Peaks outside the band are seasons and campaigns, which the model does not know "
            f"about.{'' if ended is None else _AHEAD}"
        ),
        alt=(
            f"{len(tracked.dates)} periods from {tracked.dates[0]} to {tracked.dates[-1]}; "
            f"{percent(_inside(tracked))} of the points lie in the band."
        ),
        data={
            **shared,
            "actual": short(tracked.actual),
            "expected": short(tracked.expected),
            "lower": short(tracked.bands.lower),
            "upper": short(tracked.bands.upper),
            "cumulative": False,
            "future": goes_on(months, tracked.days, so_far=None),
        },
    )
    yield Figure(
        key="tracking-cumulative",
        kind="purchases_over_time",
        title=(
            f"In the end the model expects {expected:,.0f} repeat purchases and there were "
            f"{actual:,.0f}"
        ),
        caption=(
            "The same, added up: actual (dashed) and expected (line). An actual curve that leaves "
            "the band and stays outside means that the model expects too many purchases or too "
            "few."
            f"{'' if ended is None else _AHEAD}"
        ),
        alt=f"Cumulative repeat purchases: {actual:,.0f} actual, {expected:,.0f} expected.",
        data={
            **shared,
            "actual": short(np.cumsum(tracked.actual)),
            "expected": short(np.cumsum(tracked.expected)),
            "lower": short(tracked.bands.cumulative_lower),
            "upper": short(tracked.bands.cumulative_upper),
            "cumulative": True,
            "future": goes_on(months, tracked.days, so_far=actual),
        },
    )


def _inside(tracked: Tracked) -> float:
    """Share of the periods whose real purchases lie in the band, or near the line."""
    band = tracked.bands
    if not len(band.lower):
        near = np.abs(tracked.actual - tracked.expected) <= 0.25 * tracked.expected
        return float(near.mean())
    return float(
        ((tracked.bands.lower <= tracked.actual) & (tracked.actual <= tracked.bands.upper)).mean()
    )


def _conditional_figure(study: Study) -> Iterator[Figure]:
    """Purchases in a holdout by frequency before it; needs a backtest."""
    if study.backtest is None:
        return
    customers = study.backtest.customers
    group = np.minimum(customers["frequency"].to_numpy(), 7).astype(np.int64)
    counts = np.bincount(group, minlength=8)
    there = counts > 0
    sums = [
        np.bincount(group, weights=customers[name].to_numpy(dtype=np.float64), minlength=8)
        for name in ("purchases_actual", "purchases_model")
    ]
    actual, expected = (total[there] / counts[there] for total in sums)
    labels = [label for label, any_ in zip(bin_labels(), there, strict=True) if any_]
    worst = int(np.argmax(np.abs(expected - actual)))
    yield Figure(
        key="conditional-expectations",
        kind="conditional_expectations",
        title=f"Furthest off are customers with {labels[worst]} repeats: "
        f"{number(float(actual[worst]))} purchases afterwards, "
        f"{number(float(expected[worst]))} expected",
        caption=(
            "Mean purchases in the backtest's holdout by number of repeats in its calibration: "
            "actual (dashed) and expected (line). Where they separate, the model is wrong for "
            "these customers."
        ),
        alt="; ".join(
            f"{label} repeats: {number(a)} bought, {number(e)} expected"
            for label, a, e in zip(labels, actual, expected, strict=True)
        ),
        data={
            "groups": labels,
            "customers": counts[there].tolist(),
            "actual": short(actual),
            "expected": short(expected),
        },
    )


def _notes(study: Study, tracked: Tracked | None, why_not: str) -> Iterator[str]:
    if why_not:
        yield why_not
    if tracked is not None and tracked.other:
        yield (
            f"{OTHER_LOG} ({tracked.other}), so its weeks and orders are not those that were "
            "fitted: pass that log, or summarise this one again."
        )
    if (share := _without_end(study)) > 0:
        where = study.purchases.facts.endless_where
        yield (
            f"In {percent(share)} of the draws customers would buy without end if nothing were "
            f"discounted{_in_brackets(where)}; a finite or discounted horizon is not affected."
        )
    if study.backtest is None:
        yield "Conditional expectations by frequency need a backtest, and none was given."
    if study.clv is None:
        yield "The posterior is of purchases alone, so the report says nothing about spend."
    elif study.spend is None:
        yield "Every purchase has the value that was given, so there is no fit of spend to check."
    elif study.columns.m_bar is None:
        yield "The table has no monetary_value, so the fit of spend is not checked."
