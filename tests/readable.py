"""Output of commands as somebody reads it, and which of its lines may be longer than a terminal."""

from __future__ import annotations

from typing import Final

WIDTH: Final = 80
_WHOLE: Final = ("Wrote ", "Next: ")


def too_long(text: str, width: int = WIDTH) -> list[str]:
    """Lines that do not fit, but for paths and commands: where nobody watches, they stay whole."""
    return [one for one in text.splitlines() if len(one) > width and not one.startswith(_WHOLE)]
