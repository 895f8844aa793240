"""Model specifications: priors, PyMC models and fits."""

from clvmodels.models.clv import CLVModel
from clvmodels.models.gamma_gamma import GammaGammaModel
from clvmodels.models.purchases import BetaGeoModel, ModifiedBetaGeoModel

__all__ = ["BetaGeoModel", "CLVModel", "GammaGammaModel", "ModifiedBetaGeoModel"]
