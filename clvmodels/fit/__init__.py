"""Model specifications: priors, PyMC models, and fits from an ordinary pm.Model to draws."""

from clvmodels.fit.clv import CLVModel
from clvmodels.fit.gamma_gamma import GammaGammaModel
from clvmodels.fit.purchases import BetaGeoModel, ModifiedBetaGeoModel
from clvmodels.fit.run import Settings, infer

__all__ = [
    "BetaGeoModel",
    "CLVModel",
    "GammaGammaModel",
    "ModifiedBetaGeoModel",
    "Settings",
    "infer",
]
