"""Forecasts written down when they are made: a Parquet file that grows by a vintage a night.

A vintage is what one posterior says of one base at one date: totals of all customers and of
five groups of equal size, by forecast value, with the intervals of what may really come. Who is
in which group is kept as one byte a customer, in the order of their ids, compressed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.economics.labels import WHOLE
from clvmodels.errors import SchemaError, one_line
from clvmodels.forecast import Predictor
from clvmodels.keywords import named
from clvmodels.outputs import aside
from clvmodels.path_checks import path_of
from clvmodels.posterior.layout import labelled
from clvmodels.posterior.scorable import Scorable, open_scorable, prepared_for, purchases_of
from clvmodels.predictive import forecast_total
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, Horizon

if TYPE_CHECKING:
    import pandas as pd

GROUPS: Final = 5
HORIZONS: Final[tuple[Horizon, ...]] = ("30D", "90D", "365D")
_KEY: Final = ["fingerprint", "as_of"]
_COLUMNS: Final = (
    *("recorded", "fingerprint", "model", "as_of", "horizon", "periods", "time_unit"),
    *("time_scaler", "total", "group", "customers", "mean", "lower", "upper", "interval"),
    *("calendar_sd", "margin", "ids", "members"),
)


@named
def record_forecast(
    posterior: Scorable | str | Path,
    rfm: RfmTable,
    ledger: str | Path,
    *,
    horizon: Horizon | Sequence[Horizon] = HORIZONS,
    calendar: CalendarChoice = "auto",
    interval: float = 0.9,
    margin: float | None = None,
    draws: int = 500,
    paths: int = 500,
    random_seed: int = 0,
) -> pd.DataFrame:
    """Write what a posterior forecasts of a base into a ledger, to be judged when it is due.

    Parameters
    ----------
    posterior : CLVPosterior, posterior of purchases, str or Path
        What ``fit`` returned, or its file.
    rfm : RfmTable
        Customers as they are known at the end of observation, which the table must know.
    ledger : str or Path
        Parquet file; it is made where there is none. A vintage of the same posterior and date
        is replaced. The file is written anew and takes the old one's place when it is whole;
        of two runs at the same time the later one wins.
    horizon : str, float, or list of these
        How far ahead; finite.
    calendar, interval, margin, draws, paths, random_seed
        As in :func:`~clvmodels.forecast_total`. Money is not discounted.

    Returns
    -------
    DataFrame
        The vintage: a row for each horizon, total (purchases, and value where there is one)
        and group, "(whole)" or 1 (the fifth of the highest forecast value) to 5.

    Raises
    ------
    SchemaError
        The table does not know when its observation ended, or the file is not a ledger.
    """
    path = path_of("The ledger", ledger)
    fitted = open_scorable(posterior)[0]
    if not isinstance(rfm, RfmTable) or rfm.observation_end is None:
        raise SchemaError(
            "A forecast is of a date, and this table does not know when its observation ended: "
            "make it with rfm_summary, or pass observation_end to RfmTable.from_frame."
        )
    before = read_ledger(path) if path.exists() else None
    several = horizon if isinstance(horizon, list | tuple) else [horizon]
    lengths = {label[1:]: length for label, length in labelled([*several]).items()}
    group, order = _groups(fitted, rfm, max(lengths.values(), key=rfm.scale.horizon))
    import pandas as pd

    ids = rfm.table[CUSTOMER_ID].to_pandas()
    found = forecast_total(
        fitted,
        rfm,
        horizon=list(lengths.values()),
        by=pd.Series(group.astype(str), index=ids, name="group"),
        calendar=calendar,
        interval=interval,
        discount_rate=0.0,
        margin=margin,
        draws=draws,
        paths=paths,
        random_seed=random_seed,
    )
    vintage = _vintage(fitted, rfm, found, lengths, group)
    vintage["ids"], vintage["members"] = ids_digest(ids[order]), _packed(group[order])
    parts = [vintage] if before is None else [_without(before, vintage), vintage]
    _write(pd.concat([one for one in parts if len(one)], ignore_index=True), path)
    return vintage.drop(columns=["ids", "members"])


def read_ledger(ledger: str | Path) -> pd.DataFrame:
    """Read all vintages.

    Raises
    ------
    SchemaError
        There is no such file, or it is not a ledger.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of("The ledger", ledger)
    if not path.is_file():
        raise SchemaError(f"There is no ledger {path}: record a forecast first.")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SchemaError(f"{path} cannot be read as a ledger: {one_line(error)}") from error
    if tuple(table.column_names) != _COLUMNS:
        raise SchemaError(f"{path} is not a ledger of forecasts: name another file.")
    frame: pd.DataFrame = table.to_pandas()
    return frame


def date_text(moment: pd.Timestamp) -> str:
    """Write the start of a period: the day, and the hour where it has one."""
    return str(moment.date()) if moment == moment.normalize() else moment.isoformat()


def ids_digest(ids: Any) -> str:
    """Digest of customers' ids, in this order, whatever their type."""
    text = "\x1f".join(map(str, ids))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def in_order(ids: Any) -> npt.NDArray[np.int64]:
    """Order of ids as text."""
    return np.argsort(np.array([*map(str, ids)], dtype=object), kind="stable")


def unpacked(members: bytes) -> npt.NDArray[np.uint8]:
    """Everybody's group, in the order of the ids."""
    return np.frombuffer(zlib.decompress(members), dtype=np.uint8)


def _packed(group: npt.NDArray[np.int64]) -> bytes:
    return zlib.compress(group.astype(np.uint8).tobytes())


def _groups(
    posterior: Scorable, rfm: RfmTable, horizon: Horizon
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Everybody's fifth by forecast value, 1 the highest, and the order of ids."""
    given = prepared_for(posterior, rfm, horizon=horizon, discount_rate=0.0)
    columns = Predictor(given.draws, given.future, wanted="none")(*given.who).columns
    score = np.nan_to_num(columns.get("clv", columns["expected_purchases"]))
    order = in_order(rfm.table[CUSTOMER_ID].to_pylist())
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rank = np.empty(len(order), dtype=np.int64)
    rank[np.lexsort((place, -score))] = np.arange(len(order))
    return 1 + rank * GROUPS // len(rank), order


def _vintage(
    posterior: Scorable,
    rfm: RfmTable,
    found: Any,
    lengths: Mapping[str, Horizon],
    group: npt.NDArray[np.int64],
) -> pd.DataFrame:
    import pandas as pd

    rows, scale = found.table.copy(), rfm.scale
    words = dict(zip(dict.fromkeys(rows["horizon"]), lengths, strict=True))
    rows["horizon"] = rows["horizon"].map(words)
    periods = {one: round(scale.horizon(n) * scale.time_scaler) for one, n in lengths.items()}
    counts = {str(g): int((group == g).sum()) for g in range(1, GROUPS + 1)} | {WHOLE: len(group)}
    rows["periods"] = rows["horizon"].map(periods)
    rows["customers"] = rows["group"].map(counts)
    assert rfm.observation_end is not None  # as checked above
    same: dict[str, Any] = {
        "recorded": pd.Timestamp.now("UTC").floor("s").isoformat(),
        "fingerprint": posterior.fingerprint()[:32],
        "model": purchases_of(posterior).metadata.model,
        "as_of": date_text(rfm.observation_end),
        "time_unit": scale.time_unit,
        "time_scaler": float(scale.time_scaler),
        "interval": found.interval,
        "calendar_sd": float(found.calendar.sd),
        "margin": 1.0 if found.margin is None else float(found.margin),
        "ids": "",
        "members": b"",
    }
    vintage: pd.DataFrame = rows.assign(**same)[list(_COLUMNS)]
    return vintage


def _without(before: pd.DataFrame, vintage: pd.DataFrame) -> pd.DataFrame:
    """The vintages that a new one does not replace."""
    same = np.logical_and.reduce([before[name] == vintage[name].iloc[0] for name in _KEY])
    others: pd.DataFrame = before[~same]
    return others


def _write(frame: pd.DataFrame, path: Path) -> None:
    with aside(path) as place:
        frame.to_parquet(place, index=False)
