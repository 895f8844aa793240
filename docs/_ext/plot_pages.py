"""A picture and the lines that drew it on every plot's page, and a gallery of all of them."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE: Final = Path(__file__).parent
EXAMPLES: Final = HERE / "plot_examples.py"
PICTURES: Final = "api/pictures"
_MARK: Final = re.compile(r"^# (setup|plot_\w+)\n", re.MULTILINE)
_PLOT: Final = re.compile(r"clvmodels\.plots\.(?:\w+\.)?(plot_\w+)")
_DPI: Final = 100


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw before pages are read, and put the examples below numpydoc's text."""
    app.connect("builder-inited", lambda app: draw_all(Path(app.srcdir) / PICTURES))
    app.connect("autodoc-process-docstring", add_example, priority=900)
    app.add_directive("plot-setup", Setup)
    app.add_directive("plot-gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def examples() -> dict[str, str]:
    """Code by the name of its plot, and of the setup."""
    parts = _MARK.split(EXAMPLES.read_text(encoding="utf-8"))[1:]
    return {name: code.strip() for name, code in zip(parts[::2], parts[1::2], strict=True)}


def draw_all(folder: Path) -> None:
    """Run every example, unless nothing has changed since all were drawn."""
    found, digest = examples(), _digest()
    mark = folder / "digest"
    if mark.is_file() and mark.read_text(encoding="utf-8") == digest:
        return
    os.environ.setdefault("MPLBACKEND", "Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(exist_ok=True)
    names: dict[str, Any] = {}
    known: dict[str, dict[str, Any]] = {}  # names by the lines that made them
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        exec(compile(found["setup"], "setup", "exec"), names)
        for name, code in found.items():
            if name == "setup":
                continue
            before, plot = _parted(code)
            if before not in known:
                exec(compile(before, name, "exec"), own := dict(names))
                known[before] = own
            exec(compile(plot, name, "exec"), dict(known[before]))
            (figure,) = map(plt.figure, plt.get_fignums())  # an example draws one
            figure.savefig(folder / f"{name}.png", dpi=_DPI, metadata={"Software": None})
            plt.close(figure)
    mark.write_text(digest, encoding="utf-8")


def _parted(code: str) -> tuple[str, str]:
    """The lines before an example's last statement, which draws, and that statement.

    Three plots begin with the same fit, which is then sampled once.
    """
    lines, last = code.splitlines(keepends=True), ast.parse(code).body[-1].lineno - 1
    return "".join(lines[:last]), "".join(lines[last:])


def _digest() -> str:
    """Of all that a picture depends on."""
    import clvmodels

    package = Path(clvmodels.__file__).parent
    whole = hashlib.sha256()
    for file in (EXAMPLES, *sorted(package.rglob("*.py"))):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def add_example(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Add the example to a plot's docstring."""
    match = _PLOT.fullmatch(name)
    if match is None or what != "function":
        return
    plot = match[1]
    code = [f"   {line}".rstrip() for line in examples()[plot].splitlines()]
    lines += [
        "",
        ".. rubric:: Example",
        "",
        "With ``log``, ``rfm``, ``posterior`` and ``backtest`` from the "
        ":ref:`lines above all examples <plot-setup>`:",
        "",
        ".. code-block:: python",
        "",
        *code,
        "",
        f".. image:: /{PICTURES}/{plot}.png",
        f"   :alt: What {plot} draws of CDNOW.",
        "",
    ]


class Setup(Directive):
    """The lines that all examples go on from."""

    def run(self) -> list[nodes.Node]:
        """Make the block."""
        code = examples()["setup"]
        return [nodes.literal_block(code, code, language="python")]


class Gallery(Directive):
    """Pictures of all plots, each of which leads to its page."""

    def run(self) -> list[nodes.Node]:
        """Make the pictures."""
        whole = nodes.container(classes=["plot-gallery"])
        for name in sorted(set(examples()) - {"setup"}):
            target = f"generated/clvmodels.plots.{name}.html"
            image = nodes.image(uri=f"/{PICTURES}/{name}.png", alt=name, loading="lazy")
            broken = name.replace("_", "_\N{ZERO WIDTH SPACE}")  # where a line may end
            link = nodes.reference("", "", image, nodes.inline(text=broken), refuri=target)
            whole += nodes.paragraph("", "", link)
        return [whole]
