"""Pure numerics: arrays in, arrays out; no frames, no labels, no PyMC."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clvmodels.formulas.beta_geometric import bgnbd, mbgnbd
    from clvmodels.formulas.pareto_nbd import paretonbd

_MODELS: Final = {
    "bgnbd": "clvmodels.formulas.beta_geometric",
    "mbgnbd": "clvmodels.formulas.beta_geometric",
    "paretonbd": "clvmodels.formulas.pareto_nbd",
}

__all__ = ["bgnbd", "mbgnbd", "paretonbd"]


def __getattr__(name: str) -> Any:
    # SciPy and numba are loaded when a formula is asked for, not with the folder.
    if name not in _MODELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODELS[name]), name)
