"""Score block by block: each is a part, its rejects, and a record that is written last."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import schema
from clvmodels.progress import part
from clvmodels.scoring import disk
from clvmodels.scoring.block_records import BlockRecord, FileRecord
from clvmodels.scoring.manifest import Progress
from clvmodels.scoring.scorer import REASON, ScoredBatch, Scorer
from clvmodels.scoring.staging import Prepass, Staged
from clvmodels.scoring.stream import RowStream, given_schema, rejects_table
from clvmodels.scoring.workspace import Workspace

# Of a row group: what a reader or a merge holds at once, per thread.
GROUP_ROWS: Final = 131_072
# Columns with few distinct values; the others would only be hashed in vain.
_REPEATING: Final = (schema.FREQUENCY, schema.RECENCY, schema.T)


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive rows of the input.

    Attributes
    ----------
    number, start, rows : int
    """

    number: int
    start: int
    rows: int


def blocks_of(total: int, size: int) -> Iterator[Block]:
    """Cut the input's rows into blocks; an empty input is one empty block."""
    for number, start in enumerate(range(0, max(total, 1), size)):
        yield Block(number, start, min(size, total - start))


def score_blocks(
    scorer: Scorer,
    staged: Staged,
    prepass: Prepass,
    work: Workspace,
    size: int,
    tell: Progress,
    *,
    compression: str = "zstd",
) -> list[BlockRecord]:
    """Score all blocks that are not done, and return the records of all.

    While one block is written the next is scored, so two are in memory.

    Parameters
    ----------
    scorer : Scorer
    staged : Staged
        Customers.
    prepass : Prepass
        Of the same.
    work : Workspace
        Gets parts, rejects and records.
    size : int
        Rows of a block.
    tell : callable
        Told of every block.
    compression : str
        Of the parts.
    """
    reader = _Reader(scorer, staged, prepass)
    clock = _Clock(staged.total, tell)
    records: dict[int, BlockRecord] = {}
    todo, whole = [], max(staged.total, 1)
    for block in blocks_of(staged.total, size):
        if (record := done(work, block)) is None:
            todo.append(block)
        else:
            records[block.number] = record
    clock.resumed(sum(record.rows for record in records.values()))
    with ThreadPoolExecutor(1, "clvmodels-writer") as writer:
        pending: Future[BlockRecord] | None = None
        for block in todo:
            with part(block.start / whole, (block.start + block.rows) / whole):
                scored, rejects = reader.score(block)
            if pending is not None:
                _finish(pending, records, clock)
            pending = writer.submit(_write, work, block, scored, rejects, compression)
        if pending is not None:
            _finish(pending, records, clock)
    return [records[number] for number in sorted(records)]


def done(work: Workspace, block: Block) -> BlockRecord | None:
    """Record of a block whose files are all there."""
    path = _record(work, block.number)
    if not path.exists():
        return None
    record = BlockRecord.from_dict(disk.read_json(path))
    parts = record.part.is_there(work.parts)
    rejects = record.rejects is None or record.rejects.is_there(work.rejects)
    if parts and rejects and record.rows == block.rows:
        return record
    disk.remove(path)
    return None


class _Reader:
    """Blocks of the input, scored; with what was given of the rows that could not be."""

    def __init__(self, scorer: Scorer, staged: Staged, prepass: Prepass) -> None:
        self.scorer, self.staged, self.prepass = scorer, staged, prepass
        self.stream = RowStream(staged.files, staged.rows, prepass.columns)
        self._given: RowStream | None = None

    def score(self, block: Block) -> tuple[ScoredBatch, pa.Table | None]:
        batch = self.stream.read(block.start, block.rows)
        scored = self.scorer.score(batch, self.prepass.duplicated(block.start, block.rows))
        if not len(scored.reject_rows):
            return scored, None
        if self._given is None:
            self._given = RowStream(
                self.staged.files, self.staged.rows, given_schema(self.staged.files)
            )
        reasons = scored.rejects[REASON]
        rows: npt.NDArray[np.int64] = scored.reject_rows + block.start
        return scored, rejects_table(self._given, self.staged.names, rows, reasons)


class _Clock:
    """Tells how far the run is."""

    def __init__(self, total: int, tell: Progress) -> None:
        self.total, self.tell = total, tell
        self.rows = self.before = 0
        self.start = time.perf_counter()

    def resumed(self, rows: int) -> None:
        self.rows = self.before = rows
        self.tell("scoring", {"rows": self.total, "done": rows})

    def done(self, record: BlockRecord) -> None:
        self.rows += record.rows
        seconds = max(time.perf_counter() - self.start, 1e-9)
        rate = (self.rows - self.before) / seconds
        self.tell(
            "block",
            {
                "block": record.block,
                "rows": record.rows,
                "rejected": record.rejected,
                "done": self.rows,
                "of": self.total,
                "rows_per_second": round(rate),
                "seconds_left": round((self.total - self.rows) / max(rate, 1e-9), 1),
            },
        )


def _finish(pending: Future[BlockRecord], records: dict[int, BlockRecord], clock: _Clock) -> None:
    record = pending.result()
    records[record.block] = record
    clock.done(record)


def _write(
    work: Workspace, block: Block, scored: ScoredBatch, rejects: pa.Table | None, compression: str
) -> BlockRecord:
    part = work.parts / f"part-{block.number:05d}.parquet"
    write_parquet(part, scored.scores, compression)
    written, reasons = None, []
    if rejects is not None:
        path = work.rejects / f"rejects-{block.number:05d}.parquet"
        write_parquet(path, rejects, "zstd")
        written, reasons = FileRecord.of(path, rejects.num_rows), rejects[REASON].to_pylist()
    record = BlockRecord.of(
        scored.totals,
        block=block.number,
        rows=block.rows,
        reasons=reasons,
        part=FileRecord.of(part, scored.scores.num_rows),
        rejects=written,
    )
    disk.write_json(_record(work, block.number), record.to_dict())
    return record


def write_parquet(path: Path, table: pa.Table, compression: str) -> None:
    """Write a table as one Parquet file."""
    with disk.new_file(path) as stream, parquet_writer(stream, table.schema, compression) as out:
        out.write_table(table, row_group_size=GROUP_ROWS)


def parquet_writer(stream: Any, columns: pa.Schema, compression: str) -> pq.ParquetWriter:
    """Open a Parquet file for scores or rejects."""
    repeating: Sequence[str] | bool = [name for name in _REPEATING if name in columns.names]
    return pq.ParquetWriter(
        stream, columns, compression=compression, use_dictionary=repeating or False
    )


def _record(work: Workspace, number: int) -> Path:
    return work.records / f"block-{number:05d}.json"
