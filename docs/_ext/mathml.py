"""Formulas as MathML, which browsers draw themselves: nothing to load, nothing to run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

if TYPE_CHECKING:
    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)

# Between a function's name and an argument without brackets browsers leave no room.
_APPLIED: Final = re.compile(r"<mo>&ApplyFunction;</mo>(?!\s*<mo stretchy=\"false\">\()")
_ROOM: Final = '<mspace width="0.17em"></mspace>'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer by the name ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number if it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(f'<div class="formula">{_mathml(node, as_block=True)}</div></div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    text = node.astext().strip()
    try:
        return _typeset(str(latex2mathml.tex2mathml(text, as_block=as_block)))
    except SyntaxError as error:  # docutils' own error is one
        logger.warning("%s in the formula %s", error, text, location=node)
        return f"<code>{nodes.unescape(text)}</code>"


def _typeset(formula: str) -> str:
    """Mend what browsers draw otherwise than TeX: Greek capitals stand upright in it."""
    formula = formula.replace('class="capital-greek"', 'mathvariant="normal"')
    return _APPLIED.sub(_ROOM, formula)
