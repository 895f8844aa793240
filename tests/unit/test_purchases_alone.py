"""A posterior of purchases predicts without spend: the same purchases, and no money."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clvmodels import CLVPosterior, GammaGammaPosterior, RfmTable
from clvmodels.errors import DomainError, SchemaError, TimeUnitError, UnknownOptionError
from clvmodels.posterior.purchases import PurchasePosterior, purchase_posterior
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_rfm

RNG = np.random.default_rng(8)
DRAWS = {
    name: value * np.exp(0.1 * RNG.standard_normal(40))
    for name, value in {"r": 0.6, "alpha": 30.0, "a": 1.6, "b": 2.5}.items()
}
SPENT = GammaGammaPosterior.from_draws(p=6.25, q=np.linspace(3, 4, 40), v=15.44)
TABLE = simulate_rfm(
    300, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(0, 400), seed=4, cents=True
)
BARE = TABLE.drop(columns="monetary_value")
COLUMNS = [
    *("customer_id", "frequency", "recency", "T"),
    *("p_alive", "p_purchase", "expected_purchases", "discounted_purchases"),
    *("p_alive_lower", "p_alive_upper", "expected_purchases_lower", "expected_purchases_upper"),
]


@pytest.fixture(params=MODELS)
def posterior(request: pytest.FixtureRequest) -> PurchasePosterior:
    return purchase_posterior(request.param).from_draws(**DRAWS)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"horizon": "12M", "discounting": "monthly", "discount_rate": 0.2, "interval": 0.5},
        {"horizon": None},
        {"horizon": 52.0, "draws": 7, "predictive": True},
    ],
)
def test_purchases_are_those_beside_values(posterior: PurchasePosterior, options: dict) -> None:
    found = posterior.predict(BARE, **options)
    beside = CLVPosterior(posterior, SPENT).predict(TABLE, **options)
    more = ["purchases_lower", "purchases_upper"] if options.get("predictive") else []
    assert list(found) == COLUMNS + more
    pd.testing.assert_frame_equal(found, beside[list(found)], rtol=1e-12, atol=0)


def test_amounts_are_not_read(posterior: PurchasePosterior) -> None:
    odd = TABLE.assign(monetary_value=np.nan)
    pd.testing.assert_frame_equal(posterior.predict(odd), posterior.predict(BARE))


@pytest.mark.parametrize(
    "convert", [pl.from_pandas, lambda f: pl.from_pandas(f).lazy(), pa.Table.from_pandas]
)
def test_frames_of_other_libraries(posterior: PurchasePosterior, convert) -> None:
    found = posterior.predict(convert(BARE))
    assert isinstance(found, pl.DataFrame | pa.Table)
    again = found.to_pandas()
    pd.testing.assert_frame_equal(again, posterior.predict(BARE), check_dtype=False)


def test_a_table_knows_its_unit(posterior: PurchasePosterior) -> None:
    weeks = RfmTable.from_frame(BARE.assign(recency=0.0, frequency=0), time_scaler=7)
    with pytest.raises(TimeUnitError):
        posterior.predict(weeks)
    with pytest.raises(TimeUnitError):
        posterior.predict(BARE, time_unit="W")


def test_one_customer_and_none(posterior: PurchasePosterior) -> None:
    whole = posterior.predict(BARE)
    pd.testing.assert_frame_equal(posterior.predict(BARE[:1]), whole[:1], rtol=1e-9)
    assert posterior.predict(BARE[:0]).shape == (0, len(COLUMNS))


def test_a_mode_has_no_intervals(posterior: PurchasePosterior) -> None:
    point = type(posterior).from_draws(r=0.6, alpha=30, a=1.6, b=2.5)
    found = point.predict(BARE)
    assert found.filter(regex="_(lower|upper)$").isna().all(axis=None)
    assert found["expected_purchases"].notna().all()


def test_what_is_infinite_is_empty_or_refused() -> None:
    endless = purchase_posterior("bgnbd").from_draws(r=0.6, alpha=30, a=[0.9, 1.2], b=2.5)
    found = endless.predict(BARE, horizon=None)
    assert found["expected_purchases"].isna().all()
    assert np.isfinite(found["discounted_purchases"]).all()
    with pytest.raises(DomainError, match="a <= 1"):
        endless.predict(BARE, horizon=None, discount_rate=0.0)
    with pytest.raises(DomainError, match="finite horizon"):
        endless.predict(BARE, horizon=None, predictive=True)


def test_options_are_checked(posterior: PurchasePosterior) -> None:
    with pytest.raises(UnknownOptionError, match="predict has no option 'margin'"):
        posterior.predict(BARE, margin=0.3)
    with pytest.raises(DomainError):
        posterior.predict(BARE, interval=1.0)
    with pytest.raises(SchemaError):
        posterior.predict(BARE, discounting="daily")
    assert not math.isnan(posterior.predict(BARE, discount_rate=0.0)["p_purchase"].sum())
