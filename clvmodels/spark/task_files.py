"""Tasks of Spark write scores and rejects themselves, and hand back what they wrote.

Every attempt of a task writes under names of its own, so a repeated or speculative one
disturbs nobody; the records that Spark returns are those of the attempts that counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from clvmodels import schema
from clvmodels.errors import SchemaError
from clvmodels.scoring import disk
from clvmodels.scoring.block_records import BlockRecord, FileRecord
from clvmodels.scoring.blocks import write_parquet
from clvmodels.scoring.row_checks import columns_of
from clvmodels.scoring.scorer import REASON, ScoredBatch, Scorer
from clvmodels.scoring.stream import SOURCE_FILE, SOURCE_ROW
from clvmodels.scoring.workspace import Workspace
from clvmodels.spark.blocks import gathered, split_copies

FILE: Final = "__clvmodels_file"
ROW: Final = "__clvmodels_row"
RECORD: Final = "record"
_OURS: Final = (FILE, ROW)
_NAMES: Final = (SOURCE_FILE, SOURCE_ROW, REASON)


@dataclass(frozen=True, slots=True)
class WriteBlocks:
    """Score the batches of a partition into files.

    Attributes
    ----------
    scorer : Scorer, or a broadcast of one
    parts, rejects : Path
        Folders that all workers see.
    name : str
        What rejects call their source where rows do not name a file.
    block_rows : int
    """

    scorer: Any
    parts: Path
    rejects: Path
    name: str
    block_rows: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the record of every block as JSON."""
        from pyspark import TaskContext

        context = TaskContext.get()
        task = "driver" if context is None else f"{context.taskAttemptId():08d}"
        for number, block in enumerate(gathered(batches, self.block_rows)):
            record = self.write(block, f"{task}-{number:05d}")
            yield pa.RecordBatch.from_arrays([pa.array([text_of(record)])], names=[RECORD])

    def write(self, block: pa.RecordBatch, name: str) -> BlockRecord:
        """Score a block, write what becomes of its rows, and say what it adds up to."""
        scorer = self.scorer if isinstance(self.scorer, Scorer) else self.scorer.value
        rows, duplicated = split_copies(block)
        wanted = dict.fromkeys((*columns_of(amounts=scorer.amounts), *scorer.attributes))
        needed = [name for name in wanted if name in rows.schema.names]
        result = scorer.score(_wide_ids(rows.select(needed)), duplicated)
        part = self.parts / f"part-{name}.parquet"
        write_parquet(part, result.scores, "zstd")
        rejects = None
        if len(result.reject_rows):
            rejects = self.rejects / f"rejects-{name}.parquet"
            write_parquet(rejects, self._given(rows, result), "zstd")
        return _record(result, part, rejects)

    def _given(self, rows: pa.RecordBatch, result: ScoredBatch) -> pa.Table:
        """Rejected rows as `clvmodels.scoring.stream` has them."""
        given = pa.Table.from_batches([rows]).take(pa.array(result.reject_rows))
        count = len(given)
        if FILE in given.column_names:
            files = pa.array([_path(uri) for uri in given[FILE].to_pylist()], pa.string())
            lines = given[ROW].combine_chunks().cast(pa.int64())
        else:
            files, lines = pa.array([self.name] * count, pa.string()), pa.nulls(count, pa.int64())
        columns = {
            SOURCE_FILE: files,
            SOURCE_ROW: lines,
            REASON: result.rejects[REASON].cast(pa.string()),
        }
        for name in given.column_names:
            if name not in _OURS:
                columns[f"{name}_given" if name in _NAMES else name] = given[name]
        return pa.table(columns)


def text_of(record: BlockRecord) -> str:
    """A record as JSON, which `collected` reads."""
    return json.dumps(disk.plain(record.to_dict()))


def collected(work: Workspace, texts: Sequence[str]) -> list[BlockRecord]:
    """Records of all blocks, whose files get their final names; other files go.

    Raises
    ------
    SchemaError
        A file is not there: the workers do not see the output's folder.
    """
    records = sorted(
        (BlockRecord.from_dict(json.loads(text)) for text in texts), key=lambda r: r.part.name
    )
    found = []
    for number, record in enumerate(records):
        part = _renamed(work.parts, record.part, f"part-{number:05d}.parquet")
        rejects = record.rejects
        if rejects is not None:
            rejects = _renamed(work.rejects, rejects, f"rejects-{number:05d}.parquet")
        found.append(replace(record, block=number, part=part, rejects=rejects))
    kept = {record.part.name for record in found}
    kept |= {record.rejects.name for record in found if record.rejects is not None}
    for folder in (work.parts, work.rejects):
        for path in folder.iterdir():
            if path.name not in kept:
                disk.remove(path)
    return found


def _renamed(folder: Path, file: FileRecord, name: str) -> FileRecord:
    if not file.is_there(folder):
        raise SchemaError(
            f"A worker wrote {file.name}, but it is not in {folder}: all workers must see the "
            "output's folder. Otherwise call clvmodels.spark.score and write its DataFrame."
        )
    disk.move(folder / file.name, folder / name)
    return replace(file, name=name)


def _record(result: ScoredBatch, part: Path, rejects: Path | None) -> BlockRecord:
    totals = result.totals
    return BlockRecord.of(
        totals,
        block=0,
        rows=totals.scored + totals.rejected,
        reasons=result.rejects[REASON].to_pylist(),
        part=FileRecord.of(part, totals.scored),
        rejects=None if rejects is None else FileRecord.of(rejects, totals.rejected),
    )


def _wide_ids(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Whole numbers as int64, which is what the local engine writes."""
    ids = rows.column(schema.CUSTOMER_ID)
    if not pa.types.is_integer(ids.type):
        return rows
    place = rows.schema.get_field_index(schema.CUSTOMER_ID)
    return rows.set_column(place, schema.CUSTOMER_ID, ids.cast(pa.int64()))


def _path(uri: str) -> str:
    """File of a row, as this machine names it."""
    return unquote(urlsplit(uri).path)
