"""What blocks that are done hold and add up to, and the totals of all of them together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from clvmodels.forecast import tail_probabilities
from clvmodels.schema import FloatArray
from clvmodels.scoring import disk
from clvmodels.scoring.scorer import BatchTotals, Sums


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
    rows, scored, rejected, one_time, zero_spend, without_value, unknown_levels : int
    clv, expected_purchases : float
        Sums, of value over those who have one, and NaN where no spend is known; of purchases
        NaN where there is no finite number.
    by_draw : ndarray, shape (draws,)
        Value of the block in each draw; expected purchases where no spend is known.
    further : tuple of Sums
        These three over every horizon after the first.
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
    unknown_levels: int
    clv: float
    expected_purchases: float
    by_draw: FloatArray
    further: tuple[Sums, ...]
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
        rejects = record["rejects"] and FileRecord(**record["rejects"])
        files = {"part": FileRecord(**record["part"]), "rejects": rejects}
        further = tuple(Sums(**_sums(one)) for one in record["further"])
        return cls(**{**record, **_sums(record), **files, "further": further})


def _sums(record: Mapping[str, Any]) -> dict[str, Any]:
    sums = {name: _number(record[name]) for name in ("clv", "expected_purchases")}
    return {**sums, "by_draw": np.array(record["by_draw"], dtype=np.float64)}


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


@dataclass(frozen=True)
class Ahead:
    """What customers add up to over one horizon; see `ScoreReport`.

    Attributes
    ----------
    clv : Total or None
    expected_purchases : float
    purchases : Total or None
    """

    clv: Total | None
    expected_purchases: float
    purchases: Total | None

    @classmethod
    def from_dict(cls, totals: Mapping[str, Any]) -> Ahead:
        """Read what a manifest says; null is NaN."""
        return cls(
            clv=_total(totals["clv"]),
            expected_purchases=_number(totals["expected_purchases"]),
            purchases=_total(totals.get("purchases")),
        )


def by_horizon(records: Sequence[BlockRecord]) -> Iterator[list[BlockRecord]]:
    """The records of all blocks, once for every horizon, with the sums over it."""
    yield list(records)
    for ahead in zip(*(record.further for record in records), strict=True):
        yield [
            replace(
                record, clv=one.clv, expected_purchases=one.expected_purchases, by_draw=one.by_draw
            )
            for record, one in zip(records, ahead, strict=True)
        ]


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


def _total(record: Mapping[str, float | None] | None) -> Total | None:
    return None if record is None else Total(**{k: _number(v) for k, v in record.items()})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
