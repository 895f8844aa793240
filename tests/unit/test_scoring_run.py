"""Whole bases: the numbers of predict, nothing lost, nothing twice, resumable, whole or not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    ResumeError,
    RfmTable,
    SchemaError,
    score,
)
from clvmodels.posterior import total_value
from clvmodels.scoring import Scorer, disk
from clvmodels.scoring.row_checks import REASONS

DRAWS = 60
ROWS = 500
OUTPUTS = ("scores.parquet", "scores.csv", "scores.csv.gz", "scores.duckdb", "scores")


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    rng = np.random.default_rng(11)
    draws = {
        name: value * rng.lognormal(0, 0.05, 150)
        for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.05, 150), v=15.4)
    return CLVPosterior(BetaGeoPosterior.from_draws(**draws), spend)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Return customers with many and few purchases, in no order of their ids."""
    rng = np.random.default_rng(12)
    x = rng.negative_binomial(0.5, 0.15, ROWS)
    T = rng.integers(40, 700, ROWS).astype(float)
    t_x = np.where(x > 0, np.floor(T * rng.beta(2, 1, ROWS)), 0.0)
    spend = np.where(x > 0, np.round(rng.gamma(6, 6, ROWS), 2), 0.0)
    spend[np.flatnonzero(x > 0)[:3]] = 0.0
    first = np.round(rng.gamma(6, 6, ROWS), 2)
    ids = rng.permutation(ROWS) * 7
    columns = ("customer_id", "frequency", "recency", "T", "monetary_value", "first_value")
    return pd.DataFrame(dict(zip(columns, (ids, x, t_x, T, spend, first), strict=True)))


@pytest.fixture
def base(frame: pd.DataFrame, tmp_path: Path) -> Path:
    frame.to_parquet(tmp_path / "base.parquet", index=False)
    return tmp_path / "base.parquet"


def expected(posterior: CLVPosterior, frame: pd.DataFrame, **options: Any) -> pd.DataFrame:
    return posterior.predict(frame, **{"draws": DRAWS, **options})


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute("FROM scores").df()
    return pd.read_csv(path) if ".csv" in path.name else pd.read_parquet(path)


def assert_scores(path: Path, wanted: pd.DataFrame) -> None:
    """Every row where it was, every number to 1e-9."""
    found = read(path)
    assert list(found.columns) == [name for name in wanted.columns if name in found.columns]
    assert {"clv", "clv_sd", "clv_lower", "clv_upper", "p_purchase"} <= set(found.columns)
    wanted = wanted.reset_index(drop=True)[list(found.columns)]
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-9, atol=0)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the numbers -------------------------------------------------------------------------


def test_intervals_of_the_outcome_are_those_of_predict(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    score(base, posterior, tmp_path / "s.parquet", draws=DRAWS, block_rows=150, predictive=True)
    wanted = expected(posterior, frame, predictive=True)
    assert_scores(tmp_path / "s.parquet", wanted)
    found = read(tmp_path / "s.parquet")
    for name in ("purchases", "value"):
        assert (found[f"{name}_lower"] <= found[f"{name}_upper"]).all()


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_has_the_numbers_of_predict(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path, output: str
) -> None:
    out = tmp_path / "out" / output
    report = score(base, posterior, out, draws=DRAWS, block_rows=200)
    assert_scores(out, expected(posterior, frame))
    assert (report.rows, report.scored, report.rejected) == (ROWS, ROWS, 0)
    assert report.rejects is None
    assert names_in(out.parent) == sorted([output, "scores.manifest.json"])


@pytest.mark.parametrize(
    "how",
    [
        {"block_rows": 1, "threads": 1},
        {"block_rows": 77, "threads": 2},
        {"block_rows": ROWS, "threads": 1},
        {"block_rows": 10 * ROWS},
    ],
)
def test_neither_blocks_nor_threads_change_a_number(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path, how: dict[str, int]
) -> None:
    few = frame.head(40) if how["block_rows"] == 1 else frame
    few.to_parquet(base, index=False)
    report = score(base, posterior, tmp_path / "s.parquet", draws=DRAWS, intervals="all", **how)
    wanted = expected(posterior, few)
    assert_scores(tmp_path / "s.parquet", wanted)
    assert list(read(tmp_path / "s.parquet").columns) == list(wanted.columns)
    total = total_value(posterior, few, draws=DRAWS)
    for name in ("mean", "sd", "lower", "upper", "interval"):
        assert getattr(report.clv, name) == pytest.approx(getattr(total, name), rel=1e-9)
    assert report.expected_purchases == pytest.approx(wanted["expected_purchases"].sum(), rel=1e-9)


def test_the_order_of_rows_changes_the_order_of_scores_alone(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    score(base, posterior, tmp_path / "one.parquet", draws=DRAWS, block_rows=100)
    frame.iloc[::-1].to_parquet(base, index=False)
    score(base, posterior, tmp_path / "two.parquet", draws=DRAWS, block_rows=150)
    one, two = read(tmp_path / "one.parquet"), read(tmp_path / "two.parquet")
    pd.testing.assert_frame_equal(one, two.iloc[::-1].reset_index(drop=True), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"horizon": "12M", "discount_rate": 0.3, "discounting": "monthly", "interval": 0.5},
        {"horizon": None, "draws": 7},
        {"horizon": 0},
    ],
)
def test_options_are_those_of_predict(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    report = score(base, posterior, tmp_path / "s.parquet", **{"draws": DRAWS, **options})
    assert_scores(tmp_path / "s.parquet", expected(posterior, frame, **options))
    assert report.draws == options.get("draws", DRAWS)


def test_a_mode_has_no_interval(frame: pd.DataFrame, base: Path, tmp_path: Path) -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.43),
        GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.4),
    )
    report = score(base, point, tmp_path / "s.parquet")
    found = read(tmp_path / "s.parquet")
    assert found[["clv_sd", "clv_lower", "clv_upper"]].isna().all(axis=None)
    assert np.isnan([report.clv.sd, report.clv.lower, report.clv.upper]).all()
    assert report.clv.mean == pytest.approx(found["clv"].sum(), rel=1e-12)
    totals = json.loads(report.manifest.read_text())["totals"]["clv"]
    assert totals["sd"] is totals["lower"] is totals["upper"] is None


def test_margin_makes_values(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    score(base, posterior, tmp_path / "s.parquet", draws=DRAWS, margin=0.25)
    found, plain = read(tmp_path / "s.parquet"), expected(posterior, frame)
    for name in ("clv", "clv_sd", "clv_upper", "historical_value", "total_value"):
        np.testing.assert_allclose(found[name], 0.25 * plain[name], rtol=1e-9)
    np.testing.assert_allclose(found["expected_spend"], plain["expected_spend"], rtol=1e-9)


# --- rejects -----------------------------------------------------------------------------


# Only where the spend model counts first orders: tests/unit/test_first_orders.py
FIRST_ORDER = "first_value is missing, negative or too large, and the spend model counts it"
OWN_MARGIN = "the customer's own margin is missing, not finite or above 1"


def bad_rows() -> pd.DataFrame:
    """Return one row for each reason; two for a customer who is there twice."""
    good = {"customer_id": "", "frequency": 2.0, "recency": 10.0, "T": 90.0, "monetary_value": 5.0}
    changes: dict[str, dict[str, Any]] = {
        "no customer id": {"customer_id": None},
        "customer has more than one row": {"customer_id": "twice"},
        "frequency is missing or not finite": {"frequency": np.inf},
        "frequency is negative": {"frequency": -1.0},
        "frequency is not a whole number": {"frequency": 1.5},
        "frequency is too large to be a count": {"frequency": 2.0**54},
        "recency is missing or not finite": {"recency": np.nan},
        "T is missing or not finite": {"T": np.nan},
        "recency is negative": {"recency": -1.0},
        "recency is greater than T": {"recency": 91.0},
        "recency above 0 at frequency 0": {"frequency": 0.0},
        "frequency exceeds the periods in recency": {"frequency": 50.0, "recency": 3.0},
        "monetary_value is missing or not finite at frequency above 0": {"monetary_value": np.nan},
        "monetary_value is negative at frequency above 0": {"monetary_value": -5.0},
        "monetary_value is too large to be an amount": {"monetary_value": 1e101},
    }
    assert (*changes, FIRST_ORDER, OWN_MARGIN) == REASONS
    rows = [
        {**good, "customer_id": f"bad {i}", **change, "expected": reason}
        for i, (reason, change) in enumerate(changes.items())
    ]
    rows.append({**good, "customer_id": "twice", "expected": REASONS[1]})
    return pd.DataFrame(rows)


def test_every_row_is_scored_or_rejected_for_its_reason(
    posterior: CLVPosterior, frame: pd.DataFrame, tmp_path: Path
) -> None:
    good = frame.drop(columns="first_value").assign(
        customer_id=lambda f: "c" + f["customer_id"].astype(str), expected=""
    )
    good.loc[good["frequency"] == 0, "monetary_value"] = np.nan  # which is normal
    mixed = pd.concat([good, bad_rows()]).sample(frac=1.0, random_state=3, ignore_index=True)
    mixed["reason"] = "of the user's"
    mixed.to_parquet(tmp_path / "mixed.parquet", index=False)
    with pytest.warns(UserWarning, match="16 of 516 rows could not be scored"):
        report = score(
            tmp_path / "mixed.parquet",
            posterior,
            tmp_path / "s.parquet",
            draws=DRAWS,
            block_rows=100,
        )
    fine = mixed["expected"] == ""
    wanted = expected(posterior, mixed.loc[fine, mixed.columns[:5]])
    assert_scores(tmp_path / "s.parquet", wanted)
    rejects = pd.read_parquet(tmp_path / "s.rejects.parquet")
    assert rejects["reason"].tolist() == mixed.loc[~fine, "expected"].tolist()
    assert rejects["source_row"].tolist() == np.flatnonzero(~fine).tolist()
    assert set(rejects["source_file"]) == {str(tmp_path / "mixed.parquet")}
    given = rejects.drop(columns=["source_file", "source_row", "reason"])
    given = given.rename(columns={"reason_given": "reason"})
    pd.testing.assert_frame_equal(given, mixed[~fine].reset_index(drop=True))
    found = {reason: 2 if "one row" in reason else 1 for reason in REASONS[:-2]}
    assert report.reasons == found
    assert (report.rows, report.scored, report.rejected) == (516, 500, 16)


def test_a_customer_in_two_files_is_rejected_in_both(
    posterior: CLVPosterior, frame: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    frame.iloc[:200].to_parquet(folder / "a.parquet", index=False)
    frame.iloc[195:].to_parquet(folder / "b.parquet", index=False)
    report = score(
        folder, posterior, tmp_path / "s.parquet", draws=DRAWS, block_rows=90, allow_rejects=True
    )
    rejects = pd.read_parquet(report.rejects)
    twice = frame["customer_id"].iloc[195:200].tolist()
    assert rejects["customer_id"].tolist() == twice * 2
    assert rejects["source_row"].tolist() == [*range(195, 200), *range(5)]
    assert [Path(name).name for name in rejects["source_file"]] == ["a.parquet"] * 5 + [
        "b.parquet"
    ] * 5
    assert_scores(tmp_path / "s.parquet", expected(posterior, frame.drop(range(195, 200))))
    assert report.rows == ROWS + 5 == report.scored + report.rejected


def test_nothing_but_rejects_and_nothing_at_all(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    frame.assign(T=-1.0).to_parquet(base, index=False)
    report = score(base, posterior, tmp_path / "s.csv", draws=DRAWS, allow_rejects=True)
    assert (report.scored, report.rejected, report.clv.mean) == (0, ROWS, 0.0)
    assert len(read(tmp_path / "s.csv")) == 0
    frame.head(0).to_parquet(base, index=False)
    for output in OUTPUTS:
        with pytest.warns(UserWarning, match="has no rows"):
            report = score(base, posterior, tmp_path / output[:6] / output, draws=DRAWS)
        assert (report.rows, report.scored, report.rejected) == (0, 0, 0)
        assert len(read(report.output)) == 0
        report.manifest.unlink()


def test_old_rejects_go_where_there_are_none_now(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    fine = base.read_bytes()
    frame.assign(recency=-1.0).to_parquet(base, index=False)
    score(base, posterior, tmp_path / "s.parquet", draws=DRAWS, allow_rejects=True)
    assert "s.rejects.parquet" in names_in(tmp_path)
    base.write_bytes(fine)
    score(base, posterior, tmp_path / "s.parquet", draws=DRAWS)
    assert "s.rejects.parquet" not in names_in(tmp_path)
    assert_scores(tmp_path / "s.parquet", expected(posterior, frame))


# --- manifest ----------------------------------------------------------------------------


def test_the_manifest_says_what_was_done(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    posterior.save(tmp_path / "p.nc")
    frame.loc[[3, 4], "T"] = -1.0
    frame.to_parquet(base, index=False)
    report = score(
        base, tmp_path / "p.nc", tmp_path / "s", draws=DRAWS, block_rows=120, allow_rejects=True
    )
    text = report.manifest.read_text()
    record = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    rows = record["rows"]
    assert rows["input"] == rows["scored"] + rows["rejected"] == record["input"]["rows"] == ROWS
    assert rows["rejected"] == sum(record["rejects_by_reason"].values()) == 2
    kept = frame.drop([3, 4])
    assert rows["one_time"] == (kept["frequency"] == 0).sum()
    assert rows["zero_spend"] == ((kept["frequency"] > 0) & (kept["monetary_value"] == 0)).sum()
    assert record["posterior"]["fingerprint"] == posterior.fingerprint()
    assert record["posterior"]["path"] == str(tmp_path / "p.nc")
    assert {fit["verdict"] for fit in record["posterior"]["fits"]} == {"unavailable"}
    assert record["options"]["draws"] == DRAWS
    assert record["versions"]["clvmodels"] == clvmodels.__version__
    assert record["input"]["files"][0]["bytes"] == base.stat().st_size
    parts = record["output"]["parts"]
    assert [part["name"] for part in parts] == names_in(tmp_path / "s")
    assert sum(part["rows"] for part in parts) == rows["scored"]
    for part in parts:
        path = tmp_path / "s" / part["name"]
        assert (path.stat().st_size, disk.digest(path)) == (part["bytes"], part["sha256"])
    assert record["totals"]["clv"]["mean"] == pytest.approx(read(tmp_path / "s")["clv"].sum())
    frame.loc[[3, 4], "T"] = 500.0


def test_progress_is_told(posterior: CLVPosterior, base: Path, tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    score(
        base,
        posterior,
        tmp_path / "s.parquet",
        draws=DRAWS,
        block_rows=200,
        progress=lambda event, fields: told.append((event, dict(fields))),
    )
    events = [event for event, _ in told]
    assert events == ["start", "staged", "scoring", *["block"] * 3, "published"]
    assert [fields["done"] for event, fields in told if event == "block"] == [200, 400, 500]


# --- older outputs -----------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_older_output_is_replaced(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path, output: str
) -> None:
    out = tmp_path / "out" / output
    score(base, posterior, out, draws=DRAWS, block_rows=50)
    frame.head(30).to_parquet(base, index=False)
    score(base, posterior, out, draws=DRAWS)
    assert_scores(out, expected(posterior, frame.head(30)))
    assert names_in(out.parent) == sorted([output, "scores.manifest.json"])


def test_other_tables_of_a_database_stay(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "crm.duckdb"
    with duckdb.connect(str(out)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 42 AS n")
        connection.execute("CREATE TABLE scores AS SELECT 1 AS old")
        connection.execute("CREATE VIEW looking AS SELECT 1 AS n")
    score(base, posterior, out, draws=DRAWS)
    assert_scores(out, expected(posterior, frame))
    score(base, posterior, out, draws=DRAWS, table="other")
    with duckdb.connect(str(out)) as connection:
        assert connection.execute("FROM orders").fetchall() == [(42,)]
        assert connection.execute("SELECT count(*) FROM other").fetchall() == [(ROWS,)]
    assert names_in(tmp_path) == sorted(
        ["base.parquet", "crm.duckdb", "crm.manifest.json", "crm.other.manifest.json"]
    )
    with pytest.raises(SchemaError, match="is a view"):
        score(base, posterior, out, table="looking")


def test_what_another_wrote_is_not_replaced(
    posterior: CLVPosterior, base: Path, tmp_path: Path
) -> None:
    def refused(output: str, message: str) -> None:
        before = names_in(tmp_path)
        with pytest.raises(SchemaError, match=message):
            score(base, posterior, tmp_path / output, draws=DRAWS)
        assert names_in(tmp_path) == before

    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("final")
    refused("theirs", "not written by this command")
    (tmp_path / "a.partial").mkdir()
    (tmp_path / "a.partial" / "thesis.txt").write_text("final")
    refused("a.parquet", "files that clvmodels did not")
    (tmp_path / "b.manifest.json").write_text("{}")
    refused("b.parquet", "not written by clvmodels")
    (tmp_path / "b.manifest.json").write_text("no json")
    refused("b.parquet", "damaged")
    (tmp_path / "c.db").write_bytes(b"no database, but long enough to look like a file" * 100)
    refused("c.db", "cannot be opened")
    (tmp_path / "d.parquet").mkdir()
    refused("d.parquet", "is a folder")
    (tmp_path / "e").write_text("a file")
    refused("e", "is a file")
    refused("f.xlsx", "must end in")
    score(base, posterior, tmp_path / "g", draws=DRAWS)
    (tmp_path / "g" / "notes.txt").write_text("mine")
    refused("g", "also holds 'notes.txt'")
    refused("g.parquet", "belongs to g")
    refused("base.parquet", "is an input")
    assert (tmp_path / "theirs" / "thesis.txt").read_text() == "final"
    assert (tmp_path / "a.partial" / "thesis.txt").read_text() == "final"


# --- stopped and resumed -----------------------------------------------------------------


class Stop(BaseException):
    """What a kill is to the process, as far as it can be played from inside."""


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> Callable[[], int]:
    """Stop at one of the calls of a function of `disk`, before it does anything."""
    real = getattr(disk, name)
    calls = 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            raise Stop
        return real(*arguments, **options)

    monkeypatch.setattr(disk, name, counted)
    return lambda: calls


def test_a_stopped_run_goes_on_after_the_blocks_that_are_done(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[int] = []
    real = Scorer.score

    def counted(self: Scorer, batch: pa.RecordBatch, *more: Any) -> Any:
        if len(scored) == 3:
            raise Stop
        scored.append(batch.num_rows)
        return real(self, batch, *more)

    out = tmp_path / "s.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "score", counted)
        with pytest.raises(Stop):
            score(base, posterior, out, draws=DRAWS, block_rows=100)
    assert names_in(tmp_path) == ["base.parquet", "s.partial"]
    done = len(names_in(tmp_path / "s.partial" / "records"))
    assert done in (2, 3)
    told = []
    score(
        base,
        posterior,
        out,
        draws=DRAWS,
        block_rows=100,
        threads=1,
        progress=lambda event, fields: told.append((event, fields)),
    )
    assert [fields["block"] for event, fields in told if event == "block"] == list(range(done, 5))
    assert_scores(out, expected(posterior, frame))
    assert names_in(tmp_path) == ["base.parquet", "s.manifest.json", "s.parquet"]


def test_a_part_that_is_damaged_is_made_again(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "s.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("clvmodels.scoring.job.make_aside", lambda *_: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):
            score(base, posterior, out, draws=DRAWS, block_rows=100)
    parts = tmp_path / "s.partial" / "parts"
    (parts / "part-00001.parquet").write_bytes(b"cut")
    (parts / "part-00003.parquet").unlink()
    score(base, posterior, out, draws=DRAWS, block_rows=100)
    assert_scores(out, expected(posterior, frame))


@pytest.mark.slow
@pytest.mark.parametrize("output", ["scores.parquet", "scores", "scores.duckdb", "scores.csv"])
@pytest.mark.parametrize("function", ["move", "remove", "write_json", "new_path"])
def test_stopped_between_any_two_steps_it_is_whole_or_not_there(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    function: str,
) -> None:
    out = tmp_path / "out" / output
    new = frame.head(60).copy()
    new.loc[[7, 40], "T"] = -1.0
    old = frame.head(20)
    wanted = expected(posterior, new.drop([7, 40]))
    old.to_parquet(base, index=False)
    score(base, posterior, out, draws=3)
    older = shutil.copytree(out.parent, tmp_path / "older")
    new.to_parquet(base, index=False)
    for stop in range(1, 40):
        disk.remove(out.parent)
        if stop % 2:  # in the place of an older output
            shutil.copytree(older, out.parent)
        how: dict[str, Any] = {"draws": DRAWS, "block_rows": 30, "allow_rejects": True}
        with monkeypatch.context() as patch:
            calls = stop_at(patch, function, stop)
            try:
                score(base, posterior, out, **how)
                assert calls() < stop
                assert stop > 2
                return
            except Stop:
                pass
        manifest = out.with_name("scores.manifest.json")
        if manifest.exists():  # then all of what it speaks of is there
            rows = json.loads(manifest.read_text())["rows"]["scored"]
            assert len(read(out)) == rows
            assert rows in (20, 58)
        score(base, posterior, out, **how)
        assert_scores(out, wanted)
        assert len(pd.read_parquet(out.with_name("scores.rejects.parquet"))) == 2
        assert names_in(out.parent) == sorted(
            [output, "scores.manifest.json", "scores.rejects.parquet"]
        )
    pytest.fail("there is no end of steps")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"draws": 61}, "options.draws was 60, is 61"),
        ({"horizon": "52W"}, "options.horizon was '365D', is '52W'"),
        ({"block_rows": 101}, "options.block_rows"),
        ({"margin": 0.5}, "input.margin was 1.0, is 0.5"),
        ({"intervals": "all"}, "options.intervals"),
    ],
)
def test_a_half_finished_run_of_something_else_is_refused(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    named: str,
) -> None:
    how: dict[str, Any] = {"draws": DRAWS, "block_rows": 100}
    out = tmp_path / "s.parquet"
    with monkeypatch.context() as patch:
        stop_at(patch, "write_json", 5)
        with pytest.raises(Stop):
            score(base, posterior, out, **how)
    before = sorted((tmp_path / "s.partial").rglob("*"))
    with pytest.raises(ResumeError, match=named) as refused:
        score(base, posterior, out, **{**how, **change})
    assert "pass restart=True to remove it" in str(refused.value)
    other = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.3, alpha=30.9, a=0.793, b=2.43), posterior.spend
    )
    with pytest.raises(ResumeError, match="posterior was"):
        score(base, other, out, **how)
    with pytest.raises(ResumeError, match=r"output\.name"):
        score(base, posterior, tmp_path / "s.csv", **how)
    assert sorted((tmp_path / "s.partial").rglob("*")) == before
    score(base, posterior, out, **how)
    assert_scores(out, expected(posterior, frame))


@pytest.mark.parametrize("change", ["rows", "gone", "written again", "version"])
def test_a_half_finished_run_that_nobody_can_finish_is_cleared_away(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    how: dict[str, Any] = {"draws": DRAWS, "block_rows": 100}
    out = tmp_path / "s.parquet"
    with monkeypatch.context() as patch:
        stop_at(patch, "write_json", 5)
        with pytest.raises(Stop):
            score(base, posterior, out, **how)
    wanted, why = frame, "its input .*base.parquet has changed since"
    if change == "version":
        run = tmp_path / "s.partial" / "run.json"
        run.write_text(run.read_text().replace(clvmodels.__version__, "0.0.9"))
        why = "another version of clvmodels began it"
    elif change == "written again":
        frame.to_parquet(base, index=False)
    else:
        wanted = frame.head(499)
        base.unlink()
        base = base if change == "rows" else base.with_name("other.parquet")
        wanted.to_parquet(base, index=False)
    with pytest.warns(UserWarning, match=f"was removed, and this one starts again: .*{why}"):
        score(base, posterior, out, **how)
    assert_scores(out, expected(posterior, wanted))
    assert "s.partial" not in names_in(tmp_path)


def test_restart_begins_at_the_start_whatever_is_there(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, done = tmp_path / "s.parquet", []
    with monkeypatch.context() as patch:
        stop_at(patch, "write_json", 5)
        with pytest.raises(Stop):
            score(base, posterior, out, draws=DRAWS - 1, block_rows=100)
    score(
        base,
        posterior,
        out,
        draws=DRAWS,
        block_rows=100,
        restart=True,
        progress=lambda event, _: done.append(event),
    )
    assert done.count("block") == 5
    assert_scores(out, expected(posterior, frame))
    score(base, posterior, out, draws=DRAWS, restart=True)  # nothing to remove


@pytest.mark.parametrize("output", ["scores", "scores.parquet"])
def test_an_output_that_is_being_put_in_place_gets_there_before_another_run(
    posterior: CLVPosterior,
    frame: pd.DataFrame,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
) -> None:
    """Else the output of the day before, moved out of the way, would go with the folder."""
    out = tmp_path / output
    how: dict[str, Any] = {"draws": DRAWS, "block_rows": 100}
    score(base, posterior, out, **how)
    with monkeypatch.context() as patch:
        stop_at(patch, "move", 2 if output == "scores" else 1)
        with pytest.raises(Stop):
            score(base, posterior, out, **how, horizon="52W")
    frame.assign(T=-1.0).to_parquet(base, index=False)
    with (
        pytest.warns(UserWarning, match="was removed"),
        pytest.raises(SchemaError, match="max_rejects"),
    ):
        score(base, posterior, out, **how, max_rejects=0)
    manifest = json.loads(out.with_name("scores.manifest.json").read_text())
    assert manifest["options"]["horizon"] == "52W"
    assert_scores(out, expected(posterior, frame, horizon="52W"))


def test_an_input_that_changes_meanwhile_is_refused_and_the_next_run_goes_through(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"draws": DRAWS, "block_rows": 100}

    def meddle(event: str, _: Any) -> None:
        if event == "block":
            frame.head(498).to_parquet(base, index=False)

    with pytest.raises(SchemaError, match="has changed while it was read"):
        score(base, posterior, tmp_path / "t.parquet", **how, progress=meddle)
    assert "t.parquet" not in names_in(tmp_path)
    with pytest.warns(UserWarning, match="was removed"):
        score(base, posterior, tmp_path / "t.parquet", **how)
    assert_scores(tmp_path / "t.parquet", expected(posterior, frame.head(498)))


def test_two_runs_at_once_are_one(
    posterior: CLVPosterior, frame: pd.DataFrame, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.parquet"
    refused: list[str] = []

    def intrude(event: str, _: Any) -> None:
        if event == "block":
            with pytest.raises(ResumeError, match="Another run is writing") as error:
                score(base, posterior, out, draws=DRAWS, block_rows=100)
            refused.append(str(error.value))

    score(base, posterior, out, draws=DRAWS, block_rows=100, progress=intrude)
    assert len(refused) == 5
    assert_scores(out, expected(posterior, frame))
    (tmp_path / "u.partial").mkdir()
    lock = FileLock(tmp_path / "u.partial" / "lock")
    with lock, pytest.raises(ResumeError, match="Another run"):
        score(base, posterior, tmp_path / "u.parquet", draws=DRAWS)
    score(base, posterior, tmp_path / "u.parquet", draws=DRAWS)
    assert "u.partial" not in names_in(tmp_path)


def test_a_failure_before_anything_is_done_leaves_nothing(
    posterior: CLVPosterior,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        score(base, posterior, tmp_path / "s.parquet", draws=DRAWS)
    assert names_in(tmp_path) == ["base.parquet"]


# --- options and posteriors --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"threads": 0}, DomainError, "threads=0"),
        ({"block_rows": 0.5}, DomainError, "block_rows=0.5"),
        ({"draws": 0}, DomainError, "draws=0"),
        ({"interval": 1.0}, DomainError, "interval=1.0"),
        ({"intervals": "some"}, SchemaError, "intervals='some'"),
        ({"memory_limit": "much"}, SchemaError, "memory_limit='much'"),
        ({"memory_limit": "0GB"}, SchemaError, "memory_limit='0GB'"),
        ({"margin": 2.0}, DomainError, "margin=2.0"),
        ({"table": "a b"}, SchemaError, "table='a b'"),
        ({"discount_rate": -1.0}, DomainError, "discount_rate=-1.0"),
        ({"horizon": "soon"}, clvmodels.TimeUnitError, "horizon='soon'"),
    ],
)
def test_a_bad_option_leaves_nothing(
    posterior: CLVPosterior,
    base: Path,
    tmp_path: Path,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        score(base, posterior, tmp_path / "s.parquet", **options)
    assert names_in(tmp_path) == ["base.parquet"]


def test_infinite_spend_leaves_values_empty_and_says_so(base: Path, tmp_path: Path) -> None:
    endless = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.43),
        GammaGammaPosterior.from_draws(p=6.25, q=[0.9, 3.0], v=15.4),
    )
    with pytest.warns(UserWarning, match=r"infinite in 50\.0 % of the draws at frequency 0"):
        report = score(base, endless, tmp_path / "s.parquet")
    found = pd.read_parquet(tmp_path / "s.parquet")
    once = found["frequency"] == 0
    assert report.without_value == once.sum() > 0
    assert report.clv.mean == pytest.approx(found["clv"].sum())
    assert (found["clv"].isna() == once).all()
    assert (found["reason"].notna() == once).all()
    assert np.isfinite(found["expected_purchases"]).all()


def test_spend_alone_is_refused(posterior: CLVPosterior, base: Path, tmp_path: Path) -> None:
    posterior.spend.save(tmp_path / "p.nc")
    with pytest.raises(SchemaError, match="a posterior of purchases, alone or with spend"):
        score(base, tmp_path / "p.nc", tmp_path / "s.parquet")


def test_a_table_in_memory_goes_to_predict(posterior: CLVPosterior, frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match=r"CLVPosterior\.predict"):
        score(RfmTable.from_pandas(frame), posterior, "s.parquet")  # type: ignore[arg-type]
