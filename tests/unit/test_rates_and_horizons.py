"""Rates and horizons: every usual way of writing one, and none out of proportion."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable, economics
from clvmodels.errors import ClvError, DomainError, TimeUnitError
from clvmodels.posterior import total_value
from clvmodels.schema import TimeScale, plain_horizon

WEEKS = TimeScale("D", 7)
POSTERIOR = CLVPosterior(
    BetaGeoPosterior.from_draws(r=0.243, alpha=4.414, a=0.793, b=2.426, time_scaler=7),
    GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
)
RFM = RfmTable.from_pandas(
    pd.DataFrame(
        {
            "customer_id": [1, 2],
            "frequency": [2, 0],
            "recency": [30.43, 0.0],
            "T": [38.86, 38.86],
            "monetary_value": [22.35, 0.0],
        }
    ),
    time_scaler=7,
)
LENGTHS: dict[str, Any] = {
    "lower case": "365d",
    "words": "365 days",
    "hours": "8760h",
    "Python": timedelta(days=365),
    "pandas": pd.Timedelta("365D"),
    "NumPy": np.timedelta64(365, "D"),
    "NumPy seconds": np.timedelta64(365 * 86_400, "s"),
    "a number of weeks": 365 / 7,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_year_is_a_year_however_it_is_written(name: str) -> None:
    horizon = LENGTHS[name]
    assert WEEKS.horizon(horizon) == pytest.approx(365 / 7, rel=1e-12)
    want = POSTERIOR.predict(RFM, horizon="365D")
    np.testing.assert_allclose(POSTERIOR.predict(RFM, horizon=horizon)["clv"], want["clv"])


@pytest.mark.parametrize(
    ("horizon", "days"),
    [
        ("12m", 365.25),
        ("1 Year", 365.25),
        ("2 weeks", 14.0),
        ("52w", 364.0),
        (np.timedelta64(12, "M"), 365.25),
        (pd.Timedelta("36h"), 1.5),
        (np.float32(3), 3.0),
    ],
)
def test_lengths_in_days(horizon: Any, days: float) -> None:
    assert TimeScale().horizon(horizon) == pytest.approx(days)


@pytest.mark.parametrize(
    "horizon",
    [
        *(np.array([30.0, 90.0]), np.array([3.0]), {"D": 3}),
        *("12", "a year", "12Q", "12 minutes", "1Y6M", "", True, pd.DateOffset(months=3), b"12M"),
    ],
)
def test_what_is_not_one_length_is_refused_with_what_is_accepted(horizon: Any) -> None:
    with pytest.raises(TimeUnitError, match="not one length of time: write '365D', '52W', '12M'"):
        POSTERIOR.predict(RFM, horizon=horizon)


@pytest.mark.parametrize("horizon", [["365D"], [30, 90], ("12M",)])
def test_several_lengths_are_refused_where_one_is_meant(horizon: Any) -> None:
    with pytest.raises(TimeUnitError, match="not one length of time: write '365D', '52W', '12M'"):
        POSTERIOR.new_customer_value(horizon)


@pytest.mark.parametrize(
    "horizon", [-1, "nan", float("nan"), timedelta(days=-1), np.timedelta64("NaT"), pd.NaT]
)
def test_no_length_is_negative_or_missing(horizon: Any) -> None:
    with pytest.raises(ClvError, match="horizon"):
        POSTERIOR.new_customer_value(horizon)


def test_several_lengths_where_they_are_meant() -> None:
    several = POSTERIOR.purchases.expected_purchases_new_customer(t=["52W", 26, timedelta(days=7)])
    one = [POSTERIOR.purchases.expected_purchases_new_customer(t=t).item() for t in (52, 26, 1)]
    np.testing.assert_allclose(several.to_numpy().ravel(), one)


def test_a_bare_number_is_shown_with_its_unit() -> None:
    assert WEEKS.horizon_words(12) == "12 weeks"
    assert TimeScale().horizon_words(12) == "12 days"
    assert TimeScale("M").horizon_words(12) == "12 months"
    assert TimeScale("D", 10).horizon_words(12) == "12 units of 10 days"
    assert WEEKS.horizon_words("12m") == "12 months"
    assert "12 weeks" in repr(POSTERIOR.new_customer_value(12))
    assert total_value(POSTERIOR, RFM, horizon=12).horizon == "12 weeks"
    assert total_value(POSTERIOR, RFM, horizon=None).horizon == "remaining lifetime"


@pytest.mark.parametrize("horizon", ["12m", timedelta(days=90), 12, 12.5])
def test_reports_and_scores_say_the_horizon(horizon: Any, tmp_path: Path) -> None:
    words = WEEKS.horizon_words(horizon)
    assert f"the next {words}" in clv.report(POSTERIOR, RFM, horizon=horizon).json
    RFM.to_parquet(tmp_path / "rfm.parquet")
    report = clv.score(
        tmp_path / "rfm.parquet", POSTERIOR, tmp_path / "scores.parquet", horizon=horizon
    )
    assert report.record["options"]["horizon"] == plain_horizon(horizon)
    want = POSTERIOR.predict(RFM, horizon=horizon)["clv"]
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "scores.parquet")["clv"], want)


VERBS: dict[str, Any] = {
    "predict": lambda rate: POSTERIOR.predict(RFM, discount_rate=rate),
    "new customer": lambda rate: POSTERIOR.new_customer_value("12M", rate),
    "total": lambda rate: total_value(POSTERIOR, RFM, discount_rate=rate),
    "payback": lambda rate: economics.payback_period(POSTERIOR, 30.0, discount_rate=rate),
    "inputs": lambda rate: (
        economics.SimpleInputs(
            order_value=50, orders_per_year=4, churn=0.2, discount_rate=rate
        ).value
    ),
    "report": lambda rate: clv.report(POSTERIOR, RFM, discount_rate=rate),
    "simple": lambda rate: clv.formulas.simple.discounted_lifetime_value(
        100, retention=0.8, discount_rate=rate
    ),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("rate", "says"),
    [
        (10, "1,000 % a year: did you mean 0.10"),
        (1.0, "0.01"),
        (8.5, "did you mean 0.085"),
        (250, "0.10"),
    ],
)
def test_rates_in_percent_are_refused(verb: str, rate: float, says: str) -> None:
    with pytest.raises(DomainError, match="did you mean") as found:
        VERBS[verb](rate)
    assert says.replace(" %", "%") in str(found.value).replace(" %", "%")


@pytest.mark.parametrize("verb", VERBS)
def test_rates_below_one_are_taken(verb: str) -> None:
    VERBS[verb](0.0)
    VERBS[verb](0.999)
