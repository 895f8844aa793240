"""Simulation-based calibration of the posteriors: are they what they say they are.

Parameters are drawn from a prior, a base is simulated from them, and the model is fitted
with that same prior. Over many bases the rank of the true parameter among the posterior's
draws must then be uniform (Talts, Betancourt, Simpson, Vehtari & Gelman 2018), whatever
the prior; an informative one, with its scale fixed, keeps to plausible bases. Models with a
covariate have customers of three channels, whose effects are drawn from their prior too, or of
pooled groups of unlike sizes: their spread, their effects and that of a group without customers.

``python -m benchmarks.sbc`` writes ``benchmarks/sbc_ranks.csv``, which the tests judge and
of which they make some data sets again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clvmodels.model_facts import GAMMA_GAMMA
from clvmodels.purchases import MODELS
from clvmodels.purchases.design import Effect, Factor, IntArray, Kind, Side

RANKS: Final = Path(__file__).with_name("sbc_ranks.csv")
DATA_SETS: Final = 200
NUTS_DATA_SETS: Final = 50
BY_CHANNEL_DATA_SETS: Final = 60
POOLED_DATA_SETS: Final = 32
POOLED_CHAINS: Final[Mapping[str, Mapping[str, int]]] = {"bgnbd by country": {"nuts": 10}}
CUSTOMERS: Final = 500
# Ranks run from 0 to this, so ten bins of ten are even.
DRAWS: Final = 99
SEED: Final = 4221

METHODS: Final[Mapping[str, int]] = {"laplace": DATA_SETS, "nuts": NUTS_DATA_SETS}

# (median, sd of the logarithm); phi_dropout is Beta. Drawn in this order, all of them for every
# model; what is put in later goes into LATER, so that data sets stay what they were.
LOG_NORMAL: Final = {
    "r": (0.6, 0.4),
    "alpha": (30.0, 0.4),
    "kappa_dropout": (3.0, 0.4),
    "p": (4.0, 0.3),
    "q": (4.0, 0.2),
    "v": (60.0, 0.4),
}
_ASKED: Final[Mapping[Side, str]] = {
    "purchases": "purchase_covariates",
    "dropout": "dropout_covariates",
    "spend": "covariates",
}
BETA: Final = {"phi_dropout": (4.0, 12.0)}
LATER: Final = {"s": (0.8, 0.4), "beta": (60.0, 0.4)}
# One piece of code computes regular timing, with and without a question at the first purchase.
_REGULAR: Final = ("bgcnbd2", "mbgcnbd3")
LEVELS: Final = ("ads", "shop", "web")
EFFECT_SD: Final = 0.5
_PLAIN: Final = {
    **{key: one for key, one in MODELS.items() if one.regularity == 1 or key in _REGULAR},
    GAMMA_GAMMA.key: GAMMA_GAMMA,
}


@dataclass(frozen=True)
class Grouping:
    """A column that moves a model: its levels, how they are asked for, and their customers."""

    column: str
    levels: tuple[str, ...]
    kind: Kind
    judged: tuple[int, ...]  # of levels and, where they are pooled, one that nobody is of

    def parts(self) -> list[IntArray]:
        """Customers of each level: as many of channels, and of groups the fewer the later."""
        everybody = np.arange(CUSTOMERS)
        if self.kind == "level":
            return [everybody[i :: len(self.levels)] for i in range(len(self.levels))]
        shares = np.cumsum(1.0 / np.arange(1, len(self.levels) + 1))
        ends = (CUSTOMERS * shares / shares[-1]).round().astype(int)
        return np.split(everybody, ends[:-1])

    def asked(self) -> Any:
        """It, as a model takes it."""
        from clvmodels import Covariate, Pooled

        how = Covariate if self.kind == "level" else Pooled
        return how(self.column, sd=EFFECT_SD)


# Of 40 stores the effects are integrated out before the Laplace approximation, of 12 countries not
_BY: Final[Mapping[str, Grouping]] = {
    " by channel": Grouping("channel", LEVELS, "level", (0, 1, 2)),
    " by country": Grouping(
        "country", tuple(f"c{i:02d}" for i in range(12)), "pooled", (0, 11, 12)
    ),
    " by store": Grouping("store", tuple(f"s{i:02d}" for i in range(40)), "pooled", (0, 39, 40)),
}
_GROUPED: Final = (
    *(f"{key} by channel" for key in ("bgnbd", "paretonbd", GAMMA_GAMMA.key)),
    *(f"{key} by country" for key in ("bgnbd", GAMMA_GAMMA.key)),
    "bgnbd by store",
)
_FACTS: Final = {**_PLAIN, **{key: _PLAIN[key.partition(" ")[0]] for key in _GROUPED}}
PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    key: tuple(facts.defaults) for key, facts in _FACTS.items()
}


def grouping_of(model: str) -> Grouping | None:
    """The column that moves a model, of those that one does."""
    return next((one for by, one in _BY.items() if model.endswith(by)), None)


# The parameters of the formulas are judged too: they are what predictions use.
def effects_of(model: str) -> tuple[Effect, ...]:
    """What the column moves: how often customers buy and when they leave, or what they spend."""
    by = grouping_of(model)
    if by is None:
        return ()
    sides: tuple[Side, ...] = ("spend",) if GAMMA_GAMMA.key in model else ("purchases", "dropout")
    return tuple(Effect(side, by.column, by.kind, EFFECT_SD, by.levels) for side in sides)


def _judged(effect: Effect, by: Grouping) -> tuple[str, ...]:
    spread = (effect.spread,) if effect.learnt else ()
    return (*(effect.names[i] for i in by.judged), *spread)


JUDGED: Final[Mapping[str, tuple[str, ...]]] = {
    key: (
        *facts.parameter_names,
        *(
            name
            for effect in effects_of(key)
            if (by := grouping_of(key))
            for name in _judged(effect, by)
        ),
    )
    for key, facts in _FACTS.items()
}


def methods_of(model: str) -> Mapping[str, int]:
    """What a model is fitted by, and how often; chains of covariates are as those of others."""
    by = grouping_of(model)
    if by is None:
        return METHODS
    if by.kind == "level":
        return {"laplace": BY_CHANNEL_DATA_SETS}
    return {"laplace": POOLED_DATA_SETS} | POOLED_CHAINS.get(model, {})


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
            median, sigma = (LOG_NORMAL | LATER)[name]
            median /= _stages(model) if name == "alpha" else 1
            found[name] = Prior("LogNormal", mu=float(np.log(median)), sigma=sigma)
    return found


def data_set(model: str, number: int) -> DataSet:
    """Make data set ``number`` of a model; the same for ever."""
    from clvmodels.simulate import simulate_rfm

    rng, later = np.random.default_rng([SEED, number]), np.random.default_rng([SEED, number, 1])
    drawn = {name: _draw(rng, name) for name in (*LOG_NORMAL, *BETA)}
    drawn |= {name: _draw(later, name) for name in LATER}
    drawn["alpha"] /= _stages(model)
    drawn["a"] = drawn["phi_dropout"] * drawn["kappa_dropout"]
    drawn["b"] = (1.0 - drawn["phi_dropout"]) * drawn["kappa_dropout"]
    plain, by = model.partition(" ")[0], grouping_of(model)
    bought = plain if plain in MODELS else "bgnbd"
    T, seed = rng.uniform(100.0, 700.0, CUSTOMERS), int(rng.integers(2**31))
    drawn |= _effects(model, np.random.default_rng([SEED, number, 2]))
    parts = []
    for kind, who in enumerate(by.parts() if by else [np.arange(CUSTOMERS)]):
        own = _of_level(drawn, bought, by.column, by.levels[kind]) if by else drawn
        rfm = simulate_rfm(
            len(who),
            parameters={name: own[name] for name in MODELS[bought].parameter_names},
            **{name: own[name] for name in GAMMA_GAMMA.parameter_names},
            T=T[who],
            seed=seed + kind,
            period=None,  # the models' own process: continuous time
            model=bought,
        )
        if by:
            ids = [f"{by.levels[kind]}{one}" for one in rfm["customer_id"]]
            rfm = rfm.assign(**{by.column: by.levels[kind]}, customer_id=ids)
        parts.append(rfm)
    base = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    return DataSet({name: drawn[name] for name in JUDGED[model]}, base)


def _effects(model: str, rng: np.random.Generator) -> dict[str, float]:
    """Effects of all levels, drawn from their prior; where they are pooled, their spread first."""
    from clvmodels.fit.effect_variables import basis

    found: dict[str, float] = {}
    for effect in effects_of(model):
        spread, levels = effect.sd, len(effect.levels)
        if effect.learnt:
            spread = found[effect.spread] = effect.sd * abs(float(rng.standard_normal()))
        matrix = basis(effect, Factor(effect.factor, effect.levels, (1,) * levels))
        matrix = np.eye(levels + 1) if matrix is None else matrix
        values = spread * (matrix @ rng.standard_normal(matrix.shape[1]))
        found |= dict(zip(effect.names, values.tolist(), strict=False))
    return found


def _of_level(drawn: Mapping[str, float], bought: str, column: str, level: str) -> dict[str, float]:
    """Parameters of the customers of one level."""
    times = {
        side: float(np.exp(drawn.get(f"{side}[{column}={level}]", 0.0)))
        for side in ("purchases", "dropout", "spend")
    }
    moved = MODELS[bought].moved
    assert moved is not None
    own = moved(dict(drawn), times["purchases"], times["dropout"])
    return {**drawn, **own, "v": drawn["v"] * times["spend"]}


def ranks_of(model: str, method: str, number: int) -> dict[str, Any]:
    """Fit one data set and rank the truth among the draws, by parameter."""
    from clvmodels import GammaGammaModel
    from clvmodels.fit.purchases import purchase_specification

    key, by = model.partition(" ")[0], grouping_of(model)
    plain: Any = purchase_specification(key) if key in MODELS else GammaGammaModel()
    made = data_set(model, number)
    asked = {_ASKED[effect.side]: [by.asked()] for effect in effects_of(model) if by}
    posterior = plain.replace(priors=priors(model), **asked).fit(
        made.rfm, method=method, random_seed=number, progressbar=False
    )
    draws = posterior.draws(DRAWS)
    ranks = {name: int(np.sum(draws[name] < truth)) for name, truth in made.truth.items()}
    return {"model": model, "method": method, "number": number} | {
        "used": posterior.metadata.method,
        **ranks,
    }


def all_ranks(models: Iterable[str] = PARAMETERS) -> Iterator[dict[str, Any]]:
    """Every data set of every model by every method."""
    for model in models:
        for method, count in methods_of(model).items():
            for number in range(count):
                yield ranks_of(model, method, number)


def _stages(model: str) -> int:
    """Of a purchase, which alpha is a time of: with it customers buy as often whatever k is."""
    return MODELS[model].regularity if model in MODELS else 1


def _draw(rng: np.random.Generator, name: str) -> float:
    if name in BETA:
        return float(rng.beta(*BETA[name]))
    median, sigma = (LOG_NORMAL | LATER)[name]
    return float(median * np.exp(sigma * rng.standard_normal()))


def main() -> None:
    """Make the ranks of all models, or of some in place of those on file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RANKS)
    parser.add_argument("--only", nargs="+", choices=PARAMETERS, help="leave others as they are")
    options = parser.parse_args()
    models = options.only or list(PARAMETERS)
    frame = pd.DataFrame(all_ranks(models))
    if options.only:
        others = pd.read_csv(RANKS)
        frame = pd.concat([others[~others["model"].isin(models)], frame])
    order = list(PARAMETERS)
    frame = frame.sort_values("model", key=lambda one: one.map(order.index), kind="stable")
    names = dict.fromkeys(name for model in order for name in JUDGED[model])
    whole = dict.fromkeys(names, "Int64")
    columns = ["model", "method", "number", "used", *names]
    frame.astype(whole)[columns].to_csv(options.out, index=False)
    print(f"{len(frame)} fits in {options.out}")


if __name__ == "__main__":
    main()
