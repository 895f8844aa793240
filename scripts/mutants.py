"""Plant small faults into formulas, purchases and forecast, and count which of them tests notice.

    python scripts/mutants.py FILE.csv [EACH] [MODULE ...]

Cosmic Ray makes the faults (`pip install cosmic-ray` into the Python that runs this: it is no
dependency of the package's environment). In a copy of the checkout, EACH of every module's are
planted one by one, drawn with a fixed seed, and the module's tests run with the environment of the
checkout. Compiled code runs as plain Python, so that no cache hides a fault; what passes is tried
again compiled, with the golden numbers and the laws, and of what is compiled only files that do
not import the module come from a cache. FILE.csv has a line a module, and lines of other modules
stay as they are; faults that were not noticed are printed.
"""

from __future__ import annotations

import ast
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkItem

ROOT = Path(__file__).resolve().parents[1]
SEED, LONGEST = 20261129, 400.0
PREDICTIONS = ["tests/oracle/test_predict_oracle.py"]
COSTS = [*PREDICTIONS, "tests/unit/test_contribution_margin.py"]
FORMULAS = ["tests/oracle/test_formula_references.py", *PREDICTIONS]
TESTS = {
    "formulas/beta_geometric.py": FORMULAS,
    "formulas/discounting.py": FORMULAS,
    "formulas/gamma_gamma.py": [*FORMULAS, "tests/unit/test_first_orders.py"],
    "formulas/residual.py": FORMULAS,
    "formulas/special.py": [*FORMULAS, "tests/unit/test_special_functions.py"],
    "purchases/beta_geometric.py": PREDICTIONS,
    "purchases/family.py": COSTS,
    "forecast/rows.py": COSTS,
    "forecast/spending.py": [*PREDICTIONS, "tests/unit/test_spend_covariates.py"],
    "forecast/tails.py": PREDICTIONS,
    "forecast/values.py": PREDICTIONS,
    "forecast/worth.py": COSTS,
}
# what takes a minute and asks no more of these modules than the others do
SKIP = "-k 'not report and not backtest'"
SECOND = [
    "tests/golden",
    "tests/laws/test_formula_laws.py",
    "tests/unit/test_predict_kernel.py",
    "tests/unit/test_base_sums.py",
    "tests/unit/test_calendar.py",
    "tests/unit/test_phases.py",
]


def main(target: str, each: str = "8", *modules: str) -> None:
    """Count, module by module."""
    path = Path(target).resolve()
    rows = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = {row["module"]: row for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
        os.chdir(copy)
        warm = Path(folder) / "warm"
        for one in modules or TESTS:
            rows[one] = counted(one, int(each), warm)
            write(path, [rows[known] for known in TESTS if known in rows])


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Write a line a module."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def counted(module: str, each: int, warm: Path) -> dict[str, object]:
    """Plant some faults of a module one by one."""
    path = Path("clvmodels") / module
    items = planted(path)
    chosen = random.Random(SEED).sample(items, min(each, len(items)))
    quick = [item for item in chosen if passes(item, TESTS[module])]
    users = importers(path)
    left = [item for item in quick if passes(item, SECOND, warm, users)]
    row: dict[str, object] = {"module": module, "faults": len(items), "planted": len(chosen)}
    row |= {"noticed": len(chosen) - len(left), "not_noticed": len(left)}
    print(row, flush=True)
    return row


def planted(path: Path) -> list[WorkItem]:
    """Every fault that Cosmic Ray knows of a module, but those that change no number.

    These are in decorators, and bars in types.
    """
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder) / "db")) as database:
        init([path], database, {})
        found = list(database.work_items)
    lines = path.read_text(encoding="utf-8").splitlines()

    def tells(one: MutationSpec) -> bool:
        line = lines[one.start_pos[0] - 1].strip()
        return not line.startswith("@") and "BitOr" not in one.operator_name

    chosen = [item for item in found if all(map(tells, item.mutations))]
    return sorted(
        chosen, key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence)
    )


def importers(module: Path) -> list[Path]:
    """Files that import a module or import one that does, and itself."""
    asked: dict[Path, set[str]] = {}
    for path in Path("clvmodels").rglob("*.py"):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        asked[path] = names
    found = {module}
    while True:
        names = {".".join(one.with_suffix("").parts).removesuffix(".__init__") for one in found}
        more = {path for path, wanted in asked.items() if wanted & names} - found
        if not more:
            return sorted(found)
        found |= more


def passes(
    item: WorkItem, tests: list[str], warm: Path | None = None, users: list[Path] | None = None
) -> bool:
    """Whether tests pass in spite of a fault: interpreted, or with what is warm compiled."""
    with tempfile.TemporaryDirectory() as folder:
        caches = Path(folder) / "caches"
        if warm is not None:
            if not warm.exists():
                fill(warm)
            shutil.copytree(warm, caches)
            for user in users or []:
                for stale in caches.glob(f"{user.parent.name}_*/{user.stem}.*"):
                    stale.unlink()
        command = tried(tests, caches, compiled=warm is not None)
        result = mutate_and_test(item.mutations, command, LONGEST)
    shutil.rmtree("clvmodels/__pycache__", ignore_errors=True)
    if warm is not None and result.test_outcome == TestOutcome.SURVIVED:
        print(result.diff, flush=True)
    return result.test_outcome == TestOutcome.SURVIVED


def fill(warm: Path) -> None:
    """Compile what the second tests need, without a fault."""
    if subprocess.run(tried(SECOND, warm, compiled=True), shell=True, check=False).returncode:
        sys.exit("Without a fault these tests fail: mend them first.")


def tried(tests: list[str], caches: Path, *, compiled: bool) -> str:
    """Make the command that runs tests, and set what it compiles into."""
    os.environ["NUMBA_CACHE_DIR"] = str(caches)
    os.environ["NUMBA_DISABLE_JIT"] = "0" if compiled else "1"
    python = ROOT / ".venv/bin/python"
    return (
        f"{python} -m pytest -q -x -n 0 -p no:cacheprovider -m 'not slow' {SKIP} {' '.join(tests)}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
