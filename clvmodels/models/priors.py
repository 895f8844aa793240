"""Default priors: weakly informative, and the same whatever the units.

alpha is a time and v an amount of money, so their defaults are a pure number times a
scale that is taken from the data at hand: alpha's from the mean length of observation
(a design quantity, not an outcome), v's from the geometric mean of what repeat
customers spend per purchase. The other parameters are pure numbers, with mass where
real bases lie. A base in days or weeks, in dollars or cents, then has one posterior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clvmodels.errors import DomainError, SchemaError
from clvmodels.schema import check_number, shown

if TYPE_CHECKING:
    from pymc_extras.prior import Prior

PYMC_MARKETING: Final = "pymc-marketing"


@dataclass(frozen=True, slots=True)
class LogNormalDefault:
    """A log-normal default prior.

    Attributes
    ----------
    median : float
        Median, in units of the scale where ``scaled``.
    sigma : float
        Standard deviation of the logarithm.
    scaled : bool
        Whether the parameter carries a unit and so is multiplied by the data's scale.
    reason : str
        Why these numbers.
    """

    median: float
    sigma: float
    scaled: bool
    reason: str


@dataclass(frozen=True, slots=True)
class BetaDefault:
    """A Beta(alpha, beta) default prior of a probability."""

    alpha: float
    beta: float
    reason: str


Default = LogNormalDefault | BetaDefault

PURCHASE_DEFAULTS: Final[Mapping[str, Default]] = {
    "r": LogNormalDefault(
        0.6,
        1.2,
        False,
        "shape of the purchase rates over customers: published bases lie between 0.1 and 3; "
        "95 % of the mass between 0.06 and 6.3",
    ),
    "alpha": LogNormalDefault(
        0.3,
        1.5,
        True,
        "r / alpha is a rate per unit of time: with r near its median the mean customer makes "
        "about 2 repeat purchases in the mean time observed, give or take a factor of 40",
    ),
    "phi_dropout": BetaDefault(
        1.0, 1.0, "mean dropout probability a / (a + b): anything between 0 and 1"
    ),
    "kappa_dropout": LogNormalDefault(
        3.0,
        1.2,
        False,
        "a + b, how alike customers are in dropping out: 95 % of the mass between 0.3 and 32; "
        "published bases lie between 1 and 10",
    ),
}

SPEND_DEFAULTS: Final[Mapping[str, Default]] = {
    "p": LogNormalDefault(
        3.0,
        1.0,
        False,
        "shape of one customer's amounts, coefficient of variation 1 / sqrt(p): 95 % of the mass "
        "between 0.22 and 1.5",
    ),
    "q": LogNormalDefault(
        3.5,
        0.6,
        False,
        "shape of the amounts over customers; the population's mean spend is finite only where "
        "q > 1, which has 98 % of the mass",
    ),
    "v": LogNormalDefault(
        0.8,
        1.2,
        True,
        "mean spend is p v / (q - 1): with p and q at their medians about the typical amount, "
        "give or take a factor of 30",
    ),
}


def resolve(defaults: Mapping[str, Default], scale: float) -> dict[str, Prior]:
    """Turn defaults into pymc-extras priors in the units of the data.

    Parameters
    ----------
    defaults : mapping
        Parameter names to defaults.
    scale : float
        The time or amount that scaled defaults are multiplied by.
    """
    from pymc_extras.prior import Prior

    resolved = {}
    for name, default in defaults.items():
        if isinstance(default, BetaDefault):
            resolved[name] = Prior("Beta", alpha=default.alpha, beta=default.beta)
        else:
            median = default.median * (scale if default.scaled else 1.0)
            resolved[name] = Prior("LogNormal", mu=math.log(median), sigma=default.sigma)
    return resolved


def pymc_marketing_purchase_priors() -> dict[str, Prior]:
    """pymc-marketing's fixed defaults of BG/NBD and MBG/NBD, which know no units."""
    from pymc_extras.prior import Prior

    return {
        "r": Prior("Weibull", alpha=2, beta=1),
        "alpha": Prior("Weibull", alpha=2, beta=10),
        "phi_dropout": Prior("Uniform", lower=0, upper=1),
        "kappa_dropout": Prior("Pareto", alpha=1, m=1),
    }


def pymc_marketing_spend_priors() -> dict[str, Prior]:
    """pymc-marketing's fixed defaults of Gamma-Gamma, which know no units."""
    from pymc_extras.prior import Prior

    return {
        "p": Prior("Weibull", alpha=2, beta=1),
        "q": Prior("Weibull", alpha=2, beta=1),
        "v": Prior("Weibull", alpha=2, beta=10),
    }


def check_names(priors: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Refuse what is no prior, and priors of parameters that the model does not have."""
    if not isinstance(priors, Mapping):
        raise SchemaError(
            f"priors={shown(priors)} must be 'default', {PYMC_MARKETING!r}, or a mapping from "
            "parameter names to pymc-extras priors."
        )
    for name, prior in priors.items():
        if not hasattr(prior, "create_variable"):
            raise SchemaError(
                f"The prior of {name} is {shown(prior)}: give a pymc-extras Prior, such as "
                "Prior('LogNormal', mu=0, sigma=1)."
            )
    unknown = sorted(set(priors) - set(allowed))
    if unknown:
        raise SchemaError(
            f"No parameter is called {', '.join(unknown)}: this model has {', '.join(allowed)}."
        )


def check_scale(name: str, value: float) -> float:
    """Return a scale as a float if it is positive and finite."""
    scale = check_number(name, value)
    if not (math.isfinite(scale) and scale > 0):
        raise DomainError(f"{name}={value!r} must be a positive, finite number.")
    return scale


def as_dict(priors: Mapping[str, Prior]) -> dict[str, Any]:
    """Priors in a form that JSON can hold."""
    return {name: prior.to_dict() for name, prior in priors.items()}
