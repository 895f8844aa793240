"""A package as `ast` sees it: its modules, functions, imports and calls."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final, NamedTuple

_LEAVES: Final = (ast.Name, ast.Constant, ast.expr_context, ast.operator)


@dataclass(eq=False)
class Module:
    """A source file, and what its names stand for.

    Attributes
    ----------
    functions : dict
        By bare name, methods included.
    calls, classes : list
        With the innermost function around a call, or None.
    constants : dict
        Values that are given at the top.
    imports : dict
        Name here -> (module, name there); of a whole module the name there is empty.
    """

    name: str
    path: str
    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    calls: list[tuple[ast.FunctionDef | None, ast.Call]] = field(default_factory=list)
    classes: list[ast.ClassDef] = field(default_factory=list)
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, path: str, source: bytes) -> Module:
        """Take a file apart, in one walk."""
        tree = ast.parse(source)
        module = cls(name, path)
        stack: list[tuple[ast.FunctionDef | None, ast.AST]] = [(None, tree)]
        while stack:
            function, node = stack.pop()
            if isinstance(node, ast.Call):
                module.calls.append((function, node))
            elif isinstance(node, ast.FunctionDef):
                module.functions[node.name] = function = node
            elif isinstance(node, ast.ClassDef):
                module.classes.append(node)
            elif isinstance(node, ast.Import):
                pairs = {(a.asname or a.name).split(".")[0]: (a.name, "") for a in node.names}
                module.imports.update(pairs)
            elif isinstance(node, ast.ImportFrom):
                pairs = {a.asname or a.name: (node.module or "", a.name) for a in node.names}
                module.imports.update(pairs)
            stack += [(function, child) for child in children(node)]
        given = (pair for node in tree.body for pair in assigned(node))
        module.constants = {t.id: value for t, value in given if isinstance(t, ast.Name)}
        return module


class Call(NamedTuple):
    """A call, and where it stands."""

    module: Module
    function: ast.FunctionDef | None
    node: ast.Call


class Package:
    """All modules under a folder, which is a package."""

    def __init__(self, folder: Path) -> None:
        self.modules: dict[str, Module] = {}
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder.parent)
            parts = inside.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module.read(name, inside.as_posix(), path.read_bytes())

    @cached_property
    def errors(self) -> frozenset[str]:
        """Names of the exceptions of the package and of Python."""
        known = {name for name, value in vars(builtins).items() if _is_exception(value)}
        classes = [
            (one.name, [dotted(base).split(".")[-1] for base in one.bases])
            for module in self.modules.values()
            for one in module.classes
        ]
        while more := {name for name, bases in classes if known.intersection(bases)} - known:
            known |= more
        return frozenset(known)

    @cached_property
    def _owners(self) -> dict[str, list[Module]]:
        owners: dict[str, list[Module]] = {}
        for module in self.modules.values():
            for name in module.functions:
                owners.setdefault(name, []).append(module)
        return owners

    def where_is(self, module: Module, name: str) -> tuple[Module, str] | None:
        """Follow imports to the module that defines a name, and its name there."""
        for _ in range(4):
            if name in module.functions or name in module.constants:
                return module, name
            source, name = module.imports.get(name, ("", name))
            if source not in self.modules:
                return None
            module = self.modules[source]
        return None

    def imported_module(self, module: Module, name: str) -> Module | None:
        """Return the module that a name stands for, as in ``schema.shown``."""
        source, there = module.imports.get(name, ("", ""))
        return self.modules.get(f"{source}.{there}".strip("."))

    def called(self, call: ast.Call, module: Module) -> tuple[Module, ast.FunctionDef] | None:
        """Find the function of the package that a call runs."""
        match call.func:
            case ast.Name(id=name):
                found = self.where_is(module, name)
            case ast.Attribute(attr=name):
                owner = self._of_attribute(call.func, module)
                found = None if owner is None else (owner, name)
            case _:
                return None
        if found is None or found[1] not in found[0].functions:
            return None
        return found[0], found[0].functions[found[1]]

    def _of_attribute(self, name: ast.Attribute, module: Module) -> Module | None:
        if isinstance(name.value, ast.Name):
            if name.value.id in module.imports:
                return self.imported_module(module, name.value.id)
            if name.value.id in ("self", "cls") and name.attr in module.functions:
                return module
        owners = self._owners.get(name.attr, [])
        return owners[0] if len(owners) == 1 else None

    def calls(self) -> Iterator[Call]:
        """All calls."""
        for module in self.modules.values():
            yield from (Call(module, function, node) for function, node in module.calls)

    @cached_property
    def _callers(self) -> dict[ast.FunctionDef, list[Call]]:
        callers: dict[ast.FunctionDef, list[Call]] = {}
        for call in self.calls():
            found = self.called(call.node, call.module)
            if found is not None:
                callers.setdefault(found[1], []).append(call)
        return callers

    def callers(self, function: ast.FunctionDef) -> list[Call]:
        """Calls of a function, anywhere in the package."""
        return self._callers.get(function, [])


def children(node: ast.AST) -> list[ast.AST]:
    """Nodes right below one that are no bare names or constants, in the order of the source."""
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
            found.append(value)
    return found


@cache
def own_nodes(function: ast.FunctionDef) -> Sequence[ast.AST]:
    """Nodes of a function, without those of functions in it."""
    stack: list[ast.AST] = function.body[::-1]
    found = []
    while stack:
        node = stack.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef):
            stack += children(node)[::-1]
    return found


def assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Targets and values of an assignment; of other nodes nothing."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield node.target, node.value


def parameters(function: ast.FunctionDef) -> list[str]:
    """Names of all parameters, those by position first."""
    names = function.args
    return [one.arg for one in (*names.posonlyargs, *names.args, *names.kwonlyargs)]


def default_of(function: ast.FunctionDef | None, name: str) -> ast.expr | None:
    """Value of a parameter that is left out."""
    if function is None:
        return None
    places = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    values = dict(zip(reversed(places), reversed(function.args.defaults), strict=False))
    by_name = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return (values | {one.arg: value for one, value in by_name if value is not None}).get(name)


def argument(function: ast.FunctionDef, call: ast.Call, name: str) -> ast.expr | None:
    """What a call passes for a parameter, by name or by position."""
    for word in call.keywords:
        if word.arg == name:
            return word.value
    at = [one for one in parameters(function) if one not in ("self", "cls")].index(name)
    if at < len(call.args) and not any(isinstance(one, ast.Starred) for one in call.args):
        return call.args[at]
    return default_of(function, name)


def dotted(node: ast.expr) -> str:
    """Write a name with its dots, or nothing for what is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
