"""The embedded engine of a run: private, within its memory limit, with errors in our words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, Final

from clvmodels.errors import SchemaError
from clvmodels.rfm.on_disk import Resources, quoted

_MEMORY: Final = re.compile(r"\s*\d+(\.\d+)?\s*([kKMGT]i?)?B?\s*")
_MOST: Final = 4 * 2**30
_LEAST: Final = 2**29


@contextmanager
def connected(resources: Resources) -> Iterator[Any]:
    """Yield a connection of its own."""
    import duckdb

    with engine_errors(), duckdb.connect() as connection:
        for name, value in resources.settings().items():
            connection.execute(f"SET {name} = {quoted(value)}")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@contextmanager
def engine_errors() -> Iterator[None]:
    """Say what the engine cannot do: no room is an OSError, the rest is about the data."""
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise OSError(
            errno.ENOMEM, f"Not enough memory for the embedded engine: raise memory_limit ({error})"
        ) from error
    except duckdb.IOException as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise SchemaError(f"The input cannot be read: {error}") from error
    except (duckdb.DataError, duckdb.InvalidInputException, duckdb.NotSupportedError) as error:
        raise SchemaError(f"The input cannot be read: {error}") from error


def check_memory_limit(limit: str | None) -> str:
    """Return a limit that the engine understands; by default a quarter of the machine.

    Raises
    ------
    SchemaError
        It is no amount of memory.
    """
    if limit is None:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return f"{max(min(total // 4, _MOST), _LEAST) >> 20}MiB"
    if not isinstance(limit, str) or not _MEMORY.fullmatch(limit) or not re.search(r"[1-9]", limit):
        raise SchemaError(f"memory_limit={limit!r} is no amount of memory: write '4GB'.")
    text = limit.strip()
    return text if text.upper().endswith("B") else f"{text}B"


def parquet_scan(paths: Iterable[Path]) -> str:
    """Table of Parquet files in SQL; names are taken as they are, not as patterns."""
    listed = ", ".join(quoted(escape(str(path))) for path in paths)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def identifier(name: str) -> str:
    """Write a name in SQL."""
    return '"' + name.replace('"', '""') + '"'
