"""RfmTable: customers' frequency, recency, T and spend, with their units and their audit."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clvmodels.audit import Audit
from clvmodels.errors import OURS, SchemaError, one_line
from clvmodels.frames import Frame, to_polars
from clvmodels.keywords import named
from clvmodels.ledger import SEGMENT, Ledger, collect, read_id_map, to_rfm
from clvmodels.margin import said_margin
from clvmodels.rfm.continuity import noted
from clvmodels.rfm.frame import check_columns, validated
from clvmodels.rfm.periods import end_options, ordinal_of, start_of
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    PERIOD_FREQUENCY,
    RECENCY,
    T,
    TimeScale,
    TimeUnit,
    path_of,
    scale_said,
)
from clvmodels.transactions import LogOptions

if TYPE_CHECKING:
    import polars as pl

FORMAT_VERSION: Final = 1
METADATA_KEY: Final = b"clvmodels.rfm"
_POLICIES: Final = (
    "customer_id_col",
    "datetime_col",
    "monetary_value_col",
    "refunds",
    "order_id_col",
    "zero_amounts",
    "duplicates",
    "implausible_dates",
    "missing_ids",
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
        (total of the first period); then the segment columns.
    scale : TimeScale
        The unit of recency and T.
    observation_end : pandas.Timestamp or None
        Start of the last period observed (that day, Monday, first of the month, hour);
        None if it is not known.
    margin : float
        Share of revenue that is profit; stored only, never applied to the columns here.
        1 where none was said: values are then at the margin of the posterior, if it has one.
    audit : Audit or None
        What became of every row of the log; None for a table that did not come from one.
    segment_cols : tuple of str
        Names of the segment columns.
    options : LogOptions or None
        How the log was read; None for a table that did not come from one.
    has_id_map : bool
        Whether ids of the log were mapped to customers.
    margin_said : bool
        Whether somebody said the margin; always where it is not 1.
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

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RfmTable):
            return NotImplemented
        return bool(self.table.equals(other.table)) and self.header() == other.header()

    __hash__ = None  # type: ignore[assignment]

    def to_arrow(self) -> pa.Table:
        """Return the columns as a pyarrow Table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns as a DataFrame, the caller's own copy."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return the columns as a polars DataFrame; polars must be installed."""
        return to_polars(self.table)

    # --- files ---

    def to_parquet(self, path: str | Path) -> None:
        """Write one Parquet file; units, policies and audit go into its schema metadata."""
        metadata = {
            **(self.table.schema.metadata or {}),
            METADATA_KEY: json.dumps(self.header()).encode(),
        }
        target = path_of("The table", path)
        pq.write_table(self.table.replace_schema_metadata(metadata), target, compression="zstd")

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
            It is no Parquet file, or its metadata is damaged or of a newer version.
        """
        try:
            found = pq.read_schema(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise SchemaError(
                f"{str(path)!r} cannot be read as Parquet: {one_line(error)}"
            ) from error
        text = (found.metadata or {}).get(METADATA_KEY)
        return None if text is None else cls._from_header(found.empty_table(), text, path)

    def header(self) -> dict[str, Any]:
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
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise SchemaError(
                f"The clvmodels metadata of {str(path)!r} is damaged ({error!r}): summarise the "
                "log again with rfm_summary."
            ) from error

    # --- frames ---

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
            Share of revenue that is profit. Not said, values are at the margin of the posterior
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
        known = {CUSTOMER_ID, FREQUENCY, RECENCY, T, MONETARY_VALUE, FIRST_VALUE}
        return cls(
            table=table,
            scale=scale,
            observation_end=(
                None
                if observation_end is None
                else start_of(ordinal_of(observation_end, scale, "observation_end"), scale)
            ),
            **said_margin(margin),
            segment_cols=tuple(name for name in table.column_names if name not in known),
        )

    from_pandas = from_frame

    # --- later logs ---

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
        options, end = self._for_update()
        if self.has_id_map and id_map is None:
            raise SchemaError(
                "This table was made with an id_map: pass it to update as well (or {} if the "
                "new log has customers' own ids)."
            )
        asked = end_options(observation_period_end, self.scale, "observation_period_end")
        new_end: int | None = asked["end"]
        if new_end is not None and new_end < end:
            raise SchemaError(
                f"observation_period_end={observation_period_end!r} is before the table's "
                f"observation end {self._end_text()}: pass a later one."
            )
        ledger = collect(new_log, replace(options, **asked, after=end), id_map)
        if new_end is None:
            new_end = max(end, end if ledger.last is None else ledger.last)
        old = _old_customers(self, end, read_id_map(id_map))
        _warn_uncovered(ledger.audit)
        return self._merged(old, ledger, options, new_end, id_map is not None)

    def _for_update(self) -> tuple[LogOptions, int]:
        if self.options is None or self.audit is None or self.observation_end is None:
            raise SchemaError(
                "Only a table made by rfm_summary can be updated: this one does not know the "
                "columns of its log and its observation end."
            )
        return self.options, ordinal_of(self.observation_end, self.scale)

    def _merged(
        self, old: pa.Table, ledger: Ledger, options: LogOptions, end: int, mapped: bool
    ) -> RfmTable:
        parts = [old, _same_types(ledger.customers, old)] if len(ledger.customers) else [old]
        table = to_rfm(parts, options, end)
        periods = table.num_rows + int(pc.sum(table[FREQUENCY]).as_py())
        assert self.audit is not None
        audit = self.audit.merge(ledger.audit, customers=table.num_rows, periods=periods)
        if start_of(end, self.scale) == self.observation_end:
            audit = replace(audit, last_period=self.audit.last_period)
        return replace(
            self,
            table=table,
            observation_end=start_of(end, self.scale),
            audit=noted(audit, table, self.scale, end),
            has_id_map=self.has_id_map or mapped,
        )

    # --- display ---

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

        head = self.table.slice(0, 10).to_pandas().to_html(index=False, border=0)
        more = f"<p>first 10 of {len(self):,} customers</p>" if len(self) > 10 else ""
        audit = "" if self.audit is None else f"<pre>{escape(str(self.audit))}</pre>"
        return f"<p><b>{escape(repr(self))}</b></p>{head}{more}{audit}"


# --- update ----------------------------------------------------------------------------


def _warn_uncovered(later: Audit) -> None:
    """Say that refunds of a later log may concern purchases that are summed up already."""
    for item in later.not_netted:
        if item.rows:
            warnings.warn(
                f"{item.rows:,} refunds in the new log, {item.amount or 0.0:,.2f}, are "
                f"{item.reason}: they are left out, since the table does not keep single "
                "purchases to take them off. Summarise both logs together with rfm_summary to "
                "have them netted.",
                UserWarning,
                stacklevel=2,
                skip_file_prefixes=OURS,
            )


def _old_customers(rfm: RfmTable, end: int, id_map: pa.Table | None) -> pa.Table:
    """Undo the summary: customers as `clvmodels.ledger.customers_of` has them."""
    columns = {name: rfm.table[name] for name in rfm.table.column_names}
    frequency = columns[FREQUENCY].to_numpy()
    first = end - np.rint(columns[T].to_numpy() * rfm.time_scaler).astype(np.int64)
    span = np.rint(columns[RECENCY].to_numpy() * rfm.time_scaler).astype(np.int64)
    data: dict[str, Any] = {
        CUSTOMER_ID: _renamed(columns[CUSTOMER_ID], id_map),
        "purchases": frequency + 1,
        "first": first,
        "last": first + span,
    }
    if rfm.has_money:
        first_value = columns[FIRST_VALUE].to_numpy()
        data["total"] = first_value + frequency * columns[MONETARY_VALUE].to_numpy()
        data["first_value"] = first_value
    segments = {SEGMENT.format(i): columns[name] for i, name in enumerate(rfm.segment_cols)}
    return pa.table(data | segments)


def _renamed(ids: pa.ChunkedArray, id_map: pa.Table | None) -> Any:
    """Ids after a new id_map; two of them must not become one."""
    if id_map is None or not id_map.num_rows:
        return ids
    persons = dict(zip(id_map["id"].to_pylist(), id_map["customer"].to_pylist(), strict=True))
    old = ids.to_pylist()
    new = [persons.get(key, key) for key in old]
    seen: dict[Any, Any] = {}
    for before, after in zip(old, new, strict=True):
        if after in seen:
            raise SchemaError(
                f"id_map makes one customer, {after!r}, of {seen[after]!r} and {before!r}, which "
                "are both in the table already: two summaries cannot be merged exactly, so "
                "summarise the whole log again with this id_map."
            )
        seen[after] = before
    if {type(key) for key in new} != {type(key) for key in old}:
        new = [str(key) for key in new]
    return pa.array(new)


def _same_types(new: pa.Table, old: pa.Table) -> pa.Table:
    """Give new customers the column types of the old ones."""
    ids = old.schema.field(CUSTOMER_ID).type
    found = new.schema.field(CUSTOMER_ID).type
    if pa.types.is_string(ids) != pa.types.is_string(found):
        raise SchemaError(
            f"The new log's customer ids are {found}, the table's are {ids}: convert the new "
            "log's column."
        )
    return new.select(old.column_names).cast(old.schema)
