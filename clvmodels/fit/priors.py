"""Priors as pymc-extras knows them, from the defaults of a model and from the user."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from clvmodels.errors import DomainError, SchemaError
from clvmodels.model_facts import BetaDefault, Default, ModelFacts
from clvmodels.schema import check_number, shown

if TYPE_CHECKING:
    from pymc_extras.prior import Prior
    from pytensor.tensor import TensorVariable

PYMC_MARKETING: Final = "pymc-marketing"


class AnyPrior(Protocol):
    """What a fit asks of a prior: pymc-extras' `Prior`, or one of ours."""

    def create_variable(self, name: str) -> Any:
        """Put it into the model that is open."""

    def to_dict(self) -> dict[str, Any]:
        """In a form that JSON can hold."""


@dataclass(frozen=True, slots=True)
class KnownPrior:
    """A default prior, as pymc-extras would have it: a fit need not wait 2 s for its import.

    Attributes
    ----------
    distribution : str
        Of PyMC.
    parameters : mapping of str to number or variable of a model
    scaled : bool
        Whether some of them are multiples of the data's scale.
    """

    distribution: str
    parameters: Mapping[str, Any]
    scaled: bool = False

    def create_variable(self, name: str) -> Any:
        """Put it into the model that is open."""
        import pymc as pm

        return getattr(pm, self.distribution)(name, **self.parameters)

    def to_dict(self) -> dict[str, Any]:
        """In pymc-extras' form."""
        return {"dist": self.distribution, "kwargs": dict(self.parameters)}


def in_pymc_extras(prior: AnyPrior) -> Prior:
    """The prior as an object of pymc-extras."""
    from pymc_extras.prior import Prior

    if isinstance(prior, KnownPrior):
        return Prior(prior.distribution, **prior.parameters)
    return cast("Prior", prior)


def resolve(defaults: Mapping[str, Default], scale: float | TensorVariable) -> dict[str, AnyPrior]:
    """Turn defaults into priors in the units of the data.

    Parameters
    ----------
    defaults : mapping
        Parameter names to defaults.
    scale : float or variable of a model
        The time or amount that scaled defaults are multiplied by.
    """
    resolved: dict[str, AnyPrior] = {}
    for name, default in defaults.items():
        if isinstance(default, BetaDefault):
            resolved[name] = KnownPrior("Beta", {"alpha": default.alpha, "beta": default.beta})
        else:
            mu = _log(default.median * scale) if default.scaled else math.log(default.median)
            known = {"mu": mu, "sigma": default.sigma}
            resolved[name] = KnownPrior("LogNormal", known, default.scaled)
    return resolved


def _log(median: float | TensorVariable) -> Any:
    if isinstance(median, int | float):
        return math.log(median)
    import pytensor.tensor as pt

    return pt.log(median)


def pymc_marketing_priors(facts: ModelFacts) -> dict[str, AnyPrior]:
    """pymc-marketing's fixed defaults of a model, which know no units.

    Raises
    ------
    SchemaError
        pymc-marketing does not have the model.
    """
    if facts.peer is None:
        raise SchemaError(
            f"pymc-marketing has no {facts.name}, and so no priors for it: use priors='default'."
        )
    return {name: KnownPrior(kind, those) for name, (kind, those) in facts.peer.priors.items()}


def check_names(priors: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Refuse what is not a prior, and priors of parameters that the model does not have."""
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


def as_dict(priors: Mapping[str, AnyPrior]) -> dict[str, Any]:
    """Priors in a form that JSON can hold."""
    return {name: prior.to_dict() for name, prior in priors.items()}
