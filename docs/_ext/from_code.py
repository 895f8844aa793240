"""Lists and numbers that the pages take from the code, so that they cannot go stale."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# What stands for {{ NAME }} on a page: modules of constants, all of them in capitals.
CONSTANTS = ("clvmodels.verdict", "clvmodels.limits", "clvmodels.scoring.concerns")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register ``{reasons}``, the reasons for which a row is not scored."""
    app.add_directive("reasons", Reasons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Reasons(Directive):
    """A list of the reasons, in the order in which they apply."""

    def run(self) -> list[nodes.Node]:
        """Make the list."""
        reasons = import_module("clvmodels.scoring.row_checks").REASONS
        items = [nodes.list_item("", nodes.paragraph(text=reason)) for reason in reasons]
        return [nodes.enumerated_list("", *items)]


def constants() -> dict[str, str]:
    """Numbers by name, as they are to be read; shares as NAME_PERCENT too."""
    found = {
        name: value
        for module in map(import_module, CONSTANTS)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, int | float)
    }
    plain = {name: f"{value:g}" for name, value in found.items()}
    return plain | {f"{name}_PERCENT": f"{100 * value:g} %" for name, value in found.items()}
