"""Fits with covariates beside pymc-marketing's, and a log with the apparel shop's parameters.

python -m benchmarks.covariate_fits [paretonbd] [bgnbd] [apparel]

writes ``benchmarks/covariate_fits.csv``. Customers are simulated by Pareto/NBD with the parameters
that CLVTools 0.12 publishes of its apparel log, gender and channel moving purchases and dropout
(weeks; the log itself is not at hand). Both packages get the same customers, priors and columns,
standardised, and sample by NUTS; ``apart`` is the difference of the means in Monte Carlo standard
errors. The rows "apparel" are a larger base fitted by the Laplace approximation, beside the truth.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, Final

import arviz as az
import numpy as np
import pandas as pd

import clvmodels as clv

PATH: Final = Path(__file__).with_suffix(".csv")
TRUTH: Final = {"r": 1.838, "alpha": 92.91, "s": 0.592, "beta": 49.62}
EFFECTS: Final = {
    "purchases": {"gender": 0.286, "channel": 0.624},
    "dropout": {"gender": -0.643, "channel": 0.791},
}
COLUMNS: Final = ("gender", "channel")
CUSTOMERS: Final = {"paretonbd": 600, "bgnbd": 600, "apparel": 12_000}
HOW: Final[dict[str, Any]] = {"random_seed": 1, "progressbar": False}
MODELS: Final = {"paretonbd": clv.ParetoNBDModel, "bgnbd": clv.BetaGeoModel}


def apparel(customers: int, seed: int = 1) -> pd.DataFrame:
    """Customers of one to two years, in weeks, as the published fit would have them."""
    rng = np.random.default_rng(seed)
    known = {name: rng.integers(0, 2, customers) for name in COLUMNS}
    moved = {
        side: np.exp(sum(by[name] * known[name] for name in COLUMNS))
        for side, by in EFFECTS.items()
    }
    rate = rng.gamma(TRUTH["r"], 1.0 / TRUTH["alpha"], customers) * moved["purchases"]
    leaving = rng.gamma(TRUTH["s"], 1.0 / TRUTH["beta"], customers) * moved["dropout"]
    T = rng.uniform(52.0, 104.0, customers)
    until = np.minimum(rng.exponential(1.0 / leaving), T)
    x = rng.poisson(rate * until)
    latest = until * rng.random(customers) ** (1.0 / np.maximum(x, 1))  # the last of x uniforms
    return pd.DataFrame(
        {
            "customer_id": np.arange(customers),
            "frequency": x,
            "recency": np.where(x > 0, latest, 0.0),
            "T": T,
            **known,
        }
    )


def ours(kind: str, frame: pd.DataFrame, priors: Any = "default", **how: Any) -> Any:
    """Fit this package's model; Pareto/NBD's covariates move dropout too."""
    both = {"dropout_covariates": list(COLUMNS)} if kind == "paretonbd" else {}
    asked: dict[str, Any] = {"purchase_covariates": list(COLUMNS), **both}
    model = MODELS[kind](priors=priors, **asked)
    base = clv.RfmTable.from_pandas(frame, time_unit="h", time_scaler=168)
    return model.fit(base, on_failure="warn", **HOW, **how)


def standardised(posterior: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """The columns as numbers that effects go by."""
    factors = {one.name: one for one in posterior.metadata.design.factors}
    codes = {name: factors[name].codes(frame[name].to_numpy(float)) for name in COLUMNS}
    return frame.assign(**{n: np.array(factors[n].numbers)[codes[n]] for n in COLUMNS})


def theirs(kind: str, frame: pd.DataFrame) -> Any:
    """Fit pymc-marketing's model by NUTS."""
    from pymc_marketing import clv as peer

    both = {"dropout_covariate_cols": list(COLUMNS)} if kind == "paretonbd" else {}
    model = getattr(peer, MODELS[kind].__name__)(
        model_config={"purchase_covariate_cols": list(COLUMNS), **both}
    )
    data = [frame] if kind == "paretonbd" else []  # the other has the data by now
    model.build_model(frame)
    model.fit(*data, method="mcmc", draws=1000, tune=1000, chains=4, cores=2, random_seed=2)
    return (
        model.idata["posterior"] if hasattr(model.idata, "__getitem__") else model.idata.posterior
    )


def coefficients(posterior: Any, kind: str) -> dict[str, Any]:
    """Draws of this package by name: parameters of the average, and effects of a unit."""
    group = posterior.tree["posterior"]
    found = {name: group[name].to_numpy() for name in posterior.parameters}
    for one in posterior.metadata.design.effects:
        number = next(f for f in posterior.metadata.design.factors if f.name == one.factor).numbers
        ends = (group["effects"].sel(effect=one.names[i]).to_numpy() for i in (0, 1))
        low, high = ends
        found[f"{one.side} {one.factor}"] = (high - low) / (number[1] - number[0])
    return found


def of_peer(group: Any, kind: str) -> dict[str, Any]:
    """The same of theirs, whose coefficients of purchases slow alpha down."""
    if kind == "paretonbd":
        scales = {"r": "r", "alpha": "alpha_scale", "s": "s", "beta": "beta_scale"}
        sides = {"purchases": "purchase_coefficient", "dropout": "dropout_coefficient"}
    else:
        scales = {"r": "r", "alpha": "alpha_scale", "a": "a", "b": "b"}
        sides = {"purchases": "purchase_coefficient_alpha"}
    found = {name: group[theirs].to_numpy() for name, theirs in scales.items()}
    for side, name in sides.items():
        values = group[name].to_numpy()
        found |= {f"{side} {column}": values[..., i] for i, column in enumerate(COLUMNS)}
    return found


def compared(kind: str) -> pd.DataFrame:
    """Means of both packages, and how far they are apart in their Monte Carlo errors."""
    frame = apparel(CUSTOMERS[kind])
    posterior = ours(kind, frame, priors="pymc-marketing", method="nuts")
    found = coefficients(posterior, kind)
    wanted = of_peer(theirs(kind, standardised(posterior, frame)), kind)
    rows = []
    for name, mine in found.items():
        other = wanted[name]
        error = np.hypot(*(float(az.mcse(one)) for one in (mine, other)))
        row = {"base": kind, "what": name, "ours": mine.mean(), "theirs": other.mean()}
        row |= {"sd": mine.std(), "sd of theirs": other.std()}
        rows.append(row | {"apart": (mine.mean() - other.mean()) / error})
    return pd.DataFrame(rows)


def recovered(customers: int = CUSTOMERS["apparel"]) -> pd.DataFrame:
    """The parameters that customers were simulated with, and what a fit gives back."""
    frame = apparel(customers)
    posterior = ours("paretonbd", frame, method="laplace")
    found = coefficients(posterior, "paretonbd")
    factors = {one.name: np.array(one.numbers) for one in posterior.metadata.design.factors}
    scales = {"purchases": "alpha", "dropout": "beta"}
    for side, parameter in scales.items():  # of gender 0 and channel 0, as published
        shift = sum(found[f"{side} {name}"] * factors[name][0] for name in COLUMNS)
        found[parameter] = found[parameter] * np.exp(-shift)
    for side in EFFECTS:  # a unit of the column, which is not a standard deviation
        for name in COLUMNS:
            found[f"{side} {name}"] = found[f"{side} {name}"] * np.ptp(factors[name])
    truth = TRUTH | {f"{side} {n}": by[n] for side, by in EFFECTS.items() for n in by}
    rows = []
    for name, values in found.items():
        low, high = np.quantile(values, [0.05, 0.95])
        row = {"base": "apparel", "what": name, "ours": values.mean(), "truth": truth[name]}
        rows.append(row | {"sd": values.std(), "lower": low, "upper": high})
    return pd.DataFrame(rows)


def main() -> None:
    """Make the figures of all bases, or of some in place of those on file."""
    warnings.simplefilter("ignore")
    for base in sys.argv[1:] or CUSTOMERS:
        made = recovered() if base == "apparel" else compared(base)
        if PATH.exists():
            kept = pd.read_csv(PATH)
            made = pd.concat([kept[kept["base"] != base], made])
        made.round(4).to_csv(PATH, index=False)
        print(made.to_string(index=False))


if __name__ == "__main__":
    main()
