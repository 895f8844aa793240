"""Verdicts on fits that were made elsewhere, by the rules of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import multivariate_normal

from clvmodels.fit.density import compile_density, unconstrain
from clvmodels.fit.mode import MODE_TOLERANCE, distance_to_mode
from clvmodels.schema import FloatArray
from clvmodels.threads import one_at_a_time
from clvmodels.verdict import (
    MAX_KHAT,
    MIN_IMPORTANCE_ESS,
    Check,
    Verdict,
    at_least,
    at_most,
    given_verdict,
    laplace_verdict,
    map_verdict,
    nuts_verdict,
)

if TYPE_CHECKING:
    import pymc as pm

# Draws of a variational fit that are weighed.
_WEIGHED: Final = 1000


@one_at_a_time("pytensor")
def judge(
    draws: Mapping[str, FloatArray],
    stats: Mapping[str, npt.NDArray[Any]],
    model: pm.Model | None,
    written: str | None = None,
) -> Verdict:
    """Tell how draws were made, by their shape and statistics, and whether they may be used.

    Parameters
    ----------
    draws : mapping of str to ndarray, shape (chains, draws)
        By parameter, all of the model's free variables among them.
    stats : mapping of str to ndarray
        What the sampler reported, by ArviZ's names.
    model : pm.Model or None
        What was fitted, if it is there: modes and variational fits are held against it.
    written : str, optional
        The method that ``to_pymc_marketing`` wrote down.

    Returns
    -------
    Verdict
        Of method "map" for a single draw; "laplace" where there is a k-hat; "nuts" where
        divergences were reported; else "given".
    """
    chains, count = next(iter(draws.values())).shape
    if written == "given" and chains == 1 and not stats:
        return given_verdict()  # as before they went there
    if chains * count == 1:
        return _mode(draws, model)
    if "khat" in stats:
        return laplace_verdict(float(stats["khat"]), float(stats["importance_ess"]))
    if "diverging" in stats:
        return nuts_verdict(draws, stats["diverging"])
    if chains > 1 or stats:  # a sampler that knows no divergences, such as DEMetropolisZ
        return Verdict("given", nuts_verdict(draws, None).checks[:3])
    return _variational(draws, model)


def _mode(draws: Mapping[str, FloatArray], model: pm.Model | None) -> Verdict:
    if model is None:
        known = map_verdict(0.0, MODE_TOLERANCE)
        return Verdict("map", (_unavailable(known.checks[0].name),))
    frozen = _frozen(model)
    (theta,) = unconstrain(frozen, _rows(draws))
    distance = distance_to_mode(compile_density(frozen, jacobian=False, often=False), theta)
    (near,) = map_verdict(distance, MODE_TOLERANCE).checks
    advice = "The optimiser stopped early: fit with method='mcmc'."
    return Verdict("map", (replace(near, advice=advice),))


def _variational(draws: Mapping[str, FloatArray], model: pm.Model | None) -> Verdict:
    """Weigh the Gaussian that the draws come from against the posterior, as for Laplace."""
    if model is None:
        return Verdict("given", (_unavailable("Pareto k-hat"),))
    frozen = _frozen(model)
    khat, ess = _importance(unconstrain(frozen, _rows(draws)), frozen)
    advice = (
        "The draws, apparently of a variational fit, are not close to the posterior: fit with "
        "method='mcmc'."
    )
    return Verdict(
        "given",
        (
            at_most("Pareto k-hat", khat, MAX_KHAT, advice),
            at_least("importance ESS", ess, MIN_IMPORTANCE_ESS, advice),
        ),
    )


def _importance(theta: FloatArray, model: pm.Model) -> tuple[float, float]:
    from arviz_stats.base import array_stats

    theta = theta[:: max(len(theta) // _WEIGHED, 1)]
    evaluate = compile_density(model, often=False).value_function()
    target = np.array([evaluate(np.ascontiguousarray(point)) for point in theta])
    proposal = multivariate_normal(theta.mean(axis=0), np.cov(theta.T)).logpdf(theta)
    log_ratio = np.where(np.isnan(target), -np.inf, target) - proposal
    smoothed, khat = array_stats.psislw(-np.maximum(log_ratio - log_ratio.max(), -700.0))
    weights = np.exp(smoothed - np.max(smoothed))
    return float(khat), float(weights.sum() ** 2 / np.sum(weights**2))


def _frozen(model: pm.Model) -> pm.Model:
    """Copy the model with its data and lengths as constants."""
    from pymc.model.transform.optimization import freeze_dims_and_data

    return freeze_dims_and_data(model)


def _rows(draws: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    return {name: values.reshape(-1) for name, values in draws.items()}


def _unavailable(name: str) -> Check:
    return Check(
        name,
        None,
        None,
        "unavailable",
        "The model has lost its data, so its fit cannot be checked: fit it again.",
    )
