"""What the golden values are computed from: a base, a log, draws and saved posteriors, in files.

Nothing here comes from a sampler when the tests run. The files are made anew, which changes
every value and for which there is hardly ever a reason, by

    python -m tests.golden.inputs
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import clvmodels as clv

INPUTS: Final = Path(__file__).parent / "inputs"
MODELS: Final = ("bgnbd", "mbgnbd")
MARGIN: Final = 0.35
LOG: Final = {"customer_id_col": "customer", "datetime_col": "day", "monetary_value_col": "paid"}
# Posteriors of real fits as a version's `save` wrote them; later versions have to read them.
SAVED: Final = {
    f"{model}-{method}-{what}": INPUTS / f"saved-v1-{model}-{method}-{what}.nc"
    for model, method in (("bgnbd", "nuts"), ("mbgnbd", "laplace"))
    for what in ("clv", "purchases")
} | {"bgnbd-map-clv": INPUTS / "saved-v1-bgnbd-map-clv.nc", "spend": INPUTS / "saved-v1-spend.nc"}


@cache
def draws(kind: str) -> dict[str, np.ndarray]:
    """Draws of r, alpha, a, b, p, q, v: "usual", "lasting", "heavy" or "single".

    "usual" has draws with a on either side of 1, "lasting" a > 1 in all, "heavy" q <= 1 in
    some, and "single" is one point.
    """
    record = json.loads((INPUTS / "draws.json").read_text())
    return {name: np.array(values) for name, values in record[kind].items()}


def purchases(model: str, kind: str = "usual", *, weeks: bool = False) -> Any:
    """The posterior of purchases with these draws, in days or in weeks of 7 days."""
    own = {name: draws(kind)[name] for name in ("r", "alpha", "a", "b")}
    if weeks:
        own["alpha"] = own["alpha"] / 7.0
    cls = {"bgnbd": clv.BetaGeoPosterior, "mbgnbd": clv.ModifiedBetaGeoPosterior}[model]
    return cls.from_draws(**own, time_unit="D", time_scaler=7 if weeks else 1)


def spend(kind: str = "usual") -> clv.GammaGammaPosterior:
    """The posterior of spend with these draws."""
    return clv.GammaGammaPosterior.from_draws(**{name: draws(kind)[name] for name in "pqv"})


def posterior(
    model: str, kind: str = "usual", *, weeks: bool = False, margin: float | None = None
) -> clv.CLVPosterior:
    """Both posteriors."""
    return clv.CLVPosterior(purchases(model, kind, weeks=weeks), spend(kind), margin=margin)


@cache
def frame() -> pd.DataFrame:
    """Customers: corners first, then many ages of x = 0 and x = 1, then a mixture."""
    return pd.read_parquet(INPUTS / "base.parquet")


def base(*, weeks: bool = False, margin: float | None = MARGIN) -> clv.RfmTable:
    """The customers as a table with segments and, by default, a margin."""
    table = frame()
    if weeks:
        table = table.assign(recency=table["recency"] / 7.0, T=table["T"] / 7.0)
    return clv.RfmTable.from_frame(
        table,
        time_unit="D",
        time_scaler=7 if weeks else 1,
        observation_end="2025-06-30",
        margin=margin,
    )


@cache
def log() -> pd.DataFrame:
    """A log of two years: customer, day, paid, shop; with refunds and zero amounts."""
    return pd.read_parquet(INPUTS / "log.parquet")


def log_table(**options: Any) -> clv.RfmTable:
    """Sum the log up, with segments by shop and netted refunds."""
    options = {"refunds": "net_earlier", "segment_cols": ["shop"], "margin": MARGIN} | options
    return clv.rfm_summary(log(), **LOG, **options)


# --- making the files --------------------------------------------------------------------


def write() -> None:
    """Make all files anew; fits take about a minute."""
    INPUTS.mkdir(exist_ok=True)
    (INPUTS / "draws.json").write_text(json.dumps(_draws(), indent=1) + "\n")
    _base().to_parquet(INPUTS / "base.parquet", index=False)
    _log().to_parquet(INPUTS / "log.parquet", index=False)
    for one in (draws, frame, log):
        one.cache_clear()
    _save_fits()


def _draws() -> dict[str, Any]:
    rng = np.random.default_rng(20260113)
    centres = {"r": 0.45, "alpha": 21.0, "a": 0.95, "b": 2.6, "p": 5.5, "q": 4.2, "v": 17.0}
    usual = {name: c * np.exp(0.12 * rng.standard_normal(30)) for name, c in centres.items()}
    lasting = usual | {"a": 1.25 + usual["a"], "b": 3.0 * usual["b"]}
    heavy = usual | {"q": np.where(np.arange(30) < 3, 0.8, usual["q"])}
    single = {name: np.array([c]) for name, c in centres.items()}
    kinds = {"usual": usual, "lasting": lasting, "heavy": heavy, "single": single}
    return {
        kind: {name: values.tolist() for name, values in parameters.items()}
        for kind, parameters in kinds.items()
    }


_CORNERS: Final = (
    # frequency, recency, T, monetary_value, first_value
    (0, 0.0, 0.0, 0.0, 12.5),
    (0, 0.0, 1.0, 0.0, 0.0),
    (0, 0.0, 3650.0, 0.0, 99.0),
    (1, 1.0, 1.0, 0.01, 3.0),
    (1, 1.0, 3650.0, 20.0, 20.0),
    (1, 3650.0, 3650.0, 20.0, 20.0),
    (2, 30.0, 30.0, 1e6, 1e6),
    (2, 2.0, 700.0, 31.4, 8.0),
    (40, 365.0, 365.0, 17.25, 5.0),
    (40, 40.0, 365.0, 17.25, 5.0),
    (365, 365.0, 365.0, 4.99, 4.99),
    (900, 900.0, 1000.0, 2.5, 2.5),
    (3000, 3600.0, 3650.0, 1.5, 1.5),
    (7, 200.0, 201.0, 0.0, 0.0),
    (7, 200.0, 900.0, 55.5, 44.0),
    (7, 200.0, 900.0, 5.5, 4.0),
)


def _base() -> pd.DataFrame:
    rng = np.random.default_rng(20260114)
    columns = ["frequency", "recency", "T", "monetary_value", "first_value"]
    corners = pd.DataFrame(_CORNERS, columns=columns)
    # so many ages of one x that scores interpolate between them
    x = np.repeat([0, 1], 60)
    age = np.tile(np.arange(5, 605, 10), 2).astype(float)
    T = np.concatenate([age, rng.integers(20, 700, 84).astype(float)])
    x = np.concatenate([x, np.minimum(rng.poisson(1.5, 84) * rng.integers(1, 4, 84), 19)])
    last = np.where(x > 0, np.maximum(np.floor(T * rng.random(len(x))), x), 0.0)
    many = pd.DataFrame(
        {
            "frequency": x,
            "recency": np.minimum(last, T),
            "T": T,
            "monetary_value": np.where(x > 0, rng.gamma(4.0, 7.0, len(x)).round(2), 0.0),
            "first_value": rng.gamma(4.0, 7.0, len(x)).round(2),
        }
    )
    table = pd.concat([corners, many], ignore_index=True)
    table.insert(0, "customer_id", np.arange(1, len(table) + 1))
    table["channel"] = rng.choice(["search", "shop", "friends"], len(table))
    table["region"] = rng.choice(["north", "south"], len(table))
    return table


def _log() -> pd.DataFrame:
    parameters = {"r": 0.9, "alpha": 25.0, "a": 0.7, "b": 3.0, "p": 5.0, "q": 4.0, "v": 16.0}
    found = clv.simulate.simulate_log(
        140, **parameters, T=(100.0, 720.0), seed=11, cents=True, observation_end="2025-06-30"
    )
    rng = np.random.default_rng(20260115)
    shops = rng.choice(["north", "south"], 140)
    found = pd.DataFrame(
        {
            "customer": found["customer_id"] + 1000,
            "day": found["date"].dt.floor("D").astype("datetime64[us]"),
            "paid": found["amount"],
            "shop": shops[found["customer_id"]],
        }
    )
    back = found.iloc[[5, 50, 200]].assign(paid=lambda t: -t["paid"] / 2)
    back["day"] = back["day"] + pd.Timedelta("3D")
    free = found.iloc[[20, 120]].assign(paid=0.0)
    return pd.concat([found, back, free], ignore_index=True).query("day <= '2025-06-30'")


def _save_fits() -> None:
    rfm = log_table()
    options: dict[str, dict[str, Any]] = {
        "nuts": {"draws": 30, "tune": 100, "chains": 2, "on_failure": "warn"},
        "laplace": {"draws": 30, "chains": 2, "on_failure": "raise"},
        "map": {"on_failure": "warn"},
    }
    for model, method in (("bgnbd", "nuts"), ("mbgnbd", "laplace"), ("bgnbd", "map")):
        found = clv.CLVModel(model).fit(
            rfm, method=method, random_seed=5, progressbar=False, **options[method]
        )
        found.save(SAVED[f"{model}-{method}-clv"])
        if method != "map":
            found.purchases.save(SAVED[f"{model}-{method}-purchases"])
        if method == "laplace":
            found.spend.save(SAVED["spend"])


if __name__ == "__main__":
    write()
