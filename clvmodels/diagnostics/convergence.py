"""Did the fit find the posterior: chains, importance weights, and the shape of the draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels import limits
from clvmodels.diagnostics.chains import (
    OnePosterior,
    all_chains_of,
    bfmi,
    effect_chains_of,
    kind_of,
    long_enough,
    mcse_share,
    number_of_chains,
    statistics_of,
)
from clvmodels.diagnostics.draw_figures import figures_of_draws
from clvmodels.diagnostics.record import Format, Section, Table
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.posterior import StackPosterior
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check, laplace_verdict, nuts_verdict


def convergence_section(study: Study) -> Section:
    """R-hat, effective sample sizes, errors, divergences, energy; k-hat of Laplace fits."""
    checks = [check for model in study.models for check in convergence_checks(model)]
    figures = [figure for model in study.models for figure in figures_of_draws(model, study)]
    return Section(
        key="convergence",
        title="Did the fit converge?",
        intro=(
            "Everything below comes from draws of the parameters. These checks ask whether the "
            "draws are those of the posterior, and whether there are enough of them."
        ),
        checks=tuple(checks),
        tables=tuple(_table(model, study.question.interval) for model in study.models),
        figures=tuple(figures),
        notes=tuple(note for model in study.models for note in _notes(model)),
    )


def convergence_checks(posterior: OnePosterior) -> list[Check]:
    """Judge the draws of one model by the method that made them; of a stack each member's."""
    if isinstance(posterior, StackPosterior):
        return [
            replace(check, name=f"{name}: {check.name}", advice=_said(check))
            for name, one in posterior.members.items()
            for check in one.verdict.checks
        ]
    method, name = posterior.metadata.method, model_name(posterior)
    draws = all_chains_of(posterior) | effect_chains_of(posterior)
    stats = statistics_of(posterior)
    if method == "nuts" or (
        method == "given" and number_of_chains(draws) > 1 and long_enough(draws)
    ):
        found = list(nuts_verdict(draws, stats.get("diverging")).checks)
        found.append(_error_check(draws))
        if method == "nuts":
            found += [_energy_check(stats), _depth_check(stats)]
    elif method == "laplace" and {"khat", "importance_ess"} <= set(stats):
        figures = (float(stats["khat"]), float(stats["importance_ess"]))
        found = list(laplace_verdict(*figures).checks)
    else:  # a mode, or draws of which nothing is known
        found = list(posterior.verdict.checks)
    return [replace(check, name=f"{name}: {check.name}", advice=_said(check)) for check in found]


def _said(check: Check) -> str:
    """What to do; there is nothing to be done where it passed."""
    return "" if check.status == "pass" else check.advice


def _error_check(draws: Mapping[str, FloatArray]) -> Check:
    worst = _worst([mcse_share(values) for values in draws.values()])
    return limits.judged(
        "largest Monte Carlo error of a mean, in posterior sd",
        worst,
        limits.MAX_MCSE,
        "Means are imprecise for lack of draws: raise draws.",
    )


def _energy_check(stats: Mapping[str, npt.NDArray[Any]]) -> Check:
    name = "smallest energy BFMI of a chain"
    if "energy" not in stats:
        why_not = "The sampler did not report energies."
        return limits.unavailable(name, why_not, limits.MIN_BFMI, side="at least")
    return limits.judged_least(
        name,
        float(np.min(bfmi(stats["energy"]))),
        limits.MIN_BFMI,
        "NUTS moves slowly through the posterior's tails: raise draws, or use stronger priors.",
    )


def _depth_check(stats: Mapping[str, npt.NDArray[Any]]) -> Check:
    name = "share of transitions at the greatest tree depth"
    if "reached_max_treedepth" not in stats:
        why_not, most = "The sampler did not report tree depths.", limits.MAX_TREE_DEPTH_SHARE
        return limits.unavailable(name, why_not, most, side="at most", unit="share")
    return limits.judged(
        name,
        float(np.mean(stats["reached_max_treedepth"])),
        limits.MAX_TREE_DEPTH_SHARE,
        "NUTS was cut short: raise tune, or use stronger priors.",
        unit="share",
    )


def _worst(values: list[float]) -> float:
    return math.nan if any(math.isnan(value) for value in values) else max(values)


# --- tables -----------------------------------------------------------------------------


def _table(posterior: OnePosterior, interval: float) -> Table:
    chains = posterior.metadata.method in ("nuts", "given") and not posterior.certain
    columns = ["mode"] if posterior.certain else ["mean", "sd", *interval_columns(interval)]
    if chains:
        columns += ["R-hat", "bulk ESS", "tail ESS", "MCSE of the mean"]
    formats: dict[str, Format] = dict.fromkeys(columns, "number")
    formats |= dict.fromkeys(("bulk ESS", "tail ESS"), "integer")
    return Table(
        key=f"parameters-{kind_of(posterior)}",
        title=f"Parameters of {model_name(posterior)}",
        columns=("parameter", *columns),
        rows=tuple(
            (name, *_row(values, interval, certain=posterior.certain, chains=chains))
            for name, values in all_chains_of(posterior).items()
        ),
        caption=_METHOD_CAPTION.get(posterior.metadata.method, ""),
        formats={name: formats[name] for name in columns},
        intervals={} if posterior.certain else {"mean": interval_columns(interval)},
    )


def _row(values: FloatArray, interval: float, *, certain: bool, chains: bool) -> list[float]:
    if certain:
        return [float(values.mean())]
    sd = float(values.std(ddof=1))
    tail = (1.0 - interval) / 2.0
    row = [float(values.mean()), sd, *np.quantile(values, [tail, 1.0 - tail]).tolist()]
    if chains:
        row += [check.value or math.nan for check in nuts_verdict({"": values}, None).checks[:3]]
        row.append(mcse_share(values) * sd)
    return row


def interval_columns(interval: float) -> tuple[str, str]:
    """Headings of the ends of an equal-tailed interval."""
    level = f"{100 * interval:.3g} % interval"
    return f"{level}, lower", f"{level}, upper"


_METHOD_CAPTION: Final = {
    "nuts": "R-hat near 1 and large effective sample sizes (ESS) mean that the chains agree; the "
    "MCSE says by how much a mean or sd would change if the sampler ran again.",
    "laplace": "Draws were resampled by their importance weights: the effective sample size of the "
    "weights is what R-hat and ESS are for chains.",
    "map": "The mode alone: it carries no uncertainty, so there are no intervals.",
    "stack": "Draws of every member, as many as its weight says; each was fitted by itself.",
    "given": "The draws were given. R-hat and ESS are valid if they are Markov chains.",
}


def _notes(posterior: OnePosterior) -> list[str]:
    name = model_name(posterior)
    known = posterior.metadata
    found = [f"{name}: {note}" for note in (*known.chosen, *known.notes)]
    if posterior.metadata.method == "map":
        found.append(f"{name}: a mode is one draw, so there are no traces, ranks or ridges to see.")
    elif posterior.certain:
        found.append(f"{name}: there is only one draw, so no uncertainty is shown.")
    elif posterior.metadata.method == "laplace":
        found.append(
            f"{name}: draws of the Laplace approximation are independent, so traces and ranks "
            "would show nothing; k-hat says whether they can be used."
        )
    return found
