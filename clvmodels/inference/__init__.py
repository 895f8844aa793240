"""From an ordinary pm.Model to draws with sample statistics and a verdict."""

from clvmodels.inference.run import (
    DEFAULT_IMPORTANCE_DRAWS,
    Method,
    OnFailure,
    Result,
    Settings,
    infer,
)

__all__ = ["DEFAULT_IMPORTANCE_DRAWS", "Method", "OnFailure", "Result", "Settings", "infer"]
