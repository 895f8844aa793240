"""What must be known of the whole base before its first block: extremes and duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import schema
from clvmodels.rfm.customers import divisor, exceeds_periods_sql, has_fractions_sql
from clvmodels.rfm.on_disk import Resources
from clvmodels.schema import TimeScale
from clvmodels.scoring import disk
from clvmodels.scoring.duck import connected, identifier, parquet_scan
from clvmodels.scoring.staging import Staged
from clvmodels.scoring.stream import read_file

_DUPLICATES: Final = "duplicates.npy"
_FIGURES: Final = "prepass.json"


@dataclass(frozen=True, slots=True)
class Prepass:
    """Figures of the whole base.

    Attributes
    ----------
    least_x : float or None
        Fewest repeat purchases of the rows that can be scored; None if there are none.
    span : tuple of float or None
        Least and greatest T of these rows.
    fractions : bool
        Whether some of these T are not whole in periods of the unit.
    duplicates : ndarray of int64
        Sorted positions of rows whose customer has another row; on disk.
    """

    least_x: float | None
    span: tuple[float, float] | None
    fractions: bool
    duplicates: npt.NDArray[np.int64]

    def duplicated(self, start: int, count: int) -> npt.NDArray[np.bool_]:
        """Which of some consecutive rows are of a customer with another row."""
        first, last = np.searchsorted(self.duplicates, [start, start + count])
        found = np.zeros(count, dtype=bool)
        found[np.asarray(self.duplicates[first:last]) - start] = True
        return found


def prepare(
    staged: Staged, columns: pa.Schema, scale: TimeScale, folder: Path, resources: Resources
) -> Prepass:
    """Look at every row once, within bounded memory; a finished pass is taken as it is.

    Parameters
    ----------
    staged : Staged
        Customers.
    columns : pyarrow.Schema
        What is read of all files: `clvmodels.scoring.rows.common_schema`.
    scale : TimeScale
        The unit of recency and T.
    folder : Path
        Where the results are kept for a run that resumes.
    resources : Resources
        Of the embedded engine.
    """
    figures = folder / _FIGURES
    if not figures.exists():
        with connected(resources) as connection:
            found = _extremes(connection, staged, columns, scale)
            rows = np.empty(0, dtype=np.int64)
            if not _ascending(staged, columns.field(schema.CUSTOMER_ID).type):
                rows = _duplicates(connection, staged)
        with disk.new_file(folder / _DUPLICATES) as stream:
            np.save(stream, rows)
        names = ("least_x", "least_T", "most_T", "fractions")
        disk.write_json(figures, dict(zip(names, found, strict=True)))
    record = disk.read_json(figures)
    span = None if record["least_T"] is None else (record["least_T"], record["most_T"])
    duplicates = np.load(folder / _DUPLICATES, mmap_mode="r")
    return Prepass(record["least_x"], span, record["fractions"], duplicates)


def _extremes(
    connection: Any, staged: Staged, columns: pa.Schema, scale: TimeScale
) -> tuple[Any, ...]:
    x, t_x, T = (
        f"CAST({identifier(name)} AS DOUBLE) / {divisor(columns.field(name).type, scale)!r}"
        for name in (schema.FREQUENCY, schema.RECENCY, schema.T)
    )
    found: tuple[Any, ...] = connection.execute(
        "SELECT min(x), min(T), max(T), coalesce(bool_or("
        f"{has_fractions_sql('T', scale)}), false) "
        f"FROM (SELECT {x} AS x, {t_x} AS t_x, {T} AS T "
        f"FROM {parquet_scan(staged.files)}) WHERE x >= 0 AND x = floor(x) AND isfinite(x) "
        "AND t_x >= 0 AND t_x <= T AND isfinite(T) AND (x > 0 OR t_x = 0) "
        f"AND NOT {exceeds_periods_sql('x', 't_x', scale)}"
    ).fetchone()
    return found


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
