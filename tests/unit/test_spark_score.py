"""Spark scores as one machine does, row by row, and loses no row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, ContributionMargin, GammaGammaPosterior
from clvmodels import spark as on_spark
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.scoring import Scorer
from clvmodels.scoring.row_checks import REASONS
from clvmodels.spark.blocks import ScoreBlocks, gathered, split_copies

ID, X, TX, T, M = "customer_id", "frequency", "recency", "T", "monetary_value"


def make_posterior(count: int = 120, **unit: Any) -> CLVPosterior:
    rng = np.random.default_rng(7)

    def about(value: float, sd: float) -> np.ndarray[Any, Any]:
        return value * np.exp(sd * rng.normal(size=count))

    purchases = {"r": about(0.25, 0.1), "alpha": about(31, 0.1)}
    purchases |= {"a": about(0.9, 0.2), "b": about(2.5, 0.2)}
    spend = {"p": about(6, 0.2), "q": about(3.7, 0.1), "v": about(15, 0.3)}
    return CLVPosterior(
        BetaGeoPosterior.from_draws(**purchases, **unit), GammaGammaPosterior.from_draws(**spend)
    )


POSTERIOR = make_posterior()


def make_base(rows: int) -> pa.Table:
    rng = np.random.default_rng(11)
    x = rng.poisson(1.2, rows)
    total = np.maximum(rng.integers(0, 700, rows), x).astype(float)
    return pa.table(
        {
            ID: np.arange(rows),
            X: x,
            TX: np.where(x > 0, np.maximum(np.floor(total * rng.random(rows)), x), 0.0),
            T: total,
            M: pa.array(np.round(rng.gamma(3, 9, rows), 2), mask=x == 0),
            "first_value": np.round(rng.gamma(3, 9, rows), 2),
        }
    )


BASE = make_base(3_000)


def sorted_table(df: Any) -> pa.Table:
    return df.toArrow().sort_by(ID)


def assert_same(got: pa.Table, want: pa.Table) -> None:
    """Equal values to 1e-9, and missing ones in the same places."""
    for name in want.column_names:
        assert got[name].null_count == want[name].null_count, name
        if pa.types.is_floating(want[name].type):
            mine, theirs = (t[name].to_numpy() for t in (got, want))
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=0, err_msg=name)
        else:
            assert got[name].equals(want[name]), name


def one_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


# --- blocks, without Spark ---------------------------------------------------------------


def test_small_batches_are_gathered() -> None:
    small = one_batch(BASE).slice(0, 95)
    sizes = [10, 0, 20, 30, 5, 30]
    edges = np.cumsum([0, *sizes])
    pieces = [small.slice(start, size) for start, size in zip(edges, sizes, strict=False)]
    blocks = list(gathered(pieces, limit=40))
    assert [block.num_rows for block in blocks] == [30, 35, 30]
    assert pa.Table.from_batches(blocks).equals(pa.Table.from_batches([small]))
    assert [block.num_rows for block in gathered([small], limit=40)] == [95]
    assert list(gathered([small.slice(0, 0)])) == []


class CountingScorer(Scorer):
    calls = 0

    def score(self, *args: Any) -> Any:
        self.calls += 1
        return super().score(*args)


def test_a_partition_is_scored_at_once_and_read_as_it_is_needed() -> None:
    scorer = CountingScorer(POSTERIOR, threads=1)
    read = 0

    def partition() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for batch in BASE.to_batches(max_chunksize=100):
            read += 1
            yield batch

    out = list(ScoreBlocks(scorer)(partition()))
    assert (scorer.calls, read) == (1, 30)
    want = scorer.score(one_batch(BASE)).scores
    got = pa.Table.from_batches(out)
    assert got["reason"].null_count == len(got)
    assert_same(got.drop_columns("reason"), want)
    read = 0
    next(iter(ScoreBlocks(scorer)(partition())))
    assert read == 30  # a block is bounded by rows, not by batches


def test_counts_are_taken_out_of_a_batch() -> None:
    batch = one_batch(BASE).slice(0, 3)
    assert split_copies(batch) == (batch, None)
    counted = pa.RecordBatch.from_arrays(
        [*batch.columns, pa.array([1, 2, 3])], [*batch.schema.names, "__clvmodels_copies"]
    )
    rest, duplicated = split_copies(counted)
    assert rest.equals(batch)
    assert duplicated is not None
    assert duplicated.tolist() == [False, True, True]


# --- rows that cannot be scored ----------------------------------------------------------

# (id, x, t_x, T, m_bar, what is wrong with it)
ODD: list[tuple[Any, ...]] = [
    ("fine", 2.0, 30.0, 40.0, 5.0, None),
    ("no amount", 0.0, 0.0, 40.0, None, None),
    ("zero spend", 1.0, 3.0, 40.0, 0.0, None),
    (None, 2.0, 30.0, 40.0, 5.0, 0),
    ("", 2.0, 30.0, 40.0, 5.0, 0),
    ("twice", 2.0, 30.0, 40.0, 5.0, 1),
    ("twice", -3.0, 30.0, 40.0, 5.0, 1),
    ("x nan", float("nan"), 30.0, 40.0, 5.0, 2),
    ("x null", None, 30.0, 40.0, 5.0, 2),
    ("x inf", float("inf"), 30.0, 40.0, 5.0, 2),
    ("x < 0", -1.0, 30.0, 40.0, 5.0, 3),
    ("x = 1.5", 1.5, 30.0, 40.0, 5.0, 4),
    ("x huge", 1e16, 30.0, 40.0, 5.0, 5),
    ("t_x null", 2.0, None, 40.0, 5.0, 6),
    ("T nan", 2.0, 30.0, float("nan"), 5.0, 7),
    ("t_x < 0", 2.0, -1.0, 40.0, 5.0, 8),
    ("t_x > T", 2.0, 41.0, 40.0, 5.0, 9),
    ("x = 0 < t_x", 0.0, 30.0, 40.0, 5.0, 10),
    ("x > t_x in days", 50.0, 3.0, 40.0, 5.0, 11),
    ("m null", 2.0, 30.0, 40.0, None, 12),
    ("m < 0", 2.0, 30.0, 40.0, -5.0, 13),
    ("m huge", 2.0, 30.0, 40.0, 1e200, 14),
]
ODD_DDL = "customer_id string, frequency double, recency double, T double, monetary_value double"


@pytest.mark.slow
def test_one_row_for_every_row_with_its_reason(spark: Any) -> None:
    # The last two are of spend that counts first orders, and of customers' own margins
    assert {row[-1] for row in ODD} == {None, *range(len(REASONS) - 2)}
    data = [(*row[:-1], f"note {i}") for i, row in enumerate(ODD)]
    df = spark.createDataFrame(data, f"{ODD_DDL}, note string").repartition(3)
    got = on_spark.score(df, POSTERIOR).toArrow().to_pylist()
    assert len(got) == len(ODD)
    expected = {row[0]: None if row[-1] is None else REASONS[row[-1]] for row in ODD}
    assert {row[ID]: row["reason"] for row in got} == expected
    scores = Scorer(POSTERIOR).columns
    for row in got:
        assert all((row[name] is None) == (row["reason"] is not None) for name in scores)
    kept = {row[ID]: row for row in got}
    assert [kept["x = 1.5"][X], kept["x < 0"][X], kept["x inf"][X]] == [None, -1, None]
    assert [kept["t_x > T"][TX], kept["no amount"][M], kept["m null"][M]] == [41.0, 0.0, None]

    left_out = on_spark.rejects(df, POSTERIOR).toArrow()
    assert left_out.column_names == [ID, X, TX, T, M, "note", "reason"]
    reasons = {row["note"]: row["reason"] for row in left_out.to_pylist()}
    assert reasons == {
        f"note {i}": REASONS[row[-1]] for i, row in enumerate(ODD) if row[-1] is not None
    }
    back = next(row for row in left_out.to_pylist() if row[ID] == "x = 1.5")
    assert [back[name] for name in (X, TX, T, M)] == [1.5, 30.0, 40.0, 5.0]


# --- equal to one machine ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"intervals": "all", "interval": 0.5, "horizon": None, "margin": 0.3, "draws": 50},
        {"predictive": True, "draws": 50},
        {"discounting": "monthly", "discount_rate": 0.2, "horizon": "12M"},
    ],
    ids=["default", "whole life, all intervals", "outcomes", "monthly"],
)
def test_spark_scores_as_one_machine_does(spark: Any, options: dict[str, Any]) -> None:
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "250")
    df = spark.createDataFrame(BASE).repartition(4)
    got = on_spark.score(df, POSTERIOR, **options)
    want = Scorer(POSTERIOR, **options).score(one_batch(BASE))
    assert got.columns == [*want.scores.column_names, "reason"]
    found = sorted_table(got)
    assert found["reason"].null_count == len(BASE)
    assert_same(found, want.scores)
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


@pytest.mark.slow
def test_scores_are_those_of_predict(spark: Any) -> None:
    frame = BASE.to_pandas().fillna({M: 0.0})
    got = sorted_table(on_spark.score(spark.createDataFrame(BASE), POSTERIOR, intervals="all"))
    want = POSTERIOR.predict(frame)
    mine = got.to_pandas().drop(columns="reason")
    pd.testing.assert_frame_equal(mine, want[list(mine.columns)], rtol=1e-9)


@pytest.mark.slow
def test_a_point_has_no_interval(spark: Any) -> None:
    point = make_posterior(count=1)
    got = sorted_table(on_spark.score(spark.createDataFrame(BASE.slice(0, 50)), point))
    assert [got[n].null_count for n in ("clv", "clv_sd", "clv_lower", "clv_upper")] == [
        0,
        *[50] * 3,
    ]


@pytest.mark.slow
def test_types_of_columns(spark: Any) -> None:
    rows = [(Decimal(7), 2, Decimal("30.5"), 40, Decimal("5.25")), (Decimal(8), 0, None, 1, None)]
    ddl = "customer_id decimal(20,0), frequency short, recency decimal(9,2), T int"
    df = spark.createDataFrame(rows, f"{ddl}, monetary_value decimal(9,2)")
    got = on_spark.score(df, POSTERIOR)
    assert got.schema[ID].dataType == df.schema[ID].dataType
    table = sorted_table(got)
    assert table[ID].to_pylist() == [Decimal(7), Decimal(8)]
    assert table["reason"].to_pylist() == [None, "recency is missing or not finite"]
    row = pd.DataFrame({ID: [7], X: [2], TX: [30.5], T: [40], M: [5.25]})
    assert table["clv"][0].as_py() == pytest.approx(POSTERIOR.predict(row)["clv"][0], rel=1e-9)


@pytest.mark.slow
def test_lengths_of_time_are_in_the_unit_of_the_posterior(spark: Any) -> None:
    days = spark.createDataFrame(
        [(1, 2, timedelta(30), timedelta(40), 5.0), (2, 50, timedelta(3), timedelta(40), 5.0)],
        f"{ID} long, {X} int, {TX} interval day to second, {T} interval day to second, {M} double",
    )
    table = sorted_table(on_spark.score(days, POSTERIOR))
    assert table["reason"].to_pylist() == [None, "frequency exceeds the periods in recency"]
    assert (table[TX].to_pylist(), table[T].to_pylist()) == ([30.0, 3.0], [40.0, 40.0])
    row = pd.DataFrame({ID: [1], X: [2], TX: [30.0], T: [40.0], M: [5.0]})
    assert table["clv"][0].as_py() == pytest.approx(POSTERIOR.predict(row)["clv"][0], rel=1e-9)
    (reject,) = on_spark.rejects(days, POSTERIOR).toArrow().to_pylist()
    assert reject["reason"] == "frequency exceeds the periods in recency"


# --- purchases alone ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"intervals": "all", "predictive": True, "draws": 50}, {"horizon": None}],
    ids=["default", "everything", "whole life"],
)
def test_purchases_alone_are_scored_as_on_one_machine(spark: Any, options: dict[str, Any]) -> None:
    purchases = POSTERIOR.purchases
    want = Scorer(purchases, **options).score(one_batch(BASE.select([ID, X, TX, T]))).scores
    bare = spark.createDataFrame(BASE.select([ID, X, TX, T])).repartition(4)
    odd = BASE.set_column(BASE.column_names.index(M), M, pa.array([-1.0] * len(BASE)))
    for df in (bare, *(() if options else (spark.createDataFrame(odd),))):
        got = on_spark.score(df, purchases, **options)
        assert got.columns == [*want.column_names, "reason"]
        assert not {M, "clv", "margin", "value_lower"} & set(got.columns)
        found = sorted_table(got)
        assert found["reason"].null_count == len(BASE)
        assert_same(found, want)


@pytest.mark.slow
def test_one_basket_value_needs_no_amounts(spark: Any) -> None:
    basket = CLVPosterior(POSTERIOR.purchases, 25.0)
    bare = BASE.select([ID, X, TX, T])
    got = on_spark.score(spark.createDataFrame(bare), basket)
    want = Scorer(basket).score(one_batch(bare)).scores
    assert got.columns == [*want.column_names, "reason"]
    assert {"clv", "margin"} <= set(got.columns)
    assert_same(sorted_table(got), want)


@pytest.mark.slow
def test_amounts_reject_nobody_where_purchases_alone_are_known(spark: Any) -> None:
    data = [(*row[:-1], f"note {i}") for i, row in enumerate(ODD)]
    df = spark.createDataFrame(data, f"{ODD_DDL}, note string").repartition(3)
    of_amounts = [REASONS.index(reason) for reason in REASONS if "monetary_value" in reason]
    assert of_amounts == [12, 13, 14]
    reasons = {
        f"note {i}": REASONS[row[-1]]
        for i, row in enumerate(ODD)
        if row[-1] is not None and row[-1] not in of_amounts
    }
    left_out = on_spark.rejects(df, POSTERIOR.purchases).toArrow()
    assert left_out.column_names == [ID, X, TX, T, M, "note", "reason"]
    assert {row["note"]: row["reason"] for row in left_out.to_pylist()} == reasons
    got = on_spark.score(df, POSTERIOR.purchases).toArrow().to_pylist()
    assert len(got) == len(ODD)
    scored = {row[ID] for row in got if row["reason"] is None}
    assert scored == {"fine", "no amount", "zero spend", "m null", "m < 0", "m huge"}


# --- summaries of Spark ------------------------------------------------------------------

NAMES = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}


@pytest.fixture(scope="module")
def summary(spark: Any) -> Any:
    log = spark.range(4_000).selectExpr(
        "id % 700 AS who",
        "timestamp_ntz'2020-01-01' + make_dt_interval(int(id * id % 200)) AS when",
        "double(1 + id % 37) / 4 AS paid",
    )
    return on_spark.rfm_summary(log, margin=0.25, **NAMES)


@pytest.mark.slow
def test_from_log_to_scores(summary: Any) -> None:
    got = sorted_table(on_spark.score(summary, POSTERIOR))
    base = sorted_table(summary.table)
    assert len(got) == 700
    assert_same(got, Scorer(POSTERIOR, margin=0.25).score(one_batch(base)).scores)
    other = sorted_table(on_spark.score(summary, POSTERIOR, margin=0.5))
    np.testing.assert_allclose(other["clv"].to_numpy(), 2 * got["clv"].to_numpy(), rtol=1e-12)
    assert on_spark.rejects(summary, POSTERIOR).count() == 0


@pytest.mark.slow
def test_from_a_log_without_amounts_to_purchases(spark: Any) -> None:
    log = spark.range(900).selectExpr(
        "id % 70 AS who", "timestamp_ntz'2020-01-01' + make_dt_interval(int(id * id % 200)) AS when"
    )
    found = on_spark.rfm_summary(log, customer_id_col="who", datetime_col="when")
    got = sorted_table(on_spark.score(found, POSTERIOR.purchases))
    base = sorted_table(found.table)
    assert base.column_names == [ID, X, TX, T, "log_gaps"]
    assert_same(got, Scorer(POSTERIOR.purchases).score(one_batch(base)).scores)


@pytest.mark.slow
def test_units_must_match(spark: Any, summary: Any) -> None:
    weeks = make_posterior(time_unit="D", time_scaler=7)
    df = spark.createDataFrame(BASE)
    with pytest.raises(TimeUnitError, match="counts time in D, the posterior in 7 x D"):
        on_spark.score(summary, weeks)
    with pytest.raises(TimeUnitError, match="counts time in W"):
        on_spark.score(df, weeks, time_unit="W")
    with pytest.raises(TimeUnitError, match="counts time in D"):
        on_spark.rejects(df, weeks, time_unit="D")
    with pytest.raises(TimeUnitError, match="counts time in 7 x D"):
        on_spark.score(summary, POSTERIOR, time_unit="D", time_scaler=7)
    assert on_spark.score(df, weeks, time_unit="D", time_scaler=7).columns[0] == ID


@pytest.mark.slow
def test_errors_come_before_any_work(spark: Any) -> None:
    df = spark.createDataFrame(BASE)
    with pytest.raises(SchemaError, match="lacks monetary_value"):
        on_spark.score(df.drop(M), POSTERIOR)
    with pytest.raises(SchemaError, match="The DataFrame has a column 'frequency' that holds"):
        on_spark.score(df.withColumn(X, df[X].cast("string")), POSTERIOR)
    with pytest.raises(SchemaError, match="purchases, alone or with spend, found GammaGamma"):
        on_spark.score(df, POSTERIOR.spend)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"margin=0\.3 is a share of revenue"):
        on_spark.score(df, POSTERIOR.purchases, margin=0.3)
    with pytest.raises(SchemaError, match="lacks recency"):
        on_spark.score(df.drop(TX), POSTERIOR.purchases)
    with pytest.raises(DomainError, match="interval"):
        on_spark.score(df, POSTERIOR, interval=1.5)
    with pytest.raises(SchemaError, match="intervals='none' is unknown"):
        on_spark.score(df, POSTERIOR, intervals="none")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning")
def test_customers_have_margins_of_their_own(spark: Any) -> None:
    """And costs: each row's own margin; one that has none is left out by its reason."""
    own = np.random.default_rng(3).uniform(-0.1, 0.6, BASE.num_rows)
    base = BASE.append_column("own", pa.array(own, mask=np.arange(len(own)) == 7))
    margin = ContributionMargin(
        column="own", cost_per_order=1.5, cost_per_year=2.0, cost_per_active_year=3.0
    )
    terms: dict[str, Any] = {"margin": margin, "draws": 40, "interval": 0.8}
    df = spark.createDataFrame(base).repartition(3)
    scores = sorted_table(on_spark.score(df, POSTERIOR, **terms))
    assert scores.num_rows == BASE.num_rows
    got = scores.filter(pc.is_null(scores["reason"]))
    good = base.filter(pc.is_valid(base["own"]))
    want = pa.Table.from_pandas(POSTERIOR.predict(good.to_pandas(), **terms), preserve_index=False)
    assert got.num_rows == want.num_rows == BASE.num_rows - 1
    for name in ("clv", "clv_sd", "clv_lower", "clv_upper", "historical_value", "margin"):
        mine, theirs = (t[name].to_numpy() for t in (got, want))
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9, err_msg=name)
    assert scores.filter(pc.is_valid(scores["reason"]))[ID].to_pylist() == [7]
    assert on_spark.rejects(df, POSTERIOR, margin=margin).toArrow()[ID].to_pylist() == [7]
