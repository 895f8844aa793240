"""Where scores go: the output, and what stands beside it under the same name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from clvmodels.errors import SchemaError, one_line
from clvmodels.outputs import followed, make_room, refuse_inputs
from clvmodels.path_checks import path_of
from clvmodels.schema import shown
from clvmodels.scoring import disk

Kind = Literal["parquet", "csv", "duckdb", "folder"]
FORMAT: Final = "clvmodels scores"
FORMAT_VERSION: Final = 1
_SUFFIXES: Final[dict[str, Kind]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".duckdb": "duckdb",
    ".db": "duckdb",
}
DEFAULT_TABLE: Final = "scores"
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Target:
    """An output and its companions.

    Attributes
    ----------
    path : Path
        A file, a folder of Parquet files, or a DuckDB database; where a link was named, what
        it leads to, beside which the companions stand.
    kind : {"parquet", "csv", "duckdb", "folder"}
    table : str
        Of a database.
    """

    path: Path
    kind: Kind
    table: str = DEFAULT_TABLE

    @property
    def stem(self) -> str:
        """Name without suffix, by which the companions are called."""
        stem = self.path.name[: -len(suffix)] if (suffix := _suffix(self.path)) else self.path.name
        other = self.kind == "duckdb" and self.table != DEFAULT_TABLE
        return f"{stem}.{self.table}" if other else stem

    @property
    def manifest(self) -> Path:
        """JSON record of the run; it is there only beside a complete output."""
        return self.path.with_name(f"{self.stem}.manifest.json")

    @property
    def rejects(self) -> Path:
        """Rows that could not be scored; there only if there are any."""
        return self.path.with_name(f"{self.stem}.rejects.parquet")

    @property
    def work(self) -> Path:
        """Folder of a run that is not finished."""
        return self.path.with_name(f"{self.stem}.partial")

    @property
    def waiting(self) -> str:
        """Name under which a table of a database waits to take the place of the earlier one."""
        return f"clvmodels_waiting_{self.table}"

    def identity(self) -> dict[str, Any]:
        """What a resumed run must agree in."""
        table = {"table": self.table} if self.kind == "duckdb" else {}
        return {"name": self.path.name, "kind": self.kind, **table}


def open_target(output: str | Path, table: str = DEFAULT_TABLE) -> Target:
    """Tell the kind of an output by its name, and whether it may be written.

    Raises
    ------
    SchemaError
        The name says no format, or something stands there that another wrote.
    OSError
        Its folder cannot be made or written to.
    """
    path = path_of("The output", output)
    if not isinstance(table, str) or not _TABLE.fullmatch(table):
        raise SchemaError(f"table={shown(table)} must be letters, digits and _, such as 'scores'.")
    target = Target(followed(path), _kind(path, str(output)), table)
    if not target.stem.strip("."):
        raise SchemaError(f"The output {str(output)!r} has no name: write 'scores.parquet'.")
    make_room(path)
    _check_replaceable(target)
    return target


def refuse_overlap(target: Target, inputs: Iterable[Path]) -> None:
    """Refuse an output that is, or would become, part of the input.

    Parameters
    ----------
    target : Target
        Where scores go.
    inputs : iterable of Path
        Files, folders and patterns that are read, the posterior's file among them.
    """
    ours = (target.path, target.rejects, target.work, target.manifest)
    refuse_inputs(ours, inputs)


def _kind(path: Path, text: str) -> Kind:
    suffix = _suffix(path)
    if suffix and not path.is_dir():
        return _SUFFIXES[suffix]
    if suffix is None and (not path.suffix or text.endswith(("/", os.sep)) or path.is_dir()):
        return "folder"
    if path.is_dir():
        raise SchemaError(
            f"The output {path} is a folder: name a file, or a folder without suffix."
        )
    raise SchemaError(
        f"{path} must end in {', '.join(_SUFFIXES)}, or in nothing for a folder: the name says "
        "the format."
    )


def _suffix(path: Path) -> str | None:
    name = path.name.lower()
    return max((s for s in _SUFFIXES if name.endswith(s)), key=len, default=None)


def _check_replaceable(target: Target) -> None:
    """Refuse to replace what is not a file, a folder of ours, or a database."""
    for path in (target.manifest, target.rejects):
        if path.is_dir():
            raise SchemaError(f"{path} is a folder, where a file is to be written: remove it.")
    owner = _owner(target)
    if owner not in (None, target.path.name):
        raise SchemaError(
            f"{target.manifest} belongs to {owner}: give the output {target.path} another name, "
            f"or remove both."
        )
    if not target.path.exists():
        return
    if target.kind == "folder":
        _check_folder(target, owner)
    elif not target.path.is_file():
        raise SchemaError(f"The output {target.path} is not a file: name another.")
    elif target.kind == "duckdb":
        _check_database(target)


def _owner(target: Target) -> str | None:
    """Name of the output that a manifest describes; None where there is no manifest."""
    if not target.manifest.exists():
        return None
    record = disk.read_json(target.manifest)
    if record.get("format") != FORMAT:
        raise SchemaError(f"{target.manifest} was not written by clvmodels: remove or rename it.")
    return str(record["output"]["name"])


def _check_folder(target: Target, owner: str | None) -> None:
    if not target.path.is_dir():
        raise SchemaError(f"The output {target.path} is a file: remove it, or name another folder.")
    if owner is None and not (target.work / "ready.json").exists() and any(target.path.iterdir()):
        raise SchemaError(
            f"The folder {target.path} is there and was not written by this command (there is no "
            f"{target.manifest.name} next to it): remove it, or name another folder."
        )
    strange = [
        p.name for p in target.path.iterdir() if not re.fullmatch(r"part-\d+\.parquet", p.name)
    ]
    if strange:
        raise SchemaError(
            f"The folder {target.path} also holds {strange[0]!r}, which clvmodels did not write: "
            "move it away, or name another folder."
        )


def _check_database(target: Target) -> None:
    import duckdb

    try:
        with duckdb.connect(str(target.path)) as connection:
            kinds = connection.execute(
                "SELECT table_type FROM information_schema.tables WHERE table_schema = 'main' "
                "AND table_catalog = current_catalog() AND lower(table_name) = lower(?)",
                [target.table],
            ).fetchall()
    except duckdb.Error as error:
        raise SchemaError(
            f"The output {target.path} cannot be opened as a DuckDB database: {one_line(error)}"
        ) from error
    if kinds and kinds[0][0] != "BASE TABLE":
        raise SchemaError(f"table={target.table!r} is a view in {target.path}: give another name.")
