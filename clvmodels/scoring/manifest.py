"""The manifest of a run, and the same as a record."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels import __version__
from clvmodels.display import Readable
from clvmodels.forecast import tail_probabilities
from clvmodels.margin import MarginSource
from clvmodels.posterior.scorable import Scorable, fits_of, has_money, purchases_of
from clvmodels.schema import FloatArray
from clvmodels.scoring import disk
from clvmodels.scoring.source import Source
from clvmodels.scoring.staging import Staged
from clvmodels.scoring.target import FORMAT, FORMAT_VERSION, Target

if TYPE_CHECKING:
    from clvmodels.scoring.scorer import BatchTotals

Progress = Callable[[str, Mapping[str, Any]], None]
_LIBRARIES: Final = ("duckdb", "numba", "numpy", "pyarrow")


@dataclass(frozen=True, slots=True, repr=False)
class ScoreReport(Readable):
    """What a run of `clvmodels.score` did.

    Attributes
    ----------
    output, manifest : Path
    rejects : Path or None
        None where every row was scored.
    rows, scored, rejected : int
        Rows of the input, of the output and of the rejects; rows = scored + rejected.
    reasons : mapping of str to int
        Rejected rows by reason.
    one_time, zero_spend : int
        Scored customers without a repeat purchase; with repeat purchases of no value.
    without_value : int
        Scored customers whose expected spend is infinite in some draws: their value is
        empty, with a reason, and they are not in ``clv``.
    clv : Total or None
        Value of all other scored customers together: mean, sd, lower, upper. None where the
        posterior knows purchases alone.
    expected_purchases : float
        Of all together; NaN where there is no finite number.
    purchases : Total or None
        The same with its interval, where the posterior knows purchases alone; else None.
    draws : int
        Posterior draws that were used.
    observation_end : str or None
        Day to which the base was observed.
    margin : float or None
        Share of revenue that values are made of; None where there are none.
    margin_from : {"argument", "table", "posterior", "not said"}
        Who said it.
    assumed : str or None
        What was assumed of an input that does not say its unit, or found of how it is written.
    warnings : tuple of str
    seconds : mapping of str to float
        By stage.
    record : mapping
        The manifest, as it is in its file.
    """

    output: Path
    manifest: Path
    rejects: Path | None
    rows: int
    scored: int
    rejected: int
    reasons: Mapping[str, int]
    one_time: int
    zero_spend: int
    without_value: int
    clv: Total | None
    expected_purchases: float
    purchases: Total | None
    draws: int
    observation_end: str | None
    margin: float | None
    margin_from: MarginSource
    assumed: str | None
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    record: Mapping[str, Any]

    @classmethod
    def from_manifest(cls, target: Target, record: Mapping[str, Any]) -> ScoreReport:
        """Read a manifest; null is NaN.

        Parameters
        ----------
        target : Target
            The output that it describes.
        record : mapping
            As it is in the file.
        """
        rows, totals = record["rows"], record["totals"]
        return cls(
            output=target.path,
            manifest=target.manifest,
            rejects=None if record["rejects"] is None else target.rejects,
            rows=rows["input"],
            scored=rows["scored"],
            rejected=rows["rejected"],
            reasons=record["rejects_by_reason"],
            one_time=rows["one_time"],
            zero_spend=rows["zero_spend"],
            without_value=rows.get("without_value", 0),  # manifests of before lack it
            clv=_total(totals["clv"]),
            expected_purchases=_number(totals["expected_purchases"]),
            purchases=_total(totals.get("purchases")),
            draws=record["options"]["draws_used"],
            observation_end=record["input"]["observation_end"],
            margin=record["input"]["margin"],
            margin_from=record["input"]["margin_from"],
            assumed=record["input"]["assumed"],
            warnings=tuple(record["warnings"]),
            seconds=record["seconds"],
            record=record,
        )


def rejects_text(report: ScoreReport) -> str:
    """Say how many rows could not be scored, why, and where they are."""
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in report.reasons.items())
    return (
        f"{report.rejected:,} of {report.rows:,} rows could not be scored ({reasons}): they are "
        f"in {report.rejects}."
    )


def make_manifest(
    *,
    target: Target,
    source: Source,
    staged: Staged,
    posterior: Scorable,
    posterior_path: Path | None,
    options: Mapping[str, Any],
    records: Sequence[BlockRecord],
    total: Total,
    warnings: Sequence[str],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """All that is to be known of a run, as plain values.

    Raises
    ------
    RuntimeError
        The input's rows are not those scored and rejected.
    """
    end = staged.observation_end
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "posterior": describe_posterior(posterior, posterior_path),
        "input": source.record()
        | {
            "name": source.text,
            "rows": staged.total,
            "observation_end": None if end is None else end.date().isoformat(),
            "assumed": " ".join(filter(None, (source.assumed, staged.note))) or None,
        },
        "options": dict(options),
        "rows": _rows(staged.total, records),
        "rejects_by_reason": reasons_of(records),
        "totals": _totals(total, records, money=has_money(posterior)),
        "audit": None if staged.audit is None else staged.audit.to_dict(),
        "output": target.identity() | {"parts": [asdict(record.part) for record in records]},
        "rejects": target.rejects.name if any(record.rejected for record in records) else None,
        "warnings": list(warnings),
        "seconds": dict(seconds),
    }


def versions() -> dict[str, str]:
    """Of this package, of Python, and of the libraries that made the numbers."""
    found = {name: version(name) for name in _LIBRARIES}
    return {"clvmodels": __version__, "python": platform.python_version(), **found}


def describe_posterior(posterior: Scorable, path: Path | None) -> dict[str, Any]:
    """Where a posterior comes from, and whether its draws may be used."""
    metadata = purchases_of(posterior).metadata
    return {
        "path": None if path is None else str(path.absolute()),
        "fingerprint": posterior.fingerprint(),
        "time_unit": metadata.scale.time_unit,
        "time_scaler": metadata.scale.time_scaler,
        "observation_end": metadata.observation_end,
        "fits": [
            {
                "model": part.metadata.model,
                "method": part.metadata.method,
                "verdict": part.verdict.status,
                "draws": part.draws_total,
            }
            for part in fits_of(posterior)
        ],
    }


def _rows(total: int, records: Sequence[BlockRecord]) -> dict[str, int]:
    sums = {
        name: sum(getattr(record, name) for record in records)
        for name in ("scored", "rejected", "one_time", "zero_spend", "without_value")
    }
    if total != sums["scored"] + sums["rejected"]:
        raise RuntimeError(
            f"{total:,} rows were read, but {sums['scored']:,} scored and {sums['rejected']:,} "
            "rejected: report this."
        )
    return {"input": total, **sums}


def _totals(total: Total, records: Sequence[BlockRecord], *, money: bool) -> dict[str, Any]:
    bought = math.fsum(record.expected_purchases for record in records)
    if money:
        return {"clv": asdict(total), "expected_purchases": bought}
    return {"clv": None, "expected_purchases": bought, "purchases": asdict(total)}


def _total(record: Mapping[str, float | None] | None) -> Total | None:
    return None if record is None else Total(**{k: _number(v) for k, v in record.items()})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of the output.

    Attributes
    ----------
    name : str
    rows, bytes : int
    sha256 : str
    """

    name: str
    rows: int
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, rows: int) -> FileRecord:
        """Look at a file that was just written."""
        return cls(path.name, rows, path.stat().st_size, disk.digest(path))

    def is_there(self, folder: Path) -> bool:
        """Whether the file is where it was, with its length."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.bytes


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """Counts and sums of a block that is done.

    Attributes
    ----------
    block : int
    rows, scored, rejected, one_time, zero_spend, without_value : int
    clv, expected_purchases : float
        Sums, of value over those who have one, and NaN where no spend is known; of purchases
        NaN where there is no finite number.
    by_draw : ndarray, shape (draws,)
        Value of the block in each draw; expected purchases where no spend is known.
    reasons : mapping of str to int
        Rejected rows by reason.
    part : FileRecord
    rejects : FileRecord or None
    """

    block: int
    rows: int
    scored: int
    rejected: int
    one_time: int
    zero_spend: int
    without_value: int
    clv: float
    expected_purchases: float
    by_draw: FloatArray
    reasons: Mapping[str, int]
    part: FileRecord
    rejects: FileRecord | None

    @classmethod
    def of(
        cls,
        totals: BatchTotals,
        *,
        block: int,
        rows: int,
        reasons: Iterable[str],
        part: FileRecord,
        rejects: FileRecord | None,
    ) -> BlockRecord:
        """Record what a batch adds up to, and where it was written; ``reasons`` are by row."""
        sums = {field.name: getattr(totals, field.name) for field in fields(totals)}
        counted = dict(Counter(reasons))
        return cls(block=block, rows=rows, **sums, reasons=counted, part=part, rejects=rejects)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> BlockRecord:
        """Rebuild from :meth:`to_dict`; null is NaN."""
        sums = {
            name: math.nan if record[name] is None else record[name]
            for name in ("clv", "expected_purchases")
        }
        rejects = record["rejects"] and FileRecord(**record["rejects"])
        by_draw = np.array(record["by_draw"], dtype=np.float64)
        files = {"part": FileRecord(**record["part"]), "rejects": rejects}
        return cls(**{**record, **sums, **files, "by_draw": by_draw})


@dataclass(frozen=True, slots=True)
class Total:
    """Expected value of all scored customers together who have one, or expected purchases.

    Attributes
    ----------
    mean : float
        Sum of their clv, NaN where there are customers but none has a value; or of their
        expected_purchases, NaN where these are not finite.
    sd, lower, upper : float
        Of the total's expectation, over draws; NaN where there is no uncertainty.
    interval : float
        Probability of the equal-tailed interval.
    """

    mean: float
    sd: float
    lower: float
    upper: float
    interval: float


def total_of(
    records: Sequence[BlockRecord], interval: float, *, certain: bool, money: bool
) -> Total:
    """Total of all blocks, with the interval of the sum and not the sum of intervals."""
    mean = math.fsum(one.clv if money else one.expected_purchases for one in records)
    scored = sum(record.scored for record in records)
    nobody = scored > 0 and scored == sum(record.without_value for record in records)
    if nobody or math.isnan(mean):
        return Total(math.nan, math.nan, math.nan, math.nan, interval)
    if certain:
        return Total(mean, math.nan, math.nan, math.nan, interval)
    by_draw = np.sum([record.by_draw for record in records], axis=0)
    lower, upper = np.quantile(by_draw, tail_probabilities(interval))
    return Total(mean, float(by_draw.std()), float(lower), float(upper), interval)


def reasons_of(records: Iterable[BlockRecord]) -> dict[str, int]:
    """Rejected rows by reason, the most frequent first."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.reasons)
    return dict(counts.most_common())
