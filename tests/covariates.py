"""Posteriors with covariates that are made of numbers, and what they must equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from clvmodels import BetaGeoPosterior, GammaGammaPosterior, ParetoNBDPosterior, RfmTable
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.core import Posterior
from clvmodels.purchases.design import Design, Effect, Factor, Side, mix_of

LEVELS = ("ads", "shop", "web")
S = 30


def base_of(customers: int = 240, seed: int = 3) -> pd.DataFrame:
    """Customers of three channels, with amounts."""
    rng = np.random.default_rng(seed)
    T = rng.integers(60, 300, customers).astype(float)
    x = np.minimum(rng.poisson(1.5, customers), 12)
    t_x = np.where(x > 0, np.maximum(np.round(T * rng.random(customers)), x), 0.0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(customers)],
            "frequency": x,
            "recency": t_x,
            "T": np.maximum(T, t_x),
            "monetary_value": np.where(x > 0, np.round(rng.gamma(4.0, 8.0, customers), 2), 0.0),
            "first_value": np.round(rng.gamma(4.0, 8.0, customers), 2),
            "channel": np.array(LEVELS)[rng.integers(0, 3, customers)],
        }
    )


def table_of(frame: pd.DataFrame) -> RfmTable:
    return RfmTable.from_pandas(frame, time_unit="D", observation_end="2024-06-30")


def plain_posterior(model: str = "bgnbd", seed: int = 5) -> PurchasePosterior:
    rng = np.random.default_rng(seed)
    draws = {
        "r": rng.normal(0.6, 0.02, S),
        "alpha": rng.normal(25.0, 1.0, S),
        "a": rng.normal(1.8, 0.05, S),
        "b": rng.normal(2.5, 0.1, S),
        "s": rng.normal(1.4, 0.05, S),
        "beta": rng.normal(30.0, 1.0, S),
    }
    if model == "bgnbd":
        return BetaGeoPosterior.from_draws(**{n: draws[n] for n in ("r", "alpha", "a", "b")})
    if model == "paretonbd":
        return ParetoNBDPosterior.from_draws(**{n: draws[n] for n in ("r", "alpha", "s", "beta")})
    return purchase_posterior(model).from_draws(**{n: draws[n] for n in ("r", "alpha", "a", "b")})


def design_of_channels(
    frame: pd.DataFrame, sides: tuple[Side, ...] = ("purchases", "dropout")
) -> Design:
    counts = tuple(int((frame["channel"] == one).sum()) for one in LEVELS)
    factor = Factor("channel", LEVELS, counts)
    effects = tuple(Effect(side, "channel", "level", 1.0, LEVELS) for side in sides)
    design = Design((factor,), effects)
    codes = factor.codes(frame["channel"].to_numpy(dtype=object))
    return replace(design, mix=mix_of(design.strata({"channel": codes})))


def with_effects[P: Posterior](
    posterior: P,
    design: Design,
    effects: Callable[[np.random.Generator, tuple[int, int]], np.ndarray],
) -> P:
    """The same draws, with effects beside them."""
    shape = (posterior.draws_total, len(design.drawn))
    values = effects(np.random.default_rng(11), shape)[None]
    data = posterior.tree["posterior"].to_dataset()
    data = data.assign(effects=(("chain", "draw", "effect"), values)).assign_coords(
        effect=np.array(design.drawn)
    )
    tree = xr.DataTree.from_dict({"posterior": data})
    return replace(posterior, tree=tree, metadata=replace(posterior.metadata, design=design))


def nothing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.zeros(shape)


def something(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0.0, 0.5, shape[1]) + rng.normal(0.0, 0.05, shape)


def spend_of_level(posterior: GammaGammaPosterior, level: str) -> GammaGammaPosterior:
    """The plain posterior of the spend of one channel's customers: v times what moves it."""
    draws = posterior.draws()
    v = draws["v"] * np.exp(draws[f"spend[channel={level}]"])
    counts = posterior.metadata.first_order
    return GammaGammaPosterior.from_draws(p=draws["p"], q=draws["q"], v=v, first_order=counts)


def of_level(posterior: PurchasePosterior, level: str) -> PurchasePosterior:
    """The plain posterior of the customers of one channel, by the formulas as published."""
    draws = posterior.draws()
    faster = np.exp(draws[f"purchases[channel={level}]"])
    leave = np.exp(draws[f"dropout[channel={level}]"])
    own = {"r": draws["r"], "alpha": draws["alpha"] / faster}
    if "a" in draws:
        phi = draws["a"] / (draws["a"] + draws["b"])
        odds = phi / (1.0 - phi) * leave
        kappa = draws["a"] + draws["b"]
        own |= {"a": kappa * odds / (1.0 + odds), "b": kappa / (1.0 + odds)}
    else:
        own |= {"s": draws["s"], "beta": draws["beta"] / leave}
    return type(posterior).from_draws(**own)
