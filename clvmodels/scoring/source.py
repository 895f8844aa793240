"""What an input holds: a table of customers that says its units, a foreign one, or a log."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError
from clvmodels.keywords import defaults, defaults_of
from clvmodels.log import FileTerms, LogOptions, LogTerms
from clvmodels.margin import Margin, MarginLike
from clvmodels.posterior.scorable import (
    Scorable,
    attributes_of,
    has_money,
    margin_of,
    reads_amounts,
)
from clvmodels.rfm import RfmTable
from clvmodels.rfm.attributes import segments_for
from clvmodels.rfm.periods import check_scale, end_options
from clvmodels.schema import TimeScale, TimeUnit, scale_said, shown
from clvmodels.scoring.csv_customers import CsvOptions
from clvmodels.scoring.input_files import (
    CSV,
    LOG_CSV,
    PARQUET,
    InputFile,
    Listing,
    kinds_of,
    list_files,
    stat_file,
)
from clvmodels.scoring.row_checks import needed_of

SourceKind = Literal["rfm", "csv", "log"]
# What says nothing of a table of customers
_HOW: Final = FileTerms.__annotations__
_OF_LOGS: Final = {"observation_period_end", *LogTerms.__annotations__} - {"decimal"}


@defaults(
    customer_id_col=None,
    datetime_col=None,
    monetary_value_col=None,
    observation_period_end=None,
)
class _LogColumns(TypedDict, total=False):
    customer_id_col: str | None
    datetime_col: str | None
    monetary_value_col: str | None
    observation_period_end: Any


@defaults(time_unit=None, time_scaler=None, margin=None)
class ReadTerms(_LogColumns, FileTerms, total=False):
    """What the caller says about the input; see `clvmodels.score`."""

    time_unit: TimeUnit | None
    time_scaler: float | None
    margin: MarginLike


@dataclass(frozen=True, slots=True)
class Source:
    """Files of customers, or of a log that will become customers.

    Attributes
    ----------
    kind : {"rfm", "csv", "log"}
        Parquet that is scored as it is, CSV of customers, or a log.
    text : str
        The input as it was named.
    files : tuple of InputFile
    scale : TimeScale
        Unit of recency and T.
    margin : Margin or None
        What values are made of, and who said it; None where the posterior knows no spend.
    amounts : bool
        Whether amounts are read, as the posterior says.
    observation_end : Timestamp or None
        Start of the last period observed; of a log only known once it is summarised.
    log : LogOptions or None
        How a log is read.
    assumed : str or None
        What was assumed of files that do not say it.
    folder : Path or None
        Folder of which all files are read.
    foreign : bool
        Whether files of customers do not say their unit.
    said : bool
        Whether the caller said it.
    csv : CsvOptions
        How CSV of customers is written.
    attributes : tuple of str
        Columns that covariates are made of, as the posterior says.
    """

    kind: SourceKind
    text: str
    files: tuple[InputFile, ...]
    scale: TimeScale
    margin: Margin | None
    amounts: bool
    observation_end: pd.Timestamp | None = None
    log: LogOptions | None = None
    assumed: str | None = None
    folder: Path | None = None
    foreign: bool = False
    said: bool = False
    csv: CsvOptions = field(default_factory=CsvOptions)
    attributes: tuple[str, ...] = ()

    @property
    def schemas(self) -> dict[Path, pa.Schema]:
        """Columns of the files, where these are Parquet."""
        return {file.path: file.schema for file in self.files if file.schema is not None}

    @property
    def share(self) -> float | None:
        """The margin as a number; None where there is none for all customers."""
        return None if self.margin is None or math.isnan(self.margin.value) else self.margin.value

    @property
    def made_of(self) -> MarginLike:
        """What values are made of, as a scorer takes it."""
        return self.share if self.margin is None or self.margin.of is None else self.margin.known()

    @property
    def notes(self) -> list[str]:
        """What is to be said of the margin."""
        return [] if self.margin is None or not self.margin.note else [self.margin.note]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        end = self.observation_end
        return {
            "kind": self.kind,
            "files": [file.record() for file in self.files],
            "time_unit": self.scale.time_unit,
            "time_scaler": self.scale.time_scaler,
            "margin": self.share,
            "margin_from": "not said" if self.margin is None else self.margin.source,
            **self._own_margins(),
            "observation_end": None if end is None else end.date().isoformat(),
            "csv": asdict(self.csv),
        }

    def _own_margins(self) -> dict[str, Any]:
        """What else values are made of, where it is more than one share for all."""
        of = None if self.margin is None else self.margin.known()
        return {} if of is None else {"contribution_margin": of.said()}


def open_source(
    source: str | Path | Sequence[str | Path], options: ReadTerms, posterior: Scorable
) -> Source:
    """Look at the input without reading its rows.

    Parameters
    ----------
    source : path, pattern or list of them
        Files, folder or pattern.
    options : ReadTerms
        Columns of a log; unit and margin of files that do not say theirs.
    posterior : CLVPosterior or PurchasePosterior
        Whose unit of time is expected, and whose margin counts where no other is said.

    Raises
    ------
    SchemaError
        The files are not customers, contradict each other or the options, or cannot be
        read.
    TimeUnitError
        The unit of time is not the posterior's.
    """
    found = _opened(source, options, posterior)
    own = [] if found.margin is None or found.margin.of is None else [found.margin.of.column]
    return replace(found, attributes=(*attributes_of(posterior), *filter(None, own)))


def _opened(
    source: str | Path | Sequence[str | Path], options: ReadTerms, posterior: Scorable
) -> Source:
    listing = list_files(source)
    if _is_log(options):
        return _open_log(listing, options, posterior)
    _refuse_log_options(options)
    kind = kinds_of(listing.files, {"Parquet": PARQUET, "CSV": CSV})
    if kind == "CSV":
        files = tuple(stat_file(path, parquet=False) for path in listing.files)
        return _foreign("csv", listing, files, options, posterior)
    outlines = [RfmTable.outline(path) for path in listing.files]
    files = tuple(stat_file(path, parquet=True) for path in listing.files)
    if all(outline is None for outline in outlines):
        _refuse_logs(files[0], amounts=reads_amounts(posterior))
        return _foreign("rfm", listing, files, options, posterior)
    return _own(listing, files, outlines, options, posterior)


def _is_log(options: ReadTerms) -> bool:
    """Whether columns of a log are named."""
    return any((options["customer_id_col"], options["datetime_col"], options["monetary_value_col"]))


def _scale_of(options: ReadTerms, posterior: Scorable) -> TimeScale:
    """Take the unit of time that is said, else that of the posterior."""
    return scale_said(options["time_unit"], options["time_scaler"]) or posterior.scale


def _refuse_log_options(options: ReadTerms) -> None:
    """Refuse options of logs where the input is a table of customers."""
    usual = defaults_of(ReadTerms)
    for name, given in options.items():
        if name in _OF_LOGS and given != usual[name] and given != []:
            raise SchemaError(
                f"{name}={shown(given)} is for logs, and the input is a table of customers: "
                "leave it out, or name the columns of the log (customer_id_col, datetime_col "
                "and monetary_value_col)."
            )


def rows_of(path: Path) -> int:
    """Rows of a Parquet file, by its footer."""
    return int(pq.read_metadata(path).num_rows)


def _own(
    listing: Listing,
    files: tuple[InputFile, ...],
    outlines: Sequence[RfmTable | None],
    options: ReadTerms,
    posterior: Scorable,
) -> Source:
    first = outlines[0]
    for path, outline in zip(listing.files, outlines, strict=True):
        if outline is None or first is None:
            other = path if outline is None else listing.files[0]
            raise SchemaError(
                f"{other} does not say its unit of time, but others do: score them separately."
            )
        _same_base(listing.files[0], first, path, outline, money=has_money(posterior))
    assert first is not None
    check_scale(first.scale, posterior.scale)
    check_scale(first.scale, _scale_of(options, posterior))
    return Source(
        "rfm",
        listing.text,
        files,
        first.scale,
        margin_of(posterior, options["margin"], table=first.margin if first.margin_said else None),
        reads_amounts(posterior),
        first.observation_end,
        folder=listing.folder,
    )


def _same_base(
    path: Path, one: RfmTable, other_path: Path, other: RfmTable, *, money: bool
) -> None:
    for name in ("scale", "observation_end", *(("margin",) if money else ())):
        here, there = getattr(one, name), getattr(other, name)
        if here != there:
            raise SchemaError(
                f"{path} and {other_path} are of different bases: {name.replace('_', ' ')} is "
                f"{here} and {there}. Score them one by one, or summarise the log again."
            )


def _foreign(
    kind: SourceKind,
    listing: Listing,
    files: tuple[InputFile, ...],
    options: ReadTerms,
    posterior: Scorable,
) -> Source:
    written = CsvOptions(
        decimal=options["decimal"], delimiter=options["delimiter"], encoding=options["encoding"]
    )
    own = _scale_of(options, posterior)
    check_scale(own, posterior.scale)
    margin = margin_of(posterior, options["margin"])
    said = options["time_unit"] is not None or options["time_scaler"] is not None
    assumed = None
    if margin is None and not said:
        assumed = f"{listing.text} does not say its unit of time: taken as {own}."
    elif margin is not None and (not said or options["margin"] is None):
        assumed = (
            f"{listing.text} does not say its unit of time and margin: taken as {own} "
            f"and {margin.value:g}."
            if margin.of is None
            else f"{listing.text} does not say its unit of time: taken as {own}."
        )
    return Source(
        kind,
        listing.text,
        files,
        own,
        margin,
        reads_amounts(posterior),
        assumed=assumed,
        folder=listing.folder,
        foreign=True,
        said=said,
        csv=written,
    )


def _open_log(listing: Listing, options: ReadTerms, posterior: Scorable) -> Source:
    margin = margin_of(posterior, options["margin"])
    if margin is not None and margin.of is not None and margin.of.column is not None:
        raise SchemaError(
            f"column={shown(margin.of.column)} is of a table of customers, and the input is a log: "
            "summarise it, join customer_margins(...), and score the table."
        )
    amounts = reads_amounts(posterior)
    _check_names(options, amounts=amounts)
    kind = kinds_of(listing.files, {"Parquet": PARQUET, "CSV": LOG_CSV})
    if kind == "Parquet" and RfmTable.outline(listing.files[0]) is not None:
        raise SchemaError(
            f"{listing.files[0]} is a summary already: leave out customer_id_col, datetime_col "
            "and monetary_value_col."
        )
    own = _scale_of(options, posterior)
    check_scale(own, posterior.scale)
    reading: dict[str, Any] = {n: value for n, value in options.items() if n in _HOW}
    log = LogOptions(
        customer_id_col=str(options["customer_id_col"]),
        datetime_col=str(options["datetime_col"]),
        monetary_value_col=options["monetary_value_col"],
        scale=own,
        margin=None if margin is None or margin.of is not None else margin.value,
        segment_cols=segments_for(attributes_of(posterior)),
        **reading,
        **end_options(options["observation_period_end"], own, "observation_period_end"),
    )
    files = tuple(stat_file(path, parquet=kind == "Parquet") for path in listing.files)
    return Source("log", listing.text, files, own, margin, amounts, log=log, folder=listing.folder)


def _check_names(options: ReadTerms, *, amounts: bool) -> None:
    """Amounts of a log may be named without need: they tell refunds from purchases."""
    amount = options["monetary_value_col"]
    named = [options["customer_id_col"], options["datetime_col"]]
    named += [amount] if amounts or amount is not None else []
    if all(isinstance(name, str) and name for name in named):
        return
    if amounts:
        raise SchemaError(
            "A log needs all three: customer_id_col, datetime_col and monetary_value_col, each "
            "the name of a column."
        )
    raise SchemaError(
        "A log needs customer_id_col and datetime_col, each the name of a column; "
        "monetary_value_col may be left out, as this posterior reads no amounts."
    )


def _refuse_logs(file: InputFile, *, amounts: bool) -> None:
    """Say of a file without a single column of ours what is missing: the names of columns."""
    assert file.schema is not None
    found = file.schema.names
    needed = needed_of(amounts=amounts)[1:]
    if not set(needed) & set(found):
        raise SchemaError(
            f"{file.path} has none of the columns {', '.join(needed)}; found "
            f"{', '.join(found)}. For a log pass customer_id_col, datetime_col and, for values, "
            "monetary_value_col."
        )
