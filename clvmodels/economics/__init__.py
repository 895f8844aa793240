"""What customers are worth to a firm: the simple formula, and the economics of a customer."""

from clvmodels.economics.simple import SimpleClv, simple_clv

__all__ = ["SimpleClv", "simple_clv"]
