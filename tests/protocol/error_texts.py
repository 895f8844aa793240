"""The texts that an expression may have, with places for what is known at run time only.

A place is written ``<name>``. Where a piece of a text is one of several (a condition, what
a helper returns or is given), every one of them is in at least one text, beside the first
of all other pieces: not every combination.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.protocol.error_source import (
    Module,
    Package,
    argument,
    assigned,
    dotted,
    own_nodes,
    parameters,
)

PLACE = re.compile(r"<[A-Za-z_][\w. ]*>")
# Calls that say what their argument says.
_THROUGH = ("shown", "one_line", "str", "repr", "int", "float", "list", "sorted", "type", "map")
_OF_VALUES = ("sum", "count", "values", "replace", "absolute")


@dataclass(frozen=True, eq=False)
class Scope:
    """Where an expression stands, and the names that led there."""

    module: Module
    function: ast.FunctionDef | None = None
    seen: frozenset[str] = field(default_factory=frozenset)

    def past(self, mark: str) -> Scope:
        """Go on without coming back to a name."""
        return replace(self, seen=self.seen | {mark})


@dataclass(frozen=True)
class Texts:
    """Reads expressions of one package."""

    package: Package

    def __call__(self, node: ast.expr, scope: Scope) -> list[str]:
        """All texts; one place where nothing is known of them."""
        found = self.known(node, scope)
        return [_place(node)] if found is None else found

    def known(self, node: ast.expr, scope: Scope) -> list[str] | None:
        """All texts, or None where the source does not say them."""
        match node:
            case ast.Constant(value=str() | int() | float() as value):
                return [str(value)]
            case ast.JoinedStr(values=parts):
                return _each_once([self._part(part, scope) for part in parts])
            case ast.BinOp(left=left, op=ast.Add(), right=right) if _is_text(node):
                return _each_once([self(left, scope), self(right, scope)])
            case ast.IfExp(body=body, orelse=orelse):
                return _unique([*self(body, scope), *self(orelse, scope)])
            case ast.Name(id=name):
                return self._of_name(name, scope)
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                other = self.package.imported_module(scope.module, module)
                return None if other is None else self._constant(name, other, scope)
            case ast.Subscript(value=value, slice=ast.Constant(value=int())):
                items = self._elements(value, scope)
                return self(*items[0]) if len(items) == 1 else None
            case ast.Call():
                return self._of_call(node, scope)
        return None

    def _part(self, part: ast.expr, scope: Scope) -> list[str]:
        """Texts of a piece of an f-string."""
        if not isinstance(part, ast.FormattedValue):
            return self(part, scope)
        found = self.known(part.value, scope)
        if found is None:
            return [_place(part.value)]
        if _is_constant(part.value) and part.conversion == ord("r"):
            return [repr(text) for text in found]
        if _is_constant(part.value) and isinstance(part.format_spec, ast.JoinedStr):
            spec = "".join(self(part.format_spec, scope))
            return [format(float(text) if "." in text else int(text), spec) for text in found]
        return found

    def _of_name(self, name: str, scope: Scope) -> list[str] | None:
        """Texts of a variable: those of every value that it may have."""
        if name in scope.seen:
            return None
        inner = scope.past(name)
        if scope.function is not None:
            values = [(value, inner) for value in _bound(scope.function, name)]
            values = values or self._looped(name, inner)
            if values:
                return _phrases([self(*value) for value in values])
            if name in parameters(scope.function):
                return self._of_parameter(scope.function, name, scope)
        found = self.package.where_is(scope.module, name)
        return None if found is None else self._constant(found[1], found[0], inner)

    def _constant(self, name: str, module: Module, scope: Scope) -> list[str] | None:
        value = module.constants.get(name)
        return None if value is None else self.known(value, Scope(module, None, scope.seen))

    def _of_parameter(self, function: ast.FunctionDef, name: str, scope: Scope) -> list[str] | None:
        """Texts that the callers pass."""
        mark = f"{function.name}({name})"
        if mark in scope.seen:
            return None
        # Names in the caller are other names.
        seen = frozenset(one for one in scope.seen if one.endswith(")")) | {mark}
        found = []
        for call in self.package.callers(function):
            value = argument(function, call.node, name)
            if value is not None:
                found.append(self(value, Scope(call.module, call.function, seen)))
        return _phrases(found, place=f"<{name}>")

    def _of_call(self, call: ast.Call, scope: Scope) -> list[str] | None:
        """Texts that a function of the package puts together."""
        found = self.package.called(call, scope.module)
        name = dotted(call.func).split(".")[-1]
        if found is None or name in _THROUGH or f"{name}()" in scope.seen:
            return None
        values = _returned(found[1])
        if not values or not all(_is_text(value) for value in values):
            return None
        seen = frozenset(one for one in scope.seen if one.endswith(")")) | {f"{name}()"}
        inner = Scope(*found, seen)
        return _unique(text for value in values for text in self(value, inner))

    def _looped(self, name: str, scope: Scope) -> list[tuple[ast.expr, Scope]]:
        """Values of a loop's variable, where they are written out."""
        assert scope.function is not None
        for node in own_nodes(scope.function):
            if isinstance(node, ast.For):
                targets = getattr(node.target, "elts", [node.target])
                names = [getattr(target, "id", "") for target in targets]
                if name in names:
                    at = names.index(name)
                    items = self._elements(node.iter, scope)
                    return [(getattr(i, "elts", [i] * 9)[at], inner) for i, inner in items]
        return []

    def _elements(self, node: ast.expr, scope: Scope) -> list[tuple[ast.expr, Scope]]:
        """Elements of a list or tuple, or the keys of a dict, that is written out."""
        match node:
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [(item, scope) for item in items if not isinstance(item, ast.Starred)]
            case ast.ListComp(elt=item) | ast.DictComp(key=item):
                return [(item, scope)]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._elements(left, scope) + self._elements(right, scope)
            case ast.Dict(keys=keys, values=values):
                inner = [v for key, v in zip(keys, values, strict=True) if key is None]
                own = [(key, scope) for key in keys if key is not None]
                return own + [one for value in inner for one in self._elements(value, scope)]
            case ast.Call(func=ast.Attribute(value=value, attr="items")):
                return self._elements(value, scope)
            case ast.Call():
                found = self.package.called(node, scope.module)
                inside = None if found is None else Scope(*found, scope.seen)
                returned = [] if found is None else _returned(found[1])
                return [o for v in returned for o in self._elements(v, inside)]  # type: ignore[arg-type]
            case ast.Name(id=name) if scope.function is not None:
                bound = _bound(scope.function, name)
                own = [one for value in bound for one in self._elements(value, scope)]
                return own + [(value, scope) for value in _added(scope.function, name)]
        return []


def has_words(text: str) -> bool:
    """Whether there is more to a text than its places."""
    return re.search(r"[A-Za-z]{2}", PLACE.sub("", text)) is not None


def _returned(function: ast.FunctionDef) -> list[ast.expr]:
    nodes = own_nodes(function)
    return [node.value for node in nodes if isinstance(node, ast.Return) and node.value]


def _bound(function: ast.FunctionDef, name: str) -> list[ast.expr]:
    """Values that are assigned to a name in a function."""
    found: list[ast.expr] = []
    for node in own_nodes(function):
        for target, value in assigned(node):
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            found += [v for t, v in pairs if isinstance(t, ast.Name) and t.id == name]
    return found


def _added(function: ast.FunctionDef, name: str) -> list[ast.expr]:
    """What is appended to a list, or the keys that are set in a dict."""
    found: list[ast.expr] = []
    for node in own_nodes(function):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=of), attr="append"), args=[one]):
                found += [one] if of == name else []
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=of), slice=key)]):
                found += [key] if of == name else []
    return found


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is put together from text that is written out."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_text(left) or _is_text(right)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) and _is_text(orelse)
    return False


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and dotted(node).split(".")[-1].isupper()


def _place(node: ast.expr) -> str:
    """Name what is filled in at run time."""
    return f"<{_name(node) or 'value'}>"


def _name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(id=name):
            return name.strip("_")
        case ast.Attribute(value=value, attr="__name__"):
            return _name(value)
        case ast.Attribute(attr=name):
            return name.strip("_")
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _name(value)
        case ast.Call(func=ast.Name(id="len")):
            return "count"
        case ast.Call(func=ast.Name(id="type")):
            return "type"
        case ast.Call(func=ast.Attribute(attr="join"), args=[of]):
            return _name(of)
        case ast.Call(func=ast.Name(id=name), args=[*_, of]) if name in _THROUGH:
            return _name(of)
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _OF_VALUES:
            return _name(value)
        case ast.Call(func=func):
            return _name(func)
    return None


def _phrases(found: Iterable[list[str]], place: str | None = None) -> list[str] | None:
    """Take texts as pieces of a message where one has words; else they are names.

    The place stands for those of a parameter's values that are names.
    """
    texts = _unique(text for several in found for text in several)
    if not any(_is_phrase(text) for text in texts):
        return None
    if place is None:
        return texts
    names = [text for text in texts if text and not _is_phrase(text)]
    return [text for text in texts if text not in names] + [place] * bool(names)


def _is_phrase(text: str) -> bool:
    # "name=<name>" is a piece of a message without a space.
    return (" " in PLACE.sub("", text) and has_words(text)) or "=<" in text


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _each_once(parts: list[list[str]]) -> list[str]:
    """Join parts so that every text of every part is there."""
    first = [texts[0] for texts in parts]
    found = ["".join(first)]
    for at, texts in enumerate(parts):
        found += ["".join([*first[:at], text, *first[at + 1 :]]) for text in texts[1:]]
    return _unique(found)
