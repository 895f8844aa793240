"""Draws of one model as its sampler left them, and ArviZ's figures of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import unit_of
from clvmodels.posterior import GammaGammaPosterior, PurchasePosterior, StackPosterior
from clvmodels.schema import FloatArray

OnePosterior = PurchasePosterior | GammaGammaPosterior

_ENOUGH: Final = 100


def chains_of(posterior: OnePosterior) -> dict[str, FloatArray]:
    """Draws by parameter, shape (chains, draws)."""
    group = posterior.tree["posterior"]
    return {
        name: np.asarray(group[name].to_numpy(), dtype=np.float64) for name in posterior.parameters
    }


def all_chains_of(posterior: OnePosterior) -> dict[str, FloatArray]:
    """The same of everything that was sampled too, such as phi_dropout: what a fit is judged by."""
    if isinstance(posterior, StackPosterior):
        return {label: values[None] for label, values in posterior._draws_by_label().items()}
    others = {
        str(name): np.asarray(values.to_numpy(), dtype=np.float64)
        for name, values in posterior.tree["posterior"].data_vars.items()
        if values.dims == ("chain", "draw")
    }
    return chains_of(posterior) | others


def effect_chains_of(posterior: OnePosterior) -> dict[str, FloatArray]:
    """Draws of the effects of covariates, by name; empty where there are none."""
    group = posterior.tree["posterior"]
    if "effect" not in group.coords:
        return {}
    values = group["effects"].transpose("effect", "chain", "draw").to_numpy()
    return dict(zip(map(str, group["effect"].to_numpy()), values, strict=True))


def statistics_of(posterior: OnePosterior) -> dict[str, npt.NDArray[Any]]:
    """What the sampler reported, by name; empty where it did not."""
    if "sample_stats" not in posterior.tree.children:
        return {}
    group = posterior.tree["sample_stats"].to_dataset()
    return {str(name): values.to_numpy() for name, values in group.data_vars.items()}


def number_of_chains(draws: Mapping[str, FloatArray]) -> int:
    """How many chains there are."""
    return int(next(iter(draws.values())).shape[0])


def long_enough(draws: Mapping[str, FloatArray]) -> bool:
    """Whether chains are long enough to be judged."""
    return bool(next(iter(draws.values())).shape[1] >= _ENOUGH)


def mcse_share(values: FloatArray) -> float:
    """Monte Carlo error of the mean in posterior sds, as ArviZ has it; NaN of stuck chains."""
    from arviz_stats.base import array_stats

    if not np.ptp(values):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(array_stats.mcse(values, method="mean") / np.std(values, ddof=1))


def bfmi(energy: npt.NDArray[Any]) -> FloatArray:
    """Estimated Bayesian fraction of missing information of each chain, as ArviZ has it.

    NaN of chains of a single draw.
    """
    from arviz_stats.base import array_stats

    if energy.shape[1] < 2:
        return np.full(len(energy), math.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = array_stats.bfmi(np.asarray(energy, dtype=np.float64))
    return np.asarray(found, dtype=np.float64)


def kind_of(posterior: OnePosterior) -> str:
    """Which half of the model: "purchases" or "spend"."""
    return "purchases" if isinstance(posterior, PurchasePosterior) else "spend"


def unit_of_parameter(parameter: str, study: Study) -> str:
    """Unit of a parameter, "" of a pure number."""
    carries = [found for one in study.models if (found := one.facts.carries(parameter))]
    if not carries:
        return ""
    return unit_of(study.scale) if "time" in carries else study.question.currency or "money"
