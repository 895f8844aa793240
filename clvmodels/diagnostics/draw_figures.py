"""Figures of draws: traces, ranks, ridges and energies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels import limits
from clvmodels.diagnostics.chains import (
    OnePosterior,
    bfmi,
    chains_of,
    kind_of,
    long_enough,
    number_of_chains,
    statistics_of,
    unit_of_parameter,
)
from clvmodels.diagnostics.record import Figure
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.diagnostics.words import number, percent, short
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check, nuts_verdict

_TRACE_POINTS: Final = 150
_PAIR_POINTS: Final = 240  # so that two pairs are small enough for SVG
_RANK_BINS: Final = 20
_ENERGY_BINS: Final = 30


def figures_of_draws(posterior: OnePosterior, study: Study) -> Iterator[Figure]:
    """Figures of one model, as far as its method has something to show."""
    if posterior.certain:
        return
    if posterior.metadata.method in ("nuts", "given"):
        draws = chains_of(posterior)
        if long_enough(draws):
            yield _trace(posterior, draws, study)
        if long_enough(draws) and number_of_chains(draws) > 1:
            yield _ranks(posterior, draws)
    stats = statistics_of(posterior)
    if posterior.facts.ridges:
        yield _pairs(posterior, stats, study)
    if "energy" in stats and stats["energy"].shape[1] >= 100:
        yield _energy(posterior, stats)


def _trace(posterior: OnePosterior, draws: Mapping[str, FloatArray], study: Study) -> Figure:
    name, length = model_name(posterior), next(iter(draws.values())).shape[1]
    shown = np.unique(np.linspace(0, length - 1, min(_TRACE_POINTS, length)).astype(int))
    worst = nuts_verdict(draws, None).checks[0]
    rhat = worst.value
    return Figure(
        key=f"trace-{kind_of(posterior)}",
        kind="trace",
        title=f"{name}: {_agreement(worst)}",
        caption=(
            "Every line is a chain, every panel a parameter. Good chains all look like the same "
            "noise: no trends, no steps, and none separate from the others."
        ),
        alt=(
            f"Traces of {', '.join(draws)} over {length:,} draws of "
            f"{number_of_chains(draws)} chains; largest R-hat {number(rhat, 4)}."
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


def _agreement(rhat: Check) -> str:
    if rhat.status == "pass":
        return "the chains move through the same values"
    if rhat.value is None or not math.isfinite(rhat.value):
        return "too few draws to tell whether the chains agree"
    return f"the chains do not agree (largest R-hat {number(rhat.value)})"


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
            f"{_RANK_BINS} bins. Where chains agree, all bars are near the dashed line."
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
    pairs = posterior.facts.ridges
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
            "narrow ridge means that the data determine a ratio better than its two parts: "
            "predictions are fine, but single parameters should not be read on their own. "
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
            "Energies of all draws, about their mean, compared with the change from one draw to "
            "the next. If the change is much narrower, the sampler needs many steps to reach the "
            "tails."
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
