"""Where an output may go, and how it gets there: whole or not at all.

It goes not onto or among what was read for it. Where its name is a link, it goes to what the
link leads to, as with `cp`, and the link stays. It is written in a hidden folder beside its
place, and moved there once it is whole; what a killed process left of such folders is
removed by the next one that writes there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from clvmodels.errors import SchemaError, named_where_full

POSTERIOR_SUFFIXES: Final = (".nc", ".netcdf", ".h5")
_MAGIC: Final = "*?["
_ASIDE: Final = ".clvmodels-"
_LOCK: Final = "lock"
# So old is a folder at least that is taken for left over: another process may have made one
# just now, and not yet locked it.
_SECONDS: Final = 60.0


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse an output that is an input, holds one, lies in one, or would match one.

    Links are followed. The output of tonight must not be an input of tomorrow either: a
    file in a folder that is read, or one that a pattern finds.

    Parameters
    ----------
    outputs : iterable of Path
        Everything that is written or replaced.
    inputs : iterable of Path
        Files, folders whose files are all read, and patterns.

    Raises
    ------
    SchemaError
        One of the outputs is such a one.
    """
    given = list(inputs)
    for output in outputs:
        for path in given:
            _refuse(output, path)


def refuse_twice(outputs: Iterable[Path | None]) -> None:
    """Refuse one file for two results, of which only the last would be left.

    Raises
    ------
    SchemaError
        Two outputs are one file.
    """
    seen: set[Path] = set()
    for output in outputs:
        if output is None:
            continue
        if _real(output) in seen:
            raise SchemaError(
                f"The output {output} is named for two results: give each a file of its own."
            )
        seen.add(_real(output))


def _refuse(output: Path, given: Path) -> None:
    if _is_pattern(given):
        if _matches(_real(output).parts, _real_pattern(given)):
            raise SchemaError(
                f"The output {output} is among the files of the input {given}: write it to "
                "another folder."
            )
        for path in _found(given):
            _refuse_file(output, path)
        return
    if given.is_dir() and _real(given) in _real(output).parents:
        raise SchemaError(
            f"The output {output} lies in the folder {given} that is read: write it to another "
            "folder."
        )
    _refuse_file(output, given)


def _refuse_file(output: Path, given: Path) -> None:
    here, there = _real(output), _real(given)
    if here == there or _same_file(here, there):
        raise SchemaError(
            f"The output {output} is an input ({given}) and would replace it: give the output "
            "another name."
        )
    if here in there.parents:
        raise SchemaError(
            f"The input {given} lies in the output {output}, which is replaced as a whole: write "
            "the output to another folder."
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def followed(output: Path) -> Path:
    """Return where an output goes: what its link leads to, there or not yet; else its own path.

    Raises
    ------
    SchemaError
        The link leads back to itself.
    """
    if not output.is_symlink():
        return output
    place = _real(output)
    if place.is_symlink():
        raise SchemaError(
            f"The output {output} is a link that leads back to itself: remove it, or name another "
            "file."
        )
    return place


def make_room(output: Path) -> None:
    """Make the folder in which an output will be, or its link's target.

    Raises
    ------
    OSError
        It cannot be made or written to.
    """
    folder = followed(output).parent
    _real(folder).mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "No permission to write there", str(folder))


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, as by a hard link or in another case."""
    return one.exists() and other.exists() and one.samefile(other)


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in _MAGIC) and not path.exists()


def _found(pattern: Path) -> Iterator[Path]:
    from glob import glob

    return map(Path, glob(str(pattern), recursive=True))


def _real_pattern(pattern: Path) -> tuple[str, ...]:
    """Follow the links of the part of a pattern that has no signs in it."""
    parts = pattern.absolute().parts
    first = next(i for i, part in enumerate(parts) if any(sign in part for sign in _MAGIC))
    return (*_real(Path(*parts[:first])).parts, *parts[first:])


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path is one that a pattern finds; ``**`` stands for folders at any depth."""
    if not parts or not pattern:
        return not parts and not pattern
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Give a path to write to; what was written there gets the target's name.

    Parameters
    ----------
    target : Path
        A file to be written or replaced, or a link to one. Where anything fails it stays as
        it was.

    Yields
    ------
    Path
        Of the same name, in `folder_beside` the target.
    """
    place = followed(target)
    with named_where_full(target), folder_beside(place) as folder:
        yield folder / target.name
        os.replace(folder / target.name, place)


@contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """Give a hidden folder in the target's own, which goes at the end.

    Files in it get the user's usual permissions, and are moved without being copied.
    """
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_ASIDE) as name:
        lock = FileLock(Path(name) / _LOCK)
        with lock:
            yield Path(name)


def _remove_left_over(place: Path) -> None:
    """Remove hidden folders that no process holds."""
    from filelock import FileLock, Timeout

    for folder in place.glob(f"{_ASIDE}*"):
        try:
            if time.time() - folder.stat().st_mtime < _SECONDS:
                continue
            with FileLock(folder / _LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, Timeout):
            continue  # somebody's who is at work, or is not ours to remove
