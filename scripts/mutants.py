"""Plant small faults into formulas, purchases and forecast, and count which of them tests notice.

    python scripts/mutants.py FILE.csv [EACH] [MODULE ...]

Cosmic Ray makes the faults (`pip install cosmic-ray` into the Python that runs this: it is no
dependency of the package's environment). In a copy of the checkout, EACH of every module's are
planted one by one, drawn with a fixed seed, and the module's tests run with the environment of the
checkout. Compiled code runs as plain Python, so that no cache hides a fault; what passes is tried
again compiled, with the golden numbers and the laws. FILE.csv has a line a module; faults that
were not noticed are printed.
"""

from __future__ import annotations

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
SEED, LONGEST = 20261129, 900.0
PREDICTIONS = ["tests/oracle/test_predict_oracle.py"]
FORMULAS = ["tests/oracle/test_formula_references.py", *PREDICTIONS]
TESTS = {
    "formulas/beta_geometric.py": FORMULAS,
    "formulas/discounting.py": FORMULAS,
    "formulas/gamma_gamma.py": FORMULAS,
    "formulas/residual.py": FORMULAS,
    "formulas/special.py": [*FORMULAS, "tests/unit/test_special_functions.py"],
    "purchases/beta_geometric.py": PREDICTIONS,
    "purchases/family.py": PREDICTIONS,
    "forecast/rows.py": PREDICTIONS,
    "forecast/spending.py": PREDICTIONS,
    "forecast/tails.py": PREDICTIONS,
    "forecast/values.py": PREDICTIONS,
    "forecast/worth.py": PREDICTIONS,
}
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
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
        os.chdir(copy)
        rows = [counted(one, int(each)) for one in modules or TESTS]
    with Path(target).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def counted(module: str, each: int) -> dict[str, object]:
    """Plant some faults of a module one by one."""
    path = Path("clvmodels") / module
    items = planted(path)
    chosen = random.Random(SEED).sample(items, min(each, len(items)))
    quick = [item for item in chosen if passes(item, TESTS[module], compiled=False)]
    left = [item for item in quick if passes(item, [*TESTS[module], *SECOND], compiled=True)]
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


def passes(item: WorkItem, tests: list[str], *, compiled: bool) -> bool:
    """Whether tests pass in spite of a fault."""
    with tempfile.TemporaryDirectory() as caches:
        os.environ["NUMBA_CACHE_DIR"] = caches
        os.environ["NUMBA_DISABLE_JIT"] = "0" if compiled else "1"
        python = ROOT / ".venv/bin/python"
        command = (
            f"{python} -m pytest -q -x -n 0 -p no:cacheprovider -m 'not slow' {' '.join(tests)}"
        )
        result = mutate_and_test(item.mutations, command, LONGEST)
    shutil.rmtree("clvmodels/__pycache__", ignore_errors=True)
    if compiled and result.test_outcome == TestOutcome.SURVIVED:
        print(result.diff, flush=True)
    return result.test_outcome == TestOutcome.SURVIVED


if __name__ == "__main__":
    main(*sys.argv[1:])
