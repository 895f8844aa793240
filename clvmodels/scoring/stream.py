"""Rows of Parquet files in their order, some at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError, one_line
from clvmodels.scoring.csv_customers import GIVEN
from clvmodels.scoring.scorer import REASON

_BATCH: Final = 131_072


class RowStream:
    """Read consecutive rows; going on where the last read ended costs nothing extra.

    Parameters
    ----------
    files : sequence of Path
        Parquet files, read one after another.
    rows : sequence of int
        Rows of each.
    schema : pyarrow.Schema
        Columns to read, and their types.
    """

    def __init__(self, files: Sequence[Path], rows: Sequence[int], schema: pa.Schema) -> None:
        self.files = files
        self.schema = schema
        self.starts = (0, *accumulate(rows))
        self._position = -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None

    def read(self, start: int, count: int) -> pa.RecordBatch:
        """Return rows ``start`` to ``start + count`` of all files together.

        Raises
        ------
        SchemaError
            A file is damaged, or has fewer rows than it said.
        """
        if start != self._position:
            self._batches, self._rest = self._from(start), None
        parts, missing = [], count
        while missing:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                raise SchemaError(
                    "The input has fewer rows than its files state, so it has changed while it "
                    "was read: run the command again when nobody writes to it."
                )
            parts.append(batch.slice(0, missing))
            self._rest = batch.slice(missing) if batch.num_rows > missing else None
            missing -= parts[-1].num_rows
        self._position = start + count
        table = pa.Table.from_batches(parts, schema=self.schema).combine_chunks()
        return table.to_batches()[0] if count else _empty(self.schema)

    def place(self, row: int) -> tuple[int, int]:
        """File and row in it of a row of all files together."""
        file = bisect_right(self.starts, row) - 1
        return file, row - self.starts[file]

    def _from(self, start: int) -> Iterator[pa.RecordBatch]:
        if start >= self.starts[-1]:
            return
        file, skip = self.place(start)
        for path in self.files[file:]:
            yield from read_file(path, self.schema, skip)
            skip = 0


def read_file(path: Path, schema: pa.Schema, skip: int = 0) -> Iterator[pa.RecordBatch]:
    """Rows of one Parquet file from a position on, in the types of a schema.

    Raises
    ------
    SchemaError
        The file is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            groups, skip = _groups_from(file.metadata, skip)
            columns = [name for name in schema.names if name in file.schema_arrow.names]
            if not groups:
                return
            for batch in file.iter_batches(_BATCH, row_groups=groups, columns=columns):
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                yield _cast(batch.slice(skip), schema)
                skip = 0
    except (OSError, pa.ArrowException) as error:
        raise SchemaError(f"{path} cannot be read as Parquet: {one_line(error)}") from error


def _groups_from(metadata: pq.FileMetaData, skip: int) -> tuple[list[int], int]:
    """Row groups that hold what comes after some rows, and rows still to skip there."""
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if skip < rows:
            return list(range(group, metadata.num_row_groups)), skip
        skip -= rows
    return [], 0


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(field.type):
            column = column.dictionary_decode()
        columns.append(column if column.type == field.type else column.cast(field.type, safe=False))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


SOURCE_FILE: Final = "source_file"
SOURCE_ROW: Final = "source_row"
_OWN: Final = (SOURCE_FILE, SOURCE_ROW, REASON)
# Rows read at once to pick the rejects among them, with all their columns.
_CHUNK: Final = 65_536


def given_schema(files: Sequence[Path]) -> pa.Schema:
    """All columns of some files; text where files differ in the type of one.

    Columns that files have under several types, some of them nested, are left out.
    """
    types: dict[str, set[pa.DataType]] = {}
    for path in files:
        found = pq.read_schema(path)
        for name in dict.fromkeys(found.names):
            if found.names.count(name) == 1:
                kind = found.field(name).type
                kind = kind.value_type if pa.types.is_dictionary(kind) else kind
                types.setdefault(name, set()).add(kind)
    fields = []
    for name, kinds in types.items():
        if len(kinds) > 1:
            kinds = kinds - {pa.null()}
        if len(kinds) == 1:
            fields.append(pa.field(name, kinds.pop()))
        elif not any(pa.types.is_nested(kind) for kind in kinds):
            fields.append(pa.field(name, pa.string()))
    return pa.schema(fields)


def rejects_table(
    stream: RowStream,
    names: Sequence[str],
    rows: npt.NDArray[np.int64],
    reasons: pa.ChunkedArray,
) -> pa.Table:
    """Fetch rejected rows.

    Parameters
    ----------
    stream : RowStream
        With the schema of `given_schema`.
    names : sequence of str
        What to call each file.
    rows : ndarray of int64
        Positions of the rejected rows in all files together, ascending.
    reasons : ChunkedArray of str

    Returns
    -------
    pyarrow.Table
        source_file, source_row (counted from 0 in its file), reason, then the columns of
        the input; one that has a name of ours gets ``_given`` behind it.
    """
    given = pa.Table.from_batches(list(_fetch(stream, rows)), schema=stream.schema)
    starts = np.asarray(stream.starts)
    file = np.searchsorted(starts, rows, side="right") - 1
    columns = {
        SOURCE_FILE: pa.array([names[i] for i in file], pa.string()),
        SOURCE_ROW: pa.array(rows - starts[file], pa.int64()),
        REASON: reasons.cast(pa.string()),
    }
    for name in given.column_names:
        if not name.startswith(GIVEN):
            text = GIVEN + name
            column = given[text if text in given.column_names else name]
            columns[f"{name}_given" if name in _OWN else name] = column
    return pa.table(columns)


def _fetch(stream: RowStream, rows: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Read on from the first to the last of the rows: seeking would decode pages again."""
    end = int(rows[-1]) + 1
    for start in range(int(rows[0]), end, _CHUNK):
        batch = stream.read(start, min(_CHUNK, end - start))
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        if first < last:
            yield batch.take(pa.array(rows[first:last] - start))
