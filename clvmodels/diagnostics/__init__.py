"""The diagnostic report: its numbers, checks and figure data, computed once into a record."""

from clvmodels.diagnostics.record import Fact, Figure, Headline, Report, Section, Table
from clvmodels.diagnostics.report import diagnose

__all__ = ["Fact", "Figure", "Headline", "Report", "Section", "Table", "diagnose"]
