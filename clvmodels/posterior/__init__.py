"""Posteriors: draws with metadata, labelled predictions, saving and loading."""

from clvmodels.posterior.by_model import (
    BetaGeoPosterior,
    ModifiedBetaGeoPosterior,
    ParetoNBDPosterior,
)
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.loading import load_posterior
from clvmodels.posterior.metadata import Member, Metadata
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.spend import BasketValue, GammaGammaPosterior
from clvmodels.posterior.stacking import StackPosterior, stack
from clvmodels.posterior.total import TotalValue, total_value

__all__ = [
    "BasketValue",
    "BetaGeoPosterior",
    "CLVPosterior",
    "GammaGammaPosterior",
    "Member",
    "Metadata",
    "ModifiedBetaGeoPosterior",
    "ParetoNBDPosterior",
    "PurchasePosterior",
    "StackPosterior",
    "TotalValue",
    "load_posterior",
    "stack",
    "total_value",
]


def __dir__() -> list[str]:
    return __all__
