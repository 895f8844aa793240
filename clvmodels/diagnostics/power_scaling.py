"""Power-scaling: how much a posterior moves when prior or data count a little more or less."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import xarray as xr

from clvmodels import limits
from clvmodels.diagnostics.chains import chains_of, effect_chains_of, kind_of, statistics_of
from clvmodels.diagnostics.densities import OnePosterior, PriorDensity, prior_of
from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.study import Study, model_name
from clvmodels.diagnostics.words import listed, number, short
from clvmodels.formulas import gamma_gamma
from clvmodels.posterior import PurchasePosterior
from clvmodels.purchases.design import EFFECTS_PRIOR, GROUPS_DENSITY
from clvmodels.schema import FloatArray
from clvmodels.verdict import USES, Check

Sensitivity = Mapping[str, tuple[float, float]]

_NEW_PURCHASES: Final = "repeats of a new customer in a year"
_NEW_SPEND: Final = "mean spend per purchase"
_LEAST_DRAWS: Final = 100
_MOST_EFFECTS: Final = 12  # that are shown: those that the prior moves most


def priors_of(posterior: OnePosterior) -> dict[str, PriorDensity] | None:
    """Priors of a posterior by parameter; None unless all of them are known."""
    saved = posterior.metadata.priors
    if not saved:
        return None
    found = {name: prior_of(name, record) for name, record in saved.items()}
    known = {name: prior for name, prior in found.items() if prior is not None}
    return known if len(known) == len(found) else None


def log_prior_and_likelihood(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity]
) -> tuple[FloatArray, FloatArray] | None:
    """Log prior and log-likelihood of every draw, each up to a constant.

    The sampler's log density is that of prior, likelihood and the Jacobian of the
    transform together, so that the likelihood is what remains: no pass over the base. Effects
    of covariates have priors too, and so have the spreads of pooled groups; what groups are
    given their spread is part of the model, and counts neither as prior nor as data, as brms
    and priorsense have it. Where groups were integrated out, so is the likelihood.

    Returns
    -------
    (ndarray, ndarray) or None
        Shapes (chains, draws); None where the sampler's density or a parameter was not
        kept.
    """
    if "sample_stats" not in posterior.tree.children:
        return None
    group, statistics = posterior.tree["posterior"], posterior.tree["sample_stats"]
    if "lp" not in statistics.data_vars or not set(priors) <= set(map(str, group.data_vars)):
        return None
    log_prior = log_jacobian = np.zeros(())
    for name, prior in priors.items():
        values = np.asarray(group[name].to_numpy(), dtype=np.float64)
        log_prior = log_prior + prior.log_density(values)
        log_jacobian = log_jacobian + prior.log_jacobian(values)
    total = np.asarray(statistics["lp"].to_numpy(), dtype=np.float64)
    if posterior.metadata.drawn:
        if EFFECTS_PRIOR not in statistics.data_vars:
            return None
        log_prior = log_prior + statistics[EFFECTS_PRIOR].to_numpy()
        total = total - statistics[GROUPS_DENSITY].to_numpy()
    return np.asarray(log_prior), np.asarray(total - log_prior - log_jacobian)


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
    if priors is None or posterior.certain or posterior.draws_total < _LEAST_DRAWS:
        return None
    terms = log_prior_and_likelihood(posterior, priors)
    if terms is None or not all(np.isfinite(term).all() for term in terms):
        return None
    effects = _effects_with_priors(posterior)
    draws = chains_of(posterior) | effects | new_customer(posterior, study)
    tree = _tree_of(draws, *terms)
    prior, data = (_psense(tree, group) for group in ("prior", "likelihood"))
    shown = heapq.nlargest(_MOST_EFFECTS, effects, key=lambda name: float(prior[name]))
    return {
        name: (float(prior[name]), float(data[name]))
        for name in draws
        if name not in effects or name in shown
    }


def _effects_with_priors(posterior: OnePosterior) -> dict[str, FloatArray]:
    """Draws of what has a prior of its own: spreads of groups, levels, and a number's last bin."""
    design, chains = posterior.metadata.design, effect_chains_of(posterior)
    names: list[str] = []
    for one in design.effects if design else ():
        levels = one.names[-2:-1] if one.kind == "number" else one.names[:-1]
        names += [one.spread] if one.learnt else levels
    return {name: chains[name] for name in names}


def new_customer(posterior: OnePosterior, study: Study) -> dict[str, FloatArray]:
    """What the parameters mean for a new customer, in every draw, shape (chains, draws).

    Parameters on a ridge may follow the prior where this does not.
    """
    chains = chains_of(posterior) | effect_chains_of(posterior)
    if isinstance(posterior, PurchasePosterior):
        year = study.scale.horizon("365D")
        return {_NEW_PURCHASES: posterior.formulas.expected_purchases(0, 0, 0, year, **chains)}
    mean = gamma_gamma.population_mean(**chains_of(posterior))
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


def sensitivity_check(
    posterior: OnePosterior,
    priors: Mapping[str, PriorDensity] | None,
    sensed: Sensitivity | None,
) -> Check:
    """Whether the prior moves what is asked for, by the quantity that it moves most."""
    name = f"{model_name(posterior)}: largest sensitivity to the prior"
    limit = limits.MAX_PRIOR_SENSITIVITY
    if sensed is None:
        return limits.unavailable(name, why_not(posterior, priors), limit, side="at most")
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


def why_not(posterior: OnePosterior, priors: Mapping[str, PriorDensity] | None) -> str:
    """Why there is no sensitivity to speak of."""
    if posterior.metadata.members:
        return "A stack has no priors of its own: look at those of its members."
    if not posterior.metadata.priors:
        return "The draws came without their priors, so their influence is not known."
    if priors is None:
        return "A prior is of a kind whose density is not known here."
    if posterior.metadata.drawn and EFFECTS_PRIOR not in statistics_of(posterior):
        return "The fit did not keep the densities of the effects' priors: fit the model again."
    return "There are too few draws with known densities to reweight."


def sensitivity_tables(posterior: OnePosterior, sensed: Sensitivity | None) -> Iterator[Table]:
    """Sensitivity of each quantity to prior and data, in words too."""
    if sensed is not None:
        yield Table(
            key=f"sensitivity-{kind_of(posterior)}",
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


def sensitivity_figures(posterior: OnePosterior, sensed: Sensitivity | None) -> Iterator[Figure]:
    """The same as bars."""
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
