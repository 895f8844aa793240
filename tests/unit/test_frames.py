"""Frames of pandas, polars and pyarrow in, the same kind out, with the same numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels import frames
from clvmodels.diagnostics.report import diagnose
from clvmodels.errors import SchemaError
from clvmodels.posterior import total_value
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories

Convert = Callable[[pd.DataFrame], Any]

KINDS: dict[str, Convert] = {
    "polars": pl.from_pandas,
    "polars lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "pyarrow batch": lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
}
CLASSES = {
    "polars": pl.DataFrame,
    "polars lazy": pl.DataFrame,
    "pyarrow": pa.Table,
    "pyarrow batch": pa.Table,
}

rng = np.random.default_rng(20)
POSTERIOR = clv.CLVPosterior(
    clv.BetaGeoPosterior.from_draws(
        r=0.243 * rng.lognormal(0, 0.05, 40),
        alpha=30.9 * rng.lognormal(0, 0.05, 40),
        a=0.793 * rng.lognormal(0, 0.05, 40),
        b=2.426 * rng.lognormal(0, 0.05, 40),
    ),
    clv.GammaGammaPosterior.from_draws(
        p=6.25 * rng.lognormal(0, 0.05, 40), q=3.74 * rng.lognormal(0, 0.02, 40), v=15.44
    ),
)
MODE = clv.CLVPosterior(
    clv.BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
    clv.GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
)
RFM = pd.DataFrame(
    {
        "first_value": [10.0, 20.0, 5.0, 7.5, 30.0],
        "customer_id": ["e", "a", "d", "b", "c"],
        "T": [272.0, 90.0, 300.0, 14.0, 250.0],
        "monetary_value": [22.35, np.nan, 11.0, np.nan, 70.1],
        "recency": [213.0, 0.0, 120.0, 0.0, 240.0],
        "frequency": [2, 0, 5, 0, 9],
        "channel": ["web", "shop", "web", None, "shop"],
    }
)
LOG = pd.DataFrame(
    {
        "who": ["a", "b", "a", "c", "b", "a", "c"],
        "day": pd.to_datetime(
            [
                *("1997-01-01", "1997-01-03", "1997-02-01", "1997-02-11"),
                *("1997-04-01", "1997-05-06", "1997-06-30"),
            ]
        ),
        "paid": [10.0, 25.0, 12.0, 8.0, 30.0, 11.0, 9.0],
        "channel": ["web", "shop", "web", "web", "shop", "web", "web"],
    }
)
COLUMNS: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "day",
    "monetary_value_col": "paid",
}


def plain(result: Any) -> pd.DataFrame:
    """Return a result as pandas, ids and text as objects, what is missing as NaN."""
    if isinstance(result, pl.DataFrame):
        result = result.to_pandas()
    elif isinstance(result, pa.Table):
        result = result.to_pandas(ignore_metadata=True)
    return result.astype(
        {name: object for name in result if not pd.api.types.is_numeric_dtype(result[name])}
    )


def assert_same(found: Any, expected: pd.DataFrame) -> None:
    """Compare all columns in their order, bit for bit, and the number types."""
    left, right = plain(found), plain(expected)
    assert list(left) == list(right)
    pd.testing.assert_frame_equal(left, right, check_exact=True)


# From a frame to a frame: whatever is a table comes out in the caller's kind.
TABLES: dict[str, tuple[pd.DataFrame, Callable[[Any], Any]]] = {
    "predict": (RFM, lambda f: POSTERIOR.predict(f, draws=20)),
    "predict predictive": (RFM, lambda f: POSTERIOR.predict(f, draws=20, predictive=True)),
    "predict of a mode": (RFM, MODE.predict),
    "predict for ever": (RFM, lambda f: POSTERIOR.predict(f, horizon=None, draws=20)),
    "simulate_future": (
        RFM,
        lambda f: clv.simulate_future(POSTERIOR, f, paths=20, draws=20).purchases,
    ),
    "simulate_future totals": (
        RFM,
        lambda f: clv.simulate_future(POSTERIOR, f, paths=20, draws=20).totals(),
    ),
    "portfolio": (RFM, lambda f: clv.portfolio(POSTERIOR, f, paths=20, draws=20).table),
    "value_tiers": (MODE.predict(RFM), lambda f: clv.value_tiers(f, quantiles=[0.4, 0.8])),
    "simple_clv": (LOG, lambda f: clv.simple_clv(f, by="channel", **COLUMNS)),
    "simple_clv_per_customer": (LOG, lambda f: clv.simple_clv_per_customer(f, **COLUMNS)),
    "rfm_train_test_split": (
        LOG,
        lambda f: clv.rfm_train_test_split(f, train_period_end="1997-03-31", **COLUMNS).test,
    ),
}

# From a frame to something else, which cannot depend on the kind of frame.
FIGURES: dict[str, Callable[[Any], Any]] = {
    "total_value": lambda f: total_value(POSTERIOR, f, draws=20).draws,
    "count_distribution": lambda f: clv.count_distribution(POSTERIOR, f).mean,
    "value_distribution": lambda f: clv.value_distribution(POSTERIOR, f).quantile(0.8),
    "expected_purchases": lambda f: POSTERIOR.purchases.expected_purchases(f, future_t="90D"),
    "expected_probability_alive": POSTERIOR.purchases.expected_probability_alive,
    "probability_of_purchase": lambda f: POSTERIOR.purchases.probability_of_purchase(
        f, future_t=30
    ),
    "expected_customer_spend": POSTERIOR.spend.expected_customer_spend,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TABLES)
def test_the_kind_that_goes_in_comes_out(name: str, kind: str) -> None:
    frame, function = TABLES[name]
    found = function(KINDS[kind](frame))
    assert type(found) is CLASSES[kind]
    assert_same(found, function(frame))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_do_not_depend_on_the_kind(name: str, kind: str) -> None:
    found, expected = FIGURES[name](KINDS[kind](RFM)), FIGURES[name](RFM)
    np.testing.assert_array_equal(found, expected)
    if hasattr(expected, "coords"):
        assert found["customer_id"].to_numpy().tolist() == RFM["customer_id"].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_pandas_tables_and_files_give_pandas(kind: str, tmp_path: Any) -> None:
    table = clv.RfmTable.from_frame(KINDS[kind](RFM))
    assert type(POSTERIOR.predict(table, draws=5)) is pd.DataFrame
    assert type(clv.portfolio(POSTERIOR, table, paths=5, by="channel").table) is pd.DataFrame
    LOG.to_csv(tmp_path / "log.csv", index=False)
    assert type(clv.simple_clv_per_customer(tmp_path / "log.csv", **COLUMNS)) is pd.DataFrame


@pytest.mark.parametrize("kind", KINDS)
def test_tier_movement(kind: str) -> None:
    scores = MODE.predict(RFM)
    before = clv.value_tiers(scores, quantiles=[0.4, 0.8])
    after = clv.value_tiers(scores.assign(clv=scores["clv"][::-1].to_numpy()).iloc[:4])
    old, new = (
        clv.value_tiers(KINDS[kind](scores), quantiles=[0.4, 0.8]),
        clv.value_tiers(KINDS[kind](scores.assign(clv=scores["clv"][::-1].to_numpy()).iloc[:4])),
    )
    expected = clv.tier_movement(before, after)
    assert expected.index.tolist() == ["tier 1", "tier 2", "tier 3", "new"]  # the best first
    found = clv.tier_movement(old, new)
    assert type(found) is CLASSES[kind]
    assert_same(found, expected.reset_index().rename_axis(columns=None))
    pd.testing.assert_frame_equal(clv.tier_movement(before, new), expected)


def test_tiers_keep_their_order() -> None:
    scores = pl.from_pandas(MODE.predict(RFM))
    tiers = clv.value_tiers(scores, thresholds=[1.0, 20.0], labels=["z", "y", "x"])
    assert tiers.schema["tier"] == pl.Enum(["z", "y", "x"])
    best = tiers.filter(pl.col("tier") == pl.col("tier").max())
    assert best["clv"].min() >= 20.0  # type: ignore[operator]
    arrow = clv.value_tiers(scores.to_arrow(), thresholds=[1.0, 20.0], labels=["z", "y", "x"])
    assert arrow.schema.field("tier").type.ordered
    assert arrow["tier"].chunk(0).dictionary.to_pylist() == ["z", "y", "x"]


@pytest.mark.parametrize("kind", KINDS)
def test_rfm_tables(kind: str) -> None:
    expected = clv.RfmTable.from_pandas(RFM, observation_end="1998-01-01", margin=0.3)
    for make in (clv.RfmTable.from_frame, clv.RfmTable.from_pandas):
        found = make(KINDS[kind](RFM), observation_end="1998-01-01", margin=0.3)
        assert found == expected
    assert_same(found.to_polars(), expected.to_pandas())
    assert type(found.to_polars()) is pl.DataFrame


@pytest.mark.parametrize("kind", KINDS)
def test_splits_are_joined_in_pandas(kind: str) -> None:
    options = COLUMNS | {"train_period_end": "1997-03-31"}
    found = clv.rfm_train_test_split(KINDS[kind](LOG), **options)
    expected = clv.rfm_train_test_split(LOG, **options)
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas())


@pytest.mark.parametrize("kind", KINDS)
def test_reports_and_statistics(kind: str) -> None:
    frame = KINDS[kind](RFM)
    assert diagnose(POSTERIOR, frame, draws=20).facts == diagnose(POSTERIOR, RFM, draws=20).facts
    for statistics in (purchase_histories, spend_histories):
        assert statistics(frame).fingerprint() == statistics(RFM).fingerprint()


@pytest.mark.slow
def test_fits_and_backtests() -> None:
    rfm = clv.simulate.simulate_rfm(
        300, r=0.6, alpha=20, a=0.8, b=2.5, T=300, p=6, q=4, v=15, seed=5
    )
    options: Any = {"method": "map", "progressbar": False, "random_seed": 1}
    found, expected = (
        clv.CLVModel().fit(one, **options) for one in (pl.from_pandas(rfm).lazy(), rfm)
    )
    assert found.fingerprint() == expected.fingerprint()
    log = clv.simulate.simulate_log(300, r=0.6, alpha=20, a=0.8, b=2.5, T=300, seed=5)
    names = {"customer_id_col": "customer_id", "datetime_col": "date"}
    left, right = (
        clv.backtest(one, train_period_end="2025-07-01", bootstrap=20, method="map", **names)
        for one in (pl.from_pandas(log).lazy(), log)
    )
    pd.testing.assert_frame_equal(left.customers, right.customers)


# --- types of columns ------------------------------------------------------------------


def test_nan_is_null_as_in_the_files_of_score(tmp_path: Any) -> None:
    clv.RfmTable.from_frame(RFM).to_parquet(tmp_path / "rfm.parquet")
    clv.score(tmp_path / "rfm.parquet", MODE, output=tmp_path / "scores")
    scored = pl.read_parquet(tmp_path / "scores" / "*.parquet")
    found = MODE.predict(pl.from_pandas(RFM).drop("channel"))
    assert found["clv_sd"].null_count() == found["clv_upper"].null_count() == len(RFM)
    assert found.schema["clv_sd"] == pl.Float64
    assert not any(found[name].is_nan().any() for name in found.columns[1:])
    same = [name for name in scored.columns if name in found.columns]
    assert set(same) == set(scored.columns)
    left, right = (one.select(same).sort("customer_id") for one in (found, scored))
    assert left.schema == right.schema
    assert left.equals(right)


IDS: dict[str, pl.Series] = {
    "integers beside null": pl.Series([2**60 + 1, None, 3, 4, 5], dtype=pl.Int64),
    "unsigned": pl.Series([5, 4, 3, 2, 1], dtype=pl.UInt32),
    "text beside null": pl.Series(["x", None, "y", "z", "w"]),
    "categorical": pl.Series(["x", "v", "y", "z", "w"], dtype=pl.Categorical),
    "enum": pl.Series(["x", "v", "y", "z", "w"], dtype=pl.Enum(["z", "y", "x", "w", "v"])),
    "decimal": pl.Series([Decimal(i) for i in range(5)], dtype=pl.Decimal(20, 0)),
    "dates": pl.Series([None, *pd.to_datetime([f"2020-01-0{i}" for i in (1, 2, 3, 4)])]),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_ids_keep_their_type_and_value(name: str, kind: str) -> None:
    frame = pl.from_pandas(RFM).with_columns(customer_id=IDS[name])
    given = frame if kind == "polars" else frame.to_arrow()
    found = POSTERIOR.predict(given, draws=5)
    wanted = given.select(["customer_id"]).schema
    assert found.select(["customer_id"]).schema == wanted
    back = found if kind == "polars" else pl.from_arrow(found)
    assert isinstance(back, pl.DataFrame)
    assert back["customer_id"].cast(pl.String).equals(frame["customer_id"].cast(pl.String))
    assert back["clv"].to_list() == POSTERIOR.predict(RFM, draws=5)["clv"].tolist()


@pytest.mark.parametrize("name", IDS)
def test_ids_of_simulated_purchases_keep_their_type(name: str) -> None:
    frame = pl.from_pandas(RFM).with_columns(customer_id=IDS[name])
    found = clv.simulate_future(POSTERIOR, frame, paths=20, draws=5)
    assert found.purchases.schema["customer_id"] == frame.schema["customer_id"]
    counts = found.purchases.group_by("customer_id").len()
    joined = frame.join(
        counts, on="customer_id", how="left", nulls_equal=True, maintain_order="left"
    )
    assert joined["len"].fill_null(0).to_list() == found.counts.sum(axis=1).tolist()


def test_amounts_of_other_types() -> None:
    cents = pl.from_pandas(RFM).with_columns(
        pl.col("monetary_value").cast(pl.Decimal(18, 2)),
        pl.col("frequency").cast(pl.UInt8),
        pl.col("T").cast(pl.Int16),
        pl.col("recency").cast(pl.Float32),
    )
    for given in (cents, cents.to_arrow()):
        assert_same(POSTERIOR.predict(given, draws=5), POSTERIOR.predict(RFM, draws=5))
    assert clv.RfmTable.from_frame(cents) == clv.RfmTable.from_frame(RFM)
    nothing = pl.from_pandas(RFM).with_columns(monetary_value=None, frequency=0, recency=0.0)
    assert nothing.schema["monetary_value"] == pl.Null
    assert POSTERIOR.predict(nothing, draws=5)["clv"].is_finite().all()


def test_missing_amounts_and_counts_are_named() -> None:
    frame = pl.from_pandas(RFM)
    bad = frame.with_columns(
        monetary_value=pl.when(pl.col("frequency") == 5).then(None).otherwise(1.0)
    )
    with pytest.raises(SchemaError, match=r"1 repeat customers .*missing monetary_value.*row 2"):
        POSTERIOR.predict(bad)
    with pytest.raises(SchemaError, match=r"1 rows have missing or non-finite.*row 2"):
        POSTERIOR.predict(frame.with_columns(pl.col("frequency").replace(5, None)))
    with pytest.raises(SchemaError, match="'frequency' that holds text, not numbers"):
        POSTERIOR.predict(frame.with_columns(frequency=pl.lit("many")).to_arrow())
    with pytest.raises(SchemaError, match="lacks recency; found first_value, customer_id, T"):
        POSTERIOR.predict(frame.drop("recency"))
    with pytest.raises(SchemaError, match="1 rows have no customer_id"):
        clv.RfmTable.from_frame(frame.with_columns(pl.col("customer_id").replace("a", None)))


def test_segments_keep_their_type() -> None:
    frame = pl.from_pandas(RFM).with_columns(channel=pl.Series([1, None, 2, 3, 3]))
    table = clv.RfmTable.from_frame(frame)
    assert table.table.schema.field("channel").type == pa.int64()
    assert clv.portfolio(POSTERIOR, table, paths=5, by="channel").table["channel"].tolist() == [
        *("1", "2", "3", "(none)", "(whole)")
    ]


# --- the frames themselves -------------------------------------------------------------


def test_a_pandas_frame_stays_as_it_is() -> None:
    indexed = RFM.set_index(pd.Index([9, 8, 7, 6, 5], name="row"))
    assert frames.to_pandas(indexed) is indexed
    assert POSTERIOR.predict(indexed, draws=5).index.equals(pd.RangeIndex(5))
    scores = POSTERIOR.predict(RFM, draws=5).set_axis(indexed.index)
    assert clv.value_tiers(scores).index.equals(indexed.index)


def test_an_index_noted_in_arrow_stays_a_column() -> None:
    given = pa.Table.from_pandas(RFM.set_index("customer_id"))
    assert_same(POSTERIOR.predict(given, draws=5), POSTERIOR.predict(RFM, draws=5))


def test_chunks_and_empty_frames() -> None:
    whole = pa.Table.from_pandas(RFM, preserve_index=False)
    encoded = whole.set_column(1, "customer_id", whole["customer_id"].dictionary_encode())
    pieces = pa.concat_tables([encoded.slice(0, 2), encoded.slice(2, 0), encoded.slice(2)])
    found = POSTERIOR.predict(pieces, draws=5)
    assert_same(found, POSTERIOR.predict(RFM, draws=5))
    empty = POSTERIOR.predict(whole.slice(0, 0), draws=5)
    assert empty.num_rows == 0
    assert empty.schema == POSTERIOR.predict(whole, draws=5).schema


def test_a_lazy_frame_is_collected_once() -> None:
    collected = []

    def seen(frame: pl.DataFrame) -> pl.DataFrame:
        collected.append(frame.height)
        return frame

    def lazy(frame: pd.DataFrame) -> pl.LazyFrame:
        return pl.from_pandas(frame).lazy().map_batches(seen)

    for frame, function in TABLES.values():
        function(lazy(frame))
        assert collected == [len(frame)]
        collected.clear()
    for function in (lambda f: clv.RfmTable.from_frame(f), lambda f: diagnose(MODE, f)):
        function(lazy(RFM))
        assert collected == [len(RFM)]
        collected.clear()


def test_columns_that_share_a_name_are_refused() -> None:
    table = pa.table([[1], [2], [1], [3.0], [3.0]], names=[*"xx", "customer_id", "T", "T"])
    with pytest.raises(SchemaError, match="lacks frequency, recency"):
        POSTERIOR.purchases.expected_probability_alive(table)
    twice = pa.Table.from_pandas(RFM, preserve_index=False).append_column("T", pa.array([1.0] * 5))
    with pytest.raises(SchemaError, match="2 columns named 'T'"):
        POSTERIOR.predict(twice)
    with pytest.raises(SchemaError, match="2 columns named 'T'"):
        POSTERIOR.predict(pd.concat([RFM, RFM[["T"]]], axis=1))
    with pytest.raises(SchemaError, match="2 columns named 'T'"):
        clv.RfmTable.from_frame(twice)


@pytest.mark.parametrize("given", [[1, 2], {"customer_id": [1]}, "rfm.parquet", None])
def test_what_is_no_frame_is_refused(given: Any) -> None:
    for function in (POSTERIOR.predict, clv.RfmTable.from_frame, clv.value_tiers):
        with pytest.raises(SchemaError, match=f"pyarrow Table, found {type(given).__name__}"):
            function(given)


def test_polars_that_arrow_does_not_know() -> None:
    odd = pl.from_pandas(RFM).with_columns(channel=pl.Series([2**100] * 5, dtype=pl.Int128))
    assert POSTERIOR.predict(odd, draws=5).height == 5  # the column is not needed
    with pytest.raises(SchemaError, match="no Arrow equivalent"):
        clv.RfmTable.from_frame(odd)


def test_polars_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    table = clv.RfmTable.from_frame(RFM)
    assert len(POSTERIOR.predict(table, draws=5)) == 5
    assert POSTERIOR.predict(table.to_arrow(), draws=5).num_rows == 5
    with pytest.raises(SchemaError, match="pip install polars"):
        table.to_polars()
