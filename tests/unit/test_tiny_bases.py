"""A few draws with q <= 1 leave the value of one-time buyers empty, and of nobody else.

Sums of values are of the others, and say how many they leave out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable, economics
from clvmodels.cli import main
from clvmodels.errors import DomainError
from clvmodels.evaluation.fitting import Fitting
from clvmodels.posterior import total_value
from clvmodels.scoring import Scorer
from clvmodels.simulate import simulate_log
from clvmodels.spark.blocks import scored

rng = np.random.default_rng(20)
Q = 3.7 * rng.lognormal(0, 0.1, 200)
Q[17] = 0.95  # half a percent of the draws
BUYS = BetaGeoPosterior.from_draws(r=0.24 * rng.lognormal(0, 0.05, 200), alpha=31.0, a=0.8, b=2.4)
POSTERIOR = CLVPosterior(BUYS, GammaGammaPosterior.from_draws(p=6.2, q=Q, v=15.4), margin=0.3)
FRAME = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "frequency": [0, 2, 0, 7],
        "recency": [0.0, 213.0, 0.0, 206.0],
        "T": [272.0, 272.0, 100.0, 272.0],
        "monetary_value": [0.0, 22.35, 0.0, 73.74],
        "first_value": [10.0, 20.0, 50.0, 8.0],
    }
)
REPEAT = FRAME["frequency"] > 0
MONEY = [
    *("expected_spend", "expected_spend_lower", "expected_spend_upper"),
    *("clv", "clv_sd", "clv_lower", "clv_upper", "total_value"),
]
OTHERS = ["p_alive", "p_purchase", "expected_purchases", "discounted_purchases", "p_alive_lower"]
REASON = "expected spend is infinite in 0.5 % of the draws at this frequency"
HALF = "2 of 4 customers have no expected value"


@pytest.mark.parametrize("predictive", [False, True])
@pytest.mark.parametrize("horizon", ["365D", None])
def test_predict_fills_what_is_finite(horizon: str | None, predictive: bool) -> None:
    if predictive and horizon is None:
        return
    options: dict[str, Any] = {"horizon": horizon, "predictive": predictive}
    with pytest.warns(UserWarning, match=HALF):
        found = POSTERIOR.predict(FRAME, **options)
    alone = POSTERIOR.predict(FRAME[REPEAT], **options)
    for name in MONEY:
        assert found[name].isna().tolist() == [True, False, True, False], name
        np.testing.assert_array_equal(found.loc[REPEAT, name], alone[name])
    assert found[OTHERS[:2]].notna().all(axis=None)
    assert found["discounted_purchases"].notna().all()
    assert found["reason"].isna().tolist() == [False, True, False, True]
    assert set(found["reason"].dropna()) == {REASON}
    assert alone["reason"].isna().all()


def test_other_frames_have_nulls_and_the_reason() -> None:
    import polars as pl

    for frame in (pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME)):
        with pytest.warns(UserWarning, match=HALF):
            found = POSTERIOR.predict(frame)
        table = found if isinstance(found, pa.Table) else found.to_arrow()
        assert table["clv"].null_count == 2
        assert table["reason"].to_pylist() == [REASON, None, REASON, None]


@pytest.mark.parametrize("output", ["scores.parquet", "scores.csv"])
def test_score_fills_what_is_finite(output: str, tmp_path: Path) -> None:
    RfmTable.from_pandas(FRAME).to_parquet(tmp_path / "rfm.parquet")
    with pytest.warns(UserWarning, match=r"infinite in 0\.5 % of the draws at frequency 0"):
        report = clv.score(tmp_path / "rfm.parquet", POSTERIOR, tmp_path / output, intervals="all")
    assert (report.scored, report.rejected, report.without_value) == (4, 0, 2)
    alone = total_value(POSTERIOR, RfmTable.from_pandas(FRAME[REPEAT]))
    assert report.clv.mean == pytest.approx(alone.mean)
    assert report.clv.upper == pytest.approx(alone.upper)
    assert any("infinite" in text for text in report.warnings)
    path = tmp_path / output
    found = pd.read_parquet(path) if output.endswith("parquet") else pd.read_csv(path)
    found = found.sort_values("customer_id").reset_index(drop=True)
    with pytest.warns(UserWarning, match=HALF):
        want = POSTERIOR.predict(FRAME)
    for name in (*MONEY, *OTHERS, "margin"):
        np.testing.assert_allclose(found[name], want[name], rtol=1e-12, err_msg=name)
    assert found["reason"].isna().tolist() == [False, True, False, True]


def test_blocks_of_spark_have_it_beside_their_own_reasons() -> None:
    bad = pd.concat([FRAME, FRAME.iloc[[1]].assign(customer_id="e", recency=-1.0)])
    batch = pa.Table.from_pandas(bad, preserve_index=False).combine_chunks().to_batches()[0]
    found = scored(Scorer(POSTERIOR), batch, None)
    assert found["reason"].to_pylist() == [REASON, None, REASON, None, "recency is negative"]
    assert found["clv"].null_count == 3
    assert found["expected_purchases"].null_count == 1


def test_nothing_is_added_where_everybody_has_a_value() -> None:
    sound = CLVPosterior(BUYS, GammaGammaPosterior.from_draws(p=6.2, q=Q + 0.1, v=15.4))
    assert "reason" not in sound.predict(FRAME)
    batch = pa.RecordBatch.from_pandas(FRAME, preserve_index=False)
    assert "reason" not in Scorer(sound).score(batch).scores.column_names


# --- sums: of those who have a value, and how many are not in them ---

TABLE = RfmTable.from_pandas(FRAME.assign(channel=["web", "web", "shop", "web"]))
REST = RfmTable.from_pandas(FRAME[REPEAT].assign(channel=["web", "web"]))
PAST = 0.3 * np.array([10.0, 20 + 2 * 22.35, 50.0, 8 + 7 * 73.74])


def test_a_total_is_of_those_who_have_a_value() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = total_value(POSTERIOR, TABLE)
    alone = total_value(POSTERIOR, REST)
    assert found.mean == pytest.approx(POSTERIOR.predict(REST)["clv"].sum())
    np.testing.assert_allclose(found.draws, alone.draws, rtol=1e-12)
    assert (found.lower, found.upper) == pytest.approx((alone.lower, alone.upper))
    assert (found.customers, found.without_value, alone.without_value) == (4, 2, 0)
    assert "infinite in 0.5 % of the draws" in found.reason
    assert "without_value  2" in repr(found)
    assert alone.reason == ""
    with pytest.warns(UserWarning, match=HALF):
        equity = economics.customer_equity(POSTERIOR, TABLE)
    assert (equity.mean, equity.without_value) == (found.mean, 2)


def test_there_is_no_total_of_nobody() -> None:
    once = RfmTable.from_pandas(FRAME[~REPEAT])
    for verb in (
        lambda: total_value(POSTERIOR, once),
        lambda: economics.tier_report(POSTERIOR, once),
        lambda: economics.action_lists(POSTERIOR, once),
        lambda: POSTERIOR.new_customer_value(),
        lambda: economics.payback_period(POSTERIOR, 10.0),
    ):
        with pytest.raises(DomainError, match=r"0\.5 % of the draws"):
            verb()
    assert "0.5 % of the draws" in clv.report(POSTERIOR, TABLE).json


def test_tiers_have_a_row_of_those_without() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = economics.tier_report(POSTERIOR, TABLE, quantiles=[0.5]).set_index("tier")
    alone = economics.tier_report(POSTERIOR, REST, quantiles=[0.5]).set_index("tier")
    assert found.index.tolist() == ["tier 1", "tier 2", "(no value)", "(whole)"]
    assert found["customers"].tolist() == [1, 1, 2, 4]
    assert found["without_value"].tolist() == [0, 0, 2, 2]
    kept = ["tier 1", "tier 2", "(whole)"]
    for name in ("clv", "clv_lower", "clv_per_customer", "value_share", "value_share_upper"):
        np.testing.assert_allclose(found.loc[kept, name], alone[name], rtol=1e-12, err_msg=name)
        assert np.isnan(found.loc["(no value)", name]), name
    assert found.loc["(no value)", "past_revenue"] == 60.0
    assert "without_value" not in alone


def test_scores_without_a_value_are_in_no_tier() -> None:
    import polars as pl

    for frame in (FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME)):
        with pytest.warns(UserWarning, match=HALF):
            scores = POSTERIOR.predict(frame)
        tiers = clv.value_tiers(scores, quantiles=[0.5])
        found = pa.table(tiers)["tier"].to_pylist()
        assert found == [None, "tier 2", None, "tier 1"]
        moved = clv.tier_movement(tiers, tiers)
        if frame is FRAME:
            assert moved.index.tolist() == ["tier 1", "tier 2", "(no value)", "new"]
            assert np.diag(moved).tolist() == [1, 1, 2, 0]
    with pytest.raises(clv.SchemaError, match="2 customers have a clv that is missing"):
        clv.value_tiers(scores.drop_columns("reason"))


def test_top_shares_are_of_those_who_have_a_value() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = economics.top_shares(POSTERIOR, TABLE, shares=[0.5])
    alone = economics.top_shares(POSTERIOR, REST, shares=[0.5])
    assert found.pop("without_value").tolist() == [2]
    pd.testing.assert_frame_equal(found, alone)


def test_segments_count_them_apart() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = economics.segment_report(POSTERIOR, TABLE, by="channel", cac=5.0)
    found = found.set_index("channel")
    alone = economics.segment_report(POSTERIOR, REST, by="channel", cac=5.0).set_index("channel")
    assert found["customers"].to_dict() == {"shop": 1, "web": 3, "(whole)": 4}
    assert found["without_value"].to_dict() == {"shop": 1, "web": 1, "(whole)": 2}
    for name in ("clv", "clv_per_customer", "clv_upper", "ltv", "ltv_lower", "ltv_to_cac"):
        assert np.isnan(found.loc["shop", name]), name
        for segment in ("web", "(whole)"):
            assert found.loc[segment, name] == pytest.approx(alone.loc[segment, name]), name
    assert found["past_margin"].to_dict() == pytest.approx(
        {"shop": PAST[2], "web": PAST[[0, 1, 3]].sum(), "(whole)": PAST.sum()}
    )
    assert (
        found["note"].str.startswith(("1 of 1 customers have", "1 of 3 customers have", HALF)).all()
    )
    with pytest.warns(UserWarning, match=HALF):
        value = economics.acquired_customer_value(POSTERIOR, TABLE)
    assert value.mean == pytest.approx(alone.loc["(whole)", "ltv"])
    assert value.note.startswith(HALF)


def test_action_lists_keep_them_without_a_value() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = economics.action_lists(POSTERIOR, TABLE, top=0.5)
    alone = economics.action_lists(POSTERIOR, REST, top=0.5)
    rows = found.customers
    assert rows["clv"].isna().tolist() == rows["clv_lost"].isna().tolist()
    assert rows["clv"].isna().tolist() == [True, False, True, False]
    assert rows["valuable"].tolist() == [False, False, False, True]
    assert rows["reason"].tolist()[0] == REASON
    whole = found.counts.iloc[-1]
    assert (whole["customers"], whole["without_value"]) == (4, 2)
    assert whole["clv"] == pytest.approx(alone.counts["clv"].iloc[-1])
    once = found.counts[found.counts["state"].isin(["one-time", "new"])]
    assert once.loc[once["customers"] > 0, "clv"].isna().all()
    assert found.one_time["customer_id"].tolist() == ["c", "a"]


def test_the_comparison_leaves_them_out() -> None:
    actual = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 8.0}
    with pytest.warns(UserWarning, match=HALF):
        found = economics.compare_with_simple(POSTERIOR, TABLE, groups=2, actual=actual)
    assert found["customers"].tolist() == [1, 1, 2]
    assert found["actual"].tolist() == [8.0, 2.0, 10.0]
    assert found["model"].iloc[-1] == pytest.approx(POSTERIOR.predict(REST)["clv"].sum())
    assert found["note"].iloc[-1].startswith(HALF)


@pytest.mark.parametrize("by", [None, "channel"])
def test_totals_of_what_will_happen_leave_them_out(by: str | None) -> None:
    options: dict[str, Any] = {"by": by, "paths": 200, "draws": 50}
    draws = CLVPosterior(BUYS, GammaGammaPosterior.from_draws(p=6.2, q=Q[:50], v=15.4), margin=0.3)
    with pytest.warns(UserWarning, match=HALF):
        found = clv.portfolio(draws, TABLE, **options)
    alone = clv.portfolio(draws, REST, paths=200, draws=50)
    np.testing.assert_allclose(found.draws("value"), alone.draws("value"), rtol=1e-12)
    whole = found.table.iloc[-1]
    for name in ("value", "value_sd", "value_lower", "value_upper"):
        assert whole[name] == pytest.approx(alone.table[name].iloc[-1])
    with pytest.warns(UserWarning, match=HALF):
        scores = draws.predict(TABLE, draws=50)
    assert whole["value"] == pytest.approx(scores["clv"].sum())
    assert whole["buyers"] == pytest.approx(scores["p_purchase"].sum())  # of all of them
    assert (whole["customers"], whole["without_value"], found.without_value) == (4, 2, 2)
    assert "infinite in 2.0 % of the draws" in found.reason
    if by:
        shop = found.table.iloc[0]
        assert (shop["channel"], shop["customers"], shop["without_value"]) == ("shop", 1, 1)
        assert shop[["value", "value_sd", "value_lower", "value_upper"]].isna().all()
        assert shop["buyers"] > 0
    assert (alone.without_value, alone.reason) == (0, "")
    assert "without_value" not in alone.table


def test_distributions_of_value_have_no_mean_there() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = clv.value_distribution(POSTERIOR, FRAME, paths=400)
    alone = clv.value_distribution(POSTERIOR, FRAME[REPEAT], paths=400)
    outcomes = [5.0, 0.0, 0.0, 30.0]
    assert found.reason is not None
    assert found.reason.tolist() == [REASON, None, REASON, None]
    for name, both, kept in (
        ("mean", found.mean, alone.mean),
        ("crps", found.crps(outcomes), alone.crps([0.0, 30.0])),
    ):
        assert np.isnan(both).tolist() == [True, False, True, False], name
        np.testing.assert_allclose(both[REPEAT], kept, rtol=1e-12)
    assert np.isfinite(found.quantile([0.5, 0.95])).all()  # the distribution itself is there
    assert ((found.cdf(outcomes) > 0) & (found.cdf(outcomes) <= 1)).all()
    assert alone.reason is None


def test_futures_have_purchases_and_no_value_there() -> None:
    with pytest.warns(UserWarning, match=HALF):
        found = clv.simulate_future(POSTERIOR, FRAME, paths=200)
    assert np.isnan(found.values).all(axis=1).tolist() == [True, False, True, False]
    assert found.counts[0].sum() > 0
    assert set(found.purchases["customer_id"]) >= {"a", "b", "c"}
    assert found.reason is not None
    assert found.reason.tolist() == [REASON, None, REASON, None]
    totals = found.totals()
    np.testing.assert_allclose(totals["value"], found.values[REPEAT].sum(axis=0))
    assert totals["purchases"].tolist() == found.counts.sum(axis=0).tolist()
    assert set(totals["without_value"]) == {2}


@pytest.mark.filterwarnings("ignore:.*have no expected value")
def test_a_backtest_compares_the_value_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    log = simulate_log(
        60, r=0.5, alpha=20.0, a=0.8, b=2.5, p=6.2, q=3.7, v=15.4, T=(200.0, 300.0), seed=11
    )

    def fit(self: Fitting, rfm: RfmTable, **changes: Any) -> CLVPosterior:
        return POSTERIOR

    monkeypatch.setattr(Fitting, "fit", fit)
    found = clv.backtest(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        horizon="60D",
        train_period_end=log["date"].max() - pd.Timedelta("60D"),
        margin=0.3,
        bootstrap=20,
        draws=200,
        progressbar=False,
    )
    rows = found.customers
    once = rows["frequency"] == 0
    assert 0 < once.sum() < len(rows)
    assert rows["value_model"].isna().equals(once)
    assert rows["purchases_model"].notna().all()
    totals = found.totals[found.totals["target"] == "value"]
    assert totals["forecast"].iloc[0] == pytest.approx(rows["value_model"].sum())
    assert totals["actual"].iloc[0] == pytest.approx(rows.loc[~once, "value_actual"].sum())
    assert found.metrics.loc[found.metrics["metric"] != "log_score", "value"].notna().any()
    assert any(f"value: {once.sum()} of {len(rows)} customers have no" in n for n in found.notes)
    shown = clv.report(POSTERIOR, clv.RfmTable.from_pandas(FRAME), backtest=found)
    assert "gains-value" in shown.json


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_command_says_how_many_have_no_value(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    POSTERIOR.save(tmp_path / "posterior.nc")
    RfmTable.from_pandas(FRAME).to_parquet(tmp_path / "rfm.parquet")
    rfm, posterior, output = (
        str(tmp_path / name) for name in ("rfm.parquet", "posterior.nc", f"scores.{kind}")
    )
    assert main(["score", rfm, "--posterior", posterior, "-o", output]) == 0
    shown = capsys.readouterr()
    assert "the value of the base leaves them out" in " ".join(shown.err.split())
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    total = total_value(POSTERIOR, RfmTable.from_pandas(FRAME[REPEAT])).mean
    assert f"expected value of the base {total:,.0f}" in lines
    assert "customers without a value, not included 2" in lines
    assert "their expected value -" in lines  # of those who bought once
