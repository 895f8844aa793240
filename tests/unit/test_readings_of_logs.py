"""How values of a log are read does not depend on which rows come first."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from clvmodels import rfm_summary
from clvmodels.errors import SchemaError

LOG: Any = {"customer_id_col": "id", "datetime_col": "date", "monetary_value_col": "amount"}
MANY = 12_000  # more than the rows by which a column is read


def log_of(amounts: list[str]) -> pd.DataFrame:
    n = np.arange(len(amounts))
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(n % 300, unit="D")
    return pd.DataFrame({"id": n % 500, "date": days, "amount": amounts})


@pytest.mark.parametrize("late", [["$5.50", "€5.50"], ["5.50 USD", "5.50 EUR"]])
@pytest.mark.parametrize("plain", ["12.50", "12"])
def test_several_currencies_are_found_wherever_they_begin(
    tmp_path: Path, late: list[str], plain: str
) -> None:
    frame = log_of([plain] * (MANY - 2_000) + late * 1_000)
    frame.to_csv(tmp_path / "log.csv", index=False)
    for source in (frame, frame[::-1], tmp_path / "log.csv"):
        with pytest.raises(SchemaError, match="are in several currencies"):
            rfm_summary(source, **LOG)
    one = log_of([plain] * (MANY - 2_000) + ["$5.50"] * 2_000)
    found = rfm_summary(one, **LOG).audit
    assert found is not None
    assert found.amount_used == float(plain) * (MANY - 2_000) + 11_000.0


def test_a_column_of_currencies_says_what_signs_mean() -> None:
    frame = log_of(["$5.50", "€5.50"] * 50).assign(currency=["USD", "EUR"] * 50)
    found = rfm_summary(frame, **LOG, currency_col="currency", rates={"USD": 0.5, "EUR": 1.0})
    assert found.audit is not None
    assert found.audit.amount_used == 50 * 5.5 * 1.5


BERLIN = ZoneInfo("Europe/Berlin")
LOCAL = [
    dt.datetime(2024, 1, 10, 0, 30),
    dt.datetime(2024, 7, 1, 0, 30),
    dt.datetime(2024, 7, 1, 23),
]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_offsets_of_winter_and_summer_count_by_the_clock_of_each_row(order: list[int]) -> None:
    """As drivers of databases give them; in Berlin there are two days with purchases."""
    named = [one.replace(tzinfo=BERLIN) for one in LOCAL]
    offsets = [one.replace(tzinfo=dt.timezone(one.utcoffset() or dt.timedelta())) for one in named]
    for dates in (named, offsets, [str(one) for one in offsets]):
        log = {"id": [1, 1, 1], "date": [dates[i] for i in order], "amount": [1.0, 2.0, 3.0]}
        [row] = rfm_summary(log, **LOG).to_pandas().to_dict("records")
        assert (row["frequency"], row["recency"]) == (1, 173.0)
    missing = pd.DataFrame({"id": 1, "date": [None, *offsets], "amount": 1.0})
    with pytest.warns(UserWarning, match="1 no date"):
        assert rfm_summary(missing, **LOG).to_pandas()["recency"].to_list() == [173.0]


def test_dates_with_and_without_a_zone_are_refused() -> None:
    dates = [LOCAL[0].replace(tzinfo=BERLIN), LOCAL[1]]
    with pytest.raises(SchemaError, match="with a time zone beside dates without one"):
        rfm_summary({"id": [1, 1], "date": dates, "amount": [1.0, 2.0]}, **LOG)


@pytest.mark.parametrize(
    ("ids", "missing"),
    [
        (np.array([2**63 - 1, 5, 5, 6]), 2**63 - 1),
        (np.array([2**63 - 1, 5, 5, 6]), str(2**63 - 1)),
        (np.array([-(2**63), 5, 5, 6]), -(2**63)),
        (np.array([2**64 - 1, 5, 5, 6], dtype=np.uint64), 2**64 - 1),
        (np.array([9, 5, 5, 6]), " 9 "),
        (np.array([9.0, 5, 5, 6]), "9.0"),
        (np.array([9.0, 5, 5, 6]), "9"),
    ],
)
def test_numbers_that_mean_no_customer_are_known_in_every_spelling(ids: Any, missing: Any) -> None:
    dates = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-02-02", "2024-03-01"])
    log = pd.DataFrame({"id": ids, "date": dates, "amount": 1.0})
    found = rfm_summary(log, **LOG, missing_ids=[missing])
    assert found.audit is not None
    assert found.audit.rows_used == 3
    assert found.to_pandas()["customer_id"].to_list() == [5, 6]
    assert len(rfm_summary(log, **LOG, missing_ids=[2**70])) == 3


@pytest.mark.parametrize("before", ["", "\n", " \n\n", "\ufeff\n", "\r\n\r\n"])
def test_blank_lines_before_the_header_are_no_rows(tmp_path: Path, before: str) -> None:
    body = "id,date,amount\n1,2024-01-01,5\n1,2024-02-01,6\n2,2024-01-05,7\n"
    body = body.replace("\n", "\r\n") if "\r" in before else body
    (tmp_path / "log.csv").write_bytes((before + body).encode())
    found = rfm_summary(tmp_path / "log.csv", **LOG)
    assert found.audit is not None
    assert (found.audit.rows_read, found.audit.rows_used, len(found)) == (3, 3, 2)


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_counts_with_fractions_belong_to_the_day_they_are_of(unit: str) -> None:
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
    counts = [scale * one for one in (1_704_067_200.0, 1_704_067_200.0 + 63 * 86_400 - 0.4)]
    for dates in (counts, [repr(one) for one in counts], [str(int(one)) for one in counts]):
        log = {"id": [1, 1], "date": dates, "amount": [1.0, 2.0]}
        found = rfm_summary(log, **LOG, date_format=unit).to_pandas()
        assert found["recency"].to_list() == [62.0]


def test_a_currency_has_one_rate() -> None:
    frame = log_of(["5.50"] * 20).assign(currency="USD")
    with pytest.raises(SchemaError, match=r"The rates have 'USD' twice, with 0\.5 and 0\.6"):
        rfm_summary(frame, **LOG, currency_col="currency", rates=["USD=0.5", "USD = 0.6"])
    rfm_summary(frame, **LOG, currency_col="currency", rates=["USD=0.5", "USD=0.50"])


def test_ids_with_and_without_a_decimal_point_are_named(tmp_path: Path) -> None:
    frame = log_of(["5.50"] * 40)
    frame[:20].to_csv(tmp_path / "a.csv", index=False)
    frame[20:].assign(id=frame["id"] % 10 + 0.0).to_csv(tmp_path / "b.csv", index=False)
    with pytest.warns(UserWarning, match=r"10 customers .* under two ids, such as '0' and '0\.0'"):
        found = rfm_summary([tmp_path / "a.csv", tmp_path / "b.csv"], **LOG)
    assert found.audit is not None
    assert any("under two ids" in note for note in found.audit.notes)
    assert len(rfm_summary(tmp_path / "b.csv", **LOG)) == 10


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("date BETWEEN '2024-01-01' AND '2024-02-30'", "'2024-02-30' is not a date"),
        ("date = 'x'", "'x' is not a date"),
        ("date IN ('2024-01-01', 'y')", "'y' is not a date"),
        ("id = 99999999999999999999", "more than the engine's whole numbers can hold"),
        ("amount = 9007199254740993", "too many digits.*write '9007199254740993'"),
    ],
)
def test_a_condition_that_cannot_be_compared_says_why(where: str, why: str) -> None:
    with pytest.raises(SchemaError, match=why):
        rfm_summary(log_of(["5.50"] * 20), **LOG, where=where)


ODD: dict[str, Any] = {
    "dictionary": lambda amounts: pa.array(amounts, pa.string()).dictionary_encode(),
    "float16": lambda amounts: pa.array(np.asarray(amounts, dtype=np.float16)),
    "decimal256": lambda amounts: pa.array(amounts, pa.string()).cast(pa.decimal256(50, 2)),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("form", ["Table", "stream", "dataset"])
def test_types_of_arrow_mean_the_same_in_every_form(kind: str, form: str) -> None:
    frame = log_of(["5.50", "6.25"] * 20)
    table = pa.table({"id": frame["id"], "date": frame["date"]})
    table = table.append_column("amount", ODD[kind](list(frame["amount"])))
    forms: dict[str, Any] = {
        "Table": table,
        "stream": table.to_reader(),
        "dataset": ds.InMemoryDataset(table),
    }
    expected = rfm_summary(frame.astype({"amount": float}), **LOG).to_pandas()
    found = rfm_summary(forms[form], **LOG).to_pandas()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_a_stream_with_currencies_is_read() -> None:
    frame = log_of(["5.50", "6.25"] * 20).assign(currency=["USD", "EUR"] * 20)
    options: Any = {**LOG, "currency_col": "currency", "rates": {"USD": 0.5, "EUR": 1.0}}
    frame = frame.astype({"amount": float})
    stream = pa.Table.from_pandas(frame).to_reader()
    expected = rfm_summary(frame, **options).to_pandas()
    pd.testing.assert_frame_equal(rfm_summary(stream, **options).to_pandas(), expected)


@pytest.mark.parametrize(
    ("then", "column"),
    [
        ({"amount": [True, False]}, "amount"),
        ({"id": [True, False]}, "id"),
        ({"date": [1_704_067_200, 1_704_067_201]}, "date"),
    ],
)
def test_files_of_types_that_do_not_mix_are_refused(tmp_path: Path, then: Any, column: str) -> None:
    plain = log_of(["5.50", "6.25"]).astype({"amount": float})
    plain.to_parquet(tmp_path / "a.parquet")
    plain.assign(**then).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=f"differ in the type of '{column}' "):
        rfm_summary(tmp_path, **LOG)


def test_columns_that_cannot_be_told_apart_or_go_together_are_refused() -> None:
    table = pa.table([[1], [1], ["2024-01-01"], [1.0]], names=["id", "id", "date", "amount"])
    for one in (table, table.to_reader()):
        with pytest.raises(SchemaError, match="two columns named 'id'"):
            rfm_summary(one, **LOG)
    uneven = {"id": [1, 2], "date": ["2024-01-01"], "amount": [1.0]}
    with pytest.raises(SchemaError, match="do not go together"):
        rfm_summary(uneven, **LOG)


def test_columns_called_by_numbers_are_read() -> None:
    frame = log_of(["5.50", "6.25"] * 20).set_axis([0, 1, 2], axis=1)
    names: Any = {"customer_id_col": "0", "datetime_col": "1", "monetary_value_col": "2"}
    assert len(rfm_summary(frame, **names)) == 40


@pytest.mark.parametrize("word", ["NULL", "NaT", "nan", r"\N", "#N/A", "None", " n/a "])
def test_words_for_no_date_are_not_unreadable(tmp_path: Path, word: str) -> None:
    frame = log_of(["5.00"] * 300)
    frame["date"] = frame["date"].dt.strftime("%d/%m/%Y")
    frame.loc[::5, "date"] = word
    frame.to_csv(tmp_path / "log.csv", index=False)
    for source in (frame, tmp_path / "log.csv"):
        with pytest.warns(UserWarning, match=r"60 of 300 rows .* \(60 no date\)"):
            found = rfm_summary(source, **LOG).audit
        assert found is not None
        assert found.rows_used == 240


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(("unit", "other"), [("s", "ms"), ("ms", "us"), ("s", "us")])
def test_a_unit_with_which_all_dates_are_of_1970_is_refused(
    unit: str, other: str, text: bool
) -> None:
    frame = log_of(["5.00"] * 300)
    right = rfm_summary(frame, **LOG).to_pandas()
    counts = frame["date"].astype(f"datetime64[{unit}]").astype("int64")
    frame["date"] = counts.astype(str) if text else counts
    with pytest.raises(SchemaError, match=rf"1970-01-.*between 2024-.*Pass date_format='{unit}'"):
        rfm_summary(frame, **LOG, date_format=other)
    pd.testing.assert_frame_equal(
        rfm_summary(frame, **LOG, date_format=unit).to_pandas(), right, check_like=True
    )
    kept = rfm_summary(frame, **LOG, date_format=other, implausible_dates="keep").to_pandas()
    assert kept["T"].max() <= 1.0


@pytest.mark.parametrize("form", ["%d. %B %Y", "%d.%b.%Y", "%B %d, %Y", "%d%b%Y"])
def test_names_of_months_are_whole_or_short(form: str) -> None:
    frame = log_of(["5.00"] * 330)
    right = rfm_summary(frame, **LOG).to_pandas()
    frame["date"] = frame["date"].dt.strftime(form)
    pd.testing.assert_frame_equal(rfm_summary(frame, **LOG).to_pandas(), right)


def test_a_month_in_another_language_is_not_taken_for_one_in_english() -> None:
    frame = log_of(["5.00"] * 60)
    frame["date"] = frame["date"].dt.strftime("%d marras %Y")  # November in Finnish
    with pytest.raises(SchemaError, match="Names of months are read in English only"):
        rfm_summary(frame, **LOG)


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_days_of_a_spreadsheet_are_named(kind: str) -> None:
    frame = log_of(["5.00"] * 60)
    frame["date"] = (frame["date"] - pd.Timestamp("1899-12-30")).dt.days.astype(kind)
    with pytest.raises(SchemaError, match=r"numbers from 45,292.*a spreadsheet counts"):
        rfm_summary(frame, **LOG)


@pytest.mark.parametrize("form", ["%s", "%Y%m%d"])
def test_numbers_that_became_floats_before_they_became_text_are_dates(form: str) -> None:
    frame = log_of(["5.00"] * 300)
    right = rfm_summary(frame, **LOG).to_pandas()
    days = frame["date"].dt.tz_localize("UTC")
    frame["date"] = days.map(
        lambda day: str(float(day.timestamp() if form == "%s" else day.strftime(form)))
    )
    assert frame["date"].str.endswith(".0").all()
    pd.testing.assert_frame_equal(rfm_summary(frame, **LOG).to_pandas(), right)


def test_amounts_that_add_up_to_no_number_are_refused() -> None:
    with pytest.raises(SchemaError, match="add up to more than a number can hold"):
        rfm_summary(log_of(["1e308"] * 20), **LOG)


@pytest.mark.parametrize("form", ["table", "file"])
def test_the_zone_z_is_that_of_utc(tmp_path: Path, form: str) -> None:
    frame = log_of(["5.00"] * 300)
    right = rfm_summary(frame, **LOG).to_pandas()
    at = pa.array(frame["date"].astype("datetime64[us]")).cast(pa.timestamp("us", tz="Z"))
    table = pa.Table.from_pandas(frame).set_column(1, "date", at)
    pq.write_table(table, tmp_path / "log.parquet")
    source = table if form == "table" else tmp_path / "log.parquet"
    pd.testing.assert_frame_equal(rfm_summary(source, **LOG).to_pandas(), right)
