"""Rows that could not be scored, as they were given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.scoring.csv_staging import GIVEN
from clvmodels.scoring.scorer import REASON
from clvmodels.scoring.stream import RowStream

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
