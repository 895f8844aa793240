"""Colours of all pictures, on light ground and on dark."""

from __future__ import annotations

from typing import Final

# Told apart in print too: each is 3:1 or more on white, and their greys are 1.4:1 or more apart.
EXPECTED: Final = "#1a4b6f"
ACTUAL: Final = "#e36612"
OTHER: Final = "#616b76"
PALE: Final = "#d5dbe1"  # of areas alone, which have edges in an ink
# Told apart by the colour-blind, and as greys: steps of 1.2:1 or more
CHAINS: Final = (EXPECTED, ACTUAL, "#0d7158", "#b948b9", "#6b5106", "#2d3136")
GROUND: Final = "#1d242c"  # where it is dark
DARK: Final = {
    EXPECTED: "#a3d2f5",
    ACTUAL: "#f3731e",
    OTHER: "#68737d",
    PALE: "#37434f",
    CHAINS[2]: "#37be9c",
    CHAINS[3]: "#e04be0",
    CHAINS[4]: "#d6b85c",
    CHAINS[5]: "#e1e8ef",
    "#000000": "#e6eaee",
    "#ffffff": GROUND,
}
"""What each colour is on dark ground, with the same distances."""


def dark_style() -> str:
    """A style sheet by which an SVG of Matplotlib follows the reader's choice of light or dark."""
    rules = [
        f'[{what}="{light}"]{{{what}:{dark}}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    ]
    text = f"text:not([fill]){{fill:{DARK['#000000']}}}"
    return f"@media screen and (prefers-color-scheme:dark){{{text}{''.join(rules)}}}"
