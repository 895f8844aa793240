"""Print a bill of materials of the environment that runs this: CycloneDX 1.6, as JSON.

Of an image that scores: ``python scripts/sbom.py >sbom.json`` with the Python of the image.
"""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from typing import Any


def component(one: Distribution) -> dict[str, Any]:
    """Name, version, licence and package URL of an installed distribution."""
    name = one.metadata["Name"].lower().replace("_", "-")
    said = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
    found = {
        "type": "library",
        "name": name,
        "version": one.version,
        "purl": f"pkg:pypi/{name}@{one.version}",
    }
    # Some packages put the whole text of their licence there.
    return found | ({"licenses": [{"license": {"name": said}}]} if 0 < len(said) < 100 else {})


def bill() -> dict[str, Any]:
    """Everything that is installed, in the order of names."""
    found = {one["name"]: one for one in map(component, distributions())}
    components = [found[name] for name in sorted(found)]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}


if __name__ == "__main__":
    print(json.dumps(bill(), indent=1))
