"""The Spark session, Ibis on it, and what goes wrong in Spark in our own words."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from clvmodels import errors
from clvmodels.errors import ClvError, SchemaError, one_line
from clvmodels.machine import check_memory_limit

if TYPE_CHECKING:
    import ibis
    from pyspark.sql import DataFrame, SparkSession

_OURS: Final = re.compile(r"clvmodels\.errors\.(\w+): (.+)")
_LOST: Final = re.compile("Python worker exited unexpectedly|ExecutorLostFailure")
_JAVA: Final = (
    "Spark needs Java 17 or newer: install it, or set JAVA_HOME; or use the local engine."
)

_KILLED: Final = (
    "Spark's Java process ended before the work was done: it was killed, perhaps for want of "
    "memory. Run the command again, or raise memory_limit"
)
# What the Java process says of itself at every start
_USUAL: Final = ("WARNING: ", "Setting Spark log level", "Using Spark's default log4j")


@contextmanager
def spark_session(threads: int | None, memory_limit: str | None) -> Iterator[SparkSession]:
    """Yield the session that is there, else one on this machine, stopped afterwards.

    Parameters
    ----------
    threads : int or None
        Cores of a session that is started here; by default all.
    memory_limit : str or None
        Of the Java process that is started here; by default Spark's own.

    Raises
    ------
    SchemaError
        PySpark or Java is missing.
    OSError
        The Java process was ended while it started.
    """
    memory = None if memory_limit is None else check_memory_limit(memory_limit)
    try:
        import pyspark.sql
    except ImportError as error:
        raise SchemaError(
            f"Spark is not installed ({error}): pip install 'clvmodels[spark]', or use the local "
            "engine."
        ) from error
    with warnings.catch_warnings():
        # PySpark 4.3 says so at many places; nothing here goes by way of pandas
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        active = pyspark.sql.SparkSession.getActiveSession()
        if active is not None:
            yield active
            return
        session = _started(pyspark.sql.SparkSession, threads, memory)
        logging.getLogger().addFilter(_not_py4j)
        try:
            yield session
        finally:
            _stop(session)
            logging.getLogger().removeFilter(_not_py4j)


def _not_py4j(record: logging.LogRecord) -> bool:
    """Whether a record is none of a broken connection, which is raised as an error too."""
    return f"{os.sep}py4j{os.sep}" not in record.pathname


def _stop(session: SparkSession) -> None:
    """Stop a session, or let go of one whose process is no more."""
    from py4j.protocol import Py4JError

    try:
        session.stop()
    except (Py4JError, OSError):
        from pyspark import SparkContext

        SparkContext._active_spark_context = SparkContext._gateway = SparkContext._jvm = None


def _started(kind: Any, threads: int | None, memory: str | None) -> SparkSession:
    _check_java()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {
        "spark.app.name": "clvmodels",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if memory is not None:
        settings["spark.driver.memory"] = re.sub(r"i?B$", "", memory).lower()
    if "MASTER" not in os.environ and not os.environ.get("SPARK_CONF_DIR"):
        settings |= {
            "spark.master": f"local[{threads or '*'}]",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
        }
    with tempfile.TemporaryFile() as log:
        try:
            _launch(settings, log)
            session: SparkSession = kind.builder.config(map=settings).getOrCreate()
        except Exception as error:
            if _java_ended(error):
                raise OSError(errno.EIO, _KILLED) from error
            said = _last_line(log) or _first_line(error).rstrip(".")
            raise SchemaError(f"Spark did not start ({said}). {_JAVA}") from error
    server = getattr(session.sparkContext, "_accumulatorServer", None)
    if server is not None:  # which would print the traceback of a broken connection
        server.handle_error = lambda *_: None
    return session


def _launch(settings: dict[str, str], log: IO[bytes]) -> None:
    """Start Java with its log in a file: what matters of it is raised as an error."""
    if {"SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "PYSPARK_GATEWAY_PORT"} & {*os.environ}:
        return  # a server elsewhere, or a process that spark-submit has started
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is None:
        conf = SparkConf(loadDefaults=False).setAll([*settings.items()])
        gateway = launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})
        SparkContext._ensure_initialized(gateway=gateway)


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    lines = [line for line in said if not line.startswith(_USUAL)]
    return one_line(lines[-1]) if lines else ""


def _check_java() -> None:
    """Look for Java before Spark does, whose complaint names a file of its own."""
    home = os.environ.get("JAVA_HOME")
    where = None if home is None else str(Path(home) / "bin")
    if shutil.which("java", path=where) is None:
        found = "no java on the PATH" if home is None else f"no bin/java in JAVA_HOME={home}"
        raise SchemaError(f"There is {found}. {_JAVA}")


@contextmanager
def spark_errors(doing: str) -> Iterator[None]:
    """Raise errors of the workers as what they were, and what Spark cannot read as ours.

    Raises
    ------
    ClvError
        As a worker raised it.
    OSError
        Spark's Java process has ended.
    SchemaError
        Spark cannot make sense of the data.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import AnalysisException, PySparkException

    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        if _java_ended(error):
            raise OSError(errno.EIO, _KILLED) from error
        found = _OURS.search(str(error))
        if found is not None:
            kind = getattr(errors, found[1], ClvError)
            raise kind(found[2].strip()) from error
        if isinstance(error, AnalysisException):
            raise SchemaError(f"Spark cannot {doing}: {_first_line(error)}") from error
        if _LOST.search(str(error)):
            raise OSError(
                errno.EIO,
                "A worker of Spark ended before its work was done: it was killed, perhaps for "
                "want of memory. Run the command again, or let Spark try more than once "
                "(MASTER='local[2,4]', spark.task.maxFailures)",
            ) from error
        raise


def _java_ended(error: BaseException) -> bool:
    """Whether a broken connection is behind an error: PySpark makes others of it in places."""
    from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError

    if isinstance(error, Py4JNetworkError | ConnectionError):
        return True
    if isinstance(error, Py4JError) and not isinstance(error, Py4JJavaError):
        return not _java_answers()  # py4j does not say why it had no answer
    behind = error.__cause__ or error.__context__
    return behind is not None and _java_ended(behind)


def _java_answers() -> bool:
    from py4j.protocol import Py4JError
    from pyspark import SparkContext

    try:
        if SparkContext._jvm is not None:
            SparkContext._jvm.java.lang.System.nanoTime()
    except (Py4JError, OSError):
        return False
    return True


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


# What Ibis changes on connecting.
_SETTINGS: Final = ("spark.sql.session.timeZone", "spark.sql.mapKeyDedupPolicy")


@dataclass(frozen=True, slots=True)
class SparkTables:
    """DataFrames as Ibis tables and back.

    Attributes
    ----------
    backend : ibis backend
        Bound to the session, whose time zone is UTC meanwhile.
    session : pyspark.sql.SparkSession
    views : list of str
        Temporary views made so far.
    """

    backend: Any
    session: SparkSession
    views: list[str] = field(default_factory=list)

    def table(self, df: DataFrame) -> ibis.Table:
        """Show a DataFrame to Ibis."""
        name = f"clvmodels_{uuid.uuid4().hex}"
        df.createOrReplaceTempView(name)
        self.views.append(name)
        return self.backend.table(name)

    def frame(self, expr: ibis.Table) -> DataFrame:
        """Turn an expression into a DataFrame; nothing is computed."""
        return self.session.sql(str(self.backend.compile(expr)))


@contextmanager
def tables_of(session: SparkSession) -> Iterator[SparkTables]:
    """Yield Ibis on a session; afterwards settings are restored and views are gone."""
    import ibis

    saved = {name: session.conf.get(name) for name in _SETTINGS}
    tables = SparkTables(ibis.pyspark.connect(session), session)
    try:
        yield tables
    finally:
        for name, value in saved.items():
            session.conf.set(name, str(value))
        if _resolves_at_once(session):
            for name in tables.views:
                with suppress(Exception):
                    session.catalog.dropTempView(name)


def _resolves_at_once(session: SparkSession) -> bool:
    """Whether DataFrames outlive the views they were made of (not in Spark Connect)."""
    return not type(session).__module__.startswith("pyspark.sql.connect")
