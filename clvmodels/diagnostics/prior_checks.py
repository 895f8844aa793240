"""Where the prior speaks: prior against posterior, prior predictive, prior sensitivity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from clvmodels import limits
from clvmodels.diagnostics.chains import kind_of, unit_of_parameter
from clvmodels.diagnostics.convergence import interval_columns
from clvmodels.diagnostics.densities import (
    OnePosterior,
    PriorDensity,
    prior_text,
)
from clvmodels.diagnostics.power_scaling import (
    Sensitivity,
    priors_of,
    sensitivity,
    sensitivity_check,
    sensitivity_figures,
    sensitivity_tables,
    why_not,
)
from clvmodels.diagnostics.record import Figure, Section, Table
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.diagnostics.words import number, percent, short
from clvmodels.evaluation.repeats import actual_repeats, bin_labels, mean_repeats, repeats_by_draw
from clvmodels.posterior import PurchasePosterior
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

_PRIOR_DRAWS: Final = 400
_PRIOR_AGES: Final = 64
_GRID: Final = 120
_POSTERIOR_BINS: Final = 30
_TAILS: Final = (0.01, 0.99)


def prior_section(study: Study) -> Section:
    """Prior and posterior of each parameter, prior predictive, power-scaling sensitivity."""
    known = [(one, priors_of(one)) for one in study.models]
    found = [(one, priors, sensitivity(one, priors, study)) for one, priors in known]
    checks = [sensitivity_check(*item) for item in found]
    predictive = _prior_repeats(study, known[0][1])
    checks.append(_predictive_check(predictive))
    figures: list[Figure] = []
    for one, priors, sensed in found:
        figures += _densities(one, priors, study)
        figures += sensitivity_figures(one, sensed)
    figures += _predictive_figure(study, predictive)
    return Section(
        key="priors",
        title="What do the priors say, and what do the data say?",
        intro=(
            "The posterior combines prior and data. This section shows how far the data moved the "
            "priors, what the model would have predicted before seeing them, and how much the "
            "answers would change if the priors counted a little more or less."
        ),
        checks=tuple(checks),
        tables=tuple(table for item in found for table in _tables(*item, study)),
        figures=tuple(figures),
        notes=tuple(note for one, priors in known for note in _notes(one, priors)),
    )


# --- prior and posterior ----------------------------------------------------------------


def _tables(
    posterior: OnePosterior,
    priors: Mapping[str, PriorDensity] | None,
    sensed: Sensitivity | None,
    study: Study,
) -> Iterator[Table]:
    yield from _priors_table(posterior, priors, study)
    if posterior.metadata.priors:
        yield from sensitivity_tables(posterior, sensed)


def _priors_table(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None, study: Study
) -> Iterator[Table]:
    saved = posterior.metadata.priors
    if not saved:
        return
    low, high = interval_columns(study.question.interval)
    pairs = {f"{p} median": (f"{p} {low}", f"{p} {high}") for p in ("prior", "posterior")}
    columns = ("parameter", "prior", *(name for at, ends in pairs.items() for name in (at, *ends)))
    tail = (1.0 - study.question.interval) / 2.0
    levels = [0.5, tail, 1.0 - tail]
    group = posterior.tree["posterior"]
    rows = []
    for name, record in saved.items():
        prior = None if priors is None else priors.get(name)
        there = np.full(3, math.nan) if prior is None else prior.dist.ppf(levels)
        after = np.full(3, math.nan)
        if name in group.data_vars:
            after = np.quantile(group[name].to_numpy(), levels)
        if posterior.certain:
            after[1:] = math.nan
        rows.append((name, prior_text(record), *map(float, there), *map(float, after)))
    kind = kind_of(posterior)
    yield Table(
        key=f"priors-{kind}",
        title=f"Priors and posteriors of {model_name(posterior)}",
        columns=columns,
        rows=tuple(rows),
        caption="A posterior interval as wide as the prior's means that the data say little.",
        formats=dict.fromkeys(columns[2:], "number"),
        intervals=pairs,
    )


def _densities(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None, study: Study
) -> Iterator[Figure]:
    if priors is None or posterior.certain:
        return
    group = posterior.tree["posterior"]
    panels = []
    for name, prior in priors.items():
        if name not in group.data_vars:
            continue
        values = np.asarray(group[name].to_numpy(), dtype=np.float64).reshape(-1)
        panels.append({**_panel(prior, values), "unit": unit_of_parameter(name, study)})
    narrow = [float(panel.pop("narrower")) for panel in panels]  # type: ignore[arg-type]
    said = ", ".join(
        f"{panel['name']} {number(one, 2)}" for panel, one in zip(panels, narrow, strict=True)
    )
    least = min(narrow)
    yield Figure(
        key=f"prior-posterior-{kind_of(posterior)}",
        kind="prior_posterior",
        title=f"{model_name(posterior)}: "
        + (
            f"the data narrow every prior at least {number(least, 2)}-fold"
            if least >= 2
            else "the data leave some priors almost as wide as they were"
        ),
        caption=(
            "Prior (line) and posterior (bars) of each parameter, most on logarithmic axes, each "
            "scaled to its own height. Where both look alike, the data say nothing."
        ),
        alt=f"Priors and posteriors; ratio of the widths of their 98 % intervals: {said}.",
        data={"parameters": panels},
    )


def _panel(prior: PriorDensity, values: FloatArray) -> dict[str, object]:
    """Densities per unit of ln(parameter), or of the parameter where it is a share."""
    # A share that runs to 0 is seen only in logarithms
    share = prior.dist.support()[1] <= 1.0 and float(np.median(values)) > 0.05
    wide = np.asarray(prior.dist.ppf(_TAILS), dtype=np.float64)
    low, high = np.quantile(values, _TAILS)
    ends = (min(wide[0], low), max(wide[1], high))
    grid = np.linspace(*ends, _GRID) if share else np.geomspace(*ends, _GRID)
    with np.errstate(over="ignore", under="ignore"):
        density = np.exp(prior.log_density(grid)) * (1.0 if share else grid)
    first, last = float(values.min()), float(values.max())
    edges = (np.linspace if share else np.geomspace)(first, last, _POSTERIOR_BINS + 1)
    counts = (
        np.histogram(values, edges)[0] / len(values) if first < last else np.ones(len(edges) - 1)
    )
    scale = (lambda v: v) if share else np.log
    narrower = float(scale(wide[1]) - scale(wide[0])) / max(float(scale(high) - scale(low)), 1e-300)
    return {
        "name": prior.name,
        "log": not share,
        "x": short(grid),
        "prior": short(density / density[np.isfinite(density)].max()),
        "edges": short(edges),
        "posterior": short(counts / counts.max()),
        "narrower": narrower,
    }


# --- prior predictive -------------------------------------------------------------------

Predictive = tuple[FloatArray, FloatArray, float]


def _prior_draws(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity], count: int, seed: int
) -> dict[str, FloatArray]:
    """Draw the model's own parameters from their priors, each shape (count,)."""
    rng = np.random.default_rng(seed)
    drawn = {
        name: np.asarray(prior.dist.rvs(count, random_state=rng), dtype=np.float64)
        for name, prior in priors.items()
    }
    joint = posterior.facts.joint if isinstance(posterior, PurchasePosterior) else None
    if joint is not None and set(joint.sampled) <= set(drawn):
        both = joint.make(*(drawn.pop(name) for name in joint.sampled))
        drawn |= dict(zip(joint.made, both, strict=True))
    tiny = np.finfo(np.float64).tiny
    return {name: np.clip(drawn[name], tiny, 1e300) for name in posterior.parameters}


def _prior_repeats(study: Study, priors: Mapping[str, PriorDensity] | None) -> Predictive | None:
    """Shares of customers by repeats under prior draws, their means, and the real mean."""
    if priors is None:
        return None
    drawn = _prior_draws(study.purchases, priors, _PRIOR_DRAWS, study.question.random_seed)
    columns = {name: one[:, None] for name, one in drawn.items()}
    of_average = (study.of_average(1)[0], columns, *study.ages(_PRIOR_AGES)[:2])
    shares, means = repeats_by_draw(*of_average)[0], mean_repeats(*of_average)
    return shares / of_average[-1].sum(), means, float(np.mean(study.columns.x))


def _predictive_check(found: Predictive | None) -> Check:
    name = "chance that the priors give repeats as far out as the real ones"
    limit = limits.MIN_PRIOR_TAIL
    if found is None:
        why_not = "The priors are not known."
        return limits.unavailable(name, why_not, limit, side="at least", unit="share")
    _, means, actual = found
    below, above = float(np.mean(means <= actual)), float(np.mean(means >= actual))
    return limits.judged_least(
        name,
        min(2.0 * min(below, above), 1.0),
        limit,
        f"The real {number(actual)} repeats a customer lie outside what the priors consider "
        "possible: check the unit of time and the priors.",
        fine=f"The priors hold the real {number(actual)} repeats per customer possible.",
        unit="share",
    )


def _predictive_figure(study: Study, found: Predictive | None) -> Iterator[Figure]:
    if found is None:
        return
    shares = found[0]
    tail = (1.0 - study.question.interval) / 2.0
    lower, upper = np.quantile(shares, [tail, 1.0 - tail], axis=0)
    actual = actual_repeats(study.histories) / study.histories.customers
    inside = int(((lower <= actual) & (actual <= upper)).sum())
    yield Figure(
        key="prior-predictive",
        kind="repeat_histogram",
        title=(
            f"Before seeing the data, the model considered {inside} of {len(actual)} bars possible"
        ),
        caption=(
            "Customers by number of repeat purchases: the real shares, and what the priors alone "
            f"expect, with the range of {percent(study.question.interval)} of the prior's draws. "
            "Vague priors have a wide range around the data."
        ),
        alt=(
            f"Real share of one-time buyers {percent(float(actual[0]))}; priors alone "
            f"{percent(float(lower[0]))} to {percent(float(upper[0]))}."
        ),
        data={
            "bins": bin_labels(),
            "actual": short(actual),
            "expected": short(shares.mean(axis=0)),
            "lower": short(lower),
            "upper": short(upper),
            "expected_label": "priors alone",
            "share": True,
        },
    )


def _notes(posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None) -> list[str]:
    if priors is not None:
        return []
    return [f"{model_name(posterior)}: {why_not(posterior, priors)}"]
