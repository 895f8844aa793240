"""Run the notebooks and store their outputs beside them.

Usage: python scripts/notebooks.py [--words] [NAME ...]

``notebooks/NAME.py`` is what is written and reviewed (jupytext's py:percent); this makes
``notebooks/NAME.ipynb`` of it: the same cells, run in order by a new kernel in an empty
folder, with what they showed. Nothing of the machine is kept, so that a second run changes
little. Without names all notebooks are run.
"""

from __future__ import annotations

import base64
import io
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "notebooks"
CELL_SECONDS: Final = 600
COLOURS: Final = 128  # of stored pictures
METADATA: Final = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What must not be in stored outputs: where a machine keeps things, or fetches them from.
MACHINE: Final = re.compile(
    r"(?<![\w.:/])/(?:root|home|Users|work|tmp|var|opt|usr|mnt|private|builds?)/[\w.]"
    r"|site-packages|ipykernel_\d|https?://\S*(?:simple/|pypi|artifact|registry|index)\S*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """What a run took: by the clock, and of processors (of all that the kernel waited for)."""

    wall: float
    processor: float


def names() -> list[str]:
    """All notebooks, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def read_text(name: str, folder: Path = FOLDER) -> NotebookNode:
    """Read a notebook as it is written, without outputs; cells get ids that stay."""
    notebook = jupytext.read(folder / f"{name}.py", fmt="py:percent")
    cells = [_plain_cell(i, cell) for i, cell in enumerate(notebook.cells)]
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA)


def read_stored(name: str, folder: Path = FOLDER) -> NotebookNode:
    """Read a notebook as it is stored, with outputs."""
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def run(notebook: NotebookNode) -> Seconds:
    """Run all cells by a new kernel, in an empty folder; their outputs go into the notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed.
    """
    begun, before = time.perf_counter(), _processor_seconds()
    with tempfile.TemporaryDirectory() as scratch, _environment(Path(scratch)) as environment:
        folder = Path(scratch) / "empty"
        folder.mkdir()
        manager = _manager(Path(scratch))
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=CELL_SECONDS,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            client.execute(env=environment)
        finally:
            if client.kc is not None:
                client.kc.stop_channels()
            run_sync(manager.shutdown_kernel)()
    for cell in notebook.cells:
        _tidy(cell)
    return Seconds(time.perf_counter() - begun, _processor_seconds() - before)


def store(name: str, notebook: NotebookNode, folder: Path = FOLDER) -> Path:
    """Write a notebook with its outputs."""
    notebook.metadata = nbformat.from_dict(METADATA)
    nbformat.validate(notebook)
    path = folder / f"{name}.ipynb"
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return path


def sources(notebook: NotebookNode) -> list[tuple[str, str]]:
    """Kind and source of every cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def faults(notebook: NotebookNode) -> list[str]:
    """What is wrong with stored outputs: cells not run, or out of order, errors, paths."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("the cells were not all run once, in order")
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"{output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                found.append(f"a warning is shown: {output.text[:200]}")
            found += [f"the output names {text!r}" for text in _of_the_machine(output)]
    return found


def _manager(scratch: Path) -> AsyncKernelManager:
    """Manager of a kernel that is the interpreter which runs this, whatever is installed."""
    return AsyncKernelManager(
        kernel_name="python3",
        # Without folders of specifications python3 can be no other
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        transport="ipc",
        connection_file=str(scratch / "kernel.json"),
    )


def _of_the_machine(output: NotebookNode) -> Iterator[str]:
    """Parts of an output that tell of the machine; pictures cannot."""
    shown = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
    for text in (output.get("text", ""), *map(str, shown.values())):
        yield from (match.group() for match in MACHINE.finditer(text))


def _plain_cell(place: int, cell: NotebookNode) -> NotebookNode:
    make = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
    return make(cell.source, id=f"cell-{place:02d}")


def _tidy(cell: NotebookNode) -> None:
    """Leave no times, addresses or heavy pictures in a cell that was run."""
    cell.metadata = NotebookNode()
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            data["image/png"] = _few_colours(data["image/png"])
            data.pop("text/plain", None)  # the size, which is in the picture
            output.metadata = NotebookNode()


def _few_colours(encoded: str) -> str:
    """The same picture in a palette, and without the name of the library that drew it."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    target = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
    return base64.b64encode(target.getvalue()).decode("ascii")


@contextmanager
def _environment(scratch: Path) -> Iterator[dict[str, str]]:
    """Variables of the kernel: nobody's settings, this package, and its command on the PATH."""
    commands = scratch / "bin"
    commands.mkdir()
    command = commands / "clvmodels"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m clvmodels.cli "$@"\n')
    command.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k not in _UNWANTED}
    yield environment | {
        "COLUMNS": "92",
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PATH": f"{commands}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "0",
        "TMPDIR": _made(scratch / "tmp"),
    }


# The first makes every import compile anew.
_UNWANTED: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "PYTEST_CURRENT_TEST")


def _made(folder: Path) -> str:
    folder.mkdir()
    return str(folder)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def with_new_words(name: str) -> NotebookNode:
    """The notebook as it is written, with the outputs that are stored.

    Raises
    ------
    ValueError
        Code has changed, and so must be run.
    """
    written, stored = read_text(name), read_stored(name)
    new, old = ([c for c in one.cells if c.cell_type == "code"] for one in (written, stored))
    if [cell.source for cell in new] != [cell.source for cell in old]:
        raise ValueError("code has changed: run it, without --words")
    for cell, before in zip(new, old, strict=True):
        cell.update(outputs=before.outputs, execution_count=before.execution_count)
    return written


def _executed(name: str) -> NotebookNode:
    notebook = read_text(name)
    took = run(notebook)
    print(f"{name}: {took.wall:.0f} s, {took.processor:.0f} s of processors", flush=True)
    return notebook


def main(arguments: list[str]) -> int:
    """Run and store the notebooks that are named, or all."""
    make = with_new_words if "--words" in arguments else _executed
    for name in [Path(each).stem for each in arguments if each != "--words"] or names():
        try:
            notebook = make(name)
        except (CellExecutionError, ValueError) as error:
            print(f"{name}: {error}")
            return 1
        store(name, notebook)
        wrong = faults(notebook)
        if wrong:
            print(name, *wrong, sep="\n  ")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
