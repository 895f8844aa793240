"""Which files an input names, and whether they are still what they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError
from clvmodels.path_checks import named_files, path_of, regular_files, visible_files

PARQUET: Final = (".parquet", ".pq", ".parq")
CSV: Final = (".csv", ".csv.gz")
LOG_CSV: Final = (*CSV, ".tsv", ".txt", ".tsv.gz", ".txt.gz")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file as it was found.

    Attributes
    ----------
    path : Path
        Absolute.
    size, mtime_ns : int
    rows : int or None
        None where only reading would tell.
    schema : pyarrow.Schema or None
        Columns of a Parquet file.
    """

    path: Path
    size: int
    mtime_ns: int
    rows: int | None = None
    schema: pa.Schema | None = None

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "bytes": self.size,
            "mtime_ns": self.mtime_ns,
            "rows": self.rows,
        }


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of an input, in the order in which they are read.

    Attributes
    ----------
    text : str
        The input as it was named.
    files : tuple of Path
    folder : Path or None
        Whose files they are.
    """

    text: str
    files: tuple[Path, ...]
    folder: Path | None = None


def list_files(source: str | Path | Sequence[str | Path]) -> Listing:
    """List the files of a path, a folder, a pattern, or several of them.

    A folder stands for the Parquet files in it, at any depth, by name; what begins with
    ``.`` or ``_`` is left out, as Spark and Hive do.

    Raises
    ------
    SchemaError
        There is no such file, it is a pipe or a link to nothing, or not on this machine.
    """
    listing = _listed(source)
    for path in listing.files:
        path_of("A file of the input", path)
    return listing


def _listed(source: str | Path | Sequence[str | Path]) -> Listing:
    if isinstance(source, str | Path):
        return _list_one(str(source))
    if not (isinstance(source, Sequence) and all(isinstance(s, str | Path) for s in source)):
        raise SchemaError(
            f"The input is a {type(source).__name__}: name files (a path, a folder, a pattern or "
            "a list of paths). Frames and tables in memory are for CLVPosterior.predict."
        )
    parts = [_list_one(str(item)) for item in source]
    files = tuple(path for part in parts for path in part.files)
    if not files:
        raise SchemaError("The input is an empty list: name files.")
    if len({path.resolve() for path in files}) < len(files):
        raise SchemaError("The input names a file twice: its customers would be there twice.")
    return Listing(", ".join(part.text for part in parts), files)


def stat_file(path: Path, *, parquet: bool) -> InputFile:
    """Look at a file, and at the footer of one of Parquet."""
    found = path.stat()
    size, mtime = found.st_size, found.st_mtime_ns
    if not parquet:
        return InputFile(path, size, mtime)
    footer = pq.read_metadata(path)
    return InputFile(path, size, mtime, footer.num_rows, footer.schema.to_arrow_schema())


def unchanged(path: Path, size: int, mtime_ns: int) -> bool:
    """Whether a file is there, and nobody has written to it since it was looked at."""
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (size, mtime_ns)


def refuse_changed(files: Iterable[InputFile]) -> None:
    """Refuse files that are no longer what they were when the run began.

    Raises
    ------
    SchemaError
        A file has gone or was written to.
    """
    for file in files:
        if not unchanged(file.path, file.size, file.mtime_ns):
            raise SchemaError(
                f"{file.path} has changed while it was read: run the command again when nobody "
                "writes to it."
            )


def kinds_of(files: Iterable[Path], suffixes: Mapping[str, tuple[str, ...]]) -> str:
    """Tell the one kind of all files by their names.

    Raises
    ------
    SchemaError
        A name says none of the kinds, or they are of several.
    """
    kinds: dict[str, Path] = {}
    for path in files:
        found = [kind for kind, ends in suffixes.items() if path.name.lower().endswith(ends)]
        if not found:
            known = ", ".join(end for ends in suffixes.values() for end in ends)
            raise SchemaError(f"{path} must end in {known}: the name says the format.")
        kinds[found[0]] = path
    if len(kinds) > 1:
        raise SchemaError(
            f"The input mixes {' and '.join(kinds)} ({', '.join(map(str, kinds.values()))}): name "
            "files of one kind."
        )
    return next(iter(kinds))


def _list_one(text: str) -> Listing:
    path = path_of("The input", text)
    if path.is_dir():
        names = (name for name in visible_files(path) if name.lower().endswith(PARQUET))
        files = sorted(map(Path, regular_files(names)))
        if not files:
            raise SchemaError(
                f"The folder {text!r} holds no Parquet files: name files, or a pattern such as "
                "'folder/*.csv'."
            )
        return Listing(text, tuple(p.absolute() for p in files), path)
    found = named_files(text)
    if not found:
        raise SchemaError(f"There is no file {text}: check the path or the pattern.")
    return Listing(text, tuple(sorted(Path(p).absolute() for p in found)))
