"""Score a whole base on this machine: stage, look once, score block by block, publish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Unpack

from clvmodels.keywords import named
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.scoring.block_records import BlockRecord
from clvmodels.scoring.blocks import score_blocks
from clvmodels.scoring.job import BLOCK_ROWS, ScoreOptions, ScoringJob, run_score
from clvmodels.scoring.manifest import ScoreReport
from clvmodels.scoring.scorer import Scorer
from clvmodels.scoring.source import Source
from clvmodels.scoring.staging import Figures, Prepass, Staged, prepare, stage
from clvmodels.scoring.target import Target
from clvmodels.scoring.workspace import Workspace

_MANY_STRATA: Final = 10
_BLOCK_ROWS_OF_STRATA: Final = 2_500_000


@named
def score(
    source: str | Path | Sequence[str | Path],
    posterior: str | Path | CLVPosterior | PurchasePosterior,
    output: str | Path,
    **options: Unpack[ScoreOptions],
) -> ScoreReport:
    """Score a base of any size, from files to files, within bounded memory.

    The numbers are those of :meth:`clvmodels.CLVPosterior.predict`, or where the posterior
    knows purchases alone of :meth:`clvmodels.BetaGeoPosterior.predict`. Every input row is
    either in the output or, with a reason, in ``NAME.rejects.parquet`` next to it. During
    the run everything is in ``NAME.partial``; the output appears whole, and
    ``NAME.manifest.json`` last. A run that was stopped at any moment continues where it
    was when the same call is made again.

    Parameters
    ----------
    source : path, pattern, or list of them
        Parquet files of `RfmTable.to_parquet` (one, a folder, a pattern); Parquet or CSV
        with the columns customer_id, frequency, recency, T and monetary_value; or, with
        ``customer_id_col``, ``datetime_col`` and ``monetary_value_col``, a log as
        :func:`clvmodels.rfm_summary` takes it.
    posterior : path, CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend, or of purchases alone: the output then has no columns of money.
        There, and where every purchase has one value, the input needs no amounts, and those
        that it has are not read; of a log they only tell refunds from purchases.
    output : path
        ``.parquet``, ``.csv``, ``.csv.gz``, ``.duckdb`` (or ``.db``), or a name without
        suffix for a folder of Parquet files. An older output is replaced; of a database
        only the table.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`clvmodels.CLVPosterior.predict`; of several horizons, as in
        ``horizon=["90D", "365D"]``, each has columns, such as expected_purchases_90D.
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
    implausible_dates, missing_ids, varying_segments
        How a log is read, as in :func:`clvmodels.rfm_summary`.
    date_format, decimal, delimiter, encoding, where, currency_col, rates
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
    block_rows : int, optional
        Rows that are scored at once: memory grows with it. By default 500,000, or 2,500,000
        where the posterior has covariates of ten strata or more.
    restart : bool
        Remove what a run that was stopped has left, and begin at the start. A run that cannot
        go on any more, since its input has changed or another version began it, is removed
        with a warning in any case.
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
    return run_score(_Here(), source, posterior, output, options)


class _Here:
    """The engine of this machine: files in, files out, blocks one after another."""

    def check(self, source: Source, target: Target) -> None:
        """Nothing that can be asked for is beyond it."""

    def threads(self, asked: int) -> int:
        """All that were asked for."""
        return asked

    def block_rows(self, strata: int) -> int:
        """More of many strata, whose customers share histories with few others in a block."""
        return BLOCK_ROWS if strata < _MANY_STRATA else _BLOCK_ROWS_OF_STRATA

    def record(self) -> dict[str, Any]:
        """Nothing: it is the usual one."""
        return {}

    @contextmanager
    def opened(self, job: ScoringJob, work: Workspace) -> Iterator[_Base]:
        """Stage what is not Parquet."""
        resources = job.resources if job.source.log is None else job.log_resources
        yield _Base(job, work, stage(job.source, work.staged, resources))


@dataclass(slots=True)
class _Base:
    """Customers in Parquet files of this machine."""

    job: ScoringJob
    work: Workspace
    staged: Staged
    prepass: Prepass | None = None

    @property
    def blocks(self) -> int:
        """All of them."""
        rows: int = self.job.options["block_rows"]
        return -(-self.staged.total // rows)

    def versions(self) -> dict[str, str]:
        """Nothing that is not said of the package's libraries."""
        return {}

    def look(self) -> Figures:
        """Find extremes and duplicates."""
        self.prepass = prepare(self.job.source, self.staged, self.work.prepass, self.job.resources)
        return self.prepass.figures

    def score(self, scorer: Scorer) -> list[BlockRecord]:
        """Score all blocks that are not done."""
        assert self.prepass is not None
        return score_blocks(
            scorer,
            self.staged,
            self.prepass,
            self.work,
            self.job.options["block_rows"],
            self.job.tell,
            compression="zstd" if self.job.target.kind == "folder" else "lz4",
        )
