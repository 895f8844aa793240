"""What may be named as a file of this machine."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from clvmodels.errors import SchemaError
from clvmodels.schema import shown

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")
_OTHERS: Final = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def path_of(what: str, value: object) -> Path:
    """Return a path of this machine that was given, or say what else was.

    Raises
    ------
    SchemaError
        It cannot be a path, it is a URL or the "-" of a pipe, or its name is not UTF-8.
    """
    if isinstance(value, str | os.PathLike) and "\0" not in str(value):
        if str(value) == "-":
            raise SchemaError(
                f"{what} is '-': files are read and written whole, so neither standard input nor "
                "standard output can stand for one. Name a file."
            )
        try:
            os.fspath(value).encode()
        except UnicodeEncodeError:
            raise SchemaError(
                f"{what} has a name that is not UTF-8 ({shown(os.fspath(value))}): rename it, "
                "for the engines that read and write files cannot open it."
            ) from None
        if (url := _URL.match(os.fspath(value))) is not None:
            raise SchemaError(
                f"{what} is a URL ({url[1]}://{url[2]}): only files on this machine can be read "
                "and written. Copy the input here first, or the result from here afterwards; or "
                "mount the storage as a folder."
            )
        return Path(value)
    raise SchemaError(f"{what} must be named by a path, found {shown(value)}.")


def named_paths(source: Any) -> list[Path]:
    """Paths, folders and patterns that an input names; none for data in memory."""
    if isinstance(source, str | os.PathLike):
        return [path_of("The input", source)]
    if isinstance(source, Sequence) and all(isinstance(item, str | os.PathLike) for item in source):
        return [path_of("The input", item) for item in source]
    return []


def visible_files(folder: Path) -> Iterator[str]:
    """Yield files of a folder and of those in it that are not hidden, links followed.

    Raises
    ------
    SchemaError
        It is a Delta table, of which a part of the files counts.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if "_delta_log" in folders:
            raise SchemaError(
                f"{place} is a Delta table, whose folder keeps files that are no longer part of "
                "it: read it with the package deltalake, and pass the Arrow table."
            )
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (os.path.join(place, name) for name in names if not name.startswith((".", "_")))


def named_files(text: str) -> list[str]:
    """The file that a name is, or those that it finds as a pattern; see `regular_files`.

    A name that exists is no pattern, whatever signs are in it.
    """
    return regular_files([text] if os.path.exists(text) else glob.glob(text, recursive=True))


def regular_files(paths: Iterable[str]) -> list[str]:
    """Paths without the folders among them, if the others are files.

    An engine waits forever at a pipe, and rows behind a link that is broken would be lost.

    Raises
    ------
    SchemaError
        One is a pipe, a socket, a device, or a link to nothing.
    """
    found = []
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            nowhere = os.path.islink(path) and isinstance(error, FileNotFoundError)
            what = "is a link to nothing" if nowhere else f"cannot be opened ({error.strerror})"
            raise SchemaError(f"{path} {what}: mend it, or take it out of the input.") from error
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            what = next((name for tells, name in _OTHERS if tells(mode)), "a device")
            raise SchemaError(
                f"{path} is {what}, not a file: its rows cannot be read twice, as they have to "
                "be. Write them to a file and name that, or take it out of the folder."
            )
        found.append(path)
    return found
