"""What a base may be given as: one score for the same customers, and clear refusals."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    TimeUnitError,
    rfm_summary,
    score,
)
from clvmodels.datasets import load_cdnow
from clvmodels.schema import TimeScale
from clvmodels.verdict import Verdict, at_most

DRAWS = 20
LOG: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
END = {"observation_period_end": "1997-09-30"}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True).query("customer_id < 8000")


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> RfmTable:
    return rfm_summary(log, **LOG, **END)


DAYS = TimeScale("D")


def posterior_of(scale: TimeScale = DAYS, **metadata: Any) -> CLVPosterior:
    rng = np.random.default_rng(3)
    days = scale.days
    draws = {"r": 0.243, "alpha": 30.9 / days, "a": 0.793, "b": 2.43}
    purchases = BetaGeoPosterior.from_draws(
        **{name: value * rng.lognormal(0, 0.05, 30) for name, value in draws.items()},
        time_unit=scale.time_unit,
        time_scaler=scale.time_scaler,
    )
    purchases = replace(purchases, metadata=replace(purchases.metadata, **metadata))
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.4)
    return CLVPosterior(purchases, spend)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return posterior_of()


def scored(source: Any, posterior: CLVPosterior, folder: Path, **options: Any) -> pd.DataFrame:
    out = folder / "scored" / "scores.parquet"
    score(source, posterior, out, draws=DRAWS, intervals="all", block_rows=333, **options)
    return pd.read_parquet(out)


def assert_same(found: pd.DataFrame, posterior: CLVPosterior, rfm: Any) -> None:
    wanted = posterior.predict(rfm, draws=DRAWS)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=0)


# --- tables ------------------------------------------------------------------------------


def in_pieces(rfm: RfmTable, folder: Path) -> None:
    for i, start in enumerate(range(0, len(rfm), 300)):
        part = replace(rfm, table=rfm.table.slice(start, 300))
        name = f"year=199{i}/part {i}.parquet"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        part.to_parquet(folder / name)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "file": lambda folder: folder / "rfm.parquet",
    "text": lambda folder: str(folder / "rfm.parquet"),
    "folder": lambda folder: folder / "pieces",
    "folder with a link": lambda folder: folder / "linked",
    "pattern": lambda folder: str(folder / "pieces" / "*" / "part*.parquet"),
    "list": lambda folder: sorted((folder / "pieces").glob("year*/*.parquet")),
    "csv": lambda folder: folder / "rfm.csv",
    "packed csv": lambda folder: folder / "rfm.csv.gz",
    "german csv": lambda folder: folder / "german.csv",
    "foreign": lambda folder: folder / "foreign.parquet",
    "odd name": lambda folder: folder / "odd [1] *?'.parquet",
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_table_may_be_given_in_many_ways(
    posterior: CLVPosterior, rfm: RfmTable, tmp_path: Path, case: str
) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    rfm.to_parquet(tmp_path / "odd [1] *?'.parquet")
    in_pieces(rfm, tmp_path / "pieces")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "pieces").symlink_to(tmp_path / "pieces")
    (tmp_path / "pieces" / "_SUCCESS").touch()
    (tmp_path / "pieces" / "_temporary").mkdir()
    rfm.to_parquet(tmp_path / "pieces" / "_temporary" / "half.parquet")
    frame = rfm.to_pandas()
    for name in ("rfm.csv", "rfm.csv.gz"):
        frame.to_csv(tmp_path / name, index=False)
    frame.to_csv(tmp_path / "german.csv", index=False, sep=";", encoding="utf-8-sig")
    frame.assign(extra="x").iloc[:, ::-1].to_parquet(tmp_path / "foreign.parquet")
    assert_same(scored(SOURCES[case](tmp_path), posterior, tmp_path), posterior, rfm)


def test_types_of_columns_may_differ_between_files(
    posterior: CLVPosterior, rfm: RfmTable, tmp_path: Path
) -> None:
    one, two = rfm.table.slice(0, 100), rfm.table.slice(100, 100)
    narrow = pa.schema(
        [
            ("customer_id", pa.int32()),
            ("frequency", pa.int16()),
            ("recency", pa.int64()),
            ("T", pa.float32()),
            ("monetary_value", pa.float64()),
            ("first_value", pa.float64()),
            ("log_gaps", pa.float64()),
        ]
    )
    pq.write_table(one.cast(narrow), tmp_path / "a.parquet")
    money = two["monetary_value"].cast(pa.decimal128(12, 6), safe=False)
    pq.write_table(two.set_column(4, "monetary_value", money), tmp_path / "b.parquet")
    found = scored(str(tmp_path / "*.parquet"), posterior, tmp_path)
    frame = rfm.to_pandas().head(200)
    frame.loc[100:, "monetary_value"] = money.cast(pa.float64()).to_numpy()
    assert_same(found, posterior, frame)


@pytest.mark.parametrize(
    "ids",
    [
        ["a", "b", 'ümlaut, "quoted"', "line\nbreak"],
        ["001", "2", "3", "4"],
        [1.0, 2.0, 3.0, 4.0],
        [2**59, 2**59 + 1, -5, 0],
        pd.Categorical(["x", "y", "z", "w"]),
        pd.array([3, 1, 4, 2], dtype="UInt64"),
    ],
    ids=["text", "zeros", "floats", "large", "categories", "unsigned"],
)
def test_ids_stay_what_they_are(posterior: CLVPosterior, tmp_path: Path, ids: Any) -> None:
    numbers = {"frequency": 2, "recency": 30.0, "T": 90.0, "monetary_value": 10.0}
    frame = pd.DataFrame({"customer_id": ids, **numbers})
    frame.to_parquet(tmp_path / "base.parquet", index=False)
    found = scored(tmp_path / "base.parquet", posterior, tmp_path)["customer_id"]
    assert found.tolist() == list(ids)
    if frame["customer_id"].dtype != "float64":
        frame.to_csv(tmp_path / "base.csv", index=False)
        found = scored(tmp_path / "base.csv", posterior, tmp_path)["customer_id"]
        assert found.tolist() == list(ids)


def test_unreadable_numbers_of_csv_are_rejected_as_they_were_given(
    posterior: CLVPosterior, tmp_path: Path
) -> None:
    (tmp_path / "base.csv").write_text(
        "customer_id,frequency,recency,T,monetary_value,city\n"
        "1,2,30,90,10.5,Bonn\n"
        "2,two,30,90,10,Köln\n"
        "3,2,,90,10,\n"
        '4,2,30,"1,5",10,Kiel\n'
        "\n"
        "5, 0 ,0,90,,Ulm\n"
        ",2,30,90,10,\n"
    )
    found = scored(tmp_path / "base.csv", posterior, tmp_path, allow_rejects=True)
    assert found["customer_id"].tolist() == [1, 5]
    rejects = pd.read_parquet(tmp_path / "scored" / "scores.rejects.parquet")
    assert rejects["source_row"].tolist() == [1, 2, 3, 5]
    assert rejects["reason"].tolist() == [
        "frequency is missing or not finite",
        "recency is missing or not finite",
        "T is missing or not finite",
        "no customer id",
    ]
    assert rejects["frequency"].tolist() == ["two", "2", "2", "2"]
    assert rejects["T"].tolist() == ["90", "90", "1,5", "90"]
    assert rejects["city"].iloc[0] == "Köln"
    assert not [name for name in rejects.columns if name.startswith("given")]


# --- logs --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "logs"])
def test_a_log_is_summarised_first(
    posterior: CLVPosterior, log: pd.DataFrame, rfm: RfmTable, tmp_path: Path, name: str
) -> None:
    if name == "logs":
        (tmp_path / name).mkdir()
        log.iloc[:700].to_parquet(tmp_path / name / "a.parquet")
        log.iloc[700:].to_parquet(tmp_path / name / "b.parquet")
    else:
        write = log.to_csv if name.endswith("csv") else log.to_parquet
        write(tmp_path / name, index=False)
    found = scored(tmp_path / name, posterior, tmp_path, **LOG, **END, memory_limit="300MB")
    assert_same(found, posterior, rfm)


def test_the_options_of_a_log_are_those_of_rfm_summary(log: pd.DataFrame, tmp_path: Path) -> None:
    log = pd.concat([log, log.iloc[:40]], ignore_index=True)
    log.loc[50:80, "amount"] = [-5.0, 0.0, 7.0] * 10 + [0.0]
    log.to_parquet(tmp_path / "log.parquet")
    weekly = posterior_of(TimeScale("W"))
    how = {"refunds": "net", "zero_amounts": "drop", "duplicates": "drop", "margin": 0.4}
    found = scored(tmp_path / "log.parquet", weekly, tmp_path, **LOG, **END, **how)
    table = rfm_summary(log, **LOG, **END, **how, time_unit="W")
    assert_same(found, weekly, table)


def test_the_audit_of_a_log_is_in_the_manifest(
    posterior: CLVPosterior, log: pd.DataFrame, rfm: RfmTable, tmp_path: Path
) -> None:
    log.to_parquet(tmp_path / "log.parquet")
    report = score(
        tmp_path / "log.parquet", posterior, tmp_path / "s.parquet", draws=DRAWS, **LOG, **END
    )
    assert rfm.audit is not None
    audit = report.record["audit"]
    assert (audit["rows_read"], audit["rows_used"]) == (rfm.audit.rows_read, rfm.audit.rows_used)
    assert report.observation_end == "1997-09-30"
    assert report.rows == len(rfm) == audit["customers"]


# --- units, age, verdict -----------------------------------------------------------------


def test_the_unit_of_time_must_be_the_posteriors(
    rfm: RfmTable, log: pd.DataFrame, tmp_path: Path
) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    rfm.to_pandas().to_csv(tmp_path / "rfm.csv", index=False)
    log.to_parquet(tmp_path / "log.parquet")
    weeks = posterior_of(TimeScale("D", 7))
    for source, options in (
        ("rfm.parquet", {}),
        ("rfm.csv", {"time_unit": "D"}),
        ("log.parquet", {**LOG, "time_unit": "W"}),
    ):
        with pytest.raises(TimeUnitError, match="The table counts time in"):
            score(tmp_path / source, weeks, tmp_path / "s.parquet", **options)
    report = score(tmp_path / "log.parquet", weeks, tmp_path / "s.parquet", draws=DRAWS, **LOG)
    assert report.record["input"]["time_scaler"] == 7.0
    assert not (tmp_path / "s.partial").exists()


@pytest.mark.parametrize(
    ("fitted_to", "max_t", "warned"),
    [
        ("1997-09-30", 272.0, None),
        ("1997-09-03", 272.0, None),  # 27 days, a tenth of the window
        ("1997-09-02", 272.0, "28 days older, more than 27"),
        ("1997-07-02", 3000.0, None),  # 90 days
        ("1997-07-01", 3000.0, "91 days older, more than 90"),
        ("1997-07-01", None, "91 days older, more than 90"),
        ("1997-10-01", 272.0, "base is older than"),
        (None, 272.0, None),
    ],
)
def test_a_stale_posterior_is_told(
    rfm: RfmTable, tmp_path: Path, fitted_to: str | None, max_t: float | None, warned: str | None
) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    base = {} if max_t is None else {"max_T": max_t}
    fitted = posterior_of(observation_end=fitted_to, base=base)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        report = score(tmp_path / "rfm.parquet", fitted, tmp_path / "s.parquet", draws=DRAWS)
    texts = [str(one.message) for one in said]
    assert list(report.warnings) == texts
    assert report.record["posterior"]["observation_end"] == fitted_to
    assert report.observation_end == "1997-09-30"
    if warned is None:
        assert texts == []
    else:
        (text,) = texts
        assert warned in text


def test_a_failed_fit_is_not_used_in_silence(rfm: RfmTable, tmp_path: Path) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    failed = Verdict("nuts", (at_most("largest R-hat", 1.4, 1.01, "Sample longer."),))
    fitted = posterior_of(verdict=failed, method="nuts")
    with pytest.warns(UserWarning, match=r"did not converge.*largest R-hat 1.4"):
        report = score(tmp_path / "rfm.parquet", fitted, tmp_path / "s.parquet", draws=DRAWS)
    assert report.record["posterior"]["fits"][0]["verdict"] == "fail"


# --- refusals ----------------------------------------------------------------------------


def written(folder: Path, rfm: RfmTable, log: pd.DataFrame) -> None:
    rfm.to_parquet(folder / "rfm.parquet")
    frame = rfm.to_pandas()
    frame.to_parquet(folder / "foreign.parquet")
    log.to_parquet(folder / "log.parquet")
    replace(rfm, margin=0.5).to_parquet(folder / "margin.parquet")
    later = replace(rfm, observation_end=pd.Timestamp("1998-01-01"))
    later.to_parquet(folder / "later.parquet")
    frame.drop(columns="monetary_value").to_parquet(folder / "moneyless.parquet")
    frame.assign(frequency="many").to_parquet(folder / "words.parquet")
    frame.assign(customer_id=frame["customer_id"].astype(str)).to_parquet(folder / "ids.parquet")
    frame.assign(customer_id=True).to_parquet(folder / "truth.parquet")
    data = (folder / "rfm.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(data[: len(data) // 2])
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "empty.csv").write_text("")
    (folder / "other.csv").write_text("a,b\n1,2\n")
    columns = "customer_id,frequency,recency,T,monetary_value"
    (folder / "ragged.csv").write_text(f"{columns}\n1,2,3,4,5\n1,2,3\n")
    (folder / "twice.csv").write_text(f"{columns},T\n1,2,3,4,5,6\n")
    (folder / "latin.csv").write_bytes(f"{columns}\nJörg,2,3,4,5\n".encode("latin-1"))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(columns.encode() * 100)[:40])
    (folder / "notes.txt").write_text("hello")
    (folder / "nothing").mkdir()


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nothing there": ("no.parquet", {}, "There is no file"),
    "no match": ("*.orc", {}, "There is no file"),
    "no list": ([], {}, "empty list"),
    "twice in the list": (["rfm.parquet", "rfm.parquet"], {}, "names a file twice"),
    "empty folder": ("nothing", {}, "holds no Parquet"),
    "far away": ("s3://bucket/rfm.parquet", {}, "The input is a URL \\(s3://bucket/rfm.parquet\\)"),
    "text": ("notes.txt", {}, "must end in"),
    "mixed kinds": (["rfm.parquet", "other.csv"], {}, "mixes Parquet and CSV"),
    "half a file": ("cut.parquet", {}, "cannot be read as Parquet"),
    "no bytes": ("empty.parquet", {}, "cannot be read as Parquet"),
    "no line": ("empty.csv", {}, "is empty"),
    "other columns": ("other.csv", {}, "lacks customer_id"),
    "ragged": ("ragged.csv", {}, "cannot be read"),
    "same name": ("twice.csv", {}, "several columns named 'T'"),
    "latin": ("latin.csv", {}, "is not in UTF-8: pass its encoding"),
    "half a gzip": ("cut.csv.gz", {}, "cannot be unpacked"),
    "no money": ("moneyless.parquet", {}, "lacks monetary_value"),
    "words": ("words.parquet", {}, "not numbers: convert it"),
    "truth": ("truth.parquet", {}, "ids must be text or numbers"),
    "ids of two types": (["foreign.parquet", "ids.parquet"], {}, "in different files"),
    "own and foreign": (["rfm.parquet", "foreign.parquet"], {}, "does not say its unit"),
    "two margins": (["rfm.parquet", "margin.parquet"], {}, "margin is 1.0 and 0.5"),
    "two ends": (["rfm.parquet", "later.parquet"], {}, "observation end is"),
    "another end": ("rfm.parquet", END, "observation_period_end='.*' is for logs"),
    "an end of a foreign": ("foreign.parquet", END, "observation_period_end='.*' is for logs"),
    "a log without names": ("log.parquet", {}, "For a log pass customer_id_col"),
    "half the names": ("log.parquet", {"customer_id_col": "customer_id"}, "needs all three"),
    "a summary as a log": ("rfm.parquet", LOG, "is a summary already"),
    "a wrong name": ("log.parquet", {**LOG, "datetime_col": "day"}, "datetime_col='day'"),
    "before the log": (
        "log.parquet",
        {**LOG, "observation_period_end": "1990-01-01"},
        "No purchase remains",
    ),
    "no date": (
        "log.parquet",
        {**LOG, "observation_period_end": "soon"},
        "observation_period_end='soon' is not a date",
    ),
    "refunds": ("log.parquet", {**LOG, "refunds": "some"}, "refunds='some'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scored_is_refused(
    posterior: CLVPosterior,
    rfm: RfmTable,
    log: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    written(tmp_path, rfm, log)
    monkeypatch.chdir(tmp_path)
    source, options, message = REFUSED[case]
    with pytest.raises(SchemaError, match=message):
        score(source, posterior, "out/s.parquet", draws=DRAWS, **options)
    left = tmp_path / "out"
    assert not left.exists() or not list(left.iterdir())


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("base", "base/scores.parquet"),
        ("base", "base/deep/scores"),
        ("base/*.parquet", "base/a.parquet"),
        ("base/a.parquet", "base/a.parquet"),
        ("base/**/*.parquet", "base"),
    ],
)
def test_an_output_is_no_input(
    posterior: CLVPosterior, rfm: RfmTable, tmp_path: Path, source: str, output: str
) -> None:
    (tmp_path / "base" / "deep").mkdir(parents=True)
    rfm.to_parquet(tmp_path / "base" / "a.parquet")
    before = (tmp_path / "base" / "a.parquet").read_bytes()
    with pytest.raises(SchemaError, match="output"):
        score(str(tmp_path / source), posterior, tmp_path / output, draws=DRAWS)
    assert (tmp_path / "base" / "a.parquet").read_bytes() == before
    assert [path.name for path in (tmp_path / "base").iterdir() if path.is_file()] == ["a.parquet"]
