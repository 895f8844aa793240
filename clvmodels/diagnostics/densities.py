"""Prior densities as they are saved with a posterior, without PyMC."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import stats

from clvmodels.posterior import GammaGammaPosterior, PurchasePosterior
from clvmodels.schema import FloatArray

OnePosterior = PurchasePosterior | GammaGammaPosterior


def _gamma(k: dict[str, float]) -> Any:
    if "alpha" in k:
        return stats.gamma(a=k["alpha"], scale=1.0 / k["beta"])
    return stats.gamma(a=(k["mu"] / k["sigma"]) ** 2, scale=k["sigma"] ** 2 / k["mu"])


def _exponential(k: dict[str, float]) -> Any:
    return stats.expon(scale=k["scale"] if "scale" in k else 1.0 / k.get("lam", 1.0))


# By PyMC's names and parameters
_FAMILIES: Final[dict[str, Callable[[dict[str, float]], Any]]] = {
    "LogNormal": lambda k: stats.lognorm(s=k.get("sigma", 1.0), scale=math.exp(k.get("mu", 0.0))),
    "Beta": lambda k: stats.beta(k["alpha"], k["beta"]),
    "Uniform": lambda k: stats.uniform(
        k.get("lower", 0.0), k.get("upper", 1.0) - k.get("lower", 0.0)
    ),
    "Weibull": lambda k: stats.weibull_min(c=k["alpha"], scale=k["beta"]),
    "Pareto": lambda k: stats.pareto(b=k["alpha"], scale=k["m"]),
    "Gamma": _gamma,
    "InverseGamma": lambda k: stats.invgamma(a=k["alpha"], scale=k.get("beta", 1.0)),
    "HalfNormal": lambda k: stats.halfnorm(scale=k.get("sigma", 1.0)),
    "HalfCauchy": lambda k: stats.halfcauchy(scale=k.get("beta", 1.0)),
    "Exponential": _exponential,
}


@dataclass(frozen=True, slots=True)
class PriorDensity:
    """The prior of one parameter.

    Attributes
    ----------
    name, text : str
        Of the parameter, and of its prior, such as "LogNormal(mu=0, sigma=1)".
    dist : frozen distribution of SciPy
    """

    name: str
    text: str
    dist: Any

    def log_density(self, values: FloatArray) -> FloatArray:
        """Log density at some values."""
        return np.asarray(self.dist.logpdf(values), dtype=np.float64)

    def log_jacobian(self, values: FloatArray) -> FloatArray:
        """Ln |d value / d z| of the transform under which PyMC samples, up to a constant.

        The logarithm of values with a lower bound, the logit of those with both.
        """
        lower, upper = self.dist.support()
        with np.errstate(divide="ignore"):
            found = np.log(values - lower)
            return np.asarray(found + np.log(upper - values) if np.isfinite(upper) else found)


def prior_of(name: str, record: Any) -> PriorDensity | None:
    """Read a prior as pymc-extras writes it.

    Returns
    -------
    PriorDensity or None
        None of a distribution that is not among those known here, of one whose parameters
        are distributions themselves, or of a transformed one.
    """
    if not isinstance(record, Mapping) or record.get("transform") is not None:
        return None
    kwargs = record.get("kwargs") or {}
    make = _FAMILIES.get(str(record.get("dist")))
    if make is None or not all(isinstance(value, int | float) for value in kwargs.values()):
        return None
    try:
        dist = make({key: float(value) for key, value in kwargs.items()})
    except KeyError:  # parametrised in another way
        return None
    return PriorDensity(name, prior_text(record), dist)


def prior_text(record: Any) -> str:
    """Write a saved prior, such as "LogNormal(mu=0, sigma=1)"."""
    if not isinstance(record, Mapping) or "dist" not in record:
        return "unknown"
    kwargs = record.get("kwargs") or {}
    shown = ", ".join(
        f"{key}={value:.4g}" if isinstance(value, int | float) else f"{key}={prior_text(value)}"
        for key, value in kwargs.items()
    )
    return f"{record['dist']}({shown})"


def priors_of(posterior: OnePosterior) -> dict[str, PriorDensity] | None:
    """Priors of a posterior by parameter; None unless all of them are known."""
    saved = posterior.metadata.priors
    if not saved:
        return None
    found = {name: prior_of(name, record) for name, record in saved.items()}
    known = {name: prior for name, prior in found.items() if prior is not None}
    return known if len(known) == len(found) else None


def prior_draws(
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


def log_prior_and_likelihood(
    posterior: OnePosterior, priors: Mapping[str, PriorDensity]
) -> tuple[FloatArray, FloatArray] | None:
    """Log prior and log-likelihood of every draw, each up to a constant.

    The sampler's log density is that of prior, likelihood and the Jacobian of the
    transform together, so that the likelihood is what remains: no pass over the base. Priors
    of the effects of covariates remain with it, and are not judged.

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
    return np.asarray(log_prior), np.asarray(total - log_prior - log_jacobian)
