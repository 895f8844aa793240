"""Errors of clvmodels: every message says what was found and what to do."""

from __future__ import annotations

import os
from typing import Final

OURS: Final = (os.path.dirname(__file__) + os.sep,)
"""Where the package lies: warnings point to the line of the caller, not to one of ours."""


def one_line(error: object, most: int = 400) -> str:
    """What an error of another library says, in one line of a message."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


class ClvError(Exception):
    """Base of every error that clvmodels raises on purpose."""


class SchemaError(ClvError, ValueError):
    """A frame, file, column or choice does not have the form that is needed."""


class UnknownOptionError(SchemaError, TypeError):
    """A function was given an option that it does not have; the message lists those it has."""


class TimeUnitError(ClvError, ValueError):
    """A time unit, horizon or table does not match the posterior's time unit."""


class DomainError(ClvError, ValueError):
    """A number lies outside the domain in which a formula or model has a meaning."""


class ConvergenceError(ClvError, RuntimeError):
    """A fit did not converge; its draws are not returned silently."""


class PosteriorFileError(ClvError, OSError):
    """A posterior file is missing, damaged, foreign, or in a newer format."""


class ResumeError(ClvError, RuntimeError):
    """A half-finished run has another posterior, input or options, or is still going on."""


class MissingPackageError(ClvError, ImportError):
    """A package is not installed that scoring does without, as where only scoring is installed."""


BEYOND_SCORING: Final = {
    "arviz": "ArviZ",
    "jinja2": "Jinja",
    "markupsafe": "Jinja",
    "matplotlib": "Matplotlib",
    "nutpie": "nutpie",
    "PIL": "Pillow",
    "pymc": "PyMC",
    "pymc_extras": "PyMC",
    "pytensor": "PyMC",
}
"""Dependencies that scoring a saved posterior does not need, by what they are imported as."""


def explained(error: ImportError, what: str) -> ImportError:
    """Say what brings a package that is not installed; other errors stay what they are."""
    missing = BEYOND_SCORING.get((error.name or "").partition(".")[0])
    if missing is None or isinstance(error, MissingPackageError):
        return error
    return MissingPackageError(
        f"{what} needs {missing}, which is not installed here (scoring does without it): "
        "`pip install clvmodels` brings it."
    )
