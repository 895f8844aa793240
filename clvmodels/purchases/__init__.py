"""Purchase models: what each is, and what it can compute."""

from clvmodels.purchases.catalogue import (
    AUTO,
    MODELS,
    ModelChoice,
    ModelKey,
    learn,
    purchase_model,
    regularities,
    sent,
    with_regularity,
)
from clvmodels.purchases.model import PurchaseModel

__all__ = [
    "AUTO",
    "MODELS",
    "ModelChoice",
    "ModelKey",
    "PurchaseModel",
    "learn",
    "purchase_model",
    "regularities",
    "sent",
    "with_regularity",
]


def __dir__() -> list[str]:
    return __all__
