"""Score a whole base: stage, look once, score block by block, publish; or go on doing so."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from clvmodels import __version__, schema
from clvmodels.errors import OURS, SchemaError
from clvmodels.keywords import named
from clvmodels.log import ImplausibleDates, KeepDrop, Refunds
from clvmodels.machine import check_memory_limit, cores_for
from clvmodels.outputs import named_paths
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.posterior.scorable import Scorable, open_scorable
from clvmodels.rejects import RejectLimit
from clvmodels.rfm.on_disk import Resources
from clvmodels.schema import Discounting, Horizon, TimeUnit
from clvmodels.scoring.blocks import Progress, score_blocks
from clvmodels.scoring.concerns import (
    concerns,
    endless_spend,
    refuse_lost_log,
    refuse_lost_rows,
    unit_concerns,
)
from clvmodels.scoring.inputs import refuse_changed
from clvmodels.scoring.prepass import Prepass, prepare
from clvmodels.scoring.publish import declare_ready, make_aside, put_in_place
from clvmodels.scoring.records import total_of
from clvmodels.scoring.report import ScoreReport, make_manifest
from clvmodels.scoring.rows import common_schema
from clvmodels.scoring.scorer import Intervals, Scorer
from clvmodels.scoring.source import ReadOptions, Source, open_source
from clvmodels.scoring.staging import Staged, stage
from clvmodels.scoring.target import (
    DEFAULT_TABLE,
    FORMAT_VERSION,
    Target,
    open_target,
    refuse_overlap,
)
from clvmodels.scoring.workspace import Workspace, occupied, refuse_foreign

BLOCK_ROWS: Final = 500_000
# Of the engine for all but the summary of a log: what it reads and writes passes through.
_MODEST: Final = "1GB"


@named
def score(
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
    """Score a base of any size, from files to files, within bounded memory.

    The numbers are those of :meth:`clvmodels.CLVPosterior.predict`, or where the posterior
    knows purchases alone of :meth:`clvmodels.BetaGeoPosterior.predict`. Every input row is
    either in the output or, with a reason, in ``NAME.rejects.parquet`` beside it. While
    the run goes on, all is in ``NAME.partial``; the output appears whole, and
    ``NAME.manifest.json`` last. A run that was stopped at any moment goes on where it was
    when the same call is made again.

    Parameters
    ----------
    source : path, pattern, or list of them
        Parquet files of `RfmTable.to_parquet` (one, a folder, a pattern); Parquet or CSV
        with the columns customer_id, frequency, recency, T and monetary_value; or, with
        ``customer_id_col``, ``datetime_col`` and ``monetary_value_col``, a log as
        :func:`clvmodels.rfm_summary` takes it.
    posterior : path, CLVPosterior or BetaGeoPosterior and its like
        Of purchases and spend, or of purchases alone: the output then has no columns of money.
        There, and where every purchase has one value, the input needs no amounts, and those
        that it has are not read; of a log they only tell refunds from purchases.
    output : path
        ``.parquet``, ``.csv``, ``.csv.gz``, ``.duckdb`` (or ``.db``), or a name without
        suffix for a folder of Parquet files. An older output is replaced; of a database
        only the table.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`clvmodels.CLVPosterior.predict`.
    intervals : {"clv", "all"}
        Whether intervals of p_alive, expected_purchases and expected_spend are written, and
        not of clv only. With purchases alone "clv" writes that of expected_purchases.
    predictive : bool
        Whether intervals of the outcome are written too: purchases_lower, purchases_upper,
        value_lower and value_upper, of what a customer will really do.
    customer_id_col, datetime_col, monetary_value_col : str, optional
        Columns of a log.
    observation_period_end, refunds, order_id_col, zero_amounts, duplicates
        How a log is read, as in :func:`clvmodels.rfm_summary`.
    implausible_dates, missing_ids
        How a log is read, as in :func:`clvmodels.rfm_summary`.
    date_format, decimal, delimiter, encoding, where
        As in :func:`clvmodels.rfm_summary`.
    time_unit, time_scaler : optional
        Of a log, or of files that do not say it; by default the posterior's.
    margin : float, optional
        Share of revenue that is profit; by default what the files say, else that of the base
        that was fitted. Refused with a posterior of purchases alone.
    table : str
        Of a database.
    allow_rejects : bool
        Do not warn of rows that cannot be scored.
    max_rejects : float or str, optional
        The most rows that may be rejected, a share below 1 (0.01 or "1%") or a number: of
        the rows that cannot be scored, and of a log's rows whose date or amount cannot be
        read. Where there are more, the run fails and an older output stays.
    memory_limit : str, optional
        Such as "4GB", of the embedded engine, which spills to disk. By default 1 GB, and
        for the summary of a log a quarter of the machine's memory, at most 4 GB.
    threads : int, optional
        Cores to use; by default all.
    block_rows : int
        Rows that are scored at once: memory grows with it.
    progress : callable, optional
        Called with the name of an event and a mapping: "start", "staged", "scoring",
        "block", "warning", "published".

    Returns
    -------
    ScoreReport
        Counts, totals, paths; the manifest.

    Raises
    ------
    SchemaError
        The input, the output or an option is not of a form that can be used; more rows are
        rejected than ``max_rejects``, or all of them where an older output would go.
    TimeUnitError
        The input counts time in another unit than the posterior.
    DomainError
        An option is out of range, or values are infinite.
    ResumeError
        A half-finished run of something else is in the way, or another run is going on.
    OSError
        A file cannot be written, or there is no more room.
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
    options = {
        "horizon": schema.plain_horizon(horizon),
        "discount_rate": discount_rate,
        "discounting": discounting,
        "interval": interval,
        "draws": draws,
        "intervals": intervals,
        "predictive": schema.check_flag("predictive", predictive),
    }
    allow_rejects = schema.check_flag("allow_rejects", allow_rejects)
    cores = cores_for(threads)
    job = _open_job(
        source,
        posterior,
        output,
        read,
        options,
        block_rows=schema.check_whole("block_rows", block_rows),
        most=RejectLimit.read(max_rejects),
        table=table,
        threads=cores,
        tell=_listener(progress),
    )
    log_limit = check_memory_limit(memory_limit)
    limits = _MODEST if memory_limit is None else log_limit, log_limit
    report = _run(job, *(Resources(limit, cores, job.target.work / "spill") for limit in limits))
    if report.rejected and not allow_rejects:
        warnings.warn(rejects_text(report), UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    return report


def rejects_text(report: ScoreReport) -> str:
    """Say how many rows could not be scored, why, and where they are."""
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in report.reasons.items())
    return (
        f"{report.rejected:,} of {report.rows:,} rows could not be scored ({reasons}): they are "
        f"in {report.rejects}."
    )


@dataclass(frozen=True, slots=True)
class _Job:
    target: Target
    source: Source
    posterior: Scorable
    posterior_path: Path | None
    most: RejectLimit | None
    scoring: Mapping[str, Any]
    options: Mapping[str, Any]
    block_rows: int
    tell: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def scorer(self, span: tuple[float, float] | None) -> Scorer:
        """Scorer of blocks, whose T lie in the span."""
        return Scorer(self.posterior, **self.scoring, span=span)

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


def _open_job(
    source: Any,
    posterior: str | Path | Scorable,
    output: str | Path,
    read: ReadOptions,
    options: dict[str, Any],
    *,
    block_rows: int,
    most: RejectLimit | None,
    table: str,
    threads: int,
    tell: Progress,
) -> _Job:
    """Check all that can be checked before anything is written."""
    fitted, path = open_scorable(posterior)
    found = open_source(source, read, fitted)
    scoring = {**options, "margin": found.share, "threads": threads}
    used = Scorer(fitted, **scoring).draws.count
    if found.kind == "rfm":
        common_schema([file.path for file in found.files], found.scale, amounts=found.amounts)
    target = open_target(output, table)
    refuse_overlap(target, [*named_paths(source), *([] if path is None else [path])])
    refuse_foreign(target.work)
    options |= {"draws_used": used, "block_rows": block_rows}
    return _Job(target, found, fitted, path, most, scoring, options, block_rows, tell)


def _run(job: _Job, resources: Resources, for_log: Resources) -> ScoreReport:
    job.tell("start", {"input": job.source.text, "output": str(job.target.path)})
    with occupied(job.target.work, job.identity()) as work:
        if not work.ready.exists():
            declare_ready(work, _manifest(job, work, resources, for_log))
        with _timed(job, "put in place"):
            record = put_in_place(job.target, work, resources)
    report = ScoreReport.from_manifest(job.target, record)
    told = {name: getattr(report, name) for name in ("rows", "scored", "rejected")}
    job.tell("published", {"output": str(report.output), **told})
    return report


def _manifest(
    job: _Job, work: Workspace, resources: Resources, for_log: Resources
) -> dict[str, Any]:
    """Do all the work but the last step, and describe it."""
    begun = time.perf_counter()
    with _timed(job, "stage"):
        staged = stage(job.source, work.staged, for_log if job.source.log else resources)
    job.tell("staged", {"rows": staged.total, "files": len(staged.files)})
    refuse_lost_log(staged, job.most, job.target, work)
    with _timed(job, "look"):
        columns = common_schema(staged.files, job.source.scale, amounts=job.source.amounts)
        prepass = prepare(staged, columns, job.source.scale, work.prepass, resources)
    scorer = job.scorer(prepass.span)
    said = _warn(job, staged, prepass, endless_spend(scorer, prepass.least_x))
    with _timed(job, "score"):
        compression = "zstd" if job.target.kind == "folder" else "lz4"
        records = score_blocks(
            scorer, staged, prepass, work, job.block_rows, job.tell, compression=compression
        )
    refuse_lost_rows(records, job.most, job.target, work)
    refuse_changed(job.source.files)
    with _timed(job, "write"):
        make_aside(job.target, work, records, resources)
    total = total_of(records, job.options["interval"], certain=scorer.certain, money=scorer.money)
    job.seconds["total"] = round(time.perf_counter() - begun, 3)
    return make_manifest(
        target=job.target,
        source=job.source,
        staged=staged,
        posterior=job.posterior,
        posterior_path=job.posterior_path,
        options=job.options,
        records=records,
        total=total,
        warnings=said,
        seconds=job.seconds,
    )


def _warn(job: _Job, staged: Staged, prepass: Prepass, more: list[str]) -> list[str]:
    said = concerns(job.posterior, staged) + more + job.source.notes
    if job.source.foreign:
        said += unit_concerns(
            job.posterior,
            None if prepass.span is None else prepass.span[1],
            fractions=prepass.fractions,
            said=job.source.said,
        )
    if not staged.total:
        said.append(f"{job.source.text} has no rows: the output has none either.")
    for text in said:
        job.tell("warning", {"message": text})
        warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    return said


@contextmanager
def _timed(job: _Job, stage_name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    job.seconds[stage_name] = round(time.perf_counter() - start, 3)


def _listener(progress: Progress | None) -> Progress:
    if progress is not None and not callable(progress):
        raise SchemaError(f"progress={schema.shown(progress)} must be a function, or None.")
    return progress or _nobody


def _nobody(event: str, fields: Mapping[str, Any]) -> None:
    pass
