"""Bases and posteriors for the tests of the diagnostic report: made, not fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior
from clvmodels.posterior import Metadata
from clvmodels.posterior.core import Posterior
from clvmodels.simulate import simulate_rfm
from clvmodels.verdict import Verdict, given_verdict, map_verdict

PURCHASES = {"r": 0.25, "alpha": 30.0, "a": 0.8, "b": 2.4}
SPEND = {"p": 6.0, "q": 3.7, "v": 15.0}
CHAINS, DRAWS = 4, 250


def base(n: int = 400, *, seed: int = 1, **changes: Any) -> pd.DataFrame:
    """Customers who do what the model says, in days and dollars."""
    parameters: dict[str, Any] = {**PURCHASES, **SPEND, "T": (60, 300), **changes}
    rows = simulate_rfm(n, seed=seed, cents=True, **parameters)
    first = np.random.default_rng(seed).uniform(5.0, 60.0, n).round(2)
    return rows.assign(first_value=first)


def given(
    count: int = 200, *, spread: float = 0.03, seed: int = 2, **changes: float
) -> CLVPosterior:
    """Both posteriors from given draws around the truth."""
    rng = np.random.default_rng(seed)

    def around(values: Mapping[str, float]) -> dict[str, Any]:
        chosen = {name: changes.get(name, value) for name, value in values.items()}
        return {n: v * np.exp(spread * rng.standard_normal(count)) for n, v in chosen.items()}

    return CLVPosterior(
        BetaGeoPosterior.from_draws(**around(PURCHASES)),
        GammaGammaPosterior.from_draws(**around(SPEND)),
    )


def chains(
    values: Mapping[str, float], *, spread: float = 0.03, seed: int = 3, draws: int = DRAWS
) -> dict[str, np.ndarray]:
    """Independent log-normal draws of each parameter, shape (chains, draws)."""
    rng = np.random.default_rng(seed)
    return {n: v * np.exp(spread * rng.standard_normal((CHAINS, draws))) for n, v in values.items()}


def fitted(
    kind: type[Posterior] = BetaGeoPosterior,
    draws: Mapping[str, np.ndarray] | None = None,
    *,
    method: str = "nuts",
    statistics: Mapping[str, Any] | None = None,
    verdict: Verdict | None = None,
    **metadata: Any,
) -> Any:
    """A posterior as a fit leaves it behind, with whatever the sampler reported."""
    name = "bgnbd" if kind is BetaGeoPosterior else "gamma_gamma"
    values = dict(draws or chains(PURCHASES if name == "bgnbd" else SPEND))
    shape = next(iter(values.values())).shape
    coords = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
    dims = ("chain", "draw")
    found = good_statistics(shape) if statistics is None else dict(statistics)
    groups = {
        "posterior": xr.Dataset({n: (dims, v) for n, v in values.items()}, coords=coords),
        "sample_stats": xr.Dataset(
            {n: (dims if np.ndim(v) else (), v) for n, v in found.items()}, coords=coords
        ),
    }
    return kind(
        xr.DataTree.from_dict(groups),
        Metadata(
            model=name,
            method=method,
            observation_end="2020-01-31",
            verdict=verdict or given_verdict(),
            seed=7,
            versions={"clvmodels": "0.1.0"},
            **metadata,
        ),
    )


def good_statistics(shape: tuple[int, int] = (CHAINS, DRAWS), seed: int = 4) -> dict[str, Any]:
    """What NUTS reports of a run without trouble."""
    rng = np.random.default_rng(seed)
    return {
        "diverging": np.zeros(shape, dtype=bool),
        "energy": rng.standard_normal(shape),
        "reached_max_treedepth": np.zeros(shape, dtype=bool),
        "tree_depth": np.full(shape, 2),
    }


def fitted_pair(**options: Any) -> CLVPosterior:
    """Both models, as fitted by the same method."""
    return CLVPosterior(fitted(**options), fitted(GammaGammaPosterior, **options))


def mode() -> CLVPosterior:
    """Both models as their modes."""
    one = {"method": "map", "statistics": {}, "verdict": map_verdict(1e-6, 1e-3)}
    return CLVPosterior(
        fitted(draws={n: np.array([[v]]) for n, v in PURCHASES.items()}, **one),
        fitted(GammaGammaPosterior, {n: np.array([[v]]) for n, v in SPEND.items()}, **one),
    )


def normal_in_logs(sigma: float, *, prior_sigma: float, seed: int = 5) -> Any:
    """A purchase posterior that is exactly log-normal, with log-normal priors.

    The likelihood is what prior and posterior leave for it, so that the power-scaled
    posteriors are known in closed form.
    """
    draws = chains(PURCHASES, spread=sigma, seed=seed, draws=1000)
    names = ("r", "alpha", "a", "b")
    lp = sum(stats.norm.logpdf(np.log(draws[n]), np.log(PURCHASES[n]), sigma) for n in names)
    priors = {
        n: {
            "dist": "LogNormal",
            "kwargs": {"mu": float(np.log(PURCHASES[n])) + 0.5, "sigma": prior_sigma},
        }
        for n in names
    }
    return fitted(
        draws=draws,
        statistics={**good_statistics((CHAINS, 1000)), "lp": np.asarray(lp)},
        priors=priors,
    )
