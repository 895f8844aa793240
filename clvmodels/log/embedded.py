"""The embedded engine: private, in UTC, within its memory limit, with errors in our words."""

from __future__ import annotations

import errno
import math
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from clvmodels.errors import SchemaError, one_line
from clvmodels.machine import bytes_of

if TYPE_CHECKING:
    import ibis

# What a row may take in the group-by of customer-periods, measured, with room for the rest.
_BYTES_A_ROW: Final = 64


@dataclass(frozen=True, slots=True)
class Resources:
    """What the embedded engine may use.

    Attributes
    ----------
    memory_limit : str or None
        Such as "4GB"; beyond it the engine writes to ``spill``. None is the engine's own.
    threads : int or None
    spill : Path or None
        Folder for what does not fit.
    """

    memory_limit: str | None = None
    threads: int | None = None
    spill: Path | None = None

    def parts(self, rows: int) -> int:
        """Into how many parts customers are split, so that no part has to spill.

        Reading a Parquet log once more costs less than writing to disk, and reading
        back, what does not fit.
        """
        if self.memory_limit is None:
            return 1
        return max(1, math.ceil(rows * _BYTES_A_ROW / bytes_of(self.memory_limit)))

    def settings(self) -> dict[str, str]:
        """Settings of the engine by name."""
        found = {
            "memory_limit": self.memory_limit,
            "threads": self.threads,
            "temp_directory": self.spill,
        }
        return {name: str(value) for name, value in found.items() if value is not None}


# Names under which data are attached, of which the engine would keep hold.
_SHOWN: Final = ("log", "id_map", "ledger", "customers")
_WRONG_OR_SLOW: Final = {"statistics_propagation", "partial_aggregate_pushdown"}


@contextmanager
def engine(resources: Resources | None = None) -> Iterator[Any]:
    """Yield a private embedded DuckDB backend, closed afterwards; nothing of it is shared."""
    import ibis

    backend = ibis.duckdb.connect()
    try:
        set_up(backend.con, resources)
        yield backend
    finally:
        backend.disconnect()


@contextmanager
def open_engine(embedded: Any = None) -> Iterator[Any]:
    """Yield an engine that is open already, and leave no data in it; else one of its own.

    Opening one takes an eighth of what the summary of a small log does.
    """
    if embedded is None:
        with engine() as backend:
            yield backend
        return
    try:
        yield embedded
    finally:
        for name in _SHOWN:
            embedded.con.unregister(name)


def set_up(connection: Any, resources: Resources | None = None) -> None:
    """Make a connection of the embedded engine count in UTC, find NaN, and draw no progress bar.

    Parquet's statistics leave NaN out, and from them DuckDB 2.0 concludes that there is none:
    isnan() is false of every row of such a file. Moving parts of aggregates down copies what
    reads a text into each of them: for a small log of text that takes longer than all else.
    """
    known = {name for (name,) in connection.execute("FROM duckdb_optimizers()").fetchall()}
    off = ",".join(sorted(_WRONG_OR_SLOW & known))  # by their version: 1.4 has but one of them
    connection.execute(f"SET disabled_optimizers = '{off}'")
    for name, value in (resources or Resources()).settings().items():
        connection.execute(f"SET {name} = {quoted(value)}")
    connection.execute("SET TimeZone = 'UTC'")
    # In notebooks it may be unable to draw one, and then to be told not to.
    [[drawn]] = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if drawn:
        connection.execute("SET enable_progress_bar = false")


@contextmanager
def connected(resources: Resources, database: Path | None = None) -> Iterator[Any]:
    """Yield a connection of its own, to a database or to none."""
    import duckdb

    with (
        engine_errors(),
        duckdb.connect(":memory:" if database is None else str(database)) as connection,
    ):
        set_up(connection, resources)
        yield connection


def refuse_full_disk(error: Exception) -> None:
    """Raise OSError for an engine's error that says so in words alone."""
    if os.strerror(errno.ENOSPC) in str(error):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


@contextmanager
def engine_errors() -> Iterator[None]:
    """Say what the engine cannot do: no room is an OSError, the rest is about the data."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        short = f"Not enough memory for the embedded engine: raise memory_limit ({_line(error)})"
        raise OSError(errno.ENOMEM, short) from error
    except duckdb.Error as error:
        refuse_full_disk(error)  # a commit's error is none of the kind below
        text = _line(error)
        if isinstance(error, duckdb.OperationalError):
            raise SchemaError(f"A file cannot be read or written: {text}") from error
        if isinstance(error, duckdb.ParserException) and "Memory" in text:  # beyond 2^64
            raise SchemaError(f"memory_limit cannot be used: {text}") from error
        # A damaged file may end in an error of no kind.
        kinds = duckdb.DataError | duckdb.InvalidInputException | duckdb.NotSupportedError
        if isinstance(error, kinds) or type(error) is duckdb.Error:
            raise SchemaError(f"The input cannot be read: {text}") from error
        raise


def _line(error: Exception) -> str:
    """What an error says before it gives advice."""
    return one_line(str(error).split("\n\n")[0])


def parquet_scan(paths: Iterable[Path], *, by_name: bool = True, by_folder: bool = False) -> str:
    """Table of Parquet files in SQL; names are taken as they are, not as patterns.

    ``by_name`` says that columns of files may differ in order and type, ``by_folder`` that
    folders such as region=eu add columns.
    """
    how = f"union_by_name = {by_name}, hive_partitioning = {by_folder}"
    return f"read_parquet({literal_files(paths)}, {how})"


def literal_files(paths: Iterable[object]) -> str:
    """List of files in SQL, whose names are no patterns."""
    return "[" + ", ".join(quoted(escape(str(path))) for path in paths) + "]"


def identifier(name: str) -> str:
    """Write a name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def attach(backend: Any, data: Any, name: str) -> ibis.Table:
    """Show Arrow data to the embedded engine as a table, without copying it."""
    backend.con.register(name, data)
    return backend.table(name)


def fetch(backend: Any, expr: Any) -> pa.Table:
    """Run an expression where it lies and bring the rows here."""
    if backend.name != "pyspark":
        return backend.to_pyarrow(expr)
    # Ibis 12 goes through pandas there, which makes floats of integers beside missing values.
    view = f"clvmodels_{uuid.uuid4().hex}"
    backend.create_view(view, expr)
    try:
        return backend.raw_sql(f"SELECT * FROM {view}").toArrow()
    finally:
        backend.drop_view(view)


def quoted(text: object) -> str:
    """Write text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"
