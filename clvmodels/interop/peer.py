"""The package that fits are exchanged with: its classes and ours."""

from __future__ import annotations

from typing import Any, NamedTuple

from clvmodels.errors import SchemaError
from clvmodels.fit import GammaGammaModel
from clvmodels.fit.purchases import purchase_specification
from clvmodels.fit.specification import Specification
from clvmodels.model_facts import ModelFacts
from clvmodels.posterior import GammaGammaPosterior, PurchasePosterior
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import MODELS

OnePosterior = PurchasePosterior | GammaGammaPosterior


class Counterpart(NamedTuple):
    """Our side of a model that pymc-marketing has too."""

    facts: ModelFacts
    specification: Specification[Any]
    posterior: type[OnePosterior]


def counterparts() -> dict[str, Counterpart]:
    """Our models by the name of pymc-marketing's class."""
    ours = [
        Counterpart(model, purchase_specification(key), purchase_posterior(key))
        for key, model in MODELS.items()
    ]
    ours.append(Counterpart(GammaGammaModel.facts, GammaGammaModel(), GammaGammaPosterior))
    return {one.facts.peer.name: one for one in ours if one.facts.peer is not None}


def pymc_marketing_clv() -> Any:
    """Import pymc-marketing's customer lifetime value models.

    Raises
    ------
    SchemaError
        It is not installed.
    """
    try:
        from pymc_marketing import clv
    except ImportError as error:
        raise SchemaError(
            f"pymc-marketing is not installed ({error}): pip install pymc-marketing."
        ) from error
    return clv
