"""Pages in one file that load nothing: how they are escaped, and what they may run.

Apart, since the report and the explorer are such pages.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from clvmodels.reporting.values import clean

_PERCENT: Final = re.compile(r"(?<=\d) %")
_DATE: Final = re.compile(r"\b\d{4}-\d\d-\d\d\b")
_HOME: Final = "clvmodels.reporting"
_ALLOWED: Final = (
    "default-src 'none'; img-src data:; style-src {styles}; script-src '{script}'; "
    "base-uri 'none'; form-action 'none'"
)


@cache
def environment(package: str = _HOME) -> Environment:
    """Templates of a package, and of this one, that escape whatever they are given."""
    homes = dict.fromkeys((package, _HOME))
    made = Environment(
        loader=ChoiceLoader([PackageLoader(home) for home in homes]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["unbroken"] = _unbroken
    return made


def dressed(style: str, script: str, *, figures: str = "") -> dict[str, Any]:
    """What the head of a page takes: its style, its script, and the policy that allows these.

    The Content-Security-Policy allows the one style sheet, that of figures if there are some,
    and the one script by their hashes, images from within the page, and nothing else.
    """
    styles = " ".join(f"'{_hash(one)}'" for one in (style, figures) if one)
    allowed = _ALLOWED.format(styles=styles, script=_hash(script))
    return {"policy": allowed, "style": Markup(style), "script": Markup(script)}


@cache
def asset(name: str, package: str = _HOME) -> str:
    """A style sheet or a script that lies beside the templates."""
    text = (files(package) / "templates" / name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _unbroken(text: str) -> Markup:
    """Text whose dates stay on one line."""
    whole = escape(_printable(text))
    return Markup(_DATE.sub(r'<span class="unbroken">\g<0></span>', whole))


def _printable(value: Any) -> Any:
    """Replace what HTML does not take, and keep percent signs with their numbers."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return _PERCENT.sub("\N{NO-BREAK SPACE}%", clean(value))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
