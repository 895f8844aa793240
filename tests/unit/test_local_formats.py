"""A log means the same however dates and amounts are written, or the reader is asked."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels.errors import SchemaError
from clvmodels.log import sniff
from clvmodels.log.audit import Reason
from clvmodels.rfm import RfmTable, rfm_summary, rfm_summary_to_parquet, rfm_train_test_split

NAMES: dict[str, Any] = {
    "customer_id_col": "id",
    "datetime_col": "day",
    "monetary_value_col": "paid",
}


ENGINE = ibis.duckdb.connect()
LOG = "id;day;paid\na;2014-01-03;2\na;2014-02-13;3\n"


def csv(folder: Path, text: str, written: str = "utf-8", **options: Any) -> RfmTable:
    path = folder / "log.csv"
    path.write_bytes(text.encode(written))
    return rfm_summary(path, **NAMES, **options)


def notes(table: RfmTable) -> str:
    assert table.audit is not None
    return "; ".join(table.audit.notes)


# --- one reading ---


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("2014/01/03", "2014/02/13", "year/month/day"),
        ("03.01.2014", "13.02.2014", "day/month/year"),
        ("3/1/2014 08:26", "13/2/2014 23:59:59", "day/month/year"),
        ("01/03/2014 8:26 AM", "02/13/2014 11:00 PM", "month/day/year"),
        ("01/03/99", "02/13/99", "month/day/year"),
        ("3 Jan 2014", "13-Feb-2014", "day, name of the month"),
        ("Jan 3, 2014", "February 13, 2014", "name of the month"),
        ("1388710800", "1392249600", "seconds since 1970"),
        ("1388710800000", "1392249600000", "milliseconds since 1970"),
    ],
)
def test_dates_are_read_where_one_reading_fits(
    tmp_path: Path, first: str, second: str, words: str
) -> None:
    table = csv(tmp_path, f'id,day,paid\n1,"{first}",2\n1,"{second}",3\n')
    assert table.to_pandas()["recency"].tolist() == [41.0]
    assert f"dates read as {words}" in notes(table)
    assert "the only reading" in notes(table)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1,234.50", 1234.5),
        ("$10.25", 10.25),
        ("10,50", 10.5),
        ("1 234,50", 1234.5),
        ("1\u202f234,50 €", 1234.5),
        ("€ 12,25", 12.25),
        ("1.234,5", 1234.5),
        ("CHF 1'234.50", 1234.5),
        ("1e2", 100.0),
        ("10,-", 10.0),
        ("CHF 1'234.--", 1234.0),
        ("10,\u2013 Kč", 10.0),
    ],
)
@pytest.mark.parametrize("minus", ["{}", "-{}", "{}-", "({})", "\u2212{}", "\u2013{}"])
def test_amounts_are_read_where_one_reading_fits(text: str, amount: float, minus: str) -> None:
    paid = minus.format(text)
    log = {"id": [1, 1], "day": ["2014-01-03", "2014-02-13"], "paid": [text, paid]}
    if ("e" in text and minus in ("{}-", "({})")) or (text.endswith("-") and minus == "{}-"):
        return
    table = rfm_summary(log, **NAMES)
    assert table.audit is not None
    assert table.to_pandas()["first_value"].tolist() == [amount]
    assert table.audit.amount_read == pytest.approx(2 * amount if minus == "{}" else 0)


@pytest.mark.parametrize("paid", ["$(5.00)", "$ (5.00)", "$-5", "-$5.-", "US$ (5)"])
def test_a_currency_may_stand_outside(paid: str) -> None:
    sign = "US$" if "US" in paid else "$"
    log = {"id": [1, 1], "day": ["2014-01-03", "2014-02-13"], "paid": [f"{sign}7", paid]}
    table = rfm_summary(log, **NAMES)
    assert table.audit is not None
    assert table.audit.amount_read == 2.0
    with pytest.raises(SchemaError, match="several currencies"):
        rfm_summary(log | {"paid": ["€7", paid]}, **NAMES)


def test_what_fits_two_readings_is_refused_and_can_be_said(tmp_path: Path) -> None:
    dates = "id,day,paid\n1,03/01/2014,2\n1,05/02/2014,3\n"
    with pytest.raises(SchemaError, match=r"day/month/year and month/day/year.*date_format='dmy'"):
        csv(tmp_path, dates)
    for date_format, recency in (("dmy", 33.0), ("mdy", 62.0), ("%d/%m/%Y", 33.0)):
        table = csv(tmp_path, dates, date_format=date_format)
        assert table.to_pandas()["recency"].tolist() == [recency]
    with pytest.raises(SchemaError, match="some rows, but not the others"):
        csv(tmp_path, "id,day,paid\n1,13/01/2014,2\n1,01/13/2014,3\n")
    amounts = 'id,day,paid\n1,2014-01-03,"1,234"\n1,2014-02-13,3\n'
    with pytest.raises(SchemaError, match=r"such as '1,234'.*decimal='.' or decimal=','"):
        csv(tmp_path, amounts)
    for decimal, value in ((".", 1234.0), (",", 1.234)):
        table = csv(tmp_path, amounts, decimal=decimal)
        assert table.to_pandas()["first_value"].tolist() == [value]
    with pytest.raises(SchemaError, match="several currencies"):
        csv(tmp_path, "id,day,paid\n1,2014-01-03,$1\n1,2014-01-04,€2\n")


def test_a_table_remembers_how_its_log_was_written(tmp_path: Path) -> None:
    log = "id,day,paid\n1,03.01.2014,2\n1,13.02.2014,3\n"
    table = csv(tmp_path, log)
    table.to_parquet(tmp_path / "rfm.parquet")
    again = RfmTable.from_parquet(tmp_path / "rfm.parquet")
    later = {"id": [1], "day": ["01.03.2014"], "paid": [1.0]}
    assert again.update(later).to_pandas()["recency"].tolist() == [57.0]
    split = rfm_train_test_split(tmp_path / "log.csv", **NAMES, train_period_end="2014-01-31")
    assert split.test["test_frequency"].tolist() == [1]


# --- what cannot be read ---


@settings(max_examples=25)
@given(st.lists(st.from_regex(sniff._PLAIN, fullmatch=True), min_size=1, max_size=5))
def test_plain_amounts_are_read_as_the_engine_reads_them(texts: list[str]) -> None:
    """The short way to a log's decimal sign finds what the long one does."""
    table = ibis.memtable(pa.table({"paid": texts}))
    present = sniff.present_rows(sniff.alone(table, "paid"))
    short = sniff._plain_readings(present, texts, "paid", ENGINE.to_pyarrow)
    long = sniff._readings(present, "paid", ENGINE.to_pyarrow)
    assert short is not None
    assert [short[key] for key in list(short)[:4]] == [int(long[key]) for key in list(short)[:4]]
    assert not short["rest"]


def test_unreadable_amounts_are_counted_shown_or_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i},2014-01-03,5.5\n" for i in range(500))
    with pytest.warns(UserWarning, match="1 unreadable amount"):  # which may be the largest
        table = csv(tmp_path, f"id,day,paid\n{rows}7,2014-01-04,many\n8,2014-01-04,\n")
    assert table.audit is not None
    assert table.audit.rows_left_out(Reason.UNREADABLE_AMOUNT) == 1
    assert table.audit.rows_left_out(Reason.NON_FINITE_AMOUNT) == 1
    assert "unreadable amounts in 'paid', such as 'many'" in notes(table)
    with pytest.raises(SchemaError, match=r"2 of 3 rows have text.*'many', 'few'. Check the col"):
        csv(tmp_path, "id,day,paid\n1,2014-01-03,many\n1,2014-01-04,few\n1,2014-01-04,5\n")


@pytest.mark.parametrize(
    ("days", "options", "said"),
    [
        (["3 janv. 2014", "13 févr. 2014"], {}, r"2 of 2 rows.*'13 févr. 2014'.*ISO.*in English"),
        (["31/12/2013", "30/12/2013"], {"date_format": "mdy"}, "2 of 2 .*Pass date_format='dmy'"),
        (["2013-12-31"], {"date_format": "dmy"}, "Pass date_format='iso', which fits them"),
        (
            ["41642", "41683.25"],
            {},
            r"'41642', '41683.25'\. They look like .* a spreadsheet counts",
        ),
        (["2014-01-03"] * 2 + ["01/13/2014"], {}, "1 of 3 .*Other rows are written otherwise"),
        (["2014-01-03", "01/13/2014"], {}, r"more than one way \(ISO 8601, month/day/year\)"),
        (["2014-01-03", "1388710800"], {}, "'2014-01-03', '1388710800', are written in more than"),
    ],
)
def test_unreadable_dates_are_refused_with_a_way_out(
    days: list[str], options: dict[str, Any], said: str
) -> None:
    log = {"id": [1] * len(days), "day": days, "paid": [5.0] * len(days)}
    with pytest.raises(SchemaError, match=said):
        rfm_summary(log, **NAMES, **options)


def test_a_decimal_sign_is_proposed_where_it_is_the_cause(tmp_path: Path) -> None:
    commas = 'id,day,paid\n1,2014-01-03,"1,5"\n1,2014-01-04,"2,5"\n'
    with pytest.raises(SchemaError, match=r"2 of 2 rows.*Pass decimal=',', which fits them"):
        csv(tmp_path, commas, decimal=".")
    points = "id,day,paid\n1,2014-01-03,1.5\n1,2014-01-04,2.5\n"
    with pytest.raises(SchemaError, match=r"2 of 2 rows.*Pass decimal='.', which fits them"):
        csv(tmp_path, points, decimal=",")
    with pytest.raises(SchemaError) as found:
        csv(tmp_path, "id,day,paid\n1,2014-01-03,1x5\n1,2014-01-04,2x5\n", decimal=",")
    assert "decimal=" not in str(found.value)


# --- the first rows decide, and later ones may contradict ---

FIRST = 10_000


def written(folder: Path, rows: list[tuple[str, str]]) -> Path:
    """Write days and amounts of as many customers as make every reading the same base."""
    path = folder / "log.csv"
    lines = [f"{i % 50};{day};{paid}" for i, (day, paid) in enumerate(rows)]
    path.write_text("\n".join(["id;day;paid", *lines]))
    return path


def days(form: str, most: int) -> list[str]:
    """Write FIRST dates, no day of the month beyond some."""
    return [dt.date(2014, 1 + i % 12, 1 + i % most).strftime(form) for i in range(FIRST)]


def test_rows_beyond_the_first_say_what_those_left_open(tmp_path: Path) -> None:
    first = [(day, "5") for day in days("%d/%m/%Y", 12)]
    table = rfm_summary(written(tmp_path, [*first, ("23/01/2014", "5")]), **NAMES)
    assert "dates read as day/month/year" in notes(table)
    table = rfm_summary(written(tmp_path, [*first, ("01/23/2014", "5")]), **NAMES)
    assert "dates read as month/day/year" in notes(table)
    with pytest.raises(SchemaError, match="each fits every row"):
        rfm_summary(written(tmp_path, first), **NAMES)
    with pytest.raises(SchemaError, match="some rows, but not the others"):
        rfm_summary(written(tmp_path, [*first, ("01/23/2014", "5"), ("23/01/2014", "5")]), **NAMES)


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize(
    ("later", "shown", "said"),
    [
        (("01/28/2014", "5,50"), "'01/28/2014'", "dmy"),
        (("14/01/28", "5,50"), None, None),  # fits both the reading chosen and another
        (("28/01/2014", "5.50"), "'5.50'", ","),
    ],
)
def test_rows_beyond_the_first_may_contradict_them(
    tmp_path: Path, where: str, later: tuple[str, str], shown: str | None, said: str | None
) -> None:
    first = [(day, "5,50") for day in days("%d/%m/%Y", 28)]
    path = written(tmp_path, [*first, later])

    def audit_of(**options: Any) -> Any:
        if where == "memory":
            return rfm_summary(path, **NAMES, **options).audit
        return rfm_summary_to_parquet(path, tmp_path / "rfm.parquet", **NAMES, **options)

    if shown is None:
        options = {"implausible_dates": "keep"}  # day 14 of 2028, which is far away
        assert audit_of(**options).rows_used == FIRST + 1
        return
    with pytest.raises(SchemaError, match=f"such as {shown}, can be .*some rows, but not"):
        audit_of()
    # who says which it is has the others counted and shown
    if said == "dmy":
        audit = audit_of(date_format=said)
    else:
        with pytest.warns(UserWarning, match=r"1 of 10,001 rows \(0.01 %\)"):
            audit = audit_of(decimal=said)
    assert audit.rows_used == FIRST
    assert any(f"such as {shown}" in note for note in audit.notes)


@pytest.mark.parametrize(
    "later", ["some day", "2014-13-01"], ids=["no date", "no date of the calendar"]
)
def test_rows_beyond_the_first_that_nothing_fits_are_counted_and_shown(
    tmp_path: Path, later: str
) -> None:
    first = [(day, "5,50") for day in days("%d/%m/%Y", 28)]
    table = rfm_summary(written(tmp_path, [*first, (later, "5,50"), first[0]]), **NAMES)
    assert table.audit is not None
    assert table.audit.rows_left_out(Reason.UNREADABLE_DATE) == 1
    assert f"unreadable dates in 'day', such as '{later}'" in notes(table)


def test_counts_since_1970_have_one_unit(tmp_path: Path) -> None:
    seconds = [(str(1_388_710_800 + 86_400 * (i % 300)), "5") for i in range(FIRST)]
    later = (str(1_388_710_800_000), "5")
    for rows in ([*seconds, later], [(day + "000", paid) for day, paid in seconds] + seconds[:5]):
        with pytest.raises(SchemaError, match=r"seconds.*milliseconds.*date_format='s' or 'ms'"):
            rfm_summary(written(tmp_path, rows), **NAMES)


def test_encodings_and_ragged_files(tmp_path: Path) -> None:
    log = "id;day;paid\nJosé;2014-01-03;2\nJosé;2014-02-13;3\n"
    assert csv(tmp_path, log).to_pandas()["customer_id"].tolist() == ["José"]
    for marked in ("utf-16", "utf-32"):
        assert csv(tmp_path, log, marked).to_pandas()["customer_id"].tolist() == ["José"]
    with pytest.raises(SchemaError, match=r"log.csv is not in UTF-8.*encoding='latin-1'"):
        csv(tmp_path, log, "latin-1")
    found = csv(tmp_path, log, "cp1252", encoding="cp1252", delimiter=";")
    assert found.to_pandas()["customer_id"].tolist() == ["José"]
    with pytest.raises(SchemaError, match=r"Line 2 of \S*log\.csv has 2 fields, but the first"):
        csv(tmp_path, "id,day,paid\n1,2014-01-03\n1,2014-01-04,5\n")
    periods = pd.period_range("2014-01", periods=2, freq="M")
    with pytest.raises(SchemaError, match="holds pandas Periods"):
        rfm_summary(pd.DataFrame({"id": [1, 1], "day": periods, "paid": [1, 2]}), **NAMES)
    with pytest.raises(SchemaError, match="numbers from 2 to 5"):
        rfm_summary({"id": [1, 1], "day": [5, 2], "paid": [1, 2]}, **NAMES)


def test_of_a_folder_nothing_is_passed_over(tmp_path: Path) -> None:
    """Files that a folder's name would not read are named, and a pattern says what the log is."""
    rows = pa.table({"id": ["a", "b"], "day": ["2014-01-03", "2014-02-13"], "paid": [2.0, 3.0]})
    (tmp_path / "year=2014").mkdir()
    pq.write_table(rows, tmp_path / "year=2014" / "log.parquet")
    (tmp_path / "_checks.csv").write_text("id;day;paid\n")
    (tmp_path / "README.txt").write_text("All orders.")
    (tmp_path / ".hidden.csv").write_text("")
    assert len(rfm_summary(tmp_path, **NAMES)) == 2
    for name in ("more.csv", "more.csv.gz", "more.pq", "more.PARQUET"):
        other = tmp_path / name
        other.write_text(LOG)
        with pytest.raises(
            SchemaError, match=rf"1 file such as '{name}' would not be read.*attern"
        ):
            rfm_summary(tmp_path, **NAMES)
        assert len(rfm_summary(str(tmp_path / "**" / "*.parquet"), **NAMES)) == 2
        other.unlink()


def test_a_name_that_lies_is_refused(tmp_path: Path) -> None:
    """A CSV file called Parquet, and a pattern that finds folders alone."""
    (tmp_path / "log.parquet").write_text(LOG)
    with pytest.raises(SchemaError, match=r"log.parquet cannot be read as Parquet"):
        rfm_summary(tmp_path / "log.parquet", **NAMES)
    (tmp_path / "more.parquet").mkdir()
    with pytest.raises(SchemaError, match="No file is found at"):
        rfm_summary(str(tmp_path / "more*"), **NAMES)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (LOG.encode("utf-16-le"), "looks like UTF-16 without its mark.*encoding='utf-16-le'"),
        (LOG.encode("utf-16-be"), "encoding='utf-16-be'"),
        (LOG.replace("a;", "a\0;").encode(), "has a zero byte"),
        (b"PAR1\0\0", "is a Parquet file, whatever its name says"),
        (b"PK\x03\x04\0", "a zip archive or a spreadsheet"),
        (b"\x1f\x8b\x08\0", r"compressed by gzip \(.gz\)"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), "an old Excel workbook"),
        (b"sep=;\n" + LOG.encode(), "begins with 'sep=;'.*remove this line"),
        (LOG.replace("\n", "\r\n", 2).encode(), "its lines end in different ways"),
    ],
    ids=["little", "big", "zero byte", "Parquet", "zip", "gzip", "Excel", "sep", "line ends"],
)
def test_odd_files_are_named_for_what_they_are(tmp_path: Path, written: bytes, said: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(written)
    with pytest.raises(SchemaError, match=said) as found:
        rfm_summary(path, **NAMES)
    assert "strict_mode" not in str(found.value)


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (pa.array([2.0**53, 7.0]), r"not whole numbers below 2\*\*53"),
        (pa.array([-(2.0**53), 7.0]), r"not whole numbers below 2\*\*53"),
        (pa.array([2.0**24, 7.0], pa.float32()), r"not whole numbers below 2\*\*24"),
        (pa.array([Decimal(10**20), Decimal(7)]), r"decimal.*1 rows have ids beyond 2\*\*63"),
    ],
)
def test_ids_that_would_become_others_are_refused(ids: pa.Array, said: str) -> None:
    log = pa.table({"id": ids, "day": ["2014-01-03", "2014-02-13"], "paid": [1, 2]})
    with pytest.raises(SchemaError, match=said):
        rfm_summary(log, **NAMES)
    known = rfm_summary(log.slice(1), **NAMES).to_pandas()["customer_id"]
    assert known.tolist() == [7]


# --- where ---


@pytest.mark.parametrize(
    ("where", "used"),
    [
        ("status = 'paid'", 2),
        ("status <> 'paid'", 1),
        ("status IN ('paid', 'open') AND paid > 1,5".replace(",5", ".5"), 2),
        ("NOT (status = 'paid' OR status IS NULL)", 1),
        ("status LIKE 'p%' AND paid BETWEEN 1 AND 2", 1),
        ("status IS NOT NULL", 3),
    ],
)
def test_where_chooses_rows_and_the_audit_counts_the_others(where: str, used: int) -> None:
    log = pd.DataFrame(
        {
            "id": [1, 1, 2, 2],
            "day": ["2014-01-03", "2014-01-04", "2014-01-05", "2014-01-06"],
            "paid": ["1,50", "2,50", "3,50", "1,25"],
            "status": ["paid", "paid", "open", None],
        }
    )
    for source in (log, pl.from_pandas(log), pa.Table.from_pandas(log)):
        table = rfm_summary(source, **NAMES, where=where)
        assert table.audit is not None
        assert table.audit.rows_used == used
        assert table.audit.rows_left_out(Reason.NOT_CHOSEN) == 4 - used


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("lower(status) = 'paid'", "compares no column"),
        ("status = other", "not a constant"),
        ("status >", "where="),
        ("status < 'b'", "by order"),
        ("1 = 1; DROP TABLE log", "where="),
        ("paid IN (SELECT 1)", "where="),
        ("state = 'paid'", "not a column of the log"),
    ],
)
def test_other_conditions_are_refused(where: str, said: str) -> None:
    log = {"id": [1], "day": ["2014-01-03"], "paid": [1.5], "status": ["paid"]}
    with pytest.raises(SchemaError, match=said):
        rfm_summary(log, **NAMES, where=where)


# --- law ---

_FORMATS: dict[str, Callable[[dt.datetime, int], tuple[Any, str]]] = {
    "de_DE": lambda day, cents: (day.strftime("%d.%m.%Y"), _grouped(cents, ".", ",") + " €"),
    "en_US": lambda day, cents: (day.strftime("%m/%d/%Y"), "$" + _grouped(cents, ",", ".")),
    "fr_FR": lambda day, cents: (day.strftime("%d/%m/%Y"), _grouped(cents, "\u202f", ",")),
    "ISO": lambda day, cents: (day.strftime("%Y-%m-%dT%H:%M:%S"), _grouped(cents, "", ".")),
    "epoch": lambda day, cents: (
        str(int(day.replace(tzinfo=dt.UTC).timestamp())),
        _grouped(cents, "", "."),
    ),
}


def _grouped(cents: int, thousands: str, decimal: str) -> str:
    text = f"{cents / 100:,.2f}"
    return text.replace(",", "T").replace(".", decimal).replace("T", thousands)


def _same(found: RfmTable, expected: RfmTable) -> None:
    """Sums of amounts may differ in their last bit: threads add in any order."""
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas(), rtol=1e-12)


@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 4),
            st.datetimes(dt.datetime(2005, 1, 1), dt.datetime(2020, 12, 31)),
            st.integers(-500_000, 5_000_000),
        ),
        max_size=12,
    ),
    kind=st.sampled_from(sorted(_FORMATS)),
)
@settings(max_examples=25, deadline=None)
def test_the_way_a_log_is_written_changes_nothing(
    rows: list[tuple[int, dt.datetime, int]], kind: str
) -> None:
    # one day beyond the twelfth and one amount with cents leave one reading
    rows = [(1, dt.datetime(2014, 5, 23), 1050), *rows]
    clean = pd.DataFrame(rows, columns=["id", "day", "paid"])
    clean["paid"] = [float(f"{cents / 100:.2f}") for cents in clean["paid"]]
    want = rfm_summary(clean, **NAMES)
    written = [(who, *_FORMATS[kind](day, cents)) for who, day, cents in rows]
    frame = pd.DataFrame(written, columns=["id", "day", "paid"])
    with tempfile.TemporaryDirectory() as folder:
        csv_path, parquet = Path(folder) / "log.csv", Path(folder) / "log.parquet"
        frame.to_csv(csv_path, index=False, sep=";")
        pq.write_table(pa.Table.from_pandas(frame), parquet)
        for source in (csv_path, parquet, frame, pl.from_pandas(frame)):
            got = rfm_summary(source, **NAMES)
            _same(got, want)
            assert got.observation_end == want.observation_end
        rfm_summary_to_parquet(csv_path, Path(folder) / "rfm.parquet", **NAMES)
        stored = RfmTable.from_parquet(Path(folder) / "rfm.parquet")
        _same(stored, want)


def test_a_condition_on_dates_does_not_cut_in_silence(tmp_path: Path) -> None:
    log = pd.DataFrame(
        {
            "who": ["a", "a", "b", "b"],
            "day": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-05", "2024-03-31"]),
            "paid": [1.0, 2.0, 3.0, 4.0],
        }
    )
    names = {"customer_id_col": "who", "datetime_col": "day", "monetary_value_col": "paid"}
    said = "end on 2024-02-01, but customers count as observed until 2024-03-31, and as silent"
    with pytest.warns(UserWarning, match=said):
        found = rfm_summary(log, **names, where="day < '2024-03-01'")
    assert found.audit is not None
    assert any(said in note for note in found.audit.notes)
    log.to_parquet(tmp_path / "log.parquet")
    with pytest.warns(UserWarning, match=said):
        rfm_summary_to_parquet(
            tmp_path / "log.parquet", tmp_path / "rfm", **names, where="day < '2024-03-01'"
        )
    # the end that is said, rows to the log's end, and other columns are no cut
    for options in (
        {"where": "day < '2024-03-01'", "observation_period_end": "2024-02-29"},
        {"where": "day > '2024-01-03'"},
        {"where": "paid < 3"},
    ):
        quiet = rfm_summary(log, **names, **options).audit
        assert quiet is not None
        assert not any("silent since" in note for note in quiet.notes)
