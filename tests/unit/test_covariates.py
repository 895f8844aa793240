"""Every verb takes covariates: no effects change nothing, and each level is a model of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import clvmodels as clv
from clvmodels import CLVPosterior, GammaGammaPosterior, SchemaError, load_posterior
from clvmodels.purchases.design import Design, Effect, Factor
from tests.covariates import (
    LEVELS,
    S,
    base_of,
    design_of_channels,
    nothing,
    of_level,
    plain_posterior,
    something,
    table_of,
    with_effects,
)

MODELS = ["bgnbd", "mbgnbd", "paretonbd", "mbgcnbd2"]
FRAME = base_of()
RFM = table_of(FRAME)


def spend() -> GammaGammaPosterior:
    rng = np.random.default_rng(8)
    return GammaGammaPosterior.from_draws(
        p=rng.normal(6.0, 0.1, S), q=rng.normal(3.7, 0.1, S), v=rng.normal(15.0, 0.3, S)
    )


def both(model, effects):
    """With effects and without, in values."""
    plain = plain_posterior(model)
    design = design_of_channels(FRAME)
    other = with_effects(plain, design, effects)
    return CLVPosterior(plain, spend()), CLVPosterior(other, spend())


VERBS = {
    "predict": lambda p, t: p.predict(t, horizon="90D", predictive=True),
    "horizons": lambda p, t: p.predict(t, horizon=["90D", "365D"]),
    "life": lambda p, t: p.predict(t, horizon=None),
    "frame": lambda p, t: p.purchases.predict(t.to_pandas(), horizon=30),
    "alive": lambda p, t: p.purchases.expected_probability_alive(t).to_numpy()[0].T,
    "bought": lambda p, t: p.purchases.probability_of_purchase(t, future_t="9D").to_numpy()[0].T,
    "expected": lambda p, t: p.purchases.expected_purchases(t, future_t="90D").to_numpy()[0].T,
    "likelihood": lambda p, t: p.purchases.log_likelihood(t).to_numpy()[0].T,
    "counts": lambda p, t: clv.count_distribution(p, t, horizon="90D").quantile(0.9),
    "scores": lambda p, t: clv.count_distribution(p, t, horizon="90D").crps(np.ones(len(t))),
    "values": lambda p, t: clv.value_distribution(p, t, horizon="90D").quantile(0.9),
    "future": lambda p, t: clv.simulate_future(p, t, horizon="90D", random_seed=1).counts,
    "next": lambda p, t: clv.next_purchase(p, t).customers,
}
SUMS = {
    "portfolio": lambda p, t: clv.portfolio(p, t, horizon="90D").table,
    "total": lambda p, t: clv.forecast_total(p, t, horizon="90D", calendar=0.15).table,
    "months": lambda p, t: clv.forecast_total(p, t, horizon="180D", path="M").table,
    "new": lambda p, t: p.purchases.expected_purchases_new_customer(t=[10, 100]).to_numpy(),
    "payback": lambda p, t: clv.payback_period(p, cac=10.0).draws,
}


def same(one, other, rtol=1e-9):
    if isinstance(one, pd.DataFrame):
        assert_frame_equal(one, other, rtol=rtol, atol=1e-12)
    else:
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-12)


def cases(verbs):
    """Of models and verbs; without gaps there is no likelihood of regular timing."""
    return [(m, v) for m in MODELS for v in verbs if (m, v) != ("mbgcnbd2", "likelihood")]


@pytest.mark.parametrize(("model", "verb"), cases([*VERBS, *SUMS]))
def test_no_effects_change_nothing(model, verb) -> None:
    plain, other = both(model, nothing)
    call = (VERBS | SUMS)[verb]
    same(call(plain, RFM), call(other, RFM))


@pytest.mark.parametrize(("model", "verb"), cases(sorted(set(VERBS) - {"future"})))
def test_each_level_is_a_model_of_its_own(model, verb) -> None:
    """With what the papers' parameters are for its customers, and in the table's own order."""
    _, other = both(model, something)
    whole = VERBS[verb](other, RFM)
    for level in LEVELS:
        rows = np.flatnonzero(FRAME["channel"] == level)
        alone = CLVPosterior(of_level(other.purchases, level), spend())
        own = VERBS[verb](alone, table_of(FRAME.iloc[rows]))
        part = whole.iloc[rows].reset_index(drop=True) if hasattr(whole, "iloc") else whole[rows]
        same(own, part)


@pytest.mark.parametrize("model", MODELS)
def test_new_customers_are_the_mix_of_the_base(model) -> None:
    _, other = both(model, something)
    mean = sum(
        of_level(other.purchases, level).expected_purchases_new_customer(t=100.0)
        * float((FRAME["channel"] == level).mean())
        for level in LEVELS
    )
    found = other.purchases.expected_purchases_new_customer(t=100.0)
    np.testing.assert_allclose(found, mean, rtol=1e-12)


def test_order_of_rows_and_columns_that_are_not_used() -> None:
    _, other = both("bgnbd", something)
    order = np.random.default_rng(1).permutation(len(FRAME))
    shuffled = other.predict(FRAME.iloc[order].assign(colour="red"), horizon="90D")
    found = other.predict(FRAME, horizon="90D").iloc[order].reset_index(drop=True)
    assert_frame_equal(shuffled.reset_index(drop=True), found, rtol=1e-12)


def test_saved_and_loaded(tmp_path) -> None:
    _, other = both("bgnbd", something)
    loaded = load_posterior(other.save(tmp_path / "p.nc"))
    assert loaded.purchases.metadata.design == other.purchases.metadata.design
    assert loaded.fingerprint() == other.fingerprint()
    same(loaded.predict(RFM, horizon="90D"), other.predict(RFM, horizon="90D"), rtol=0)


def test_one_customer() -> None:
    _, other = both("bgnbd", something)
    one = FRAME.iloc[[7]]
    same(
        other.predict(one, horizon="90D", predictive=True).reset_index(drop=True),
        other.predict(FRAME, horizon="90D", predictive=True).iloc[[7]].reset_index(drop=True),
    )


@pytest.mark.parametrize("room", [2**28, 0], ids=["kept", "passing"])
def test_where_all_customers_of_a_chunk_are_interpolated(monkeypatch, room) -> None:
    """Where nobody is left to compute directly, and with room for no nodes to be kept."""
    from clvmodels.forecast import curves

    monkeypatch.setattr(curves, "_MOST_BYTES", room)
    _, other = both("bgnbd", something)
    T = np.tile(np.arange(2.0, 200.0), len(LEVELS))
    frame = pd.DataFrame(
        {"customer_id": np.arange(len(T)), "frequency": 1.0, "recency": T // 2.0, "T": T}
    ).assign(monetary_value=30.0, channel=np.repeat(LEVELS, len(T) // len(LEVELS)))
    some = frame.iloc[::90]
    found = other.predict(frame, horizon="90D").iloc[::90].reset_index(drop=True)
    same(found, other.predict(some, horizon="90D").reset_index(drop=True))


def test_the_column_must_be_there() -> None:
    _, other = both("bgnbd", something)
    with pytest.raises(SchemaError, match="no column 'channel', a covariate of the model"):
        other.predict(FRAME.drop(columns="channel"), horizon="90D")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_files_of_customers(tmp_path, suffix) -> None:
    """A file, several horizons and intervals of outcomes: as predict."""
    _, other = both("mbgnbd", something)
    source = tmp_path / f"base{suffix}"
    if suffix == ".csv":
        FRAME.to_csv(source, index=False)
    else:
        RFM.to_parquet(source)
    terms = {"horizon": ["90D", "365D"], "predictive": True, "draws": S}
    units = {"time_unit": "D"} if suffix == ".csv" else {}
    clv.score(
        source, posterior=other, output=tmp_path / "s.parquet", block_rows=50, **terms, **units
    )
    found = pd.read_parquet(tmp_path / "s.parquet")
    wanted = other.predict(RFM, **terms)[list(found.columns)]
    assert_frame_equal(found, wanted, rtol=1e-12, check_dtype=False)


def test_a_file_without_the_column(tmp_path) -> None:
    _, other = both("bgnbd", something)
    table_of(FRAME.drop(columns="channel")).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match="lacks channel, of which the model's covariates"):
        clv.score(tmp_path / "b.parquet", posterior=other, output=tmp_path / "s.parquet")


def test_unknown_levels_have_the_doubt_of_the_population() -> None:
    _, other = both("bgnbd", something)
    new = replace(RFM, table=table_of(FRAME.assign(channel="radio")).table)
    with pytest.warns(UserWarning, match="240 of 240 customers have values of 'channel' that the"):
        found = other.purchases.expected_probability_alive(new)
    alone = of_level(other.purchases, "(other)").expected_probability_alive(new)
    np.testing.assert_allclose(found, alone, rtol=1e-12)


def test_who_is_not_known_is_said_with_what_to_do() -> None:
    """Of categories by pooling them; a number that is missing is no level of a population."""
    _, other = both("bgnbd", something)
    new = table_of(FRAME.assign(channel="radio"))
    with pytest.warns(UserWarning, match=r"by Pooled\('channel'\) if new ones keep coming"):
        other.predict(new, horizon="90D", margin=1.0)
    frame = FRAME.assign(age=40.0)
    aged = Factor("age", ("30", "50"), (120, 120), (40.0,), (-1.0, 1.0), numeric=True)
    design = Design((aged,), (Effect("purchases", "age", "number", 1.0, aged.levels),))
    posterior = with_effects(plain_posterior(), design, nothing)
    with pytest.warns(UserWarning, match="3 of 240 customers have no number in 'age': they are"):
        posterior.predict(frame.assign(age=frame["age"].mask(frame.index < 3)), horizon="90D")


def test_scoring_counts_customers_of_levels_that_were_not_fitted(tmp_path) -> None:
    _, other = both("bgnbd", something)
    channel = FRAME["channel"].mask(FRAME.index < 7, "radio")
    table_of(FRAME.assign(channel=channel)).to_parquet(tmp_path / "b.parquet")
    how = {"posterior": other, "draws": 5, "block_rows": 100}
    found = clv.score(tmp_path / "b.parquet", output=tmp_path / "s.parquet", **how)
    assert found.unknown_levels == found.record["rows"]["unknown_levels"] == 7
    table_of(FRAME).to_parquet(tmp_path / "c.parquet")
    assert (
        clv.score(tmp_path / "c.parquet", output=tmp_path / "t.parquet", **how).unknown_levels == 0
    )


def test_weeks_and_repeats_go_by_what_each_customer_came_as() -> None:
    """As a backtest and the report expect them of customers of whom only the start is known."""
    from clvmodels.evaluation.repeats import mean_repeats, repeats_by_draw
    from clvmodels.evaluation.tracking import expected_of_new
    from clvmodels.posterior.predicting import columns_of

    _, other = both("mbgcnbd2", something)
    posterior = other.purchases
    born = columns_of(posterior, RFM, None).born
    first, edges = np.arange(len(FRAME)) % 50.0, np.array([30.0, 90.0, 120.0])
    ages, ones = FRAME["T"].to_numpy(), np.ones(len(FRAME))
    weeks = expected_of_new(posterior.formulas, posterior.draws(), first, edges, born)
    in_columns = {name: v[:, None] for name, v in posterior.draws().items()}
    counts, _ = repeats_by_draw(posterior.formulas, in_columns, ages, ones, born)
    means = mean_repeats(posterior.formulas, in_columns, ages, ones, born)
    total, own_counts, own_means = 0.0, 0.0, 0.0
    for level in LEVELS:
        rows = np.flatnonzero(FRAME["channel"] == level)
        alone = of_level(posterior, level)
        plain = {name: v[:, None] for name, v in alone.draws().items()}
        how = alone.formulas, plain, ages[rows], ones[rows]
        total = total + expected_of_new(alone.formulas, alone.draws(), first[rows], edges)
        own_counts = own_counts + repeats_by_draw(*how)[0]
        own_means = own_means + mean_repeats(*how) * len(rows)
    np.testing.assert_allclose(weeks, total, rtol=1e-10)
    np.testing.assert_allclose(counts, own_counts, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(means * len(FRAME), own_means, rtol=1e-10)


def test_of_many_strata_more_customers_are_scored_at_a_time_on_one_machine(tmp_path) -> None:
    """By few strata, and on Spark, whose tasks share memory, as many as without covariates."""
    from clvmodels.scoring import local
    from clvmodels.spark import files

    _, other = both("bgnbd", something)
    RFM.to_parquet(tmp_path / "b.parquet")
    report = clv.score(tmp_path / "b.parquet", posterior=other, output=tmp_path / "s", draws=S)
    assert report.record["options"]["block_rows"] == 500_000
    assert local._Here().block_rows(50) == 2_500_000
    assert files.BLOCK_ROWS == 500_000
