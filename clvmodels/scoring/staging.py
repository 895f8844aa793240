"""Before the first block: a log or CSV becomes Parquet, and the whole base is looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvmodels import schema
from clvmodels.forecast import Whole
from clvmodels.log.audit import Audit
from clvmodels.log.csv_files import Scratch
from clvmodels.log.embedded import Resources, connected, engine_errors, identifier, parquet_scan
from clvmodels.rfm import RfmTable
from clvmodels.rfm.customers import divisor, exceeds_periods_sql, has_fractions_sql
from clvmodels.rfm.on_disk import summarize_to_parquet
from clvmodels.schema import TimeScale
from clvmodels.scoring import disk
from clvmodels.scoring.csv_customers import (
    copy_csv,
    decimal_of,
    numbers_of,
    open_customers,
    whole_ids,
)
from clvmodels.scoring.input_files import refuse_changed
from clvmodels.scoring.row_checks import common_schema
from clvmodels.scoring.source import Source, rows_of
from clvmodels.scoring.stream import read_file

_DUPLICATES: Final = "duplicates.npy"
_FIGURES: Final = "prepass.json"
_MOST_X: Final = 1_024


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
    def schemas(self) -> dict[Path, pa.Schema]:
        """Columns of the files."""
        return {path: pq.read_schema(path) for path in self.files}

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


@dataclass(frozen=True, slots=True)
class Figures:
    """What must be known of the whole base before its first block.

    Attributes
    ----------
    least_x : float or None
        Fewest repeat purchases of the rows that can be scored; None if there are none.
    shortest, longest : float or None
        Least and greatest T of these rows.
    fractions : bool
        Whether some of these T are not whole in periods of the unit.
    youngest : sequence of (float, float)
        The fewest repeat purchases that there are, up to `_MOST_X`, and the least T of each.
    """

    least_x: float | None
    shortest: float | None
    longest: float | None
    fractions: bool
    youngest: Sequence[tuple[float, float]] = ()

    def whole(self, blocks: int) -> Whole | None:
        """What so many blocks share; None where no row can be scored."""
        if self.shortest is None or self.longest is None:
            return None
        x, least = np.array(self.youngest, dtype=np.float64).reshape(-1, 2).T
        return Whole((self.shortest, self.longest), blocks, x, least)


def figures_sql(scale: TimeScale) -> tuple[tuple[str, ...], str]:
    """Expressions of `Figures` in the SQL of both engines, and which rows can be scored.

    They are over columns x, t_x and T of doubles; NaN is the greatest number.
    """
    finite = "CAST('Infinity' AS DOUBLE)"
    odd = f"coalesce(bool_or({has_fractions_sql('T', scale)}), false)"
    scorable = (
        f"x >= 0 AND x < {finite} AND x = floor(x) AND t_x >= 0 AND t_x <= T AND T < {finite} "
        f"AND (x > 0 OR t_x = 0) AND NOT {exceeds_periods_sql('x', 't_x', scale)}"
    )
    return ("min(x)", "min(T)", "max(T)", odd), scorable


@dataclass(frozen=True, slots=True)
class Prepass:
    """What one look at the whole base has found.

    Attributes
    ----------
    columns : pyarrow.Schema
        What is read of all files.
    figures : Figures
    duplicates : ndarray of int64
        Sorted positions of rows whose customer has another row; on disk.
    """

    columns: pa.Schema
    figures: Figures
    duplicates: npt.NDArray[np.int64]

    def duplicated(self, start: int, count: int) -> npt.NDArray[np.bool_]:
        """Which of some consecutive rows are of a customer with another row."""
        first, last = np.searchsorted(self.duplicates, [start, start + count])
        found = np.zeros(count, dtype=bool)
        found[np.asarray(self.duplicates[first:last]) - start] = True
        return found


def prepare(source: Source, staged: Staged, folder: Path, resources: Resources) -> Prepass:
    """Look at every row once, within bounded memory; a finished pass is taken as it is.

    Parameters
    ----------
    source : Source
        Says the unit of recency and T, and whether amounts are read.
    staged : Staged
        Its customers.
    folder : Path
        Where the results are kept for a run that resumes.
    resources : Resources
        Of the embedded engine.
    """
    schemas = source.schemas if source.kind == "rfm" else staged.schemas
    columns = common_schema(
        schemas, source.scale, amounts=source.amounts, attributes=source.attributes
    )
    written = folder / _FIGURES
    if not written.exists():
        with connected(resources) as connection:
            found = _figures(connection, staged, columns, source.scale)
            rows = np.empty(0, dtype=np.int64)
            if not _ascending(staged, columns.field(schema.CUSTOMER_ID).type):
                rows = _duplicates(connection, staged)
        with disk.new_file(folder / _DUPLICATES) as stream:
            np.save(stream, rows)
        disk.write_json(written, asdict(found))
    duplicates = np.load(folder / _DUPLICATES, mmap_mode="r")
    return Prepass(columns, Figures(**disk.read_json(written)), duplicates)


def _figures(connection: Any, staged: Staged, columns: pa.Schema, scale: TimeScale) -> Figures:
    x, t_x, T = (
        f"CAST({identifier(name)} AS DOUBLE) / {divisor(columns.field(name).type, scale)!r}"
        for name in (schema.FREQUENCY, schema.RECENCY, schema.T)
    )
    found, scorable = figures_sql(scale)
    rows = f"SELECT {x} AS x, {t_x} AS t_x, {T} AS T FROM {parquet_scan(staged.files)}"
    query = f"SELECT {', '.join(found)} FROM ({rows}) WHERE {scorable}"
    by_x = f"SELECT x, min(T) FROM ({rows}) WHERE {scorable} GROUP BY x ORDER BY x LIMIT {_MOST_X}"
    youngest = connection.execute(by_x).fetchall()
    return replace(Figures(*connection.execute(query).fetchone()), youngest=youngest)


def _ascending(staged: Staged, kind: pa.DataType) -> bool:
    """Whether ids strictly ascend, as our own tables' do: then nobody is there twice."""
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        return False
    last: Any = None
    only_ids = pa.schema([pa.field(schema.CUSTOMER_ID, kind)])
    for path in staged.files:
        for batch in read_file(path, only_ids):
            ids = batch.column(0)
            if ids.null_count or (last is not None and not last < ids[0].as_py()):
                return False
            if len(ids) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
                return False
            last = ids[-1].as_py()
    return True


def _duplicates(connection: Any, staged: Staged) -> npt.NDArray[np.int64]:
    """Positions of rows whose customer is there more than once."""
    one, scan = identifier(schema.CUSTOMER_ID), parquet_scan(staged.files)
    connection.execute(
        f"CREATE TEMP TABLE twice AS SELECT {one} AS id FROM {scan} WHERE {one} IS NOT NULL "
        "GROUP BY id HAVING count(*) > 1"
    )
    starts = np.concatenate([[0], np.cumsum(staged.rows)])[:-1]
    found = connection.execute(
        f"SELECT file_index, file_row_number FROM {scan} WHERE {one} IN (SELECT id FROM twice)"
    ).fetchnumpy()
    rows = starts[np.asarray(found["file_index"], dtype=np.int64)]
    return np.sort(rows + np.asarray(found["file_row_number"], dtype=np.int64)).astype(np.int64)
