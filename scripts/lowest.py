"""Print the lowest version of each package that pyproject.toml allows, as constraints for pip.

The packages that those need in turn are the newest that go with them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# What a test tool needs is no promise to users: it stays at the pinned versions.
_TOOLS: Final = ("dev", "docs", "notebooks")


def lowest() -> list[str]:
    """Lines such as ``numpy==2.2``, of what users install and of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"]]
    wanted += [one for name, several in extras.items() if name not in _TOOLS for one in several]
    pairs = (re.match(r"([\w.-]+)(?:\[[^]]*\])?>=([\w.]+)", one) for one in wanted)
    return [f"{found[1]}=={found[2]}" for found in pairs if found is not None]


def tools() -> list[str]:
    """Lines of constraints.txt for what only tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[\[><=]", one)[0] for one in project["optional-dependencies"]["dev"]}
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in pinned if re.split(r"[=\[]", line)[0] in names]


if __name__ == "__main__":
    print("\n".join([*lowest(), *tools()]))
