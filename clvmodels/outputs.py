"""Where an output may go: on this machine, and not onto or among what was read for it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from clvmodels.errors import SchemaError
from clvmodels.schema import path_of

POSTERIOR_SUFFIXES: Final = (".nc", ".netcdf", ".h5")
_MAGIC: Final = "*?["


def named_paths(source: Any) -> list[Path]:
    """Paths, folders and patterns that an input names; none for data in memory."""
    if isinstance(source, str | os.PathLike):
        return [path_of("The input", source)]
    if isinstance(source, Sequence) and all(isinstance(item, str | os.PathLike) for item in source):
        return [path_of("The input", item) for item in source]
    return []


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
