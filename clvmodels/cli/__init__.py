"""The command line: clvmodels summarize, fit, score, demo."""

from clvmodels.machine import reserve_little

reserve_little()  # Arrow asks for its allocator when it is imported

from clvmodels.cli.entry import main  # noqa: E402

__all__ = ["main"]
