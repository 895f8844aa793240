"""From an ordinary pm.Model to draws with sample statistics and a verdict."""

from clvmodels.inference.run import Method, OnFailure, Result, Settings, infer

__all__ = ["Method", "OnFailure", "Result", "Settings", "infer"]
