"""Simulation-based calibration of the posteriors: are they what they say they are.

Parameters are drawn from a prior, a base is simulated from them, and the model is fitted
with that same prior. Over many bases the rank of the true parameter among the posterior's
draws must then be uniform (Talts, Betancourt, Simpson, Vehtari & Gelman 2018), whatever
the prior; an informative one, with its scale fixed, keeps to plausible bases.

``python -m benchmarks.sbc`` writes ``benchmarks/sbc_ranks.csv``, which the tests judge and
of which they make some data sets again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.model_facts import GAMMA_GAMMA
from clvmodels.purchases import MODELS

RANKS: Final = Path(__file__).with_name("sbc_ranks.csv")
DATA_SETS: Final = 200
NUTS_DATA_SETS: Final = 50
CUSTOMERS: Final = 500
# Ranks run from 0 to this, so ten bins of ten are even.
DRAWS: Final = 99
SEED: Final = 4221

METHODS: Final[Mapping[str, int]] = {"laplace": DATA_SETS, "nuts": NUTS_DATA_SETS}

# (median, sd of the logarithm); phi_dropout is Beta.
LOG_NORMAL: Final = {
    "r": (0.6, 0.4),
    "alpha": (30.0, 0.4),
    "kappa_dropout": (3.0, 0.4),
    "p": (4.0, 0.3),
    "q": (4.0, 0.2),
    "v": (60.0, 0.4),
}
BETA: Final = {"phi_dropout": (4.0, 12.0)}
_FACTS: Final = {**MODELS, GAMMA_GAMMA.key: GAMMA_GAMMA}
PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    key: tuple(facts.defaults) for key, facts in _FACTS.items()
}
# The parameters of the formulas are judged too: they are what predictions use.
JUDGED: Final[Mapping[str, tuple[str, ...]]] = {
    key: facts.parameter_names for key, facts in _FACTS.items()
}


@dataclass(frozen=True)
class DataSet:
    """True parameters and a base simulated from them."""

    truth: Mapping[str, float]
    rfm: pd.DataFrame


def priors(model: str) -> dict[str, Any]:
    """The prior of a model, as it enters the fit."""
    from pymc_extras.prior import Prior

    found = {}
    for name in PARAMETERS[model]:
        if name in BETA:
            alpha, beta = BETA[name]
            found[name] = Prior("Beta", alpha=alpha, beta=beta)
        else:
            median, sigma = LOG_NORMAL[name]
            found[name] = Prior("LogNormal", mu=float(np.log(median)), sigma=sigma)
    return found


def data_set(model: str, number: int) -> DataSet:
    """Make data set ``number`` of a model; the same for ever."""
    from clvmodels.simulate import simulate_rfm

    rng = np.random.default_rng([SEED, number])
    drawn = {name: _draw(rng, name) for name in (*LOG_NORMAL, *BETA)}
    drawn["a"] = drawn["phi_dropout"] * drawn["kappa_dropout"]
    drawn["b"] = (1.0 - drawn["phi_dropout"]) * drawn["kappa_dropout"]
    names = ("r", "alpha", "a", "b", "p", "q", "v")
    rfm = simulate_rfm(
        CUSTOMERS,
        **{name: drawn[name] for name in names},
        T=rng.uniform(100.0, 700.0, CUSTOMERS),
        seed=int(rng.integers(2**31)),
        period=None,  # the models' own process: continuous time
        model="mbgnbd" if model == "mbgnbd" else "bgnbd",
    )
    return DataSet({name: drawn[name] for name in JUDGED[model]}, rfm)


def ranks_of(model: str, method: str, number: int) -> dict[str, Any]:
    """Fit one data set and rank the truth among the draws, by parameter."""
    from clvmodels import BetaGeoModel, GammaGammaModel, ModifiedBetaGeoModel

    specifications: dict[str, Any] = {
        "bgnbd": BetaGeoModel,
        "mbgnbd": ModifiedBetaGeoModel,
        "gamma_gamma": GammaGammaModel,
    }
    made = data_set(model, number)
    posterior = specifications[model](priors=priors(model)).fit(
        made.rfm, method=method, random_seed=number, progressbar=False
    )
    draws = posterior.draws(DRAWS)
    ranks = {name: int(np.sum(draws[name] < truth)) for name, truth in made.truth.items()}
    return {"model": model, "method": method, "number": number} | {
        "used": posterior.metadata.method,
        **ranks,
    }


def all_ranks() -> Iterator[dict[str, Any]]:
    """Every data set of every model by every method."""
    for model in PARAMETERS:
        for method, count in METHODS.items():
            for number in range(count):
                yield ranks_of(model, method, number)


def _draw(rng: np.random.Generator, name: str) -> float:
    if name in BETA:
        return float(rng.beta(*BETA[name]))
    median, sigma = LOG_NORMAL[name]
    return float(median * np.exp(sigma * rng.standard_normal()))


def main() -> None:
    """Make all ranks and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RANKS)
    options = parser.parse_args()
    frame = pd.DataFrame(all_ranks())
    whole = dict.fromkeys(("r", "alpha", "a", "b", "p", "q", "v"), "Int64")
    frame.astype(whole).to_csv(options.out, index=False)
    print(f"{len(frame)} fits written to {options.out}")


if __name__ == "__main__":
    main()
