"""Notebooks run from top to bottom by a new kernel, and what is stored is what they show.

A notebook has 90 seconds. On a busy machine the clock says little of the notebook, and
processor time little of one that waits, so the smaller of the two is judged: both pass on
two idle cores. ``pytest -rP`` shows both.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from scripts import notebooks

LIMIT = 90.0  # seconds
NAMES = [
    "01_whom_to_write_to",
    "02_a_csv_of_your_own",
    "03_a_log_without_amounts",
    "04_how_far_can_i_trust_it",
    "05_which_channel",
    "06_the_export",
    "07_from_scores_to_decisions",
]
LARGEST = 400_000  # bytes of a stored notebook


def of_cells(*sources: str) -> NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])


# --- what is stored ---


def test_every_notebook_is_there_twice() -> None:
    assert notebooks.names() == NAMES
    assert sorted(path.stem for path in notebooks.FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_text_and_notebook_are_a_pair(name: str) -> None:
    """Where this fails: make notebooks."""
    written, stored = notebooks.read_text(name), notebooks.read_stored(name)
    assert notebooks.sources(stored) == notebooks.sources(written)
    assert [cell.id for cell in stored.cells] == [cell.id for cell in written.cells]
    assert stored.metadata == nbformat.from_dict(notebooks.METADATA)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_was_run_and_tells_nothing_of_the_machine(name: str) -> None:
    stored = notebooks.read_stored(name)
    nbformat.validate(stored)
    assert notebooks.faults(stored) == []
    assert (notebooks.FOLDER / f"{name}.ipynb").stat().st_size < LARGEST
    assert all(not cell.metadata for cell in stored.cells)


@pytest.mark.parametrize("name", NAMES)
def test_it_asks_and_ends_in_a_decision(name: str) -> None:
    """What the text says of numbers is asserted, in few cells."""
    cells = notebooks.sources(notebooks.read_text(name))
    assert cells[0][1].splitlines()[0].endswith("?")
    words = [source for kind, source in cells if kind == "markdown"]
    headings = re.findall(r"^## (.+)$", "\n".join(words), re.MULTILINE)
    assert headings[-1] == "The decision"
    assert "**To think about.**" in words[-1]
    asserting = [
        source for kind, source in cells if kind == "code" and re.search(r"^assert", source, re.M)
    ]
    assert 1 <= len(asserting) <= 3


@pytest.mark.parametrize("name", NAMES)
def test_code_in_text_is_python(name: str) -> None:
    """What a notebook tells to type is not run, so that nothing else would see it."""
    for kind, source in notebooks.sources(notebooks.read_text(name)):
        if kind == "markdown":
            for block in re.findall(r"```(?:python|py)\n(.*?)```", source, flags=re.DOTALL):
                ast.parse(block)


@pytest.mark.parametrize("name", NAMES)
def test_the_working_directory_stays_the_readers(name: str) -> None:
    """Also where the notebook is stopped half-way; a process of its own may be elsewhere."""
    code = [
        source for kind, source in notebooks.sources(notebooks.read_text(name)) if kind == "code"
    ]
    assert not [cell for cell in code if re.search(r"\bchdir\b|^\s*[%!]cd\b", cell, re.MULTILINE)]


# --- the runner ---


def stored_by_hand() -> NotebookNode:
    notebook = of_cells("1 + 1", "print('a')")
    for i, cell in enumerate(notebook.cells):
        cell.execution_count = i + 1
    text = nbformat.v4.new_output("stream", name="stdout", text="see https://example.org/a/b\n")
    notebook.cells[1].outputs = [text]
    return notebook


def not_run(notebook: NotebookNode) -> None:
    notebook.cells[0].execution_count = None


def out_of_order(notebook: NotebookNode) -> None:
    notebook.cells[0].execution_count, notebook.cells[1].execution_count = 2, 1


def failed(notebook: NotebookNode) -> None:
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    notebook.cells[0].outputs = [error]


def warned(notebook: NotebookNode) -> None:
    notebook.cells[1].outputs[0].name = "stderr"


def printed(text: str) -> Callable[[NotebookNode], None]:
    def spoil(notebook: NotebookNode) -> None:
        notebook.cells[1].outputs[0].text = text

    return spoil


def displayed(notebook: NotebookNode) -> None:
    data = {"text/html": "<p>/home/someone/base</p>"}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]


SPOILT = {
    "not run": not_run,
    "out of order": out_of_order,
    "failed": failed,
    "warned": warned,
    "displayed a path": displayed,
    "a temporary folder": printed("Wrote /tmp/tmpx1/scores."),
    "a home": printed(f"'{Path('/', 'root', 'env')}/bin/python'"),
    "a library": printed("lib/site-packages/x.py:3: UserWarning"),
    "a registry": printed("from https://example.org/artifactory/api/pypi/"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_faults_are_found(how: str) -> None:
    notebook = stored_by_hand()
    assert notebooks.faults(notebook) == []
    SPOILT[how](notebook)
    assert len(notebooks.faults(notebook)) == 1


@pytest.mark.slow
def test_a_wrong_number_fails_and_the_kernel_is_gone() -> None:
    notebook = of_cells("import os, pathlib\nprint(os.getpid())", "assert 1 + 1 == 3", "print(2)")
    with pytest.raises(CellExecutionError, match="1 \\+ 1 == 3"):
        notebooks.run(notebook)
    assert notebook.cells[2].execution_count is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(notebook.cells[0].outputs[0].text), 0)


@pytest.mark.slow
def test_the_kernel_is_this_interpreter_whatever_the_environment(tmp_path: Path) -> None:
    """Nothing but HOME and PATH is set, and another folder is the working directory."""
    script = """
import nbformat, sys
from scripts import notebooks
cell = nbformat.v4.new_code_cell(
    "import os, sys, clvmodels\\n"
    "print(sys.executable, clvmodels.__file__, os.listdir(), sep='|')\\n"
    "!clvmodels --version"
)
notebook = nbformat.v4.new_notebook(cells=[cell])
took = notebooks.run(notebook)
assert 0 < took.processor
print(notebook.cells[0].outputs[0].text)
"""
    kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    code = f"import sys; sys.path.insert(0, {str(notebooks.ROOT)!r})\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    first, version = done.stdout.strip().splitlines()
    executable, package, listed = first.split("|")
    assert executable == sys.executable
    assert Path(package) == notebooks.ROOT / "clvmodels" / "__init__.py"
    assert listed == "[]"
    assert "0." in version


# --- the notebooks themselves ---


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_from_a_clean_kernel(name: str, tmp_path: Path) -> None:
    shutil.copy(notebooks.FOLDER / f"{name}.py", tmp_path)
    notebook = notebooks.read_text(name, tmp_path)
    last = "import os\nos.path.basename(os.getcwd()), os.listdir()"
    notebook.cells.append(of_cells(last).cells[0])
    took = notebooks.run(notebook)  # a failed assert raises
    where = notebook.cells.pop().outputs[0].data["text/plain"]
    assert where == "('empty', [])", "the notebook left the reader's folder, or files in it"
    print(f"{name}: {took.wall:.0f} s, {took.processor:.0f} s of processors")
    assert notebooks.faults(notebook) == []
    shown = [len(cell.get("outputs", [])) > 0 for cell in notebook.cells]
    stored = [len(cell.get("outputs", [])) > 0 for cell in notebooks.read_stored(name).cells]
    assert shown == stored
    assert min(took.wall, took.processor) < LIMIT, f"took {took}"
