"""Does the model fit how often customers came back: figure, table and checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.stats import binom

from clvmodels import limits
from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import listed, percent, short
from clvmodels.evaluation.repeats import actual_repeats, bin_labels, repeats_by_draw
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

_REPLICATES: Final = 200


def expected_repeats(study: Study) -> FloatArray:
    """Expected customers with 0, 1, ..., 7 or more repeats by draw, shape (S, 8)."""
    return repeats_by_draw(study.purchases.formulas, study.few_draws(), *study.ages())[0]


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


def repeat_checks(study: Study, expected: FloatArray) -> Iterator[Check]:
    """Whether customers lie in the right bars, and each bar in its interval."""
    yield _repeats_check(study, expected)
    yield from _bars_check(study, expected)


def _repeats_check(study: Study, expected: FloatArray) -> Check:
    limit = chance_limit(expected, study.question.random_seed, limits.MAX_MISPLACED)
    return limits.judged(
        "share of customers whom the model expects to have a different number of repeats",
        float(misplaced(expected.mean(axis=0), actual_repeats(study.histories))),
        limit,
        "The model does not reproduce how often customers come back: be careful with what it says "
        "about single customers, and try another model (MBG/NBD) or other groups of customers.",
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
        fine=f"Outside is {named}, by chance." if len(off) else "",
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


def repeat_figure(study: Study, expected: FloatArray) -> Figure:
    """Customers by number of repeat purchases, and what is expected of them."""
    actual = actual_repeats(study.histories)
    share = float(misplaced(expected.mean(axis=0), actual))
    lower, upper = _band(study, expected)
    return Figure(
        key="repeats",
        kind="repeat_histogram",
        title=f"Bars and points differ by {percent(share)} of the customers"
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


def repeat_table(study: Study, expected: FloatArray) -> Table:
    """The same in numbers."""
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
        intervals={"expected": ("lower", "upper")},
    )
