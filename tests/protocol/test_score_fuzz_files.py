"""Bad files of `score`, generated: a clear error, or rejects with a reason, nothing lost."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import CLVPosterior
from clvmodels.scoring import ScoreReport
from tests.protocol.score_fuzz_cases import (
    COLUMNS,
    HEADER,
    ID,
    LOG,
    TX,
    M,
    T,
    X,
    attempt,
    fine_log,
    fine_rows,
    ids_of,
    mangled,
    parquet,
    rng_of,
)
from tests.recovery.scoring_cases import make_posterior

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return make_posterior(5)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- files -------------------------------------------------------------------------------


def parquet_bytes() -> bytes:
    pq.write_table(fine_rows(50), "made.parquet")
    data = Path("made.parquet").read_bytes()
    Path("made.parquet").unlink()
    return data


@pytest.mark.slow
def test_mangled_parquet(posterior: CLVPosterior) -> None:
    """What was damaged is refused, or was not used; the rows are as many as in the footer."""
    data, rng, refused = parquet_bytes(), rng_of("mangled"), 0
    for number in range(60):
        Path("m.parquet").write_bytes(mangled(rng, data))
        found = attempt("m.parquet", posterior, f"o{number}/s.parquet")
        refused += isinstance(found, str)
    assert refused > 20


LINES: Final = f"{HEADER}\n1,2,30,40,5\n2,0,0,50,\n3,1,10.5,60,7.25\n"
CSVS: Final[dict[str, bytes]] = {
    "empty": b"",
    "blank lines": b"\n\n\n",
    "a header": HEADER.encode(),
    "a header and a line feed": f"{HEADER}\n".encode(),
    "no header": b"1,2,30,40,5\n",
    "spaces": b"   \n   ",
    "too few": f"{LINES}4,1,10\n".encode(),
    "too many": f"{LINES}4,1,10,20,5,6\n".encode(),
    "too many empty": f"{LINES}4,1,10,20,5,\n".encode(),
    "a comment": f"# of a tool\n{LINES}".encode(),
    "an unclosed quote": f'{LINES}"4,1,10,20,5\n'.encode(),
    "a quote inside": f'{LINES}4"4,1,10,20,5\n'.encode(),
    "quoted": f'{LINES}"4,4","1","10","20","5"\n'.encode(),
    "a line in quotes": f'{LINES}"4\n4",1,10,20,5\n'.encode(),
    "byte order mark": b"\xef\xbb\xbf" + LINES.encode(),
    "utf-16": LINES.encode("utf-16"),
    "utf-16 without mark": LINES.encode("utf-16-le"),
    "latin-1": LINES.replace("1,2", "é,2").encode("latin-1"),
    "semicolons": LINES.replace(",", ";").encode(),
    "tabs": LINES.replace(",", "\t").encode(),
    "pipes": LINES.replace(",", "|").encode(),
    "colons": LINES.replace(",", ":").encode(),
    "decimal commas": LINES.replace(",", ";").replace(".", ",").encode(),
    "carriage returns": LINES.replace("\n", "\r\n").encode(),
    "old Mac": LINES.replace("\n", "\r").encode(),
    "mixed line ends": LINES.replace("\n", "\r\n", 2).encode(),
    "NUL": LINES.replace("1,2", "1\0,2").encode(),
    "NULs": b"\0" * 500,
    "zip": b"PK\x03\x04" + bytes(range(256)),
    "Parquet": b"PAR1" + b"\0" * 40 + b"PAR1",
    "HTML": b"<!DOCTYPE html><html><body>404, not found</body></html>",
    "JSON": b'[{"customer_id": 1, "frequency": 2}]',
    "same column twice": LINES.replace("T,", "T,T,").encode(),
    "upper case": LINES.replace("recency", "RECENCY").encode(),
    "spaces in the header": LINES.replace(",", " , ").encode(),
    "an empty name": LINES.replace("\n", ",\n").encode(),
    "missing column": LINES.replace("recency", "recent").encode(),
    "a long field": f"{HEADER}\n{'x' * 300_000},2,30,40,5\n".encode(),
    "a very long line": f"{HEADER}\n{'x' * 4_000_000},2,30,40,5\n".encode(),
    "many columns": "\n".join(
        line + f",{','.join(map(str, range(500)))}" for line in LINES.splitlines()
    ).encode(),
    "SQL": LINES.replace("1,2", "'); DROP TABLE x; --,2").encode(),
    "SQL in the header": LINES.replace("value", 'value,"a"" FROM x; --"', 1).encode(),
    "no last line feed": LINES.strip().encode(),
    "blank lines between": LINES.replace("\n", "\n\n").encode(),
    "many blank fields": f"{HEADER}\n,,,,\n,,,,\n".encode(),
}
NUMERALS: Final = (
    "", " ", "NaN", "nan", "NULL", "None", "N/A", "-", "inf", "-inf", "Infinity", "1e400", "1e-400",
    "1,5", "1_000", "0x10", "1e3", "+3", "٣", "³", "½", "1 000", "$5", "5%", "true", "TRUE", "--3",
    "1.2.3", "3.", ".5", "1e", "2024-01-01", "=1+1", "'3", "3 ", "\u00a03", "9" * 400, "0" * 500,
)  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
def test_csv_of_any_kind(posterior: CLVPosterior, zipped: bool) -> None:
    name = "bad.csv.gz" if zipped else "bad.csv"
    for number, (what, data) in enumerate(CSVS.items()):
        Path(name).write_bytes(gzip.compress(data) if zipped else data)
        found = attempt(name, posterior, f"o{number}/s.parquet")
        if isinstance(found, ScoreReport) and found.rows:
            assert what not in ("no header", "missing column", "same column twice", "latin-1")
            assert found.rows <= 6


def test_numerals_in_csv(posterior: CLVPosterior) -> None:
    """A text that is not a number is rejected as it was written."""
    for column in COLUMNS[1:]:
        lines = [HEADER]
        for i, text in enumerate(NUMERALS):
            row = {ID: f"c{i}", X: "2", TX: "30", T: "40", M: "5", column: f'"{text}"'}
            lines.append(",".join(row.values()))
        Path("n.csv").write_text("\n".join(lines))
        report = attempt("n.csv", posterior, f"{column}.parquet")
        assert isinstance(report, ScoreReport), report
        assert report.rows == len(NUMERALS)
        rejects = pq.read_table(report.rejects)
        texts = [NUMERALS[i] for i in rejects["source_row"].to_pylist()]
        assert {"NaN", "NULL", "1,5", "½", "--3", "1e400", "=1+1"} <= set(texts)
        assert ("$5" in texts) == (column != M)  # a sign of money is one of amounts alone
        assert [text or "" for text in rejects[column].to_pylist()] == texts
        assert rejects.num_rows + pq.read_metadata(report.output).num_rows == len(NUMERALS)


def a_folder(name: str) -> None:
    Path(name).mkdir(parents=True)


def a_link(name: str, to: str) -> None:
    Path(name).symlink_to(to)


def text(name: str, content: str = LINES) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(content)


def shut(name: str) -> None:
    parquet(name)
    Path(name).chmod(0)


Make = Callable[[], object]
# What is made, and what is named as the input.
PLACES: Final[dict[str, tuple[Make, Any]]] = {
    "nothing": (lambda: None, "no.parquet"),
    "no match": (lambda: None, "*/no*.parquet"),
    "a bad pattern": (lambda: None, "[.parquet"),
    "an empty folder": (lambda: a_folder("f"), "f"),
    "a folder of folders": (lambda: a_folder("f/g/h"), "f"),
    "a folder named as a file": (lambda: a_folder("f.parquet"), "f.parquet"),
    "such a folder in a folder": (lambda: (a_folder("f/a.parquet"), parquet("f/b.parquet")), "f"),
    "a broken link": (lambda: a_link("l.parquet", "gone.parquet"), "l.parquet"),
    "a broken link in a folder": (
        lambda: (parquet("f/a.parquet"), a_link("f/l.parquet", "gone")),
        "f",
    ),
    "a link to itself": (lambda: a_link("l.parquet", "l.parquet"), "l.parquet"),
    "a link to its folder": (lambda: (parquet("f/a.parquet"), a_link("f/g", ".")), "f"),
    "a file twice by a link": (
        lambda: (parquet("a.parquet"), a_link("l.parquet", "a.parquet")),
        ["a.parquet", "l.parquet"],
    ),
    "a file twice by patterns": (lambda: parquet("a.parquet"), ["*.parquet", "a.parquet"]),
    "a pipe": (lambda: os.mkfifo("p.parquet"), "p.parquet"),
    "a pipe in a folder": (lambda: (parquet("f/a.parquet"), os.mkfifo("f/p.parquet")), "f"),
    "a device": (lambda: None, "/dev/null"),
    "a link to a device": (lambda: a_link("z.parquet", "/dev/zero"), "z.parquet"),
    "no permission": (lambda: shut("a.parquet"), "a.parquet"),
    "hidden": (lambda: (a_folder("f"), parquet("f/_a.parquet"), parquet("f/.b.parquet")), "f"),
    "no suffix": (lambda: parquet("data"), "data"),
    "another suffix": (lambda: parquet("data.orc"), "data.orc"),
    "CSV named Parquet": (lambda: text("a.parquet"), "a.parquet"),
    "Parquet named CSV": (lambda: parquet("a.csv"), "a.csv"),
    "Parquet named gzip": (lambda: parquet("a.csv.gz"), "a.csv.gz"),
    "both": (lambda: (parquet("f/a.parquet"), text("f/b.csv")), "f/*"),
    "a folder of CSV": (lambda: text("f/b.csv"), "f"),
    "zero rows": (lambda: parquet("a.parquet", fine_rows(0)), "a.parquet"),
    "zero rows in one": (
        lambda: (parquet("f/a.parquet", fine_rows(0)), parquet("f/b.parquet")),
        "f",
    ),
    "zero columns": (lambda: parquet("a.parquet", pa.table({})), "a.parquet"),
    "one column": (lambda: parquet("a.parquet", fine_rows(6).select([ID])), "a.parquet"),
    "a column twice": (
        lambda: parquet("a.parquet", fine_rows(6).append_column(T, pa.array([1.0] * 6))),
        "a.parquet",
    ),
    "the id twice": (
        lambda: parquet("a.parquet", fine_rows(6).append_column(ID, pa.array(["x"] * 6))),
        "a.parquet",
    ),
    "a note twice": (
        lambda: parquet(
            "a.parquet",
            fine_rows(6).append_column("n", pa.nulls(6)).append_column("n", pa.nulls(6)),
        ),
        "a.parquet",
    ),
    "names in upper case": (
        lambda: parquet("a.parquet", fine_rows(6).rename_columns([n.upper() for n in COLUMNS])),
        "a.parquet",
    ),
    "both cases of a name": (
        lambda: parquet("a.parquet", fine_rows(6).add_column(0, "t", pa.array([1.0] * 6))),
        "a.parquet",
    ),
    "another case in the other file": (
        lambda: (
            parquet("f/a.parquet", fine_rows(6).append_column("City", pa.array(["x"] * 6))),
            parquet("f/b.parquet", fine_rows(6).append_column("city", pa.array([9] * 6))),
        ),
        "f",
    ),
    "a column of the engine": (
        lambda: parquet(
            "a.parquet", fine_rows(6).append_column("file_row_number", pa.array(["x"] * 6))
        ),
        "a.parquet",
    ),
    "another column of the engine": (
        lambda: parquet("a.parquet", fine_rows(6).append_column("File_Index", pa.array([9] * 6))),
        "a.parquet",
    ),
    "a name of the engine": (
        lambda: parquet("a.parquet", fine_rows(6).append_column("filename", pa.array([9] * 6))),
        "a.parquet",
    ),
    "columns of ours": (
        lambda: parquet(
            "a.parquet",
            fine_rows(6)
            .set_column(1, X, pa.array([-1] * 6))
            .append_column("reason", pa.array(["x"] * 6))
            .append_column("reason_given", pa.array(["y"] * 6))
            .append_column("source_row", pa.array([9] * 6)),
        ),
        "a.parquet",
    ),
    "names with quotes": (
        lambda: parquet("a'b\"c.parquet", fine_rows(6).append_column('a"b', pa.nulls(6))),
        "a'b\"c.parquet",
    ),
    "names with brackets": (lambda: parquet("f[1]/a[0-9].parquet"), "f[1]/a[0-9].parquet"),
    "names with brackets in a folder": (lambda: parquet("f[1]/a*.parquet"), "f[1]"),
    "Hive folders": (
        lambda: (parquet("f/T=3/a.parquet"), parquet("f/T=4/b.parquet")),
        "f",
    ),
    "other columns in one": (
        lambda: (parquet("f/a.parquet"), parquet("f/b.parquet", fine_rows(6).drop_columns(M))),
        "f",
    ),
    "a log in one": (
        lambda: (parquet("f/a.parquet"), parquet("f/b.parquet", pa.table({"day": ["2024-01-01"]}))),
        "f",
    ),
    "text ids in one": (
        lambda: (
            parquet("f/a.parquet"),
            parquet("f/b.parquet", fine_rows(6).set_column(0, ID, pa.array(list("abcdef")))),
        ),
        "f",
    ),
    "null ids in one": (
        lambda: (
            parquet("f/a.parquet"),
            parquet("f/b.parquet", fine_rows(6).set_column(0, ID, pa.nulls(6))),
        ),
        "f",
    ),
    "nothing but null": (
        lambda: parquet("a.parquet", pa.table({name: pa.nulls(4) for name in COLUMNS})),
        "a.parquet",
    ),
    "a note of two types": (
        lambda: (
            parquet("f/a.parquet", fine_rows(6).append_column("n", pa.array([[-1]] * 6))),
            parquet("f/b.parquet", fine_rows(6).append_column("n", pa.array(["x"] * 6))),
        ),
        "f",
    ),
    "a long name": (lambda: None, "a" * 300 + ".parquet"),
    "a deep name": (lambda: None, "a/" * 3000 + "b.parquet"),
    "NUL in the name": (lambda: None, "a\0b.parquet"),
    "a bucket": (lambda: None, "s3://bucket/a.parquet"),
    "a web page": (lambda: None, "https://example.org/a.parquet"),
    "standard input": (lambda: None, "-"),
    "a database": (lambda: text("a.duckdb"), "a.duckdb"),
    "lists of lists": (lambda: parquet("a.parquet"), [["a.parquet"]]),
    "a generator": (lambda: parquet("a.parquet"), (name for name in ["a.parquet"])),
    "a frame": (lambda: None, pd.DataFrame({ID: [1]})),
}
# The others must be refused.
SCORED: Final = {
    "such a folder in a folder", "a link to its folder", "no permission", "zero rows",
    "zero rows in one", "a note twice", "another case in the other file", "a name of the engine",
    "columns of ours", "names with quotes", "names with brackets",
    "names with brackets in a folder", "Hive folders", "null ids in one", "nothing but null",
    "a note of two types",
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_files_that_are_not_there_or_not_what_they_seem(
    posterior: CLVPosterior, place: str
) -> None:
    make, source = PLACES[place]
    make()
    found = attempt(source, posterior)
    if place == "no permission" and isinstance(found, str):
        return  # who is root reads it
    assert isinstance(found, ScoreReport) == (place in SCORED), found
    if isinstance(found, ScoreReport):
        named = {file["path"] for file in found.record["input"]["files"]}
        assert found.rows == sum(pq.read_metadata(path).num_rows for path in named)
        assert len(named) == 2 or "in one" not in place


# --- logs --------------------------------------------------------------------------------

DAYS: Final = (
    "2019-01-01", "2019-03-01", "2019-07-01", None, "", "soon", "2019-02-30", "01/02/2019",
    "2019-13-01", "20190405", "2019-06-01T12:30:00", "1066-10-14", "9999-12-31", "0", "NaT",
)  # fmt: skip
AMOUNTS: Final = (1.5, 20.0, 300.25, None, math.nan, math.inf, -math.inf, -5.0, 0.0, 1e99, 1e306)
LOG_TEXTS: Final = {
    "empty": "",
    "a header": "customer,day,amount\n",
    "no rows that count": "customer,day,amount\n1,soon,5\n,2019-01-01,5\n2,2019-01-01,x\n",
    "too few": "customer,day,amount\n1,2019-01-01\n",
    "too many": "customer,day,amount\n1,2019-01-01,5,6\n",
    "other columns": "a,b,c\n1,2019-01-01,5\n",
    "a column twice": "customer,day,amount,day\n1,2019-01-01,5,2019-01-01\n",
    "no text": "\0\0\0\0",
    "semicolons": "customer;day;amount\n1;2019-01-01;5\n",
    "an unclosed quote": 'customer,day,amount\n"1,2019-01-01,5\n',
    "a long field": f"customer,day,amount\n{'x' * 300_000},2019-01-01,5\n",
    "old Mac": "customer,day,amount\r1,2019-01-01,5\r",
}


LOGS_THAT_ARE_READ: Final = (
    "a long field", "semicolons", "old Mac", "a column twice", "an unclosed quote",
)  # fmt: skip


@pytest.mark.parametrize("refunds", ["drop", "net"])
@pytest.mark.parametrize("kind", ["text", "integers", "floats", "decimals"])
def test_bad_rows_of_a_log(posterior: CLVPosterior, kind: str, refunds: str) -> None:
    """Every row of the log is in the audit, every customer in the output or the rejects."""
    for seed in range(3):
        rng, rows = rng_of("log", kind, seed), 60
        amounts = pa.array([AMOUNTS[i] for i in rng.integers(0, len(AMOUNTS), rows)], pa.float64())
        # more than a tenth that cannot be read would be an error
        odd = [i if n % 10 == 0 else i % 3 for n, i in enumerate(rng.integers(0, len(DAYS), rows))]
        days = pa.array([DAYS[i] for i in odd])
        table = pa.table({"customer": ids_of(kind, rows, rng), "day": days, "amount": amounts})
        parquet("log.parquet", table)
        found = attempt(
            "log.parquet",
            posterior,
            f"o{seed}.parquet",
            refunds=refunds,
            implausible_dates="keep",
            **LOG,
        )
        if kind in ("floats", "decimals"):
            assert "convert the column" in found
            continue
        assert isinstance(found, ScoreReport), found
        audit = found.record["audit"]
        left_out = sum(item["rows"] for item in audit["left_out"])
        assert audit["rows_read"] == rows == audit["rows_used"] + left_out
        assert found.rows == audit["customers"]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv"])
def test_bad_files_of_a_log(posterior: CLVPosterior, suffix: str) -> None:
    for number, (what, content) in enumerate(LOG_TEXTS.items()):
        data = content.encode()
        Path(f"log{suffix}").write_bytes(gzip.compress(data) if "gz" in suffix else data)
        found = attempt(f"log{suffix}", posterior, f"o{number}.parquet", **LOG)
        assert isinstance(found, str) or what in LOGS_THAT_ARE_READ, what


def test_mangled_files_of_a_log(posterior: CLVPosterior) -> None:
    pq.write_table(fine_log(), "made.parquet")
    data, rng = Path("made.parquet").read_bytes(), rng_of("mangled log")
    Path("made.parquet").unlink()
    for number in range(40):
        Path("log.parquet").write_bytes(mangled(rng, data))
        attempt("log.parquet", posterior, f"o{number}/s.parquet", **LOG)
