"""Links to an object of the package by any of its names.

An object is documented once, as ``clvmodels.portfolio``; docstrings may also say
``clvmodels.predictive.portfolio``, `portfolio`, or `Backtest.metrics`, a column of a record
that has no entry of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import ObjectEntry
    from sphinx.environment import BuildEnvironment


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen to references that Sphinx itself cannot resolve."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: nodes.Element
) -> nodes.reference | None:
    """Link to the documented object whose name ends like the target's."""
    if node.get("refdomain") != "py":
        return None
    objects = env.domains.python_domain.objects
    target = node["reftarget"]
    name = _found(objects, target) or _found(objects, target.rpartition(".")[0], classes=True)
    if name is None:
        return None
    entry = objects[name]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contents, name)


def _found(objects: dict[str, ObjectEntry], target: str, *, classes: bool = False) -> str | None:
    """Find by the whole name, else by less and less of its end; the shortest of several."""
    parts = target.split(".") if target else []
    for length in range(len(parts), 0, -1):
        ending = "." + ".".join(parts[-length:])
        found = [
            name
            for name, entry in objects.items()
            if f".{name}".endswith(ending)
            and not entry.aliased
            and (not classes or entry.objtype == "class")
        ]
        if found:
            return min(found, key=lambda name: (name.count("."), name))
    return None
