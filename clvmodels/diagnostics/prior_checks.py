"""Where the prior speaks: prior against posterior, prior predictive, prior sensitivity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import xarray as xr

from clvmodels import limits
from clvmodels.diagnostics.chains import chains_of, kind_of, unit_of_parameter
from clvmodels.diagnostics.convergence import interval_columns
from clvmodels.diagnostics.densities import (
    OnePosterior,
    PriorDensity,
    log_prior_and_likelihood,
    prior_draws,
    prior_text,
    priors_of,
)
from clvmodels.diagnostics.record import Figure, Section, Table
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.diagnostics.words import listed, number, percent, short
from clvmodels.evaluation.repeats import actual_repeats, bin_labels, mean_repeats, repeats_by_draw
from clvmodels.formulas import gamma_gamma
from clvmodels.posterior import PurchasePosterior
from clvmodels.schema import FloatArray
from clvmodels.verdict import USES, Check

Sensitivity = Mapping[str, tuple[float, float]]

_PRIOR_DRAWS: Final = 400
_PRIOR_AGES: Final = 64
_GRID: Final = 120
_POSTERIOR_BINS: Final = 30
_TAILS: Final = (0.01, 0.99)
_NEW_PURCHASES: Final = "repeats of a new customer in a year"
_NEW_SPEND: Final = "mean spend per purchase"
_LEAST_DRAWS: Final = 100


def prior_section(study: Study) -> Section:
    """Prior and posterior of each parameter, prior predictive, power-scaling sensitivity."""
    known = [(one, priors_of(one)) for one in study.models]
    found = [(one, priors, sensitivity(one, priors, study)) for one, priors in known]
    checks = [_sensitivity_check(*item) for item in found]
    predictive = _prior_repeats(study, known[0][1])
    checks.append(_predictive_check(predictive))
    figures: list[Figure] = []
    for one, priors, sensed in found:
        figures += _densities(one, priors, study)
        figures += _sensitivity_figure(one, sensed)
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


# --- sensitivity ------------------------------------------------------------------------


def sensitivity(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None, study: Study
) -> Sensitivity | None:
    """Power-scaling sensitivity of each parameter to prior and likelihood, as ArviZ has it.

    Kallioinen, Paananen, Buerkner & Vehtari (2024), "Detecting and diagnosing prior and
    likelihood sensitivity with power-scaling", Statistics and Computing 34, 57.

    Returns
    -------
    mapping of str to (float, float), or None
        Sensitivity to the prior and to the likelihood, of each parameter and, last, of
        what they mean for a new customer; None where densities of the draws are not known.
    """
    few = posterior.certain or posterior.draws_total < _LEAST_DRAWS
    if priors is None or few or posterior.metadata.drawn:
        return None
    terms = log_prior_and_likelihood(posterior, priors)
    if terms is None or not all(np.isfinite(term).all() for term in terms):
        return None
    draws = chains_of(posterior) | new_customer(posterior, study)
    tree = _tree_of(draws, *terms)
    by_group = [_psense(tree, group) for group in ("prior", "likelihood")]
    return {name: (float(by_group[0][name]), float(by_group[1][name])) for name in draws}


def new_customer(posterior: OnePosterior, study: Study) -> dict[str, FloatArray]:
    """What the parameters mean for a new customer, in every draw, shape (chains, draws).

    Parameters on a ridge may follow the prior where this does not.
    """
    chains = chains_of(posterior)
    if isinstance(posterior, PurchasePosterior):
        year = study.scale.horizon("365D")
        return {_NEW_PURCHASES: posterior.formulas.expected_purchases(0, 0, 0, year, **chains)}
    mean = gamma_gamma.population_mean(**chains)
    return {_NEW_SPEND: mean} if np.isfinite(mean).all() else {}


def _tree_of(
    draws: Mapping[str, FloatArray], log_prior: FloatArray, log_likelihood: FloatArray
) -> xr.DataTree:
    dims = ("chain", "draw")
    chains, length = log_prior.shape
    coords = {"chain": np.arange(chains), "draw": np.arange(length)}
    group = xr.Dataset({name: (dims, values) for name, values in draws.items()}, coords=coords)
    return xr.DataTree.from_dict(
        {
            "posterior": group,
            "log_prior": xr.Dataset({"all": (dims, log_prior)}, coords=group.coords),
            "log_likelihood": xr.Dataset({"all": (dims, log_likelihood)}, coords=group.coords),
        }
    )


def _psense(tree: xr.DataTree, group: str) -> xr.Dataset:
    from arviz_stats import psense

    with np.errstate(divide="ignore", invalid="ignore"):
        found: xr.Dataset = psense(tree, group=group)
    return found


def _sensitivity_check(
    posterior: OnePosterior,
    priors: Mapping[str, PriorDensity] | None,
    sensed: Sensitivity | None,
) -> Check:
    name = f"{model_name(posterior)}: largest sensitivity to the prior"
    limit = limits.MAX_PRIOR_SENSITIVITY
    if sensed is None:
        return limits.unavailable(name, _why_not(posterior, priors), limit, side="at most")
    worst = max(sensed, key=lambda parameter: sensed[parameter][0])
    moved = [parameter for parameter, (prior, _) in sensed.items() if prior > limit]
    told = [pair[0] for what, pair in sensed.items() if what in (_NEW_PURCHASES, _NEW_SPEND)]
    harmless = bool(told) and max(told) <= limit
    return limits.judged(
        name,
        sensed[worst][0],
        limit,
        f"The prior influences {listed(moved)}"
        + (
            ", on a ridge of the posterior: predictions hardly move, but such a parameter should "
            "not be read on its own."
            if harmless
            else ": compare prior and posterior, and check that you mean that prior."
        ),
        bears_on=() if harmless else USES,
    )


def _why_not(posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None) -> str:
    if posterior.metadata.members:
        return "A stack has no priors of its own: look at those of its members."
    if not posterior.metadata.priors:
        return "The draws came without their priors, so their influence is not known."
    if posterior.metadata.drawn:
        return "It is not computed of a model with covariates: effects have priors too."
    if priors is None:
        return "A prior is of a kind whose density is not known here."
    return "There are too few draws with known densities to reweight."


# --- prior and posterior ----------------------------------------------------------------


def _tables(
    posterior: OnePosterior,
    priors: Mapping[str, PriorDensity] | None,
    sensed: Sensitivity | None,
    study: Study,
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
    if sensed is not None:
        yield Table(
            key=f"sensitivity-{kind}",
            title=f"Power-scaling sensitivity of {model_name(posterior)}",
            columns=("quantity", "to the prior", "to the data", "what it means"),
            rows=tuple((name, *pair, _meaning(*pair)) for name, pair in sensed.items()),
            caption=(
                "How much the posterior moves when the prior, or the likelihood, counts a little "
                f"more or less; above {limits.MAX_PRIOR_SENSITIVITY:g} it is noticeable."
            ),
            formats={"to the prior": "number", "to the data": "number"},
        )


def _meaning(prior: float, likelihood: float) -> str:
    limit = limits.MAX_PRIOR_SENSITIVITY
    if prior > limit and likelihood > limit:
        return "prior and data both matter; they may disagree"
    if prior > limit:
        return "the prior speaks, the data say little"
    return "the data speak"


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


def _sensitivity_figure(posterior: OnePosterior, sensed: Sensitivity | None) -> Iterator[Figure]:
    if sensed is None:
        return
    limit = limits.MAX_PRIOR_SENSITIVITY
    moved = [name for name, (prior, _) in sensed.items() if prior > limit]
    said = ", ".join(f"{n} {number(p, 2)} and {number(d, 2)}" for n, (p, d) in sensed.items())
    yield Figure(
        key=f"prior-sensitivity-{kind_of(posterior)}",
        kind="prior_sensitivity",
        title=f"{model_name(posterior)}: "
        + (f"the prior influences {listed(moved)}" if moved else "the data speak, not the prior"),
        caption=(
            "How far each parameter's posterior moves when prior or data count a little more. "
            "Look at bars of the prior beyond the dashed line."
        ),
        alt=f"Sensitivity to prior and data of each parameter: {said}; limit {limit:g}.",
        data={
            "parameters": list(sensed),
            "prior": short(np.array([pair[0] for pair in sensed.values()])),
            "likelihood": short(np.array([pair[1] for pair in sensed.values()])),
            "limit": limit,
        },
    )


# --- prior predictive -------------------------------------------------------------------

Predictive = tuple[FloatArray, FloatArray, float]


def _prior_repeats(study: Study, priors: Mapping[str, PriorDensity] | None) -> Predictive | None:
    """Shares of customers by repeats under prior draws, their means, and the real mean."""
    if priors is None:
        return None
    drawn = prior_draws(study.purchases, priors, _PRIOR_DRAWS, study.question.random_seed)
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
    return [f"{model_name(posterior)}: {_why_not(posterior, priors)}"]
