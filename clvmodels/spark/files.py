"""`clvmodels score --engine spark`: from files to files, the counting and scoring in Spark."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import __version__
from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.log import ImplausibleDates, KeepDrop, Refunds
from clvmodels.outputs import named_paths
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.posterior.scorable import Scorable, open_scorable
from clvmodels.rejects import RejectLimit
from clvmodels.rfm.customers import TIMES, divisor
from clvmodels.rfm.on_disk import Resources
from clvmodels.schema import Discounting, Horizon, TimeScale, TimeUnit, plain_horizon
from clvmodels.scoring import Scorer, ScoreReport, disk
from clvmodels.scoring.blocks import Progress
from clvmodels.scoring.concerns import concerns, endless_spend, refuse_lost_log, refuse_lost_rows
from clvmodels.scoring.inputs import PARQUET, refuse_changed
from clvmodels.scoring.publish import declare_ready, make_aside, put_in_place
from clvmodels.scoring.records import BlockRecord, total_of
from clvmodels.scoring.report import make_manifest
from clvmodels.scoring.rows import common_schema
from clvmodels.scoring.run import BLOCK_ROWS, rejects_text
from clvmodels.scoring.scorer import Intervals
from clvmodels.scoring.source import ReadOptions, Source, open_source
from clvmodels.scoring.staging import Staged
from clvmodels.scoring.target import (
    DEFAULT_TABLE,
    FORMAT_VERSION,
    Target,
    open_target,
    refuse_overlap,
)
from clvmodels.scoring.workspace import Workspace, occupied, refuse_foreign
from clvmodels.spark.parts import FILE, RECORD, ROW, WriteBlocks, collected, text_of
from clvmodels.spark.scores import counted, shipped
from clvmodels.spark.session import spark_errors, spark_session
from clvmodels.spark.summary import summary_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@named
def score_files(
    source: str | Path | Sequence[str | Path],
    posterior: str | Path | CLVPosterior | PurchasePosterior,
    output: str | Path,
    *,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    interval: float = 0.9,
    draws: int = 500,
    intervals: Intervals = "clv",
    predictive: bool = False,
    customer_id_col: str | None = None,
    datetime_col: str | None = None,
    monetary_value_col: str | None = None,
    observation_period_end: Any = None,
    refunds: Refunds = "drop",
    order_id_col: str | None = None,
    zero_amounts: KeepDrop = "keep",
    duplicates: KeepDrop = "keep",
    implausible_dates: ImplausibleDates = "error",
    missing_ids: Sequence[str | int] = (),
    date_format: str | None = None,
    decimal: str | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    where: str | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    margin: float | None = None,
    table: str = DEFAULT_TABLE,
    allow_rejects: bool = False,
    max_rejects: float | str | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    block_rows: int = BLOCK_ROWS,
    progress: Progress | None = None,
) -> ScoreReport:
    """Score a base in Spark, from files to files; arguments as `clvmodels.score`.

    The session that is there is used, else one is started on this machine. The input is
    Parquet, the output a folder of Parquet files (a name without suffix) that all workers
    see; rejects and manifest stand beside it. Rows are those of `clvmodels.score`, in
    another order. A run that was stopped begins anew, but for its last step.

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
    time_unit, time_scaler, margin, table, allow_rejects
        As in `clvmodels.score`.
    date_format, decimal, delimiter, encoding, where
        As in :func:`clvmodels.rfm_summary`.
    max_rejects : float or str, optional
        As in `clvmodels.score`.
    memory_limit, threads : optional
        Of the session, where it is started here.
    block_rows : int
        Rows that a task scores at once.
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
    read = ReadOptions(
        customer_id_col=customer_id_col,
        datetime_col=datetime_col,
        monetary_value_col=monetary_value_col,
        observation_period_end=observation_period_end,
        refunds=refunds,
        order_id_col=order_id_col,
        zero_amounts=zero_amounts,
        duplicates=duplicates,
        implausible_dates=implausible_dates,
        missing_ids=missing_ids,
        date_format=date_format,
        decimal=decimal,
        delimiter=delimiter,
        encoding=encoding,
        where=where,
        time_unit=time_unit,
        time_scaler=time_scaler,
        margin=margin,
    )
    scoring = {
        "horizon": plain_horizon(horizon),
        "discount_rate": discount_rate,
        "discounting": discounting,
        "interval": interval,
        "draws": draws,
        "intervals": intervals,
        "predictive": predictive,
    }
    most = RejectLimit.read(max_rejects)
    job = _open_job(source, posterior, output, read, scoring, block_rows, most, table, progress)
    with spark_session(threads, memory_limit) as session:
        report = _run(job, session)
    if report.rejected and not allow_rejects:
        warnings.warn(rejects_text(report), UserWarning, stacklevel=2)
    return report


@dataclass(frozen=True, slots=True)
class _Job:
    target: Target
    source: Source
    posterior: Scorable
    posterior_path: Path | None
    most: RejectLimit | None
    scorer: Scorer
    options: Mapping[str, Any]
    tell: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """All that the rows of the output depend on."""
        log = self.source.log
        return {
            "format_version": FORMAT_VERSION,
            "clvmodels": __version__,
            "posterior": self.posterior.fingerprint(),
            "output": self.target.identity(),
            "options": self.options,
            "input": self.source.record() | {"log": None if log is None else asdict(log)},
        }

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long something takes."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


def _open_job(
    source: Any,
    posterior: str | Path | Scorable,
    output: str | Path,
    read: ReadOptions,
    scoring: Mapping[str, Any],
    block_rows: int,
    most: RejectLimit | None,
    table: str,
    progress: Progress | None,
) -> _Job:
    """Check all that can be checked before Spark starts."""
    fitted, path = open_scorable(posterior)
    found = open_source(source, read, fitted)
    scorer = Scorer(fitted, **scoring, margin=found.share, threads=1)
    _check_input(found)
    target = open_target(output, table)
    if target.kind != "folder":
        raise SchemaError(
            f"Spark writes a folder of Parquet files: name the output {target.stem!r}, without "
            "suffix, or use the local engine."
        )
    refuse_overlap(target, [*named_paths(source), *([] if path is None else [path])])
    refuse_foreign(target.work)
    options = {
        **scoring,
        "draws_used": scorer.draws.count,
        "block_rows": int(block_rows),
        "engine": "spark",
    }
    tell = progress or (lambda *_: None)
    return _Job(target, found, fitted, path, most, scorer, options, tell)


def _check_input(source: Source) -> None:
    """Refuse what Spark would read otherwise than we do."""
    for file in source.files:
        if not file.path.name.lower().endswith(PARQUET):
            raise SchemaError(
                f"Spark reads Parquet only here, not {file.path}: use the local engine, or "
                "clvmodels.spark with a DataFrame of your own."
            )
    first = _plain_schema(source.files[0].path)
    for file in source.files[1:]:
        if _plain_schema(file.path) != first:
            raise SchemaError(
                f"{file.path} and {source.files[0].path} differ in columns or types, which Spark "
                "would fill with nulls: use the local engine, or write them alike."
            )
    if source.log is None:
        common_schema([file.path for file in source.files], source.scale, amounts=source.amounts)


def _plain_schema(path: Path) -> dict[str, pa.DataType]:
    return {one.name: one.type for one in pq.read_schema(path)}


def _run(job: _Job, session: SparkSession) -> ScoreReport:
    job.tell("start", {"input": job.source.text, "output": str(job.target.path)})
    with occupied(job.target.work, job.identity()) as work:
        if not work.ready.exists():
            with spark_errors(f"read {job.source.text}"):
                declare_ready(work, _manifest(job, work, session))
        with job.timed("put in place"):
            record = put_in_place(job.target, work, Resources())
    report = ScoreReport.from_manifest(job.target, record)
    told = {name: getattr(report, name) for name in ("rows", "scored", "rejected")}
    job.tell("published", {"output": str(report.output), **told})
    return report


def _manifest(job: _Job, work: Workspace, session: SparkSession) -> dict[str, Any]:
    """Do all the work but the last step, and describe it."""
    begun = time.perf_counter()
    for folder in (work.parts, work.rejects):
        disk.remove(folder)
        disk.make_folder(folder)
    start = time.perf_counter()
    with _staged(job.source, session) as (staged, rows):
        job.seconds["stage"] = round(time.perf_counter() - start, 3)
        job.tell("staged", {"rows": staged.total, "files": len(job.source.files)})
        refuse_lost_log(staged, job.most, job.target, work)
        said = concerns(job.posterior, staged) + job.source.notes
        if not staged.total:
            said.append(f"{job.source.text} has no rows: the output has none either.")
        _warn(job, said)
        job.tell("scoring", {"rows": staged.total, "done": 0})
        with job.timed("score"):
            records = _scored(job, work, rows)
    refuse_lost_rows(records, job.most, job.target, work)
    refuse_changed(job.source.files)
    total = total_of(
        records,
        job.options["interval"],
        certain=job.scorer.certain,
        money=job.scorer.money,
    )
    # Only now is it known who is in the base
    if any(record.without_value for record in records):
        once = any(record.one_time for record in records)
        said += _warn(job, endless_spend(job.scorer, 0.0 if once else 1.0))
    with job.timed("write"):
        make_aside(job.target, work, records, Resources())
    job.seconds["total"] = round(time.perf_counter() - begun, 3)
    return make_manifest(
        target=job.target,
        source=job.source,
        staged=staged,
        posterior=job.posterior,
        posterior_path=job.posterior_path,
        options={**job.options, "spark": session.version},
        records=records,
        total=total,
        warnings=said,
        seconds=job.seconds,
    )


def _warn(job: _Job, said: list[str]) -> list[str]:
    for text in said:
        job.tell("warning", {"message": text})
        warnings.warn(text, UserWarning, stacklevel=5)
    return said


# --- rows --------------------------------------------------------------------------------


@contextmanager
def _staged(source: Source, session: SparkSession) -> Iterator[tuple[Staged, DataFrame]]:
    """Yield how many customers there must be, and the customers in Spark."""
    files = tuple(file.path for file in source.files)
    if source.log is None:
        counts = tuple(file.rows or 0 for file in source.files)
        staged = Staged(files, tuple(map(str, files)), counts, source.observation_end)
        rows = _in_unit(_with_origin(_read(session, files)), files[0], source.scale)
        yield staged, counted(rows, unique=False)
        return
    log = _read(session, files).drop("_metadata")
    with _clock_of(session, pq.read_schema(files[0]).field(source.log.datetime_col).type):
        summary = summary_of(log, source.log, None)
    rows = (summary.audit.customers,)
    names = (f"summary of {source.text}",)
    yield Staged(files, names, rows, summary.observation_end, summary.audit), summary.table
    summary.unpersist()


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


def _scored(job: _Job, work: Workspace, rows: DataFrame) -> list[BlockRecord]:
    """Let the tasks write, and give their files names."""
    write = WriteBlocks(
        shipped(job.scorer, rows),
        work.parts.absolute(),
        work.rejects.absolute(),
        f"summary of {job.source.text}",
        int(job.options["block_rows"]),
    )
    texts = [row[RECORD] for row in rows.mapInArrow(write, f"{RECORD} string").collect()]
    if not texts:  # an empty input is one empty part
        nothing = rows.sparkSession.createDataFrame([], rows.schema).toArrow()
        empty = pa.RecordBatch.from_pylist([], schema=nothing.schema)
        local = WriteBlocks(job.scorer, write.parts, write.rejects, write.name, write.block_rows)
        record = local.write(empty, "driver")
        texts = [text_of(record)]
    return collected(work, texts)
