"""Model specifications: priors, PyMC models and fits."""

from clvmodels.models.bgnbd import BetaGeoModel
from clvmodels.models.clv import CLVModel
from clvmodels.models.gamma_gamma import GammaGammaModel
from clvmodels.models.mbgnbd import ModifiedBetaGeoModel

__all__ = ["BetaGeoModel", "CLVModel", "GammaGammaModel", "ModifiedBetaGeoModel"]
