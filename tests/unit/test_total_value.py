"""The value of a base: the sum of the customers, with the interval of the sum."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable
from clvmodels.forecast import rows as chunks_of
from clvmodels.posterior import total_value
from clvmodels.posterior.scorable import prepared_for
from clvmodels.simulate import simulate_rfm


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    rng = np.random.default_rng(11)
    return CLVPosterior(
        BetaGeoPosterior.from_draws(
            r=0.24 * rng.lognormal(0, 0.05, 300),
            alpha=31 * rng.lognormal(0, 0.08, 300),
            a=0.8 * rng.lognormal(0, 0.2, 300),
            b=2.4 * rng.lognormal(0, 0.2, 300),
        ),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7 * rng.lognormal(0, 0.05, 300), v=15.4),
    )


@pytest.fixture(scope="module")
def rfm() -> RfmTable:
    simulated = simulate_rfm(
        2000, r=0.24, alpha=31.0, a=0.8, b=2.4, T=300.0, p=6.2, q=3.7, v=15.4, seed=4
    )
    return RfmTable.from_pandas(simulated, margin=0.4)


OPTIONS = [
    {},
    {"horizon": None, "discounting": "monthly"},
    {"horizon": "52W", "discount_rate": 0.0, "interval": 0.5, "draws": 50},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_total_is_the_sum_of_the_rows(
    posterior: CLVPosterior, rfm: RfmTable, options: dict[str, object]
) -> None:
    rows = posterior.predict(rfm, **options)
    total = total_value(posterior, rfm, **options)
    assert total.mean == pytest.approx(rows["clv"].sum(), rel=1e-12)
    assert total.customers == len(rfm)
    # Pairs of draws scatter around the product of means
    assert abs(total.draws.mean() - total.mean) < 4 * total.sd / math.sqrt(len(total.draws))
    lower, upper = np.quantile(total.draws, [(1 - total.interval) / 2, (1 + total.interval) / 2])
    assert (total.lower, total.upper) == pytest.approx((lower, upper), rel=1e-12)


def test_each_draw_is_the_sum_at_that_draw(posterior: CLVPosterior, rfm: RfmTable) -> None:
    total = total_value(posterior, rfm, draws=4)
    paired = prepared_for(posterior, rfm, draws=4).draws
    for i, found in enumerate(total.draws):
        one = CLVPosterior(
            BetaGeoPosterior.from_draws(**{n: v[i] for n, v in paired.purchases.items()}),
            GammaGammaPosterior.from_draws(**{n: v[i] for n, v in paired.spend.items()}),
        )
        assert found == pytest.approx(one.predict(rfm)["clv"].sum(), rel=1e-11)


def test_intervals_of_customers_do_not_add_up_to_it(posterior: CLVPosterior, rfm: RfmTable) -> None:
    rows, total = posterior.predict(rfm), total_value(posterior, rfm)
    width = total.upper - total.lower
    assert width < (rows["clv_upper"] - rows["clv_lower"]).sum()
    assert total.sd > 10 * math.sqrt((rows["clv_sd"] ** 2).sum())


def test_many_chunks_are_one(
    posterior: CLVPosterior, rfm: RfmTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = total_value(posterior, rfm)
    monkeypatch.setattr(chunks_of, "CHUNK", 100)
    chunks = total_value(posterior, rfm)
    np.testing.assert_allclose(chunks.draws, whole.draws, rtol=1e-11)
    assert chunks.mean == pytest.approx(whole.mean, rel=1e-12)


def test_a_single_point_has_no_interval(rfm: RfmTable) -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.24, alpha=31.0, a=0.8, b=2.4),
        GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4),
    )
    total = total_value(point, rfm)
    assert total.mean > 0
    assert all(math.isnan(value) for value in (total.sd, total.lower, total.upper))
