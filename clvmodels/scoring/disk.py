"""Every file that a run writes goes through here: whole or not at all, and on the disk.

A file is written under another name, forced to the disk, and renamed; a rename is forced
to the disk as well. So whatever has its own name is complete, also after a power cut.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from clvmodels.errors import SchemaError, named_where_full

ASIDE: Final = ".tmp"


@contextmanager
def new_path(path: Path) -> Iterator[Path]:
    """Give a path to write to, and its own name to what was written there.

    Parameters
    ----------
    path : Path
        What is made or replaced; its folder is there.
    """
    aside = path.with_name(path.name + ASIDE)
    try:
        with named_where_full(path):
            yield aside
        _sync(aside)
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Give a stream to write to, and a name to its contents once they are whole."""
    with new_path(path) as aside, open(aside, "wb") as stream:
        yield stream


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as strict JSON; what is not finite becomes null."""
    text = json.dumps(plain(record), indent=1, allow_nan=False, ensure_ascii=False)
    with new_file(path) as stream:
        stream.write(text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a record that `write_json` wrote.

    Raises
    ------
    SchemaError
        It is not such a record.
    """
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise SchemaError(f"{path} is damaged ({error}): delete it.") from error
    if not isinstance(record, dict):
        raise SchemaError(f"{path} is damaged (no record): delete it.")
    return record


def move(source: Path, target: Path) -> None:
    """Rename a file, replacing the target, or a folder to a name that is free."""
    os.replace(source, target)
    _sync(target.parent)
    _sync(source.parent)


def make_folder(path: Path) -> None:
    """Make a folder if it is not there."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; nothing is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()
    else:
        return
    _sync(path.parent)


def digest(path: Path) -> str:
    """SHA-256 of a file's contents."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """Plain values for strict JSON: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return plain(value.tolist())
    return str(value)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
