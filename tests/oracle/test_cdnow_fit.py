"""The CDNOW sample, trained to 1997-09-30: published fits, in any unit, and the peer's."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    ModifiedBetaGeoModel,
    RfmTable,
    datasets,
    rfm_summary,
    rfm_train_test_split,
)
from clvmodels.formulas import bgnbd, gamma_gamma

# Maximum likelihood and standard errors; times in weeks, money in dollars.
BGNBD = {"r": 0.24259454, "alpha": 4.41360188, "a": 0.79291991, "b": 2.42588806}
BGNBD_ERROR = {"r": 0.01256, "alpha": 0.37822, "a": 0.18573, "b": 0.70541}
SPEND = {"p": 6.24934918, "q": 3.74425633, "v": 15.44430668}
SPEND_ERROR = {"p": 1.190, "q": 0.290, "v": 4.160}
MBGNBD = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}

LOG = datasets.load_cdnow(sample=True)
COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
END = "1997-09-30"
NUTS = {"method": "nuts", "draws": 2_000, "random_seed": 20, "progressbar": False}


def table(*, time_scaler: float = 1, cents: bool = False) -> RfmTable:
    log = LOG.assign(amount=LOG["amount"] * 100) if cents else LOG
    return rfm_summary(log, **COLUMNS, time_scaler=time_scaler, observation_period_end=END)


# --- without sampling: the data and the published maximum ---


def test_the_data_have_the_published_log_likelihoods() -> None:
    rfm = table(time_scaler=7).to_pandas()
    assert len(rfm) == 2_357
    x, t_x, T, m = (rfm[n].to_numpy(float) for n in ("frequency", "recency", "T", "monetary_value"))
    assert bgnbd.log_likelihood(x, t_x, T, **BGNBD).sum() == pytest.approx(-9582.429207, abs=1e-6)
    repeat = (x > 0) & (m > 0)
    assert repeat.sum() == 946
    found = gamma_gamma.log_likelihood(x[repeat], m[repeat], **SPEND).sum()
    assert found == pytest.approx(-4055.917695, abs=1e-6)


def test_new_customers_of_the_published_spreadsheet() -> None:
    posterior = BetaGeoPosterior.from_draws(**BGNBD, time_scaler=7)
    times = [0.1429, 1, 3, 31.8571, 32, 78]
    found = posterior.expected_purchases_new_customer(t=times).to_numpy().ravel()
    np.testing.assert_allclose(found, [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8580], atol=6e-5)


def test_spend_of_the_first_ten_customers() -> None:
    rfm = table(time_scaler=7).to_pandas()
    ids = LOG.drop_duplicates("customer_id").sort_values("sample_id")["customer_id"].head(10)
    posterior = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44)
    found = posterior.expected_customer_spend(rfm.set_index("customer_id").loc[ids].reset_index())
    expected = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    # The note's parameters have more digits than it prints.
    np.testing.assert_allclose(found.to_numpy().ravel(), expected, rtol=2e-3)


def test_the_holdout_is_forecast_as_published() -> None:
    split = rfm_train_test_split(
        LOG, **COLUMNS, train_period_end=END, test_period_end="1998-06-30", time_scaler=7
    )
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(**BGNBD, time_scaler=7), GammaGammaPosterior.from_draws(**SPEND)
    )
    found = posterior.predict(split.train, horizon=39)
    assert (found["customer_id"] == split.test["customer_id"]).all()
    error = found["expected_purchases"] - split.test["test_frequency"]
    assert found["expected_purchases"].sum() == pytest.approx(1653.41, abs=0.005)
    assert split.test["test_frequency"].sum() == 1882
    assert error.abs().mean() == pytest.approx(0.785454, abs=1e-6)
    assert math.sqrt((error**2).mean()) == pytest.approx(1.607982, abs=1e-6)
    actual = split.test["test_frequency"] * split.test["test_monetary_value"]
    spend = found["expected_purchases"] * found["expected_spend"] - actual
    assert spend.abs().mean() == pytest.approx(30.4079, abs=1e-4)
    assert math.sqrt((spend**2).mean()) == pytest.approx(72.2989, abs=1e-4)
    assert spend.sum() / actual.sum() == pytest.approx(-0.1556, abs=1e-4)


# --- posteriors ---


def medians(posterior, *, time: float = 1.0, money: float = 1.0) -> dict[str, float]:
    """Posterior medians in weeks and dollars."""
    found = {name: float(np.median(values)) for name, values in posterior.draws().items()}
    units = {"alpha": time, "v": money}
    return {name: value / units.get(name, 1.0) for name, value in found.items()}


def assert_close(found: dict[str, float], truth, error, share: dict[str, float]) -> None:
    for name, value in truth.items():
        off = abs(found[name] - value) / error[name]
        assert off < share.get(name, 1.0), f"{name}: {off:.2f} standard errors away"


@pytest.mark.slow
@pytest.mark.parametrize(("time_scaler", "days"), [(1, 7.0), (7, 1.0)])
def test_purchases_sit_on_the_published_fit(time_scaler: int, days: float) -> None:
    posterior = BetaGeoModel().fit(table(time_scaler=time_scaler), **NUTS)
    assert posterior.verdict.status == "pass"
    assert posterior.metadata.observation_end == END
    half = {"r": 0.5, "alpha": 0.5}
    assert_close(medians(posterior, time=days), BGNBD, BGNBD_ERROR, half)


@pytest.mark.slow
@pytest.mark.parametrize("cents", [False, True])
def test_spend_sits_on_the_published_fit(cents: bool) -> None:
    posterior = GammaGammaModel().fit(table(cents=cents), **NUTS)
    assert posterior.verdict.status == "pass"
    assert_close(medians(posterior, money=100.0 if cents else 1.0), SPEND, SPEND_ERROR, {})
    assert (posterior.draws()["q"] > 1).all()  # a finite mean spend, in cents too


@pytest.mark.slow
def test_both_in_weeks_and_cents_together() -> None:
    posterior = CLVModel().fit(table(time_scaler=7, cents=True), **NUTS)
    half = {"r": 0.5, "alpha": 0.5}
    assert_close(medians(posterior.purchases), BGNBD, BGNBD_ERROR, half)
    assert_close(medians(posterior.spend, money=100.0), SPEND, SPEND_ERROR, {})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["laplace", "map", "auto"])
def test_other_methods_sit_there_too(method: str) -> None:
    options = {**NUTS, "method": method}
    posterior = CLVModel().fit(table(time_scaler=7), **options)
    assert_close(medians(posterior.purchases), BGNBD, BGNBD_ERROR, {})
    assert_close(medians(posterior.spend), SPEND, SPEND_ERROR, {})
    assert posterior.certain is (method == "map")


@pytest.mark.slow
def test_mbgnbd_sits_on_its_published_fit() -> None:
    """Published without standard errors: within one posterior sd, half for r and alpha."""
    posterior = ModifiedBetaGeoModel().fit(table(time_scaler=7), **NUTS)
    assert posterior.verdict.status == "pass"
    sd = {name: float(values.std()) for name, values in posterior.draws().items()}
    assert_close(medians(posterior), MBGNBD, sd, {"r": 0.5, "alpha": 0.5})


# --- the peer's posterior, sampled here by the peer ---


def compare(ours, theirs, names: list[str]) -> None:
    """Means and sds within 5 combined Monte Carlo standard errors."""
    from arviz_stats.base import array_stats

    for name in names:
        one, other = (np.asarray(t["posterior"][name].to_numpy()) for t in (ours, theirs))
        for what in ("mean", "sd"):
            statistics = [
                float(values.mean() if what == "mean" else values.std()) for values in (one, other)
            ]
            errors = [float(array_stats.mcse(values, method=what)) for values in (one, other)]
            off = abs(statistics[0] - statistics[1]) / math.hypot(*errors)
            assert off < 5.0, f"{what} of {name}: {statistics}, {off:.1f} standard errors"


def sampled_by_the_peer(model, rfm: pd.DataFrame):
    model.fit(
        data=rfm,
        draws=1_000,
        tune=1_000,
        chains=4,
        cores=2,
        random_seed=3,
        progressbar=False,
    )
    return model.idata


PEER = {**NUTS, "draws": 4_000}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel])
@pytest.mark.filterwarnings("ignore")
def test_the_peers_purchases(kind) -> None:
    from pymc_marketing import clv

    rfm = table(time_scaler=7)
    ours = kind("pymc-marketing").fit(rfm, **PEER)
    theirs = sampled_by_the_peer(getattr(clv, kind.__name__)(), rfm.to_pandas())
    names = ["r", "alpha", "a", "b", "phi_dropout", "kappa_dropout"]
    compare(ours.tree, theirs, names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_peers_spend() -> None:
    from pymc_marketing import clv

    rfm = table()
    ours = GammaGammaModel("pymc-marketing").fit(rfm, **PEER)
    frame = rfm.to_pandas()
    theirs = sampled_by_the_peer(clv.GammaGammaModel(), frame[frame["monetary_value"] > 0])
    compare(ours.tree, theirs, ["p", "q", "v"])
