"""Several horizons in one pass: the numbers of separate calls, under names of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.errors import ClvError, DomainError, SchemaError, TimeUnitError
from clvmodels.forecast.rows import Predictor
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import MODELS
from tests.kinds import KINDS
from tests.toy_family import TRUTH, add_to_catalogue

TYPICAL = {"r": 0.5, "alpha": 60.0, "a": 1.8, "b": 4.5, "s": 0.6, "beta": 80.0} | TRUTH
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}
LABELS = {"30": 30, "90D": "90D", "365D": "365d", "lifetime": None}


def drawn(names: Any, count: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {name: (TYPICAL | SPEND)[name] * rng.lognormal(0, 0.02, count) for name in names}


def posterior_of(key: str, *, money: bool) -> Any:
    purchases = purchase_posterior(key).from_draws(**drawn(MODELS[key].parameter_names))
    if not money:
        return purchases
    return clv.CLVPosterior(purchases, clv.GammaGammaPosterior.from_draws(**drawn(SPEND)))


@pytest.fixture(scope="module")
def rfm() -> pd.DataFrame:
    return clv.simulate.simulate_rfm(
        120, r=0.5, alpha=60.0, a=0.8, b=2.5, T=(30.0, 730.0), **SPEND, seed=1
    )


@pytest.mark.parametrize("money", [False, True])
@pytest.mark.parametrize("key", [*KINDS, "toy"])
def test_each_horizon_has_the_numbers_of_its_own_call(
    rfm: pd.DataFrame, key: str, money: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_to_catalogue(monkeypatch)
    posterior = posterior_of(key, money=money)
    together = posterior.predict(rfm, horizon=list(LABELS.values()))
    seen = set()
    for label, horizon in LABELS.items():
        alone = posterior.predict(rfm, horizon=horizon)
        for name, values in alone.items():
            shared = name in together.columns
            own = name if shared else f"{name}_{label}"
            np.testing.assert_allclose(together[own], values, rtol=1e-12, err_msg=own)
            seen.add(own)
    assert seen == set(together.columns)
    assert {"p_alive", "p_alive_lower", "expected_purchases_90D"} < seen
    assert ("clv_lower_365D" in seen) == money


def test_outcomes_of_each_horizon_are_those_of_its_own_call(rfm: pd.DataFrame) -> None:
    posterior = posterior_of("bgnbd", money=True)
    together = posterior.predict(rfm, horizon=("90D", "180D"), predictive=True)
    for one in ("90D", "180D"):
        alone = posterior.predict(rfm, horizon=one, predictive=True)
        for name in ("purchases_lower", "purchases_upper", "value_lower", "value_upper"):
            np.testing.assert_array_equal(together[f"{name}_{one}"], alone[name])


def test_a_list_of_one_names_its_columns_too(rfm: pd.DataFrame) -> None:
    posterior = posterior_of("mbgnbd", money=False)
    one, plain = posterior.predict(rfm, horizon=["90D"]), posterior.predict(rfm, horizon="90D")
    assert list(one["p_purchase_90D"]) == list(plain["p_purchase"])
    assert "p_purchase" not in one


def test_weights_of_histories_are_computed_once(
    rfm: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    posterior, filled = posterior_of("bgnbd", money=False), []
    kind = type(posterior.formulas.weights(*np.zeros((3, 1)), posterior.draws()))
    fill = kind.fill
    monkeypatch.setattr(kind, "fill", lambda *a: filled.append(a[1]) or fill(*a))
    posterior.predict(rfm, horizon="90D")
    alone = len(filled)
    posterior.predict(rfm, horizon=["90D", "365D", None])
    assert alone > 0
    assert len(filled) == 2 * alone


@pytest.mark.parametrize(
    ("horizon", "error", "words"),
    [
        ([], SchemaError, "list of horizons is empty"),
        (["90D", "90d"], SchemaError, "90D is there twice"),
        (["90D", "soon"], TimeUnitError, "soon"),
        ([90, -1], DomainError, "-1"),
        (np.array([90.0, 365.0]), TimeUnitError, "not one length of time"),
    ],
)
def test_what_is_not_several_horizons_is_refused(
    rfm: pd.DataFrame, horizon: Any, error: type[ClvError], words: str
) -> None:
    with pytest.raises(error, match=words):
        posterior_of("bgnbd", money=False).predict(rfm, horizon=horizon)


def test_an_endless_one_among_them_is_refused_without_a_discount(rfm: pd.DataFrame) -> None:
    posterior = clv.BetaGeoPosterior.from_draws(r=0.5, alpha=60.0, a=0.8, b=2.5)
    with pytest.raises(DomainError, match="infinite"):
        posterior.predict(rfm, horizon=["90D", None], discount_rate=0.0)


def test_several_horizons_are_for_predictions_alone(rfm: pd.DataFrame) -> None:
    with pytest.raises(TimeUnitError, match="not one length of time"):
        clv.predictive.count_distribution(
            posterior_of("bgnbd", money=False), rfm, horizon=["90D", "365D"]
        )


def test_a_predictor_gives_sums_for_each(rfm: pd.DataFrame) -> None:
    posterior = posterior_of("bgnbd", money=False)
    from clvmodels.posterior.predicting import prepared

    given = prepared(posterior, None, rfm, horizon="90D")
    year = given.until(posterior, "365D")
    one, other = Predictor(given.draws, given.future, more=[year.due]).each(*given.who)
    np.testing.assert_array_equal(
        one.by_draw, Predictor(given.draws, given.future)(*given.who).by_draw
    )
    np.testing.assert_array_equal(other.by_draw, Predictor(given.draws, year)(*given.who).by_draw)
