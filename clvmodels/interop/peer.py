"""The package that fits are exchanged with: its classes and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clvmodels.errors import SchemaError
from clvmodels.models import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel
from clvmodels.models.base import Specification
from clvmodels.posterior import (
    BetaGeoPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    PurchasePosterior,
)

OnePosterior = PurchasePosterior | GammaGammaPosterior

# By the class of pymc-marketing, the more special ones first.
COUNTERPARTS: Final[Mapping[str, tuple[type[Specification[Any]], type[OnePosterior]]]] = {
    "ModifiedBetaGeoModel": (ModifiedBetaGeoModel, ModifiedBetaGeoPosterior),
    "BetaGeoModel": (BetaGeoModel, BetaGeoPosterior),
    "GammaGammaModel": (GammaGammaModel, GammaGammaPosterior),
}


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
