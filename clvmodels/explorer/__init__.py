"""A page to look customers up in: sums of everybody, and those who matter one by one."""

from clvmodels.explorer.explored import Explorer, explore

__all__ = ["Explorer", "explore"]


def __dir__() -> list[str]:
    return __all__
