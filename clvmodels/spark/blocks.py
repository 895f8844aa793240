"""What runs in the workers: Arrow batches of a partition in, scored batches out.

Spark hands over batches of 10,000 rows (spark.sql.execution.arrow.maxRecordsPerBatch).
The scorer has costs per call and scores equal histories once, so batches are gathered
into blocks first; a block bounds the memory, whatever the size of the partition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clvmodels import schema
from clvmodels.rfm.customers import TIMES, read_numbers
from clvmodels.schema import TimeScale
from clvmodels.scoring import Scorer
from clvmodels.scoring.row_checks import REASONS, read_rows
from clvmodels.scoring.scorer import REASON

COPIES: Final = "__clvmodels_copies"
BLOCK_ROWS: Final = 1_000_000
# Rows that the JVM takes back at a time.
_SLICE_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class ScoreBlocks:
    """Score the batches of a partition.

    Attributes
    ----------
    scorer : Scorer, or a broadcast of one
    """

    scorer: Any

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the scores of every row, in the order of the rows."""
        scorer = self.scorer if isinstance(self.scorer, Scorer) else self.scorer.value
        for block in gathered(batches):
            rows, duplicated = split_copies(block)
            yield from scored(scorer, rows, duplicated).to_batches(max_chunksize=_SLICE_ROWS)


@dataclass(frozen=True, slots=True)
class RejectBlocks:
    """Select the rows of a partition that cannot be scored.

    Attributes
    ----------
    scale : TimeScale
        The unit of recency and T.
    amounts : bool
        Whether amounts are read.
    first_counts : bool
        Whether spend depends on first_value.
    margins : str, optional
        Column of customers' own margins.
    """

    scale: TimeScale
    amounts: bool
    first_counts: bool = False
    margins: str | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield them as they came, with a reason."""
        for batch in batches:
            rows, duplicated = split_copies(batch)
            code = read_rows(
                rows,
                self.scale,
                duplicated,
                amounts=self.amounts,
                first_counts=self.first_counts,
                margins=self.margins,
            ).reason
            out = np.flatnonzero(code >= 0)
            if len(out):
                reason = pa.array(REASONS).take(pa.array(code[out]))
                yield _appended(rows.take(pa.array(out)), REASON, reason)


def gathered(
    batches: Iterable[pa.RecordBatch], limit: int = BLOCK_ROWS
) -> Iterator[pa.RecordBatch]:
    """Join small batches to blocks of about ``limit`` rows; empty ones vanish."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if rows and rows + batch.num_rows > limit:
            yield pa.concat_batches(waiting)
            waiting, rows = [], 0
        if batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
    if rows:
        yield pa.concat_batches(waiting)


def split_copies(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, npt.NDArray[np.bool_] | None]:
    """Take the count of a customer's rows out of a batch."""
    if COPIES not in batch.schema.names:
        return batch, None
    copies = batch.column(COPIES).to_numpy(zero_copy_only=False)
    return batch.drop_columns([COPIES]), copies > 1


def scored(
    scorer: Scorer, batch: pa.RecordBatch, duplicated: npt.NDArray[np.bool_] | None
) -> pa.Table:
    """Scores and rejects of a block in one table, in input order, with their reason."""
    result = scorer.score(batch, duplicated)
    scores = result.scores
    if REASON not in scores.column_names:
        scores = scores.append_column(REASON, pa.nulls(len(scores), pa.string()))
    if not len(result.reject_rows):
        return scores
    rejects = _as_scores(result.rejects, scores.schema, scorer.posterior.scale)
    both = pa.concat_tables([scores, rejects])
    position = np.empty(len(both), dtype=np.int64)
    kept = np.ones(len(both), dtype=bool)
    kept[result.reject_rows] = False
    position[kept] = np.arange(len(scores))
    position[result.reject_rows] = np.arange(len(scores), len(both))
    return both.take(pa.array(position))


def _as_scores(rejects: pa.Table, wanted: pa.Schema, scale: TimeScale) -> pa.Table:
    """Rejects with the columns of scores: what they say themselves, and no prediction."""
    columns = []
    for field in wanted:
        if field.name not in rejects.column_names:
            columns.append(pa.nulls(len(rejects), field.type))
        elif field.name == schema.FREQUENCY:
            columns.append(_whole(rejects[field.name]))
        elif field.name in TIMES:
            times = read_numbers(field.name, rejects[field.name], scale, "The DataFrame")
            columns.append(pa.array(times, from_pandas=True))
        else:
            columns.append(rejects[field.name].cast(field.type, safe=False))
    return pa.table(columns, schema=wanted)


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whole numbers as integers, null for the others."""
    numbers = values.cast(pa.float64(), safe=False)
    fits = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.less(pc.abs(numbers), 2.0**53))
    return pc.if_else(fits, numbers, None).cast(pa.int64())


def _appended(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    fields = [*batch.schema, pa.field(name, values.type)]
    return pa.RecordBatch.from_arrays([*batch.columns, values], schema=pa.schema(fields))
