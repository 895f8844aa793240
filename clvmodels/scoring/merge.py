"""Parts -> one file, streamed: a row group at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.rfm.on_disk import Resources, quoted
from clvmodels.scoring import disk
from clvmodels.scoring.blocks import GROUP_ROWS, parquet_writer
from clvmodels.scoring.duck import connected, identifier, parquet_scan


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
