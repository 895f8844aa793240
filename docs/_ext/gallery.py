"""The notebooks of the repository as pages, with a gallery made from the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TITLE: Final = "Notebooks"
INTRO: Final = """\
Real data, from a clean kernel, with results that are asserted: a wrong number fails the tests.
Each is a file of `notebooks/` in the repository, to be opened and run.
"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Copy the notebooks before Sphinx looks for pages."""
    app.connect("builder-inited", lambda app: copy(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy(docs: Path) -> None:
    """Copy notebooks/*.ipynb to docs/notebooks/ and write the gallery's page.

    Files that have not changed keep their times, so that Sphinx does not read them again.
    """
    source, target = docs.parent / "notebooks", docs / "notebooks"
    target.mkdir(exist_ok=True)
    found = sorted(source.glob("[0-9]*.ipynb"))
    for stale in set(target.glob("*.ipynb")) - {target / file.name for file in found}:
        stale.unlink()
    for file in found:
        if not _same(file, target / file.name):
            shutil.copyfile(file, target / file.name)
    page = _page(found)
    index = target / "index.md"
    if not index.is_file() or index.read_text(encoding="utf-8") != page:
        index.write_text(page, encoding="utf-8")


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _page(files: list[Path]) -> str:
    entries = [_entry(file, *_head(file)) for file in files]
    listed = "\n".join(file.stem for file in files)
    tree = f":::{{toctree}}\n:hidden:\n\n{listed}\n:::\n"
    return "\n".join([f"# {TITLE}", "", INTRO, *entries, "", tree])


def _entry(file: Path, title: str, text: str) -> str:
    return f"- **[{title}]({file.name})**: {text}"


def _head(file: Path) -> tuple[str, str]:
    """Title and first paragraph of a notebook."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    words = [_text(cell) for cell in cells if cell["cell_type"] == "markdown"]
    paragraphs = [part.strip() for text in words for part in text.split("\n\n") if part.strip()]
    title = next((part for part in paragraphs if part.startswith("# ")), f"# {file.stem}")
    plain = [part for part in paragraphs if part[0].isalpha()]
    return title.splitlines()[0].removeprefix("# ").strip(), " ".join((plain or [""])[0].split())


def _text(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)
