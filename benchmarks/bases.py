"""Generated bases, made once and kept outside the checkout."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pandas as pd

# Issue of record: r .55, alpha 30 days, a .8, b 2.5, T uniform on 1..730 whole days;
# spend p 6.25, q 3.74, v 15.44 in cents.
PURCHASES = {"r": 0.55, "alpha": 30.0, "a": 0.8, "b": 2.5}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
SEED = 20050510
STRATA = 50


def cache_dir() -> Path:
    """Where bases are kept between runs."""
    default = Path(tempfile.gettempdir()) / "clvmodels-benchmarks"
    path = Path(os.environ.get("CLVMODELS_BENCH_DIR", default))
    path.mkdir(parents=True, exist_ok=True)
    return path


def rfm_parquet(customers: int) -> Path:
    """An RFM Parquet file of simulated customers, written by RfmTable."""
    path = cache_dir() / f"rfm_{customers}.parquet"
    if not path.exists():
        from clvmodels import RfmTable
        from clvmodels.simulate import simulate_rfm

        frame = simulate_rfm(customers, **PURCHASES, T=(1, 730), **SPEND, seed=SEED, cents=True)
        aside = path.with_suffix(".tmp")
        RfmTable.from_pandas(frame, observation_end="2025-12-31").to_parquet(aside)
        aside.rename(path)
    return path


def parts_parquet(customers: int, a_part: int = 5_000_000) -> Path:
    """A folder of Parquet parts, of more customers than are simulated at once."""
    path = cache_dir() / f"parts_{customers}"
    if not path.exists():
        from clvmodels.simulate import simulate_rfm

        aside = path.with_suffix(".tmp")
        aside.mkdir(exist_ok=True)
        how = {**PURCHASES, **SPEND, "T": (1, 730), "cents": True}
        for part, first in enumerate(range(0, customers, a_part)):
            file = aside / f"part-{part:04d}.parquet"
            if not file.exists():
                frame = simulate_rfm(min(a_part, customers - first), **how, seed=SEED + part)
                frame["customer_id"] += first
                frame.to_parquet(file.with_suffix(".new"), index=False)
                file.with_suffix(".new").rename(file)
        aside.rename(path)
    return path


def cdnow_parquet() -> Path:
    """The CDNOW sample, trained to 1997-09-30, as an RFM Parquet file."""
    path = cache_dir() / "rfm_cdnow.parquet"
    if not path.exists():
        from clvmodels import rfm_summary
        from clvmodels.datasets import load_cdnow

        rfm_summary(
            load_cdnow(sample=True),
            customer_id_col="customer_id",
            datetime_col="date",
            monetary_value_col="amount",
            observation_period_end="1997-09-30",
        ).to_parquet(path)
    return path


def base_parquet(name: str) -> Path:
    """A base by name: "cdnow", or a number of simulated customers."""
    return cdnow_parquet() if name == "cdnow" else rfm_parquet(int(name))


def peer_frame(path: Path) -> pd.DataFrame:
    """The base as pymc-marketing wants it."""
    columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    return pd.read_parquet(path, columns=columns)


def posterior_nc() -> Path:
    """A posterior of the generated base of 100,000 customers."""
    path = cache_dir() / "posterior_100000.nc"
    if not path.exists():
        from clvmodels import CLVModel, RfmTable

        base = RfmTable.from_parquet(base_parquet("100000"))
        CLVModel().fit(base, method="laplace", random_seed=1, progressbar=False).save(path)
    return path


def timed_parquet(customers: int) -> Path:
    """The same customers, as a log of theirs is summarised with its pairs of days."""
    path = cache_dir() / f"timed_{customers}.parquet"
    if not path.exists():
        from clvmodels import rfm_summary
        from clvmodels.simulate import simulate_log

        how = {**PURCHASES, **SPEND, "cents": True, "seed": SEED}
        log = simulate_log(customers, **how, T=(1, 730))
        names = {"customer_id_col": "customer_id", "datetime_col": "date"}
        aside = path.with_suffix(".tmp")
        table = rfm_summary(log, **names, monetary_value_col="amount", day_pairs=True)
        table.to_parquet(aside)
        aside.rename(path)
    return path


def timed_posterior_nc() -> Path:
    """A posterior of 100,000 of them, with a clock."""
    path = cache_dir() / "timed_posterior_100000.nc"
    if not path.exists():
        from clvmodels import BetaGeoModel, CLVModel, RfmTable

        base = RfmTable.from_parquet(timed_parquet(100_000))
        model = CLVModel(BetaGeoModel(clock=True))
        model.fit(base, method="laplace", random_seed=1, progressbar=False).save(path)
    return path


def strata_parquet(customers: int) -> Path:
    """Customers of 50 shops, some of which are visited up to three times as often as others."""
    path = cache_dir() / f"strata_{customers}.parquet"
    if not path.exists():
        import numpy as np

        from clvmodels import RfmTable
        from clvmodels.simulate import simulate_rfm

        parts = []
        for shop, effect in enumerate(np.linspace(-0.55, 0.55, STRATA)):
            own = {**PURCHASES, "alpha": PURCHASES["alpha"] / float(np.exp(effect))}
            how = {**SPEND, "seed": SEED + shop, "cents": True}
            part = simulate_rfm(customers // STRATA, **own, T=(1, 730), **how)
            parts.append(part.assign(shop=f"s{shop:02d}"))
        frame = pd.concat(parts, ignore_index=True).sample(frac=1.0, random_state=SEED)
        frame["customer_id"] = np.arange(len(frame))
        aside = path.with_suffix(".tmp")
        RfmTable.from_pandas(frame, observation_end="2025-12-31").to_parquet(aside)
        aside.rename(path)
    return path


def strata_posterior_nc() -> Path:
    """A posterior of 100,000 of them, with effects of the shop on purchases and on leaving."""
    path = cache_dir() / "strata_posterior_100000.nc"
    if not path.exists():
        from clvmodels import BetaGeoModel, CLVModel, RfmTable

        base = RfmTable.from_parquet(strata_parquet(100_000))
        model = CLVModel(BetaGeoModel(purchase_covariates=["shop"], dropout_covariates=["shop"]))
        model.fit(base, method="laplace", random_seed=1, progressbar=False).save(path)
    return path
