"""A posterior as SQL: the statement gives the means of predict, in DuckDB and in PostgreSQL.

The SQL of every warehouse stands in tests/data/score_sql. After a change that is meant, write it
anew and read the difference: CLVMODELS_WRITE_SQL=1 python -m pytest tests/unit/test_score_sql.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlglot

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import DomainError
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.warehouse.statement import DIALECTS
from tests.clocks import clock
from tests.covariates import base_of, design_of_channels
from tests.kinds import KINDS

SNAPSHOTS = Path(__file__).parents[1] / "data" / "score_sql"
NUMBERS = ("p_alive", "p_purchase", "expected_purchases", "discounted_purchases")
MONEY = ("expected_spend", "clv")
CENTRES = {"r": 0.5, "alpha": 9.0, "a": 0.7, "b": 2.5, "s": 0.6, "beta": 11.0}


def bought(model: str = "bgnbd", draws: int = 60, **options: Any) -> Any:
    """Draws of a small base: 15 % spread, so that means over draws are not those at the mean."""
    rng = np.random.default_rng(5)
    names = purchase_posterior(model).facts.parameter_names
    noise = {name: np.exp(0.15 * rng.standard_normal(draws)) for name in names}
    chosen = {name: CENTRES[name] * noise[name] for name in names}
    return purchase_posterior(model).from_draws(**chosen, **{"time_scaler": 7.0, **options})


def marked(**metadata: Any) -> Any:
    """A posterior that knows more of itself."""
    one = bought()
    return replace(one, metadata=replace(one.metadata, **metadata))


def spent(draws: int = 60) -> Any:
    rng = np.random.default_rng(6)
    noise = np.exp(0.1 * rng.standard_normal((3, draws)))
    return clv.GammaGammaPosterior.from_draws(p=6.0 * noise[0], q=4.0 * noise[1], v=15.0 * noise[2])


def table(count: int = 300, *, longest: float = 104.0, seed: int = 1) -> pd.DataFrame:
    """Customers in weeks, several of whom share a history."""
    rng = np.random.default_rng(seed)
    x = np.minimum(rng.geometric(0.25, count) - 1, 25)
    T = np.maximum(rng.integers(0, int(longest * 7), count), x) / 7.0
    t_x = np.where(x > 0, (x + np.floor(rng.random(count) * (T * 7 - x))) / 7.0, 0.0)
    m_bar = np.where(x > 0, rng.gamma(5.0, 6.0, count), 0.0)
    frame = pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "monetary_value": m_bar})
    frame = pd.concat([frame, frame[:20]], ignore_index=True)
    frame.insert(0, "customer_id", [f"c{i}" for i in range(len(frame))])
    return frame


def in_duckdb(found: Any, rfm: pd.DataFrame) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.register("customers", rfm)
        for one in found.creation(coefficients="few").split(";\n"):
            if one.strip():
                connection.execute(one)
        text = found.statement(rfm="customers", coefficients="few")
        scores: pd.DataFrame = connection.execute(text).df()
    assert len(scores) == len(rfm)
    return scores.set_index("customer_id").loc[rfm["customer_id"]].reset_index()


def agree(scores: pd.DataFrame, wanted: pd.DataFrame, names: tuple[str, ...]) -> None:
    for name in names:
        gap = np.abs(scores[name].to_numpy(float) - wanted[name].to_numpy(float))
        close = gap <= 1e-6 * np.maximum(wanted[name].abs().to_numpy(), 1e-3)
        assert close.all(), (name, gap[~close], scores[~close].to_dict("records"))


@pytest.mark.parametrize("model", KINDS)
def test_a_warehouse_gives_the_means_of_predict(model: str) -> None:
    both, rfm = clv.CLVPosterior(bought(model), spent()), table()
    found = clv.score_sql(both, most_purchases=25, longest=104, margin=0.3, horizon="26W")
    assert found.error < 1e-6
    scores = in_duckdb(found, rfm)
    wanted = both.predict(rfm, margin=0.3, horizon="26W", time_unit="D", time_scaler=7)
    agree(scores, wanted, (*NUMBERS, *MONEY, "margin"))
    assert scores["reason"].isna().all()
    assert not [name for name in scores if "lower" in name or "upper" in name or "sd" in name]


@pytest.mark.parametrize("rate", ["continuous", "monthly"])
def test_a_lifetime_may_have_no_mean_count(rate: Any) -> None:
    rfm, how = table(), {"horizon": None, "discounting": rate, "discount_rate": 0.15}
    rfm = rfm[rfm["frequency"] <= 6].reset_index(drop=True)
    some = clv.CLVPosterior(bought(), 25.0)  # a below 1 in some draws
    found = clv.score_sql(some, most_purchases=6, longest=104, **how)
    scores = in_duckdb(found, rfm)
    agree(scores, some.predict(rfm, time_unit="D", time_scaler=7, **how), (*NUMBERS[:2], *MONEY))
    assert scores["expected_purchases"].isna().all()
    assert "monetary_value" not in found.statement()


def test_of_a_short_base_as_many_purchases_as_there_is_room_for() -> None:
    one = bought(time_scaler=1.0)
    base = {"whole_periods": 1.0, "max_T": 57.0}  # 57 weeks, and half as many to come
    weeks = replace(one, metadata=replace(one.metadata, base=base))
    found = clv.score_sql(weeks)
    assert (found.longest, found.most_purchases) == (85.5, 85)
    with pytest.raises(DomainError, match="must be finite and above 100"):
        clv.score_sql(weeks, most_purchases=100)


def test_who_bought_every_day_is_in_the_table() -> None:
    """Where purchases are counted in whole days, there is no less than x days to x of them."""
    one = bought(time_scaler=10.0)  # 3 x 0.1 is above 0.3, as they are rounded
    base = {"whole_periods": 1.0, "max_T": 70.0}
    whole = replace(one, metadata=replace(one.metadata, base=base))
    found = clv.score_sql(whole, most_purchases=60)
    assert found.longest == 105.0
    x = np.arange(1.0, 61.0)
    rfm = pd.DataFrame({"customer_id": x, "frequency": x, "recency": x / 10, "T": x / 10})
    scores = in_duckdb(found, rfm)
    assert scores["reason"].isna().all()
    agree(scores, whole.predict(rfm, time_unit="D", time_scaler=10), NUMBERS)
    sooner = in_duckdb(found, rfm.assign(recency=x / 10.1))
    assert set(sooner["reason"]) == {"no customer has such a history"}


def test_purchases_alone_and_a_mode_have_their_columns() -> None:
    rfm = table().drop(columns="monetary_value")
    alone = bought("mbgnbd", draws=1)
    found = clv.score_sql(alone, most_purchases=25, longest=104)
    assert len(found.coefficients) == 26  # one draw stands for itself
    scores = in_duckdb(found, rfm)
    agree(scores, alone.predict(rfm, time_unit="D", time_scaler=7), NUMBERS)
    assert [*scores][4:] == [*NUMBERS, "reason"]


def test_first_orders_count_where_the_model_of_spend_counts_them() -> None:
    draws = spent().draws()
    spend = clv.GammaGammaPosterior.from_draws(**draws, first_order="include")
    both, rfm = clv.CLVPosterior(bought(draws=20), spend), table()
    rfm["first_value"] = np.random.default_rng(3).gamma(5.0, 6.0, len(rfm))
    found = clv.score_sql(both, most_purchases=25, longest=104)
    wanted = both.predict(rfm, time_unit="D", time_scaler=7)
    agree(in_duckdb(found, rfm), wanted, (*NUMBERS, *MONEY))


def test_who_is_beyond_the_table_gets_a_reason_and_no_number() -> None:
    rows = {
        "fine": (2, 5.0, 30.0, 20.0),
        "busy": (26, 20.0, 30.0, 20.0),
        "old": (2, 5.0, 104.5, 20.0),
        "turned": (2, 31.0, 30.0, 20.0),
        "once, and later": (0, 5.0, 30.0, 0.0),
        "half": (1.5, 5.0, 30.0, 20.0),
        "negative": (2, -5.0, 30.0, 20.0),
        "nothing": (2, None, 30.0, 20.0),
        "no amount": (2, 5.0, 30.0, None),
        "less than none": (2, 5.0, 30.0, -1.0),
        "not a number": (2, 5.0, float("inf"), 20.0),
    }
    columns = ["frequency", "recency", "T", "monetary_value"]
    rfm = pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)
    rfm = rfm.rename_axis("customer_id").reset_index()
    found = clv.score_sql(clv.CLVPosterior(bought(), spent()), most_purchases=25, longest=104)
    scores = in_duckdb(found, rfm).set_index("customer_id")
    reasons = scores["reason"]
    assert pd.isna(reasons["fine"])
    assert reasons.drop("fine").notna().all()
    assert reasons["busy"] == "more than 25 repeat purchases"
    assert reasons["old"] == reasons["not a number"] == "T above 104"
    assert reasons["nothing"] == "a number is missing"
    assert set(reasons[["turned", "once, and later", "half", "negative"]]) == {
        "no customer has such a history"
    }
    unpriced = ["no amount", "less than none"]
    assert set(reasons[unpriced]) == {"an amount is missing or negative"}
    beyond = scores.drop(["fine", *unpriced])
    assert beyond[[*NUMBERS, *MONEY]].isna().all(axis=None)
    assert scores.loc[unpriced, list(NUMBERS)].notna().all(axis=None)
    assert scores.loc[unpriced, "clv"].isna().all()


def test_infinite_spend_has_no_value() -> None:
    few = clv.GammaGammaPosterior.from_draws(p=[2.0, 2.0], q=[0.9, 3.0], v=[15.0, 15.0])
    both, rfm = clv.CLVPosterior(bought(draws=2), few), table(60)
    scores = in_duckdb(clv.score_sql(both, most_purchases=25, longest=104), rfm)
    once = rfm["frequency"] == 0
    assert set(scores.loc[once, "reason"]) == {"expected spend is infinite in some draws"}
    assert scores.loc[once, "clv"].isna().all()
    with pytest.warns(UserWarning, match="infinite"):
        wanted = both.predict(rfm, time_unit="D", time_scaler=7)
    agree(scores[~once], wanted[~once], (*NUMBERS, *MONEY))


@pytest.mark.parametrize(
    ("posterior", "options", "words"),
    [
        (lambda: marked(clock=clock()), {}, "has a clock"),
        (lambda: marked(design=design_of_channels(base_of())), {}, "has covariates"),
        (lambda: marked(model="stack"), {}, "is a stack"),
        (bought, {"longest": None}, "longest T that will be scored"),
        (bought, {"longest": 0}, "above 0"),
        (bought, {"longest": float("inf")}, "finite"),
        (bought, {"most_purchases": 1001}, "at most 1,000"),
        (bought, {"most_purchases": -1}, "most_purchases"),
        (bought, {"margin": 0.3}, "no values"),
        (spent, {}, "posterior of purchases"),
    ],
)
def test_what_a_statement_does_not_know_is_refused(
    posterior: Any, options: Any, words: str
) -> None:
    with pytest.raises(clv.ClvError, match=words):
        clv.score_sql(posterior(), **{"most_purchases": 5, "longest": 104, **options})


def test_numbers_that_would_not_be_close_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clvmodels.warehouse.few_draws._MOST", 2)
    with pytest.raises(clv.DomainError, match=r"differ by .* from predict"):
        clv.score_sql(bought(), most_purchases=5, longest=104)


def test_names_and_dialects_are_checked() -> None:
    found = clv.score_sql(bought(draws=2), most_purchases=2, longest=104)
    assert "FROM crm.rfm" in found.statement(rfm="crm.rfm")
    for name in ("rfm; DROP TABLE x", "", "1rfm", "a)b"):
        with pytest.raises(clv.SchemaError, match="name of a table"):
            found.statement(rfm=name)
    with pytest.raises(clv.SchemaError, match="dialect"):
        found.statement("oracle")  # type: ignore[arg-type]
    assert "up to 2 repeat purchases" in repr(found)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", ["mbgcnbd3", "paretonbd"])
def test_every_warehouse_gets_its_own_sql(model: str, dialect: Any) -> None:
    both = clv.CLVPosterior(bought(model, draws=1), spent(1))
    found = clv.score_sql(both, most_purchases=1, longest=104.0)
    text = found.statement(dialect, rfm="shop.rfm", coefficients="shop.clv")
    assert len(sqlglot.parse(text, dialect=dialect)) == 1
    created = found.creation(dialect, coefficients="shop.clv")
    assert len([one for one in sqlglot.parse(created, dialect=dialect) if one]) == 2
    # Numbers depend on the processor in their last digits
    kept = created.split("INSERT")[0] + text
    for number in (found._writer.table.shift,):
        kept = kept.replace(repr(number), "SHIFT")
    path = SNAPSHOTS / f"{model}.{dialect}.sql"
    if os.environ.get("CLVMODELS_WRITE_SQL"):
        path.write_text(kept, encoding="utf-8")
    assert path.exists(), f"write it with CLVMODELS_WRITE_SQL=1: {path.name}"
    assert kept == path.read_text(encoding="utf-8")


def program(name: str) -> str | None:
    """A program of PostgreSQL, which Debian keeps beside the path."""
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(beside[-1]) if beside else None)


@pytest.fixture
def postgres() -> Iterator[Any]:
    """Yield what runs SQL in a database of its own, without a server: single-user mode."""
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp())
    who: Any = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses
        shutil.chown(folder, "postgres", "postgres")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    how: Any = {"cwd": folder, "check": True, "capture_output": True, "text": True, **who}
    subprocess.run([initdb, "-D", "base", "-E", "UTF8", "--no-sync", "-A", "trust"], **how)

    def run(*statements: str) -> str:
        text = "".join(f"{one.rstrip().rstrip(';')};\n\n" for one in statements)
        command = [server, "--single", "-j", "-F", "-D", "base", "postgres"]
        ended = subprocess.run(command, input=text, **how)
        assert "ERROR" not in ended.stderr, ended.stderr[:2000]
        return ended.stdout

    run.folder = folder  # type: ignore[attr-defined]
    yield run
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", KINDS)
def test_postgresql_gives_the_means_of_predict(postgres: Any, model: str) -> None:
    both, rfm = clv.CLVPosterior(bought(model), spent()), table()
    found = clv.score_sql(both, most_purchases=25, longest=104, margin=0.3)
    text = rfm.to_csv(index=False)
    given, got = postgres.folder / "rfm.csv", postgres.folder / "scores.csv"
    given.write_text(text)
    given.chmod(0o644)
    columns = (
        'customer_id text, frequency bigint, recency float8, "T" float8, monetary_value float8'
    )
    statement = found.statement("postgres").rstrip()
    postgres(
        f"CREATE TABLE rfm ({columns})",
        f"COPY rfm FROM '{given}' CSV HEADER",
        *found.creation("postgres").split(";\n"),
        f"COPY ({statement}) TO '{got}' CSV HEADER",
    )
    scores = pd.read_csv(got).set_index("customer_id").loc[rfm["customer_id"]].reset_index()
    wanted = both.predict(rfm, margin=0.3, time_unit="D", time_scaler=7)
    agree(scores, wanted, (*NUMBERS, *MONEY, "margin"))


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both, rfm = clv.CLVPosterior(bought(), spent()), table()
    both.save(tmp_path / "p.nc")
    rfm.to_parquet(tmp_path / "rfm.parquet")

    def run(dialect: str, coefficients: str, *more: str) -> int:
        files = ["-o", str(tmp_path / "score.sql"), "--coefficients", str(tmp_path / coefficients)]
        limits = ["--most-purchases", "25", "--longest", "104", "--horizon", "90D"]
        posterior = ["--posterior", str(tmp_path / "p.nc"), "--margin", "0.5"]
        return main(["sql", *posterior, "--dialect", dialect, *files, *limits, *more])

    assert run("duckdb", "few.parquet", "--coefficients-table", "few;") == 2
    assert "name of a table" in capsys.readouterr().err
    assert run("duckdb", "few.parquet") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "up to 25 repeat purchases" in said
    assert "There are means alone: for intervals use 'score'." in said
    with duckdb.connect() as connection:
        for name in ("few", "rfm"):
            view = "clv_coefficients" if name == "few" else name
            connection.execute(f"CREATE VIEW {view} AS FROM '{tmp_path / name}.parquet'")
        scores = connection.execute((tmp_path / "score.sql").read_text()).df()
    scores = scores.set_index("customer_id").loc[rfm["customer_id"]].reset_index()
    terms: Any = {"horizon": "90D", "margin": 0.5, "time_unit": "D", "time_scaler": 7}
    agree(scores, both.predict(rfm, **terms), (*NUMBERS, *MONEY))
    assert run("postgres", "few.sql", "--quiet") == 0
    assert (tmp_path / "few.sql").read_text().startswith("CREATE TABLE clv_coefficients (")
    assert capsys.readouterr().out == ""
    assert run("postgres", "score.sql") == 2
    assert "named for two results" in capsys.readouterr().err
    assert run("postgres", "p.nc") == 2
    assert run("oracle", "few.csv") == 2
