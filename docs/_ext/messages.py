"""The messages of the package by class, read off its source: none is made or run."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from docutils.parsers.rst import Directive

from clvmodels import errors

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_UNNAMED: Final = re.compile(r"<.+?>|\W")
KINDS: Final = {name for name, value in vars(errors).items() if isinstance(value, type)}


def setup(app: Sphinx) -> dict[str, Any]:
    """Register ``{messages} CLASS``, the messages of a class of errors, or UserWarning."""
    app.add_directive("messages", Messages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Messages(Directive):
    """A list of messages, in the order of their first words."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the list."""
        texts = [nodes.literal(text, text) for text in messages()[self.arguments[0]]]
        items = [nodes.list_item("", nodes.paragraph("", "", text)) for text in texts]
        return [nodes.bullet_list("", *items)]


@cache
def messages() -> dict[str, list[str]]:
    """Messages by class, without those of which nothing is written where they are raised."""
    files = sorted(Path(errors.__file__).parent.rglob("*.py"))
    trees = [ast.parse(file.read_bytes()) for file in files]
    words: dict[str, str] = {}
    for node in (node for tree in trees for node in tree.body):
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
                | ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
            ) if len(name) > 1:
                words[name] = text
    found = defaultdict(set)
    for call in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)):
        kind = ast.unparse(call.func).replace("warnings.warn", "UserWarning")
        if kind in KINDS | {"UserWarning"} and call.args:
            text = " ".join(text_of(call.args[0], words).split())
            if len(_UNNAMED.sub("", text)) > 3:
                found[kind].add(text)
    return {kind: sorted(found[kind], key=_place) for kind in found}


def _place(text: str) -> tuple[str, str]:
    """Where a message stands; those that differ in a value alone by all that is in them."""
    return _UNNAMED.sub("", text), text


def text_of(node: ast.AST, words: dict[str, str]) -> str:
    """Write a text as it stands in the code: ``<name>`` is filled in, of ``[a | b]`` one is."""
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part, words) for part in parts)
        case ast.FormattedValue(value=of) | ast.Attribute(attr="__name__", value=of):
            return text_of(of, words)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left, words) + text_of(right, words)
        case ast.IfExp(body=body, orelse=orelse):
            either = filter(None, (text_of(body, words), text_of(orelse, words)))
            return f"[{' | '.join(either)}]"
        case ast.Call(args=[*_, of]) | ast.Subscript(value=of) | ast.Starred(value=of):
            return text_of(of, words)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return f"<{name.strip('_')}>"
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return words.get(name, f"<{name.strip('_')}>")
    return "<value>"
