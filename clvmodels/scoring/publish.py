"""From finished blocks to an output in its place, in steps that may be repeated.

First all is made aside, in the work folder (a table of a database that is there already: in
it, under another name), and `ready.json` says so. Then the earlier manifest and rejects go
aside, output and rejects take their places, the new manifest comes last, and the work
folder goes. Stopped between any two steps, the same steps are taken again: what is no longer
aside is in its place. Where the output cannot take its place, as on a full disk, what went
aside comes back.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.log.embedded import Resources, connected, identifier, parquet_scan, quoted
from clvmodels.scoring import disk
from clvmodels.scoring.block_records import BlockRecord
from clvmodels.scoring.blocks import GROUP_ROWS, parquet_writer
from clvmodels.scoring.target import Target
from clvmodels.scoring.workspace import Workspace


def make_aside(
    target: Target, work: Workspace, records: Sequence[BlockRecord], resources: Resources
) -> None:
    """Make the output and the rejects in the work folder.

    Raises
    ------
    RuntimeError
        Rows were lost on the way.
    """
    parts = part_files(work)
    if [path.name for path in parts] != [record.part.name for record in records]:
        raise RuntimeError(f"{work.parts} does not hold the parts of all blocks: report this.")
    scored = sum(record.scored for record in records)
    rows = sum(record.part.rows for record in records)
    made = work.output(target.path.name)
    if target.kind == "parquet":
        rows = merge_parquet(parts, made)
    elif target.kind == "csv":
        rows = merge_csv(parts, made, resources)
    elif target.kind == "duckdb" and not target.path.exists():
        with disk.new_path(made) as aside:
            for left in (aside, aside.with_name(f"{aside.name}.wal")):  # by a run that was killed
                disk.remove(left)
            rows = write_table(parts, aside, target.table, resources)
    _check_rows("scores", rows, scored)
    rejected = sum(record.rejected for record in records)
    disk.remove(work.all_rejects)
    if rejected:
        names = [record.rejects.name for record in records if record.rejects is not None]
        rows = merge_parquet([work.rejects / name for name in names], work.all_rejects)
        _check_rows("rejects", rows, rejected)


def declare_ready(work: Workspace, manifest: Mapping[str, Any]) -> None:
    """Write the manifest aside, and that all is ready."""
    disk.write_json(work.manifest, manifest)
    disk.write_json(work.ready, {"ready": True})


def put_in_place(
    target: Target, work: Workspace, resources: Resources, *, keep_folder: bool = False
) -> dict[str, Any]:
    """Put output, rejects and manifest in their places, and remove the work folder.

    Parameters
    ----------
    target : Target
    work : Workspace
        Where `declare_ready` was called.
    resources : Resources
    keep_folder : bool
        Whether the folder stays, with its lock.

    Returns
    -------
    mapping
        The manifest.
    """
    if work.manifest.exists():  # else it is in its place already, as the last of all
        _Exchange(target, work, resources).run()
    if target.kind == "duckdb":  # closing would do it too, and be silent if there is no room
        with connected(resources, target.path) as connection:
            connection.execute("CHECKPOINT")
    record = disk.read_json(target.manifest)
    if keep_folder:
        work.clear()
    else:
        work.remove()
    return record


def part_files(work: Workspace) -> list[Path]:
    """Parts in the order of their blocks."""
    return sorted(work.parts.glob("part-*.parquet"), key=lambda path: (len(path.name), path.name))


class _Exchange:
    """Puts an output in the place of the earlier one, with rejects and manifest.

    Whoever finds a manifest may trust that it is of the output beside it, also where the
    exchange fails half-way: then it goes back, or, once the output is in its place, on.
    """

    def __init__(self, target: Target, work: Workspace, resources: Resources) -> None:
        self.target, self.work, self.resources = target, work, resources
        self.made = work.output(target.path.name)
        self.rejects = disk.read_json(work.manifest)["rejects"] is not None
        self.into = target.kind == "duckdb" and target.path.exists()

    def run(self) -> None:
        """Take the steps; each may have been taken before."""
        target, work = self.target, self.work
        if self.into:  # what takes room comes before anything is taken away
            write_table(part_files(work), target.path, target.waiting, self.resources)
        try:
            for place, aside in self._earlier():
                if place.exists():
                    disk.move(place, aside)
            self._put_output()
            for aside, place in self._new():
                if aside.exists():
                    disk.move(aside, place)
        except Exception:
            self._settle()
            raise

    def _earlier(self) -> list[tuple[Path, Path]]:
        target, work = self.target, self.work
        moves = [(target.manifest, work.earlier_manifest)]
        if work.all_rejects.exists() or not self.rejects:  # else those in place are the new ones
            moves.append((target.rejects, work.earlier_rejects))
        return moves

    def _new(self) -> list[tuple[Path, Path]]:
        target, work = self.target, self.work
        return [(work.all_rejects, target.rejects), (work.manifest, target.manifest)]

    def _put_output(self) -> None:
        path, work = self.target.path, self.work
        if self.into:
            _swap_table(self.target, self.resources)
            disk.remove(self.made)
        elif self.target.kind == "folder" and work.parts.is_dir():
            if path.exists():
                disk.remove(work.old)
                disk.move(path, work.old)
            disk.move(work.parts, path)
        elif self.made.exists():
            disk.move(self.made, path)

    def _settle(self) -> None:
        """Leave output and manifest of one run, as far as names can still be given."""
        waiting = self.work.parts.is_dir() if self.target.kind == "folder" else self.made.exists()
        placed = not (_is_waiting(self.target) if self.into else waiting)
        back = [(self.work.old, self.target.path)] * (not self.target.path.exists())
        back += [(aside, place) for place, aside in self._earlier()]
        for aside, place in self._new() if placed else back:
            with suppress(OSError):
                if aside.exists():
                    os.replace(aside, place)


def _swap_table(target: Target, resources: Resources) -> None:
    """Give the table that waits in the database the name of the earlier one."""
    name = identifier(target.table)
    with connected(resources, target.path) as connection:
        connection.execute(
            f"BEGIN TRANSACTION; DROP TABLE IF EXISTS {name}; "
            f"ALTER TABLE {identifier(target.waiting)} RENAME TO {name}; COMMIT"
        )


def _is_waiting(target: Target) -> bool:
    """Whether the table still has no name of its own; an error while it gets one may not say."""
    import duckdb

    with duckdb.connect(str(target.path), read_only=True) as connection:
        found = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    return (target.waiting,) in found


def _check_rows(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{found:,} rows of {what} were written, not {expected:,}: report this.")


def merge_parquet(parts: Sequence[Path], target: Path) -> int:
    """Write the rows of all parts, in their order, as one Parquet file.

    Columns that parts have under different types are text.

    Returns
    -------
    int
        Rows written.
    """
    columns = _common([pq.read_schema(path) for path in parts])
    rows = 0
    with disk.new_file(target) as stream, parquet_writer(stream, columns, "zstd") as out:
        for table in _read_ahead(_groups(parts)):
            out.write_table(_in_columns(table, columns), row_group_size=GROUP_ROWS)
            rows += table.num_rows
    return rows


def merge_csv(parts: Sequence[Path], target: Path, resources: Resources) -> int:
    """Write the rows of all parts as CSV, compressed where the name ends in ``.gz``.

    Numbers have as many digits as it takes to read back the same number, and those that
    are not integers a point.

    Returns
    -------
    int
        Rows written.
    """
    compression = "gzip" if target.name.lower().endswith(".gz") else "none"
    with disk.new_path(target) as aside, connected(resources) as connection:
        found = connection.execute(
            f"COPY (SELECT * FROM {parquet_scan(parts)}) TO {quoted(aside)} "
            f"(FORMAT csv, HEADER, COMPRESSION {compression})"
        ).fetchone()
    return int(found[0])


def write_table(parts: Sequence[Path], database: Path, table: str, resources: Resources) -> int:
    """Write the rows of all parts as a table of a DuckDB database, in one transaction.

    Other tables of the database stay as they are.

    Returns
    -------
    int
        Rows of the table.
    """
    name = identifier(table)
    with connected(resources, database) as connection:
        connection.execute("BEGIN TRANSACTION")
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {parquet_scan(parts)}")
        found = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
        connection.execute("COMMIT")
        # Closing would do it too, and be silent if there is no room for it.
        connection.execute("CHECKPOINT")
    return int(found[0])


def _groups(parts: Sequence[Path]) -> Iterator[pa.Table]:
    for path in parts:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)


def _read_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Read one table while the one before is written."""
    with ThreadPoolExecutor(1, "clvmodels-reader") as reader:
        coming = reader.submit(next, tables, None)
        while (table := coming.result()) is not None:
            coming = reader.submit(next, tables, None)
            yield table


def _common(found: Iterable[pa.Schema]) -> pa.Schema:
    types: dict[str, pa.DataType] = {}
    for one in found:
        for field in one:
            known = types.setdefault(field.name, field.type)
            types[field.name] = known if known == field.type else pa.string()
    return pa.schema(list(types.items()))


def _in_columns(table: pa.Table, columns: pa.Schema) -> pa.Table:
    if table.schema.equals(columns):
        return table
    return pa.table(
        [
            table[field.name].cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in columns
        ],
        schema=columns,
    )
