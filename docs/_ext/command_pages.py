"""The command line's reference, written from the commands themselves before pages are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEAD: Final = """\
# Commands

Every command of `clvmodels`, with its options, as `clvmodels COMMAND --help` prints them. Exit
codes are on the page [Errors](errors.md#exit-codes-of-the-command-line); [The command line in five
minutes](quickstart.md) shows the most common ones at work.
"""


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the page before Sphinx looks for pages."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "commands.md"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(file: Path) -> None:
    """Write the page, unless it is there already."""
    text = page()
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def page() -> str:
    """All commands, in the order of ``clvmodels --help``."""
    import typer

    from clvmodels.cli.commands import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return HEAD + "".join(_section(name, command) for name, command in commands.items())


def _section(name: str, command: Any) -> str:
    told = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    given = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([name, *(one.name.upper() for one in given), "[OPTIONS]"])
    rows = [_row(one) for one in command.params]
    table = "| option | what it says | default |\n|---|---|---|\n" + "\n".join(rows)
    return f"\n## {name}\n\n{told}\n\n```text\nclvmodels {usage}\n```\n\n{table}\n"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        called = f"`{parameter.name.upper()}`"
    else:
        called = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len, reverse=True))
    kind = parameter.metavar or ""
    shown = f" `{_cell(kind)}`" if kind and not getattr(parameter, "is_flag", False) else ""
    return f"| {called}{shown} | {_told(parameter.help or '')} | {_default(parameter)} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if callable(value) or value in (None, False, "", [], ()):
        return ""
    return f"`{_cell(str(getattr(value, 'value', value)))}`"


def _told(text: str) -> str:
    """What a help text says, with commands and options as code, lest quotes and dashes change."""
    named = re.compile(r"'([^']+)'|(?<![\w`-])(--[a-z][a-z-]*)")
    return named.sub(lambda found: f"`{found[1] or found[2]}`", _cell(text))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
