"""RfmTable: customers' frequency, recency, T and spend, with their units and their audit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels.errors import SchemaError, one_line
from clvmodels.frames import Frame, to_polars
from clvmodels.keywords import named, renamed
from clvmodels.log import LogOptions
from clvmodels.log.audit import Audit
from clvmodels.margin import said_margin
from clvmodels.outputs import aside
from clvmodels.path_checks import path_of
from clvmodels.rfm.day_pairs import DayPairs
from clvmodels.rfm.frame import check_columns, validated
from clvmodels.rfm.gaps import total
from clvmodels.rfm.periods import ordinal_of, start_of
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    LOG_GAPS,
    MONETARY_VALUE,
    PERIOD_FREQUENCY,
    RECENCY,
    T,
    TimeScale,
    TimeUnit,
    check_list,
    scale_said,
    shown,
)

if TYPE_CHECKING:
    import polars as pl

FORMAT_VERSION: Final = 1
_NUMBERS: Final = (FREQUENCY, RECENCY, T, MONETARY_VALUE, FIRST_VALUE)
METADATA_KEY: Final = b"clvmodels.rfm"
_POLICIES: Final = (
    *("customer_id_col", "datetime_col", "monetary_value_col", "refunds", "order_id_col"),
    *("zero_amounts", "duplicates", "implausible_dates", "missing_ids", "where"),
    *("date_format", "decimal", "delimiter", "encoding", "currency_col", "rates"),
)


@dataclass(frozen=True, slots=True, eq=False)
class RfmTable:
    """One row per customer, sorted by customer_id; made by `rfm_summary` or `from_frame`.

    Parameters
    ----------
    table : pyarrow.Table
        customer_id, frequency (int64, repeat purchase periods), recency and T (float64,
        from the first purchase, in units of ``scale``); with amounts monetary_value
        (float64, mean total of a repeat period, 0 where there is none) and first_value
        (total of the first period); made of a log, log_gaps (float64, sum of the logarithms
        of the times between purchases in units of ``scale``); then the segment columns.
    scale : TimeScale
        The unit of recency and T.
    observation_end : pandas.Timestamp or None
        Start of the last period observed (that day, Monday, first of the month, hour);
        None if it is not known.
    margin : float
        Share of revenue that is profit; stored only, never applied to the columns here.
        1 where none was given: values then use the margin of the posterior, if it has one.
    audit : Audit or None
        What became of every row of the log; None for a table that did not come from one.
    segment_cols : tuple of str
        Names of the segment columns.
    options : LogOptions or None
        How the log was read; None for a table that did not come from one.
    has_id_map : bool
        Whether ids of the log were mapped to customers.
    margin_said : bool
        Whether the margin was given; always true where it is not 1.
    day_pairs : DayPairs or None
        Purchases by their day and the day before of the customer; with ``day_pairs=True``.
    """

    table: pa.Table = field(repr=False)
    scale: TimeScale
    observation_end: pd.Timestamp | None = None
    margin: float = 1.0
    audit: Audit | None = field(default=None, repr=False)
    segment_cols: tuple[str, ...] = ()
    options: LogOptions | None = field(default=None, repr=False)
    has_id_map: bool = False
    margin_said: bool = False
    day_pairs: DayPairs | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin_said", self.margin_said or self.margin != 1.0)

    @property
    def time_unit(self) -> TimeUnit:
        """The calendar period in which purchases are merged."""
        return self.scale.time_unit

    @property
    def time_scaler(self) -> float:
        """Periods per unit of recency and T."""
        return self.scale.time_scaler

    @property
    def has_money(self) -> bool:
        """Whether there is a monetary_value column."""
        return MONETARY_VALUE in self.table.column_names

    @property
    def log_gaps(self) -> float | None:
        """Sum over customers of the logarithms of the times between their purchases.

        Times k - 1 part of a log-likelihood of Erlang-k timing. None if not made of a log.
        """
        known = LOG_GAPS in self.table.column_names
        return total(self.table[LOG_GAPS].to_numpy()) if known else None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RfmTable):
            return NotImplemented
        return bool(self.table.equals(other.table)) and self._header() == other._header()

    __hash__ = None  # type: ignore[assignment]

    def to_arrow(self) -> pa.Table:
        """Return the columns as a pyarrow Table; log_gaps stays here, as ``rfm["log_gaps"]``."""
        return self.table.select([n for n in self.table.column_names if n != LOG_GAPS])

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns as a DataFrame, the caller's own copy."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return the columns as a polars DataFrame; polars must be installed."""
        return to_polars(self.to_arrow())

    def head(self, n: int = 5) -> pd.DataFrame:
        """Return the first customers as a DataFrame.

        Parameters
        ----------
        n : int
            How many.
        """
        return self.to_arrow().slice(0, n).to_pandas()  # type: ignore[no-any-return]

    def describe(self) -> pd.DataFrame:
        """Summarise frequency, recency, T and amounts, as pandas' describe does."""
        numbers = [name for name in _NUMBERS if name in self.table.column_names]
        return self.table.select(numbers).to_pandas().describe()  # type: ignore[no-any-return]

    def __getitem__(self, name: str | list[str]) -> Any:
        """A column as a Series, or several of them as a DataFrame.

        Raises
        ------
        SchemaError
            The table has no such column.
        """
        names = [name] if isinstance(name, str) else check_list("columns", name)
        there = self.table.column_names
        for one in (one for one in names if one not in there):
            raise SchemaError(f"The table has no column {shown(one)}: it has {', '.join(there)}.")
        frame = self.table.select(names).to_pandas()
        return frame[name] if isinstance(name, str) else frame

    def to_parquet(self, path: str | Path) -> None:
        """Write one Parquet file; units, policies and audit go into its schema metadata."""
        header = json.dumps(self._header()).encode()
        metadata = {**(self.table.schema.metadata or {}), METADATA_KEY: header}
        target = path_of("The table", path)
        with aside(target) as written:
            table = self.table.replace_schema_metadata(metadata)
            pq.write_table(table, written, compression="zstd")

    @classmethod
    def from_parquet(cls, path: str | Path) -> RfmTable:
        """Read what `to_parquet` wrote.

        Raises
        ------
        SchemaError
            There is no such file, or it was not written by `to_parquet`, or by a newer
            version of it.
        """
        try:
            table = pq.read_table(path_of("The table", path))
        except FileNotFoundError as error:
            raise SchemaError(
                f"{str(path)!r} does not exist: write a table there with to_parquet, or "
                "name another."
            ) from error
        except (OSError, pa.ArrowInvalid) as error:
            raise SchemaError(
                f"{str(path)!r} cannot be read as Parquet: {one_line(error)}"
            ) from error
        metadata = dict(table.schema.metadata or {})
        if METADATA_KEY not in metadata:
            raise SchemaError(
                f"{str(path)!r} does not say its time unit and observation end, so it is not a "
                "file of RfmTable.to_parquet: summarise the log with rfm_summary, or read the "
                "frame with pandas and pass it to RfmTable.from_pandas with its time unit."
            )
        return cls._from_header(table.replace_schema_metadata(None), metadata[METADATA_KEY], path)

    @classmethod
    def outline(cls, path: str | Path) -> RfmTable | None:
        """Read all but the rows of a file of `to_parquet`; None if another wrote it.

        Raises
        ------
        SchemaError
            It is not a Parquet file, or its metadata is damaged or of a newer version.
        """
        try:
            found = pq.read_schema(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise SchemaError(
                f"{str(path)!r} cannot be read as Parquet: {one_line(error)}"
            ) from error
        text = (found.metadata or {}).get(METADATA_KEY)
        return None if text is None else cls._from_header(found.empty_table(), text, path)

    def _header(self) -> dict[str, Any]:
        """Units, policies and audit, as they go into a file's metadata."""
        end, options = self.observation_end, self.options
        return {
            "format_version": FORMAT_VERSION,
            "time_unit": self.time_unit,
            "time_scaler": self.time_scaler,
            "observation_end": None if end is None else end.isoformat(),
            "margin": self.margin,
            "margin_said": self.margin_said,
            "segment_cols": list(self.segment_cols),
            "has_id_map": self.has_id_map,
            "policies": options and {name: getattr(options, name) for name in _POLICIES},
            "audit": None if self.audit is None else self.audit.to_dict(),
            **({} if self.day_pairs is None else {"day_pairs": self.day_pairs.to_text()}),
        }

    @classmethod
    def _from_header(cls, table: pa.Table, text: bytes, path: str | Path) -> RfmTable:
        try:
            header = json.loads(text)
            if header["format_version"] > FORMAT_VERSION:
                raise SchemaError(
                    f"{str(path)!r} has format {header['format_version']}, newer than "
                    f"{FORMAT_VERSION}: upgrade clvmodels to read it."
                )
            scale = TimeScale(header["time_unit"], header["time_scaler"])
            end, policies = header["observation_end"], header["policies"]
            segments = tuple(header["segment_cols"])
            said = header.get("margin_said", header["margin"] != 1.0)
            margin = header["margin"] if said else None
            return cls(
                table=check_columns(table, segments),
                scale=scale,
                observation_end=None if end is None else pd.Timestamp(end),
                **said_margin(margin),
                audit=header["audit"] and Audit.from_dict(header["audit"]),
                segment_cols=segments,
                options=policies
                and LogOptions(**policies, scale=scale, segment_cols=segments, margin=margin),
                has_id_map=header["has_id_map"],
                day_pairs=DayPairs.from_text(header.get("day_pairs")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SchemaError(
                f"The clvmodels metadata of {str(path)!r} is damaged ({error!r}): summarise the "
                "log again with rfm_summary."
            ) from error

    @classmethod
    @named
    def from_frame(
        cls,
        frame: Frame,
        *,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
        observation_end: Any = None,
        margin: float | None = None,
    ) -> RfmTable:
        """Take customers that were summarised elsewhere; `from_pandas` is the same.

        Parameters
        ----------
        frame : DataFrame or Table
            Of pandas, polars (lazy ones too) or pyarrow, with customer_id (which pandas
            may have in its index), frequency, recency, T, optionally monetary_value (may
            be missing where frequency is 0) and first_value; further columns become
            segments. recency and T are numbers in the unit, or lengths of time
            (timedelta, Duration), which are converted to it.
        time_unit, time_scaler : str, float, optional
            The unit of recency and T: ``time_scaler`` periods of ``time_unit``, in each
            of which purchases count as one. By default days; then T with fractions is
            warned of. Where several purchases a day count, ``"h"`` and 24 are days too.
        observation_end : date-like, optional
            The last period observed; needed by `update` only.
        margin : float, optional
            Share of revenue that is profit. Without it, values are at the margin of the posterior
            that makes them, which is 1 unless its base had another.

        Raises
        ------
        SchemaError
            A column is missing or holds no numbers, or rows cannot be a customer's
            history in this unit; the message has their number and the first of them.
        """
        said = scale_said(time_unit, time_scaler)
        scale = said or TimeScale()
        table = validated(frame, scale, said=said is not None)
        end = observation_end
        if end is not None:
            end = start_of(ordinal_of(end, scale, "observation_end"), scale)
        known = {CUSTOMER_ID, FREQUENCY, RECENCY, T, MONETARY_VALUE, FIRST_VALUE, LOG_GAPS}
        return cls(
            table=table,
            scale=scale,
            observation_end=end,
            **said_margin(margin),
            segment_cols=tuple(name for name in table.column_names if name not in known),
        )

    from_pandas = renamed(from_frame, "from_pandas")

    @named
    def update(
        self, new_log: Any, *, observation_period_end: Any = None, id_map: Any = None
    ) -> RfmTable:
        """Add later transactions without the old log; equals a summary of both together.

        The one exception are refunds with ``refunds="net_earlier"``: the table does not
        keep single purchases, so nothing can be taken off those that it sums up. Refunds
        that the new log's own purchases do not cover are left out, counted in the audit
        and warned of.

        Rows in periods up to the table's observation end are left out under their own
        reason, "already observed": those periods are closed. So let the observation end
        be a period that is over (yesterday, last month) when a table is to be updated.

        Parameters
        ----------
        new_log : object
            A log with the columns and in any of the forms of `rfm_summary`; read with
            this table's column names and policies.
        observation_period_end : date-like, optional
            The new last period; by default the later of the table's and the last one in
            the new log.
        id_map : mapping or frame, optional
            As in `rfm_summary`. An id that is a customer of this table is renamed; one
            that would join two customers of it is refused.

        Returns
        -------
        RfmTable
            A new table; this one is unchanged.

        Raises
        ------
        SchemaError
            The table does not know its log's columns or its observation end, the new end
            is before it, or customers would be merged.
        """
        from clvmodels.rfm.update import updated

        return updated(self, new_log, observation_period_end, id_map)

    def __repr__(self) -> str:
        end = "unknown" if self.observation_end is None else self._end_text()
        return (
            f"RfmTable({len(self):,} customers, unit {self.scale}, observed to {end}"
            + (f", margin {self.margin:g}" if self.margin != 1.0 else "")
            + ("" if self.has_money else ", no amounts")
            + ")"
        )

    def _end_text(self) -> str:
        return str(pd.Period(self.observation_end, freq=PERIOD_FREQUENCY[self.time_unit]))

    def _repr_html_(self) -> str:
        from html import escape

        head = self.head(10).to_html(index=False, border=0)
        more = f"<p>first 10 of {len(self):,} customers</p>" if len(self) > 10 else ""
        audit = "" if self.audit is None else f"<pre>{escape(str(self.audit))}</pre>"
        return f"<p><b>{escape(repr(self))}</b></p>{head}{more}{audit}"
