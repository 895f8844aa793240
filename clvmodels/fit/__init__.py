"""Model specifications: priors, PyMC models, and fits from an ordinary pm.Model to draws."""

from clvmodels.machine import settle_caches

settle_caches()  # PyTensor asks for its folder when it is imported

from clvmodels.fit.automatic import AutomaticModel  # noqa: E402
from clvmodels.fit.clv import CLVModel  # noqa: E402
from clvmodels.fit.gamma_gamma import GammaGammaModel  # noqa: E402
from clvmodels.fit.purchases import BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel  # noqa: E402

__all__ = [
    "AutomaticModel",
    "BetaGeoModel",
    "CLVModel",
    "GammaGammaModel",
    "ModifiedBetaGeoModel",
    "ParetoNBDModel",
]


def __dir__() -> list[str]:
    return __all__
