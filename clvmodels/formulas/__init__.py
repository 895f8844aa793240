"""Pure numerics: arrays in, arrays out; no frames, no labels, no PyMC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from clvmodels.formulas.beta_geometric import bgnbd, mbgnbd

_MODELS: Final = ("bgnbd", "mbgnbd")

__all__ = ["bgnbd", "mbgnbd"]


def __getattr__(name: str) -> Any:
    # SciPy and numba are loaded when a formula is asked for, not with the folder.
    if name not in _MODELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clvmodels.formulas import beta_geometric

    return getattr(beta_geometric, name)
