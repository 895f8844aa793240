"""What each block adds up to, and the sum of all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clvmodels.forecast import tail_probabilities
from clvmodels.schema import FloatArray
from clvmodels.scoring import disk


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
