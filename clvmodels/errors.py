"""Errors of clvmodels: every message says what was found and what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that say that there is no room on a disk."""

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


def full_disk(error: BaseException | None) -> str | None:
    """Name the file for which there was no room, "" if none is named; None for all else."""
    found = None
    while error is not None:  # a library may wrap it, or keep its words alone
        if isinstance(error, OSError) and error.errno in FULL:
            if error.filename:
                return str(error.filename)
            found = ""
        if any(os.strerror(number) in str(error) for number in FULL):
            found = ""
        error = error.__cause__ or error.__context__
    return found


@contextmanager
def named_where_full(path: Path) -> Iterator[None]:
    """Name the file that is written where a disk is full and a library does not say which.

    Raises
    ------
    OSError
        There is no room.
    """
    try:
        yield
    except Exception as error:
        if full_disk(error) == "":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
