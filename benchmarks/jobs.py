"""One measured job in a process of its own: prints a JSON line of what it found.

Run as ``python -m benchmarks.jobs JOB JSON``; the process is measured whole, imports and
compilation included.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fit_ours(base: str, method: str, draws: int = 1000, chains: int = 4) -> dict[str, Any]:
    """Fit both models to an RFM Parquet file and save the posterior."""
    from clvmodels import CLVModel, RfmTable

    posterior = CLVModel().fit(
        RfmTable.from_parquet(base),
        method=method,
        draws=draws,
        chains=chains,
        random_seed=1,
        progressbar=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        posterior.save(Path(folder) / "posterior.nc")
    checks = {
        f"{name}: {check.name}": check.value
        for name, verdict in posterior.verdicts.items()
        for check in verdict.checks
    }
    moments = {}
    for one in (posterior.purchases, posterior.spend):
        for name, values in one.draws().items():
            moments[name] = [float(values.mean()), float(values.std())]
    status = {name: verdict.status for name, verdict in posterior.verdicts.items()}
    return {"checks": checks, "moments": moments, "status": status}


def fit_peer(base: str, draws: int = 1000, chains: int | None = None) -> dict[str, Any]:
    """Fit both of pymc-marketing's models with its default sampler, and save."""
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

    from benchmarks.bases import peer_frame

    frame = peer_frame(Path(base))
    options: dict[str, Any] = {"progressbar": False, "random_seed": 1, "draws": draws}
    if chains is not None:
        options["chains"] = chains
    purchases, spend = BetaGeoModel(), GammaGammaModel()
    purchases.fit(data=frame.drop(columns="monetary_value"), **options)
    repeat = frame[(frame["frequency"] > 0) & (frame["monetary_value"] > 0)]
    spend.fit(data=repeat, **options)
    with tempfile.TemporaryDirectory() as folder:
        purchases.save(str(Path(folder) / "purchases.nc"))
        spend.save(str(Path(folder) / "spend.nc"))
    return {}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"fit_ours": fit_ours, "fit_peer": fit_peer}


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](**json.loads(sys.argv[2]))))
