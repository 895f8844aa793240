"""The embedded engine of a run: private, within its memory limit, with errors in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from clvmodels.errors import SchemaError, one_line
from clvmodels.log import set_up
from clvmodels.rfm.on_disk import Resources, quoted


@contextmanager
def connected(resources: Resources, database: Path | None = None) -> Iterator[Any]:
    """Yield a connection of its own, to a database or to none."""
    import duckdb

    with (
        engine_errors(),
        duckdb.connect(":memory:" if database is None else str(database)) as connection,
    ):
        for name, value in resources.settings().items():
            connection.execute(f"SET {name} = {quoted(value)}")
        set_up(connection)
        yield connection


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
        if os.strerror(errno.ENOSPC) in str(error):  # a commit's error is none of the kind below
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
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


def parquet_scan(paths: Iterable[Path]) -> str:
    """Table of Parquet files in SQL; names are taken as they are, not as patterns."""
    listed = ", ".join(quoted(escape(str(path))) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def identifier(name: str) -> str:
    """Write a name in SQL."""
    return '"' + name.replace('"', '""') + '"'
