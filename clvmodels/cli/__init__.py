"""The command line: clvmodels summarize, fit, score, demo."""

from clvmodels.cli.entry import main

__all__ = ["main"]
