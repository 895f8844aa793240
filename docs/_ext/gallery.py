"""The notebooks of the repository as pages, with a gallery made from the files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEAD: Final = """\
# Notebooks

Seven questions, each from a log to a decision, with something to think about at the end. The tests
run them. Each is a file of `notebooks/` in the repository, to be opened and run.
"""


class Notebook(NamedTuple):
    """What the gallery shows of a notebook."""

    name: str
    title: str
    text: str
    picture: bytes | None


def setup(app: Sphinx) -> dict[str, Any]:
    """Copy the notebooks before Sphinx looks for pages."""
    app.connect("builder-inited", lambda app: copy(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy(docs: Path) -> None:
    """Copy notebooks/*.ipynb to docs/notebooks/ and write the gallery beside them.

    Files that have not changed keep their times, so that Sphinx does not read them again.
    """
    target = docs / "notebooks"
    files = sorted((docs.parent / "notebooks").glob("[0-9]*.ipynb"))
    wanted = {file.name: file.read_bytes() for file in files}
    found = [read(file) for file in files]
    wanted |= {f"{one.name}.png": one.picture for one in found if one.picture}
    wanted["index.md"] = page(found).encode()
    target.mkdir(exist_ok=True)
    for stale in target.iterdir():
        if stale.is_file() and stale.name not in wanted:
            stale.unlink()
    for name, content in wanted.items():
        file = target / name
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def read(file: Path) -> Notebook:
    """Title, first paragraph and first picture of a notebook."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    words = "\n\n".join(_text(c["source"]) for c in cells if c["cell_type"] == "markdown")
    parts = [part.strip() for part in words.split("\n\n") if part.strip()]
    title = next((part for part in parts if part.startswith("# ")), f"# {file.stem}")
    first = next((part for part in parts if part[0].isalpha()), "")
    outputs = (output for cell in cells for output in cell.get("outputs", ()))
    pictures = (output.get("data", {}).get("image/png") for output in outputs)
    png = next((base64.b64decode(_text(one)) for one in pictures if one), None)
    return Notebook(file.stem, title.splitlines()[0][2:].strip(), " ".join(first.split()), png)


def page(found: list[Notebook]) -> str:
    """The gallery's page."""
    entries = "\n".join(map(_entry, found))
    tree = "\n".join(one.name for one in found)
    return (
        f"{HEAD}\n:::::{{container}} gallery\n{entries}\n:::::\n\n"
        f":::{{toctree}}\n:hidden:\n\n{tree}\n:::\n"
    )


def _entry(one: Notebook) -> str:
    link = f"{one.name}.ipynb"
    picture = f"[![{one.title}]({one.name}.png)]({link})\n\n" if one.picture else ""
    text = f"**[{one.title}]({link})**\n\n{one.text}"
    return f"::::{{container}} entry\n{picture}{text}\n::::"


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
