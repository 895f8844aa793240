"""What plots and their options were called in the release before, for this one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import Any, Final, cast

from clvmodels.errors import OURS
from clvmodels.keywords import named
from clvmodels.plots.common import check_axes

OLD: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "plot_concentration": ("plot_lorenz", {"first": "most valuable"}),
    "plot_coverage": ("plot_interval_coverage", {}),
    "plot_repeats": ("plot_repeat_histogram", {}),
    "plot_tracking": ("plot_purchases_over_time", {}),
}
"""By old name what a plot is called now, and the options that make it the same picture."""


def picture[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Let a plot name its options as `named` does, and take ``axes`` for ``ax`` with a warning.

    Another thing than axes is refused before anything is computed.
    """
    call = named(function)
    name = function.__name__
    several = "Sequence" in str(signature(function).parameters["ax"].annotation)

    @wraps(call)
    def draw(*args: Any, **options: Any) -> R:
        if "axes" in options and "ax" not in options:
            _warn(f"{name}(axes=...) is now {name}(ax=...), as elsewhere")
            options["ax"] = options.pop("axes")
        if options.get("ax") is not None:
            check_axes(name, options["ax"], several=several)
        return cast("Callable[..., R]", call)(*args, **options)

    return cast("Callable[P, R]", draw)


def under_old_name(name: str, plots: dict[str, Any]) -> Any:
    """The plot that had a name, with a warning that tells the new one.

    Raises
    ------
    AttributeError
        No plot had it.
    """
    if name not in OLD:
        raise AttributeError(f"module 'clvmodels.plots' has no attribute {name!r}")
    new, options = OLD[name]
    said = ", ".join(["...", *(f"{one}={value!r}" for one, value in options.items())])
    _warn(f"{name}(...) is now {new}({said})")
    return partial(plots[new], **options) if options else plots[new]


def _warn(said: str) -> None:
    warnings.warn(
        f"{said}. This release still accepts the old name; the next one will not.",
        FutureWarning,
        stacklevel=2,
        skip_file_prefixes=OURS,
    )
