"""`clvmodels score --engine spark`: from files to files, the counting and scoring in Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import schema
from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.rfm.customers import TIMES, divisor
from clvmodels.schema import TimeScale
from clvmodels.scoring import Scorer, ScoreReport, disk
from clvmodels.scoring.block_records import BlockRecord
from clvmodels.scoring.input_files import PARQUET
from clvmodels.scoring.job import BLOCK_ROWS, ScoreOptions, ScoringJob, run_score
from clvmodels.scoring.source import Source
from clvmodels.scoring.staging import Figures, Staged, figures_sql
from clvmodels.scoring.target import Target
from clvmodels.scoring.workspace import Workspace
from clvmodels.spark.scores import counted, shipped
from clvmodels.spark.session import spark_errors, spark_session
from clvmodels.spark.summary import summary_of
from clvmodels.spark.task_files import FILE, RECORD, ROW, WriteBlocks, collected, text_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@named
def score_files(
    source: str | Path | Sequence[str | Path],
    posterior: str | Path | CLVPosterior | PurchasePosterior,
    output: str | Path,
    **options: Unpack[ScoreOptions],
) -> ScoreReport:
    """Score a base in Spark, from files to files; arguments as `clvmodels.score`.

    The session that is there is used, else one is started on this machine. The input is
    Parquet, the output a folder of Parquet files (a name without suffix) that all workers
    see; rejects and manifest stand beside it. Rows are those of `clvmodels.score`, in
    another order. A run that was stopped starts over, except that one whose parts were
    complete only puts them in place.

    Parameters
    ----------
    source, posterior, output
        As in `clvmodels.score`, with the forms said above.
    horizon, discount_rate, discounting, interval, draws, intervals, predictive
        As in :meth:`clvmodels.CLVPosterior.predict` and `clvmodels.score`.
    customer_id_col, datetime_col, monetary_value_col, observation_period_end : optional
        Of a log.
    refunds, order_id_col, zero_amounts, duplicates, implausible_dates, missing_ids : optional
        Of a log.
    varying_segments, time_unit, time_scaler, margin, table, allow_rejects
        As in `clvmodels.score`.
    date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in :func:`clvmodels.rfm_summary`.
    max_rejects : float or str, optional
        As in `clvmodels.score`.
    memory_limit, threads : optional
        Of the session, where it is started here.
    block_rows : int, optional
        Rows that a task scores at once; by default 500,000.
    restart : bool
        As in `clvmodels.score`.
    progress : callable, optional
        Told "start", "staged", "scoring", "warning" and "published".

    Returns
    -------
    ScoreReport
        As of `clvmodels.score`.

    Raises
    ------
    SchemaError
        PySpark or Java is missing, or the input, output or an option cannot be used.
    TimeUnitError, DomainError, ResumeError
        As `clvmodels.score`.
    """
    return run_score(_Spark(), source, posterior, output, options)


class _Spark:
    """The engine of a cluster: Parquet in, a folder of Parquet out, a task a partition."""

    def check(self, source: Source, target: Target) -> None:
        """Refuse what Spark would read otherwise than we do, and what it does not write."""
        if target.kind != "folder":
            raise SchemaError(
                f"Spark writes a folder of Parquet files: name the output {target.stem!r}, without "
                "suffix, or use the local engine."
            )
        for file in source.files:
            if not file.path.name.lower().endswith(PARQUET):
                raise SchemaError(
                    f"Here Spark reads only Parquet, not {file.path}: use the local engine, or "
                    "clvmodels.spark with a DataFrame of your own."
                )
        first = _plain_schema(source.files[0].path)
        for file in source.files[1:]:
            if _plain_schema(file.path) != first:
                raise SchemaError(
                    f"{file.path} and {source.files[0].path} differ in columns or types, which "
                    "Spark would fill with nulls: use the local engine, or write them alike."
                )

    def threads(self, asked: int) -> int:
        """One: Spark runs a task per core."""
        return 1

    def block_rows(self, strata: int) -> int:
        """The same for all: tasks share the memory of an executor."""
        return BLOCK_ROWS

    def record(self) -> dict[str, Any]:
        """Its rows are in another order."""
        return {"engine": "spark"}

    @contextmanager
    def opened(self, job: ScoringJob, work: Workspace) -> Iterator[_Base]:
        """Take the session that is there, or start one, and show it the customers."""
        for folder in (work.parts, work.rejects):
            disk.remove(folder)
            disk.make_folder(folder)
        asked = job.asked
        with (
            spark_session(asked["threads"], asked["memory_limit"]) as session,
            spark_errors(f"read {job.source.text}"),
            _staged(job.source, session) as (staged, rows),
        ):
            yield _Base(job, work, staged, rows)


@dataclass(frozen=True, slots=True)
class _Base:
    """Customers in Spark."""

    job: ScoringJob
    work: Workspace
    staged: Staged
    rows: DataFrame

    @property
    def blocks(self) -> int:
        """One or a few: each task has a scorer of its own."""
        return 1

    def versions(self) -> dict[str, str]:
        """Of the cluster."""
        return {"spark": self.rows.sparkSession.version}

    def look(self) -> Figures:
        """Find extremes; duplicates are counted while the rows are scored."""
        names = {schema.FREQUENCY: "x", schema.RECENCY: "t_x", schema.T: "T"}
        numbers = (f"CAST({name} AS DOUBLE) AS {short}" for name, short in names.items())
        found, scorable = figures_sql(self.job.source.scale)
        [line] = self.rows.selectExpr(*numbers).where(scorable).selectExpr(*found).collect()
        return Figures(*line)

    def score(self, scorer: Scorer) -> list[BlockRecord]:
        """Let the tasks write, and give their files names."""
        job, work = self.job, self.work
        job.tell("scoring", {"rows": self.staged.total, "done": 0})
        rows = counted(self.rows, unique=job.source.log is not None)
        write = WriteBlocks(
            shipped(scorer, rows),
            work.parts.absolute(),
            work.rejects.absolute(),
            f"summary of {job.source.text}",
            job.options["block_rows"],
        )
        texts = [row[RECORD] for row in rows.mapInArrow(write, f"{RECORD} string").collect()]
        if not texts:  # an empty input is one empty part
            nothing = rows.sparkSession.createDataFrame([], rows.schema).toArrow()
            empty = pa.RecordBatch.from_pylist([], schema=nothing.schema)
            local = WriteBlocks(scorer, write.parts, write.rejects, write.name, write.block_rows)
            texts = [text_of(local.write(empty, "driver"))]
        return collected(work, texts)


@contextmanager
def _staged(source: Source, session: SparkSession) -> Iterator[tuple[Staged, DataFrame]]:
    """Yield how many customers there must be, and the customers in Spark."""
    files = tuple(file.path for file in source.files)
    if source.log is None:
        counts = tuple(file.rows or 0 for file in source.files)
        staged = Staged(files, tuple(map(str, files)), counts, source.observation_end)
        yield staged, _in_unit(_with_origin(_read(session, files)), files[0], source.scale)
        return
    log = _read(session, files).drop("_metadata")
    with _clock_of(session, _plain_schema(files[0]).get(source.log.datetime_col, pa.null())):
        summary = summary_of(log, source.log, None)
    rows = (summary.audit.customers,)
    names = (f"summary of {source.text}",)
    try:
        yield Staged(files, names, rows, summary.observation_end, summary.audit), summary.table
    finally:
        summary.unpersist()


def _plain_schema(path: Path) -> dict[str, pa.DataType]:
    return {one.name: one.type for one in pq.read_schema(path)}


@contextmanager
def _clock_of(session: SparkSession, kind: pa.DataType) -> Iterator[None]:
    """Count instants by the wall clock of the zone that their file declares."""
    setting = "spark.sql.session.timeZone"
    before = session.conf.get(setting)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        session.conf.set(setting, kind.tz)
    try:
        yield
    finally:
        session.conf.set(setting, str(before))


def _read(session: SparkSession, files: Sequence[Path]) -> DataFrame:
    names = pq.read_schema(files[0]).names
    df = session.read.parquet(*(f"file://{_literal(path)}" for path in files))
    # without what Spark reads off the names of folders (month=3)
    return df.select(*(f"`{name.replace('`', '``')}`" for name in names), "_metadata")


def _in_unit(df: DataFrame, path: Path, scale: TimeScale) -> DataFrame:
    """Convert lengths of time, of which Spark reads the bare integers that Parquet stores."""
    from pyspark.sql import functions

    for name, kind in _plain_schema(path).items():
        if name in TIMES and (unit := divisor(kind, scale)) != 1.0:
            df = df.withColumn(name, functions.col(name).cast("double") / unit)
    return df


def _literal(path: Path) -> str:
    """A path in which Spark sees no pattern."""
    return "".join(f"\\{char}" if char in "\\*?[]{}," else char for char in str(path))


def _with_origin(df: DataFrame) -> DataFrame:
    from pyspark.sql import functions

    metadata = functions.col("_metadata")
    return (
        df.withColumn(FILE, metadata["file_path"])
        .withColumn(ROW, metadata["row_index"])
        .drop("_metadata")
    )
