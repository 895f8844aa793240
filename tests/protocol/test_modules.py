"""Modules are of a size, each with a name of its own, and import each other in one direction."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import clvmodels

PACKAGE = Path(clvmodels.__file__).parent
SMALL, MOST = 100, 400
# "Apart, since ...": why a small module with one importer is no part of it
REASON = re.compile(r"\b[Aa]part\b.*\b(since|because|so that)\b", re.DOTALL)

# These rooms draw and run what others compute, under its name.
OF_THE_SAME = {"plots", "cli"}
# One idea: on one machine and on Spark; one model as formulas, specification and posterior;
# what is forecast, by loops, by formulas and with labels; the simple formula, and a base by it.
ALIKE = {
    "beta_geometric": {"formulas", "purchases"},
    "blocks": {"scoring", "spark"},
    "clv": {"fit", "posterior"},
    "cnbd": {"formulas", "purchases"},
    "counts": {"forecast", "formulas", "predictive"},
    "gamma_gamma": {"fit", "formulas"},
    "pareto_nbd": {"formulas", "purchases"},
    "purchases": {"", "fit", "log", "posterior"},
    "simple": {"economics", "formulas"},
    "summary": {"rfm", "spark"},
    "values": {"diagnostics", "forecast", "predictive", "reporting"},
}
# Beyond 400 lines for now, with the lines that each may have.
LONG: dict[str, int] = {}


def modules(package: Path) -> dict[str, Path]:
    """Every module by its dotted name; a folder's ``__init__`` is the folder."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def named_imports(file: Path, dotted: str) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name or None) of every import that binds something, also in functions."""
    here = dotted.split(".") if file.name == "__init__.py" else dotted.split(".")[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for one in node.body
        for inner in ast.walk(one)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) + 1 - node.level] if node.level else []
            home = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((home, alias.name) for alias in node.names)


class Graph:
    """Which module of a package imports which; names of a folder lead to where they are made."""

    def __init__(self, package: Path) -> None:
        self.files = modules(package)
        self.folders = {n for n, f in self.files.items() if f.name == "__init__.py"}
        self.imports = {n: set(named_imports(f, n)) for n, f in self.files.items()}
        # the root's names (__version__) are there before anything else
        own = {package.name}
        self.arrows = {n: self._targets(n) - {n} - own for n in self.files}

    def importers(self) -> Mapping[str, set[str]]:
        """Modules by which each is imported; a folder that shows its names is one of them."""
        found: dict[str, set[str]] = defaultdict(set)
        for one, targets in self.arrows.items():
            for target in targets:
                found[target].add(one)
        return found

    def circles(self) -> list[list[str]]:
        """Groups of modules each of which leads to all others (Tarjan's algorithm)."""
        order: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(one: str) -> None:
            order[one] = low[one] = len(order)
            stack.append(one)
            for other in sorted(self.arrows[one]):
                if other not in order:
                    visit(other)
                    low[one] = min(low[one], low[other])
                elif other in stack:
                    low[one] = min(low[one], order[other])
            if low[one] == order[one]:
                at = stack.index(one)
                if len(stack) - at > 1:
                    found.append(sorted(stack[at:]))
                del stack[at:]

        for one in self.files:
            if one not in order:
                visit(one)
        return found

    def _targets(self, one: str) -> set[str]:
        return {home for dotted, name in self.imports[one] if (home := self._home(dotted, name))}

    def _home(self, dotted: str, name: str | None) -> str | None:
        if name is not None and f"{dotted}.{name}" in self.files:
            return f"{dotted}.{name}"
        if dotted in self.folders and name is not None:
            for other, shown in self.imports[dotted]:
                if shown == name and other != dotted:
                    return self._home(other, name)
        return dotted if dotted in self.files else None


GRAPH = Graph(PACKAGE)


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def small_with_one_importer(graph: Graph) -> list[str]:
    """Small modules that belong to the only one that needs them, and do not say why not.

    What a folder shows of a module in its ``__init__``, or the package of it by name, users
    import.
    """
    importers, found = graph.importers(), []
    for name, file in graph.files.items():
        only = importers[name] - {name.rpartition(".")[0]}
        shown = importers[name] != only or name.rpartition(".")[2] in clvmodels.__all__
        if file.stem.startswith("__") or lines_of(file) >= SMALL or len(only) != 1 or shown:
            continue
        doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        if not REASON.search(doc):
            found.append(f"{name} ({lines_of(file)} lines): only {min(only)} needs it")
    return found


def of_one_name(graph: Graph) -> dict[str, set[str]]:
    """Names that several modules or folders have, with the folders that they are in."""
    found: dict[str, set[str]] = defaultdict(set)
    for dotted, file in graph.files.items():
        folder = dotted.partition(".")[2].rpartition(".")[0]
        if file.stem != "__main__" and "." in dotted and folder not in OF_THE_SAME:
            found[dotted.rpartition(".")[2]].add(folder)
    return {name: where for name, where in found.items() if len(where) > 1}


def test_small_modules_belong_to_their_one_importer() -> None:
    assert small_with_one_importer(GRAPH) == []


def test_no_module_is_long() -> None:
    lines = {name: lines_of(file) for name, file in GRAPH.files.items()}
    assert {name for name, n in lines.items() if n > LONG.get(name, MOST)} == set()
    assert {name for name in LONG if lines.get(name, 0) <= MOST} == set(), "not long any more"


def test_names_of_modules_say_which() -> None:
    assert of_one_name(GRAPH) == ALIKE


def test_no_circles_among_files() -> None:
    assert GRAPH.circles() == []


def package_of(folder: Path, files: Mapping[str, str]) -> Graph:
    """A package of some files."""
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / "toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Graph(folder / "toy")


def test_circles_are_seen_inside_functions_and_through_folders(tmp_path: Path) -> None:
    files = {
        "a.py": "def f():\n    from toy.room import g",
        "room/__init__.py": "from toy.room.b import g",
        "room/b.py": "import toy.a\ndef g(): ...",
        "room/c.py": "from . import b\nfrom toy import __version__",
        "d.py": "if TYPE_CHECKING:\n    from toy import e",
        "e.py": "from toy import d",
    }
    assert package_of(tmp_path, files).circles() == [["toy.a", "toy.room.b"]]


@pytest.mark.parametrize(
    ("small", "other", "fine"),
    [
        ('"""Numbers."""', "", False),
        ('"""Numbers.\n\nApart from `user`, since it loads slowly.\n"""', "", True),
        ('"""Numbers, apart from others."""', "", False),
        ('"""Numbers."""', "import toy.small", True),
        ('"""Numbers."""\n' + "\n" * SMALL, "", True),
    ],
)
def test_a_small_module_is_seen(tmp_path: Path, small: str, other: str, fine: bool) -> None:
    files = {"small.py": small, "user.py": "from toy import small", "other.py": other}
    found = small_with_one_importer(package_of(tmp_path, files))
    assert [line.partition(" ")[0] for line in found] == ([] if fine else ["toy.small"])


def test_modules_of_one_name_are_seen(tmp_path: Path) -> None:
    files = {"one/rows.py": "", "two/rows.py": "", "plots/rows.py": "", "two/own.py": ""}
    rooms = {f"{room}/__init__.py": "" for room in ("one", "two", "plots")}
    assert of_one_name(package_of(tmp_path, files | rooms)) == {"rows": {"one", "two"}}
