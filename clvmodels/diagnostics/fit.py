"""Does the model fit: what it would generate, against what there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from scipy.stats import binom

from clvmodels import limits
from clvmodels.diagnostics.counts import (
    actual_repeats,
    bin_labels,
    histogram_of_draws,
    mean_repeats,
)
from clvmodels.diagnostics.record import Figure, Section, Table
from clvmodels.diagnostics.spend_fit import spend_checks, spend_figures
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.tracking import Tracked, track, why_not_tracked
from clvmodels.diagnostics.words import listed, number, percent, short
from clvmodels.evaluation.checks import relative_error
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

_REPLICATES: Final = 200


def fit_section(study: Study) -> Section:
    """Posterior predictive checks, tracking, spend, and what the parameters imply."""
    expected = expected_repeats(study)
    why_not = why_not_tracked(study)
    tracked = None if why_not else track(study)
    figures = [_repeat_figure(study, expected)]
    figures += [] if tracked is None else _tracking_figures(study, tracked)
    figures += _conditional_figure(study)
    figures += spend_figures(study)
    return Section(
        key="fit",
        title="Does the model fit?",
        intro=(
            "A model that fits would produce data like these. So what it expects of customers "
            "like these is held against what they did."
        ),
        checks=tuple(_checks(study, expected)),
        tables=(_repeat_table(study, expected),),
        figures=tuple(figures),
        notes=tuple(_notes(study, tracked, why_not)),
    )


# --- repeat purchases -------------------------------------------------------------------


def expected_repeats(study: Study) -> FloatArray:
    """Expected customers with 0, 1, ..., 7 or more repeats by draw, shape (S, 8)."""
    ages, customers = study.ages()
    return histogram_of_draws(study.purchases.formulas, study.few_draws(), ages, customers)


def misplaced(expected: FloatArray, actual: FloatArray) -> FloatArray:
    """Share of customers that would have to change bins: half the sum of differences."""
    difference = np.abs(expected - actual).sum(axis=-1)
    return np.asarray(0.5 * difference / np.sum(actual, axis=-1))


def chance_limit(expected: FloatArray, seed: int, limit: float) -> float:
    """The limit of `misplaced`, or what chance alone makes of a small base, if that is more.

    The 99 % quantile over data sets that the model itself generates.
    """
    total = expected.sum(axis=-1)
    shares = expected / total[:, None]
    rng = np.random.default_rng(seed)
    size = round(float(total.mean()))
    shown = shares[np.linspace(0, len(shares) - 1, _REPLICATES).astype(int)]
    replicates = rng.multinomial(size, shown / shown.sum(axis=1, keepdims=True))
    by_chance = misplaced(shares.mean(axis=0) * size, replicates.astype(np.float64))
    return max(limit, float(np.quantile(by_chance, 0.99)))


def _checks(study: Study, expected: FloatArray) -> Iterator[Check]:
    yield _repeats_check(study, expected)
    yield from _bars_check(study, expected)
    yield _total_check(study)
    yield from spend_checks(study)
    yield from _life_check(study)
    yield _dropout_check(study)


def _repeats_check(study: Study, expected: FloatArray) -> Check:
    limit = chance_limit(expected, study.question.random_seed, limits.MAX_MISPLACED)
    return limits.judged(
        "share of customers whom the model expects to have another number of repeats",
        float(misplaced(expected.mean(axis=0), actual_repeats(study.histories))),
        limit,
        "The model does not reproduce how often customers come back: be careful with what it says "
        "of single customers, and try another model (MBG/NBD) or other groups of customers.",
        fine="The model reproduces how many customers come back how often, but for chance.",
        fail_from=max(limits.TOO_MANY_MISPLACED, limit),
        unit="share",
        bears_on=("customers",),
    )


def _bars_check(study: Study, expected: FloatArray) -> Iterator[Check]:
    """Bars of that histogram that neither chance nor a small difference explains."""
    out = bars_outside(study, expected)
    if out is None:
        return
    _, off = out
    labels = bin_labels()
    named = listed([_bar(study, expected, bar) for bar in off], most=8)
    level = percent(study.question.interval)
    yield limits.judged(
        f"bars of customers by repeats that lie outside their {level} interval",
        float(len(off)),
        float(binom.ppf(0.95, len(labels), 1.0 - study.question.interval)),
        f"Outside are {named}: be careful with customers of these kinds.",
        fine=f"Outside is {named}, by chance." if len(off) else "All of them lie inside.",
        bears_on=("customers",),
    )


def bars_outside(study: Study, expected: FloatArray) -> tuple[list[int], list[int]] | None:
    """Bars outside their predictive interval, and those of them that are off by more than a little.

    None where nothing is uncertain and there is no interval.
    """
    lower, upper = _band(study, expected)
    if lower is None or upper is None:
        return None
    actual, mean = actual_repeats(study.histories), expected.mean(axis=0)
    low, high = (np.array(ends, dtype=np.float64) for ends in (lower, upper))
    out = (actual < low) | (actual > high)
    far = out & (np.abs(actual - mean) > limits.MAX_BAR_ERROR * mean)
    return np.flatnonzero(out).tolist(), np.flatnonzero(far).tolist()


def _bar(study: Study, expected: FloatArray, bar: int) -> str:
    actual = actual_repeats(study.histories)
    repeats = f"{bin_labels()[bar]} repeat" + ("" if bar == 1 else "s")
    return f"{repeats} ({actual[bar]:,.0f} customers, {expected[:, bar].mean():,.0f} expected)"


def _total_check(study: Study) -> Check:
    name = "error of the repeat purchases expected of customers like these"
    how: dict[str, Any] = {"unit": "share", "bears_on": ("totals",)}
    actual = float(np.mean(study.columns.x))
    if actual == 0:
        most = limits.MAX_TOTAL_ERROR
        return limits.unavailable(name, "Nobody came back.", most, side="within", **how)
    ages, customers = study.ages()
    mean = float(mean_repeats(study.purchases.formulas, study.few_draws(), ages, customers).mean())
    size = study.histories.customers
    # 99 % of bases of this size lie within 2.6 standard errors by chance alone.
    by_chance = 2.6 * float(np.std(study.columns.x)) / (actual * math.sqrt(size))
    limit = max(limits.MAX_TOTAL_ERROR, by_chance)
    said = f"{mean * size:,.0f} are expected and there are {actual * size:,.0f}"
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


def _life_check(study: Study) -> Iterator[Check]:
    """Only of a whole life that is not discounted: elsewhere nothing can be without end."""
    endless = math.isinf(study.scale.horizon(study.question.horizon))
    if not (endless and study.question.discount_rate == 0):
        return
    share = _without_end(study)
    yield limits.judged(
        "share of draws in which customers buy without end",
        share,
        0.0,
        f"In {percent(share)} of the draws purchases add up without end (a <= 1): ask for a finite "
        "horizon, or a discount rate above 0.",
        fine="Purchases come to an end in every draw.",
        otherwise="fail",
        unit="share",
    )


def _without_end(study: Study) -> float:
    return float(np.mean(study.purchases.draws()["a"] <= 1.0))


def _dropout_check(study: Study) -> Check:
    draws = study.purchases.draws()
    middle = float(np.median(draws["a"] / (draws["a"] + draws["b"])))
    return limits.judged_least(
        "share of customers who leave after a purchase, in the middle of the draws",
        middle,
        limits.MIN_DROPOUT,
        "Hardly anybody seems to drop out: a runs to 0 along a ridge, P(alive) is near 1 for "
        "nearly all, and long horizons rest on that; a longer log would show who has left.",
        fine="Customers drop out noticeably, so that P(alive) tells them apart.",
        unit="share",
        bears_on=("totals", "customers"),
    )


def _repeat_figure(study: Study, expected: FloatArray) -> Figure:
    actual = actual_repeats(study.histories)
    share = float(misplaced(expected.mean(axis=0), actual))
    lower, upper = _band(study, expected)
    return Figure(
        key="repeats",
        kind="repeat_histogram",
        title=f"The model puts {percent(1.0 - share)} of the customers into the right bar"
        + _said_of_bars(study, expected),
        caption=(
            "Customers by number of repeat purchases: what they did (bars), and what the model "
            "expects of customers observed for as long (points"
            + (
                ")."
                if lower is None
                else f", with the {percent(study.question.interval)} predictive interval)."
            )
        ),
        alt="; ".join(
            f"{label} repeats: {a:,.0f} customers, {e:,.0f} expected"
            for label, a, e in zip(bin_labels(), actual, expected.mean(axis=0), strict=True)
        ),
        data={
            "bins": bin_labels(),
            "actual": short(actual),
            "expected": short(expected.mean(axis=0)),
            "lower": lower,
            "upper": upper,
        },
    )


def _said_of_bars(study: Study, expected: FloatArray) -> str:
    """Which bars lie outside their interval, for a title; "" where there is no interval."""
    found, labels = bars_outside(study, expected), bin_labels()
    if found is None:
        return ""
    if not found[0]:
        return "; all bars lie in their intervals"
    named = listed([labels[bar] for bar in found[0]], most=8)
    return f"; outside their intervals lie the bars of {named} repeats"


def _band(
    study: Study, expected: FloatArray
) -> tuple[list[float | None] | None, list[float | None] | None]:
    """Where the counts may lie: parameters and chance."""
    if study.purchases.certain:
        return None, None
    total = expected.sum(axis=1, keepdims=True)
    sd = np.sqrt(expected * (1.0 - expected / total))
    rng = np.random.default_rng(study.question.random_seed)
    outcomes = np.maximum(expected + sd * rng.standard_normal((25, *expected.shape)), 0.0)
    tail = (1.0 - study.question.interval) / 2.0
    ends = np.quantile(outcomes.reshape(-1, expected.shape[1]), [tail, 1.0 - tail], axis=0)
    return short(ends[0]), short(ends[1])


def _repeat_table(study: Study, expected: FloatArray) -> Table:
    actual, mean = actual_repeats(study.histories), expected.mean(axis=0)
    lower, upper = _band(study, expected)
    columns = ["repeat purchases", "customers", "expected"]
    values = [actual, mean]
    if lower is not None and upper is not None:
        columns += ["lower", "upper"]
        values += [np.array(lower, dtype=np.float64), np.array(upper, dtype=np.float64)]
    return Table(
        key="repeats",
        title="Customers by number of repeat purchases",
        columns=tuple(columns),
        rows=tuple(
            (label, *row)
            for label, row in zip(bin_labels(), np.stack(values, axis=1).tolist(), strict=True)
        ),
        caption=(
            "Expected of customers who were observed for as long"
            + (
                "."
                if lower is None
                else f", with the {percent(study.question.interval)} predictive interval."
            )
        ),
        formats=dict.fromkeys(columns[1:], "integer"),
    )


# --- tracking, conditional expectations -------------------------------------------------


def _tracking_figures(study: Study, tracked: Tracked) -> Iterator[Figure]:
    actual, expected = float(tracked.actual.sum()), float(tracked.expected.sum())
    level = percent(study.question.interval)
    shared = {"dates": tracked.dates, "split": None}
    yield Figure(
        key="tracking",
        kind="purchases_over_time",
        title=f"Week by week {percent(_inside(tracked))} of what the base did lies "
        + ("in the model's band" if len(tracked.lower) else "near the model's line"),
        caption=(
            "Repeat purchases of all customers in each period: real (points) and expected of "
            f"customers of whom only the first purchase is known (line, {level} predictive band). "
            "Peaks outside the band are seasons and campaigns, which the model does not know."
        ),
        alt=(
            f"{len(tracked.dates)} periods from {tracked.dates[0]} to {tracked.dates[-1]}; "
            f"{percent(_inside(tracked))} of the real points lie in the band."
        ),
        data={
            **shared,
            "actual": short(tracked.actual),
            "expected": short(tracked.expected),
            "lower": short(tracked.lower),
            "upper": short(tracked.upper),
            "cumulative": False,
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
            "The same, added up. A real curve that leaves the band and stays away means that the "
            "model buys too often or too seldom."
        ),
        alt=f"Cumulative repeat purchases: {actual:,.0f} real, {expected:,.0f} expected.",
        data={
            **shared,
            "actual": short(np.cumsum(tracked.actual)),
            "expected": short(np.cumsum(tracked.expected)),
            "lower": short(tracked.cumulative_lower),
            "upper": short(tracked.cumulative_upper),
            "cumulative": True,
        },
    )


def _inside(tracked: Tracked) -> float:
    """Share of the periods whose real purchases lie in the band, or near the line."""
    if not len(tracked.lower):
        near = np.abs(tracked.actual - tracked.expected) <= 0.25 * tracked.expected
        return float(near.mean())
    return float(((tracked.lower <= tracked.actual) & (tracked.actual <= tracked.upper)).mean())


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
        title="Who bought more before also bought more afterwards, about as much as expected"
        if abs(expected[worst] - actual[worst]) <= 0.25 * max(actual[worst], 1.0)
        else f"Customers with {labels[worst]} repeats bought "
        + ("more" if actual[worst] > expected[worst] else "less")
        + " afterwards than expected",
        caption=(
            "Mean purchases in the backtest's holdout by number of repeats in its calibration: "
            "real and expected. Lines that part show for whom the model is wrong."
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
    if tracked is not None and not tracked.agrees:
        yield "The log has another number of repeat purchases than the table: is it the same log?"
    if (share := _without_end(study)) > 0:
        yield (
            f"In {percent(share)} of the draws customers would buy without end if nothing were "
            "discounted (a <= 1); a finite or discounted horizon is not touched by it."
        )
    if study.backtest is None:
        yield "Conditional expectations by frequency need a backtest, and none was given."
    if study.spend is None:
        yield "The posterior is of purchases alone, so nothing is said of spend."
    elif study.columns.m_bar is None:
        yield "The table has no monetary_value, so the fit of spend is not checked."
