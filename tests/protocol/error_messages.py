"""Every message of a package that its users may read, off its source; nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.protocol.error_source import Call, Module, Package, default_of, dotted
from tests.protocol.error_texts import PLACE, Scope, Texts, has_words

# Constants with texts that users read beside errors, and what these say.
_LISTS: Final = {"REASONS": "rejected row", "_TEXT": "row left out"}


class Message(NamedTuple):
    """A message.

    Attributes
    ----------
    kind : str
        The class that carries it, "command line", or what a list of texts says.
    text : str
        With ``<name>`` for what is filled in.
    where : str
        File and line.
    """

    kind: str
    text: str
    where: str

    @property
    def key(self) -> tuple[str, str]:
        """What equal messages have in common, however their places are called."""
        return self.kind, PLACE.sub("<>", self.text)


def messages(folder: Path) -> list[Message]:
    """Messages of the package in a folder, each once, by file and line."""
    package = Package(folder)
    texts = Texts(package)
    found: dict[tuple[str, str], Message] = {}
    for scope, said, kind in sorted(_spoken(package), key=_place):
        where = f"{scope.module.path}:{said.lineno}"
        for text in texts(said, scope):
            message = Message(kind, " ".join(text.split()), where)
            if has_words(text):
                found.setdefault(message.key, message)
    return list(found.values())


Spoken = tuple[Scope, ast.expr, str]


def _place(spoken: Spoken) -> tuple[str, int]:
    return spoken[0].module.path, spoken[1].lineno


def _spoken(package: Package) -> Iterator[Spoken]:
    """Expressions whose text users read, with the kind of each."""
    for call in package.calls():
        found = _of_call(call, package.errors)
        if found is not None:
            yield Scope(call.module, call.function), *found
    for module in package.modules.values():
        yield from _of_lists(module)


def _of_call(call: Call, errors: frozenset[str]) -> tuple[ast.expr, str] | None:
    name, given = dotted(call.node.func), call.node.args
    if not given:
        return None
    if name == "warnings.warn":
        return given[0], "UserWarning"
    if name == "speech.say":
        spoken = isinstance(given[0], ast.Constant) and given[0].value in ("error", "warning")
        return (given[1], "command line") if spoken else None
    default = default_of(call.function, name)  # as in ``error: type[ClvError] = DomainError``
    kind = (name if default is None else dotted(default)).split(".")[-1]
    if kind not in errors:
        return None
    return given[min(len(given), 2) - 1], kind  # OSError(number, text)


def _of_lists(module: Module) -> Iterator[Spoken]:
    for name, kind in _LISTS.items():
        match module.constants.get(name):
            case ast.Tuple(elts=texts):
                yield from ((Scope(module), text, kind) for text in texts)
            case ast.Dict(keys=keys, values=values):
                for key, text in zip(keys, values, strict=True):
                    # What becomes of a row that is used needs no cure.
                    if not (isinstance(key, ast.Attribute) and key.attr == "USED"):
                        yield Scope(module), text, kind
