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
