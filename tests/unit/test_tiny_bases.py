"""A few draws with q <= 1 leave the value of one-time buyers empty, and of nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable, economics
from clvmodels.errors import DomainError
from clvmodels.posterior import total_value
from clvmodels.scoring import Scorer
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
REASON = "expected spend is infinite in 0.5% of the draws at this frequency"
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
    with pytest.warns(UserWarning, match=r"infinite in 0\.5% of the draws at frequency 0"):
        report = clv.score(tmp_path / "rfm.parquet", POSTERIOR, tmp_path / output, intervals="all")
    assert (report.scored, report.rejected) == (4, 0)
    assert np.isnan(report.clv.mean)
    assert np.isnan(report.clv.upper)
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


def test_sums_over_everybody_say_why_there_are_none() -> None:
    table = RfmTable.from_pandas(FRAME)
    for verb in (
        lambda: total_value(POSTERIOR, table),
        lambda: economics.tier_report(POSTERIOR, table),
        lambda: economics.action_lists(POSTERIOR, table),
        lambda: POSTERIOR.new_customer_value(),
    ):
        with pytest.raises(DomainError, match=r"0\.5% of the draws"):
            verb()
    rest = RfmTable.from_pandas(FRAME[REPEAT])
    with_value = POSTERIOR.predict(rest)["clv"].sum()
    assert total_value(POSTERIOR, rest).mean == pytest.approx(with_value)
    assert economics.tier_report(POSTERIOR, rest)["clv"].iloc[-1] == pytest.approx(with_value)
    report = clv.report(POSTERIOR, table)
    assert "0.5% of the draws" in report.json
