"""Renderings of a diagnostic report: a page, text and JSON of one record; they decide nothing."""

from clvmodels.reporting.json import from_json, to_json
from clvmodels.reporting.page import render_page
from clvmodels.reporting.rendered import RenderedReport, render, report
from clvmodels.reporting.text import render_text

__all__ = [
    "RenderedReport",
    "from_json",
    "render",
    "render_page",
    "render_text",
    "report",
    "to_json",
]


def __dir__() -> list[str]:
    return __all__
