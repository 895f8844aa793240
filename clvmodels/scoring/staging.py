"""A log or CSV becomes Parquet in the work folder; Parquet is read where it lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from clvmodels.log.audit import Audit
from clvmodels.log.csv_files import Scratch
from clvmodels.rfm import RfmTable
from clvmodels.rfm.on_disk import Resources, summarize_to_parquet
from clvmodels.scoring import disk
from clvmodels.scoring.csv_numbers import decimal_of
from clvmodels.scoring.csv_staging import copy_csv, numbers_of, open_customers, whole_ids
from clvmodels.scoring.duck import connected, engine_errors
from clvmodels.scoring.inputs import refuse_changed
from clvmodels.scoring.source import Source, rows_of


@dataclass(frozen=True, slots=True)
class Staged:
    """Customers as Parquet files.

    Attributes
    ----------
    files : tuple of Path
    names : tuple of str
        What rejects call each file: the input that it came from.
    rows : tuple of int
        Of each file.
    observation_end : Timestamp or None
    audit : Audit or None
        Of a log.
    note : str or None
        What was found of how CSV is written.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    observation_end: pd.Timestamp | None = None
    audit: Audit | None = None
    note: str | None = None

    @property
    def total(self) -> int:
        """Rows of all files."""
        return sum(self.rows)


def stage(source: Source, folder: Path, resources: Resources) -> Staged:
    """Make Parquet of what is not; a finished stage is taken as it is.

    Parameters
    ----------
    source : Source
        The input.
    folder : Path
        Of the staged files.
    resources : Resources
        Of the embedded engine.

    Raises
    ------
    SchemaError
        The input cannot be read, or has changed meanwhile.
    """
    if source.kind == "rfm":
        names = tuple(str(file.path) for file in source.files)
        rows = tuple(file.rows or 0 for file in source.files)
        paths = tuple(file.path for file in source.files)
        return Staged(paths, names, rows, source.observation_end)
    done = folder / "done.json"
    if not done.exists():
        disk.make_folder(folder)
        note = (_stage_log if source.kind == "log" else _stage_csv)(source, folder, resources)
        refuse_changed(source.files)
        disk.write_json(done, {"done": True, "note": note})
    return replace(_read_stage(source, folder), note=disk.read_json(done)["note"])


def is_staged(folder: Path) -> bool:
    """Whether a stage was finished."""
    return (folder / "done.json").exists()


def _stage_log(source: Source, folder: Path, resources: Resources) -> None:
    assert source.log is not None
    paths = [str(file.path) for file in source.files]
    with disk.new_path(folder / _name(0)) as aside, engine_errors():
        summarize_to_parquet(paths, aside, source.log, resources)


def _stage_csv(source: Source, folder: Path, resources: Resources) -> str | None:
    scratch = Scratch()
    amounts, numbers = source.amounts, numbers_of(amounts=source.amounts)
    files = [open_customers(one.path, source.csv, scratch, amounts=amounts) for one in source.files]
    with connected(resources) as connection:
        whole = whole_ids(connection, files)
        decimal, note = decimal_of(connection, files, numbers, source.csv.decimal)
        for i, file in enumerate(files):
            with disk.new_path(folder / _name(i)) as aside:
                copy_csv(connection, file, aside, whole=whole, decimal=decimal, numbers=numbers)
    return note


def _read_stage(source: Source, folder: Path) -> Staged:
    count = 1 if source.kind == "log" else len(source.files)
    files = tuple(folder / _name(i) for i in range(count))
    rows = tuple(rows_of(path) for path in files)
    if source.kind == "csv":
        return Staged(files, tuple(str(file.path) for file in source.files), rows)
    outline = RfmTable.outline(files[0])
    assert outline is not None
    return Staged(
        files, (f"summary of {source.text}",), rows, outline.observation_end, outline.audit
    )


def _name(position: int) -> str:
    return f"input-{position:05d}.parquet"
