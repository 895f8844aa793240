"""How many rows may be lost before a job says so, or fails with nothing written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clvmodels.errors import OURS, SchemaError
from clvmodels.log.audit import Audit, Reason
from clvmodels.schema import shown

# A log may well hold rows without a customer, or refunds; it holds no dates and amounts
# that cannot be read, unless something went wrong on its way here.
UNREADABLE: Final = (
    Reason.NO_DATE,
    Reason.UNREADABLE_DATE,
    Reason.UNREADABLE_AMOUNT,
    Reason.NON_FINITE_AMOUNT,
)
MAX_UNREADABLE_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """The most rows that may be rejected.

    Parameters
    ----------
    text : str
        The limit as it was given.
    share : float or None
        Of all rows.
    count : int or None
        Rows; of share and count one is given.
    """

    text: str
    share: float | None = None
    count: int | None = None

    @classmethod
    def read(cls, value: object) -> RejectLimit | None:
        """Read a share below 1 (0.01, "1%") or a count of rows (0, 100); None sets no limit.

        Raises
        ------
        SchemaError
            It is neither.
        """
        if value is None:
            return None
        if isinstance(value, bool):
            value = repr(value)
        text = str(value).strip()
        percent = isinstance(value, str) and text.endswith("%")
        try:
            number = float(text.removesuffix("%")) / (100 if percent else 1)
        except ValueError:
            number = -1.0
        if 0 <= number <= 1 and (percent or 0 < number < 1):
            return cls(text, share=number)
        if number >= 0 and number.is_integer() and not percent:
            return cls(text, count=int(number))
        raise SchemaError(
            f"max_rejects={shown(value)} must be a share of the rows below 1, such as 0.01 or "
            "'1%', or a whole number of rows."
        )

    def allows(self, rejected: int, rows: int) -> bool:
        """Whether so many of so many rows may be rejected."""
        return rejected <= (self.share * rows if self.share is not None else self.count or 0)


def refuse_loss(
    counts: Mapping[str, int], rows: int, limit: RejectLimit | None, output: Path
) -> None:
    """Raise SchemaError where more rows are rejected than the limit allows.

    Parameters
    ----------
    counts : mapping of str to int
        Rejected rows by reason.
    rows : int
        All rows.
    limit : RejectLimit or None
        None allows any number.
    output : Path
        What would have been written.
    """
    rejected = sum(counts.values())
    if limit is not None and not limit.allows(rejected, rows):
        kept = f", and {output} is left as it was" if output.exists() else ""
        raise SchemaError(
            f"{_lost(counts, rows)}, more than max_rejects={limit.text} allows: nothing is "
            f"written{kept}. Correct the input, or allow more."
        )


def refuse_empty(counts: Mapping[str, int], rows: int, output: Path) -> None:
    """Raise SchemaError where every row is rejected and an earlier output would go for it."""
    if rows and sum(counts.values()) == rows:
        raise SchemaError(
            f"{_lost(counts, rows)}, which is all of them: {output}, written by an earlier run, "
            "is left as it was. Correct the input, or name another output to see the rejected "
            "rows."
        )


def unreadable(audit: Audit) -> dict[str, int]:
    """Rows of a log that could not be read, by reason; reasons without rows are left out."""
    counts = {reason.text: audit.rows_left_out(reason) for reason in UNREADABLE}
    return {reason: rows for reason, rows in counts.items() if rows}


def unreadable_rows(audit: Audit | None) -> list[str]:
    """Say that too many rows of a log could not be read; nothing where they are few.

    Amounts that are written but not read are never few: they may be the largest.
    """
    counts = {} if audit is None else unreadable(audit)
    if audit is None or (
        sum(counts.values()) <= MAX_UNREADABLE_SHARE * audit.rows_read
        and Reason.UNREADABLE_AMOUNT.text not in counts
    ):
        return []
    verb = "is" if sum(counts.values()) == 1 else "are"
    return [
        f"{_lost(counts, audit.rows_read)} and {verb} left out. Look at such rows: dates and "
        "amounts may be written in another way, to be given by date_format and decimal."
    ]


def warn_unreadable(audit: Audit) -> None:
    """Warn of a log of which too many rows could not be read."""
    for text in unreadable_rows(audit):
        warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)


def _lost(counts: Mapping[str, int], rows: int) -> str:
    rejected = sum(counts.values())
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in counts.items())
    share = 100 * rejected / max(rows, 1)
    text = f"{share:.1f}" if share >= 0.1 else f"{share:.1g}"
    return f"{rejected:,} of {rows:,} rows ({text} %) cannot be used ({reasons})"
