"""Imports point one way, PyMC stays where it belongs, and starting up is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clvmodels

PACKAGE = Path(clvmodels.__file__).parent

# Lower imports nothing from higher; modules of one layer leave each other alone.
LAYERS: list[set[str]] = [
    {"errors"},
    {"progress"},
    {"schema", "keywords", "display", "model_facts"},
    {"machine", "path_checks", "sentences", "threads"},
    {
        "formulas",
        "dates",
        "frames",
        "outputs",
        "verdict",
    },
    {"limits"},
    {"log"},
    {"purchases", "rejects", "uses", "margin"},
    {"simulate"},
    {"rfm"},
    {"datasets"},
    {"forecast"},
    {"posterior"},
    {"scoring", "economics", "warehouse"},
    {"predictive"},
    {"mlflow", "spark"},
    {"fit"},
    {"interop"},
    {"evaluation"},
    {"diagnostics"},
    {"plots"},
    {"reporting"},
    {"explorer"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# What is pure sees nothing but these, however low the rest lies.
ONLY = {"formulas": {"errors", "schema", "machine", "formulas"}}

PYMC = {"pymc", "pymc_extras", "pymc_marketing", "pytensor", "nutpie"}
PYMC_AT_HOME = {"fit", "interop"}
FRAMES = {"pandas", "polars", "pyarrow", "ibis", "duckdb", "xarray", "arviz", "arviz_base"}


def parts_of(file: Path, package: Path) -> tuple[str, ...]:
    """Return a file's name below the package: ("formulas", "bgnbd"), () for the package."""
    parts = file.relative_to(package).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(file: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute dotted name) of every import, also inside functions."""
    here = (package.name, *parts_of(file, package))
    if file.name == "__init__.py":
        here = (*here, "__init__")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level]) if node.level else []
            dotted = ".".join([*base, *([node.module] if node.module else [])])
            if dotted == package.name:  # each name is a module of its own
                yield from ((node.lineno, f"{dotted}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, dotted


def upward_arrows(package: Path) -> list[str]:
    """Return one line for each import that DESIGN's layout does not allow."""
    complaints = []
    for file in sorted(package.rglob("*.py")):
        parts = parts_of(file, package)
        if not parts:
            continue  # the public names: lazy, and above everything
        where = file.relative_to(package.parent)
        if parts[0] not in RANK:
            complaints.append(f"{where}: {parts[0]} has no place in LAYERS")
            continue
        for line, name in imported(file, package):
            head, _, rest = name.partition(".")
            if head != package.name or rest == "__version__":
                continue
            target = rest.partition(".")[0]
            if target == parts[0]:
                continue
            allowed = ONLY.get(parts[0], set(RANK))
            if target not in allowed or RANK[target] >= RANK[parts[0]]:
                complaints.append(f"{where}:{line} imports {target or 'the package itself'}")
    return complaints


def foreign_imports(package: Path, names: set[str]) -> dict[str, list[str]]:
    """Map each top-level module to the places where it imports one of the names."""
    found: dict[str, list[str]] = {}
    for file in sorted(package.rglob("*.py")):
        top = (*parts_of(file, package), "")[0]
        for line, name in imported(file, package):
            if name.partition(".")[0] in names:
                found.setdefault(top, []).append(f"{file.relative_to(package)}:{line} {name}")
    return found


def test_arrows_point_one_way() -> None:
    assert upward_arrows(PACKAGE) == []


def test_pymc_stays_in_fit_and_interop() -> None:
    strays = {
        top: places
        for top, places in foreign_imports(PACKAGE, PYMC).items()
        if top not in PYMC_AT_HOME
    }
    assert strays == {}


def test_formulas_know_no_frames() -> None:
    assert foreign_imports(PACKAGE, FRAMES).get("formulas", []) == []


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("rfm.py", "from clvmodels.posterior import load", "imports posterior"),
        ("rfm.py", "from clvmodels import posterior", "imports posterior"),
        ("rfm.py", "def f():\n    import clvmodels.cli", "imports cli"),
        ("rfm.py", "from .fit import anything", "imports fit"),
        ("rfm.py", "import clvmodels", "imports the package itself"),
        ("formulas/beta_geometric.py", "from ..rfm import RfmTable", "imports rfm"),
        ("formulas/__init__.py", "from ..forecast import f", "imports forecast"),
        ("novelty.py", "", "no place in LAYERS"),
    ],
)
def test_the_walk_sees_an_upward_arrow(
    tmp_path: Path, file: str, line: str, complaint: str
) -> None:
    package = tmp_path / "clvmodels"
    (package / "formulas").mkdir(parents=True)
    (package / "formulas" / "fine.py").write_text("from .. import errors\nfrom . import other\n")
    (package / file).write_text(line + "\n")
    (found,) = upward_arrows(package)
    assert complaint in found


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def best_seconds(code: str, *, runs: int = 5) -> float:
    """Return the least CPU time of fresh interpreters, what a quiet machine would take.

    CPU time and the least of several runs, since other work may share the machine.
    """
    timed = f"{code}\nimport os\nprint(sum(os.times()[:2]))"
    run_python(timed)  # writes the byte code
    return min(float(run_python(timed).splitlines()[-1]) for _ in range(runs))


def test_importing_the_package_is_quick() -> None:
    assert best_seconds("import clvmodels") < 0.5


def test_importing_the_package_loads_no_heavy_library() -> None:
    heavy = sorted(PYMC | FRAMES | {"numpy", "numba", "scipy", "matplotlib"})
    loaded = run_python(f"import sys, clvmodels; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["posterior", "forecast", "rfm", "scoring", "simulate", "spark", "mlflow", "cli"]
)
def test_scoring_loads_no_pymc(module: str) -> None:
    loaded = run_python(
        f"import sys, clvmodels.{module}; print([m for m in {sorted(PYMC)} if m in sys.modules])"
    )
    assert loaded.strip() == "[]"


def test_help_loads_nothing_that_is_not_shown() -> None:
    """What takes long is loaded by the command that needs it: numba alone takes as long as help."""
    heavy = sorted(PYMC | FRAMES | {"numba", "scipy", "matplotlib"})
    code = f"""
import contextlib, io, sys
from clvmodels.cli import main
sys.argv = ["clvmodels", "--help"]
text = io.StringIO()
with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
    main()
assert all(command in text.getvalue() for command in ("demo", "summarize", "fit", "score")), text
print([m for m in {heavy} if m in sys.modules])
"""
    assert run_python(code).strip() == "[]"
    assert best_seconds(code, runs=3) < 1.0


def test_public_names_are_there_and_lazy() -> None:
    assert sorted(set(clvmodels.__all__)) == sorted(clvmodels.__all__)
    assert set(clvmodels.__all__) <= set(dir(clvmodels))
    for name in clvmodels.__all__:
        assert getattr(clvmodels, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = clvmodels.no_such_name


def test_only_public_names_are_listed() -> None:
    """And modules are there without an import of their own."""
    shown = run_python("import clvmodels; print(*dir(clvmodels))").split()
    assert {name for name in shown if not name.startswith("__")} < set(clvmodels.__all__)
    code = "import clvmodels as c; print(c.plots.plot_trace, c.scoring, c.evaluation, c.predictive)"
    assert "module 'clvmodels.predictive'" in run_python(code)


def test_version_is_the_distributions() -> None:
    pyproject = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{clvmodels.__version__}"\n' in pyproject
