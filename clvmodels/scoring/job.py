"""One way into scoring for both engines: what was asked is checked here, and run in one order.

An engine says what it cannot read or write, holds the customers, and scores them. All else
(options, refusals, warnings, lock, resumption, manifest) is the same, and stands here.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypedDict

from clvmodels import __version__
from clvmodels.errors import OURS, SchemaError
from clvmodels.keywords import defaults
from clvmodels.log.embedded import Resources
from clvmodels.machine import check_memory_limit, cores_for
from clvmodels.path_checks import named_paths
from clvmodels.posterior.layout import labelled
from clvmodels.posterior.scorable import Scorable, open_scorable, purchases_of
from clvmodels.rejects import RejectLimit
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.periods import day_of
from clvmodels.schema import (
    Discounting,
    Horizon,
    check_flag,
    check_whole,
    plain_horizon,
    shown,
)
from clvmodels.scoring.block_records import BlockRecord, by_horizon, total_of
from clvmodels.scoring.concerns import concerns, refuse_lost_log, refuse_lost_rows
from clvmodels.scoring.input_files import refuse_changed
from clvmodels.scoring.manifest import (
    Progress,
    ScoreReport,
    make_manifest,
    rejects_text,
)
from clvmodels.scoring.publish import declare_ready, make_aside, put_in_place
from clvmodels.scoring.row_checks import common_schema
from clvmodels.scoring.scorer import Intervals, Scorer
from clvmodels.scoring.source import ReadTerms, Source, open_source
from clvmodels.scoring.staging import Figures, Staged
from clvmodels.scoring.target import (
    DEFAULT_TABLE,
    FORMAT_VERSION,
    Target,
    open_target,
    refuse_overlap,
)
from clvmodels.scoring.workspace import Workspace, occupied, refuse_foreign

if TYPE_CHECKING:
    import pandas as pd


SourceLike = str | Path | Sequence[str | Path]
BLOCK_ROWS: Final = 500_000
# Of the engine for all but the summary of a log: what it reads and writes passes through.
_MODEST: Final = "1GB"


@defaults(
    horizon="365D",
    discount_rate=0.10,
    discounting="continuous",
    interval=0.9,
    draws=500,
    intervals="clv",
    predictive=False,
)
class ScoreTerms(TypedDict, total=False):
    """What is asked of every customer, as of :meth:`clvmodels.CLVPosterior.predict`."""

    horizon: Horizon | Sequence[Horizon]
    discount_rate: float
    discounting: Discounting
    interval: float
    draws: int
    intervals: Intervals
    predictive: bool


@defaults(
    table=DEFAULT_TABLE,
    allow_rejects=False,
    max_rejects=None,
    memory_limit=None,
    threads=None,
    block_rows=None,
    restart=False,
    progress=None,
)
class ScoreOptions(ScoreTerms, ReadTerms, total=False):
    """All options of `clvmodels.score`, for both engines."""

    table: str
    allow_rejects: bool
    max_rejects: float | str | None
    memory_limit: str | None
    threads: int | None
    block_rows: int | None
    restart: bool
    progress: Progress | None


class Base(Protocol):
    """The customers of a job, where an engine holds them."""

    @property
    def staged(self) -> Staged:
        """Which files they came from, and how many there are."""

    @property
    def blocks(self) -> int:
        """How many of them one scorer scores."""

    def versions(self) -> dict[str, str]:
        """What the manifest says beside the job's options."""

    def look(self) -> Figures:
        """Look at every customer once."""

    def score(self, scorer: Scorer) -> list[BlockRecord]:
        """Write parts and rejects, and say what they add up to."""


class Engine(Protocol):
    """What differs between engines."""

    def check(self, source: Source, target: Target) -> None:
        """Refuse what this engine cannot read or write, before anything is written."""

    def threads(self, asked: int) -> int:
        """Cores of one scorer."""

    def block_rows(self, strata: int) -> int:
        """Rows that are scored at once, by a model of so many strata, where nobody says it."""

    def record(self) -> dict[str, Any]:
        """What the manifest says of the engine, and a resumed run must agree in."""

    def opened(self, job: ScoringJob, work: Workspace) -> AbstractContextManager[Base]:
        """Hold the customers while they are scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringJob:
    """What was asked for, checked before anything is written.

    Attributes
    ----------
    source : Source
    posterior : CLVPosterior or PurchasePosterior
    posterior_path : Path or None
    target : Target
    terms : mapping
        Options of the scorer.
    options : mapping
        Those that the rows of the output depend on, as the manifest names them.
    most : RejectLimit or None
        The most rows that may be lost.
    asked : ScoreOptions
        All options as they were given.
    resources, log_resources : Resources
        Of the embedded engine, and of it when it summarises a log.
    tell : callable
        Told how far the run is.
    seconds : dict of str to float
        What every stage took, as it goes.
    """

    source: Source
    posterior: Scorable
    posterior_path: Path | None
    target: Target
    terms: Mapping[str, Any]
    options: Mapping[str, Any]
    most: RejectLimit | None
    asked: ScoreOptions
    resources: Resources
    log_resources: Resources
    tell: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def scorer(self, figures: Figures, end: pd.Timestamp | None, blocks: int) -> Scorer:
        """Scorer of so many blocks, of which the figures tell, observed to this end."""
        return Scorer(
            self.posterior, **self.terms, whole=figures.whole(blocks), last_day=day_of(end)
        )

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

    def clear(self, work: Workspace) -> None:
        """Clear away a run that stopped; one that had only its last step to do does it."""
        if work.ready.exists():
            put_in_place(self.target, work, self.resources, keep_folder=True)
        else:
            work.clear()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long something takes."""
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 3)


def run_score(
    engine: Engine, source: SourceLike, posterior: object, output: str | Path, options: ScoreOptions
) -> ScoreReport:
    """Check what was asked, do it, and warn of rows that could not be scored."""
    job = open_job(engine, source, posterior, output, options)
    job.tell("start", {"input": job.source.text, "output": str(job.target.path)})
    restart = options["restart"]
    with occupied(job.target.work, job.identity(), restart=restart, clear=job.clear) as work:
        if not work.ready.exists():
            declare_ready(work, _manifest(engine, job, work))
        with job.timed("put in place"):
            record = put_in_place(job.target, work, job.resources)
    report = ScoreReport.from_manifest(job.target, record)
    told = {name: getattr(report, name) for name in ("rows", "scored", "rejected")}
    job.tell("published", {"output": str(report.output), **told})
    if report.rejected and not options["allow_rejects"]:
        _warn(rejects_text(report))
    return report


def open_job(
    engine: Engine, source: SourceLike, posterior: object, output: str | Path, options: ScoreOptions
) -> ScoringJob:
    """Check all that can be checked before anything is written.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError, PosteriorFileError, OSError
        As `clvmodels.score`.
    """
    check_flag("predictive", options["predictive"])
    check_flag("allow_rejects", options["allow_rejects"])
    check_flag("restart", options["restart"])
    given = options["block_rows"]
    block_rows = None if given is None else check_whole("block_rows", given)
    most = RejectLimit.read(options["max_rejects"])
    cores = cores_for(options["threads"])
    limit = check_memory_limit(options["memory_limit"])
    tell = _listener(options["progress"])
    scoring: dict[str, Any] = {n: v for n, v in options.items() if n in ScoreTerms.__annotations__}
    plain = [plain_horizon(one) for one in labelled(options["horizon"]).values()]
    scoring["horizon"] = plain if isinstance(options["horizon"], list | tuple) else plain[0]
    fitted, path = open_scorable(posterior)
    found = open_source(source, options, fitted)
    terms = scoring | {"margin": found.made_of, "threads": engine.threads(cores)}
    used = Scorer(fitted, **terms).draws.count
    if found.kind == "rfm" and purchases_of(fitted).metadata.clock is not None:
        known_day(day_of(found.observation_end))
    if found.kind == "rfm":
        common_schema(
            found.schemas, found.scale, amounts=found.amounts, attributes=found.attributes
        )
    if block_rows is None:
        design = purchases_of(fitted).metadata.design
        block_rows = engine.block_rows(1 if design is None else len(design.mix))
    target = open_target(output, options["table"])
    engine.check(found, target)
    refuse_overlap(target, [*named_paths(source), *([] if path is None else [path])])
    refuse_foreign(target.work)
    modest = _MODEST if options["memory_limit"] is None else limit
    spill = target.work / "spill"
    return ScoringJob(
        source=found,
        posterior=fitted,
        posterior_path=path,
        target=target,
        terms=terms,
        options=scoring | {"draws_used": used, "block_rows": block_rows} | engine.record(),
        most=most,
        asked=options,
        resources=Resources(modest, cores, spill),
        log_resources=Resources(limit, cores, spill),
        tell=tell,
    )


def _manifest(engine: Engine, job: ScoringJob, work: Workspace) -> dict[str, Any]:
    """Do all the work but the last step, and describe it."""
    begun = time.perf_counter()
    with engine.opened(job, work) as base:
        staged = base.staged
        job.seconds["stage"] = round(time.perf_counter() - begun, 3)
        job.tell("staged", {"rows": staged.total, "files": len(staged.files)})
        refuse_lost_log(staged, job.most, job.target, work)
        with job.timed("look"):
            figures = base.look()
        scorer = job.scorer(figures, staged.observation_end, base.blocks)
        said = concerns(job.source, job.posterior, scorer, staged, figures)
        for text in said:
            job.tell("warning", {"message": text})
            _warn(text)
        with job.timed("score"):
            records = base.score(scorer)
        versions = base.versions()
    refuse_lost_rows(records, job.most, job.target, work)
    refuse_changed(job.source.files)
    with job.timed("write"):
        make_aside(job.target, work, records, job.resources)
    totals = [
        total_of(ahead, job.options["interval"], certain=scorer.certain, money=scorer.money)
        for ahead in by_horizon(records)
    ]
    job.seconds["total"] = round(time.perf_counter() - begun, 3)
    return make_manifest(
        target=job.target,
        source=job.source,
        staged=staged,
        posterior=job.posterior,
        posterior_path=job.posterior_path,
        options={**job.options, **versions},
        records=records,
        totals=dict(zip(scorer.futures, totals, strict=True)),
        warnings=said,
        seconds=job.seconds,
    )


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)


def _listener(progress: Progress | None) -> Progress:
    if progress is not None and not callable(progress):
        raise SchemaError(f"progress={shown(progress)} must be a function, or None.")
    return progress or (lambda event, fields: None)
