"""The manifest of a run, and the same as a record."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from clvmodels import __version__
from clvmodels.display import Readable
from clvmodels.margin import MarginSource
from clvmodels.posterior.scorable import Scorable, fits_of, has_money, purchases_of
from clvmodels.scoring.block_records import Ahead, BlockRecord, Total, by_horizon, reasons_of
from clvmodels.scoring.source import Source
from clvmodels.scoring.staging import Staged
from clvmodels.scoring.target import FORMAT, FORMAT_VERSION, Target

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
    unknown_levels : int
        Scored customers with a level of a covariate that the fitted base did not have: they are
        scored as some of the population, with its doubt.
    clv : Total or None
        Value of all other scored customers together: mean, sd, lower, upper. None where the
        posterior knows purchases alone.
    expected_purchases : float
        Of all together; NaN where there is no finite number.
    purchases : Total or None
        The same with its interval, where the posterior knows purchases alone; else None.
    by_horizon : mapping of str to Ahead
        Where several horizons were asked for, what each adds up to, by its length as it stands
        in the columns; ``clv``, ``expected_purchases`` and ``purchases`` are of the first.
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
    unknown_levels: int
    clv: Total | None
    expected_purchases: float
    purchases: Total | None
    by_horizon: Mapping[str, Ahead]
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
            without_value=rows.get("without_value", 0),  # manifests of before lack these two
            unknown_levels=rows.get("unknown_levels", 0),
            **Ahead.from_dict(totals).__dict__,
            by_horizon={
                length: Ahead.from_dict(one) for length, one in totals.get("by_horizon", {}).items()
            },
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
    totals: Mapping[str, Total],
    warnings: Sequence[str],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """All that is to be known of a run, as plain values; totals are by label of horizon.

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
        "totals": _totals(totals, records, money=has_money(posterior)),
        "audit": None if staged.audit is None else staged.audit.to_dict(),
        "output": target.identity() | {"parts": [asdict(record.part) for record in records]},
        "rejects": target.rejects.name if any(record.rejected for record in records) else None,
        "warnings": list(warnings),
        "seconds": dict(seconds),
    }


def versions() -> dict[str, str]:
    """Of this package, of Python, and of the libraries that made the numbers."""
    found = {name: _installed(name) for name in _LIBRARIES}
    return {"clvmodels": __version__, "python": platform.python_version(), **found}


@cache
def _installed(name: str) -> str:
    """Looking it up parses the library's metadata: a tenth of what scoring a small base takes."""
    return version(name)


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
        for name in (
            "scored",
            "rejected",
            "one_time",
            "zero_spend",
            "without_value",
            "unknown_levels",
        )
    }
    if total != sums["scored"] + sums["rejected"]:
        raise RuntimeError(
            f"{total:,} rows were read, but {sums['scored']:,} scored and {sums['rejected']:,} "
            "rejected: report this."
        )
    return {"input": total, **sums}


def _totals(
    totals: Mapping[str, Total], records: Sequence[BlockRecord], *, money: bool
) -> dict[str, Any]:
    """Totals of the first horizon, and where there are several those of each."""
    each: dict[str, dict[str, Any]] = {}
    for (label, total), ahead in zip(totals.items(), by_horizon(records), strict=True):
        bought = {"expected_purchases": math.fsum(one.expected_purchases for one in ahead)}
        found = {"clv": asdict(total)} if money else {"clv": None, "purchases": asdict(total)}
        each[label.removeprefix("_")] = found | bought
    return next(iter(each.values())) | ({"by_horizon": each} if len(each) > 1 else {})
