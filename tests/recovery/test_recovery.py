"""Known parameters come back from simulated bases, by every method.

A posterior that is right lies more than 4.5 of its own standard deviations from the
truth about once in 10^5 parameters, near enough for a Gaussian in logarithms; there are
about 10^2 here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoModel,
    CLVModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
)
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_rfm

# simulated times are of no calendar
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:T has fractions:UserWarning")]

BASES = {
    "typical": {"r": 0.55, "alpha": 30.0, "a": 0.8, "b": 2.5},
    "loyal": {"r": 1.5, "alpha": 60.0, "a": 0.4, "b": 6.0},
    "fleeting": {"r": 0.3, "alpha": 10.0, "a": 2.0, "b": 2.0},
}
ANY_TIME = {  # of a model whose customers leave at any time
    "typical": {"r": 0.55, "alpha": 30.0, "s": 0.6, "beta": 80.0},
    "loyal": {"r": 1.5, "alpha": 60.0, "s": 0.5, "beta": 600.0},
    "fleeting": {"r": 0.8, "alpha": 10.0, "s": 1.5, "beta": 60.0},
}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
KINDS = {one.name: one for one in (BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel)}
QUICK = {"progressbar": False}


def truth_of(kind: str, base: str) -> dict[str, float]:
    return (ANY_TIME if "beta" in MODELS[kind].parameter_names else BASES)[base]


def simulated(seed: int, base: str = "typical", kind: str = "bgnbd", n: int = 6_000):
    """Continuous time, so that the models hold exactly."""
    return simulate_rfm(
        n,
        parameters=truth_of(kind, base),
        **SPEND,
        T=(1.0, 730.0),
        seed=seed,
        period=None,
        model=kind,
    )


def distances(posterior, truth: dict[str, float]) -> dict[str, float]:
    """How many posterior sds of the logarithm the truth is away."""
    result = {}
    for name, draws in posterior.draws().items():
        log = np.log(draws)
        result[name] = float((log.mean() - np.log(truth[name])) / log.std())
    return result


def covers(posterior, truth: dict[str, float]) -> None:
    away = distances(posterior, truth)
    assert max(abs(z) for z in away.values()) < 4.5, away


@pytest.mark.parametrize("method", ["nuts", "laplace"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("base", list(BASES))
@pytest.mark.parametrize("kind", list(KINDS))
def test_purchases(kind: str, base: str, seed: int, method: str) -> None:
    # A history costs Pareto/NBD ten times as much; a sixth of them is as good a test of z.
    dear = method == "nuts" and "beta" in MODELS[kind].parameter_names
    rfm = simulated(seed, base, kind, n=1_000 if dear else 6_000)
    few = {"draws": 700, "tune": 300} if dear else {}
    posterior = KINDS[kind]().fit(rfm, method=method, random_seed=seed, **few, **QUICK)
    assert posterior.metadata.model == kind
    covers(posterior, truth_of(kind, base))


@pytest.mark.parametrize("method", ["nuts", "laplace"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_spend(seed: int, method: str) -> None:
    posterior = GammaGammaModel().fit(simulated(seed), method=method, random_seed=seed, **QUICK)
    covers(posterior, SPEND)


def test_the_distances_are_those_of_a_right_posterior() -> None:
    """Over 24 bases their squares add up as standard normal ones do: neither too
    wide nor too narrow."""
    squares = []
    model = CLVModel(BetaGeoModel(), GammaGammaModel())
    for seed in range(24):
        posterior = model.fit(
            simulated(100 + seed, n=2_000), method="laplace", random_seed=seed, **QUICK
        )
        squares.append(distances(posterior.purchases, BASES["typical"])["r"] ** 2)
        squares.append(distances(posterior.spend, SPEND)["q"] ** 2)
    # chi-square with 48 degrees of freedom: 1 in 10^4 at each end.
    assert 19.5 < sum(squares) < 93.0


def test_the_other_model_does_not_fit() -> None:
    """MBG/NBD data seen through BG/NBD: the two specifications are not one."""
    rfm = simulated(4, "fleeting", "mbgnbd", n=20_000)
    wrong = BetaGeoModel().fit(rfm, method="laplace", random_seed=1, **QUICK)
    right = ModifiedBetaGeoModel().fit(rfm, method="laplace", random_seed=1, **QUICK)
    covers(right, BASES["fleeting"])
    assert max(abs(z) for z in distances(wrong, BASES["fleeting"]).values()) > 10


def test_more_customers_narrow_the_posterior() -> None:
    sds = []
    for n in (1_500, 24_000):
        posterior = BetaGeoModel().fit(simulated(5, n=n), method="laplace", random_seed=1, **QUICK)
        sds.append(pd.DataFrame(posterior.draws()).apply(np.log).std())
    ratio = sds[0] / sds[1]  # about the root of 16
    assert ratio.between(2.5, 6.5).all()
