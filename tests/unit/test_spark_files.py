"""`--engine spark`: the files of the local engine, made by Spark."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior
from clvmodels import spark as on_spark
from clvmodels.cli import main
from clvmodels.errors import ClvError, ResumeError, SchemaError
from clvmodels.scoring.row_checks import REASONS

ODD = {
    "frequency": [-1.0, 1.5, np.nan, 2.0, 0.0, 2.0, 2.0],
    "recency": [0.0, 3.0, 3.0, 50.0, 5.0, 3.0, 3.0],
    "T": [9.0] * 7,
    "monetary_value": [1.0, 1.0, 1.0, 1.0, 1.0, -1.0, np.nan],
}


def make_posterior(q: float = 3.7) -> CLVPosterior:
    rng = np.random.default_rng(3)

    def about(value: float) -> np.ndarray[Any, Any]:
        return value * np.exp(0.1 * rng.normal(size=80))

    purchases = BetaGeoPosterior.from_draws(r=about(0.3), alpha=about(30), a=about(1), b=about(2))
    return CLVPosterior(
        purchases, GammaGammaPosterior.from_draws(p=about(6), q=about(q), v=about(15))
    )


POSTERIOR = make_posterior()


def write_base(folder: Path, rows: int = 900, files: int = 3) -> None:
    """Customers in several files, one of them twice, with rows that cannot be scored."""
    rng = np.random.default_rng(8)
    x = rng.poisson(1.0, rows).astype(float)
    total = np.maximum(rng.integers(1, 400, rows), x / 0.6 + 2).round()
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(rows, dtype=np.int32),
            "frequency": x,
            "recency": np.where(x > 0, np.floor(total * 0.6), 0.0),
            "T": total,
            "monetary_value": np.where(x > 0, np.round(rng.gamma(3, 9, rows), 2), np.nan),
            "reason": "a column of the input",
        }
    )
    odd = pd.DataFrame(ODD).assign(customer_id=np.arange(-7, 0, dtype=np.int32), reason="odd")
    both = pd.concat([frame, odd, frame.iloc[[5]]], ignore_index=True)[list(frame.columns)]
    folder.mkdir()
    for i in range(files):
        both.iloc[i::files].to_parquet(folder / f"base [{i}], 100%.parquet", index=False)


def read_folder(path: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(part) for part in sorted(path.iterdir()))


def kinds_of(table: pa.Table) -> list[tuple[str, str]]:
    return [(field.name, str(field.type).removeprefix("large_")) for field in table.schema]


def assert_same(got: pa.Table, want: pa.Table, keys: list[str]) -> None:
    assert kinds_of(got) == kinds_of(want)
    order = [(key, "ascending") for key in keys]
    frames = [table.sort_by(order).to_pandas() for table in (got, want)]
    pd.testing.assert_frame_equal(*frames, rtol=1e-9, atol=0)


# --- Spark -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_files_as_the_local_engine(spark: Any, tmp_path: Path) -> None:
    write_base(tmp_path / "base")
    options = {"margin": 0.3, "intervals": "all", "allow_rejects": True}
    told: list[str] = []
    got = on_spark.score_files(
        tmp_path / "base",
        POSTERIOR,
        tmp_path / "spark",
        progress=lambda event, _: told.append(event),
        **options,
    )
    want = clv.score(tmp_path / "base", POSTERIOR, tmp_path / "local", **options)
    assert_same(read_folder(got.output), read_folder(want.output), ["customer_id"])
    assert got.rejects is not None
    assert want.rejects is not None
    assert got.rejects == tmp_path / "spark.rejects.parquet"
    keys = ["source_file", "source_row"]
    assert_same(pq.read_table(got.rejects), pq.read_table(want.rejects), keys)
    shared = (
        "rows",
        "scored",
        "rejected",
        "one_time",
        "zero_spend",
        "without_value",
        "unknown_levels",
        "draws",
    )
    for name in (*shared, "margin"):
        assert getattr(got, name) == getattr(want, name), name
    assert (got.rows, got.rejected) == (908, 9)
    assert set(got.reasons) <= set(REASONS)
    assert dict(got.reasons) == dict(want.reasons)
    for name in ("mean", "sd", "lower", "upper"):
        assert getattr(got.clv, name) == pytest.approx(getattr(want.clv, name), rel=1e-9)
    assert told == ["start", "staged", "scoring", "published"]
    assert sorted(path.name for path in tmp_path.glob("spark*")) == [
        "spark",
        "spark.manifest.json",
        "spark.rejects.parquet",
    ]
    record = json.loads(got.manifest.read_text())
    assert (record["options"]["engine"], record["options"]["spark"]) == ("spark", spark.version)
    parts = [part["name"] for part in record["output"]["parts"]]
    assert parts == sorted(path.name for path in got.output.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("source", ["base", "log.parquet"])
def test_purchases_alone_are_those_of_the_local_engine(
    spark: Any, tmp_path: Path, source: str
) -> None:
    write_base(tmp_path / "base")
    rng = np.random.default_rng(4)
    when = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 100, 900), unit="D")
    pd.DataFrame({"who": rng.integers(0, 90, 900), "when": when.as_unit("us")}).to_parquet(
        tmp_path / "log.parquet", index=False
    )
    POSTERIOR.purchases.save(tmp_path / "p.nc")
    options: dict[str, Any] = {"allow_rejects": True, "predictive": True}
    if source == "log.parquet":
        options |= {"customer_id_col": "who", "datetime_col": "when"}
    else:
        options |= {"intervals": "all"}
    call = (tmp_path / source, tmp_path / "p.nc")
    got = on_spark.score_files(*call, tmp_path / "spark", **options)
    want = clv.score(*call, tmp_path / "local", **options)
    assert_same(read_folder(got.output), read_folder(want.output), ["customer_id"])
    names = read_folder(got.output).column_names
    assert names[:4] == ["customer_id", "frequency", "recency", "T"]
    assert not {"monetary_value", "clv", "margin", "value_lower"} & set(names)
    shared = (
        "rows",
        "scored",
        "rejected",
        "one_time",
        "zero_spend",
        "without_value",
        "unknown_levels",
        "draws",
    )
    for name in (*shared, "clv", "margin", "margin_from", "reasons"):
        assert getattr(got, name) == getattr(want, name), name
    # an amount that is missing or negative rejects nobody
    assert (got.rows, got.rejected) == ((908, 7) if source == "base" else (90, 0))
    assert got.purchases is not None
    assert want.purchases is not None
    for name in ("mean", "sd", "lower", "upper"):
        known = getattr(want.purchases, name)
        assert getattr(got.purchases, name) == pytest.approx(known, rel=1e-9)
    if got.rejects is not None and want.rejects is not None:
        keys = ["source_file", "source_row"]
        assert_same(pq.read_table(got.rejects), pq.read_table(want.rejects), keys)
    with pytest.raises(SchemaError, match=r"margin=0\.3 is a share of revenue"):
        on_spark.score_files(*call, tmp_path / "spark", margin=0.3, **options)


@pytest.mark.slow
def test_a_log_is_summarised_first(spark: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    second = pd.to_timedelta(rng.integers(0, 10**7, 3_000), unit="s")
    when = (pd.Timestamp("2021-01-01") + second).tz_localize("UTC").tz_convert("Asia/Tokyo")
    log = pd.DataFrame({"who": rng.integers(0, 300, 3_000), "when": when.as_unit("us")})
    log["paid"] = rng.integers(-100, 3_000, 3_000) / 100
    log.to_parquet(tmp_path / "log.parquet", index=False)
    columns = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}
    options = {**columns, "refunds": "net", "observation_period_end": "2021-04-20"}
    before = spark.conf.get("spark.sql.session.timeZone")
    got = on_spark.score_files(tmp_path / "log.parquet", POSTERIOR, tmp_path / "s", **options)
    want = clv.score(tmp_path / "log.parquet", POSTERIOR, tmp_path / "l", **options)
    assert_same(read_folder(got.output), read_folder(want.output), ["customer_id"])
    assert (got.observation_end, got.rows) == (want.observation_end, want.rows)
    assert got.rejects is None
    assert got.record["audit"]["rows_used"] == want.record["audit"]["rows_used"]
    assert spark.conf.get("spark.sql.session.timeZone") == before
    assert not spark.sparkContext._jsc.getPersistentRDDs()


@pytest.mark.slow
def test_small_blocks_and_no_rows(spark: Any, tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=1)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "50")
    with pytest.warns(UserWarning, match="9 of 908 rows could not be scored"):
        got = on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "small", block_rows=100)
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert len(list(got.output.iterdir())) > 5
    assert read_folder(got.output).num_rows == got.scored == 899

    (file,) = (tmp_path / "base").iterdir()
    pq.write_table(pq.read_table(file).slice(0, 0), tmp_path / "nothing.parquet")
    with pytest.warns(UserWarning, match="has no rows"):
        empty = on_spark.score_files(tmp_path / "nothing.parquet", POSTERIOR, tmp_path / "none")
    assert (empty.rows, empty.scored) == (0, 0)
    assert read_folder(empty.output).schema.equals(read_folder(got.output).schema)


@pytest.mark.slow
def test_a_failed_run_leaves_nothing_and_can_be_repeated(spark: Any, tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=2)
    with pytest.raises(ClvError, match="max_rejects"):
        on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "out", max_rejects=1)
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    report = on_spark.score_files(
        tmp_path / "base", POSTERIOR, tmp_path / "out", allow_rejects=True
    )
    assert report.scored == 899
    # what a run that was killed has left
    work = tmp_path / "other.partial"
    work.mkdir()
    (work / "run.json").write_text(json.dumps({"options": {"engine": "local"}}))
    with pytest.raises(ResumeError, match="half-finished run that differs"):
        on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "other")


@pytest.mark.slow
def test_values_that_are_infinite_in_some_draws_are_empty(spark: Any, tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=2)
    endless = make_posterior(q=0.9)
    with pytest.warns(UserWarning, match=r"infinite in 85\.0 % of the draws at frequency 0"):
        report = on_spark.score_files(
            tmp_path / "base", endless, tmp_path / "out", allow_rejects=True
        )
    found = read_folder(report.output).to_pandas()
    once = found["frequency"] == 0
    assert report.without_value == once.sum() > 0
    assert report.clv.mean == pytest.approx(found["clv"].sum())
    assert report.clv.lower < report.clv.mean < report.clv.upper
    assert (found["clv"].isna() == once).all()
    assert (found["reason"].notna() == once).all()
    assert found["expected_purchases"].notna().all()


@pytest.mark.slow
def test_leftovers_of_attempts_do_not_count(spark: Any, tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=2)
    wanted = on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "a", allow_rejects=True)

    def leave(event: str, _: Any) -> None:
        if event == "scoring":
            (tmp_path / "b.partial" / "parts" / "part-00000099-00000.parquet").write_bytes(b"?")

    got = on_spark.score_files(
        tmp_path / "base", POSTERIOR, tmp_path / "b", allow_rejects=True, progress=leave
    )
    assert_same(read_folder(got.output), read_folder(wanted.output), ["customer_id"])


@pytest.mark.slow
def test_the_command_line(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_base(tmp_path / "base", files=2)
    posterior = POSTERIOR.save(tmp_path / "posterior.nc")
    told = ["--posterior", str(posterior), "-o", str(tmp_path / "out"), "--engine", "spark"]
    assert main(["score", str(tmp_path / "base"), *told, "--quiet"]) == 3
    assert "9 of 908 rows could not be scored" in " ".join(capsys.readouterr().err.split())
    assert read_folder(tmp_path / "out").num_rows == 899
    assert (tmp_path / "out.manifest.json").exists()


# --- without Spark -----------------------------------------------------------------------


def test_options_are_those_of_the_local_engine() -> None:
    mine, theirs = (inspect.signature(one) for one in (on_spark.score_files, clv.score))
    assert list(mine.parameters.values()) == list(theirs.parameters.values())


def test_what_spark_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=2)
    file = next((tmp_path / "base").iterdir())
    with pytest.raises(SchemaError, match="Spark writes a folder of Parquet files"):
        on_spark.score_files(file, POSTERIOR, tmp_path / "out.parquet")
    other = pq.read_table(file)
    pq.write_table(other.rename_columns([*other.column_names[:-1], "more"]), tmp_path / "x.parquet")
    with pytest.raises(SchemaError, match="differ in columns or types"):
        on_spark.score_files([file, tmp_path / "x.parquet"], POSTERIOR, tmp_path / "out")
    other.to_pandas().to_csv(tmp_path / "base.csv", index=False)
    with pytest.raises(SchemaError, match="Spark reads only Parquet"):
        on_spark.score_files(tmp_path / "base.csv", POSTERIOR, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As where no session is active, whatever other tests of this process have started."""
    if "pyspark" in sys.modules:
        from pyspark.sql import SparkSession

        monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    return monkeypatch


@pytest.mark.parametrize("home", [True, False])
def test_java_is_missing(no_session: pytest.MonkeyPatch, tmp_path: Path, home: bool) -> None:
    write_base(tmp_path / "base", files=1)
    (tmp_path / "empty").mkdir()
    if home:
        no_session.setenv("JAVA_HOME", str(tmp_path / "empty"))
    else:
        no_session.delenv("JAVA_HOME", raising=False)
        no_session.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SchemaError, match=r"no (bin/)?java .* Spark needs Java 17 or newer"):
        on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_pyspark_is_missing(no_session: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_base(tmp_path / "base", files=1)
    no_session.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(SchemaError, match=r"Spark is not installed.*clvmodels\[spark\]"):
        on_spark.score_files(tmp_path / "base", POSTERIOR, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_lengths_of_time_in_parquet_are_converted(spark: Any, tmp_path: Path) -> None:
    """Spark reads the bare integers that Parquet stores."""
    frame = pd.DataFrame(
        {
            "customer_id": [1, 2],
            "frequency": [2, 0],
            "recency": pd.to_timedelta([30, 0], unit="D"),
            "T": pd.to_timedelta([40, 21], unit="D"),
            "monetary_value": [5.0, 0.0],
        }
    )
    frame.to_parquet(tmp_path / "base.parquet")
    got = on_spark.score_files(tmp_path / "base.parquet", POSTERIOR, tmp_path / "spark")
    want = clv.score(tmp_path / "base.parquet", POSTERIOR, tmp_path / "local")
    found = read_folder(got.output)
    assert sorted(found["T"].to_pylist()) == [21.0, 40.0]
    assert_same(found, read_folder(want.output), ["customer_id"])
