"""Files that are given in the place of others, told by what they hold before anything is read.

Apart and small, since every command asks it once, by its options' names, and no reader has to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from clvmodels.cli.files import is_own_table, kind_of
from clvmodels.errors import ClvError, SchemaError

_NETCDF: Final = (b"\x89HDF", b"CDF\x01", b"CDF\x02")
_POSTERIOR: Final = "is a posterior"
_TABLE: Final = "is a table of customers"
_CELLS: Final = "is a table"  # of whatever
# Files by which a folder is known, and what is said of it then
_FOLDERS: Final = {
    "comparison.parquet": "comes from 'clvmodels compare'",
    "run.json": "comes from 'clvmodels run'",
}
# By option: what must not be there, what it wants, and what writes that
_TABLES: Final = (
    (_POSTERIOR,),
    "the table of customers that 'clvmodels summarize' wrote, such as rfm.parquet",
)
_POSTERIORS: Final = (
    (_TABLE, _CELLS),
    "the posterior that 'clvmodels fit' wrote, such as posterior.nc",
)
_LOGS: Final = ((_POSTERIOR, _TABLE), "the log of orders")
_WANTED: Final = {
    "rfm": _TABLES,
    "source": ((_POSTERIOR,), "a log of orders, or a table of customers such as rfm.parquet"),
    "posterior": _POSTERIORS,
    "posteriors": _POSTERIORS,
    "update": _POSTERIORS,
    "log": _LOGS,
    "backtest": (tuple(_FOLDERS.values()), "the folder that 'clvmodels backtest' wrote"),
}


def refuse_mistaken(given: Mapping[str, Any]) -> None:
    """Refuse files that are known to be something else than an option wants.

    Parameters
    ----------
    given : mapping
        Values by the names of a command's parameters; others than files are left alone.

    Raises
    ------
    SchemaError
        One is; it says what the file is, and what to pass.
    """
    found = [one for name in _WANTED.keys() & given.keys() for one in _mistakes(name, given[name])]
    if {"rfm", "posterior"} <= {name for name, _, _ in found}:
        raise SchemaError(
            f"The file {given['rfm']} {_POSTERIOR}, and {given['posterior']} {_TABLE}: exchange "
            "--rfm and --posterior."
        )
    for name, path, held in found:
        kind = "folder" if path.is_dir() else "file"
        raise SchemaError(f"The {kind} {path} {held}: pass {_WANTED[name][1]}.")


def _mistakes(name: str, given: Any) -> Iterator[tuple[str, Path, str]]:
    """Files of an option that hold what it does not want, each with what that is."""
    for one in given if isinstance(given, list | tuple) else [given]:
        held = _held(Path(one)) if one is not None else ""
        if held in _WANTED[name][0]:
            yield name, Path(one), held


def _held(path: Path) -> str:
    """What a file or folder of ours holds; "" of others."""
    if path.is_dir():
        return next((what for file, what in _FOLDERS.items() if (path / file).exists()), "")
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        if file.read(4).startswith(_NETCDF):
            return _POSTERIOR
    try:
        return _TABLE if kind_of(path) == "parquet" and is_own_table(path) else _CELLS
    except (ClvError, UnicodeError):
        return ""  # who reads it can say more
