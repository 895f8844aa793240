"""Dates in options are read by the log's own rule; nothing is guessed."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels.errors import SchemaError
from clvmodels.rfm.periods import ordinal_of, period_of
from clvmodels.schema import TimeScale
from clvmodels.simulate import simulate_log

NAMES: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
}
DAYS = pd.date_range("2020-01-01", "2020-06-30")
LOG = pd.DataFrame({"who": np.arange(len(DAYS)) % 20, "when": DAYS, "paid": 10.0})

GUESSED = {
    "day first or month first": "03/12/2020",
    "day first": "13/02/2020",
    "quarter": "2020Q1",
    "month in words": "Feb 2020",
    "month": "2020-02",
    "year": "2020",
    "time of today": "10:30",
    "now": "now",
    "no such day": "2020-02-30",
    "no such minute": "2020-02-03T10:99",
    "end of day": "2020-02-03T24:00",
    "other digits": "٢٠٢٠-٠٢-٠٣",
    "empty": "",
    "number": 20200203,
    "number of numpy": np.int64(3),
    "length": pd.Timedelta("3D"),
    "time": datetime.time(10),
    "missing": pd.NaT,
    "yes": True,
}
ENTRANCES: dict[str, Callable[[Any], Any]] = {
    "observation_period_end": lambda end: clv.rfm_summary(LOG, **NAMES, observation_period_end=end),
    "train_period_end": lambda end: clv.rfm_train_test_split(LOG, **NAMES, train_period_end=end),
    "test_period_end": lambda end: clv.rfm_train_test_split(
        LOG, **NAMES, train_period_end="2020-01-31", test_period_end=end
    ),
    "observation_end": lambda end: clv.RfmTable.from_pandas(
        pd.DataFrame({"customer_id": [1], "frequency": [0], "recency": [0.0], "T": [3.0]}),
        observation_end=end,
    ),
    "observation_period_end ": lambda end: clv.rfm_summary(LOG[:9], **NAMES).update(
        LOG, observation_period_end=end
    ),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("case", GUESSED)
def test_no_date_is_guessed(entrance: str, case: str) -> None:
    with pytest.raises(SchemaError, match=f"^{entrance.strip()}=.*is not a date in ISO 8601"):
        ENTRANCES[entrance](GUESSED[case])


@pytest.mark.parametrize(
    ("given", "day"),
    [
        ("2020-02-03", "2020-02-03"),
        ("20200203", "2020-02-03"),
        (" 2020-2-3 ", "2020-02-03"),
        ("2020-02-03 23:30", "2020-02-03"),
        ("2020-02-03T23:30:15.25-05:00", "2020-02-03"),
        (pd.Timestamp("2020-02-03 23:30", tz="America/New_York"), "2020-02-03"),
        (datetime.date(2020, 2, 3), "2020-02-03"),
        (np.datetime64("2020-02-03T23:30:00.123456789"), "2020-02-03"),
        (np.datetime64("2020-02"), "2020-02-29"),
        (np.datetime64("2020"), "2020-12-31"),
        (pd.Period("2020-02"), "2020-02-29"),
        (pd.Period("2020Q1"), "2020-03-31"),
        (pd.Period("2020-02-03", freq="W"), "2020-02-09"),
        (pd.Period("2020-02-03 05:00", freq="h"), "2020-02-03"),
    ],
)
def test_what_a_date_means(given: Any, day: str) -> None:
    scale = TimeScale("D")
    assert str(period_of(ordinal_of(given, scale), scale)) == day


@pytest.mark.parametrize("text", ["2020-02-03", "20200203", "2020-2-3T5:30", "2020-02-03T05:30Z"])
@pytest.mark.parametrize("unit", ["h", "D", "W", "M"])
def test_an_option_is_read_as_the_same_text_in_a_log(text: str, unit: Any) -> None:
    log = pd.DataFrame({"who": [1], "when": [text], "paid": [1.0]})
    found = clv.rfm_summary(log, **NAMES, time_unit=unit)
    given = clv.rfm_summary(log, **NAMES, time_unit=unit, observation_period_end=text)
    whole_day = unit == "h" and "T" not in text  # as an end it is the day's last hour
    ahead = pd.Timedelta(hours=23) if whole_day else pd.Timedelta(0)
    assert given.observation_end == found.observation_end + ahead


def test_a_quarter_ends_on_its_last_day() -> None:
    found = clv.rfm_summary(LOG, **NAMES, observation_period_end=pd.Period("2020Q1"))
    assert str(found.observation_end.date()) == "2020-03-31"
    assert found.audit.rows_used == 91


def test_other_entrances_do_not_guess_either() -> None:
    with pytest.raises(SchemaError, match=r"^train_period_end='03/12/2020' is not a date"):
        clv.backtest(LOG, **NAMES, train_period_end="03/12/2020")
    truth = {"r": 1.0, "alpha": 5.0, "a": 1.0, "b": 2.0}
    with pytest.raises(SchemaError, match=r"^observation_end='03/12/2020' is not a date"):
        simulate_log(2, **truth, T=9.0, seed=1, observation_end="03/12/2020")


# --- time zones to the nanosecond -------------------------------------------------------

LOCAL = ["2020-01-01 00:30", "2020-02-01 00:00", "2020-03-29 23:30", "1969-12-01 00:00"]


def _zoned(unit: str) -> pd.DataFrame:
    moments = pd.to_datetime(LOCAL).tz_localize("Europe/Paris").as_unit(unit)
    return pd.DataFrame({"who": [1, 1, 2, 3], "when": moments, "paid": [1.0, 2.0, 3.0, 4.0]})


def _written(frame: pd.DataFrame, folder: Path) -> str:
    path = str(folder / "log.parquet")
    pq.write_table(pa.Table.from_pandas(frame), path)
    return path


FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "pandas": lambda frame, _: frame,
    "polars": lambda frame, _: pl.from_pandas(frame),
    "arrow": lambda frame, _: pa.Table.from_pandas(frame),
    "stream": lambda frame, _: pa.Table.from_pandas(frame).to_reader(),
    "parquet": _written,
    "dataset": lambda frame, folder: pyarrow.dataset.dataset(_written(frame, folder)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_zoned_timestamps_of_any_precision(form: str, unit: str, tmp_path: Path) -> None:
    found = clv.rfm_summary(FORMS[form](_zoned(unit), tmp_path), **NAMES)
    # by the zone's own wall clock: in UTC the first would be a day earlier
    assert found.to_pandas()["T"].tolist() == [88.0, 0.0, 18381.0]
    assert found.to_pandas()["recency"].tolist() == [31.0, 0.0, 0.0]


@pytest.mark.parametrize("duplicates", ["keep", "drop"])
def test_zoned_nanoseconds_on_disk_and_as_segments(duplicates: Any, tmp_path: Path) -> None:
    frame = _zoned("ns")
    frame["since"] = frame["when"]
    options = {**NAMES, "duplicates": duplicates, "segment_cols": ["since"]}
    source, target = _written(frame, tmp_path), tmp_path / "rfm.parquet"
    clv.rfm_summary_to_parquet(source, target, **options)
    found = clv.RfmTable.from_parquet(target).to_pandas()
    assert found["T"].tolist() == [88.0, 0.0, 18381.0]
    assert found["since"].tolist() == frame["since"].iloc[[0, 2, 3]].tolist()
    assert clv.rfm_summary(frame, **options).to_pandas()["T"].tolist() == [88.0, 0.0, 18381.0]


@pytest.mark.parametrize(
    ("end", "hour"),
    [
        ("2020-01-31", 23),
        ("20200131", 23),
        (datetime.date(2020, 1, 31), 23),
        (np.datetime64("2020-01-31"), 23),
        (np.datetime64("2020-01"), 23),
        (pd.Period("2020-01-31", "D"), 23),
        ("2020-01-31T00:00", 0),
        ("2020-01-31 05:30", 5),
        (datetime.datetime(2020, 1, 31), 0),
        (pd.Timestamp("2020-01-31"), 0),
        (np.datetime64("2020-01-31T00", "h"), 0),
    ],
)
def test_where_hours_are_counted_a_date_ends_with_its_day(end: Any, hour: int) -> None:
    hours = pd.date_range("2020-01-29", "2020-02-03", freq="h")
    log = pd.DataFrame({"who": np.arange(len(hours)) % 5, "when": hours, "paid": 10.0})
    last = pd.Timestamp("2020-01-31") + pd.Timedelta(hours=hour)
    table = clv.rfm_summary(log, **NAMES, time_unit="h", observation_period_end=end)
    assert table.observation_end == last
    assert table.audit is not None
    assert table.audit.rows_used == 48 + hour + 1
    split = clv.rfm_train_test_split(log, **NAMES, time_unit="h", train_period_end=end)
    assert split.train.observation_end == last
    assert split.test["test_frequency"].sum() == len(hours) - (48 + hour + 1)
