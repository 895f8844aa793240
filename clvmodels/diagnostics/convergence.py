"""Did the fit find the posterior: chains, importance weights, and the shape of the draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.diagnostics import limits
from clvmodels.diagnostics.record import Figure, Format, Section, Table
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.diagnostics.words import number, percent, short, unit_of
from clvmodels.posterior import GammaGammaPosterior, PurchasePosterior
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check, laplace_verdict, nuts_verdict

OnePosterior = PurchasePosterior | GammaGammaPosterior

# Chains shorter than that cannot be judged
_ENOUGH: Final = 100
_TRACE_POINTS: Final = 200
_PAIR_POINTS: Final = 500
_RANK_BINS: Final = 20
_ENERGY_BINS: Final = 30
_RIDGES: Final = {
    "purchases": (("r", "alpha"), ("a", "b")),
    "spend": (("p", "q"), ("q", "v")),
}


def convergence_section(study: Study) -> Section:
    """R-hat, effective sample sizes, errors, divergences, energy; k-hat of Laplace fits."""
    checks = [check for model in study.models for check in convergence_checks(model)]
    figures = [figure for model in study.models for figure in _figures(model, study)]
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
    """Judge the draws of one model by the method that made them."""
    method, name = posterior.metadata.method, model_name(posterior)
    draws, stats = chains_of(posterior), statistics_of(posterior)
    if method == "nuts" or (method == "given" and _chains(draws) > 1 and _like_chains(draws)):
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


def chains_of(posterior: OnePosterior) -> dict[str, FloatArray]:
    """Draws by parameter, shape (chains, draws)."""
    group = posterior.tree["posterior"]
    return {
        name: np.asarray(group[name].to_numpy(), dtype=np.float64) for name in posterior.parameters
    }


def statistics_of(posterior: OnePosterior) -> dict[str, npt.NDArray[Any]]:
    """What the sampler reported, by name; empty where it did not."""
    if "sample_stats" not in posterior.tree.children:
        return {}
    group = posterior.tree["sample_stats"].to_dataset()
    return {str(name): values.to_numpy() for name, values in group.data_vars.items()}


def _chains(draws: Mapping[str, FloatArray]) -> int:
    return int(next(iter(draws.values())).shape[0])


def _like_chains(draws: Mapping[str, FloatArray]) -> bool:
    return bool(next(iter(draws.values())).shape[1] >= _ENOUGH)


def _said(check: Check) -> str:
    """One sentence that goes with the status."""
    if check.status == "pass":
        return _FINE.get(check.name, check.advice)
    return check.advice


_FINE: Final = {
    "largest R-hat": "The chains agree with each other.",
    "smallest bulk ESS": "There are enough independent draws for means.",
    "smallest tail ESS": "There are enough independent draws for intervals.",
    "share of divergent transitions": "The sampler could follow the posterior everywhere.",
    "Pareto k-hat": "The Gaussian approximation, weighted, covers the posterior.",
    "importance ESS": "Enough of the weighted draws count.",
    "distance from the mode, in posterior sd": "The optimiser arrived at the mode.",
}


def _error_check(draws: Mapping[str, FloatArray]) -> Check:
    worst = _worst([mcse_share(values) for values in draws.values()])
    return limits.judged(
        "largest Monte Carlo error of a mean, in posterior sd",
        worst,
        limits.MAX_MCSE,
        "Means are blurred by too few draws: raise draws.",
        fine="Sampling more would not change the means noticeably.",
    )


def _energy_check(stats: Mapping[str, npt.NDArray[Any]]) -> Check:
    name = "smallest energy BFMI of a chain"
    if "energy" not in stats:
        return limits.unavailable(name, "The sampler did not report energies.", limits.MIN_BFMI)
    return limits.judged_least(
        name,
        float(np.min(bfmi(stats["energy"]))),
        limits.MIN_BFMI,
        "NUTS moves slowly through the posterior's tails: raise draws, or use stronger priors.",
        fine="NUTS reaches the tails of the posterior.",
    )


def _depth_check(stats: Mapping[str, npt.NDArray[Any]]) -> Check:
    name = "share of transitions at the greatest tree depth"
    if "reached_max_treedepth" not in stats:
        return limits.unavailable(
            name, "The sampler did not report tree depths.", limits.MAX_TREE_DEPTH_SHARE
        )
    return limits.judged(
        name,
        float(np.mean(stats["reached_max_treedepth"])),
        limits.MAX_TREE_DEPTH_SHARE,
        "NUTS was cut short on its way: raise tune, or use stronger priors.",
        fine="NUTS was not cut short on its way.",
    )


def mcse_share(values: FloatArray) -> float:
    """Monte Carlo error of the mean in posterior sds, as ArviZ has it; NaN of stuck chains."""
    from arviz_stats.base import array_stats

    if not np.ptp(values):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(array_stats.mcse(values, method="mean") / np.std(values, ddof=1))


def bfmi(energy: npt.NDArray[Any]) -> FloatArray:
    """Estimated Bayesian fraction of missing information of each chain, as ArviZ has it."""
    from arviz_stats.base import array_stats

    with np.errstate(divide="ignore", invalid="ignore"):
        found = array_stats.bfmi(np.asarray(energy, dtype=np.float64))
    return np.asarray(found, dtype=np.float64)


def _worst(values: list[float]) -> float:
    return math.nan if any(math.isnan(value) for value in values) else max(values)


# --- tables -----------------------------------------------------------------------------


def _table(posterior: OnePosterior, interval: float) -> Table:
    chains = posterior.metadata.method in ("nuts", "given") and not posterior.certain
    columns = ["mode"] if posterior.certain else ["mean", "sd", *interval_columns(interval)]
    if chains:
        columns += ["R-hat", "bulk ESS", "tail ESS", "MCSE of the mean"]
    formats: dict[str, Format] = dict.fromkeys(columns, "figures")
    formats |= dict.fromkeys(("bulk ESS", "tail ESS"), "integer")
    return Table(
        key=f"parameters-{kind_of(posterior)}",
        title=f"Parameters of {model_name(posterior)}",
        columns=("parameter", *columns),
        rows=tuple(
            (name, *_row(values, interval, certain=posterior.certain, chains=chains))
            for name, values in chains_of(posterior).items()
        ),
        caption=_METHOD_CAPTION.get(posterior.metadata.method, ""),
        formats={name: formats[name] for name in columns},
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
    "MCSE is by how much a mean or sd would change if the sampler ran again.",
    "laplace": "Draws were resampled by their importance weights: the effective sample size of the "
    "weights is what R-hat and ESS are for chains.",
    "map": "The mode alone: it carries no uncertainty, so there are no intervals.",
    "given": "The draws were given. R-hat and ESS hold if they are Markov chains.",
}


def kind_of(posterior: OnePosterior) -> str:
    """Which half of the model: "purchases" or "spend"."""
    return "purchases" if isinstance(posterior, PurchasePosterior) else "spend"


def _notes(posterior: OnePosterior) -> list[str]:
    name = model_name(posterior)
    found = [f"{name}: {note}" for note in posterior.metadata.notes]
    if posterior.metadata.method == "map":
        found.append(f"{name}: a mode is one draw, so there are no traces, ranks or ridges to see.")
    elif posterior.certain:
        found.append(f"{name}: there is one draw only, so no uncertainty is shown.")
    elif posterior.metadata.method == "laplace":
        found.append(
            f"{name}: draws of the Laplace route are independent, so traces and ranks would show "
            "nothing; k-hat says whether they may be used."
        )
    return found


# --- figures ----------------------------------------------------------------------------


def _figures(posterior: OnePosterior, study: Study) -> Iterator[Figure]:
    if posterior.certain:
        return
    if posterior.metadata.method in ("nuts", "given"):
        draws = chains_of(posterior)
        if _like_chains(draws):
            yield _trace(posterior, draws, study)
        if _like_chains(draws) and _chains(draws) > 1:
            yield _ranks(posterior, draws)
    stats = statistics_of(posterior)
    yield _pairs(posterior, stats, study)
    if "energy" in stats and stats["energy"].shape[1] >= _ENOUGH:
        yield _energy(posterior, stats)


def _trace(posterior: OnePosterior, draws: Mapping[str, FloatArray], study: Study) -> Figure:
    name, length = model_name(posterior), next(iter(draws.values())).shape[1]
    shown = np.unique(np.linspace(0, length - 1, min(_TRACE_POINTS, length)).astype(int))
    worst = nuts_verdict(draws, None).checks[0]
    rhat, agree = worst.value, worst.status == "pass"
    return Figure(
        key=f"trace-{kind_of(posterior)}",
        kind="trace",
        title=(
            f"{name}: the chains move through the same values"
            if agree
            else f"{name}: the chains do not agree (largest R-hat {number(rhat)})"
        ),
        caption=(
            "Every line is a chain, every panel a parameter. Good chains look like the same noise: "
            "no trends, no steps, and no chain apart from the others."
        ),
        alt=(
            f"Traces of {', '.join(draws)} over {length:,} draws of "
            f"{_chains(draws)} chains; largest R-hat {number(rhat, 4)}."
        ),
        data={
            "draw": shown.tolist(),
            "parameters": [
                {
                    "name": parameter,
                    "unit": unit_of_parameter(parameter, study),
                    "chains": [short(chain[shown], 5) for chain in values],
                }
                for parameter, values in draws.items()
            ],
        },
    )


def _ranks(posterior: OnePosterior, draws: Mapping[str, FloatArray]) -> Figure:
    name = model_name(posterior)
    chains, length = next(iter(draws.values())).shape
    panels = [
        {"name": parameter, "chains": rank_counts(values).tolist()}
        for parameter, values in draws.items()
    ]
    even = length / _RANK_BINS
    spread = max(abs(np.asarray(panel["chains"]) / even - 1.0).max() for panel in panels)
    return Figure(
        key=f"ranks-{kind_of(posterior)}",
        kind="ranks",
        title=f"{name}: every chain has its share of small and large values"
        if nuts_verdict(draws, None).checks[0].status == "pass"
        else f"{name}: some chains have too many small or large values",
        caption=(
            "Draws of all chains are ranked together, and each chain's ranks are counted in "
            f"{_RANK_BINS} bins. Where chains agree, all bars stand near the dashed line."
        ),
        alt=(
            f"Rank histograms of {', '.join(draws)} for {chains} chains; the bar farthest from "
            f"the even count of {number(even)} is off by {percent(float(spread))}."
        ),
        data={"parameters": panels, "even": even},
    )


def rank_counts(values: FloatArray) -> npt.NDArray[np.int64]:
    """Counts of each chain's ranks among all draws, by bin, shape (chains, bins)."""
    from arviz_stats.base import array_stats

    chains, length = values.shape
    ranks = np.asarray(array_stats.compute_ranks(values.reshape(-1), relative=True))
    place = np.clip((ranks * _RANK_BINS).astype(int), 0, _RANK_BINS - 1).reshape(chains, length)
    return np.stack([np.bincount(row, minlength=_RANK_BINS) for row in place])


def _pairs(posterior: OnePosterior, stats: Mapping[str, npt.NDArray[Any]], study: Study) -> Figure:
    name, kind = model_name(posterior), kind_of(posterior)
    total = posterior.draws_total
    shown = np.unique(np.linspace(0, total - 1, min(_PAIR_POINTS, total)).astype(int))
    diverging = np.asarray(stats.get("diverging", np.zeros(total)), dtype=bool).reshape(-1)
    if diverging.any():  # rare, and what one looks for
        rare = np.flatnonzero(diverging)
        rare = rare[np.linspace(0, len(rare) - 1, min(len(rare), 100)).astype(int)]
        shown = np.unique(np.concatenate([shown, rare]))
    draws = posterior.draws()
    pairs = _RIDGES[kind]
    correlation = [_log_correlation(draws[x], draws[y]) for x, y in pairs]
    words = " and ".join(
        f"{x} and {y} {number(c, 2)}" for (x, y), c in zip(pairs, correlation, strict=True)
    )
    return Figure(
        key=f"ridges-{kind}",
        kind="ridges",
        title=f"{name}: parameters that trade off against each other lie on ridges",
        caption=(
            "Each point is a draw, on logarithmic axes; divergent transitions are crosses. A "
            "narrow ridge means that the data know a ratio better than its two parts: predictions "
            "are fine, single parameters are not to be read alone. "
            f"Correlations of the logarithms: {words}."
        ),
        alt=f"Scatter plots of draws; correlations of the logarithms: {words}.",
        data={
            "pairs": [
                {
                    "x_name": x,
                    "y_name": y,
                    "x_unit": unit_of_parameter(x, study),
                    "y_unit": unit_of_parameter(y, study),
                    "x": short(draws[x][shown], 5),
                    "y": short(draws[y][shown], 5),
                    "diverging": diverging[shown].tolist(),
                }
                for x, y in pairs
            ]
        },
    )


def _log_correlation(x: FloatArray, y: FloatArray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(np.log(x), np.log(y))[0, 1])


def _energy(posterior: OnePosterior, stats: Mapping[str, npt.NDArray[Any]]) -> Figure:
    energy = np.asarray(stats["energy"], dtype=np.float64)
    centred, steps = energy - energy.mean(), np.diff(energy, axis=1)
    reach = float(np.abs(np.concatenate([centred.ravel(), steps.ravel()])).max()) or 1.0
    edges = np.linspace(-reach, reach, _ENERGY_BINS + 1)
    least, name = float(np.min(bfmi(energy))), model_name(posterior)
    return Figure(
        key=f"energy-{kind_of(posterior)}",
        kind="energy",
        title=f"{name}: one step of the sampler "
        + ("covers" if least >= limits.MIN_BFMI else "does not cover")
        + f" the energies of the posterior (BFMI {number(least, 2)})",
        caption=(
            "Energies of all draws, about their mean, beside the change from one draw to the "
            "next. If the change is much narrower, the sampler needs many steps to reach the tails."
        ),
        alt=f"Histograms of energy and of its change; least BFMI of a chain {number(least, 3)}.",
        data={
            "edges": short(edges),
            "energy": short(_density(centred, edges)),
            "transition": short(_density(steps, edges)),
        },
    )


def _density(values: FloatArray, edges: FloatArray) -> FloatArray:
    counts = np.histogram(values, edges)[0].astype(np.float64)
    return np.asarray(counts / (counts.sum() * np.diff(edges)))


def unit_of_parameter(parameter: str, study: Study) -> str:
    """Unit of a parameter, "" of a pure number."""
    if parameter == "alpha":
        return unit_of(study.scale)
    if parameter == "v":
        return study.question.currency or "money"
    return ""
