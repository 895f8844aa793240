"""Forecasts of a ledger held against the log, when their horizon has passed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.economics.labels import WHOLE
from clvmodels.errors import SchemaError
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.ledger import GROUPS, ids_digest, in_order, read_ledger, unpacked
from clvmodels.keywords import named, named_fields
from clvmodels.log.options import JudgedTerms
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import ordinal_of
from clvmodels.schema import CUSTOMER_ID, FloatArray, TimeScale

if TYPE_CHECKING:
    import pandas as pd

_DRIFT: Final = 3  # of five groups outside: rarer than 1 % where 90 % intervals hold
_VINTAGE: Final = ["as_of", "fingerprint", "horizon"]
_SHOWN: Final = [
    *("as_of", "horizon", "fingerprint", "model", "total", "group", "customers", "mean", "lower"),
    *("upper", "interval"),
]


@named_fields
@dataclass(frozen=True, eq=False, repr=False)
class JudgedForecasts:
    """What became of forecasts, by vintage and horizon.

    Attributes
    ----------
    table : pandas.DataFrame
        A row for each that is due, total and group: the forecast, ``actual``, ``inside``
        (whether it lies in its interval), and ``off``, actual / mean - 1.
    pending : int
        Vintages and horizons that are not due yet.
    notes : tuple of str
        What could not be judged, and why.
    """

    table: pd.DataFrame
    pending: int
    notes: tuple[str, ...] = ()

    @property
    def by_horizon(self) -> pd.DataFrame:
        """How often totals of all customers were in their intervals, by total and horizon."""
        whole = self.table[self.table["group"] == WHOLE]
        found = whole.groupby(["total", "horizon"], sort=False)
        counts: pd.DataFrame = found.agg(
            vintages=("inside", "size"), inside=("inside", "sum"), off=("off", "mean")
        ).reset_index()
        return counts

    @property
    def alarms(self) -> tuple[str, ...]:
        """A line for all that is off in the latest vintage that is due, by total and horizon.

        A total of all customers outside its interval, or three of five groups outside theirs.
        """
        lines = []
        for (total, horizon), rows in self.table.groupby(["total", "horizon"], sort=False):
            latest = rows[rows["as_of"] == rows["as_of"].max()]
            latest = latest[latest["fingerprint"] == latest["fingerprint"].iloc[-1]]
            lines += _alarms(f"{total} within {horizon} of {latest['as_of'].iloc[0]}", latest)
        return tuple(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = self.table.astype(object).where(self.table.notna(), None).to_dict("records")
        return {
            "alarms": list(self.alarms),
            "pending": self.pending,
            "notes": list(self.notes),
            "rows": [{n: getattr(v, "item", lambda v=v: v)() for n, v in r.items()} for r in rows],
        }

    def __repr__(self) -> str:
        due = len(self.table.drop_duplicates(_VINTAGE))
        return f"<JudgedForecasts: {due} due, {self.pending} to come, {len(self.alarms)} alarms>"


@named
def judge_forecasts(
    ledger: str | Path,
    log: Any,
    *,
    rfm: RfmTable | None = None,
    **terms: Unpack[JudgedTerms],
) -> JudgedForecasts:
    """Hold the forecasts of a ledger that are due against a log.

    Parameters
    ----------
    ledger : str or Path
        File of :func:`record_forecast`.
    log : object
        In any of the forms of `rfm_summary`, up to today, read as for the tables that were
        forecast.
    rfm : RfmTable, optional
        Only these customers count, where tables leave out some of the log's, such as those of
        its first month.
    customer_id_col, datetime_col, monetary_value_col : str
        As in `rfm_summary`; without amounts only purchases are judged.
    refunds, order_id_col, zero_amounts, duplicates, implausible_dates, missing_ids
        As in `rfm_summary`.
    varying_segments, date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in `rfm_summary`.

    Returns
    -------
    JudgedForecasts
        Tables and alarms.

    Raises
    ------
    SchemaError
        The ledger or the log cannot be read.
    """
    rows = read_ledger(ledger)
    scales = rows[["time_unit", "time_scaler"]].drop_duplicates()
    if len(scales) > 1:
        raise SchemaError(
            f"The ledger {ledger} has forecasts in several units of time: keep one for each."
        )
    scale = TimeScale(*scales.iloc[0])
    options = {**terms, "missing_ids": list(terms["missing_ids"]), "margin": None, "id_map": None}
    options |= {"time_unit": scale.time_unit, "time_scaler": scale.time_scaler}
    reading = Reading.of(log, options)
    bought = _Bought.of(reading, rfm)
    due, pending, notes = [], 0, []
    for _, vintage in rows.groupby(_VINTAGE, sort=True):
        start = ordinal_of(vintage["as_of"].iloc[0], scale, "as_of")
        end = start + int(vintage["periods"].iloc[0])
        if end > reading.calendar.last:
            pending += 1
            continue
        judged, note = bought.judged(vintage, start, end)
        due.append(judged)
        notes += [note] if note else []
    return JudgedForecasts(_table(due), pending, tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True, eq=False)
class _Bought:
    """All purchases of a log: whose (position among ids), when, and what they brought."""

    ids: npt.NDArray[Any]
    who: npt.NDArray[np.int64]
    period: npt.NDArray[np.int64]
    value: FloatArray | None
    first: npt.NDArray[np.int64]

    @classmethod
    def of(cls, reading: Reading, rfm: RfmTable | None) -> _Bought:
        """Take them of a log, of the customers of a table where there is one."""
        found = reading.purchases
        coded = found["customer"].combine_chunks().dictionary_encode()
        ids = np.array([str(one) for one in coded.dictionary.to_pylist()], dtype=object)
        who = coded.indices.to_numpy().astype(np.int64)
        period = found["period"].to_numpy().astype(np.int64)
        first = np.full(len(ids), np.iinfo(np.int64).max)
        np.minimum.at(first, who, period)
        if rfm is not None:
            kept = {str(one) for one in rfm.table[CUSTOMER_ID].to_pylist()}
            first[[one not in kept for one in ids]] = np.iinfo(np.int64).max
        value = found["total"].to_numpy() if "total" in found.column_names else None
        return cls(ids, who, period, value, first)

    def judged(self, vintage: pd.DataFrame, start: int, end: int) -> tuple[pd.DataFrame, str]:
        """Put what happened beside a vintage; and say what could not be."""
        there = np.flatnonzero(self.first <= start)
        order = there[in_order(self.ids[there])]
        said = int(vintage.loc[vintage["group"] == WHOLE, "customers"].iloc[0])
        known = vintage["ids"].iloc[0] == ids_digest(self.ids[order])
        group = np.zeros(len(self.ids), dtype=np.int64)
        if known:
            group[order] = unpacked(vintage["members"].iloc[0])
        inside = (self.period > start) & (self.period <= end) & (self.first[self.who] <= start)
        found = vintage if known else vintage[vintage["group"] == WHOLE]
        if self.value is None:
            found = found[found["total"] != "value"]
        amounts = {"purchases": np.ones(len(self.who)), "value": self.value}
        actual = []
        for total, one, margin in zip(
            found["total"].tolist(), found["group"].tolist(), found["margin"].tolist(), strict=True
        ):
            came = _sum(amounts[total], inside, group[self.who], one)
            actual.append(came * margin if total == "value" else came)
        found = found.assign(actual=actual)
        note = "" if known else _others(vintage["as_of"].iloc[0], said, len(order))
        return found, note


def _sum(
    amounts: FloatArray | None, inside: npt.NDArray[Any], group: npt.NDArray[Any], one: str
) -> float:
    assert amounts is not None  # rows of value are left out where there are none
    return float(amounts[inside if one == WHOLE else inside & (group == int(one))].sum())


def _others(as_of: str, said: int, now: int) -> str:
    return (
        f"The forecasts of {as_of} were of {said:,} customers, and the log has {now:,} of that "
        "date, or others: groups are not judged. Read the log as it was read then, or pass the "
        "table of customers."
    )


def _table(due: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    if not due:
        return pd.DataFrame(columns=[*_SHOWN, "actual", "inside", "off"])
    table = pd.concat(due, ignore_index=True)[[*_SHOWN, "actual"]]
    table["inside"] = (table["actual"] >= table["lower"]) & (table["actual"] <= table["upper"])
    table["off"] = table["actual"] / table["mean"] - 1.0
    return table.sort_values(["as_of", "horizon"], kind="stable", ignore_index=True)


def _alarms(what: str, rows: pd.DataFrame) -> list[str]:
    """What is off of one total, horizon and vintage."""
    found = []
    whole = rows[rows["group"] == WHOLE].iloc[0]
    if not whole["inside"]:
        found.append(
            f"{what}: {whole['actual']:,.0f} came, outside the forecast of {whole['mean']:,.0f} "
            f"({whole['lower']:,.0f} to {whole['upper']:,.0f})."
        )
    groups = rows[rows["group"] != WHOLE]
    outside = groups.loc[~groups["inside"].astype(bool), "group"].tolist()
    if len(outside) >= _DRIFT:
        found.append(
            f"{what}: {len(outside)} of {GROUPS} groups by forecast value ({', '.join(outside)}) "
            "are outside their intervals."
        )
    return found
