"""The diagnostic report: its numbers, checks and figure data, computed once into a record."""

from clvmodels.diagnostics.record import Brief, Fact, Figure, Headline, Report, Section, Table
from clvmodels.diagnostics.report import diagnose
from clvmodels.uses import UseVerdict

__all__ = [
    "Brief",
    "Fact",
    "Figure",
    "Headline",
    "Report",
    "Section",
    "Table",
    "UseVerdict",
    "diagnose",
]


def __dir__() -> list[str]:
    return __all__
