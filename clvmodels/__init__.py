"""Customer lifetime value with honest uncertainty.

The public names load on first use, so that ``import clvmodels`` is quick and a
machine that only scores never imports PyMC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clvmodels import datasets, simulate
    from clvmodels.audit import Audit
    from clvmodels.errors import (
        ClvError,
        ConvergenceError,
        DomainError,
        PosteriorFileError,
        SchemaError,
        TimeUnitError,
    )
    from clvmodels.models import BetaGeoModel, CLVModel, GammaGammaModel, ModifiedBetaGeoModel
    from clvmodels.posterior import (
        BetaGeoPosterior,
        CLVPosterior,
        GammaGammaPosterior,
        ModifiedBetaGeoPosterior,
        load_posterior,
    )
    from clvmodels.rfm import RfmTable, rfm_summary, rfm_train_test_split

__version__ = "0.1.0"

# Public name -> the module that defines it; a module stands for itself.
_HOME = {
    "Audit": "audit",
    "BetaGeoModel": "models",
    "BetaGeoPosterior": "posterior",
    "CLVModel": "models",
    "CLVPosterior": "posterior",
    "ClvError": "errors",
    "ConvergenceError": "errors",
    "DomainError": "errors",
    "GammaGammaModel": "models",
    "GammaGammaPosterior": "posterior",
    "ModifiedBetaGeoModel": "models",
    "ModifiedBetaGeoPosterior": "posterior",
    "PosteriorFileError": "errors",
    "RfmTable": "rfm",
    "SchemaError": "errors",
    "TimeUnitError": "errors",
    "datasets": "datasets",
    "load_posterior": "posterior",
    "rfm_summary": "rfm",
    "rfm_train_test_split": "rfm",
    "simulate": "simulate",
}

__all__ = [
    "Audit",
    "BetaGeoModel",
    "BetaGeoPosterior",
    "CLVModel",
    "CLVPosterior",
    "ClvError",
    "ConvergenceError",
    "DomainError",
    "GammaGammaModel",
    "GammaGammaPosterior",
    "ModifiedBetaGeoModel",
    "ModifiedBetaGeoPosterior",
    "PosteriorFileError",
    "RfmTable",
    "SchemaError",
    "TimeUnitError",
    "__version__",
    "datasets",
    "load_posterior",
    "rfm_summary",
    "rfm_train_test_split",
    "simulate",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{home}")
    value = module if name == home else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
